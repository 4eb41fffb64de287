//! What is stored with a contact: whether mails to it are stopped, when the last one was sent, what it said, and when the
//! next one is due.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Contact, ContactInput};
use crate::{
    ContractId, EmailStop, EpisodeId, Target,
    time::{after, rfc3339},
};

/// The shortest time between two mails to a user. Only a mail that says that a connection works again comes earlier.
pub const SHORTEST_PAUSE: Duration = Duration::from_secs(48 * 60 * 60);

/// An event is written at most this long after its time. AWS's clocks and a write together take some seconds.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// Since when and why mails are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    pub reason: EmailStop,
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
}

/// A contact as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredContact {
    Readable(Contact),
    /// It cannot be decrypted: the service secret was rotated twice since it was sealed. It stays stored, in case its key comes back.
    Unreadable {
        sealed: String,
    },
}

impl StoredContact {
    /// `None` if the address cannot be read.
    fn has_address(&self, address: &str) -> Option<bool> {
        match self {
            Self::Readable(contact) => Some(contact.email.is(address)),
            Self::Unreadable { .. } => None,
        }
    }
}

/// A user's contact and the state of the mails to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactState {
    /// `None` after the application removed it. What is left then keeps the user's will, and the pause between mails.
    pub contact: Option<StoredContact>,
    /// The contract of the grant that the contact came with.
    pub contract_id: ContractId,
    pub stopped: Option<Stopped>,
    pub last_sent_at: Option<Timestamp>,
    /// When the last mail was sent that asked the user for something.
    pub last_asked_at: Option<Timestamp>,
    /// The open episodes that mails named, by account or grant: when one ends, the user gets a mail that says so.
    pub told: BTreeMap<String, EpisodeId>,
    /// When a mail is due. `None` while there is nothing to write.
    pub due_at: Option<Timestamp>,
    /// Whether the mail that is due asks the user for something. If not, it says that a connection works again.
    pub asks: bool,
}

impl ContactState {
    /// The state after the application stored a grant with this input. `None` if nothing is to be written.
    #[must_use]
    pub fn after_input(known: Option<&Self>, input: &ContactInput, contract: &ContractId) -> Option<Self> {
        match (input, known) {
            (ContactInput::Unchanged, _) | (ContactInput::Removed, None) => None,
            (ContactInput::Removed, Some(known)) => known.contact.is_some().then(|| known.clone().without_contact()),
            (ContactInput::Put { contact, .. }, None) => Some(Self {
                contact: Some(StoredContact::Readable(contact.clone())),
                contract_id: contract.clone(),
                stopped: None,
                last_sent_at: None,
                last_asked_at: None,
                told: BTreeMap::new(),
                due_at: None,
                asks: false,
            }),
            (ContactInput::Put { contact, resubscribe }, Some(known)) => {
                let next = known.clone().with_contact(contact, *resubscribe, contract);
                (next != *known).then_some(next)
            }
        }
    }

    fn without_contact(self) -> Self {
        let is_the_users_will = |stopped: &Stopped| stopped.reason != EmailStop::Bounced;
        let stopped = self.stopped.filter(is_the_users_will);
        Self { contact: None, stopped, told: BTreeMap::new(), due_at: None, asks: false, ..self }
    }

    fn with_contact(self, contact: &Contact, resubscribe: bool, contract: &ContractId) -> Self {
        // An address that cannot be read may be the same one.
        let is_same = |known: &StoredContact| known.has_address(contact.email.as_str()).unwrap_or(true);
        let is_same_address = self.contact.as_ref().is_some_and(is_same);
        let remains = |stopped: &Stopped| match stopped.reason {
            EmailStop::Unsubscribed => !resubscribe,
            EmailStop::Bounced => is_same_address,
            // The user's will, and SES writes no more to the address.
            EmailStop::Complained => is_same_address || !resubscribe,
        };
        let stopped = self.stopped.filter(remains);
        let contact = Some(StoredContact::Readable(contact.clone()));
        Self { contact, contract_id: contract.clone(), stopped, ..self }
    }

    /// The contact, if there is one that can be read.
    #[must_use]
    pub fn contact(&self) -> Option<&Contact> {
        match &self.contact {
            Some(StoredContact::Readable(contact)) => Some(contact),
            Some(StoredContact::Unreadable { .. }) | None => None,
        }
    }

