//! The system: starts all components in order, and stops them.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request, http::header, middleware, response::Response, routing::get};
use digime::{Client, ambient::Ambient};
use digime_simulator::Simulator;
use dynoxide::Database;
use reauth_core::{
    config::{ConfigError, Environment},
    services,
    store::Store,
    webhook,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    DEMO_USER,
    application::Application,
    aws::{Aws, Secrets},
    background::{Background, BackgroundError},
    console::{self, Console},
    contracts::{ContractError, Contracts},
    demo,
    endpoints::Endpoints,
    event_source::EventSource,
    gateway::{self, Gateway},
    index::Index,
    info::{Info, InfoReader, Webhook},
    invoke::{Function, Functions, INVOCATION_TIMEOUT, InvokeError},
    local_api::{self, LocalApi},
    mails::Mails,
    names::{self, Queue},
    operations::{LinkUrls, Operations},
    options::Options,
    pipe::Pipe,
    port_holder,
    queues::Queues,
    server::{self, Server},
    storage::{Directory, Storage},
    topic::{Topic, Topics},
};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} {port} {}. Choose another --port.", .role.name(), taken(*.port, .source))]
    Port { role: PortRole, port: u16, source: io::Error },
    #[error("contract {id}: {source}")]
    Contract { id: String, source: ContractError },
    #[error("the data directory {path} cannot be used: {reason}")]
    DataDirectory { path: String, reason: String },
    #[error("{component} did not start: {reason}")]
    Component { component: &'static str, reason: String },
}

/// The component that listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortRole {
    /// The API and the console.
    Api,
    /// The digi.me simulator.
    Simulator,
    /// The stand-ins for AWS, which take a free port.
    Aws,
}

impl PortRole {
    fn name(self) -> &'static str {
        match self {
            Self::Api => "port",
            Self::Simulator => "the port of the digi.me simulator, which is --port + 1:",
            Self::Aws => "a port of the AWS stand-ins:",
        }
    }
}

/// Why nothing can listen on a port, with the process that holds it where that is known.
fn taken(port: u16, source: &io::Error) -> String {
    if source.kind() != io::ErrorKind::AddrInUse {
        return format!("cannot be used: {source}");
    }
    let holder = port_holder::process(port).map(|id| format!(" by process {id}")).unwrap_or_default();
    format!("is in use{holder}")
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
    /// The mails that were sent to users.
    pub mails: Mails,
    /// The topic, with the messages published on it.
    pub topic: Topic,
    /// What the operator is told. On AWS, the alarms too.
    pub alarm_topic: Topic,
    pub gateway: Gateway,
    pub application: Application,
    pub functions: Functions,
    /// The digi.me simulator.
    pub simulator: Simulator,
    pub contracts: Contracts,
    /// What an application and an SDK need.
    pub info: InfoReader,
    pub(crate) operations: Operations,
    background: Arc<Background>,
    servers: Vec<Server>,
    tasks: Vec<JoinHandle<()>>,
    _directory: Directory,
}

