//! The file with the secrets of a local system: the demo contract's key pair, the service secret, the secret of the
//! webhook and the application's credentials.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use digime::ambient::Ambient;
use digime_simulator::{ContractKeys, write_private_file};
use serde::{Deserialize, Serialize};

use crate::{ids::random_hex, info::Credentials, json::JsonError};

/// The secrets of a local system. `Debug` prints none of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoSecrets {
    /// The demo contract's private key in PEM.
    pub private_key_pem: String,
    /// The demo contract's public key in PEM.
    pub public_key_pem: String,
    pub service_secret: String,
    /// The key `whsec_…` that signs the posts of the webhook, and that its receiver knows. Empty in a file of an earlier
    /// version.
    #[serde(default)]
    pub webhook_secret: String,
    /// The private key `whsk_…` that signs the posts too. Empty in a file of an earlier version.
    #[serde(default)]
    pub webhook_private_key: String,
    /// The application's credentials. Empty in a file of an earlier version.
    #[serde(default)]
    pub access_key_id: String,
    #[serde(default)]
    pub secret_access_key: String,
}

impl std::fmt::Debug for DemoSecrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DemoSecrets")
    }
}

impl DemoSecrets {
    pub fn generate(ambient: &Ambient) -> io::Result<Self> {
        let keys = ContractKeys::generate().map_err(io::Error::other)?;
        let mut secrets = Self {
            private_key_pem: keys.private_key_pem,
            public_key_pem: keys.public_key_pem,
            service_secret: random_hex::<32>(ambient),
            webhook_secret: String::new(),
            webhook_private_key: String::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
        };
        secrets.complete(ambient);
        Ok(secrets)
    }

    /// The application's credentials for AWS Signature Version 4.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials::new(&self.access_key_id, &self.secret_access_key)
    }

    /// The content of the webhook's secret: both of its keys.
    #[must_use]
    pub fn webhook_keys(&self) -> String {
        format!("{} {}", self.webhook_secret, self.webhook_private_key).trim().to_owned()
    }

    /// Generates the secrets that a file of an earlier version does not have. Returns whether there were any.
    fn complete(&mut self, ambient: &Ambient) -> bool {
        let key = || [ambient.bytes::<16>(), ambient.bytes::<16>()].concat();
        let before = self.clone();
        if self.webhook_secret.is_empty() {
            // Standard Webhooks: 24 to 64 bytes.
            self.webhook_secret = format!("whsec_{}", STANDARD.encode(key()));
        }
        if self.webhook_private_key.is_empty() {
            // The seed of an ed25519 key: 32 bytes.
            self.webhook_private_key = format!("whsk_{}", STANDARD.encode(key()));
        }
        if self.access_key_id.is_empty() || self.secret_access_key.is_empty() {
            // The lengths are those of AWS: 20 and 40 characters.
            self.access_key_id = format!("AKIA{}", random_hex::<8>(ambient).to_uppercase());
            self.secret_access_key = random_hex::<20>(ambient);
        }
        *self != before
    }

    /// Reads the secrets from the file. What the file does not have is generated and written to it. Only its owner can
    /// read the file.
    pub(crate) fn load_or_generate(path: &Path, ambient: &Ambient) -> io::Result<Self> {
        let (secrets, changed) = match fs::read(path) {
            Ok(bytes) => {
                let mut secrets: Self = serde_json::from_slice(&bytes)
                    .map_err(|error| io::Error::other(format!("secrets.json: {}", JsonError::from(&error))))?;
                let changed = secrets.complete(ambient);
                (secrets, changed)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Self::generate(ambient)?, true),
            Err(error) => return Err(error),
        };
        if changed {
            write_private_file(path, &serde_json::to_vec_pretty(&secrets).map_err(io::Error::other)?)?;
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_broken_file_contains_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.json");
        fs::write(&path, r#"{"privateKeyPem": "private", "publicKeyPem": "public", "serviceSecret": ["MIIE"]}"#)
            .unwrap();
        let ambient = Ambient::system();
        let of_field = DemoSecrets::load_or_generate(&path, &ambient).unwrap_err().to_string();
        fs::write(&path, "\"MIIE\"").unwrap();
        let of_document = DemoSecrets::load_or_generate(&path, &ambient).unwrap_err().to_string();
        for error in [of_field, of_document] {
            assert!(error.starts_with("secrets.json: ") && !error.contains("MIIE"), "{error}");
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_completed_once_and_keeps_its_secrets() {
        let (directory, ambient) = (tempfile::tempdir().unwrap(), Ambient::system());
        let path = directory.path().join("secrets.json");
        let old = r#"{"privateKeyPem": "private", "publicKeyPem": "public", "serviceSecret": "service"}"#;
        fs::write(&path, old).unwrap();
        let first = DemoSecrets::load_or_generate(&path, &ambient).unwrap();
        assert_eq!((first.private_key_pem.as_str(), first.service_secret.as_str()), ("private", "service"));
        assert!(first.webhook_secret.starts_with("whsec_") && first.webhook_private_key.starts_with("whsk_"));
        let credentials = first.credentials();
        assert_eq!((credentials.access_key_id.len(), credentials.secret_access_key.len()), (20, 40));
        assert!(first == DemoSecrets::load_or_generate(&path, &ambient).unwrap());
        // A version that signed posts with one key.
        let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        file.as_object_mut().unwrap().remove("webhookPrivateKey").unwrap();
        fs::write(&path, file.to_string()).unwrap();
        let completed = DemoSecrets::load_or_generate(&path, &ambient).unwrap();
        assert_eq!(completed.webhook_secret, first.webhook_secret);
        assert!(completed.webhook_private_key.starts_with("whsk_"));
        assert!(completed == DemoSecrets::load_or_generate(&path, &ambient).unwrap());
    }
}
