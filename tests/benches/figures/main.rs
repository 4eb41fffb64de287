//! How fast, how small: every figure beside its bound. `cargo bench --package tests --bench figures`; a word after `--`
//! runs only the figures of that group. `mass-expiry` runs only so.
//!
//! Everything runs on this machine: the functions' release binaries under an emulator of the Lambda Runtime API, the
//! stand-ins for AWS and the digi.me simulator in this process, as far away as a figure wants them. Two baselines run beside:
//! the least that a Lambda function is, and the least that a reauthorization URL costs.

mod baseline;
mod console;
mod flows;
mod local_system;
mod log;
mod mass_expiry;
mod metrics;
mod process;
mod queues;
mod sizes;
mod small_cpu;
mod stage;
mod starts;
mod sweep;
mod table;
mod tls;

use std::process::ExitCode;

use table::Table;

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runs = |group: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == group);
    let mut table = Table::new(baseline::bare_protocol().await);
    if runs("flows") {
        flows::run(&mut table).await;
    }
    if runs("queues") {
        queues::run(&mut table).await;
    }
    if runs("log") {
        log::run(&mut table).await;
    }
    if runs("sweep") {
        sweep::run(&mut table).await;
    }
    // Only when it is asked for, because it takes minutes.
    if wanted.iter().any(|wanted| wanted == "mass-expiry") {
        mass_expiry::run(&mut table).await;
    }
    if runs("starts") {
        starts::run(&mut table).await;
    }
    if runs("tls") {
        tls::run(&mut table).await;
    }
    if runs("small-cpu") {
        small_cpu::run(&mut table).await;
    }
    if runs("sizes") {
        sizes::run(&mut table);
    }
    if runs("local") {
        local_system::run(&mut table).await;
    }
    if runs("console") {
        console::run(&mut table).await;
    }
    // Last, because the process collects metrics from then on.
    if runs("metrics") {
        metrics::run(&mut table);
    }
    if table.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
