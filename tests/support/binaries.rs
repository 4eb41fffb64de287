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

/// Builds the binaries and returns their directory. For a bench, builds release binaries and the baselines. `cargo test`
/// does not build binaries of other packages, so without this the tests could run old ones.
///
/// # Errors
/// The output of a failed build.
pub fn binaries() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        // This test's own executable is in `<target>/debug/deps`, a bench's in `<target>/release/deps`.
        let executable = std::env::current_exe().map_err(|error| error.to_string())?;
        let directory =
            executable.ancestors().nth(2).ok_or("the test's executable is in no target directory")?.to_owned();
        let target = directory.parent().ok_or("the build directory is in no target directory")?;
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

/// Starts one function from its binary with the given environment. An error contains the output of the build or of the
/// function.
pub async fn start_binary(function: Function, environment: BTreeMap<String, String>) -> Result<LambdaFunction, String> {
    start_instances(function, environment, 1).await
}

/// The same with several processes, each of which processes one event at a time.
pub async fn start_instances(
    function: Function,
    environment: BTreeMap<String, String>,
    instances: usize,
) -> Result<LambdaFunction, String> {
    let binary = binaries()?.join(function.name());
    let spec = Spec { instances, ..Spec::new(function.name(), binary, environment) };
    LambdaFunction::start(spec).await.map_err(|error| error.to_string())
}

/// The same with one process that gets several events at the same time.
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

/// The functions that run in the processes.
pub(crate) fn functions(processes: &Processes) -> Functions {
    Functions::each(|function| Arc::clone(&processes[&function]) as Arc<dyn Invoke>)
}
