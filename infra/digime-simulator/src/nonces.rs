//! The nonces of past requests. Each nonce is valid for one request.

use std::collections::{HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

/// Twice the window of accepted timestamps. An older request is refused because of its timestamp.
const MEMORY: SignedDuration = SignedDuration::from_mins(10);
const MAX_NONCES: usize = 200_000;

#[derive(Default)]
pub(crate) struct Nonces {
    seen: HashSet<String>,
    order: VecDeque<(Timestamp, String)>,
}

impl Nonces {
    /// Records the nonce. Returns whether it was new.
    pub(crate) fn use_up(&mut self, nonce: &str, now: Timestamp) -> bool {
        while let Some((seen_at, _)) = self.order.front() {
            if *seen_at + MEMORY > now && self.order.len() < MAX_NONCES {
                break;
            }
            if let Some((_, old)) = self.order.pop_front() {
                self.seen.remove(&old);
            }
        }
        if !self.seen.insert(nonce.to_owned()) {
            return false;
        }
        self.order.push_back((now, nonce.to_owned()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_accepted_once_and_remembered_for_ten_minutes() {
        let start = Timestamp::UNIX_EPOCH;
        let mut nonces = Nonces::default();
        assert!(nonces.use_up("a", start));
        assert!(!nonces.use_up("a", start + SignedDuration::from_mins(9)));
        assert!(nonces.use_up("b", start + SignedDuration::from_mins(11)));
        assert_eq!(nonces.order.len(), 1);
    }
}
