//! W3C Trace Context: which trace an operation belongs to. A trace leads from a failed read over its event, the
//! notification and the reconnect link to the callback.

use std::{fmt, str::FromStr};

use digime::InvalidValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// The value of a `traceparent` header. It is passed on as it was received: this service records no spans of its own.
/// Source: <https://www.w3.org/TR/trace-context/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

impl TraceParent {
    /// A new trace, from random bytes.
    #[must_use]
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8]) -> Self {
        // An id of zero is invalid.
        let (trace_id, parent_id) = (u128::from_be_bytes(trace_id).max(1), u64::from_be_bytes(parent_id).max(1));
        Self { trace_id, parent_id, flags: 0 }
    }

    /// The trace of an X-Ray header, such as `Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1`.
    /// `None` if it names no root and parent.
    #[must_use]
    pub fn from_xray(header: &str) -> Option<Self> {
        let field = |name: &str| header.split(';').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        let (time, unique) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let root = [hex(time, 8)?, hex(unique, 24)?].concat();
        let parent = hex(field("Parent")?, 16)?;
        let flags = if field("Sampled") == Some("1") { "01" } else { "00" };
        format!("00-{root}-{parent}-{flags}").parse().ok()
    }

    /// The id of the trace: 32 hexadecimal digits. X-Ray writes the same digits as `1-8 digits-24 digits`.
    #[must_use]
    pub fn trace_id(self) -> impl fmt::Display {
        format!("{:032x}", self.trace_id)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        parse(text).ok_or(InvalidValue("must be a W3C traceparent"))
    }
}

/// A later version may append further fields, each after a dash.
fn parse(text: &str) -> Option<TraceParent> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let (version, trace_id) = (hex(fields.next()?, 2)?, hex(fields.next()?, 32)?);
    let (parent_id, flags) = (hex(fields.next()?, 16)?, hex(fields.next()?, 2)?);
    let fits = match version {
        "ff" => false,
        "00" => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
    let parent_id = u64::from_str_radix(parent_id, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    fits.then_some(TraceParent { trace_id, parent_id, flags })
}

/// The text, if it has this many lower-case hexadecimal digits and nothing else.
fn hex(text: &str, length: usize) -> Option<&str> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == length && text.bytes().all(digit)).then_some(text)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|InvalidValue(why)| serde::de::Error::custom(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-67891233abcdef012345678912345678-53995c3f42cd8ad8-01";

    #[test]
    fn a_traceparent_is_written_as_it_was_read() {
        assert_eq!(TRACE.parse::<TraceParent>().unwrap().to_string(), TRACE);
        let later = format!("cc{}-what-comes-later", &TRACE[2..]);
        assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), TRACE);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let upper = TRACE.to_uppercase();
        let long = format!("{TRACE}-x");
        let no_trace = format!("00-{:032}-53995c3f42cd8ad8-01", 0);
        let no_parent = format!("00-67891233abcdef012345678912345678-{:016}-01", 0);
        let forbidden = format!("ff{}", &TRACE[2..]);
        for text in ["", "00", "ä", &TRACE[..54], &upper, &long, &no_trace, &no_parent, &forbidden] {
            assert!(text.parse::<TraceParent>().is_err(), "{text}");
        }
    }

    #[test]
    fn xray_and_w3c_name_the_same_trace() {
        let header = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:1";
        assert_eq!(TraceParent::from_xray(header).unwrap().to_string(), TRACE);
        let unsampled = TraceParent::from_xray(&header.replace("Sampled=1", "Sampled=0")).unwrap();
        assert_eq!((unsampled.trace_id().to_string(), unsampled.flags), (TRACE[3..35].to_owned(), 0));
        for bad in
            ["", "Root=1-67891233-abcdef012345678912345678", "Root=x;Parent=53995c3f42cd8ad8", "Root=1-1-1;Parent=1"]
        {
            assert_eq!(TraceParent::from_xray(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_new_trace_is_valid_whatever_the_randomness() {
        for random in [0, 255] {
            let new = TraceParent::new([random; 16], [random; 8]);
            assert_eq!(new.to_string().parse(), Ok(new));
        }
    }
}
