//! Taking a read result in: what it decides is found from one reading of the user's accounts, then written: healthy
//! reads in one write, each account whose state changes in a transaction of its own.

use std::time::Duration;

use jiff::Timestamp;
use reauth_core::{
    access::retry_conflicts,
    ambient::after,
    domain::{Account, AccountId, Change, EpisodeId, Outcome, Signal, Status, read_result::Entry},
    lambda::Trigger,
    store::{Commit, ReadMark, Reads, Scene, StoreError, Versioned},
};

use crate::{RecordReadResult, message::ReadMessage};

/// Without the time of the read itself, an error sent this soon after a reauthorization may be of a read before it.
const UNCERTAINTY: Duration = Duration::from_secs(15 * 60);

/// What a read result decides.
#[derive(Debug, Default)]
struct Decision {
    /// Reads that change no status, to be remembered.
    marks: Reads,
    /// Changes, each with the read that brings it and the version of the account that it rests on.
    changes: Vec<(Change, ReadMark, u64)>,
}

impl RecordReadResult {
    pub(crate) async fn take_in(&self, message: &ReadMessage, trigger: Trigger) -> Result<(), StoreError> {
        retry_conflicts(&self.ambient, trigger, || async move {
            let scene = self.store.scene(&message.submission.user_id).await?;
            let decision = self.decide(message, &scene)?;
            self.remember(message, &scene, decision.marks, trigger.at).await?;
            for (change, mark, read_version) in decision.changes {
                let read = Some((message.submission.contract_id.clone(), mark));
                let commit = Commit { change, read_version, read, callback: None, triggered_at: trigger.at };
                self.store.commit(commit).await?;
            }
            Ok(())
        })
        .await
    }

    fn decide(&self, message: &ReadMessage, scene: &Scene) -> Result<Decision, StoreError> {
        let submission = &message.submission;
        let mut decision = Decision::default();
        for (id, entry) in &submission.read_result.entries {
            let needs_user = match entry {
                Entry::Completed => false,
                Entry::NeedsUser(_) => true,
                Entry::Undecided => continue,
            };
            let mark = ReadMark { observed_at: submission.observed_at.unwrap_or(message.sent_at), needs_user };
            let known = scene.accounts.get(id).cloned();
            let mut read = known.unwrap_or_else(|| Versioned {
                value: Account::new(submission.user_id.clone(), id.clone()),
                version: 0,
            });
            let uncertain = submission.observed_at.is_none();
            if !is_news(mark, uncertain, scene.last_read(id), read.value.last_reauthorization()) {
                continue;
            }
            if let Some(contract_id) = &submission.contract_id {
                read.value.contract_id = Some(contract_id.clone());
            }
            match self.signal(entry, mark, &read.value) {
                None => drop(decision.marks.insert(id.clone(), mark)),
                Some(signal) => self.take(id, read, signal, mark, &mut decision)?,
            }
        }
        Ok(decision)
    }

    /// The signal that an entry is for an account; none if its state cannot change by it.
    fn signal(&self, entry: &Entry, mark: ReadMark, account: &Account) -> Option<Signal> {
        let observed_at = mark.observed_at;
        match (entry, &account.status) {
            (Entry::Undecided, _) | (Entry::Completed, Status::Active) => None,
            (Entry::Completed, _) => Some(Signal::ReadCompleted { observed_at }),
            (Entry::NeedsUser(error), _) => {
                let new_episode = EpisodeId::from(self.ambient.bytes());
                Some(Signal::AuthorizationLost { error: error.clone(), observed_at, new_episode })
            }
        }
    }

    fn take(
        &self,
        id: &AccountId,
        read: Versioned<Account>,
        signal: Signal,
        mark: ReadMark,
        decision: &mut Decision,
    ) -> Result<(), StoreError> {
        let outcome = read.value.take(signal, self.ambient.now());
        match outcome.map_err(|error| StoreError::Corrupt(error.to_string()))? {
            Outcome::Changed(change) => decision.changes.push((change, mark, read.version)),
            Outcome::Unchanged(_) => drop(decision.marks.insert(id.clone(), mark)),
        }
        Ok(())
    }

    async fn remember(
        &self,
        message: &ReadMessage,
        scene: &Scene,
        marks: Reads,
        triggered_at: Timestamp,
    ) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        let submission = &message.submission;
        let known = scene.reads.get(&submission.contract_id).cloned();
        let mut reads = known.unwrap_or_else(|| Versioned { value: Reads::new(), version: 0 });
        reads.value.extend(marks);
        self.store.put_reads(&submission.user_id, submission.contract_id.as_ref(), &reads, triggered_at).await
    }
}

/// Whether a read tells more than what is known: it is newer than the last one that was taken in (at equal times the
/// error is), and not older than the last reauthorization.
fn is_news(mark: ReadMark, uncertain: bool, last: Option<ReadMark>, reauthorized_at: Option<Timestamp>) -> bool {
    let newer = last.is_none_or(|last| last < mark);
    let outdated = reauthorized_at.is_some_and(|at| {
        mark.observed_at < at || (uncertain && mark.needs_user && mark.observed_at < after(at, UNCERTAINTY))
    });
    newer && !outdated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn mark(minute: i64, needs_user: bool) -> ReadMark {
        ReadMark { observed_at: at(minute), needs_user }
    }

    #[test]
    fn only_newer_reads_are_news_and_the_error_wins_at_equal_times() {
        assert!(is_news(mark(5, false), false, None, None));
        assert!(is_news(mark(5, false), false, Some(mark(4, true)), None));
        assert!(!is_news(mark(5, false), false, Some(mark(6, false)), None));
        assert!(is_news(mark(5, true), false, Some(mark(5, false)), None));
        assert!(!is_news(mark(5, false), false, Some(mark(5, true)), None));
        assert!(!is_news(mark(5, true), false, Some(mark(5, true)), None));
    }

    #[test]
    fn what_is_older_than_the_reauthorization_is_no_news() {
        assert!(!is_news(mark(5, true), false, None, Some(at(6))));
        assert!(is_news(mark(6, true), false, None, Some(at(6))));
        assert!(!is_news(mark(20, true), true, None, Some(at(6))));
        assert!(is_news(mark(21, true), true, None, Some(at(6))));
        assert!(is_news(mark(7, false), true, None, Some(at(6))));
    }
}
