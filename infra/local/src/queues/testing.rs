//! Queues whose time the tests set.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use digime::ambient::{Ambient, Clock};
use jiff::Timestamp;

use super::{QueueSettings, Queues};

/// A clock that the tests set.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<Mutex<Timestamp>>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new("2026-01-02T03:04:05Z".parse().unwrap())))
    }

    pub(crate) fn ambient(&self) -> Ambient {
        Ambient::system().with_clock(Arc::new(self.clone()))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn queues(clock: &TestClock, settings: QueueSettings) -> Queues {
    Queues::open(None, clock.ambient(), settings).unwrap()
}
