//! How a [`World`] is set up before it starts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use digime::ambient::Ambient;
use local::{DEMO_SENDER, DemoSecrets, Functions, Options, QueueSettings, System, in_process, names};

use crate::{
    World,
    ambient::ManualClock,
    binaries::{self, Processes},
    crash::Crashes,
    webhook::{Receiver, WEBHOOK_SECRET},
};

/// The settings of a [`World`]. Without any, the functions run in the test's process, with a clock that only the test
/// moves and without a webhook.
#[derive(Debug)]
pub struct WorldBuilder {
    settings: BTreeMap<String, String>,
    rust_log: String,
    webhook: bool,
    own_logo: bool,
    binaries: bool,
    crashes: bool,
    leftovers_expected: bool,
    functions_ahead_by: i64,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            rust_log: "info".to_owned(),
            webhook: false,
            own_logo: false,
            binaries: false,
            crashes: false,
            leftovers_expected: false,
            functions_ahead_by: 0,
        }
    }
}

impl WorldBuilder {
    /// Sets an environment variable of the functions.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Subscribes a webhook to the topic: [`World::webhook`].
    #[must_use]
    pub fn webhook(mut self) -> Self {
        self.webhook = true;
        self
    }

    /// Lets the service write mails to users: `world.system.mails`.
    #[must_use]
    pub fn mails(self) -> Self {
        self.setting("EMAIL_FROM", DEMO_SENDER)
    }

    /// Gives the application a logo. The first sweep asks for it, the next one fetches it.
    #[must_use]
    pub fn own_logo(mut self) -> Self {
        self.own_logo = true;
        self
    }

    /// Runs the functions' real binaries, each as a process under the Lambda Runtime API. They use the machine's clock.
    #[must_use]
    pub fn binaries(mut self) -> Self {
        self.binaries = true;
        self
    }

    /// Lets the binaries log everything that they can log.
    #[must_use]
    pub fn trace_logs(mut self) -> Self {
        self.rust_log = "trace".to_owned();
        self
    }

    /// Lets the test kill a function at any request that it sends: `world.crashes`.
    #[must_use]
    pub fn crashes(mut self) -> Self {
        self.crashes = true;
        self
    }

    /// Sets the functions' clock ahead of everybody else's, or behind if the number of minutes is negative. It stands
    /// still.
    #[must_use]
    pub fn functions_ahead_by(mut self, minutes: i64) -> Self {
        self.functions_ahead_by = minutes;
        self
    }

    /// Accepts messages that are left on a queue, or in a dead-letter queue, at the end of the test.
    #[must_use]
    pub fn expect_leftovers(mut self) -> Self {
        self.leftovers_expected = true;
        self
    }

    /// Starts the system, with the demo user and a grant of that user.
    pub async fn start(mut self) -> World {
        let webhook = if self.webhook { Some(Receiver::start().await) } else { None };
        if let Some(receiver) = &webhook {
            self = self.setting("WEBHOOK_URL", &receiver.url).setting("WEBHOOK_SECRET_ID", names::WEBHOOK_SECRET);
        }
        let (clock, crashes) = (ManualClock::default(), Crashes::default());
        let (system, processes) = if self.binaries {
            self.start_binaries().await
        } else {
            (self.start_in_process(&clock, &crashes).await, Processes::new())
        };
        if self.crashes {
            crashes.kill_these(&processes);
            crashes.watch(&system);
        }
        system.add_demo_user().await.expect("the demo user has a grant");
        World {
            system,
            clock,
            crashes,
            webhook,
            leftovers_expected: self.leftovers_expected,
            processes,
            cookie: Mutex::default(),
        }
    }

    async fn start_in_process(&self, clock: &ManualClock, crashes: &Crashes) -> System {
        let ambient = match self.functions_ahead_by {
            0 => clock.ambient(),
            minutes => clock.ahead(minutes).ambient(),
        };
        let options = self.options(clock.stand_ins(), ambient.clone());
        let system = System::start(options, |endpoints| async move {
            if self.crashes { crashes.functions(&endpoints, &ambient) } else { in_process(&endpoints, &ambient) }
        });
        system.await.expect("the system starts")
    }

    async fn start_binaries(&self) -> (System, Processes) {
        let options = self.options(Ambient::system(), Ambient::system());
        let mut processes = Processes::new();
        let started = &mut processes;
        let system = System::start(options, |endpoints| async move {
            *started = binaries::start(&endpoints).await?;
            Ok::<Functions, String>(binaries::functions(started))
        });
        let system = system.await.expect("the system starts");
        (system, processes)
    }

    fn options(&self, stand_ins: Ambient, ambient: Ambient) -> Options {
        let (rust_log, settings) = (self.rust_log.clone(), self.settings.clone());
        let mut options = options(stand_ins, ambient);
        if self.own_logo {
            options.settings.remove("APPLICATION_LOGO_URL");
        }
        let settings = options.settings.into_iter().chain(settings).collect();
        Options { rust_log, settings, ..options }
    }
}

/// A system on free ports, in memory. Its stream, queues and schedule run only when the caller runs them.
#[must_use]
pub fn options(stand_ins: Ambient, ambient: Ambient) -> Options {
    Options {
        secrets: Some(secrets()),
        // Else the first sweep asks for the application's logo.
        settings: BTreeMap::from([("APPLICATION_LOGO_URL".to_owned(), String::new())]),
        queues: QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() },
        background: false,
        ..Options::new(stand_ins, ambient)
    }
}

/// The secrets of all worlds of a run: it takes time to generate a key pair.
fn secrets() -> DemoSecrets {
    static SECRETS: OnceLock<DemoSecrets> = OnceLock::new();
    let generate = || DemoSecrets::generate(&Ambient::system()).expect("a key pair can be made");
    let new =
        || DemoSecrets { webhook_secret: WEBHOOK_SECRET.to_owned(), webhook_private_key: String::new(), ..generate() };
    SECRETS.get_or_init(new).clone()
}
