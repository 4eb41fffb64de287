//! How many notices to users the sweeps have started in each minute: one counter a minute and kind, which all sweeps share.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use reauth_domain::{NoticeRate, time::after};

use super::{Store, StoreError, key, transaction::number};

/// How long a counter is kept after its minute.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The kinds of notices. Each has a rate of its own, so that none waits because of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Reminders and warnings, which are events.
    Event,
    Mail,
}

impl NoticeKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Mail => "mail",
        }
    }
}

impl Store {
    /// Takes a share of the notices of the minute that begins at `minute`. Returns how many the caller may start: 0 if
    /// the minute has none left. What a caller takes and does not start is lost for that minute.
    ///
    /// A share is counted before it is used. So the rate holds when sweeps run at the same time, when one of them dies,
    /// and when the SDK repeats a write whose answer was lost.
    pub async fn take_notices(&self, kind: NoticeKind, minute: Timestamp, rate: NoticeRate) -> Result<u32, StoreError> {
        let share = rate.share(0);
        let taken_by_all = self.count_notices(kind, minute, share, rate).await?;
        // The last share of a minute can be smaller than the others.
        Ok(taken_by_all.map_or(0, |after| rate.share(after.saturating_sub(share))))
    }

    /// Adds a share to the counter, unless all notices of the minute are taken. Returns the counter.
    async fn count_notices(
        &self,
        kind: NoticeKind,
        minute: Timestamp,
        share: u32,
        rate: NoticeRate,
    ) -> Result<Option<u32>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::notice_budget(kind, minute).into_item()))
            .update_expression("ADD taken :share SET #ttl = :ttl")
            .condition_expression("attribute_not_exists(taken) OR taken < :rate")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":share", number(share))
            .expression_attribute_values(":rate", number(rate.per_minute()))
            .expression_attribute_values(":ttl", number(after(minute, KEPT).as_second()))
            .return_values(ReturnValue::UpdatedNew);
        match self.update(update).await {
            Err(StoreError::Conflict(Some(_))) => Ok(None),
            Err(error) => Err(error),
            Ok(updated) => {
                let taken = updated.as_ref().and_then(|item| item.get("taken")?.as_n().ok()?.parse().ok());
                taken.map(Some).ok_or_else(|| StoreError::Corrupt("a counter of notices without a number".to_owned()))
            }
        }
    }
}
