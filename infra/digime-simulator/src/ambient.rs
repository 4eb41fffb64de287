//! Time and randomness. All other modules of this crate take both from here.

use std::sync::Arc;

use jiff::Timestamp;

/// A source of the current time.
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

/// The machine's time, for the timeouts of sockets. They do not follow the simulator's clock.
#[expect(clippy::disallowed_methods, reason = "no simulated time for real sockets")]
pub(crate) fn socket_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
