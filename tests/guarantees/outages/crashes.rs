//! The process is killed before and after every request that counts accounts, or that looks at an outage.

use super::*;

/// More points than any walk has.
const MAX_POINTS: usize = 200;

/// Runs the walk once for each point. `walk` arms the kill at the point.
async fn at_every_point(at_least: usize, walk: impl AsyncFn(&World, usize)) {
    let world = builder().crashes().expect_leftovers().start().await;
    for point in 0..MAX_POINTS {
        // Let all caches expire, so that each run starts with empty ones.
        world.advance(HOUR);
        walk(&world, point).await;
        let Some(trace) = world.crashes.trace() else {
            assert!(point >= at_least, "there are {point} points only");
            return;
        };
        println!("{point}: {}", trace.last().unwrap());
    }
    panic!("there are always more points");
}

/// A read finds the user's account broken. The application tries again until the API takes it in.
async fn break_until_accepted(world: &World, number: usize) {
    let body = json!({"contractId": DEMO_CONTRACT, "readResult": broken(&account(number))});
    let path = format!("/users/{}/read-results", user(number));
    for _ in 0..3 {
        if world.post(&path, &body).await.status == StatusCode::ACCEPTED {
            break;
        }
    }
    world.run_until_idle().await;
}

/// The sweep runs, and is killed at the point. The next ones do its work. Returns whether the topic may have a notice that the
/// sweep did not record.
async fn sweep(world: &World, point: usize) -> bool {
    world.crashes.arm(point);
    let was_killed = world.system.sweep().await.is_err();
    let passed = world.crashes.passed();
    world.crashes.disarm();
    for _ in 0..2 {
        world.advance(2 * MINUTE);
        world.sweep().await;
    }
    was_killed && passed.iter().any(|point| point == "Before sweep-accounts sns:Publish")
}

fn told(world: &World, service: &str, kind: &str) -> usize {
    let is_of = |notice: &&Value| notice["type"] == kind && notice["data"]["service"] == service;
    notices(world).iter().filter(is_of).count()
}

/// The operator was told of the service once. Twice only if the process ended between the topic's answer and the write that says
/// so.
fn assert_told(world: &World, service: &str, kind: &str, may_be_told_twice: bool) {
    let told = told(world, service, kind);
    let trace = world.crashes.trace().unwrap_or_default();
    assert!(told == 1 || told == 2 && may_be_told_twice, "{told} times {kind}, killed at {:?}", trace.last());
}

#[tokio::test]
async fn killed_anywhere_accounts_that_break_are_noticed_as_an_outage() {
    at_every_point(10, async |world, point| {
        let service = format!("Bank {point}");
        let accounts = usize::try_from(MIN_ACCOUNTS).unwrap() + 1;
        let users = point * accounts..(point + 1) * accounts;
        add_users(world, &service, users.clone()).await;
        break_accounts(world, users.start..users.end - 2).await;
        world.crashes.arm(point);
        // One that is not counted is made up for by the other.
        for number in users.end - 2..users.end {
            break_until_accepted(world, number).await;
        }
        world.crashes.disarm();
        world.sweep().await;
        assert_told(world, &service, "service.outage_suspected", false);
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_the_sweep_tells_of_outages_that_begin() {
    at_every_point(60, async |world, point| {
        let services = [format!("one {point}"), format!("two {point}")];
        for service in &services {
            begin_outage(world, service);
        }
        let may_be_told_twice = sweep(world, point).await;
        for service in &services {
            assert_told(world, service, "service.outage_suspected", may_be_told_twice);
        }
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_the_sweep_prolongs_an_outage_and_ends_another() {
    at_every_point(60, async |world, point| {
        let (short, long) = (format!("short {point}"), format!("long {point}"));
        begin_outage(world, &short);
        begin_outage(world, &long);
        world.sweep().await;
        world.advance(2 * HOUR);
        count_broken(world, &long);
        let may_be_told_twice = sweep(world, point).await;
        assert_told(world, &short, "service.outage_ended", may_be_told_twice);
        assert_eq!(told(world, &long, "service.outage_ended"), 0, "it goes on");
        world.advance(2 * HOUR);
        world.sweep().await;
        assert_told(world, &long, "service.outage_ended", false);
        assert!(world.due().is_empty(), "{:?}", world.due());
    })
    .await;
}

/// Writes the item of an outage that begins now.
fn begin_outage(world: &World, service: &str) {
    let now = world.clock_now();
    let text = |seconds: i64| json!({"S": format!("{:.3}", now + jiff::SignedDuration::from_secs(seconds))});
    let number = |number: u64| json!({"N": number.to_string()});
    let item = json!({"PK": {"S": format!("SERVICE#{service}")}, "SK": {"S": "OUTAGE"}, "version": number(1),
        "service": {"S": service}, "state": {"S": "suspected"}, "since": text(0), "until": text(2 * 60 * 60),
        "holdLimit": text(24 * 60 * 60),
        "threshold": number(MIN_ACCOUNTS), "holdSeconds": number(2 * HOUR), "accounts": number(MIN_ACCOUNTS),
        "notifiedState": {"S": "ended"}, "dueShard": {"S": "due-service#00"}, "dueAt": text(0),
        "ttl": number(10_000_000_000)});
    import(world, vec![item]);
}

/// Writes the counter of a service of which as many accounts break now as make it an outage.
fn count_broken(world: &World, service: &str) {
    let bucket = jiff::Timestamp::from_second(world.clock_now().as_second() / 300 * 300).unwrap();
    import(
        world,
        vec![json!({"PK": {"S": format!("SERVICE#{service}")}, "SK": {"S": format!("BREAKS#{bucket:.3}")},
            "accounts": {"N": MIN_ACCOUNTS.to_string()}, "ttl": {"N": "10000000000"}})],
    );
}
