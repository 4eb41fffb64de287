//! The data of the index, and how an item changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use reauth_core::store::{GrantState, Link, StoredAttempt, StoredEvent, StoredItem};
use reauth_domain::{
    About, Account, AccountId, ContractId, EventId, Outage, ReauthorizationId, ServiceKey, Target, UserId,
    reauthorization::{Progress, Reauthorization},
    webhook::WebhookHealth,
};

use super::{
    key::ItemKey,
    timeline::{self, Step, Timelines},
};

/// What the funnel calls a grant, beside the names of services.
pub(crate) const GRANT_SERVICE: &str = "digi.me";
/// What the funnel calls an account whose service is not known.
const UNKNOWN_SERVICE: &str = "unknown service";

/// Everything that the table holds, without secrets.
#[derive(Default)]
pub(crate) struct Tables {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) events: HashMap<EventId, (UserId, Target, u64)>,
    /// By the time of the event.
    pub(super) recent: BTreeSet<(Timestamp, EventId)>,
    pub(super) reauthorizations: HashMap<ReauthorizationId, Reauthorization>,
    /// By the event that contains the link.
    pub(super) links: HashMap<EventId, Link>,
    link_events: HashMap<String, EventId>,
    /// The open episodes, oldest first.
    pub(super) open: BTreeSet<(Timestamp, UserId, Target)>,
    pub(super) funnel: BTreeMap<String, Counts>,
    /// The accounts and grants whose standing changes when a reauthorization expires.
    expiring: BTreeSet<(Timestamp, UserId, Target)>,
    /// What is known of a webhook's endpoint, with the hash of its URL.
    pub(super) webhook: Option<(String, WebhookHealth)>,
    /// The attempts to post each event, by the names of their items.
    pub(super) attempts: HashMap<EventId, BTreeMap<String, StoredAttempt>>,
    /// The last outage of each service.
    pub(super) outages: BTreeMap<ServiceKey, Outage>,
    /// The time for which the standings are right.
    pub(super) now: Timestamp,
}

/// What is known of one user.
#[derive(Default)]
pub(crate) struct User {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) grants: BTreeMap<ContractId, GrantState>,
    pub(super) events: BTreeMap<(Target, u64), StoredEvent>,
    /// By account or grant, and by the time of creation.
    pub(super) reauthorizations: BTreeSet<(Target, Timestamp, ReauthorizationId)>,
    /// The tokens' hashes and the events of the user's links.
    pub(super) links: BTreeMap<String, EventId>,
    pub(super) standings: BTreeMap<Target, Standing>,
}

/// What an account or a grant adds to the funnel and to the list of open episodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) service: String,
    pub(super) open: Option<(Timestamp, Step)>,
    pub(super) healed: usize,
}

/// How many episodes stand at each step, and how many are healed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) open: BTreeMap<Step, usize>,
    pub(crate) healed: usize,
}

impl Counts {
    fn add(&mut self, standing: &Standing) {
        if let Some((_, step)) = standing.open {
            *self.open.entry(step).or_default() += 1;
        }
        self.healed += standing.healed;
    }

    fn subtract(&mut self, standing: &Standing) {
        if let Some((_, step)) = standing.open {
            let count = self.open.entry(step).or_default();
            *count = count.saturating_sub(1);
        }
        self.healed = self.healed.saturating_sub(standing.healed);
    }

    fn is_empty(&self) -> bool {
        self.healed == 0 && self.open.values().all(|count| *count == 0)
    }
}

impl User {
    fn is_empty(&self) -> bool {
        self.accounts.is_empty()
            && self.grants.is_empty()
            && self.events.is_empty()
            && self.reauthorizations.is_empty()
            && self.links.is_empty()
    }

    /// The number of the user's open episodes.
    pub(crate) fn open_count(&self) -> usize {
        self.standings.values().filter(|standing| standing.open.is_some()).count()
    }

    /// The events of an account or a grant, oldest first.
    pub(crate) fn events_of(&self, target: &Target) -> impl DoubleEndedIterator<Item = &StoredEvent> {
        self.events.range((target.clone(), 0)..=(target.clone(), u64::MAX)).map(|(_, event)| event)
    }
}

