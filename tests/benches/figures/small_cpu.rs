//! A part of a CPU, as Lambda gives it by memory size: 0.145 for 256 MB.
//!
//! Lambda gives a whole CPU during init and the part afterwards. So there are two ways to measure: a process that gets
//! its part when it is ready, and, harder, one that has only its part from its first instruction on.

use std::{fs, io, path::PathBuf, process, time::Duration};

use digime::ambient::Ambient;
use local::{DEMO_USER, Function, random_hex};
use tests::HTTP2;

use crate::{
    process::{median, now},
    stage::{Stage, start, start_under},
    table::Table,
    tls::{A, L, work},
};

const CONTROLLER: &str = "/sys/fs/cgroup/cpu";
const PERIOD: Duration = Duration::from_millis(100);
const QUOTA: Duration = Duration::from_micros(14_500);
const SAMPLES: usize = 15;
const BANK: &str = "1_demo-bank";
/// How often a group is asked to go away after its process was killed.
const ATTEMPTS: usize = 200;

/// A control group with 0.145 CPU. It is removed when it is dropped.
pub(crate) struct SmallCpu(PathBuf);

impl SmallCpu {
    fn new() -> io::Result<Self> {
        let name = format!("digime-reauth-{}-{}", process::id(), random_hex::<4>(&Ambient::system()));
        let directory = PathBuf::from(CONTROLLER).join(name);
        fs::create_dir(&directory)?;
        let group = Self(directory);
        group.write("cpu.cfs_period_us", &PERIOD.as_micros().to_string())?;
        group.write("cpu.cfs_quota_us", &QUOTA.as_micros().to_string())?;
        Ok(group)
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(file), value)
    }

    /// The file that takes the ids of processes.
    pub(crate) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    fn add(&self, process: u32) {
        self.write("cgroup.procs", &process.to_string()).expect("the process is there");
    }
}

impl Drop for SmallCpu {
    fn drop(&mut self) {
        for _ in 0..ATTEMPTS {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        eprintln!("could not remove {}", self.0.display());
    }
}

pub(crate) async fn run(table: &mut Table) {
    if let Err(error) = SmallCpu::new() {
        println!("small-cpu: left out, because a CPU quota cannot be set below {CONTROLLER}: {error}");
        return;
    }
    let stage = Stage::over_tls(HTTP2).await;
    let hello = hello_world().await;
    from_nothing(&stage, hello, table).await;
    for function in Function::ALL {
        after_init(&stage, function, table).await;
    }
}

/// The start of a function that does nothing, at 0.145 CPU, in milliseconds.
async fn hello_world() -> f64 {
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let group = SmallCpu::new().expect("a group");
        let begun = now();
        let function = start_under(&group, "hello-world", [].into()).await;
        times.push(begun.elapsed());
        drop(function);
    }
    median(times)
}

/// Start and first URL at 0.145 CPU, and a warm URL beside it.
async fn from_nothing(stage: &Stage, hello: f64, table: &mut Table) {
    let (mut starts, mut firsts, mut both, mut warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        stage.distances(A, L);
        let group = SmallCpu::new().expect("a group");
        let begun = now();
        let new = start_under(&group, "create-reauth-url", stage.environment(Function::CreateReauthUrl)).await;
        let start = begun.elapsed();
        stage.replace(Function::CreateReauthUrl, new).await;
        let ready = now();
        stage.make_url(DEMO_USER, BANK).await;
        let first = ready.elapsed();
        for _ in 0..3 {
            let begun = now();
            stage.make_url(DEMO_USER, BANK).await;
            warm.push(begun.elapsed());
        }
        starts.push(start);
        firsts.push(first);
        both.push(start + first);
        // Without a process, the group can be removed.
        stage.restart(Function::CreateReauthUrl).await;
    }
    let (start, first, both, warm) = (median(starts), median(firsts), median(both), median(warm));
    let how = format!(" (start {start:.1} ms, first URL {first:.1} ms; hello-world's start {hello:.1} ms)");
    table.at_most("0.145 CPU over TLS: `create-reauth-url`, start and first URL", both, 150.0, "ms", &how);
    let how = format!(" ({first:.1} ms beside {warm:.1} ms)");
    table.at_most("0.145 CPU over TLS: the first URL more than a warm one", first - warm, 21.0, "ms", &how);
}

/// As on Lambda: a whole CPU until the function is ready, 0.145 afterwards.
async fn after_init(stage: &Stage, function: Function, table: &mut Table) {
    let (mut first, mut warm) = (Vec::new(), Vec::new());
    for round in 0..SAMPLES {
        stage.distances(A, L);
        let group = SmallCpu::new().expect("a group");
        let new = start(function.name(), stage.environment(function)).await;
        group.add(new.processes().await[0]);
        stage.replace(function, new).await;
        first.push(work(stage, function, round * 3).await);
        warm.push(work(stage, function, round * 3 + 1).await);
        warm.push(work(stage, function, round * 3 + 2).await);
        stage.near();
        stage.restart(function).await;
    }
    let (first, warm) = (median(first), median(warm));
    let figure =
        format!("`{}`, 0.145 CPU after init, over TLS: first invocation more than a warm one", function.name());
    table.at_most(figure, first - warm, 21.0, "ms", &format!(" ({first:.1} ms beside {warm:.1} ms)"));
}
