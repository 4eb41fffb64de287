//! Secrets from Secrets Manager: the service secret and the contracts' private keys, cached for 15 minutes.
//!
//! Only one fetch of a secret is in progress at a time; other callers wait for its result.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_secretsmanager::Client;
use digime::{
    Contract, ContractId,
    ambient::Ambient,
    cached::{Cached, Lifetimes},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{
    aws::AwsError,
    config::{ConfigError, Environment},
    keyring::Keyring,
    metrics,
};

/// How long a secret is used before it is fetched again.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long an unknown or unusable contract is cached as such, and the least time between two fetches of a contract
/// that digi.me refuses.
const MIN_REFETCH_INTERVAL: Duration = Duration::from_secs(60);
/// A deployment has fewer contracts. The bound limits the cache when callers send invented contract ids.
const MAX_CONTRACTS: usize = 1_000;

/// The staging labels of Secrets Manager.
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Up to this many cached contracts, reading the grants of all of them is cheaper than reading the account first.
const MAX_RECENT: usize = 3;

/// Why a secret cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    #[error("the secret does not exist")]
    Unknown,
    /// The secret does not have the expected content. The message does not contain the secret.
    #[error("the secret cannot be used: {0}")]
    Unusable(String),
    /// Secrets Manager did not answer, or refused the request.
    #[error("Secrets Manager is not available")]
    Unavailable(#[source] AwsError),
}

/// One version of a secret. `text` is `None` when the version contains bytes instead.
struct SecretVersion {
    id: Option<String>,
    text: Option<SecretString>,
}

impl SecretVersion {
    fn text(&self) -> Result<&SecretString, SecretError> {
        self.text.as_ref().ok_or_else(|| SecretError::Unusable("it holds no text".into()))
    }
}

async fn fetch(client: &Client, id: &str, stage: &str) -> Result<SecretVersion, SecretError> {
    match client.get_secret_value().secret_id(id).version_stage(stage).send().await {
        Ok(answer) => Ok(SecretVersion { id: answer.version_id, text: answer.secret_string.map(Into::into) }),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
            Err(SecretError::Unknown)
        }
        Err(error) => Err(SecretError::Unavailable(AwsError::from(&error))),
    }
}

/// The current and the previous version of a secret. The previous one is `None` if the secret was never rotated.
///
/// They are fetched one after the other, the current one first. If a rotation happens between the two calls, the
/// version that was fetched as the current one is also the previous one, and the current one is fetched again. In the
/// other order, or with both calls at the same time, the result could lack that version: it would be the new version
/// and the one two versions before.
async fn fetch_versions(client: &Client, id: &str) -> Result<(SecretVersion, Option<SecretVersion>), SecretError> {
    let current = fetch(client, id, CURRENT).await?;
    let previous = match fetch(client, id, PREVIOUS).await {
        Ok(previous) => previous,
        Err(SecretError::Unknown) => return Ok((current, None)),
        Err(error) => return Err(error),
    };
    let current = if current.id == previous.id { fetch(client, id, CURRENT).await? } else { current };
    Ok((current, Some(previous)))
}

/// A value that is built from the current and the previous version of a secret, and cached. Cheap to clone; clones
/// share the cache.
#[derive(Debug)]
pub struct Rotating<T> {
    client: Client,
    id: Arc<str>,
    ambient: Ambient,
    read: fn(&SecretString, Option<&SecretString>) -> Result<T, String>,
    cached: Arc<Cached<Arc<T>>>,
}

impl<T> Clone for Rotating<T> {
    fn clone(&self) -> Self {
        let (client, id, ambient) = (self.client.clone(), Arc::clone(&self.id), self.ambient.clone());
        Self { client, id, ambient, read: self.read, cached: Arc::clone(&self.cached) }
    }
}

impl<T> Rotating<T> {
    /// `name` is that of the cache in the metrics. `read` builds the value from the current and the previous version. Its
    /// error must not contain the secret.
    pub fn new(
        client: Client,
        id: &str,
        name: &'static str,
        ambient: &Ambient,
        read: fn(&SecretString, Option<&SecretString>) -> Result<T, String>,
    ) -> Self {
        let cached = Cached::new(name, Lifetimes { lifetime: |_| LIFETIME, between_refetches: MIN_REFETCH_INTERVAL });
        Self { client, id: id.into(), ambient: ambient.clone(), read, cached: Arc::new(cached) }
    }

    /// The value, at most 15 minutes old.
    pub async fn get(&self) -> Result<Arc<T>, SecretError> {
        self.cached.get(&self.ambient, self.fetch()).await
    }

    /// The value, fetched again because `known` cannot open some data. The secret is fetched at most once a minute for
    /// this reason; until then the cached value is returned.
    pub async fn newer_than(&self, known: &Arc<T>) -> Result<Arc<T>, SecretError> {
        self.cached.get_suitable(&self.ambient, |cached| !Arc::ptr_eq(cached, known), self.fetch()).await
    }

    async fn fetch(&self) -> Result<Arc<T>, SecretError> {
        let value = async {
            let (current, previous) = fetch_versions(&self.client, &self.id).await?;
            Ok(Arc::new(self.read_versions(&current, previous.as_ref())?))
        };
        value.await.inspect_err(|_| metrics::secret_error())
    }

