//! The contracts between applications and the simulated digi.me: the demo contract, and the developer's own.
//!
//! A contract is registered with the simulator, its secret is put in the Secrets Manager stand-in, and its private key
//! is written to a file for the application's SDK.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use digime::ContractId;
use digime_simulator::{Contract, ContractKeys, Control, KeyError, write_private_file};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use crate::{aws::Secrets, names};

/// A contract as its owner gives it: the contract's secret, and where digi.me may redirect browsers to. `Debug` does
/// not print the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewContract {
    pub application_id: String,
    pub contract_id: String,
    /// The private key in PEM, PKCS#1 or PKCS#8.
    pub private_key: String,
    /// The redirect URIs besides the service's callback, which every contract has.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
}

impl std::fmt::Debug for NewContract {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewContract").field("contract_id", &self.contract_id).finish_non_exhaustive()
    }
}

impl NewContract {
    /// Reads a contract from a JSON file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        // The parser's error names a field, a line and a column, and no value.
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// A registered contract, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContractInfo {
    pub application_id: String,
    pub contract_id: String,
    /// The file with the private key: PEM, PKCS#1.
    pub private_key_file: PathBuf,
    pub redirect_uris: Vec<String>,
}

/// Why a contract was not registered. No message contains the key.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error("contractId {0}")]
    Id(String),
    #[error("applicationId must not be empty")]
    NoApplication,
    #[error("redirectUris: {0} is not an http or https URL")]
    RedirectUri(String),
    #[error("privateKey: {0}")]
    Key(#[from] KeyError),
    #[error("privateKey: {0}")]
    SigningKey(#[from] digime::KeyError),
    #[error("the contract could not be written: {0}")]
    File(#[from] io::Error),
}

/// The registered contracts. Cheap to clone.
#[derive(Clone)]
pub struct Contracts(Arc<Inner>);

struct Inner {
    control: Control,
    secrets: Secrets,
    callback_url: String,
    key_directory: PathBuf,
    /// The file that keeps the developer's own contracts over a restart. `None` if nothing is kept.
    file: Option<PathBuf>,
    registered: Mutex<BTreeMap<String, Registered>>,
}

struct Registered {
    info: ContractInfo,
    /// The contract as it is kept in the file. `None` for the demo contract.
    own: Option<NewContract>,
    client: Arc<digime::Contract>,
}

impl Contracts {
    pub(crate) fn new(
        control: Control,
        secrets: Secrets,
        callback_url: String,
        key_directory: PathBuf,
        file: Option<PathBuf>,
    ) -> Self {
        let registered = Mutex::default();
        Self(Arc::new(Inner { control, secrets, callback_url, key_directory, file, registered }))
    }

    /// Registers the demo contract.
    pub(crate) fn register_demo(&self, contract: NewContract) -> Result<(), ContractError> {
        self.store(contract, false).map(drop)
    }

    /// Registers the contracts that a file of an earlier run holds.
    pub(crate) fn register_kept(&self) -> Result<(), ContractError> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let kept: Vec<NewContract> = serde_json::from_slice(&text).map_err(io::Error::other)?;
        for contract in kept {
            self.store(contract, true)?;
        }
        Ok(())
    }

    /// Registers a contract of the developer, or replaces the one with the same id.
    pub fn register(&self, contract: NewContract) -> Result<ContractInfo, ContractError> {
        let info = self.store(contract, true)?;
        self.write_file()?;
        Ok(info)
    }

    /// All contracts, by id.
    #[must_use]
    pub fn list(&self) -> Vec<ContractInfo> {
        self.registered().values().map(|one| one.info.clone()).collect()
    }

    /// The contract for calls of digi.me.
    pub(crate) fn client(&self, contract_id: &str) -> Option<Arc<digime::Contract>> {
        self.registered().get(contract_id).map(|one| Arc::clone(&one.client))
    }

    fn store(&self, contract: NewContract, own: bool) -> Result<ContractInfo, ContractError> {
        let inner = &*self.0;
        let id: ContractId = contract.contract_id.parse().map_err(|error| ContractError::Id(format!("{error}")))?;
        if contract.application_id.is_empty() {
            return Err(ContractError::NoApplication);
        }
        let keys = ContractKeys::of_private_key(&contract.private_key)?;
        let key = contract.private_key.clone().into();
        let client = Arc::new(digime::Contract::new(&contract.application_id, id, &key)?);
        let info = ContractInfo {
            application_id: contract.application_id.clone(),
            contract_id: contract.contract_id.clone(),
            private_key_file: inner.key_directory.join(format!("{}.pem", contract.contract_id)),
            redirect_uris: redirect_uris(&inner.callback_url, &contract.redirect_uris)?,
        };
        write_private_file(&info.private_key_file, keys.private_key_pkcs1_pem()?.as_bytes())?;
        inner.control.register_contract(Contract {
            contract_id: info.contract_id.clone(),
            application_id: info.application_id.clone(),
            public_key_pem: keys.public_key_pem,
            redirect_uris: info.redirect_uris.clone(),
        })?;
        let secret = json!({
            "applicationId": contract.application_id,
            "contractId": contract.contract_id,
            "privateKey": contract.private_key,
        });
        inner.secrets.put(&format!("{}{}", names::CONTRACT_SECRET_PREFIX, info.contract_id), &secret.to_string());
        let registered = Registered { info: info.clone(), own: own.then_some(contract), client };
        self.registered().insert(info.contract_id.clone(), registered);
        Ok(info)
    }

    fn write_file(&self) -> io::Result<()> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let registered = self.registered();
        let own: Vec<&NewContract> = registered.values().filter_map(|one| one.own.as_ref()).collect();
        write_private_file(file, &serde_json::to_vec_pretty(&own).map_err(io::Error::other)?)
    }

    fn registered(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.0.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service's callback, and the contract's own redirect URIs.
fn redirect_uris(callback_url: &str, own: &[String]) -> Result<Vec<String>, ContractError> {
    let is_url = |text: &&String| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if let Some(wrong) = own.iter().find(|text| !is_url(text)) {
        return Err(ContractError::RedirectUri(wrong.clone()));
    }
    let others = own.iter().filter(|uri| *uri != callback_url).cloned();
    Ok(std::iter::once(callback_url.to_owned()).chain(others).collect())
}

#[cfg(test)]
mod tests {
    use digime_simulator::Simulator;

    use super::*;

    const CALLBACK: &str = "http://127.0.0.1:9000/callback";

    async fn contracts(directory: &Path) -> (Simulator, Secrets, Contracts) {
        let (simulator, secrets) = (Simulator::builder().start().await.unwrap(), Secrets::default());
        let file = Some(directory.join("contracts.json"));
        let contracts =
            Contracts::new(simulator.control(), secrets.clone(), CALLBACK.to_owned(), directory.to_owned(), file);
        contracts.register_kept().unwrap();
        (simulator, secrets, contracts)
    }

    fn mine(keys: &ContractKeys) -> NewContract {
        NewContract {
            application_id: "my-app".to_owned(),
            contract_id: "my-contract".to_owned(),
            private_key: keys.private_key_pkcs1_pem().unwrap(),
            redirect_uris: vec!["http://127.0.0.1:3000/authorized".to_owned()],
        }
    }

    #[tokio::test]
    async fn a_contract_is_known_to_digime_and_to_the_service_and_is_kept_over_a_restart() {
        let (directory, keys) = (tempfile::tempdir().unwrap(), ContractKeys::generate().unwrap());
        let (_simulator, _, first) = contracts(directory.path()).await;
        let info = first.register(mine(&keys)).unwrap();

        let (simulator, secrets, again) = contracts(directory.path()).await;
        assert_eq!(again.list(), std::slice::from_ref(&info));
        assert_eq!(info.redirect_uris, [CALLBACK, "http://127.0.0.1:3000/authorized"]);
        let secret = secrets.get("digime-reauth/contracts/my-contract").unwrap();
        let secret: serde_json::Value = serde_json::from_str(&secret).unwrap();
        assert_eq!((&secret["applicationId"], &secret["contractId"]), (&json!("my-app"), &json!("my-contract")));
        let state = simulator.control().call(digime_simulator::ControlCall::State).unwrap();
        assert_eq!(state["contracts"][0]["publicKeyPem"], json!(keys.public_key_pem));
        assert!(again.client("my-contract").is_some());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_read_the_key_file_and_it_is_pkcs1() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let (_simulator, _, contracts) = contracts(directory.path()).await;
        let keys = ContractKeys::generate().unwrap();
        let as_pkcs8 = NewContract { private_key: keys.private_key_pem.clone(), ..mine(&keys) };
        let info = contracts.register(as_pkcs8).unwrap();
        for file in [info.private_key_file.clone(), directory.path().join("contracts.json")] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_to_string(info.private_key_file).unwrap(), keys.private_key_pkcs1_pem().unwrap());
    }

    #[tokio::test]
    async fn a_wrong_contract_is_refused_by_its_field_and_without_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let (_simulator, _, contracts) = contracts(directory.path()).await;
        let good = mine(&ContractKeys::generate().unwrap());
        let wrong = [
            (NewContract { contract_id: "../x".to_owned(), ..good.clone() }, "contractId"),
            (NewContract { contract_id: "..".to_owned(), ..good.clone() }, "contractId"),
            (NewContract { application_id: String::new(), ..good.clone() }, "applicationId"),
            (NewContract { private_key: "secret".to_owned(), ..good.clone() }, "privateKey"),
            (NewContract { redirect_uris: vec!["javascript:1".to_owned()], ..good }, "redirectUris"),
        ];
        for (contract, field) in wrong {
            let error = contracts.register(contract).unwrap_err().to_string();
            assert!(error.starts_with(field) && !error.contains("secret"), "{error}");
        }
        assert_eq!(contracts.list(), []);
    }
}
