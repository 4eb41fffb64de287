//! The digi.me client's signatures, checked with openssl, and the answers that it refuses.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::HeaderMap,
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use digime::{
    Client, Contract, Error, Settings,
    ambient::{Ambient, Deadline},
};
use jiff::Timestamp;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use reauth_core::{config::Environment, http_client};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs openssl and returns its output.
fn openssl(directory: &TempDir, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command
        .current_dir(directory.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

const PSS: [&str; 6] =
    ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:64", "-sigopt", "rsa_mgf1_md:sha512"];

/// A directory with a key pair that openssl generated: `pkcs1.pem`, `pkcs8.pem`, `public.pem` (SPKI), `public1.pem` (PKCS#1).
fn keys() -> TempDir {
    let directory = TempDir::new().unwrap();
    openssl(
        &directory,
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "pkcs8.pem"],
        b"",
    );
    openssl(&directory, &["rsa", "-in", "pkcs8.pem", "-traditional", "-out", "pkcs1.pem"], b"");
    openssl(&directory, &["rsa", "-in", "pkcs8.pem", "-pubout", "-out", "public.pem"], b"");
    openssl(&directory, &["rsa", "-in", "pkcs8.pem", "-RSAPublicKey_out", "-out", "public1.pem"], b"");
    directory
}

fn read(directory: &TempDir, name: &str) -> String {
    std::fs::read_to_string(directory.path().join(name)).unwrap()
}

/// A token that openssl signs.
fn token(directory: &TempDir, header: &Value, payload: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(payload));
    let sign = [&["dgst", "-sha512", "-sign", "pkcs8.pem"], &PSS[..]].concat();
    let signature = openssl(directory, &sign, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header() -> Value {
    json!({"alg": "PS512", "typ": "JWT", "kid": "k1", "jku": "https://evil.example/jwks"})
}

fn pair() -> Value {
    json!({"access_token": {"value": "a", "expires_on": 1_900_000_000}, "refresh_token": {"value": "r", "expires_on": 1_900_000_000}})
}

/// The HTTP client of the functions.
fn http() -> reqwest::Client {
    let environment = Environment::from_iter([]);
    http_client::client_with_http2(http_client::tls(&environment).unwrap(), Duration::from_secs(2))
}

/// A digi.me that answers every refresh with the same token, and records the bearer tokens that it receives.
async fn digime(answer: String, jwks: Value) -> (Client, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&seen);
    let router = Router::new()
        .route(
            "/v1.7/oauth/token",
            post(move |headers: HeaderMap| {
                let bearer = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
                remembered.lock().unwrap().push(bearer);
                let answer = answer.clone();
                async move { Json(json!({"token": answer})) }
            }),
        )
        .route("/v1.7/jwks/oauth", get(move || async move { Json(jwks) }));
    (client_of(router).await, seen)
}

/// A client of a digi.me that answers with these routes.
async fn client_of(router: Router) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = Settings {
        base_url: format!("{base}v1.7/").parse().unwrap(),
        onboard_url: format!("{base}apps/saas/").parse().unwrap(),
        timeout: Duration::from_secs(5),
    };
    Client::new(http(), settings, &Ambient::system())
}

fn contract(directory: &TempDir, key: &str) -> Contract {
    Contract::new("app", "con".parse().unwrap(), &read(directory, key).into()).unwrap()
}

async fn refresh(client: &Client, contract: &Contract) -> Result<String, Error> {
    let pair = client.refresh(contract, &"r0".to_owned().into(), Deadline(Timestamp::MAX)).await?;
    Ok(pair.access.value.expose_secret().to_owned())
}

