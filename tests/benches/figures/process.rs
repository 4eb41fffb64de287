//! What the operating system knows of a process, and what time it is.

use std::{
    fs,
    time::{Duration, Instant},
};

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits as exactly as the operating system can; tokio's timer is good to a millisecond.
pub(crate) async fn pause(time: Duration) {
    if !time.is_zero() {
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
    }
}

/// How long the process' threads have been on a CPU so far.
pub(crate) fn cpu(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process is there");
    let nanoseconds = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// A line of the process' status in MiB, such as `VmHWM`, the most memory that it ever held.
pub(crate) fn memory(process: &str, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let value = status.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':')).expect("a value");
    value.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// The middle of what was measured, in milliseconds.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    milliseconds(times[times.len() / 2])
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
