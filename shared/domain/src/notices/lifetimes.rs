//! How long the authorizations of services last, and when that of an account expires.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use jiff::Timestamp;

use crate::{
    Account, ExpiryBasis, InvalidValue, ServiceKey, Status,
    time::{after, parse_duration},
};

/// An account whose authorization expires within this time is offered for renewal with others of its user.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Before the duration of an idle lifetime.
const IDLE: &str = "idle ";

/// How long the authorizations of services last, by the name that digi.me gives the service, in any case: such as
/// `Spotify=180d,MedMij=idle 90d`. An idle lifetime begins anew with each completed read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifetimes(BTreeMap<ServiceKey, Lifetime>);

/// The lifetimes of the authorizations of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lifetime {
    absolute: Option<Duration>,
    idle: Option<Duration>,
}

/// When the authorization of an account expires, and how this is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    pub at: Timestamp,
    pub basis: ExpiryBasis,
}

impl FromStr for Lifetimes {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let wrong = InvalidValue("must be names of services with lifetimes, such as Spotify=180d,MedMij=idle 90d");
        let mut lifetimes: BTreeMap<ServiceKey, Lifetime> = BTreeMap::new();
        for entry in text.split(',') {
            let (name, lifetime) = entry.rsplit_once('=').ok_or(wrong)?;
            let (service, lifetime) = (ServiceKey::of(name).ok_or(wrong)?, lifetime.trim());
            let known = lifetimes.entry(service).or_default();
            let (known, duration) = match lifetime.strip_prefix(IDLE) {
                Some(duration) => (&mut known.idle, duration.trim()),
                None => (&mut known.absolute, lifetime),
            };
            let duration = parse_duration(duration).ok_or(wrong)?;
            if known.replace(duration).is_some() {
                return Err(wrong);
            }
        }
        Ok(Self(lifetimes))
    }
}

impl Lifetimes {
    /// Whether the expiry of the account depends on its reads.
    #[must_use]
    pub fn depends_on_reads(&self, account: &Account) -> bool {
        self.of(account).idle.is_some()
    }

    fn of(&self, account: &Account) -> Lifetime {
        let service = account.service_name.as_deref().and_then(ServiceKey::of);
        service.and_then(|service| self.0.get(&service)).copied().unwrap_or_default()
    }
}

/// When the authorization of an active account expires: what comes first of the time that digi.me names and the lifetimes of
/// its service. `last_read` is when its last completed read was started. `None` if nothing is known, or the account is not
/// active.
#[must_use]
pub fn expires_at(account: &Account, last_read: Option<Timestamp>, lifetimes: &Lifetimes) -> Option<Expiry> {
    let Status::Active { authorization_expires_at, .. } = account.status else { return None };
    let Lifetime { absolute, idle } = lifetimes.of(account);
    let granted_at = account.reauthorized_at.max(account.created_at);
    let of_service = |begin: Option<Timestamp>, lifetime: Option<Duration>| Some(after(begin?, lifetime?));
    let of_service = [of_service(granted_at, absolute), of_service(granted_at.max(last_read), idle)];
    let of_service = of_service.into_iter().flatten().map(|at| Expiry { at, basis: ExpiryBasis::Service });
    let of_source = authorization_expires_at.map(|at| Expiry { at, basis: ExpiryBasis::Source });
    of_source.into_iter().chain(of_service).min_by_key(|expiry| expiry.at)
}

/// Whether the account is offered for renewal: it is active, and its authorization expires within 30 days.
#[must_use]
pub fn is_due_for_renewal(
    account: &Account,
    last_read: Option<Timestamp>,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> bool {
    expires_at(account, last_read, lifetimes).is_some_and(|expiry| expiry.at <= after(now, RENEWAL))
}
