//! Counts the accounts that broke and healed, by service, and notices when a service is probably down.

use std::{collections::BTreeMap, time::Duration};

use digime::ambient::{Ambient, Deadline};
use futures::future::join_all;
use jiff::Timestamp;
use reauth_core::{
    config::{ConfigError, Environment},
    error::Chain,
    metrics,
    store::{Store, StoreError, StoredEvent},
};
use reauth_domain::{
    Event, EventDetail, Outage, OutageSettings, ServiceKey,
    event::{About, AboutAccount},
    outage::{Counts, LONGEST_HOLD, bucket_of},
    time::after,
};

/// Counting takes at most this long, so that a slow table does not delay the events. What is not counted by then may not
/// count.
const TIME: Duration = Duration::from_secs(2);
/// A change of the table is on the queue within seconds. The sweep puts an event on it again after five minutes, and it is
/// moved to the dead-letter queue after fifteen.
const SENT_WITHIN: Duration = Duration::from_secs(4 * 60);
const SHORTEST_HOLD: Duration = Duration::from_secs(10 * 60);

/// The counts of a batch, by service and by the five minutes in which the accounts broke or healed.
#[derive(Debug, Default)]
pub(crate) struct NewCounts(BTreeMap<(ServiceKey, Timestamp), NewCount>);

#[derive(Debug)]
struct NewCount {
    service: String,
    counts: Counts,
}

/// Whether a message that is received for the first time tells of the event for the first time. It does not if it was moved
/// back from the dead-letter queue or put on the queue by the sweep: then it was sent later.
pub(crate) fn is_new(event: &StoredEvent, sent_at: Option<Timestamp>) -> bool {
    let is_original = sent_at.is_none_or(|sent_at| sent_at < after(event.event.timestamp, SENT_WITHIN));
    is_original && event.redeliveries == 0
}

impl NewCounts {
    /// Adds the account of an event, if the event says that it broke or healed.
    pub(crate) fn add(&mut self, event: &Event) {
        let Event { timestamp, subject, detail } = event;
        let counts = match detail {
            EventDetail::ReauthorizationRequired { reminder: 0, .. } => Counts { broken: 1, healed: 0 },
            EventDetail::Reauthorized { verified: true, .. } => Counts { broken: 0, healed: 1 },
            _ => return,
        };
        let About::Account(AboutAccount { service_name: Some(service), .. }) = &subject.about else { return };
        let Some(key) = ServiceKey::of(service) else { return };
        let new = || NewCount { service: service.clone(), counts: Counts::default() };
        self.0.entry((key, bucket_of(*timestamp))).or_insert_with(new).counts += counts;
    }
}

/// Notices outages. It fails no event: what cannot be counted is logged.
#[derive(Debug)]
pub(crate) struct OutageDetector {
    store: Store,
    ambient: Ambient,
    settings: OutageSettings,
}

impl OutageDetector {
    pub(crate) fn new(store: &Store, environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let settings = settings(environment)?;
        Ok(Self { store: store.clone(), ambient: ambient.clone(), settings })
    }

    /// Adds the accounts to the counters of their services: one write for each service.
    pub(crate) async fn count(&self, new: NewCounts, deadline: Deadline) {
        let each = new.0.into_iter().map(|((service, bucket), new)| async move {
            let counted = Box::pin(self.count_one(&service, bucket, &new, deadline));
            let error = match tokio::time::timeout(TIME, counted).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => Chain(&error).to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            let Counts { broken, healed } = new.counts;
            tracing::warn!(%service, broken, healed, error, "notify-reauth: could not count the accounts of a service");
        });
        join_all(each).await;
    }

    async fn count_one(
        &self,
        service: &ServiceKey,
        bucket: Timestamp,
        new: &NewCount,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let accounts = self.store.count_accounts(service, bucket, new.counts).await?.broken;
        if new.counts.broken == 0 || accounts < self.settings.min_accounts {
            return Ok(());
        }
        let known = self.store.outage(service).await?;
        if known.is_some_and(|known| known.value.is_open(self.ambient.now())) {
            return Ok(());
        }
        let usual = self.store.usual_broken_accounts(service, bucket).await?;
        let now = self.ambient.now();
        let begin = |previous: Option<&Outage>| {
            Outage::begun(previous, &new.service, accounts, bucket, usual, &self.settings, now)
        };
        // Of several functions that notice the same outage, one writes it.
        if let Some(outage) = self.store.change_outage(service, deadline, begin).await? {
            metrics::outage_suspected();
            let (since, held_until) = (outage.since, outage.held_until());
            tracing::warn!(%service, accounts, usual, %since, %held_until, "notify-reauth: a service is probably down");
        }
        Ok(())
    }
}

/// `OUTAGE_MIN_ACCOUNTS`, `OUTAGE_FACTOR` and `OUTAGE_HOLD`.
fn settings(environment: &Environment) -> Result<OutageSettings, ConfigError> {
    let default = OutageSettings::default();
    let number = |variable, least| match environment.optional(variable).map(str::parse) {
        None => Ok(None),
        Some(Ok(number)) if (least..=1_000_000).contains(&number) => Ok(Some(number)),
        Some(_) => Err(ConfigError::new(variable, format!("must be a number from {least} to 1000000"))),
    };
    let hold = environment.duration("OUTAGE_HOLD")?.unwrap_or(default.hold);
    if !(SHORTEST_HOLD..=LONGEST_HOLD).contains(&hold) {
        return Err(ConfigError::new("OUTAGE_HOLD", "must be from 10m to 24h"));
    }
    Ok(OutageSettings {
        min_accounts: number("OUTAGE_MIN_ACCOUNTS", 2)?.unwrap_or(default.min_accounts),
        factor: number("OUTAGE_FACTOR", 2)?.unwrap_or(default.factor),
        hold,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<OutageSettings, ConfigError> {
        settings(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_settings_of_outages_have_limits() {
        assert_eq!(of(&[]), Ok(OutageSettings::default()));
        let own = of(&[("OUTAGE_MIN_ACCOUNTS", "2"), ("OUTAGE_FACTOR", "3"), ("OUTAGE_HOLD", "10m")]).unwrap();
        assert_eq!((own.min_accounts, own.factor, own.hold), (2, 3, Duration::from_secs(600)));
        for (variable, wrong) in [
            ("OUTAGE_MIN_ACCOUNTS", "1"),
            ("OUTAGE_MIN_ACCOUNTS", "many"),
            ("OUTAGE_FACTOR", "1"),
            ("OUTAGE_FACTOR", "1.5"),
            ("OUTAGE_HOLD", "9m"),
            ("OUTAGE_HOLD", "25h"),
            ("OUTAGE_HOLD", "2"),
        ] {
            assert_eq!(of(&[(variable, wrong)]).unwrap_err().variable, variable, "{wrong}");
        }
    }
}
