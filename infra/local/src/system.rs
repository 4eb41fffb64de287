//! The system: starts all parts in order, runs the stream, the queues and the schedule in the background or on request,
//! and stops all parts.

use std::{collections::BTreeMap, fs::File, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use digime::{self, Client, Contract, ambient::Ambient};
use digime_simulator::Simulator;
use dynoxide::Database;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    DEMO_APPLICATION, DEMO_CONTRACT,
    application::Application,
    aws::{Aws, Secrets},
    console::{self, Console},
    database::{self, StreamRecords},
    demo,
    endpoints::Endpoints,
    event_source::EventSource,
    gateway::{self, Gateway},
    invoke::{Functions, InvokeError},
    names::{self, Queue},
    pipe::Pipe,
    queues::{QueueSettings, Queues},
    schedule,
    secrets_file::DemoSecrets,
    server::{self, Server},
    store::Store,
    table::TableDefinition,
    topic::Topic,
};

/// The polling interval of the stream and the queues while they are empty.
const IDLE_PAUSE: Duration = Duration::from_millis(50);
/// The interval of the sweep. On AWS, it runs every minute.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which expired messages and items are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The time limit of an invocation by a queue, as on AWS.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(29);
/// Above the number of rounds that any test needs. A system that is not idle after this many rounds is in an endless
/// loop.
const MAX_ROUNDS: u32 = 100_000;

#[derive(Clone)]
pub struct Options {
    /// The port of the API and the console. 0 selects a free port.
    pub port: u16,
    /// The simulator's port. 0 selects a free port.
    pub simulator_port: u16,
    /// The data directory. `None` keeps all data in memory.
    pub data_dir: Option<PathBuf>,
    /// The contract's key and the service secret. `None` generates new ones. Not used with a data directory, which
    /// keeps its own.
    pub secrets: Option<DemoSecrets>,
    /// The clock and the randomness of the stand-ins and the simulator.
    pub stand_ins: Ambient,
    /// The clock and the randomness of the functions that run in this process.
    pub ambient: Ambient,
    pub queues: QueueSettings,
    /// Whether the stream, the queues and the schedule run in the background. If not, the caller runs them with
    /// [`System::run_until_idle`] and [`System::sweep`].
    pub background: bool,
    /// The functions' `RUST_LOG`.
    pub rust_log: String,
    /// Environment variables of the functions that replace the default values, by name.
    pub settings: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("port {port} is taken: {source}. Choose another with --port.")]
    Port { port: u16, source: io::Error },
    #[error("the data directory {path} cannot be used: {reason}")]
    Data { path: String, reason: String },
    #[error("{part} did not start: {reason}")]
    Part { part: &'static str, reason: String },
}

