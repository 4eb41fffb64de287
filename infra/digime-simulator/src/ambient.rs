//! The one place that asks the machine for the time and for randomness.

use std::sync::Arc;

use jiff::Timestamp;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fills a buffer with random bytes.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "the default of `Clock`")]
pub(crate) fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

#[expect(clippy::disallowed_methods, reason = "the default of `Random`")]
pub(crate) fn system_random() -> Random {
    Arc::new(|buffer| {
        aws_lc_rs::rand::fill(buffer).expect("the system's random number generator works");
    })
}

/// For the timeouts of sockets, which are about the machine and not about what the simulator
/// takes the time to be.
#[expect(clippy::disallowed_methods, reason = "no simulated time for real sockets")]
pub(crate) fn socket_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
