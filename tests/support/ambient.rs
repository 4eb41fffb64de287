//! Time that stands still and randomness that repeats.

use std::sync::{Arc, Mutex, PoisonError};

use digime::ambient::{Ambient, Clock, Random};
use jiff::Timestamp;
use reauth_domain::time::after;

/// When every test begins.
pub const START: &str = "2026-11-23T09:00:00Z";

/// A clock that only the test moves.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl Default for ManualClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(START.parse().unwrap_or(Timestamp::UNIX_EPOCH))))
    }
}

impl ManualClock {
    /// Moves the time on.
    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = after(*now, by);
    }

    /// Another clock, which is ahead by the number of minutes, or behind if the number is negative.
    #[must_use]
    pub fn ahead(&self, minutes: i64) -> Self {
        let now = self.now() + jiff::SignedDuration::from_mins(minutes);
        Self(Arc::new(Mutex::new(now)))
    }

    /// Another clock, which is behind by this duration.
    #[must_use]
    pub fn behind(&self, by: jiff::SignedDuration) -> Self {
        Self(Arc::new(Mutex::new(self.now() - by)))
    }

    /// The clock with the system's randomness, for the stand-ins.
    #[must_use]
    pub fn stand_ins(&self) -> Ambient {
        Ambient::system().with_clock(Arc::new(self.clone()))
    }

    /// The clock, with randomness that is the same in each run.
    #[must_use]
    pub fn ambient(&self) -> Ambient {
        Ambient::new(Arc::new(self.clone()), Arc::new(Seeded::default()))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SplitMix64: predictable, but without repetition.
#[derive(Debug, Default)]
struct Seeded(Mutex<u64>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes()[..chunk.len()]);
        }
    }
}
