//! `cargo run`: the whole system on one machine.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use digime::ambient::Ambient;
use local::{MovableClock, Options, StartError, System, Webhook, causes_layer, in_process};
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// digime-reauth on one machine: the API, a console and a digi.me simulator.
#[derive(Parser)]
struct Arguments {
    /// The port of the API and the console; the digi.me simulator takes the next one.
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..=65534))]
    port: u16,
    /// The directory for the data, which the next run uses again.
    #[arg(long, default_value = ".local")]
    data_dir: PathBuf,
    /// Keep all data in memory and lose it at the end.
    #[arg(long)]
    ephemeral: bool,
    /// Post each event to this URL too (https, or http to a loopback address), signed with the secret that is printed.
    #[arg(long)]
    webhook_url: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let levels: Targets = std::env::var("RUST_LOG")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    let log = fmt::layer().with_writer(std::io::stderr).with_filter(levels);
    tracing_subscriber::registry().with(log).with(causes_layer()).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), StartError> {
    let data_dir = (!arguments.ephemeral).then_some(arguments.data_dir);
    let clock = MovableClock::open(&Ambient::system(), data_dir.as_deref());
    let clock = clock.map_err(|error| StartError::Component { component: "the clock", reason: error.to_string() })?;
    let ambient = clock.ambient();
    let options = Options {
        clock: Some(clock),
        port: arguments.port,
        simulator_port: arguments.port + 1,
        data_dir,
        settings: arguments.webhook_url.into_iter().map(|url| ("WEBHOOK_URL".to_owned(), url)).collect(),
        ..Options::new(ambient.clone(), ambient.clone())
    };
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await?;
    system.add_demo_user().await?;
    println!("Console    {}/", system.endpoints.public_base_url);
    println!("API        {}", system.endpoints.public_base_url);
    println!("digi.me    {} (control API: see infra/digime-simulator/README.md)", system.endpoints.digime_base_url);
    println!("AWS        {} (DynamoDB, Secrets Manager, SQS, SNS)", system.endpoints.aws_url);
    if let Some(Webhook { url, secret }) = &system.info.read().webhook {
        println!("Webhook    {url} (signed with {secret})");
    }
    println!("Press Ctrl-C to stop.");
    ended().await;
    system.stop().await;
    Ok(())
}

/// Waits for Ctrl-C or, on Unix, for SIGTERM.
async fn ended() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => drop(terminated.recv().await),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