#[tokio::test]
async fn openssl_accepts_what_the_client_signs() {
    let directory = keys();
    let jwks = json!({"keys": [{"kid": "k1", "kty": "RSA", "pem": read(&directory, "public.pem")}]});
    let (client, seen) = digime(token(&directory, &header(), &pair()), jwks).await;
    for key in ["pkcs1.pem", "pkcs8.pem"] {
        refresh(&client, &contract(&directory, key)).await.unwrap();
    }
    let seen = seen.lock().unwrap().clone();
    let mut nonces = std::collections::BTreeSet::new();
    for bearer in &seen {
        let (message, signature) = bearer.rsplit_once('.').unwrap();
        let (head, payload) = message.split_once('.').unwrap();
        let decode = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(decode(head), json!({"alg": "PS512", "typ": "JWT"}));
        let payload = decode(payload);
        assert_eq!(
            (&payload["client_id"], &payload["grant_type"], &payload["refresh_token"]),
            (&json!("app_con"), &json!("refresh_token"), &json!("r0"))
        );
        assert!(payload["timestamp"].as_i64().unwrap() > 1_700_000_000_000 && payload.get("iat").is_none());
        nonces.insert(payload["nonce"].as_str().unwrap().to_owned());
        std::fs::write(directory.path().join("signature"), URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let verify = [&["dgst", "-sha512", "-verify", "public.pem", "-signature", "signature"], &PSS[..]].concat();
        openssl(&directory, &verify, message.as_bytes());
    }
    assert_eq!((seen.len(), nonces.len()), (2, 2), "each request has a nonce of its own");
    assert!(nonces.iter().all(|nonce| nonce.len() == 32));
}

#[tokio::test]
async fn the_client_accepts_what_openssl_signs_with_keys_of_both_forms() {
    let directory = keys();
    let answer = token(&directory, &header(), &pair());
    for key in ["public.pem", "public1.pem"] {
        let odd = json!({"kid": "other", "kty": "EC"});
        let jwks = json!({"keys": [odd, {"kid": "k1", "pem": read(&directory, key)}]});
        let (client, _) = digime(answer.clone(), jwks).await;
        assert_eq!(refresh(&client, &contract(&directory, "pkcs1.pem")).await.unwrap(), "a", "{key}");
    }
}

#[tokio::test]
async fn forged_and_incomplete_answers_are_refused() {
    let directory = keys();
    let other_keys = keys();
    let jwks = json!({"keys": [{"kid": "k1", "pem": read(&directory, "public.pem")}]});
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        header
    };
    let mut no_refresh = pair();
    no_refresh.as_object_mut().unwrap().remove("refresh_token");
    let mut expired = pair();
    expired["exp"] = json!(1_000_000_000);
    let good = token(&directory, &header(), &pair());
    let mut changed = good.clone();
    changed.replace_range(good.len() - 4.., "AAAA");
    let answers = [
        ("signed with another key", token(&other_keys, &header(), &pair())),
        ("of an unknown key", token(&directory, &with("kid", json!("k2")), &pair())),
        ("without a key", token(&directory, &with("kid", json!(null)), &pair())),
        ("of another algorithm", token(&directory, &with("alg", json!("RS512")), &pair())),
        ("of a symmetric algorithm", token(&directory, &with("alg", json!("HS512")), &pair())),
        ("of a weaker algorithm", token(&directory, &with("alg", json!("PS256")), &pair())),
        ("of no algorithm", token(&directory, &with("alg", json!("none")), &pair())),
        ("changed", changed),
        ("expired", token(&directory, &header(), &expired)),
        ("without a refresh token", token(&directory, &header(), &no_refresh)),
        ("no token", "x".to_owned()),
        ("empty", String::new()),
    ];
    for (what, answer) in answers {
        let (client, _) = digime(answer, jwks.clone()).await;
        let refused = refresh(&client, &contract(&directory, "pkcs8.pem")).await;
        assert!(matches!(refused, Err(Error::InvalidAnswer(_))), "{what}: {refused:?}");
    }
}

