//! The state that all handlers share: the simulator's data, the clock, the randomness, and the record of requests.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use digime::ambient::Ambient;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use crate::faults::{Faults, full_path};
use crate::nonces::Nonces;
use crate::observer::{Moment, Observer};
use crate::private_file::write_private_file;
use crate::state::{FreshPair, State};

const MAX_RECORDED_REQUESTS: usize = 10_000;

/// One request for the API or a page. Requests are recorded in the order of their answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The HTTP status of the answer. 0 if the connection was reset instead.
    pub status: u16,
}

pub(crate) struct Shared {
    pub(crate) ambient: Ambient,
    pub(crate) address: SocketAddr,
    pub(crate) state_file: Option<PathBuf>,
    pub(crate) state: Mutex<State>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) nonces: Mutex<Nonces>,
    pub(crate) requests: Mutex<VecDeque<RecordedRequest>>,
    pub(crate) observer: Mutex<Option<Observer>>,
}

/// Ignores a poisoned lock: a panic leaves no partial change that matters to a simulator.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Calls the observer, if there is one, and waits for it.
    pub(crate) async fn call_observer(&self, moment: Moment, request: &str) {
        let observation = lock(&self.observer).as_ref().map(|observer| observer(moment, request));
        if let Some(observation) = observation {
            observation.await;
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ambient.now()
    }

    /// 256 random bits in base64url.
    pub(crate) fn random_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.ambient.bytes::<32>())
    }

    /// 64 random bits in hexadecimal: for identifiers that people read.
    pub(crate) fn random_id(&self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.ambient.bytes()))
    }

    pub(crate) fn fresh_pair(&self) -> FreshPair {
        FreshPair { access: self.random_token(), refresh: self.random_token(), consent: self.random_id() }
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&lock(&self.state))
    }

    /// Changes the state and writes it to the state file under one lock, so that an older state never overwrites a
    /// newer one.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let now = self.now();
        let mut state = lock(&self.state);
        state.purge(now);
        let result = change(&mut state);
        if let Some(path) = &self.state_file
            && let Err(error) = save(path, &state)
        {
            tracing::error!(%error, path = %path.display(), "digime-simulator: could not write the state file");
        }
        result
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// Records the nonce. Returns whether it was new.
    pub(crate) fn use_up_nonce(&self, nonce: &str) -> bool {
        let now = self.now();
        lock(&self.nonces).use_up(nonce, now)
    }

    pub(crate) fn record(&self, request: RecordedRequest) {
        let mut requests = lock(&self.requests);
        if requests.len() >= MAX_RECORDED_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(crate) fn recorded(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).iter().cloned().collect()
    }

    pub(crate) fn clear_recorded(&self) {
        lock(&self.requests).clear();
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).expect("a socket address and a path")
    }

    /// Signs `claims` as the answer token of the API path `endpoint`. Applies the forgeries that the control API has
    /// set.
    pub(crate) fn answer_token(&self, endpoint: &str, claims: Value) -> String {
        let key = self.read(|state| state.keys.current.clone());
        let (header, claims, bad_signature) = {
            let faults = self.faults();
            let jku = faults.forged_jku.clone().unwrap_or_else(|| self.url(&full_path("jwks/oauth")).into());
            let kid = faults.forged_kid.as_ref().unwrap_or(&key.kid);
            let header = json!({ "alg": "PS512", "typ": "JWT", "kid": kid, "jku": jku });
            let replaced = faults.answer_claims.get(&full_path(endpoint)).cloned();
            (header, replaced.unwrap_or(claims), faults.bad_signatures)
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let mut signature = key.sign(message.as_bytes());
        if bad_signature {
            signature[0] ^= 1;
        }
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn save(path: &Path, state: &State) -> io::Result<()> {
    write_private_file(path, &serde_json::to_vec_pretty(state)?)
}
