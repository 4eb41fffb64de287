//! A caller of the simulated API that can also do everything wrong.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA512, RsaEncoding, RsaPssSaltLength, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use digime::ambient::{Ambient, Clock};
use digime_simulator::{Account, Contract, ContractKeys, Control, Simulator, TokenPair};
use jiff::Timestamp;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

pub(crate) const CALLBACK: &str = "https://app.example/callback";
pub(crate) const CONTRACT: &str = "contract_1";
pub(crate) const USER: &str = "user-1";
pub(crate) const ACCOUNT: &str = "1_1xxxxxxxxx";

/// One pair for all tests of this run: generating keys is what takes time.
fn keys() -> &'static ContractKeys {
    static KEYS: OnceLock<ContractKeys> = OnceLock::new();
    KEYS.get_or_init(|| ContractKeys::generate().expect("a key pair"))
}

pub(crate) fn private_key_der() -> Vec<u8> {
    let block = pem::parse(&keys().private_key_pem).expect("PEM");
    block.into_contents()
}

/// How a request's JWT is signed.
#[derive(Clone, Copy)]
pub(crate) enum Signature {
    Ps512,
    ShortSalt,
    Pkcs1,
    Broken,
}

impl Signature {
    fn encoding(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Ps512 | Self::Broken => &RSA_PSS_SHA512,
            Self::ShortSalt => &const { RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Custom(32)) },
            Self::Pkcs1 => &RSA_PKCS1_SHA512,
        }
    }
}

pub(crate) fn jwt(header: &Value, claims: &Value, signature: Signature) -> String {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    let key = KEY.get_or_init(|| KeyPair::from_pkcs8(&private_key_der()).expect("PKCS#8"));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut bytes = vec![0; key.public_modulus_len()];
    key.sign(signature.encoding(), &SystemRandom::new(), message.as_bytes(), &mut bytes).expect("signed");
    if matches!(signature, Signature::Broken) {
        bytes[7] ^= 1;
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Milliseconds since 1970. Only the test changes them.
#[derive(Debug, Clone)]
struct ManualClock(Arc<AtomicI64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("a time")
    }
}

pub(crate) struct Sim {
    pub(crate) simulator: Simulator,
    pub(crate) control: Control,
    pub(crate) http: Client,
    clock: ManualClock,
}

pub(crate) fn contract() -> Contract {
    Contract {
        contract_id: CONTRACT.to_owned(),
        application_id: "app".to_owned(),
        public_key_pem: keys().public_key_pem.clone(),
        redirect_uris: vec![CALLBACK.to_owned()],
    }
}

pub(crate) fn http() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .expect("an HTTP client")
}

impl Sim {
    /// A simulator in the year 2033 with a contract, a user and one account.
    pub(crate) async fn start() -> Self {
        let clock = ManualClock(Arc::new(AtomicI64::new(2_000_000_000_000)));
        let simulator = Simulator::builder()
            .ambient(Ambient::system().with_clock(Arc::new(clock.clone())))
            .signing_key_pkcs8(private_key_der())
            .start()
            .await
            .expect("started");
        let control = simulator.control();
        control.register_contract(contract()).expect("registered");
        control.add_account(USER, Account::new(ACCOUNT, "Songbird Music", Some("jo")));
        Self { simulator, control, http: http(), clock }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.0.load(Ordering::SeqCst)
    }

    pub(crate) fn pass(&self, time: Duration) {
        let milliseconds = i64::try_from(time.as_millis()).expect("a short time");
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub(crate) fn tokens(&self) -> TokenPair {
        self.control.issue_tokens(USER, CONTRACT)
    }

    /// Good common claims, with more or others.
    pub(crate) fn claims(&self, more: Value) -> Value {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let mut claims = json!({
            "client_id": format!("app_{CONTRACT}"),
            "nonce": format!("nonce{}", NONCES.fetch_add(1, Ordering::SeqCst)),
            "timestamp": self.now_ms(),
        });
        if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), more) {
            claims.extend(more);
        }
        claims
    }

    pub(crate) fn good_jwt(&self, more: Value) -> String {
        let header = json!({ "alg": "PS512", "typ": "JWT" });
        jwt(&header, &self.claims(more), Signature::Ps512)
    }

    /// Sends a good request of any method, with more headers.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        claims: Value,
        headers: &[(&str, &str)],
    ) -> Response {
        let url = self.simulator.base_url().join(path).expect("a URL");
        let bearer = format!("Bearer {}", self.good_jwt(claims));
        let request = self.http.request(method, url).header(AUTHORIZATION, bearer);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.expect("an answer")
    }

    /// Sends a request with that JWT; a POST's body is `body`.
    pub(crate) async fn send(&self, path: &str, jwt: &str, body: Option<Value>) -> Response {
        let method = if path.starts_with("permission-access/accounts") || path.starts_with("permission-access/query") {
            Method::GET
        } else {
            Method::POST
        };
        let url = self.simulator.base_url().join(path).expect("a URL");
        let mut request = self.http.request(method, url).header(AUTHORIZATION, format!("Bearer {jwt}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("an answer")
    }

    /// The answer to a good request; it must succeed.
    pub(crate) async fn call(&self, path: &str, claims: Value, body: Option<Value>) -> Value {
        let response = self.send(path, &self.good_jwt(claims), body).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Status and code of the error that a request ends with.
    pub(crate) async fn error(&self, path: &str, claims: Value) -> (u16, String) {
        let response = self.send(path, &self.good_jwt(claims), None).await;
        error_of(response).await
    }

    pub(crate) async fn key_set(&self) -> Vec<Value> {
        let url = self.simulator.base_url().join("jwks/oauth").expect("a URL");
        let response = self.http.get(url).send().await.expect("an answer");
        let set: Value = response.json().await.expect("JSON");
        set["keys"].as_array().expect("keys").clone()
    }

    /// Header and payload of an answer's token, whose signature must be good.
    pub(crate) async fn open(&self, answer: &Value) -> (Value, Value) {
        let token = answer["token"].as_str().expect("a token");
        let (message, signature) = token.rsplit_once('.').expect("a signature");
        let (header, payload) = message.split_once('.').expect("a header");
        let decode = |part: &str| -> Value {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        let header = decode(header);
        let keys = self.key_set().await;
        let key = keys.iter().find(|key| key["kid"] == header["kid"]);
        let pem = key.expect("the key of the token")["pem"].as_str();
        let key = pem::parse(pem.expect("a PEM")).expect("PEM");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, key.contents())
            .verify(message.as_bytes(), &signature)
            .expect("a good signature");
        (header, decode(payload))
    }

    /// The payload of an answer's token.
    pub(crate) async fn payload(&self, answer: &Value) -> Value {
        self.open(answer).await.1
    }
}

pub(crate) async fn error_of(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let header = response.headers().get("x-error-code").cloned();
    let body: Value = response.json().await.expect("a JSON error");
    let code = body["error"]["code"].as_str().expect("a code").to_owned();
    assert_eq!(header.expect("X-Error-Code"), code.as_str());
    assert!(body["error"]["message"].is_string() && body["error"]["reference"].is_string());
    (status, code)
}
