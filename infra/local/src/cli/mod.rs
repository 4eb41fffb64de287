//! The command `cargo run`: reads its options, starts a system, prints what a developer needs and what happens, and
//! stops on Ctrl-C.

mod environment;
mod log;
mod options;
mod output;

use std::{collections::BTreeMap, io, pin::pin, process::ExitCode};

use clap::Parser;
use digime::ambient::Ambient;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use self::options::{Arguments, Chosen};
use crate::{DEMO_SENDER, clock::MovableClock, in_process, options::Options, system::System};

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
    // A signal during the start ends it here, so that what the start has created is removed.
    let mut ended = pin!(ended().map_err(|error| format!("signals cannot be received: {error}"))?);
    let system = tokio::select! {
        system = start(options, ambient) => system?,
        () = &mut ended => return Ok(()),
    };
    ended.await;
    system.stop().await;
    Ok(())
}

async fn start(options: Options, ambient: Ambient) -> Result<System, String> {
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await;
    let system = system.map_err(|error| error.to_string())?;
    // Subscribed before the first event.
    let (events, notices) = (system.topic.subscribe(), system.alarm_topic.subscribe());
    // Without log lines, so that what a developer needs is printed first.
    system.add_demo_logos();
    let demo_user = system.add_demo_user().with_subscriber(NoSubscriber::default()).await;
    demo_user.map_err(|error| error.to_string())?;
    output::print(&output::introduction(&system.info.read()));
    output::print_events(events);
    output::print_events(notices);
    Ok(system)
}

fn system_options(
    chosen: Chosen,
    mut settings: BTreeMap<String, String>,
    clock: MovableClock,
) -> Result<Options, String> {
    // The system's own origin is added to the list.
    settings.remove(environment::ORIGINS);
    settings.entry(environment::EMAIL_FROM.to_owned()).or_insert_with(|| DEMO_SENDER.to_owned());
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

/// Waits for Ctrl-C, SIGTERM, or SIGHUP: the terminal was closed. A signal counts from the call on.
#[cfg(unix)]
fn ended() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    if !ignores_hangups() {
        kinds.push(SignalKind::hangup());
    }
    let mut signals = kinds.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?;
    Ok(async move {
        let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(received).await;
    })
}

#[cfg(not(unix))]
fn ended() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

/// Whether the process was started to go on without its terminal, as `nohup` does. Known on Linux only: `proc(5)`, the
/// mask of ignored signals, whose lowest bit is SIGHUP.
#[cfg(unix)]
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
