//! Time and randomness. All other modules of this crate take both from here.

use std::{fmt::Write, sync::Arc};

use jiff::Timestamp;

/// A source of the current time. Tests pass a clock that stands still.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(now)
}

/// The machine's time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// `bytes` random bytes in lower-case hexadecimal digits.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
#[expect(clippy::expect_used, reason = "a machine without randomness cannot do anything safely")]
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut buffer).expect("the operating system gives random bytes");
    buffer.iter().fold(String::with_capacity(bytes * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A random identifier in the form of a UUID, as AWS gives to messages and requests.
pub(crate) fn uuid() -> String {
    let mut hex = random_hex(16);
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