impl System {
    /// Starts all components. `make` builds the functions once the other components have their addresses.
    pub async fn start<E, F>(options: Options, make: impl FnOnce(Endpoints) -> F) -> Result<Self, StartError>
    where
        E: std::fmt::Display,
        F: Future<Output = Result<Functions, E>>,
    {
        let api_listener = listen(PortRole::Api, options.port).await?;
        let simulator_listener = listen(PortRole::Simulator, options.simulator_port).await?;
        let aws_listener = listen(PortRole::Aws, 0).await?;
        let storage = open_storage(&options)?;
        let simulator = start_simulator(&options, simulator_listener).await?;

        let queues = storage.queues.clone();
        let topics = Topics::new(&queues, subscribed(&options), &options.stand_ins);
        let secrets = Secrets::default();
        secrets.put(names::SERVICE_SECRET, &storage.secrets.service_secret);
        if webhook_url(&options).is_some() {
            secrets.put(names::WEBHOOK_SECRET, &storage.secrets.webhook_keys());
        }
        let mails = Mails::open(queues.clone(), options.stand_ins.clone(), storage.directory.kept("mails.jsonl"));
        let mails = mails.map_err(StartError::of("the mails"))?;
        let aws = Aws::new(
            storage.database.clone(),
            secrets.clone(),
            queues.clone(),
            topics.clone(),
            mails.clone(),
            options.stand_ins.clone(),
        );
        let aws_server = Server::start(aws_listener, aws.router()).map_err(StartError::of("the AWS stand-ins"))?;

        let address = api_listener.local_addr().map_err(StartError::of("the API"))?;
        let endpoints = endpoints(&options, address, &aws_server, &simulator);
        let contracts = contracts(&options, &endpoints, &simulator, &secrets, &storage)?;
        let info = InfoReader::new(info(&options, &endpoints, &storage), contracts.clone());
        let functions = make(endpoints.clone()).await.map_err(StartError::of("a function"))?;

        let credentials = storage.secrets.credentials();
        let credentials = options.verify_signatures.then_some(&credentials);
        let gateway = Gateway::with_credentials(functions.clone(), options.stand_ins.clone(), credentials);
        let application = application(&gateway, &simulator, &contracts, &endpoints, &options)?;
        let index =
            Index::of(&storage.database, names::TABLE, &options.stand_ins).map_err(StartError::of("the console"))?;
        let operations = Operations {
            index: index.clone(),
            database: storage.database.clone(),
            queues: queues.clone(),
            alarms: topics.alarms.clone(),
            application: application.clone(),
            mails: mails.clone(),
            control: simulator.control(),
            clock: options.clock.clone(),
            links: link_urls(&endpoints, &storage)?,
        };
        let background = Arc::new(Background {
            pipe: Pipe::new(storage.database.clone(), storage.stream_records, names::TABLE, queues.clone(), index),
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
            mails,
            topic: topics.notifications,
            alarm_topic: topics.alarms,
            gateway,
            application,
            functions,
            simulator,
            contracts,
            info,
            operations,
            background,
            servers: vec![aws_server],
            tasks: Vec::new(),
            _directory: storage.directory,
        };
        system.serve_api(api_listener, options.stand_ins.clone())?;
        if options.background {
            system.tasks = system.background.spawn();
        }
        Ok(system)
    }

    /// Starts the server of the API and the console.
    fn serve_api(&mut self, listener: TcpListener, ambient: Ambient) -> Result<(), StartError> {
        let gateway = self.gateway.clone();
        let to_gateway = move |request: Request| gateway::serve(gateway.clone(), request);
        let operations = self.operations.clone();
        let console = Console::new(operations.clone(), self.info.clone(), ambient.clone())
            .map_err(StartError::of("the console"))?;
        let (info, contracts) = (self.info.clone(), self.contracts.clone());
        let local = LocalApi::new(local_api::Parts { info, contracts, operations, ambient });
        // The console and the local system's own API add their routes. The gateway answers all other requests, also
        // those for unknown routes and methods.
        let router = console::router(console)
            .merge(local_api::router(local))
            .route("/favicon.ico", get(|| async {}))
            .method_not_allowed_fallback(to_gateway.clone())
            .fallback(to_gateway);
        // API Gateway lists no methods. The inner router adds the header after its own layers, so that only an outer one
        // can remove it.
        let router = Router::new().fallback_service(router).layer(middleware::map_response(without_allow));
        self.servers.push(Server::start(listener, router).map_err(StartError::of("the API"))?);
        Ok(())
    }

    /// Adds the demo user with accounts and a grant, unless the user exists. The console shows them from then on.
    pub async fn add_demo_user(&self) -> Result<(), StartError> {
        let added = demo::add_user(&self.simulator.control(), &self.application).await;
        added.map_err(StartError::of("the demo user"))?;
        self.run_pipe().await.map_err(StartError::of("the console"))
    }

    /// Gives the demo user's accounts logos. Call it before [`System::add_demo_user`], whose list of the accounts names them.
    pub fn add_demo_logos(&self) {
        demo::add_logos(&self.simulator.control(), |name| self.endpoints.logo_url(name));
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
        self.contracts.remove_given();
        self.simulator.shutdown().await;
    }
}

async fn without_allow(mut response: Response) -> Response {
    response.headers_mut().remove(header::ALLOW);
    response
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
        return_origins: options.return_origins.clone(),
        no_return_url: options.no_return_url,
        overrides: options.settings.clone(),
    }
}

fn link_urls(endpoints: &Endpoints, storage: &Storage) -> Result<LinkUrls, StartError> {
    let base_url = endpoints.environment(Function::NotifyReauth).remove("PUBLIC_BASE_URL").unwrap_or_default();
    LinkUrls::new(&base_url, &storage.secrets.service_secret).map_err(StartError::of("the console"))
}

/// The queues that get what the topic publishes.
fn subscribed(options: &Options) -> Vec<Queue> {
    let webhook = webhook_url(options).map(|_| Queue::Webhooks);
    let mails = options.settings.get("EMAIL_FROM").filter(|from| !from.is_empty()).map(|_| Queue::Emails);
    webhook.into_iter().chain(mails).collect()
}

fn webhook_url(options: &Options) -> Option<&String> {
    options.settings.get("WEBHOOK_URL").filter(|url| !url.is_empty())
}

/// Registers the demo contract, the contracts of earlier runs and those of the options. This happens at each start,
/// because the port in the callback URL can change.
fn contracts(
    options: &Options,
    endpoints: &Endpoints,
    simulator: &Simulator,
    secrets: &Secrets,
    storage: &Storage,
) -> Result<Contracts, StartError> {
    let keys = storage.directory.keys().map_err(StartError::of("the contracts"))?;
    let file = storage.directory.kept("contracts.json");
    let contracts = Contracts::new(simulator.control(), secrets.clone(), endpoints.callback_url(), keys, file);
    let registered = contracts.register_demo(demo::contract(&storage.secrets)).and_then(|()| contracts.register_kept());
    registered.map_err(StartError::of("the contracts"))?;
    for contract in &options.contracts {
        let id = contract.contract_id.clone();
        contracts.register_given(contract.clone()).map_err(|source| StartError::Contract { id, source })?;
    }
    Ok(contracts)
}

