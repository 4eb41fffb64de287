//! The system: starts all components in order, and stops them.

use std::{
    collections::BTreeMap, fs::File, future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration,
};

use axum::{Router, routing::get};
use digime::{self, Client, Contract, ambient::Ambient};
use digime_simulator::Simulator;
use dynoxide::Database;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    DEMO_APPLICATION, DEMO_CONTRACT,
    application::Application,
    aws::{Aws, Secrets},
    background::{Background, BackgroundError},
    console::{self, Console},
    demo,
    endpoints::Endpoints,
    event_source::EventSource,
    gateway::{self, Gateway},
    invoke::{Functions, INVOCATION_TIMEOUT, InvokeError},
    names::{self, Queue},
    pipe::Pipe,
    queues::{QueueSettings, Queues},
    secrets_file::DemoSecrets,
    server::{self, Server},
    storage::Storage,
    topic::Topic,
};

#[derive(Clone)]
pub struct Options {
    /// The port of the API and the console. 0 selects a free port.
    pub port: u16,
    /// The simulator's port. 0 selects a free port.
    pub simulator_port: u16,
    /// The data directory. With `None`, all data is in memory.
    pub data_dir: Option<PathBuf>,
    /// The contract's key and the service secret. `None` generates new ones. Not used with a data directory, which
    /// has its own.
    pub secrets: Option<DemoSecrets>,
    /// The clock and the randomness of the stand-ins and the simulator.
    pub stand_ins: Ambient,
    /// The clock and the randomness of the demo application.
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
    DataDirectory { path: String, reason: String },
    #[error("{component} did not start: {reason}")]
    Component { component: &'static str, reason: String },
}

impl StartError {
    fn of<E: std::fmt::Display>(component: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Component { component, reason: error.to_string() }
    }
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
    background: Arc<Background>,
    servers: Vec<Server>,
    tasks: Vec<JoinHandle<()>>,
    _lock: Option<File>,
}

impl System {
    /// Starts all components. `make` builds the functions once the other components have their addresses.
    pub async fn start<E, F>(options: Options, make: impl FnOnce(Endpoints) -> F) -> Result<Self, StartError>
    where
        E: std::fmt::Display,
        F: Future<Output = Result<Functions, E>>,
    {
        let (api_listener, simulator_listener) = (listen(options.port).await?, listen(options.simulator_port).await?);
        let aws_listener = listen(0).await?;
        let storage = open_storage(&options)?;
        let simulator = start_simulator(&options, simulator_listener).await?;

        let queues = storage.queues;
        let topic = Topic::new(queues.clone(), subscribed(&options), options.stand_ins.clone());
        let secrets = Secrets::default();
        demo::store_secrets(&secrets, &storage.secrets);
        let aws = Aws::new(
            storage.database.clone(),
            secrets.clone(),
            queues.clone(),
            topic.clone(),
            options.stand_ins.clone(),
        );
        let aws_server = Server::start(aws_listener, aws.router()).map_err(StartError::of("the AWS stand-ins"))?;

        let address = api_listener.local_addr().map_err(StartError::of("the API"))?;
        let endpoints = endpoints(&options, address, &aws_server, &simulator);
        demo::register_contract(&simulator.control(), &storage.secrets, &endpoints)
            .map_err(StartError::of("the simulator"))?;
        let functions = make(endpoints.clone()).await.map_err(StartError::of("a function"))?;

        let gateway = Gateway::new(functions.clone(), options.stand_ins.clone());
        let application = application(&gateway, &simulator, &storage.secrets, &options.ambient)?;
        let background = Arc::new(Background {
            pipe: Pipe::new(storage.database.clone(), storage.stream_records, names::TABLE, queues.clone()),
            sources: sources(&queues, &functions),
            functions: functions.clone(),
            queues: queues.clone(),
            database: storage.database.clone(),
            ambient: options.stand_ins.clone(),
        });
        let mut system = Self {
            endpoints,
            aws,
            secrets,
            database: storage.database,
            queues,
            topic,
            gateway,
            application,
            functions,
            simulator,
            background,
            servers: vec![aws_server],
            tasks: Vec::new(),
            _lock: storage.lock,
        };
        system.serve_api(api_listener)?;
        if options.background {
            system.tasks = system.background.spawn();
        }
        Ok(system)
    }