fn part(part: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StartError {
    move |reason| StartError::Part { part, reason: reason.to_string() }
}

pub struct System {
    pub endpoints: Endpoints,
    pub aws: Aws,
    /// The secrets in the Secrets Manager stand-in.
    pub secrets: Secrets,
    pub database: Database,
    pub queues: Queues,
    /// The topic, with the messages published on it.
    pub topic: Topic,
    pub gateway: Gateway,
    pub application: Application,
    pub functions: Functions,
    /// The digi.me simulator.
    pub simulator: Simulator,
    moving: Arc<Moving>,
    servers: Vec<Server>,
    tasks: Vec<JoinHandle<()>>,
    _lock: Option<File>,
}

/// The parts that run by themselves on AWS.
struct Moving {
    pipe: Pipe,
    sources: [EventSource; 3],
    functions: Functions,
    ambient: Ambient,
}

impl System {
    /// Starts all parts. `make` builds the functions once the addresses of the other parts are known.
    pub async fn start<E, F>(options: Options, make: impl FnOnce(Endpoints) -> F) -> Result<Self, StartError>
    where
        E: std::fmt::Display,
        F: Future<Output = Result<Functions, E>>,
    {
        let (api_listener, simulator_listener) = (listen(options.port).await?, listen(options.simulator_port).await?);
        let aws_listener = listen(0).await?;
        let kept = Kept::open(&options)?;
        let simulator = start_simulator(&options, simulator_listener).await?;

        let queues = Queues::new(Arc::clone(&kept.store), options.stand_ins.clone(), options.queues);
        let queues = queues.map_err(|error| part("the queues")(&error))?;
        let mut topic = Topic::new(Arc::clone(&kept.store), options.stand_ins.clone());
        if options.settings.get("WEBHOOK_URL").is_some_and(|url| !url.is_empty()) {
            topic = topic.subscribe(Queue::Webhooks);
        }
        let secrets = Secrets::default();
        demo::store_secrets(&secrets, &kept.secrets);
        let aws =
            Aws::new(kept.database.clone(), secrets.clone(), queues.clone(), topic.clone(), options.stand_ins.clone());
        let aws_server =
            Server::start(aws_listener, aws.router()).map_err(|error| part("the AWS stand-ins")(&error))?;

        let address = api_listener.local_addr().map_err(|error| part("the API")(&error))?;
        let endpoints = Endpoints {
            public_base_url: format!("http://{address}"),
            aws_url: aws_server.url(),
            digime_base_url: simulator.base_url().to_string(),
            digime_onboard_url: simulator.onboard_url().to_string(),
            rust_log: options.rust_log.clone(),
            overrides: options.settings.clone(),
        };
        demo::register_contract(&simulator.control(), &kept.secrets, &endpoints)
            .map_err(|error| part("the simulator")(&error))?;
        let functions = make(endpoints.clone()).await.map_err(|error| part("a function")(&error))?;

        let gateway = Gateway::new(functions.clone(), options.stand_ins.clone());
        let application = application(&gateway, &simulator, &kept.secrets, &options.ambient)?;
        let source = |queue, function| EventSource::new(queue, queues.clone(), function, INVOCATION_TIMEOUT);
        let moving = Arc::new(Moving {
            pipe: Pipe::new(kept.database.clone(), kept.stream_records, names::TABLE, queues.clone()),
            sources: [
                source(Queue::ReadResults, Arc::clone(&functions.record_read_result)),
                source(Queue::Notifications, Arc::clone(&functions.notify_reauth)),
                source(Queue::Webhooks, Arc::clone(&functions.post_webhook)),
            ],
            functions: functions.clone(),
            ambient: options.stand_ins.clone(),
        });
        let mut system = Self {
            endpoints,
            aws,
            secrets,
            database: kept.database,
            queues,
            topic,
            gateway,
            application,
            functions,
            simulator,
            moving,
            servers: vec![aws_server],
            tasks: Vec::new(),
            _lock: kept.lock,
        };
        system.open(api_listener)?;
        if options.background {
            system.move_by_itself();
        }
        Ok(system)
    }

    /// Starts the server of the API and the console.
    fn open(&mut self, listener: TcpListener) -> Result<(), StartError> {
        let api: Router = Router::new().fallback(gateway::serve).with_state(self.gateway.clone());
        let console = Console::new(
            self.application.clone(),
            self.queues.clone(),
            self.topic.clone(),
            self.simulator.control(),
            self.endpoints.digime_base_url.clone(),
        );
        // The console adds its routes. The gateway answers all other requests, also those for unknown routes.
        let router =
            Router::new().merge(console::router(console)).route("/favicon.ico", get(|| async {})).fallback_service(api);
        self.servers.push(Server::start(listener, router).map_err(|error| part("the API")(&error))?);
        Ok(())
    }

    /// Adds the demo user with accounts and a grant, unless the user exists.
    pub async fn add_demo_user(&self) -> Result<(), StartError> {
        demo::add_user(&self.simulator.control(), &self.application)
            .await
            .map_err(|error| part("the demonstration")(&error))
    }

    fn move_by_itself(&mut self) {
        let moving = Arc::clone(&self.moving);
        self.tasks.push(tokio::spawn(async move {
            loop {
                if let Err(error) = moving.pipe.pump().await {
                    tracing::warn!(%error, "pipe: could not move the stream's records");
                }
                tokio::time::sleep(IDLE_PAUSE).await;
            }
        }));
        for index in 0..self.moving.sources.len() {
            let moving = Arc::clone(&self.moving);
            self.tasks.push(tokio::spawn(async move {
                loop {
                    match moving.sources[index].pump().await {
                        Ok(0) => tokio::time::sleep(IDLE_PAUSE).await,
                        Ok(_) => {}
                        Err(error) => {
                            tracing::warn!(%error, "event-source: could not read or write a queue");
                            tokio::time::sleep(IDLE_PAUSE).await;
                        }
                    }
                }
            }));
        }
        let (queues, database) = (self.queues.clone(), self.database.clone());
        self.tasks.push(tokio::spawn(async move {
            loop {
                if let Err(error) = queues.expire() {
                    tracing::warn!(%error, "queues: could not remove expired messages");
                }
                if let Err(error) = database.sweep_ttl() {
                    tracing::warn!(%error, "database: could not remove expired items");
                }
                tokio::time::sleep(EXPIRY_INTERVAL).await;
            }
        }));
        let moving = Arc::clone(&self.moving);
        self.tasks.push(tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                if let Err(error) = moving.sweep().await {
                    tracing::warn!(%error, "schedule: could not run the sweep");
                }
            }
        }));
    }

    pub async fn sweep(&self) -> Result<serde_json::Value, InvokeError> {
        self.moving.sweep().await
    }

    /// Runs the pipe only: sends the stream's new events to the `Notifications` queue.
    pub async fn move_stream(&self) -> Result<(), StartError> {
        while self.moving.pipe.pump().await.map_err(|error| part("the pipe")(&error))? > 0 {}
        Ok(())
    }

    /// Runs the stream and the queues until the system is idle: the stream has no new record, and no queue has a
    /// visible message.
    pub async fn run_until_idle(&self) -> Result<(), StartError> {
        for _ in 0..MAX_ROUNDS {
            let mut moved = self.moving.pipe.pump().await.map_err(|error| part("the pipe")(&error))?;
            for source in &self.moving.sources {
                moved += source.pump().await.map_err(|error| part("a queue")(&error))?;
            }
            if moved == 0 {
                return Ok(());
            }
        }
        Err(part("the end of all movement")(&"it goes on and on"))
    }

    /// Stops all parts. Requests in progress get a moment to finish.
    pub async fn stop(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        for server in self.servers.drain(..).rev() {
            server.stop().await;
        }
        self.simulator.shutdown().await;
    }
}

