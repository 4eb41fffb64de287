//! What a local system is started with.

use std::{collections::BTreeMap, path::PathBuf};

use digime::ambient::Ambient;

use crate::{contracts::NewContract, queues::QueueSettings, secrets_file::DemoSecrets};

#[derive(Clone)]
pub struct Options {
    /// The port of the API and the console. 0 selects a free port.
    pub port: u16,
    /// The simulator's port. 0 selects a free port.
    pub simulator_port: u16,
    /// The data directory. With `None`, all data is in memory.
    pub data_dir: Option<PathBuf>,
    /// The secrets of the system. `None` generates new ones. Not used with a data directory, which has its own.
    pub secrets: Option<DemoSecrets>,
    /// The clock and the randomness of the stand-ins and the simulator.
    pub stand_ins: Ambient,
    /// The clock and the randomness of the demo application.
    pub ambient: Ambient,
    pub queues: QueueSettings,
    /// Whether the stream, the queues and the schedule run in the background. If not, the caller runs them with
    /// [`System::run_until_idle`](crate::System::run_until_idle) and [`System::sweep`](crate::System::sweep).
    pub background: bool,
    /// The functions' `RUST_LOG`.
    pub rust_log: String,
    /// Environment variables of the functions that replace the default values, by name.
    pub settings: BTreeMap<String, String>,
    /// The origins that a return URL may have, besides the local system's own.
    pub return_origins: Vec<String>,
    /// Whether the functions get no `DEFAULT_RETURN_URL`, so that browsers end on the service's result pages.
    pub no_return_url: bool,
    /// The developer's own contracts.
    pub contracts: Vec<NewContract>,
    /// Whether requests of the application must be signed.
    pub verify_signatures: bool,
}

impl Options {
    /// A system on free ports, in memory, that runs by itself.
    #[must_use]
    pub fn new(stand_ins: Ambient, ambient: Ambient) -> Self {
        Self {
            port: 0,
            simulator_port: 0,
            data_dir: None,
            secrets: None,
            stand_ins,
            ambient,
            queues: QueueSettings::default(),
            background: true,
            rust_log: "info".to_owned(),
            settings: BTreeMap::new(),
            return_origins: Vec::new(),
            no_return_url: false,
            contracts: Vec::new(),
            verify_signatures: false,
        }
    }
}