    /// Builds the value from both versions, or from the current one alone if the previous one is unusable.
    fn read_versions(&self, current: &SecretVersion, previous: Option<&SecretVersion>) -> Result<T, SecretError> {
        let current = current.text()?;
        let read = |previous| (self.read)(current, previous).map_err(SecretError::Unusable);
        let Some(previous) = previous else { return read(None) };
        previous.text().and_then(|previous| read(Some(previous))).or_else(|error| {
            let made = read(None)?;
            tracing::warn!(secret_id = %self.id, error = %error, "read secret: ignoring the unusable previous version");
            Ok(made)
        })
    }
}

/// The keys that are derived from the secret of `SERVICE_SECRET_ID`.
pub fn service_keys(
    client: Client,
    environment: &Environment,
    ambient: &Ambient,
) -> Result<Rotating<Keyring>, ConfigError> {
    let id = environment.required("SERVICE_SECRET_ID")?;
    let read = |current: &SecretString, previous: Option<&SecretString>| {
        Keyring::new(current, previous).map_err(|error| error.to_string())
    };
    Ok(Rotating::new(client, id, "service_secret", ambient, read))
}

/// The contracts' keys. Cheap to clone; clones share the cache.
#[derive(Debug, Clone)]
pub struct Contracts {
    client: Client,
    prefix: Arc<str>,
    ambient: Ambient,
    cached: Arc<Mutex<HashMap<ContractId, Arc<Cached<Fetched>>>>>,
}

/// A contract, or why its secret cannot be used.
type Fetched = Result<Arc<Contract>, SecretError>;

/// The content of a contract's secret.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContractSecret {
    application_id: String,
    contract_id: ContractId,
    private_key: SecretString,
}

impl Contracts {
    /// Reads `CONTRACT_SECRET_PREFIX`, which must end in a slash.
    pub fn from_environment(client: Client, environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let prefix = environment.required("CONTRACT_SECRET_PREFIX")?;
        if !prefix.ends_with('/') {
            return Err(ConfigError::new("CONTRACT_SECRET_PREFIX", "must end in /"));
        }
        Ok(Self { client, prefix: prefix.into(), ambient: ambient.clone(), cached: Arc::default() })
    }

    /// A contract with its key. [`SecretError::Unknown`] and [`SecretError::Unusable`] are cached for a minute.
    pub async fn contract(&self, id: &ContractId) -> Result<Arc<Contract>, SecretError> {
        self.cached(id).await.get(&self.ambient, self.fetch(id)).await?
    }

    /// The contract, fetched again because digi.me refused the cached one. `None` if it cannot be read or was already
    /// fetched for this reason within the last minute.
    pub async fn replacement(&self, refused: &Arc<Contract>) -> Option<Arc<Contract>> {
        let suits = |cached: &Fetched| cached.as_ref().is_ok_and(|cached| !Arc::ptr_eq(cached, refused));
        let cached = self.cached(refused.id()).await;
        let contract = cached.get_suitable(&self.ambient, suits, self.fetch(refused.id())).await.ok()?.ok()?;
        (!Arc::ptr_eq(&contract, refused)).then_some(contract)
    }

    /// The cached contracts, if there are at most three. The next call is probably for one of them. Empty if there are
    /// more.
    pub async fn recent(&self) -> Vec<ContractId> {
        let cached = self.cached.lock().await;
        if cached.len() <= MAX_RECENT { cached.keys().cloned().collect() } else { Vec::new() }
    }

    async fn cached(&self, id: &ContractId) -> Arc<Cached<Fetched>> {
        let lifetimes = || Lifetimes {
            lifetime: |fetched: &Fetched| if fetched.is_ok() { LIFETIME } else { MIN_REFETCH_INTERVAL },
            between_refetches: MIN_REFETCH_INTERVAL,
        };
        let mut cached = self.cached.lock().await;
        if cached.len() >= MAX_CONTRACTS && !cached.contains_key(id) {
            cached.clear();
        }
        Arc::clone(cached.entry(id.clone()).or_insert_with(|| Arc::new(Cached::new("contract", lifetimes()))))
    }

    /// Fetches a contract. The outer error is not cached.
    async fn fetch(&self, id: &ContractId) -> Result<Fetched, SecretError> {
        let fetched = match fetch(&self.client, &format!("{}{id}", self.prefix), CURRENT).await {
            Ok(version) => Ok(read_contract(id, &version)),
            Err(error @ SecretError::Unavailable(_)) => Err(error),
            Err(error) => Ok(Err(error)),
        };
        // An application may name a contract that does not exist.
        if !matches!(fetched, Ok(Ok(_) | Err(SecretError::Unknown))) {
            metrics::secret_error();
        }
        fetched
    }
}

fn read_contract(id: &ContractId, version: &SecretVersion) -> Fetched {
    let unusable = |why: &dyn ToString| SecretError::Unusable(why.to_string());
    // The parser's message could contain the secret.
    let secret: ContractSecret = serde_json::from_str(version.text()?.expose_secret())
        .map_err(|_| unusable(&"it is not {\"applicationId\", \"contractId\", \"privateKey\"}"))?;
    if secret.contract_id != *id {
        return Err(unusable(&"it is of another contract"));
    }
    let contract = Contract::new(&secret.application_id, secret.contract_id, &secret.private_key);
    contract.map(Arc::new).map_err(|error| unusable(&error))
}
