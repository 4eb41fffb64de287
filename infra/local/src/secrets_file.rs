//! The file with the secrets of a local system: the demo contract's key pair and the service secret.

use std::{fs, io, path::Path};

use digime::ambient::Ambient;
use digime_simulator::{ContractKeys, write_private_file};
use serde::{Deserialize, Serialize};

use crate::ids::random_hex;

/// The secrets of a local system. `Debug` prints none of them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoSecrets {
    /// The demo contract's private key in PEM.
    pub private_key_pem: String,
    /// The demo contract's public key in PEM.
    pub public_key_pem: String,
    pub service_secret: String,
}

impl std::fmt::Debug for DemoSecrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DemoSecrets")
    }
}

impl DemoSecrets {
    pub fn generate(ambient: &Ambient) -> io::Result<Self> {
        let keys = ContractKeys::generate().map_err(io::Error::other)?;
        Ok(Self {
            private_key_pem: keys.private_key_pem,
            public_key_pem: keys.public_key_pem,
            service_secret: random_hex::<32>(ambient),
        })
    }

    /// Reads the secrets from the file. If the file does not exist, generates secrets and writes them to a file that
    /// only its owner can read.
    pub(crate) fn load_or_generate(path: &Path, ambient: &Ambient) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secrets = Self::generate(ambient)?;
                write_private_file(path, &serde_json::to_vec_pretty(&secrets).map_err(io::Error::other)?)?;
                Ok(secrets)
            }
            Err(error) => Err(error),
        }
    }
}
