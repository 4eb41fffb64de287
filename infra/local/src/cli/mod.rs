//! The command `cargo run`: reads its options, starts a system, prints what a developer needs and what happens, and
//! stops on Ctrl-C.

mod environment;
mod log;
mod options;
mod output;

use std::{collections::BTreeMap, process::ExitCode};

use clap::Parser;
use digime::ambient::Ambient;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use self::options::{Arguments, Chosen};
use crate::{clock::MovableClock, in_process, options::Options, system::System};

/// Runs the local system until Ctrl-C.
pub async fn run() -> ExitCode {
    match start_and_wait(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn start_and_wait(arguments: Arguments) -> Result<(), String> {
    let environment = environment::read(environment::of_process()?)?;
    log::initialize(&environment)?;
    let chosen = Chosen::of(arguments, &environment)?;
    let clock = MovableClock::open(&Ambient::system(), chosen.data_dir.as_deref());
    let clock = clock.map_err(|error| format!("the clock of the data directory cannot be read: {error}"))?;
    let ambient = clock.ambient();
    let options = system_options(chosen, environment, clock)?;
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await;
    let system = system.map_err(|error| error.to_string())?;
    // Subscribed before the first event.
    let events = system.topic.subscribe();
    // Without log lines, so that what a developer needs is printed first.
    let demo_user = system.add_demo_user().with_subscriber(NoSubscriber::default()).await;
    demo_user.map_err(|error| error.to_string())?;
    output::print(&output::introduction(&system.info.read()));
    output::print_events(events);
    ended().await;
    system.stop().await;
    Ok(())
}

fn system_options(
    chosen: Chosen,
    mut settings: BTreeMap<String, String>,
    clock: MovableClock,
) -> Result<Options, String> {
    // The system's own origin is added to the list.
    settings.remove(environment::ORIGINS);
    settings.extend(chosen.webhook_url.map(|url| (environment::WEBHOOK.to_owned(), url)));
    Ok(Options {
        port: chosen.port,
        simulator_port: if chosen.port == 0 { 0 } else { chosen.port + 1 },
        data_dir: chosen.data_dir,
        rust_log: settings.get("RUST_LOG").cloned().unwrap_or_else(|| "info".to_owned()),
        settings,
        return_origins: chosen.return_origins,
        no_return_url: chosen.no_return_url,
        contracts: chosen.contracts,
        verify_signatures: chosen.verify_signatures,
        clock: Some(clock.clone()),
        ..Options::new(clock.ambient(), clock.ambient())
    })
}

/// Waits for Ctrl-C or, on Unix, for SIGTERM, or SIGHUP: the terminal was closed.
#[cfg(unix)]
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};

    let of_kind = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let hung_up = async {
        if ignores_hangups() {
            std::future::pending::<()>().await;
        }
        of_kind(SignalKind::hangup()).await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = of_kind(SignalKind::terminate()) => {}
        () = hung_up => {}
    }
}

#[cfg(not(unix))]
async fn ended() {
    let _ = tokio::signal::ctrl_c().await;
}

/// Whether the process was started to go on without its terminal, as `nohup` does. Known on Linux only: `proc(5)`, the
/// mask of ignored signals, whose lowest bit is SIGHUP.
#[cfg(unix)]
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
