use super::{
    take::{ACTIVE, MAX_CLAIMS},
    *,
};
use crate::EventDetail;

const NOW: &str = "2026-11-23T10:00:00Z";
const CLAIMED: &str = "2026-11-23T09:30:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn account(status: Status) -> Account {
    let mut account = Account::new("u".parse().unwrap(), "1_a".parse().unwrap());
    account.username = Some("ann".to_owned());
    account.status = status;
    account.sequence = 5;
    account
}

fn episode(n: u8) -> Episode {
    let since = time("2026-11-23T08:00:00Z");
    Episode::new(EpisodeId::from([n; 16]), since, AccountError::default(), since)
}

fn claim(n: u8) -> Attempt {
    Attempt { id: ReauthorizationId::from([n; 16]), failure: None, told: Vec::new() }
}

/// An attempt that failed with this code. The application was notified of it.
fn failed(n: u8, code: FailureCode) -> Attempt {
    Attempt { failure: Some(code.clone()), told: vec![code], ..claim(n) }
}

fn listed(username: &str, authorized: bool) -> ListedAccount {
    ListedAccount {
        id: "1_a".parse().unwrap(),
        username: Some(username.to_owned()),
        service_name: None,
        service_logo: None,
        created_at: None,
        authorized: Some(authorized),
        authorization_expires_at: None,
    }
}

fn wrong_account() -> Refusal {
    Refusal { code: FailureCode::WrongAccount, found: Some("bob".to_owned()) }
}

fn verifying(episode: Option<Episode>, dismissed_at: Option<Timestamp>) -> Status {
    let (claims, since, before) = (vec![claim(1)], time(CLAIMED), ActiveBefore::default());
    Status::Verifying { episode, dismissed_at, claims, since, before }
}

fn states() -> Vec<(&'static str, Status)> {
    let dismissed_at = time("2026-11-23T09:00:00Z");
    vec![
        ("active", ACTIVE),
        ("reauth_required", Status::ReauthRequired(episode(1))),
        ("dismissed", Status::Dismissed { episode: episode(1), dismissed_at }),
        ("verifying (episode)", verifying(Some(episode(1)), None)),
        ("verifying (dismissed)", verifying(Some(episode(1)), Some(dismissed_at))),
        ("verifying (none)", verifying(None, None)),
    ]
}

fn signals() -> Vec<(&'static str, Signal)> {
    vec![
        (
            "lost",
            Signal::AuthorizationLost {
                error: AccountError::default(),
                observed_at: time("2026-11-23T09:45:00Z"),
                new_episode: EpisodeId::from([9; 16]),
            },
        ),
        ("completed", Signal::ReadCompleted { observed_at: time("2026-11-23T09:50:00Z"), listed: None }),
        ("confirmed by callback", Signal::Confirmed { via: Via::Callback, listed: None, attempt: Some(claim(2)) }),
        ("confirmed by sweep", Signal::Confirmed { via: Via::Sweep, listed: None, attempt: None }),
        ("claimed", Signal::Claimed { attempt: claim(2) }),
        ("claimed again", Signal::Claimed { attempt: claim(1) }),
        ("failed", Signal::Failed { attempt: claim(2), code: FailureCode::UserCancel }),
        ("denied to callback", Signal::Denied { attempt: Some(claim(2)), refusal: wrong_account() }),
        ("denied to sweep", Signal::Denied { attempt: None, refusal: FailureCode::NotAuthorized.into() }),
        ("never confirmed", Signal::NeverConfirmed),
        ("dismissed by the user", Signal::Dismissed),
        ("postponed", Signal::Postponed),
        ("reminder due", Signal::ReminderDue),
        ("expiry due", Signal::ExpiryDue(warning())),
        ("identity accepted", Signal::IdentityAccepted { listed: listed("bob", true) }),
        ("unlisted", Signal::Unlisted),
    ]
}

fn warning() -> ExpiryWarning {
    ExpiryWarning { expires_at: time("2026-11-30T10:00:00Z"), days_left: 7, basis: ExpiryBasis::Source }
}

fn show_id(id: &&str) -> String {
    id.chars().last().unwrap_or('?').to_string()
}