    /// Whom to write to. `None` if mails are stopped or there is no address.
    #[must_use]
    pub fn recipient(&self) -> Option<&Contact> {
        self.contact().filter(|_| self.stopped.is_none())
    }

    /// Whether there is somebody to write to who was not written to before: the first contact, another address, or a user who wants
    /// mails again.
    #[must_use]
    pub fn has_new_recipient(&self, before: Option<&Self>) -> bool {
        let before = before.and_then(Self::recipient);
        self.recipient().is_some_and(|now| before.is_none_or(|before| !before.email.is(now.email.as_str())))
    }

    /// The state when the user is to be asked for what has been open for some time. By night, the mail waits when it is sent.
    #[must_use]
    pub fn asking(self, now: Timestamp) -> Self {
        // A mail that is due anyway also waits for what comes into it.
        if self.asks { self } else { self.with_need(now, |at| at).unwrap_or(self) }
    }

    /// The earliest time at which the next mail may be sent that asks the user for something.
    #[must_use]
    pub fn pause_ends_at(&self) -> Option<Timestamp> {
        self.last_sent_at.map(|at| after(at, SHORTEST_PAUSE))
    }

    /// The state when the user is to be asked for something, not before `earliest`. `daytime` moves a time out of the night of
    /// the user. `None` if nothing is to be written: an earlier mail asks for it too.
    #[must_use]
    pub fn with_need(&self, earliest: Timestamp, daytime: impl Fn(Timestamp) -> Timestamp) -> Option<Self> {
        let earliest = self.pause_ends_at().map_or(earliest, |ends_at| ends_at.max(earliest));
        self.due_by(daytime(earliest), true)
    }

    /// The state when an episode has ended. `None` if no mail named this episode.
    #[must_use]
    pub fn with_healing(
        &self,
        target: &Target,
        episode: &EpisodeId,
        now: Timestamp,
        daytime: impl Fn(Timestamp) -> Timestamp,
    ) -> Option<Self> {
        self.was_told(target, episode).then(|| self.due_by(daytime(now), false)).flatten()
    }

    /// The state when the user has dismissed an account: its user is not told when it works again. `None` if no mail named the
    /// episode.
    #[must_use]
    pub fn with_dismissal(&self, target: &Target, episode: &EpisodeId) -> Option<Self> {
        self.was_told(target, episode).then(|| {
            let mut told = self.told.clone();
            told.remove(&target.to_string());
            Self { told, ..self.clone() }
        })
    }

    /// Whether a mail has asked the user for what an event of this time is about. A mail names everything that is open; what it
    /// leaves out has a mail due.
    #[must_use]
    pub fn has_asked_since(&self, event_at: Timestamp) -> bool {
        self.last_asked_at.is_some_and(|asked_at| after(event_at, WRITE_TIME) <= asked_at)
    }

    /// Whether a mail named this open episode.
    #[must_use]
    pub fn was_told(&self, target: &Target, episode: &EpisodeId) -> bool {
        self.told.get(&target.to_string()) == Some(episode)
    }

    fn due_by(&self, at: Timestamp, asks: bool) -> Option<Self> {
        self.recipient()?;
        let due_at = self.due_at.map_or(at, |due_at| due_at.min(at));
        let next = Self { due_at: Some(due_at), asks: self.asks || asks, ..self.clone() };
        (next != *self).then_some(next)
    }

    /// The state while a mail is being sent. `told` are the open episodes that the user knows of afterwards. `again_at` is when
    /// the user is to be asked for what this mail leaves out.
    #[must_use]
    pub fn claimed(&self, now: Timestamp, told: BTreeMap<String, EpisodeId>, again_at: Option<Timestamp>) -> Self {
        Self { last_sent_at: Some(now), ..self.without_mail(told, again_at) }
    }

    /// The state when no mail is sent now.
    #[must_use]
    pub fn without_mail(&self, told: BTreeMap<String, EpisodeId>, again_at: Option<Timestamp>) -> Self {
        Self { told, due_at: again_at, asks: again_at.is_some(), ..self.clone() }
    }

    /// The state with the mail that is due at another time.
    #[must_use]
    pub fn due_again(&self, at: Timestamp) -> Self {
        Self { due_at: Some(at), ..self.clone() }
    }

