//! Failures of digi.me, and counters of calls.

use digime_simulator::Failure;
use http::StatusCode;
use local::{Function, aws::Operation};
use tests::{Reply, World};

/// A number of failures.
pub(crate) const MORE_THAN_ANY_TEST_SENDS: u32 = 1_000;

/// How often digi.me was asked for a path.
pub(crate) fn asked(world: &World, path: &str) -> usize {
    world.system.simulator.requests().iter().filter(|request| request.path.ends_with(path)).count()
}

pub(crate) fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (status, Some(code)), "{}", reply.body);
    assert_eq!(reply.status == StatusCode::SERVICE_UNAVAILABLE, !reply.header("retry-after").is_empty());
}

/// A failure of digi.me, the reply to the application, and how often digi.me may be asked.
pub(crate) struct DigimeFault {
    pub(crate) name: &'static str,
    pub(crate) failure: Failure,
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) max_requests: usize,
}

pub(crate) fn digime_faults() -> Vec<DigimeFault> {
    let body = |text: &str| Failure { body: Some(text.to_owned()), ..Failure::status(200, MORE_THAN_ANY_TEST_SENDS) };
    let wait = |seconds| Failure { retry_after: Some(seconds), ..Failure::status(429, MORE_THAN_ANY_TEST_SENDS) };
    [
        ("reset", Failure::reset(MORE_THAN_ANY_TEST_SENDS), 503, "digime_unavailable", 3),
        ("500", Failure::status(500, MORE_THAN_ANY_TEST_SENDS), 503, "digime_unavailable", 3),
        ("429", Failure::status(429, MORE_THAN_ANY_TEST_SENDS), 503, "digime_unavailable", 3),
        ("429 with a long Retry-After", wait(60), 503, "digime_unavailable", 1),
        ("HTML", body("<html>Bad gateway</html>"), 502, "digime_invalid_answer", 1),
        ("truncated JSON", body(r#"{"token":"ey"#), 502, "digime_invalid_answer", 1),
        ("403", Failure::status(403, MORE_THAN_ANY_TEST_SENDS), 502, "digime_refused", 1),
    ]
    .map(|(name, failure, status, code, max_requests)| DigimeFault { name, failure, status, code, max_requests })
    .into()
}

/// How often a function sent an operation.
pub(crate) fn sent(world: &World, function: Function, action: &str) -> u64 {
    let operation = Operation { caller: function.name().to_owned(), action: action.to_owned() };
    world.system.aws.operations().get(&operation).copied().unwrap_or_default()
}