/// `state + signal -> state, events, settled`, one line.
fn line(result: Outcome) -> String {
    let change = match result {
        Outcome::Unchanged(account) => return format!("unchanged, {}", account.status.name()),
        Outcome::Changed(change) => change,
    };
    let account = &change.account;
    let episode = account.episode().map_or("-".into(), |episode| show_id(&episode.episode_id.as_str()));
    let events: Vec<_> = change
        .events
        .iter()
        .map(|NewEvent { detail, episode_id }| {
            let episode = episode_id.as_ref().map_or("-".into(), |id| show_id(&id.as_str()));
            let what = match detail {
                EventDetail::ReauthorizationRequired { reminder: 0, .. } => "required".to_owned(),
                EventDetail::ReauthorizationRequired { reminder, .. } => format!("reminder {reminder}"),
                EventDetail::Reauthorized { via, verified } => {
                    format!("reauthorized({via:?}, {verified})")
                }
                EventDetail::ReauthorizationFailed { reauthorization_id, error_code, .. } => {
                    format!("failed({}, {error_code})", show_id(&reauthorization_id.as_str()))
                }
                EventDetail::Removed {} => "removed".to_owned(),
                EventDetail::Dismissed { .. } => "dismissed".to_owned(),
                EventDetail::AuthorizationExpiring { days_left, .. } => format!("expiring in {days_left} days"),
                EventDetail::UserReauthorizationRequired { .. }
                | EventDetail::UserReauthorized { .. }
                | EventDetail::UserReauthorizationFailed { .. }
                | EventDetail::UserAuthorizationExpiring { .. }
                | EventDetail::UserEmailsStopped { .. } => unreachable!("an event of a grant"),
            };
            format!("{what} of episode {episode}")
        })
        .collect();
    let settled: Vec<_> =
        change.settled.iter().map(|(id, how)| format!("{}: {how:?}", show_id(&id.as_str()))).collect();
    let at = account.reauthorized_at.map_or("-".into(), |at| at.to_string());
    let status = match account.status {
        _ if change.removes => "removed".to_owned(),
        Status::Active { verified, .. } => format!("active, verified {verified:?}"),
        ref status => status.name().to_owned(),
    };
    let mismatch = account.identity_mismatch.as_ref().map_or("-", |mismatch| &mismatch.found);
    format!(
        "{status} (episode {episode}, reauthorized at {at}, mismatch {mismatch}, notices {:?}) | {} | {}",
        account.notices,
        events.join(", "),
        settled.join(", ")
    )
}

