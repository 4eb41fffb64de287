//! What the metrics of an invocation cost.

use ::metrics::{counter, histogram};
use reauth_core::metrics::{Metrics, reauthorization_created};

use crate::{
    process::{cpu, milliseconds},
    table::Table,
};

const INVOCATIONS: u32 = 10_000;

/// The CPU time of recording and writing the metrics that a warm reauthorization URL has.
pub(crate) fn run(table: &mut Table) {
    let metrics = Metrics::collect("bench", "bench").expect("nothing else collects metrics");
    let process = std::process::id();
    let mut written = Vec::new();
    let before = cpu(process);
    for _ in 0..INVOCATIONS {
        for cache in ["contract", "service_secret", "key_set", "contract"] {
            counter!("CacheHits", "Cache" => cache).increment(1);
        }
        for endpoint in ["token_reference", "account_reference"] {
            counter!("DigimeCalls", "Endpoint" => endpoint, "Outcome" => "success").increment(1);
            histogram!("DigimeLatency", "Endpoint" => endpoint).record(20.0);
        }
        reauthorization_created();
        written.clear();
        metrics.write(&mut written).expect("a vector takes it");
    }
    let each = milliseconds((cpu(process) - before) / INVOCATIONS);
    let figure = format!("metrics of one invocation: CPU ({} bytes of log)", written.len());
    table.at_most(figure, each * 1_000.0, 50.0, "µs", "");
}
