//! What the console asks the index.

use std::collections::BTreeMap;

use reauth_core::store::{Link, StoredAttempt, StoredEvent, url_hash};
use reauth_domain::{
    Account, EventId, Outage, Target, UserId, reauthorization::Reauthorization, webhook::WebhookHealth,
};
use url::Url;

use super::{
    tables::{Counts, Tables, User},
    timeline::Step,
};

/// One page of a longer list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// From 1.
    pub(crate) number: usize,
    pub(crate) size: usize,
    /// The number of items of all pages.
    pub(crate) total: usize,
}

impl<T> Page<T> {
    /// A page of an iterator whose length is known. A number beyond the last page means the last page.
    pub(crate) fn of(all: impl Iterator<Item = T>, total: usize, number: usize, size: usize) -> Self {
        let last = total.div_ceil(size).max(1);
        let number = number.clamp(1, last);
        Self { items: all.skip((number - 1) * size).take(size).collect(), number, size, total }
    }
}

/// Which open episodes are asked for. `None` means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) service: Option<String>,
    pub(crate) step: Option<Step>,
}

/// What a search found.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    User(&'a UserId),
    Account(&'a UserId, &'a Account),
}

impl Tables {
    /// What is known of the webhook's endpoint with this URL.
    pub(crate) fn webhook_health(&self, url: &str) -> WebhookHealth {
        let hash = Url::parse(url).ok().map(|url| url_hash(&url));
        let of_endpoint = self.webhook.as_ref().filter(|(of, _)| Some(of) == hash.as_ref());
        of_endpoint.map(|(_, health)| health.clone()).unwrap_or_default()
    }

    /// The last outage of each service, newest first.
    pub(crate) fn outages(&self) -> Vec<&Outage> {
        let mut outages: Vec<_> = self.outages.values().collect();
        outages.sort_by_key(|outage| std::cmp::Reverse(outage.since));
        outages
    }

    /// The attempts to post an event, oldest first.
    pub(crate) fn attempts(&self, event: &EventId) -> Vec<&StoredAttempt> {
        let mut attempts: Vec<_> = self.attempts.get(event).into_iter().flat_map(BTreeMap::values).collect();
        attempts.sort_by_key(|attempt| attempt.attempted_at);
        attempts
    }

    /// The open episodes, oldest first.
    pub(crate) fn needing_attention(&self, filter: &Filter, page: usize, size: usize) -> Page<(UserId, Target)> {
        let item = |(_, user, target): &(_, UserId, Target)| (user.clone(), target.clone());
        if filter.service.is_none() && filter.step.is_none() {
            return Page::of(self.open.iter().map(item), self.open.len(), page, size);
        }
        let fits = |(_, user, target): &&(_, UserId, Target)| {
            let standing = self.users.get(user).and_then(|user| user.standings.get(target));
            standing.is_some_and(|standing| {
                filter.service.as_ref().is_none_or(|service| *service == standing.service)
                    && filter.step.is_none_or(|step| standing.open.is_some_and(|(_, at)| at == step))
            })
        };
        let all: Vec<_> = self.open.iter().filter(fits).collect();
        Page::of(all.iter().copied().map(item), all.len(), page, size)
    }

    /// How many episodes stand at each step, by service.
    pub(crate) fn funnel(&self) -> &BTreeMap<String, Counts> {
        &self.funnel
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn user(&self, id: &UserId) -> Option<&User> {
        self.users.get(id)
    }

    /// The users and accounts whose user id, account id or service name contains the text. Case does not matter. Without a
    /// text, all users.
    pub(crate) fn search(&self, text: &str, page: usize, size: usize) -> Page<Found<'_>> {
        if text.is_empty() {
            let users = self.users.keys().map(Found::User);
            return Page::of(users, self.users.len(), page, size);
        }
        let text = text.to_lowercase();
        let contains = |value: &str| value.to_lowercase().contains(&text);
        let mut found = Vec::new();
        for (id, user) in &self.users {
            if contains(id.as_str()) {
                found.push(Found::User(id));
            }
            for account in user.accounts.values() {
                let service = account.service_name.as_deref().unwrap_or_default();
                if contains(account.account_id.as_str()) || contains(service) {
                    found.push(Found::Account(id, account));
                }
            }
        }
        Page::of(found.iter().copied(), found.len(), page, size)
    }

    /// The events, newest first.
    pub(crate) fn notifications(&self, page: usize, size: usize) -> Page<&StoredEvent> {
        let ids = Page::of(self.recent.iter().rev(), self.recent.len(), page, size);
        let Page { items, number, size, total } = ids;
        Page { items: items.into_iter().filter_map(|(_, id)| self.event(id)).collect(), number, size, total }
    }

    pub(crate) fn event(&self, id: &EventId) -> Option<&StoredEvent> {
        let (user, target, sequence) = self.events.get(id)?;
        self.users.get(user)?.events.get(&(target.clone(), *sequence))
    }

    /// The link that an event contains.
    pub(crate) fn link(&self, event: &EventId) -> Option<&Link> {
        self.links.get(event)
    }

    /// The hashes of the tokens of a user's links.
    pub(crate) fn link_hashes(&self, user: &UserId) -> Vec<String> {
        self.users.get(user).map(|user| user.links.keys().cloned().collect()).unwrap_or_default()
    }

    /// The first reauthorization that was started from the link of an event.
    pub(crate) fn started_from(&self, event: &EventId) -> Option<&Reauthorization> {
        let (user, _, _) = self.events.get(event)?;
        let of_user = &self.users.get(user)?.reauthorizations;
        let from_link = |one: &&Reauthorization| one.link.as_ref().is_some_and(|link| link.event_id == *event);
        let all = of_user.iter().filter_map(|(_, _, id)| self.reauthorizations.get(id)).filter(from_link);
        all.min_by_key(|one| one.created_at)
    }

    /// The user of a reauthorization.
    pub(crate) fn user_of_reauthorization(&self, id: &reauth_domain::ReauthorizationId) -> Option<&UserId> {
        self.reauthorizations.get(id).map(|one| &one.user_id)
    }
}
