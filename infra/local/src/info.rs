//! What an application and an SDK need in order to use this local system.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    contracts::{ContractInfo, Contracts},
    names,
};

/// The addresses, names and keys of a running local system, as `GET /_local/info` answers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    pub version: &'static str,
    /// The base URL of the service's HTTP API. The console is at its root.
    pub api_url: String,
    /// The service's callback, which is the redirect URI of each contract.
    pub callback_url: String,
    /// The base URL of digi.me's API: `baseUrl` of the SDKs.
    pub digime_base_url: String,
    /// The base URL of digi.me's pages: `onboardUrl` of the SDKs.
    pub digime_onboard_url: String,
    /// The base URL of the simulator's control API.
    pub digime_control_url: String,
    /// The endpoint of the stand-ins for DynamoDB, Secrets Manager, SQS and SNS.
    pub aws_url: String,
    pub demo_user_id: &'static str,
    pub contracts: Vec<ContractInfo>,
    /// `null` if no webhook is configured.
    pub webhook: Option<Webhook>,
    /// The origins that a return URL may have.
    pub return_origins: Vec<String>,
    /// Where browsers return to when the application names no return URL. `null`: to a page of the service.
    pub default_return_url: Option<String>,
    pub credentials: Credentials,
    /// Whether requests of the application must be signed with the credentials.
    pub signatures_verified: bool,
    /// `null` if all data is in memory.
    pub data_directory: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub url: String,
    /// The key `whsec_…` that verifies the `v1` signatures of the posts.
    pub secret: String,
    /// The key `whpk_…` that verifies their `v1a` signatures. `None` if they have none.
    pub public_key: Option<String>,
}

/// The credentials of the application, for AWS Signature Version 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub region: &'static str,
    /// The name of the service in the signature.
    pub service: &'static str,
}

impl Credentials {
    pub(crate) fn new(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            region: names::REGION,
            service: names::API_SERVICE,
        }
    }
}

/// Reads the current [`Info`]: contracts can be added while the system runs. Cheap to clone.
#[derive(Clone)]
pub struct InfoReader {
    fixed: Box<Info>,
    contracts: Contracts,
}

impl InfoReader {
    /// `fixed` is the information without the contracts.
    pub(crate) fn new(fixed: Info, contracts: Contracts) -> Self {
        Self { fixed: Box::new(fixed), contracts }
    }

    #[must_use]
    pub fn read(&self) -> Info {
        Info { contracts: self.contracts.list(), ..(*self.fixed).clone() }
    }
}
