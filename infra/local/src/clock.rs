//! A clock that can be moved forward: all components of the local system share it, so that what happens after days can be
//! seen at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use digime::ambient::{Ambient, Clock};
use digime_simulator::write_private_file;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

const FILE: &str = "clock.json";
/// 10 years. Times beyond are of no use, and an overflow is impossible.
const LIMIT: i64 = 10 * 366 * 24 * 60 * 60;

/// The machine's clock, plus an offset that only grows: stored times must not lie in the future. With a data directory, a
/// restart keeps the offset. Clones share it.
#[derive(Debug, Clone)]
pub struct MovableClock {
    base: Ambient,
    /// In seconds.
    offset: Arc<AtomicI64>,
    /// Held while the clock is moved: two moves at once add up, in the file too.
    moving: Arc<Mutex<()>>,
    file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    offset_seconds: i64,
}

/// Why the clock was not moved.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error("the clock moves forward only, and by 10 years at most")]
    OutOfRange,
    #[error("could not write the clock's offset: {0}")]
    File(#[from] io::Error),
}

impl MovableClock {
    /// The clock of a data directory, which need not exist yet. Without a directory, the offset is 0.
    pub fn open(base: &Ambient, directory: Option<&Path>) -> io::Result<Self> {
        let file = directory.map(|directory| directory.join(FILE));
        let offset = match file.as_deref().map(fs::read) {
            Some(Ok(bytes)) => serde_json::from_slice::<Stored>(&bytes).map_err(io::Error::other)?.offset_seconds,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Some(Err(_)) | None => 0,
        };
        Ok(Self {
            base: base.clone(),
            offset: Arc::new(AtomicI64::new(offset.clamp(0, LIMIT))),
            moving: Arc::default(),
            file,
        })
    }

    /// This clock, with the randomness of the clock below it.
    #[must_use]
    pub fn ambient(&self) -> Ambient {
        self.base.clone().with_clock(Arc::new(self.clone()))
    }

    /// How far the clock is ahead of the machine's, in whole seconds.
    #[must_use]
    pub fn offset(&self) -> SignedDuration {
        SignedDuration::from_secs(self.offset.load(Ordering::Relaxed))
    }

    /// Moves the clock forward. Returns the new offset.
    pub fn advance(&self, by: SignedDuration) -> Result<SignedDuration, ClockError> {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = self.offset.load(Ordering::Relaxed).saturating_add(by.as_secs());
        if by.is_negative() || offset > LIMIT {
            return Err(ClockError::OutOfRange);
        }
        if let Some(file) = &self.file {
            let stored = serde_json::to_vec(&Stored { offset_seconds: offset }).map_err(io::Error::other)?;
            write_private_file(file, &stored)?;
        }
        self.offset.store(offset, Ordering::Relaxed);
        Ok(SignedDuration::from_secs(offset))
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        self.base.now().saturating_add(self.offset()).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queues::testing::TestClock;

    #[test]
    fn moves_at_the_same_time_add_up() {
        let clock = MovableClock::open(&TestClock::new().ambient(), None).unwrap();
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| (0..1_000).for_each(|_| drop(clock.advance(SignedDuration::from_secs(1)))));
            }
        });
        assert_eq!(clock.offset(), SignedDuration::from_secs(8_000));
    }

    #[test]
    fn the_offset_only_grows_and_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let base = TestClock::new().ambient();
        let clock = MovableClock::open(&base, Some(directory.path())).unwrap();
        assert_eq!(clock.ambient().now(), base.now());
        clock.advance(SignedDuration::from_hours(24)).unwrap();
        clock.advance(SignedDuration::from_hours(1)).unwrap();
        assert_eq!(clock.ambient().now().duration_since(base.now()), SignedDuration::from_hours(25));
        assert!(matches!(clock.advance(SignedDuration::from_secs(-1)), Err(ClockError::OutOfRange)));
        assert!(matches!(clock.advance(SignedDuration::MAX), Err(ClockError::OutOfRange)));
        let restarted = MovableClock::open(&base, Some(directory.path())).unwrap();
        assert_eq!(restarted.offset(), SignedDuration::from_hours(25));
    }
}