impl Tables {
    /// Puts an item, and returns the accounts and grants whose standing may have changed.
    pub(super) fn put(&mut self, item: StoredItem) -> Vec<(UserId, Target)> {
        match item {
            StoredItem::Account(account) => {
                let (user, id) = (account.user_id.clone(), account.account_id.clone());
                self.user_mut(&user).accounts.insert(id.clone(), account);
                vec![(user, Target::Account(id))]
            }
            StoredItem::Grant(grant) => {
                let (user, id) = (grant.user_id.clone(), grant.contract_id.clone());
                self.user_mut(&user).grants.insert(id.clone(), grant);
                vec![(user, Target::Grant(id))]
            }
            StoredItem::Event(event) => {
                let subject = &event.event.subject;
                let (user, target, sequence) = (subject.user_id.clone(), subject.about.target(), subject.sequence);
                let id = subject.event_id.clone();
                self.recent.insert((event.event.timestamp, id.clone()));
                self.events.insert(id, (user.clone(), target.clone(), sequence));
                self.user_mut(&user).events.insert((target.clone(), sequence), event);
                vec![(user, target)]
            }
            StoredItem::Reauthorization(reauthorization) => {
                let mut changed = self.remove_reauthorization(&reauthorization.id);
                let (user, created_at) = (reauthorization.user_id.clone(), reauthorization.created_at);
                for target in timeline::targets(&reauthorization) {
                    let key = (target.clone(), created_at, reauthorization.id.clone());
                    self.user_mut(&user).reauthorizations.insert(key);
                    if reauthorization.progress == Progress::Pending {
                        self.expiring.insert((reauthorization.expires_at, user.clone(), target.clone()));
                    }
                    changed.push((user.clone(), target));
                }
                self.reauthorizations.insert(reauthorization.id.clone(), reauthorization);
                changed
            }
            StoredItem::Link { link, token_hash } => {
                // A link of an earlier version names no event, so that nothing leads to it.
                if let Some(notice) = link.notice.clone() {
                    self.user_mut(&link.user_id).links.insert(token_hash.clone(), notice.event_id.clone());
                    self.link_events.insert(token_hash, notice.event_id.clone());
                    self.links.insert(notice.event_id, link);
                }
                Vec::new()
            }
            StoredItem::WebhookHealth { health, url_hash } => {
                self.webhook = Some((url_hash, health));
                Vec::new()
            }
            StoredItem::Attempt { event_id, name, attempt } => {
                self.attempts.entry(event_id).or_default().insert(name, attempt);
                Vec::new()
            }
            StoredItem::Outage(outage) => {
                if let Some(service) = ServiceKey::of(&outage.service) {
                    self.outages.insert(service, outage);
                }
                Vec::new()
            }
        }
    }

    /// Removes an item, and returns the accounts and grants whose standing may have changed.
    pub(super) fn remove(&mut self, key: ItemKey) -> Vec<(UserId, Target)> {
        match key {
            ItemKey::Account(user, id) => {
                self.user_mut(&user).accounts.remove(&id);
                vec![(user, Target::Account(id))]
            }
            ItemKey::Grant(user, id) => {
                self.user_mut(&user).grants.remove(&id);
                vec![(user, Target::Grant(id))]
            }
            ItemKey::Event(user, target, sequence) => {
                if let Some(event) = self.user_mut(&user).events.remove(&(target.clone(), sequence)) {
                    let id = event.event.subject.event_id;
                    self.recent.remove(&(event.event.timestamp, id.clone()));
                    self.events.remove(&id);
                }
                vec![(user, target)]
            }
            ItemKey::Reauthorization(id) => self.remove_reauthorization(&id),
            ItemKey::Link(hash) => {
                let link = self.link_events.remove(&hash).and_then(|event| self.links.remove(&event));
                if let Some(link) = link {
                    self.user_mut(&link.user_id).links.remove(&hash);
                    self.drop_if_empty(&link.user_id);
                }
                Vec::new()
            }
            ItemKey::Outage(service) => {
                self.outages.remove(&service);
                Vec::new()
            }
            ItemKey::WebhookHealth => {
                self.webhook = None;
                Vec::new()
            }
            ItemKey::Attempt(event, name) => {
                if let Some(attempts) = self.attempts.get_mut(&event) {
                    attempts.remove(&name);
                    if attempts.is_empty() {
                        self.attempts.remove(&event);
                    }
                }
                Vec::new()
            }
        }
    }