    /// Starts the server of the API and the console.
    fn serve_api(&mut self, listener: TcpListener) -> Result<(), StartError> {
        let api: Router = Router::new().fallback(gateway::serve).with_state(self.gateway.clone());
        let console = Console::new(
            self.application.clone(),
            self.queues.clone(),
            self.topic.clone(),
            self.simulator.control(),
            self.endpoints.digime_base_url.clone(),
        );
        // The console adds its routes. The gateway answers all other requests, also those for unknown routes.
        let router = console::router(console).route("/favicon.ico", get(|| async {})).fallback_service(api);
        self.servers.push(Server::start(listener, router).map_err(StartError::of("the API"))?);
        Ok(())
    }

    /// Adds the demo user with accounts and a grant, unless the user exists.
    pub async fn add_demo_user(&self) -> Result<(), StartError> {
        demo::add_user(&self.simulator.control(), &self.application).await.map_err(StartError::of("the demo user"))
    }

    /// Invokes the sweep once.
    pub async fn sweep(&self) -> Result<serde_json::Value, InvokeError> {
        self.background.sweep().await
    }

    /// Runs the pipe only: sends the stream's new events to the `Notifications` queue.
    pub async fn run_pipe(&self) -> Result<(), BackgroundError> {
        self.background.run_pipe().await
    }

    /// Runs the stream and the queues until the system is idle: the stream has no new record, and no queue has a
    /// visible message.
    pub async fn run_until_idle(&self) -> Result<(), BackgroundError> {
        self.background.run_until_idle().await
    }

    /// Stops all components. Requests in progress get a moment to finish.
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

fn open_storage(options: &Options) -> Result<Storage, StartError> {
    let Some(directory) = &options.data_dir else {
        let storage = Storage::in_memory(options.queues, options.secrets.clone(), &options.stand_ins);
        return storage.map_err(StartError::of("the storage"));
    };
    Storage::in_directory(directory, options.queues, &options.stand_ins)
        .map_err(|error| StartError::DataDirectory { path: directory.display().to_string(), reason: error.to_string() })
}

fn endpoints(options: &Options, api: SocketAddr, aws: &Server, simulator: &Simulator) -> Endpoints {
    Endpoints {
        public_base_url: format!("http://{api}"),
        aws_url: aws.url(),
        digime_base_url: simulator.base_url().to_string(),
        digime_onboard_url: simulator.onboard_url().to_string(),
        rust_log: options.rust_log.clone(),
        overrides: options.settings.clone(),
    }
}

/// The queues that get what the topic publishes.
fn subscribed(options: &Options) -> Vec<Queue> {
    let webhook = options.settings.get("WEBHOOK_URL").is_some_and(|url| !url.is_empty());
    if webhook { vec![Queue::Webhooks] } else { Vec::new() }
}

fn sources(queues: &Queues, functions: &Functions) -> Vec<EventSource> {
    [
        (Queue::ReadResults, &functions.record_read_result),
        (Queue::Notifications, &functions.notify_reauth),
        (Queue::Webhooks, &functions.post_webhook),
    ]
    .map(|(queue, function)| EventSource::new(queue, queues.clone(), Arc::clone(function), INVOCATION_TIMEOUT))
    .into()
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    server::listen(port).await.map_err(|source| StartError::Port { port, source })
}

async fn start_simulator(options: &Options, listener: TcpListener) -> Result<Simulator, StartError> {
    let listener = listener.into_std().map_err(StartError::of("the simulator"))?;
    let mut builder = Simulator::builder().ambient(options.stand_ins.clone()).listener(listener);
    if let Some(directory) = &options.data_dir {
        builder = builder.state_file(directory.join("simulator.json"));
    }
    builder.start().await.map_err(StartError::of("the simulator"))
}

fn application(
    gateway: &Gateway,
    simulator: &Simulator,
    secrets: &DemoSecrets,
    ambient: &Ambient,
) -> Result<Application, StartError> {
    const COMPONENT: &str = "the demo application";
    let settings = digime::Settings {
        base_url: simulator.base_url(),
        onboard_url: simulator.onboard_url(),
        timeout: Duration::from_secs(10),
    };
    let id = DEMO_CONTRACT.parse().map_err(StartError::of(COMPONENT))?;
    let contract = Contract::new(DEMO_APPLICATION, id, &secrets.private_key_pem.clone().into());
    let contract = Arc::new(contract.map_err(StartError::of(COMPONENT))?);
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let client = Client::new(http.map_err(StartError::of(COMPONENT))?, settings, ambient);
    Ok(Application::new(gateway.clone(), client, contract, ambient.clone()))
}
