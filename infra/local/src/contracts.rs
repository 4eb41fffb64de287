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
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    DEMO_CONTRACT,
    aws::Secrets,
    json::{self, JsonError, Object},
    names,
};

/// A contract as its owner gives it: the contract's secret, and where digi.me may redirect browsers to. `Debug` does
/// not print the key, and it is not read with serde, whose errors contain what they refuse.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewContract {
    pub application_id: String,
    pub contract_id: String,
    /// The private key in PEM, PKCS#1 or PKCS#8.
    pub private_key: String,
    /// The redirect URIs besides the service's callback, which every contract has.
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
        Self::from_json(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads a contract from JSON. No error contains any part of it.
    pub(crate) fn from_json(text: &[u8]) -> Result<Self, ContractError> {
        Self::from_value(json::parse(text)?)
    }

    fn from_value(value: Value) -> Result<Self, ContractError> {
        let mut fields = Object::of(value, &["applicationId", "contractId", "privateKey", "redirectUris"])?;
        let contract = Self {
            application_id: fields.text("applicationId")?,
            contract_id: fields.text("contractId")?,
            private_key: fields.text("privateKey")?,
            redirect_uris: fields.texts("redirectUris")?,
        };
        // Errors that name the contract by its id follow.
        contract.id()?;
        Ok(contract)
    }

    fn id(&self) -> Result<ContractId, ContractError> {
        self.contract_id.parse().map_err(|error| ContractError::Id(format!("{error}")))
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

/// Why a contract was not registered or removed. No message contains a value: each can be a key in a wrong place.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error("contractId {0}")]
    Id(String),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("applicationId must be 1 to 128 visible ASCII characters")]
    Application,
    #[error("redirectUris: URI {0} is not an http or https URL")]
    RedirectUri(usize),
    #[error("privateKey: {0}")]
    Key(#[from] KeyError),
    #[error("privateKey: {0}")]
    SigningKey(#[from] digime::KeyError),
    #[error("{DEMO_CONTRACT} is the demo contract, which can be neither replaced nor removed")]
    Demo,
    #[error("no such contract")]
    Unknown,
    #[error("{path} cannot be read: {reason}")]
    Read { path: PathBuf, reason: String },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
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
    /// The contract as the file keeps it. `None` for the demo contract, and for a contract that only an option gives.
    kept: Option<NewContract>,
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
        self.store(contract, None).map(drop)
    }

    /// Registers the contracts that a file of an earlier run holds.
    pub(crate) fn register_kept(&self) -> Result<(), ContractError> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let unreadable = |reason: String| ContractError::Read { path: file.clone(), reason };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let kept = match json::parse(&text) {
            Ok(Value::Array(kept)) => kept,
            Ok(_) => return Err(unreadable(JsonError::Document("array").to_string())),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        for (contract, number) in kept.into_iter().zip(1..) {
            let registered = NewContract::from_value(contract).and_then(|contract| self.register_one_kept(contract));
            registered.map_err(|error| unreadable(format!("contract {number}: {error}")))?;
        }
        Ok(())
    }

    fn register_one_kept(&self, contract: NewContract) -> Result<(), ContractError> {
        // An earlier version allowed to replace the demo contract.
        if contract.contract_id == DEMO_CONTRACT {
            tracing::warn!(contract_id = contract.contract_id, "contracts: ignored a replacement of the demo contract");
            return Ok(());
        }
        self.store(contract.clone(), Some(contract)).map(drop)
    }

    /// Registers a contract that an option gives. It is not kept: it is there as long as the option.
    pub(crate) fn register_given(&self, contract: NewContract) -> Result<(), ContractError> {
        refuse_demo(&contract.contract_id)?;
        let kept = self.registered().get(&contract.contract_id).and_then(|one| one.kept.clone());
        self.store(contract, kept).map(drop)
    }

    /// Registers a contract of the developer, or replaces the one with the same id, and keeps it.
    pub fn register(&self, contract: NewContract) -> Result<ContractInfo, ContractError> {
        refuse_demo(&contract.contract_id)?;
        let info = self.store(contract.clone(), Some(contract))?;
        self.write_file()?;
        Ok(info)
    }

    /// Removes a contract with its secret, its key file and its registration with the simulator.
    pub fn remove(&self, contract_id: &str) -> Result<(), ContractError> {
        refuse_demo(contract_id)?;
        let removed = self.registered().remove(contract_id).ok_or(ContractError::Unknown)?;
        self.withdraw(&removed.info)?;
        self.write_file()
    }

    /// Removes what a data directory has of the contracts that only options give.
    pub(crate) fn remove_given(&self) {
        let registered = self.registered();
        let given = registered.values().filter(|one| one.kept.is_none() && one.info.contract_id != DEMO_CONTRACT);
        for Registered { info, .. } in given {
            if let Err(error) = self.withdraw(info) {
                tracing::warn!(contract_id = info.contract_id, %error, "contracts: could not remove a contract");
            }
        }
    }

    fn withdraw(&self, info: &ContractInfo) -> Result<(), ContractError> {
        self.0.secrets.remove(&secret_id(&info.contract_id));
        self.0.control.remove_contract(&info.contract_id);
        match fs::remove_file(&info.private_key_file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ContractError::Write { path: info.private_key_file.clone(), source })
            }
            _ => Ok(()),
        }
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

    fn store(&self, contract: NewContract, kept: Option<NewContract>) -> Result<ContractInfo, ContractError> {
        let inner = &*self.0;
        let id = contract.id()?;
        let application_id = &contract.application_id;
        if !(1..=128).contains(&application_id.len()) || !application_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ContractError::Application);
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
        write(&info.private_key_file, keys.private_key_pkcs1_pem()?.as_bytes())?;
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
        inner.secrets.put(&secret_id(&info.contract_id), &secret.to_string());
        let registered = Registered { info: info.clone(), kept, client };
        self.registered().insert(info.contract_id.clone(), registered);
        Ok(info)
    }

    fn write_file(&self) -> Result<(), ContractError> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let registered = self.registered();
        let kept: Vec<&NewContract> = registered.values().filter_map(|one| one.kept.as_ref()).collect();
        write(file, format!("{:#}", json!(kept)).as_bytes())
    }

    fn registered(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.0.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_demo(contract_id: &str) -> Result<(), ContractError> {
    if contract_id == DEMO_CONTRACT { Err(ContractError::Demo) } else { Ok(()) }
}

fn secret_id(contract_id: &str) -> String {
    format!("{}{contract_id}", names::CONTRACT_SECRET_PREFIX)
}

fn write(path: &Path, content: &[u8]) -> Result<(), ContractError> {
    write_private_file(path, content).map_err(|source| ContractError::Write { path: path.to_owned(), source })
}

/// The service's callback, and the contract's own redirect URIs.
fn redirect_uris(callback_url: &str, own: &[String]) -> Result<Vec<String>, ContractError> {
    let is_url = |text: &String| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if let Some(wrong) = own.iter().position(|text| !is_url(text)) {
        return Err(ContractError::RedirectUri(wrong + 1));
    }
    let others = own.iter().filter(|uri| *uri != callback_url).cloned();
    Ok(std::iter::once(callback_url.to_owned()).chain(others).collect())
}

/// Contracts that are refused.
#[cfg(test)]
pub(crate) mod testing {
    use serde_json::json;

    /// What must not be in an error.
    pub(crate) const SECRET: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEsecret\n-----END RSA PRIVATE KEY-----\n";

    /// Documents with [`SECRET`] where no contract has it.
    pub(crate) fn with_secret_in_each_place() -> Vec<String> {
        let mut documents = vec![json!(SECRET), json!([SECRET]), json!({ SECRET: 1 }), json!({ "contractId": SECRET })];
        let good = json!({"applicationId": "a", "contractId": "mine", "privateKey": "k", "redirectUris": []});
        for field in ["applicationId", "contractId", "privateKey", "redirectUris", SECRET] {
            for value in [json!(SECRET), json!([SECRET]), json!({ SECRET: SECRET })] {
                let mut document = good.clone();
                document[field] = value;
                documents.push(document);
            }
        }
        let mut documents: Vec<_> = documents.iter().map(ToString::to_string).collect();
        documents.push(SECRET.to_owned());
        documents.push(format!("{{\"privateKey\": {SECRET:?} {SECRET}}}"));
        documents
    }
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
    async fn no_error_of_a_file_contains_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let (_simulator, _, contracts) = contracts(directory.path()).await;
        let (one, kept) = (directory.path().join("mine.json"), directory.path().join("contracts.json"));
        for document in testing::with_secret_in_each_place() {
            fs::write(&one, &document).unwrap();
            fs::write(&kept, format!("[{document}]")).unwrap();
            let of_file = NewContract::read(&one).map(|contract| contracts.register(contract).unwrap_err().to_string());
            let (Ok(of_file) | Err(of_file)) = of_file;
            fs::write(&kept, format!("[{document}]")).unwrap();
            for error in [of_file, contracts.register_kept().unwrap_err().to_string()] {
                assert!(!error.contains("MIIE"), "{error}");
            }
        }
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