    /// The state after SES has not taken the mail that was claimed at `claimed_at`. `before` is the state before the claim. With
    /// `again_at`, the mail is due again then. What was written since the claim is kept. `None` if another mail was claimed.
    #[must_use]
    pub fn taken_back(&self, before: &Self, claimed_at: Timestamp, again_at: Option<Timestamp>) -> Option<Self> {
        if self.last_sent_at != Some(claimed_at) {
            return None;
        }
        let (last_sent_at, last_asked_at) = (before.last_sent_at, before.last_asked_at);
        let restored = Self { last_sent_at, last_asked_at, ..self.clone() };
        if self.recipient().is_none() {
            return Some(restored);
        }
        let due_at = self.due_at.into_iter().chain(again_at).min();
        let asks = self.asks || (again_at.is_some() && before.asks);
        Some(Self { told: before.told.clone(), due_at, asks, ..restored })
    }

    /// The state after the user unsubscribed, or a mail to `address` came back or was reported. `None` if that changes
    /// nothing, or the address is no longer the user's.
    #[must_use]
    pub fn with_stop(&self, reason: EmailStop, address: Option<&str>, now: Timestamp) -> Option<Self> {
        // A complaint also counts if the address is not known any more: it is the user's will.
        let is_unknown_counted = reason == EmailStop::Complained;
        let is_current = |address: &str| {
            let known = self.contact.as_ref().and_then(|known| known.has_address(address));
            known.unwrap_or(is_unknown_counted)
        };
        if !address.is_none_or(is_current) {
            return None;
        }
        let is_news = self.stopped.is_none_or(|stopped| reason.outlasts(stopped.reason));
        let stopped = Some(Stopped { reason, at: now });
        is_news.then(|| Self { stopped, due_at: None, told: BTreeMap::new(), asks: false, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::time::before;

    const HOUR: i64 = 3_600;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * HOUR).unwrap()
    }

    fn input(contact: Value) -> ContactInput {
        ContactInput::parse(Some(&contact)).unwrap()
    }

    fn ann() -> ContactInput {
        input(json!({"email": "ann@example.org"}))
    }

    fn contract() -> ContractId {
        "c".parse().unwrap()
    }

    fn put(known: Option<&ContactState>, input: &ContactInput) -> Option<ContactState> {
        ContactState::after_input(known, input, &contract())
    }

    fn state() -> ContactState {
        put(None, &ann()).unwrap()
    }

    fn account() -> Target {
        Target::Account("1_a".parse().unwrap())
    }

    fn episode(number: u8) -> EpisodeId {
        EpisodeId::from([number; 16])
    }

    #[test]
    fn the_same_contact_again_changes_nothing() {
        assert_eq!(put(Some(&state()), &ann()), None);
        assert_eq!(put(Some(&state()), &ContactInput::Unchanged), None);
        assert_eq!(put(None, &ContactInput::Removed), None);
        let other = input(json!({"email": "ann@example.org", "locale": "nl"}));
        assert!(put(Some(&state()), &other).is_some());
    }

    #[test]
    fn an_unsubscription_stays_until_the_user_wants_mails_again() {
        let stopped = state().with_stop(EmailStop::Unsubscribed, None, at(0)).unwrap();
        assert_eq!(stopped.recipient(), None);
        let other = put(Some(&stopped), &input(json!({"email": "bob@example.org"}))).unwrap();
        assert_eq!(other.recipient(), None, "with another address");
        let removed = put(Some(&stopped), &ContactInput::Removed).unwrap();
        assert_eq!(removed.contact, None);
        assert_eq!(put(Some(&removed), &ann()).unwrap().recipient(), None, "after the contact was removed");
        let again = input(json!({"email": "ann@example.org", "resubscribe": true}));
        assert!(put(Some(&stopped), &again).unwrap().recipient().is_some());
    }

    #[test]
    fn a_bounce_or_a_complaint_stops_the_address_that_it_is_about() {
        let bob = input(json!({"email": "bob@example.org"}));
        for reason in [EmailStop::Bounced, EmailStop::Complained] {
            assert_eq!(state().with_stop(reason, Some("bob@example.org"), at(0)), None, "an earlier address");
            let stopped = state().with_stop(reason, Some("Ann@Example.org"), at(0)).unwrap();
            assert_eq!(stopped.with_stop(reason, Some("ann@example.org"), at(1)), None, "once");
            let renamed = input(json!({"email": "ann@example.org", "name": "Ann", "resubscribe": true}));
            assert_eq!(put(Some(&stopped), &renamed).unwrap().recipient(), None, "the address is the same");
            let is_over = put(Some(&stopped), &bob).unwrap().recipient().is_some();
            assert_eq!(is_over, reason == EmailStop::Bounced);
        }
    }

    #[test]
    fn of_two_reasons_the_one_that_is_harder_to_end_stays() {
        let reasons = [EmailStop::Bounced, EmailStop::Unsubscribed, EmailStop::Complained];
        let stop = |state: &ContactState, reason| state.with_stop(reason, Some("ann@example.org"), at(0));
        for (place, weaker) in reasons.into_iter().enumerate() {
            for stronger in &reasons[place + 1..] {
                let stopped = stop(&stop(&state(), weaker).unwrap(), *stronger).unwrap();
                assert_eq!(stopped.stopped.unwrap().reason, *stronger);
                assert_eq!(stop(&stopped, weaker), None, "in the other order too");
            }
        }
    }

    #[test]
    fn a_complaint_stays_until_the_user_wants_mails_at_another_address() {
        let complained = |state: &ContactState| state.with_stop(EmailStop::Complained, Some("ann@example.org"), at(0));
        let stopped = complained(&state()).unwrap();
        let other = put(Some(&stopped), &input(json!({"email": "bob@example.org"}))).unwrap();
        assert_eq!(put(Some(&other), &ann()).unwrap().recipient(), None, "addresses A, B, A");
        let removed = put(Some(&stopped), &ContactInput::Removed).unwrap();
        assert_eq!(put(Some(&removed), &ann()).unwrap().recipient(), None, "after the contact was removed");
        let removed = put(Some(&state()), &ContactInput::Removed).unwrap();
        assert!(complained(&removed).is_some(), "it comes when the contact is removed");
        assert_eq!(removed.with_stop(EmailStop::Bounced, Some("ann@example.org"), at(0)), None);
        let wanted = input(json!({"email": "bob@example.org", "resubscribe": true}));
        assert!(put(Some(&stopped), &wanted).unwrap().recipient().is_some());
    }

    #[test]
    fn a_contact_that_cannot_be_read_is_nobody_to_write_to_until_it_is_replaced() {
        let contact = Some(StoredContact::Unreadable { sealed: "x".to_owned() });
        let unreadable = ContactState { contact, last_sent_at: Some(at(0)), ..state() };
        assert_eq!((unreadable.recipient(), unreadable.with_need(at(1), |at| at)), (None, None));
        let replaced = put(Some(&unreadable), &ann()).unwrap();
        assert_eq!(replaced, ContactState { last_sent_at: Some(at(0)), ..state() });
        assert_eq!(put(Some(&unreadable), &ContactInput::Removed).unwrap().contact, None);
        for reason in [EmailStop::Unsubscribed, EmailStop::Bounced, EmailStop::Complained] {
            let stopped = Some(Stopped { reason, at: at(0) });
            let unreadable = ContactState { stopped, ..unreadable.clone() };
            assert_eq!(put(Some(&unreadable), &ann()).unwrap().stopped, stopped);
        }
    }

    #[test]
    fn somebody_who_becomes_reachable_is_asked_after_the_pause() {
        let stopped = state().with_stop(EmailStop::Unsubscribed, None, at(0)).unwrap();
        let other = put(Some(&state()), &input(json!({"email": "bob@example.org"}))).unwrap();
        assert!(state().has_new_recipient(None) && state().has_new_recipient(Some(&stopped)));
        assert!(other.has_new_recipient(Some(&state())));
        let renamed = put(Some(&state()), &input(json!({"email": "Ann@example.org", "name": "Ann"}))).unwrap();
        assert!(!renamed.has_new_recipient(Some(&state())) && !stopped.has_new_recipient(Some(&state())));

        let asked = other.clone().asking(at(1));
        assert_eq!((asked.due_at, asked.asks), (Some(at(1)), true));
        let sent = other.claimed(at(0), BTreeMap::new(), None);
        assert_eq!(sent.asking(at(1)).due_at, Some(at(48)));
        let waiting = other.with_need(at(3), |at| at).unwrap();
        assert_eq!(waiting.clone().asking(at(1)), waiting);
    }

    #[test]
    fn a_mail_is_due_once_and_48_hours_after_the_last() {
        let due = |state: &ContactState, earliest| state.with_need(at(earliest), |at| at);
        let first = due(&state(), 1).unwrap();
        assert_eq!(first.due_at, Some(at(1)));
        assert_eq!(due(&first, 2), None, "one mail tells both");
        let sent = first.claimed(at(1), BTreeMap::new(), None);
        assert_eq!(due(&sent, 2).unwrap().due_at, Some(at(49)));
        assert_eq!(due(&sent, 60).unwrap().due_at, Some(at(60)));
        let night = sent.with_need(at(2), |at| after(at, Duration::from_secs(5 * 3_600))).unwrap();
        assert_eq!(night.due_at, Some(at(54)), "the pause ends in the night");
        let stopped = first.with_stop(EmailStop::Unsubscribed, None, at(1)).unwrap();
        assert_eq!((stopped.due_at, due(&stopped, 2)), (None, None));
    }

    #[test]
    fn a_mail_that_is_taken_back_is_due_again_whatever_was_written_since_the_claim() {
        let told = |number| BTreeMap::from([(account().to_string(), episode(number))]);
        let before = ContactState { told: told(1), ..state().with_need(at(1), |at| at).unwrap() };
        let claimed = before.claimed(at(1), told(2), Some(at(50)));
        let back = claimed.taken_back(&before, at(1), Some(at(2))).unwrap();
        assert_eq!(back, before.due_again(at(2)));
        let refused = claimed.taken_back(&before, at(1), None).unwrap();
        assert_eq!((refused.due_at, refused.last_sent_at, refused.told), (Some(at(50)), None, told(1)));
        let needed = before.claimed(at(1), told(2), None).with_need(at(60), |at| at).unwrap();
        assert_eq!(needed.taken_back(&before, at(1), Some(at(2))), Some(before.due_again(at(2))));
        assert_eq!(needed.taken_back(&before, at(1), None).unwrap().due_at, Some(at(60)));
        let stopped = claimed.with_stop(EmailStop::Unsubscribed, None, at(1)).unwrap();
        let back = stopped.taken_back(&before, at(1), Some(at(2))).unwrap();
        assert_eq!((back.due_at, back.last_sent_at, back.told.len()), (None, None, 0));
        let again = claimed.claimed(at(60), BTreeMap::new(), None);
        assert_eq!(again.taken_back(&before, at(1), Some(at(2))), None, "another mail was claimed");
    }

    #[test]
    fn a_mail_has_asked_for_what_events_before_it_are_about() {
        let sent = ContactState { last_asked_at: Some(at(1)), ..state() };
        assert!(sent.has_asked_since(at(0)) && !sent.has_asked_since(at(1)) && !state().has_asked_since(at(0)));
        let shortly_before = before(at(1), Duration::from_secs(30));
        assert!(!sent.has_asked_since(shortly_before), "the event may have been written after the mail was composed");
    }

    #[test]
    fn an_account_that_was_dismissed_is_not_told_when_it_works_again() {
        let sent = ContactState { told: BTreeMap::from([(account().to_string(), episode(1))]), ..state() };
        assert_eq!(sent.with_dismissal(&account(), &episode(2)), None, "an earlier episode");
        let dismissed = sent.with_dismissal(&account(), &episode(1)).unwrap();
        assert_eq!(dismissed.with_healing(&account(), &episode(1), at(3), |at| at), None);
    }

    #[test]
    fn only_the_end_of_an_episode_that_a_mail_named_is_told_at_once() {
        let heal = |state: &ContactState, number| state.with_healing(&account(), &episode(number), at(3), |at| at);
        assert_eq!(heal(&state(), 1), None);
        let told = BTreeMap::from([(account().to_string(), episode(1))]);
        let sent = state().claimed(at(1), told, None);
        assert_eq!(heal(&sent, 2), None, "another episode");
        assert_eq!(heal(&sent, 1).unwrap().due_at, Some(at(3)), "within 48 hours");
        let waiting = sent.with_need(at(2), |at| at).unwrap();
        assert_eq!(heal(&waiting, 1).unwrap().due_at, Some(at(3)), "before the mail that waits");
    }
}
