use super::*;

const NOW: &str = "2026-11-23T10:00:00Z";
const CLAIMED: &str = "2026-11-23T09:30:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn account(status: Status) -> Account {
    let mut account = Account::new("u".parse().unwrap(), "1_a".parse().unwrap());
    account.status = status;
    account.sequence = 5;
    account
}

fn episode(n: u8) -> Episode {
    Episode {
        episode_id: EpisodeId::from([n; 16]),
        since: time("2026-11-23T08:00:00Z"),
        error: AccountError::default(),
    }
}

fn claim(n: u8) -> ReauthorizationId {
    ReauthorizationId::from([n; 16])
}

fn states() -> Vec<(&'static str, Status)> {
    let verifying = |episode| Status::Verifying { episode, claims: vec![claim(1)], since: time(CLAIMED) };
    vec![
        ("active", Status::Active),
        ("reauth_required", Status::ReauthRequired(episode(1))),
        ("verifying (episode)", verifying(Some(episode(1)))),
        ("verifying (none)", verifying(None)),
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
        ("completed", Signal::ReadCompleted { observed_at: time("2026-11-23T09:50:00Z") }),
        ("confirmed by callback", Signal::Confirmed { via: Via::Callback, reauthorization: Some(claim(2)) }),
        ("confirmed by sweep", Signal::Confirmed { via: Via::Sweep, reauthorization: None }),
        ("claimed", Signal::Claimed { reauthorization: claim(2) }),
        ("claimed again", Signal::Claimed { reauthorization: claim(1) }),
        ("failed", Signal::Failed { reauthorization: claim(2), code: FailureCode::UserCancel }),
        ("denied to callback", Signal::Denied { reauthorization: Some(claim(2)), code: FailureCode::WrongAccount }),
        ("denied to sweep", Signal::Denied { reauthorization: None, code: FailureCode::NotAuthorized }),
        ("never confirmed", Signal::NeverConfirmed),
    ]
}

fn show_id(id: &&str) -> String {
    id.chars().last().unwrap_or('?').to_string()
}

/// `state + signal -> state, events, settled`, one line.
fn line(result: Result<Outcome, InvalidTransition>) -> String {
    let change = match result {
        Err(error) => return format!("error: {error}"),
        Ok(Outcome::Unchanged(account)) => return format!("unchanged, {}", account.status.name()),
        Ok(Outcome::Changed(change)) => change,
    };
    let account = &change.account;
    assert_eq!(account.sequence, 5 + change.events.len() as u64, "the sequence counts the events");
    let episode = account.episode().map_or("-".into(), |episode| show_id(&episode.episode_id.as_str()));
    let events: Vec<_> = change
        .events
        .iter()
        .map(|(detail, episode)| {
            let episode = episode.as_ref().map_or("-".into(), |id| show_id(&id.as_str()));
            let what = match detail {
                EventDetail::ReauthorizationRequired { .. } => "required".to_owned(),
                EventDetail::Reauthorized { via, verified } => {
                    format!("reauthorized({via:?}, {verified})")
                }
                EventDetail::ReauthorizationFailed { reauthorization_id, error_code, .. } => {
                    format!("failed({}, {error_code})", show_id(&reauthorization_id.as_str()))
                }
            };
            format!("{what} of episode {episode}")
        })
        .collect();
    let settled: Vec<_> =
        change.settled.iter().map(|(id, how)| format!("{}: {how:?}", show_id(&id.as_str()))).collect();
    let at = account.reauthorized_at.map_or("-".into(), |at| at.to_string());
    format!(
        "{} (episode {episode}, reauthorized at {at}, verified {:?}) | {} | {}",
        account.status.name(),
        account.verified,
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
fn one_episode_is_told_once_however_many_reads_fail() {
    let lost = |n| Signal::AuthorizationLost {
        error: AccountError::default(),
        observed_at: time(NOW),
        new_episode: EpisodeId::from([n; 16]),
    };
    let Ok(Outcome::Changed(first)) = account(Status::Active).take(lost(1), time(NOW)) else { panic!("a change") };
    let Ok(Outcome::Unchanged(second)) = first.account.clone().take(lost(2), time(NOW)) else { panic!("no change") };
    assert_eq!(second, first.account);
}

#[test]
fn the_number_of_waiting_claims_is_bounded() {
    let mut account = account(Status::ReauthRequired(episode(1)));
    for n in 0..100 {
        account = match account.take(Signal::Claimed { reauthorization: claim(n) }, time(NOW)).unwrap() {
            Outcome::Changed(change) => change.account,
            Outcome::Unchanged(account) => account,
        };
    }
    let Status::Verifying { claims, .. } = account.status else { panic!("verifying") };
    assert_eq!(claims.len(), MAX_CLAIMS);
}

#[test]
fn a_masked_name_keeps_its_ends_only() {
    let masked = |username: &str| {
        let mut account = Account::new("u".parse().unwrap(), "1_a".parse().unwrap());
        account.username = Some(username.to_owned());
        account.masked_username().unwrap()
    };
    assert_eq!(masked("alex.morgan"), "a…n");
    assert_eq!(masked("ann@example.org"), "a…@e…g");
    assert_eq!((masked("äö"), masked("")), ("ä…".to_owned(), "…".to_owned()));
}
