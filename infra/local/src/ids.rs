//! Random identifiers in the forms that AWS uses.

use std::fmt::Write;

use digime::ambient::Ambient;

/// `N` random bytes in lower-case hexadecimal digits.
#[must_use]
pub fn random_hex<const N: usize>(ambient: &Ambient) -> String {
    ambient.bytes::<N>().iter().fold(String::with_capacity(N * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A random identifier in the form of a UUID, as AWS gives to messages and requests.
pub(crate) fn uuid(ambient: &Ambient) -> String {
    let mut hex = random_hex::<16>(ambient);
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
