use reauth_domain::{
    About, Event,
    account::Episode,
    event::{AboutAccount, AboutGrant, Subject},
};

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

fn id(number: u8) -> ReauthorizationId {
    ReauthorizationId::from([number; 16])
}

/// An event of episode `episode` in minute `minute`, which the topic took a minute later.
fn event(minute: i64, episode: u8, detail: EventDetail) -> StoredEvent {
    let about = if detail.kind().starts_with("user.") {
        About::Grant(AboutGrant { contract_id: "c".parse().unwrap() })
    } else {
        About::Account(AboutAccount { account_id: "1_a".parse().unwrap(), contract_id: None, service_name: None })
    };
    let subject = Subject {
        event_id: EventId::from([u8::try_from(minute).unwrap(); 16]),
        user_id: "u".parse().unwrap(),
        about,
        sequence: u64::try_from(minute).unwrap(),
        episode_id: Some(EpisodeId::from([episode; 16])),
    };
    let event = Event { timestamp: at(minute), subject, detail };
    StoredEvent { event, link_key_id: String::new(), published_at: Some(at(minute + 1)), traceparent: None }
}

fn required(minute: i64, episode: u8) -> StoredEvent {
    let error =
        digime::read_result::AccountError { code: Some("ServiceAuthorizationError".into()), ..Default::default() };
    event(minute, episode, EventDetail::ReauthorizationRequired { error, since: at(minute - 1), reminder: 0 })
}

fn reauthorized(minute: i64, episode: u8, via: Via, verified: bool) -> StoredEvent {
    event(minute, episode, EventDetail::Reauthorized { via, verified })
}

/// A reauthorization that was created in minute `minute` from a link.
fn attempt(number: u8, minute: i64, progress: Progress) -> Reauthorization {
    Reauthorization {
        id: id(number),
        user_id: "u".parse().unwrap(),
        contract_id: "c".parse().unwrap(),
        flow: Flow::Account { account_id: "1_a".parse().unwrap() },
        progress,
        told: Vec::new(),
        return_url: None,
        locale: None,
        link: None,
        traceparent: None,
        created_at: at(minute),
        clicked_at: Some(at(minute)),
        returned_at: None,
        expires_at: at(minute + 60),
    }
}

fn succeeded(minute: i64) -> Progress {
    Progress::Succeeded { verified: true, completed_at: at(minute) }
}

fn failed(minute: i64) -> Progress {
    Progress::Failed { error_code: FailureCode::UserCancel, completed_at: at(minute) }
}

fn of(events: &[StoredEvent], attempts: &[Reauthorization]) -> Timelines {
    Timelines::of_account(None, events.iter(), attempts.iter())
}

/// Where the newest episode stands.
fn step(events: &[StoredEvent], attempts: &[Reauthorization]) -> Option<Step> {
    of(events, attempts).episodes[0].step()
}

#[test]
fn an_episode_stands_at_the_last_thing_that_happened() {
    let mut untold = required(10, 1);
    untold.published_at = None;
    assert_eq!(step(&[untold], &[]), Some(Step::Lost));
    let told = [required(10, 1)];
    assert_eq!(step(&told, &[]), Some(Step::Told));
    assert_eq!(step(&told, &[attempt(1, 12, Progress::Pending)]), Some(Step::Clicked));
    assert_eq!(step(&told, &[attempt(1, 12, failed(13))]), Some(Step::Failed));
    assert_eq!(step(&told, &[attempt(1, 12, failed(13)), attempt(2, 14, Progress::Pending)]), Some(Step::Clicked));
    assert_eq!(step(&told, &[attempt(1, 12, Progress::Claimed)]), Some(Step::Verifying));
    let ended = [required(10, 1), reauthorized(15, 1, Via::Callback, true)];
    assert_eq!(step(&ended, &[attempt(1, 12, succeeded(15))]), None);
}

#[test]
fn a_timeline_holds_the_recorded_times() {
    let mut one = attempt(1, 12, succeeded(15));
    one.returned_at = Some(at(14));
    let timelines = of(&[required(10, 1), reauthorized(15, 1, Via::Callback, true)], &[one]);
    let timeline = &timelines.episodes[0];
    assert_eq!(timeline.lost, Some(Lost { at: at(9), cause: "ServiceAuthorizationError".into() }));
    assert_eq!((timeline.told_at, &timeline.announced_by), (Some(at(11)), &Some(EventId::from([10; 16]))));
    assert_eq!((timeline.attempts[0].clicked_at, timeline.attempts[0].returned_at), (Some(at(12)), Some(at(14))));
    assert_eq!(timeline.end, End::Healed { at: at(15), how: How::Verified(Via::Callback) });
    assert_eq!((timelines.healed(), timelines.open()), (1, None));
}

