//! The least that a reauthorization URL costs: two signatures, two overlapping POSTs, one verification; no Lambda, no
//! table, no secrets.
//!
//! It reads one JSON object per run from a line of its input, `{baseUrl, clientId, privateKey, accessToken, redirectUri,
//! accountId, count}`, makes `count` URLs one after the other, and writes a line when it is done.

use std::{collections::HashMap, error::Error, io::BufRead};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PSS_SHA512, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Client;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Protocol {
    http: Client,
    base_url: String,
    key: RsaKeyPair,
    client_id: String,
}

impl Protocol {
    /// One POST with a bearer token of its own.
    async fn post(&self, path: &str, claims: &Value, body: Option<Value>) -> Result<Value> {
        let mut nonce = [0; 16];
        #[expect(clippy::disallowed_methods, reason = "there is nothing here that a test would want to control")]
        aws_lc_rs::rand::fill(&mut nonce)?;
        #[expect(clippy::disallowed_methods, reason = "the same")]
        let now = jiff::Timestamp::now().as_millisecond();
        let mut payload = json!({"client_id": self.client_id, "timestamp": now,
            "nonce": format!("{:032x}", u128::from_be_bytes(nonce))});
        for (name, value) in claims.as_object().into_iter().flatten() {
            payload[name] = value.clone();
        }
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"PS512","typ":"JWT"}"#);
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PSS_SHA512, &SystemRandom::new(), message.as_bytes(), &mut signature)?;
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut request = self.http.post(format!("{}{path}", self.base_url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn keys(&self) -> Result<HashMap<String, DecodingKey>> {
        let set: Value = self.http.get(format!("{}jwks/oauth", self.base_url)).send().await?.json().await?;
        let key = |key: &Value| {
            let key_in_pem = pem::parse(key["pem"].as_str()?).ok()?;
            Some((key["kid"].as_str()?.to_owned(), DecodingKey::from_rsa_der(key_in_pem.contents())))
        };
        Ok(set["keys"].as_array().into_iter().flatten().filter_map(key).collect())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        run(&serde_json::from_str(&line?)?).await?;
        println!("done");
    }
    Ok(())
}

async fn run(wanted: &Value) -> Result<()> {
    let text = |name: &str| wanted[name].as_str().unwrap_or_default().to_owned();
    let pem = pem::parse(text("privateKey"))?;
    let protocol = Protocol {
        http: Client::builder().no_proxy().build()?,
        base_url: text("baseUrl"),
        key: RsaKeyPair::from_pkcs8(pem.contents()).or_else(|_| RsaKeyPair::from_der(pem.contents()))?,
        client_id: text("clientId"),
    };
    let keys = protocol.keys().await?;
    let claims = json!({"access_token": text("accessToken"), "redirect_uri": text("redirectUri"), "state": "state"});
    let none = json!({});
    let account = json!({"type": "accountId", "value": text("accountId")});
    let mut validation = Validation::new(Algorithm::PS512);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    for _ in 0..wanted["count"].as_u64().unwrap_or(1) {
        let (code, reference) = tokio::join!(
            protocol.post("oauth/token/reference", &claims, None),
            protocol.post("reference", &none, Some(account.clone()))
        );
        let (code, reference) = (code?, reference?);
        let token = code["token"].as_str().ok_or("no token")?;
        let kid = jsonwebtoken::decode_header(token)?.kid.ok_or("no kid")?;
        let payload: Value = jsonwebtoken::decode(token, keys.get(&kid).ok_or("no key")?, &validation)?.claims;
        if payload["reference_code"].is_null() || reference["id"].is_null() {
            return Err("an answer is not complete".into());
        }
    }
    Ok(())
}