/// The information without the contracts.
fn info(options: &Options, endpoints: &Endpoints, storage: &Storage) -> Info {
    let setting = |name: &str| endpoints.environment(Function::CreateReauthUrl).remove(name);
    let origins = setting("ALLOWED_RETURN_ORIGINS").unwrap_or_default();
    let keys = &storage.secrets;
    let webhook = webhook_url(options).map(|url| Webhook {
        url: url.clone(),
        secret: keys.webhook_secret.clone(),
        public_key: webhook::public_key(&keys.webhook_keys().into()),
    });
    Info {
        version: env!("CARGO_PKG_VERSION"),
        api_url: endpoints.public_base_url.clone(),
        callback_url: endpoints.callback_url(),
        digime_base_url: endpoints.digime_base_url.clone(),
        digime_onboard_url: endpoints.digime_onboard_url.clone(),
        digime_control_url: endpoints.digime_base_url.replace("/v1.7/", "/_simulator/"),
        aws_url: endpoints.aws_url.clone(),
        demo_user_id: DEMO_USER,
        contracts: Vec::new(),
        webhook,
        return_origins: origins.split(',').map(|origin| origin.trim().to_owned()).collect(),
        default_return_url: setting("DEFAULT_RETURN_URL"),
        credentials: storage.secrets.credentials(),
        signatures_verified: options.verify_signatures,
        data_directory: storage.directory.kept("").map(|path| path.components().collect()),
    }
}

fn sources(queues: &Queues, functions: &Functions) -> Vec<EventSource> {
    [
        (Queue::ReadResults, &functions.record_read_result),
        (Queue::Notifications, &functions.notify_reauth),
        (Queue::Webhooks, &functions.post_webhook),
        (Queue::Emails, &functions.email_user),
        (Queue::EmailFeedback, &functions.email_user),
    ]
    .map(|(queue, function)| EventSource::new(queue, queues.clone(), Arc::clone(function), INVOCATION_TIMEOUT))
    .into()
}

async fn listen(role: PortRole, port: u16) -> Result<TcpListener, StartError> {
    server::listen(port).await.map_err(|source| StartError::Port { role, port, source })
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
    contracts: &Contracts,
    endpoints: &Endpoints,
    options: &Options,
) -> Result<Application, StartError> {
    const COMPONENT: &str = "the demo application";
    let settings = digime::Settings {
        base_url: simulator.base_url(),
        onboard_url: simulator.onboard_url(),
        timeout: Duration::from_secs(10),
    };
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let client = Client::new(http.map_err(StartError::of(COMPONENT))?, settings, &options.ambient);
    let store = store(endpoints, &options.stand_ins).map_err(StartError::of(COMPONENT))?;
    let (gateway, ambient) = (gateway.clone(), options.ambient.clone());
    Ok(Application::new(gateway, client, contracts.clone(), simulator.control(), store, ambient))
}

/// The service's table, for the console. Its calls are recorded under a name of their own, which is no function's.
fn store(endpoints: &Endpoints, ambient: &Ambient) -> Result<Store, ConfigError> {
    let mut variables = endpoints.environment(Function::Accounts);
    variables.insert("AWS_ACCESS_KEY_ID".to_owned(), "console".to_owned());
    let environment: Environment = variables.into_iter().collect();
    services::store(&reauth_core::aws::Aws::new(&environment)?, ambient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_process;

    async fn start(options: Options) -> Result<System, StartError> {
        let ambient = options.ambient.clone();
        System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_option_and_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = || Options::new(Ambient::system(), Ambient::system());
        let holder =
            if cfg!(target_os = "linux") { format!(" by process {}", std::process::id()) } else { String::new() };
        let error = start(Options { port, ..options() }).await.err().unwrap().to_string();
        assert_eq!(error, format!("port {port} is in use{holder}. Choose another --port."));
        let error = start(Options { simulator_port: port, ..options() }).await.err().unwrap().to_string();
        let expected = "the port of the digi.me simulator, which is --port + 1:";
        assert_eq!(error, format!("{expected} {port} is in use{holder}. Choose another --port."));
    }

    #[tokio::test]
    async fn a_setting_that_a_function_refuses_stops_the_start_and_is_named() {
        for (name, value) in [
            ("DEFAULT_LOCALE", "?"),
            ("REAUTHORIZATION_TTL", "1"),
            ("RECONNECT_LINK_TTL", "soon"),
            ("DIGIME_TIMEOUT", "5"),
            ("DIGIME_CONNECT_TIMEOUT", "x"),
            ("DEFAULT_RETURN_URL", "https://elsewhere.example/"),
            ("SSL_CERT_FILE", "/nowhere/at/all"),
        ] {
            let mut options = Options::new(Ambient::system(), Ambient::system());
            options.settings.insert(name.to_owned(), value.to_owned());
            let error = start(options).await.err().unwrap().to_string();
            assert!(error.contains(&format!(": {name} ")) && error.lines().count() == 1, "{error}");
        }
    }
}
