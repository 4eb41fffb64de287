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
    StoredEvent {
        event,
        link_key_id: String::new(),
        published_at: Some(at(minute + 1)),
        traceparent: None,
        redeliveries: 0,
        service_logo: None,
    }
}

fn required(minute: i64, episode: u8) -> StoredEvent {
    let error =
        digime::read_result::AccountError { code: Some("ServiceAuthorizationError".into()), ..Default::default() };
    event(minute, episode, EventDetail::ReauthorizationRequired { error, since: at(minute - 1), reminder: 0 })
}

fn reauthorized(minute: i64, episode: u8, via: Via, verified: bool) -> StoredEvent {
    event(minute, episode, EventDetail::Reauthorized { via, verified })
}

fn verifying(episode: Option<Episode>, since: Timestamp) -> Status {
    Status::Verifying { episode, dismissed_at: None, claims: Vec::new(), since, before: Default::default() }
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
    Timelines::of_account(None, events.iter(), attempts.iter(), at(30))
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
    let unconfirmed = [required(10, 1), reauthorized(15, 1, Via::Sweep, false)];
    assert_eq!(of(&unconfirmed, &[]).healed(), 0);
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
    let episode = Episode::new(EpisodeId::from([1; 16]), at(9), Default::default(), at(9));
    account.status = Status::ReauthRequired(episode.clone());
    let timelines = Timelines::of_account(Some(&account), [].iter(), [].iter(), at(30));
    assert_eq!(timelines.open().and_then(Timeline::step), Some(Step::Lost));

    account.status = verifying(Some(episode), at(14));
    let timelines = Timelines::of_account(Some(&account), [required(10, 1)].iter(), [].iter(), at(30));
    assert_eq!((timelines.episodes.len(), &timelines.episodes[0].end), (1, &End::Verifying { since: at(14) }));

    account.status = verifying(None, at(14));
    let ended = [required(10, 1), reauthorized(12, 1, Via::Callback, true)];
    let timelines =
        Timelines::of_account(Some(&account), ended.iter(), [attempt(1, 13, Progress::Claimed)].iter(), at(30));
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
    let timelines = Timelines::of_grant(None, events.iter(), [user].iter(), at(30));
    assert_eq!(timelines.episodes[0].end, End::Healed { at: at(13), how: How::NewPair(UserVia::Callback) });
    assert_eq!(timelines.episodes[0].attempts[0].outcome, AttemptOutcome::Succeeded);
}

#[test]
fn an_episode_that_begins_with_a_failure_is_lost_all_the_same() {
    let error = FailureCode::NotAuthorized;
    let failure = EventDetail::ReauthorizationFailed { reauthorization_id: id(1), error_code: error, retryable: false };
    let events = [event(9, 2, failure), required(10, 2), reauthorized(15, 2, Via::ReadResult, true)];
    let timelines = of(&events, &[attempt(1, 2, failed(3))]);
    assert_eq!(timelines.episodes[0].lost.as_ref().map(|lost| lost.at), Some(at(9)));
    assert_eq!((timelines.episodes[0].attempts.len(), timelines.others.len()), (0, 1), "it failed long before");
}

#[test]
fn verifying_without_an_episode_takes_no_attempt_of_an_earlier_one() {
    let mut account = Account::new("u".parse().unwrap(), "1_a".parse().unwrap());
    account.status = verifying(None, at(20));
    let events = [required(10, 1), reauthorized(15, 1, Via::Callback, true)];
    let attempts = [attempt(1, 12, succeeded(15)), attempt(2, 18, Progress::Claimed)];
    let timelines = Timelines::of_account(Some(&account), events.iter(), attempts.iter(), at(30));
    let of_episodes: Vec<Vec<_>> =
        timelines.episodes.iter().map(|one| one.attempts.iter().map(|a| a.id.clone()).collect()).collect();
    assert_eq!(of_episodes, [[id(2)], [id(1)]]);
}

#[test]
fn an_attempt_belongs_to_the_episode_that_it_mends() {
    // The application created the URL before the account was lost.
    let early = [attempt(1, 5, Progress::Pending)];
    assert_eq!(step(&[required(10, 1)], &early), Some(Step::Clicked));
    let events = [required(10, 1), reauthorized(15, 1, Via::Callback, true)];
    assert_eq!(of(&events, &[attempt(1, 5, succeeded(15))]).episodes[0].attempts.len(), 1);
    // A read ended the first episode, and the user came back in the second one.
    let events = [required(10, 1), reauthorized(13, 1, Via::ReadResult, true), required(20, 2)];
    let ended = [events.as_slice(), &[reauthorized(22, 2, Via::Callback, true)]].concat();
    let timelines = of(&ended, &[attempt(1, 12, succeeded(22))]);
    assert_eq!((timelines.episodes[0].attempts.len(), timelines.episodes[1].attempts.len()), (1, 0));
    let how = How::Elsewhere(Via::ReadResult);
    assert_eq!(timelines.episodes[1].end, End::Healed { at: at(13), how });
}

#[test]
fn the_attempt_that_mended_the_account_is_told_and_not_the_last_one() {
    let returned = |minute| Some(at(minute));
    let a = Reauthorization { returned_at: returned(15), ..attempt(1, 11, succeeded(15)) };
    let b = Reauthorization { returned_at: returned(14), ..attempt(2, 12, failed(14)) };
    let timelines = of(&[required(10, 1), reauthorized(15, 1, Via::Callback, true)], &[a.clone(), b.clone()]);
    let timeline = &timelines.episodes[0];
    assert_eq!(timeline.decisive().map(|one| &one.id), Some(&a.id));
    assert_eq!(timeline.others().map(|one| &one.id).collect::<Vec<_>>(), [&b.id]);
    // While the episode is open, the last action counts.
    let pending = Reauthorization { progress: Progress::Pending, returned_at: None, ..a };
    assert_eq!(step(&[required(10, 1)], &[pending, b]), Some(Step::Failed));
}

#[test]
fn an_attempt_that_has_expired_leaves_the_episode_as_it_was() {
    let attempts = [attempt(1, 12, Progress::Pending)];
    let at_time = |now| {
        let events = [required(10, 1)];
        Timelines::of_account(None, events.iter(), attempts.iter(), now).episodes[0].step()
    };
    assert_eq!((at_time(at(71)), at_time(at(72))), (Some(Step::Clicked), Some(Step::Told)));
}

#[test]
fn what_is_no_longer_recorded_is_not_guessed() {
    let events = [required(10, 1), reauthorized(15, 1, Via::ReadResult, true)];
    let later = Timelines::of_account(None, events.iter(), [].iter(), at(15 + 30 * 24 * 60));
    assert_eq!(later.episodes[0].end, End::Healed { at: at(15), how: How::Verified(Via::ReadResult) });
    assert!(later.episodes[0].is_forgotten(at(15 + 30 * 24 * 60)) && !later.episodes[0].is_forgotten(at(16)));
}