#[test]
fn an_end_says_what_mended_the_account() {
    let end = |via, verified, attempts: &[Reauthorization]| match of(
        &[required(10, 1), reauthorized(15, 1, via, verified)],
        attempts,
    )
    .episodes[0]
        .end
    {
        End::Healed { how, .. } => how,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(end(Via::ReadResult, true, &[]), How::Elsewhere(Via::ReadResult));
    assert_eq!(end(Via::ReadResult, true, &[attempt(1, 12, failed(13))]), How::Elsewhere(Via::ReadResult));
    assert_eq!(end(Via::ReadResult, true, &[attempt(1, 12, succeeded(15))]), How::Verified(Via::ReadResult));
    assert_eq!(end(Via::Sweep, false, &[attempt(1, 12, succeeded(15))]), How::Unverified);
    let removed = of(&[required(10, 1), event(12, 1, EventDetail::Removed {})], &[]);
    assert_eq!(removed.episodes[0].end, End::Removed { at: at(12) });
}

#[test]
fn each_episode_has_the_reauthorizations_of_its_time() {
    let events = [required(10, 1), reauthorized(15, 1, Via::Callback, true), required(20, 2)];
    let attempts = [attempt(1, 12, succeeded(15)), attempt(2, 17, failed(18)), attempt(3, 22, Progress::Pending)];
    let timelines = of(&events, &attempts);
    let of_episodes: Vec<Vec<_>> =
        timelines.episodes.iter().map(|one| one.attempts.iter().map(|a| a.id.clone()).collect()).collect();
    assert_eq!(of_episodes, [[id(3)], [id(1)]]);
    assert_eq!(timelines.others.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), [id(2)]);
    assert_eq!(timelines.open().and_then(Timeline::since), Some(at(19)));
}

#[test]
fn the_state_of_the_account_adds_what_no_event_tells() {
    let mut account = Account::new("u".parse().unwrap(), "1_a".parse().unwrap());
    let episode =
        Episode { episode_id: EpisodeId::from([1; 16]), since: at(9), error: Default::default(), notice: None };
    account.status = Status::ReauthRequired(episode.clone());
    let timelines = Timelines::of_account(Some(&account), [].iter(), [].iter());
    assert_eq!(timelines.open().and_then(Timeline::step), Some(Step::Lost));

    account.status = Status::Verifying { episode: Some(episode), claims: Vec::new(), since: at(14) };
    let timelines = Timelines::of_account(Some(&account), [required(10, 1)].iter(), [].iter());
    assert_eq!((timelines.episodes.len(), &timelines.episodes[0].end), (1, &End::Verifying { since: at(14) }));

    account.status = Status::Verifying { episode: None, claims: Vec::new(), since: at(14) };
    let ended = [required(10, 1), reauthorized(12, 1, Via::Callback, true)];
    let timelines = Timelines::of_account(Some(&account), ended.iter(), [attempt(1, 13, Progress::Claimed)].iter());
    let open = timelines.open().unwrap();
    assert_eq!((open.since(), open.step(), open.attempts.len()), (Some(at(14)), Some(Step::Verifying), 1));
}

#[test]
fn a_grant_is_mended_when_its_new_pair_is_stored() {
    let required = event(10, 1, EventDetail::UserReauthorizationRequired { since: at(9), recoverable: true });
    let mut user = attempt(1, 12, Progress::Pending);
    user.flow = Flow::User { exchange: Exchange::Done, account_id: Some("1_a".parse().unwrap()) };
    assert_eq!(targets(&user), [Target::Account("1_a".parse().unwrap()), Target::Grant("c".parse().unwrap())]);
    let renewed = event(13, 1, EventDetail::UserReauthorized { via: UserVia::Callback });
    let events = [required, renewed];
    let timelines = Timelines::of_grant(None, events.iter(), [user].iter());
    assert_eq!(timelines.episodes[0].end, End::Healed { at: at(13), how: How::NewPair(UserVia::Callback) });
    assert_eq!(timelines.episodes[0].attempts[0].outcome, AttemptOutcome::Succeeded);
}