    fn remove_reauthorization(&mut self, id: &ReauthorizationId) -> Vec<(UserId, Target)> {
        let Some(known) = self.reauthorizations.remove(id) else { return Vec::new() };
        let targets = timeline::targets(&known);
        let user = self.user_mut(&known.user_id);
        for target in &targets {
            user.reauthorizations.remove(&(target.clone(), known.created_at, id.clone()));
        }
        targets.into_iter().map(|target| (known.user_id.clone(), target)).collect()
    }

    fn user_mut(&mut self, id: &UserId) -> &mut User {
        self.users.entry(id.clone()).or_default()
    }

    fn drop_if_empty(&mut self, id: &UserId) {
        if self.users.get(id).is_some_and(User::is_empty) {
            self.users.remove(id);
        }
    }

    /// Computes anew what an account or a grant adds to the funnel and to the list of open episodes.
    pub(super) fn update_standing(&mut self, user_id: &UserId, target: &Target) {
        let standing = self.standing(user_id, target);
        if let Some(user) = self.users.get_mut(user_id) {
            let before = match standing.clone() {
                Some(standing) => user.standings.insert(target.clone(), standing),
                None => user.standings.remove(target),
            };
            let open = |since: Timestamp| (since, user_id.clone(), target.clone());
            if let Some(before) = before {
                if let Some((since, _)) = before.open {
                    self.open.remove(&open(since));
                }
                if let Some(counts) = self.funnel.get_mut(&before.service) {
                    counts.subtract(&before);
                    if counts.is_empty() {
                        self.funnel.remove(&before.service);
                    }
                }
            }
            if let Some(standing) = standing {
                if let Some((since, _)) = standing.open {
                    self.open.insert(open(since));
                }
                self.funnel.entry(standing.service.clone()).or_default().add(&standing);
            }
        }
        self.drop_if_empty(user_id);
    }

    /// `None` if there is neither an open nor a healed episode.
    fn standing(&self, user_id: &UserId, target: &Target) -> Option<Standing> {
        let timelines = self.timelines(user_id, target);
        let (open, healed) = (timelines.open(), timelines.healed());
        let open = open.and_then(|open| Some((open.since()?, open.step()?)));
        if open.is_none() && healed == 0 {
            return None;
        }
        Some(Standing { service: self.service(user_id, target), open, healed })
    }

    /// The name of the service of an account, as its last event or the account itself says it.
    pub(crate) fn service(&self, user_id: &UserId, target: &Target) -> String {
        let Target::Account(id) = target else { return GRANT_SERVICE.to_owned() };
        let user = self.users.get(user_id);
        let account = user.and_then(|user| user.accounts.get(id));
        let of_account = account.and_then(|account| account.service_name.clone());
        let of_event = || user?.events_of(target).rev().find_map(service_of);
        of_account.or_else(of_event).unwrap_or_else(|| UNKNOWN_SERVICE.to_owned())
    }

    /// Whether a reauthorization has expired that still counts as pending.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expiring.first().is_some_and(|(at, ..)| *at <= now)
    }

    /// Moves the time on.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((_, user, target)) = self.expiring.first().filter(|(at, ..)| *at <= self.now).cloned() {
            self.expiring.pop_first();
            self.update_standing(&user, &target);
        }
    }

    /// The episodes of an account or a grant.
    pub(crate) fn timelines(&self, user_id: &UserId, target: &Target) -> Timelines {
        let Some(user) = self.users.get(user_id) else { return Timelines::default() };
        let mut of_target = Vec::new();
        let from = (target.clone(), Timestamp::MIN, first_id());
        for (other, _, id) in user.reauthorizations.range(from..) {
            if other != target {
                break;
            }
            of_target.extend(self.reauthorizations.get(id));
        }
        let (events, attempts) = (user.events_of(target), of_target.into_iter());
        match target {
            Target::Account(id) => Timelines::of_account(user.accounts.get(id), events, attempts, self.now),
            Target::Grant(id) => Timelines::of_grant(user.grants.get(id), events, attempts, self.now),
        }
    }
}

fn service_of(event: &StoredEvent) -> Option<String> {
    match &event.event.subject.about {
        About::Account(about) => about.service_name.clone(),
        About::Grant(_) => None,
    }
}

/// The id that sorts before all others.
fn first_id() -> ReauthorizationId {
    ReauthorizationId::from([0; 16])
}