/// A server that is not digi.me's, and the requests that it received.
async fn other_server(jwks: Value) -> (String, Arc<Mutex<Vec<String>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&received);
    let router = Router::new().fallback(move |request: axum::extract::Request| {
        remembered.lock().unwrap().push(request.uri().to_string());
        async move { Json(jwks) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, received)
}

/// Records the metric `ForeignKeySets` and no other.
struct CountForeign(Arc<AtomicU64>);

impl Recorder for CountForeign {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == "ForeignKeySets" { Counter::from_arc(Arc::clone(&self.0)) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn a_foreign_key_set_is_never_fetched_and_a_right_signature_beside_it_is_counted() {
    let counted = Arc::new(AtomicU64::new(0));
    let recorder = CountForeign(Arc::clone(&counted));
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (directory, forger) = (keys(), keys());
    let jwks = |keys: &TempDir| json!({"keys": [{"kid": "k1", "pem": read(keys, "public.pem")}]});
    let (elsewhere, received) = other_server(jwks(&forger)).await;
    let mut header = header();
    header["jku"] = json!(format!("{elsewhere}/jwks/oauth"));

    let (client, _) = digime(token(&forger, &header, &pair()), jwks(&directory)).await;
    let refused = refresh(&client, &contract(&directory, "pkcs8.pem")).await;
    assert!(matches!(refused, Err(Error::InvalidAnswer(_))), "{refused:?}");
    assert_eq!(counted.load(Ordering::Relaxed), 0, "a forgery is not counted as a foreign key set");

    let (client, _) = digime(token(&directory, &header, &pair()), jwks(&directory)).await;
    assert_eq!(refresh(&client, &contract(&directory, "pkcs8.pem")).await.unwrap(), "a");
    assert_eq!(counted.load(Ordering::Relaxed), 1);
    assert!(received.lock().unwrap().is_empty(), "the other server received a request");
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed() {
    let directory = keys();
    let (elsewhere, received) = other_server(json!({"keys": []})).await;
    let router = Router::new().fallback(move || {
        let elsewhere = format!("{elsewhere}/v1.7/oauth/token");
        async move { axum::response::Redirect::temporary(&elsewhere) }
    });
    let client = client_of(router).await;
    let contract = contract(&directory, "pkcs8.pem");
    let token = "t".to_owned().into();
    let deadline = Deadline(Timestamp::MAX);
    assert!(client.refresh(&contract, &token, deadline).await.is_err());
    assert!(client.accounts(&contract, &token, deadline).await.is_err());
    assert!(client.account_reference(&contract, &"1_a".parse().unwrap(), deadline).await.is_err());
    assert!(received.lock().unwrap().is_empty(), "no request, and so no token, goes to another origin");
}

/// What the official Node.js SDK (16.1.5) sends for `getReauthorizeUrl`, as `infra/digime-simulator/sdk-check/substitute.mjs`
/// sends it too: these claims, and a body with `agent` and, if the application gives them, `actions`. This client sends
/// neither of the two.
#[tokio::test]
async fn the_request_for_the_user_page_has_the_claims_of_the_official_sdk() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&seen);
    let reference = post(move |headers: HeaderMap, body: String| {
        remembered.lock().unwrap().push((headers["authorization"].to_str().unwrap().to_owned(), body));
        async { axum::http::StatusCode::BAD_REQUEST }
    });
    let client = client_of(Router::new().route("/v1.7/oauth/token/reference", reference)).await;
    let directory = keys();
    let verifier = digime::CodeVerifier::stored("the-code-verifier".into());
    let redirect_uri = "https://api.example/callback?state=s".parse().unwrap();
    let (contract, deadline) = (contract(&directory, "pkcs1.pem"), Deadline(Timestamp::MAX));
    let (access_token, state) = ("a".into(), "s".into());
    let asked = client.user_token_reference(&contract, &access_token, &redirect_uri, &state, &verifier, deadline);
    assert!(asked.await.is_err());
    let (bearer, body) = seen.lock().unwrap().remove(0);
    let payload = bearer.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let challenge = URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"the-code-verifier"));
    let mut expected = json!({"access_token": "a", "client_id": "app_con", "code_challenge": challenge,
        "code_challenge_method": "S256", "redirect_uri": "https://api.example/callback?state=s", "state": "s"});
    for made_anew in ["nonce", "timestamp"] {
        expected[made_anew] = claims[made_anew].clone();
    }
    assert_eq!(claims, expected);
    assert_eq!(body, "{}");
}
