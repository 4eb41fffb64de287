//! The simulator on its own: `digime-simulator [--port N] [--state-file PATH]`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use digime_simulator::Simulator;

/// A simulated digi.me on 127.0.0.1.
#[derive(Parser)]
struct Arguments {
    /// The port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 9001)]
    port: u16,
    /// Keep the state in this file; by default it is lost when the simulator stops
    #[arg(long)]
    state_file: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("digime-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))
        .map_err(|error| format!("cannot listen on port {}: {error}", arguments.port))?;
    let mut builder = Simulator::builder().listener(listener);
    if let Some(path) = arguments.state_file {
        builder = builder.state_file(path);
    }
    let simulator = builder.start().await.map_err(|error| error.to_string())?;
    println!("API     {}", simulator.base_url());
    println!("pages   {}", simulator.onboard_url());
    println!("control http://{}/_simulator/", simulator.address());
    tokio::signal::ctrl_c().await.map_err(|error| format!("cannot wait for Ctrl-C: {error}"))?;
    simulator.shutdown().await;
    Ok(())
}
