//! When messages are delivered again.

use std::time::Duration;

use crate::names::Queue;

/// The redelivery settings of the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long a received message stays hidden if its consumer neither deletes nor releases it.
    pub visibility_timeout: Duration,
    /// How long a failed message stays hidden. On AWS it is minutes; in tests it is zero.
    pub retry_delay: Duration,
    pub max_receive_count: u32,
    /// How long a received message of `Webhooks` stays hidden if its function set no other time, whether it failed or its
    /// consumer neither deleted nor released it.
    pub webhook_visibility_timeout: Duration,
    pub webhook_max_receive_count: u32,
}

/// The settings of one queue.
pub(super) struct Redelivery {
    pub(super) visibility_timeout: Duration,
    pub(super) retry_delay: Duration,
    pub(super) max_receive_count: u32,
}

/// The number of messages that an event source receives at once, as in `template.yaml`.
#[must_use]
pub const fn batch_size(queue: Queue) -> usize {
    match queue {
        Queue::ReadResults | Queue::Notifications | Queue::Emails | Queue::EmailFeedback => 10,
        Queue::Webhooks => 5,
    }
}

impl QueueSettings {
    pub(super) fn of(&self, queue: Queue) -> Redelivery {
        match queue {
            Queue::ReadResults | Queue::Notifications | Queue::Emails | Queue::EmailFeedback => Redelivery {
                visibility_timeout: self.visibility_timeout,
                retry_delay: self.retry_delay,
                max_receive_count: self.max_receive_count,
            },
            Queue::Webhooks => Redelivery {
                visibility_timeout: self.webhook_visibility_timeout,
                retry_delay: self.webhook_visibility_timeout,
                max_receive_count: self.webhook_max_receive_count,
            },
        }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            visibility_timeout: Duration::from_secs(60),
            retry_delay: Duration::from_secs(2),
            max_receive_count: 5,
            // As in `template.yaml`.
            webhook_visibility_timeout: Duration::from_secs(180),
            webhook_max_receive_count: 1_000,
        }
    }
}