impl Moving {
    async fn sweep(&self) -> Result<serde_json::Value, InvokeError> {
        let reply = schedule::run(&*self.functions.sweep_accounts, &self.ambient).await?;
        Ok(serde_json::from_slice(&reply).unwrap_or_default())
    }
}

/// The state that is kept in the data directory, if there is one.
struct Kept {
    store: Arc<Store>,
    database: Database,
    stream_records: StreamRecords,
    secrets: DemoSecrets,
    /// Locked while the system runs: two systems in one directory would overwrite each other's data.
    lock: Option<File>,
}

impl Kept {
    fn open(options: &Options) -> Result<Self, StartError> {
        let (store, (database, stream_records), secrets, lock) = match &options.data_dir {
            None => {
                let database = database::open(None, &options.stand_ins).map_err(|error| part("DynamoDB")(&error))?;
                let store = Store::memory().map_err(|error| part("the queues")(&error))?;
                let secrets = options.secrets.clone().map_or_else(|| DemoSecrets::generate(&options.stand_ins), Ok);
                (store, database, secrets.map_err(|error| part("the secrets")(&error))?, None)
            }
            Some(directory) => {
                let unusable = |reason: String| StartError::Data { path: directory.display().to_string(), reason };
                make_private(directory).map_err(|error| unusable(error.to_string()))?;
                let lock = lock(directory).map_err(|error| unusable(error.to_string()))?;
                let database = database::open(Some(&directory.join("dynamodb.sqlite")), &options.stand_ins);
                let database = database.map_err(|error| unusable(error.to_string()))?;
                let store = Store::open(&directory.join("aws.sqlite")).map_err(|error| unusable(error.to_string()))?;
                let secrets = DemoSecrets::load_or_generate(&directory.join("secrets.json"), &options.stand_ins);
                (store, database, secrets.map_err(|error| unusable(error.to_string()))?, Some(lock))
            }
        };
        let definition = TableDefinition::from_template().map_err(|error| part("the table")(&error))?;
        definition.create(&database, names::TABLE).map_err(|error| part("the table")(&error))?;
        Ok(Self { store: Arc::new(store), database, stream_records, secrets, lock })
    }
}

/// Creates the directory with access for its owner only. An existing directory is not changed, and is refused if others
/// have access to it.
fn make_private(directory: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mode = std::fs::metadata(directory)?.permissions().mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::other("others can look into it; make it private with chmod 700"))
    }
}

fn lock(directory: &std::path::Path) -> io::Result<File> {
    let file = File::create(directory.join("lock"))?;
    file.try_lock().map_err(|_| io::Error::other("another local system is using it"))?;
    Ok(file)
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    server::listen(port).await.map_err(|source| StartError::Port { port, source })
}

async fn start_simulator(options: &Options, listener: TcpListener) -> Result<Simulator, StartError> {
    let listener = listener.into_std().map_err(|error| part("the simulator")(&error))?;
    let mut builder = Simulator::builder().ambient(options.stand_ins.clone()).listener(listener);
    if let Some(directory) = &options.data_dir {
        builder = builder.state_file(directory.join("simulator.json"));
    }
    builder.start().await.map_err(|error| part("the simulator")(&error))
}

fn application(
    gateway: &Gateway,
    simulator: &Simulator,
    secrets: &DemoSecrets,
    ambient: &Ambient,
) -> Result<Application, StartError> {
    let failed = part("the demo application");
    let settings = digime::Settings {
        base_url: simulator.base_url(),
        onboard_url: simulator.onboard_url(),
        timeout: Duration::from_secs(10),
    };
    let id = DEMO_CONTRACT.parse().map_err(|error| failed(&error))?;
    let contract = Contract::new(DEMO_APPLICATION, id, &secrets.private_key_pem.clone().into());
    let contract = Arc::new(contract.map_err(|error| failed(&error))?);
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let client = Client::new(http.map_err(|error| failed(&error))?, settings, ambient);
    Ok(Application::new(gateway.clone(), client, contract, ambient.clone()))
}