#[test]
fn the_whole_table_of_states_and_signals() {
    let mut table = String::new();
    for (state_name, state) in states() {
        for (signal_name, signal) in signals() {
            let result = line(account(state.clone()).take(signal, time(NOW)));
            table.push_str(&format!("{state_name} + {signal_name}\n    -> {result}\n"));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_list_lets_the_sweep_plan_what_an_earlier_version_stored_without_a_plan() {
    let known = account(ACTIVE).described(&listed("bob", true));
    for (status, plan, expected) in [
        (ACTIVE, NoticePlan::Nothing, NoticePlan::Unplanned),
        (Status::ReauthRequired(episode(1)), NoticePlan::Nothing, NoticePlan::Nothing),
        (ACTIVE, NoticePlan::At(time(NOW)), NoticePlan::At(time(NOW))),
        (Status::Dismissed { episode: episode(1), dismissed_at: time(NOW) }, NoticePlan::Nothing, NoticePlan::Nothing),
    ] {
        let stored = Account { status, notices: plan, ..known.clone() };
        assert_eq!(stored.described(&listed("bob", true)).notices, expected);
    }
}

#[test]
fn one_episode_is_told_once_however_many_reads_fail() {
    let lost = |n| Signal::AuthorizationLost {
        error: AccountError::default(),
        observed_at: time(NOW),
        new_episode: EpisodeId::from([n; 16]),
    };
    let Outcome::Changed(first) = account(ACTIVE).take(lost(1), time(NOW)) else { panic!("a change") };
    let Outcome::Unchanged(second) = first.account.clone().take(lost(2), time(NOW)) else { panic!("no change") };
    assert_eq!(second, first.account);
}

/// An active account that expires in a week, as digi.me says, and whose user was warned of it.
fn warned() -> Account {
    let expiring = Status::Active { verified: None, authorization_expires_at: Some(warning().expires_at) };
    changed(account(expiring).take(Signal::ExpiryDue(warning()), time(NOW))).account
}

#[test]
fn a_warning_ends_with_the_expiry_that_it_is_about() {
    let healed = |expires_at: Option<Timestamp>| {
        let listed = ListedAccount { authorization_expires_at: expires_at, ..listed("ann", true) };
        let signal = Signal::Confirmed { via: Via::Callback, listed: Some(listed), attempt: None };
        changed(warned().take(signal, time(NOW))).account
    };
    assert_eq!(healed(None).warned, None);
    assert_eq!(healed(None).authorization_ends_at(), None);
    assert_eq!(healed(Some(time("2027-02-23T10:00:00Z"))).warned, None);
    assert!(healed(Some(warning().expires_at)).warned.is_some(), "the expiry is the same");

    let lost = Signal::AuthorizationLost {
        error: AccountError::default(),
        observed_at: time(NOW),
        new_episode: EpisodeId::from([9; 16]),
    };
    let completed = Signal::ReadCompleted { observed_at: time(NOW), listed: None };
    let read = changed(changed(warned().take(lost, time(NOW))).account.take(completed, time(NOW))).account;
    assert_eq!(read.warned, None);

    let described = |expires_at: Option<Timestamp>| {
        warned().described(&ListedAccount { authorization_expires_at: expires_at, ..listed("ann", true) })
    };
    assert_eq!((described(None).warned, described(None).authorization_ends_at()), (None, None));
    assert_eq!(described(Some(time("2027-02-23T10:00:00Z"))).warned, None);
    assert!(described(Some(time("2026-11-30T12:00:00Z"))).warned.is_some(), "digi.me computed it anew");
}

#[test]
fn the_number_of_waiting_claims_is_bounded() {
    let mut account = account(Status::ReauthRequired(episode(1)));
    for n in 0..100 {
        account = match account.take(Signal::Claimed { attempt: claim(n) }, time(NOW)) {
            Outcome::Changed(change) => change.account,
            Outcome::Unchanged(account) => account,
        };
    }
    let Status::Verifying { claims, .. } = account.status else { panic!("verifying") };
    assert_eq!(claims.len(), MAX_CLAIMS);
}

#[test]
fn a_masked_name_keeps_its_ends_only() {
    assert_eq!(mask("alex.morgan"), "al•••••an");
    assert_eq!(mask("ann@example.org"), "a•••••@ex•••••rg");
    assert_eq!((mask("äö"), mask("")), ("ä•••••".to_owned(), "•••••".to_owned()));
    assert_eq!((mask("anna"), mask("annette")), ("a•••••a".to_owned(), "a•••••e".to_owned()));
}

fn changed(outcome: Outcome) -> Change {
    let Outcome::Changed(change) = outcome else { panic!("nothing changes: {outcome:?}") };
    change
}

#[test]
fn a_failure_that_comes_again_is_not_told_again() {
    let denied = |attempt| Signal::Denied { attempt: Some(attempt), refusal: FailureCode::NotAuthorized.into() };
    let needing = || account(Status::ReauthRequired(episode(1)));
    let first = changed(needing().take(denied(claim(2)), time(NOW)));
    assert_eq!(first.events.len(), 1);
    let again = needing().take(denied(failed(2, FailureCode::NotAuthorized)), time(NOW));
    assert!(matches!(again, Outcome::Unchanged(_)), "{again:?}");

    // The application is notified of another failure in between, and not of the first one again after it.
    let mut attempt = failed(2, FailureCode::WrongAccount);
    attempt.told.push(FailureCode::NotAuthorized);
    let back = changed(needing().take(denied(attempt.clone()), time(NOW)));
    assert!(back.events.is_empty(), "{back:?}");
    assert_eq!(back.settled, [(attempt.id, Settlement::Failed(FailureCode::NotAuthorized))]);
}

#[test]
fn a_failure_that_was_told_before_the_claim_is_not_told_after_it() {
    let attempt = failed(2, FailureCode::NotAuthorized);
    let claimed = changed(account(Status::ReauthRequired(episode(1))).take(Signal::Claimed { attempt }, time(NOW)));
    let denied = Signal::Denied { attempt: None, refusal: FailureCode::NotAuthorized.into() };
    let denied = changed(claimed.account.take(denied, time(NOW)));
    assert!(denied.events.is_empty() && denied.settled.len() == 1, "{denied:?}");
}

#[test]
fn sequence_numbers_never_fall_behind_the_milliseconds_of_their_time() {
    let now = time(NOW);
    let mut account = account(verifying(None, None));
    let lost = Signal::AuthorizationLost {
        error: AccountError::default(),
        observed_at: now,
        new_episode: EpisodeId::from([9; 16]),
    };
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap();
    let first = changed(account.clone().take(lost.clone(), now));
    assert_eq!((first.events.len(), first.account.sequence), (2, milliseconds + 1));
    account.sequence = milliseconds + 10;
    assert_eq!(changed(account.take(lost, now)).account.sequence, milliseconds + 12, "and always grow");
}

#[test]
fn while_the_login_is_another_a_read_heals_only_with_the_expected_one() {
    let denied = Signal::Denied { attempt: Some(claim(2)), refusal: wrong_account() };
    let mismatched = changed(account(Status::ReauthRequired(episode(1))).take(denied, time(NOW))).account;
    assert_eq!(mismatched.username.as_deref(), Some("ann"), "the expected login stays");
    let read = |username: Option<&str>| {
        let listed = username.map(|username| listed(username, true));
        mismatched.clone().take(Signal::ReadCompleted { observed_at: time(NOW), listed }, time(NOW))
    };
    for username in [None, Some("bob")] {
        assert!(matches!(read(username), Outcome::Unchanged(_)), "{username:?}");
    }
    let healed = changed(read(Some("ann"))).account;
    assert!(matches!(healed.status, Status::Active { .. }) && healed.identity_mismatch.is_none());

    let accepted = Signal::IdentityAccepted { listed: listed("bob", true) };
    let accepted = changed(mismatched.take(accepted, time(NOW))).account;
    assert_eq!((accepted.username.as_deref(), accepted.identity_mismatch), (Some("bob"), None));
}

#[test]
fn the_list_changes_the_expected_login_only_of_an_account_that_is_settled() {
    let required = account(Status::ReauthRequired(episode(1))).described(&listed("bob", true));
    assert_eq!(required.username.as_deref(), Some("ann"));
    let mut mismatched = account(ACTIVE);
    mismatched.identity_mismatch = Some(IdentityMismatch { found: "bob".to_owned() });
    assert_eq!(mismatched.described(&listed("bob", true)).username.as_deref(), Some("ann"));
    assert_eq!(account(ACTIVE).described(&listed("bob", true)).username.as_deref(), Some("bob"));
}
