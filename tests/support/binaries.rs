//! The functions' real binaries, built once for each run of the tests, each under an emulator of the Lambda Runtime
//! API.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
};

use local::{Endpoints, Function, Functions, Invoke};

use crate::runtime_api::{LambdaFunction, Spec};

/// Builds the binaries and gives their directory; release ones, and what they are measured beside, for a bench. `cargo
/// test` builds none of other packages, so that without this the tests could run stale ones.
///
/// # Errors
/// What the build said.
pub fn binaries() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        // This test's own executable is in `<target>/debug/deps`, a bench's in `<target>/release/deps`.
        let executable = std::env::current_exe().map_err(|error| error.to_string())?;
        let directory = executable.ancestors().nth(2).ok_or("the test's executable stands nowhere")?.to_owned();
        let target = directory.parent().ok_or("the target directory stands nowhere")?;
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(env!("CARGO_MANIFEST_DIR")).arg("build").arg("--bins").arg("--target-dir").arg(target);
        for function in Function::ALL {
            build.arg("--package").arg(function.name());
        }
        if directory.ends_with("release") {
            build.args(["--release", "--package", "baselines"]);
        }
        let output = build.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(directory) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
    built.clone()
}

/// Starts one function from its binary with the given environment.
///
/// # Errors
/// When it was not built, or does not come up: with what it said.
pub async fn start_binary(function: Function, environment: BTreeMap<String, String>) -> Result<LambdaFunction, String> {
    start_instances(function, environment, 1).await
}

/// The same with several processes, which work on as many events at once.
///
/// # Errors
/// When it was not built, or does not come up: with what it said.
pub async fn start_instances(
    function: Function,
    environment: BTreeMap<String, String>,
    instances: usize,
) -> Result<LambdaFunction, String> {
    let binary = binaries()?.join(function.name());
    let spec = Spec { instances, ..Spec::new(function.name(), binary, environment) };
    LambdaFunction::start(spec).await.map_err(|error| error.to_string())
}

/// The same with one process that takes several events at once.
///
/// # Errors
/// When it was not built, or does not come up: with what it said.
pub async fn start_concurrent(
    function: Function,
    environment: BTreeMap<String, String>,
    concurrency: usize,
) -> Result<LambdaFunction, String> {
    let spec = Spec { concurrency, ..Spec::new(function.name(), binaries()?.join(function.name()), environment) };
    LambdaFunction::start(spec).await.map_err(|error| error.to_string())
}

/// The functions' processes, for their logs.
pub(crate) type Processes = BTreeMap<Function, Arc<LambdaFunction>>;

/// Starts all functions from their binaries.
pub(crate) async fn start(endpoints: &Endpoints) -> Result<Processes, String> {
    let mut processes = Processes::new();
    for function in Function::ALL {
        processes.insert(function, Arc::new(start_binary(function, endpoints.environment(function)).await?));
    }
    Ok(processes)
}

/// The processes as the system invokes them.
pub(crate) fn functions(processes: &Processes) -> Functions {
    Functions::each(|function| Arc::clone(&processes[&function]) as Arc<dyn Invoke>)
}
