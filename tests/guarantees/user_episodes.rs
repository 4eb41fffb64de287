//! A dead refresh token is found by whoever meets it, told once, and a new pair ends its episode.

use digime_simulator::ErrorShape;
use http::{Method, StatusCode};
use local::names::{Queue, SERVICE_SECRET};
use serde_json::{Value, json};
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, ReadResult, World, broken};

const GRANT: &str = "/users/demo-user/grants/demo-contract";
/// Longer than the refresh tokens of the simulated digi.me are valid, in seconds.
const REFRESH_TOKEN_LIFETIME: u64 = 30 * 86_400;

/// The types of the published events of users.
fn told(world: &World) -> Vec<String> {
    world.published_of_user().into_iter().map(|event| event.kind).collect()
}

/// What the API says of the demo user's grants.
async fn grants(world: &World) -> Value {
    world.get(&format!("/users/{DEMO_USER}/accounts")).await.json()["grants"].clone()
}

#[tokio::test]
async fn whoever_finds_a_dead_refresh_token_it_is_told_once_with_a_link() {
    let finders: [(&str, &str, Method, &str); 4] = [
        ("the URL", "/users/demo-user/accounts/1_demo-bank/reauthorizations", Method::POST, "{}"),
        ("the grant", GRANT, Method::GET, ""),
        ("the list", "/users/demo-user/accounts?refresh=true", Method::GET, ""),
        ("the link", "", Method::POST, ""),
    ];
    for (name, path, method, body) in finders {
        let (world, link) = World::in_need().await;
        if name == "the grant" {
            world.advance(2 * 86_400);
            world.system.simulator.control().kill_refresh_tokens(DEMO_USER);
        } else {
            world.kill_tokens();
        }
        let path = if path.is_empty() { &link } else { path };
        for _ in 0..2 {
            world.call(method.clone(), path, body).await;
            world.run_until_idle().await;
        }
        assert_eq!(told(&world), ["user.reauthorization_required"], "{name}");
        let event = world.published_of_user().remove(0);
        assert_eq!((event.user_id.as_str(), event.contract_id.as_deref()), (DEMO_USER, Some(DEMO_CONTRACT)));
        assert!(event.reconnect_url.is_some() && event.reconnect_url_expires_at.is_some() && event.since.is_some());
        assert_eq!(
            grants(&world).await,
            json!([{"contractId": DEMO_CONTRACT, "status": "user_reauthorization_required",
            "since": event.since}]),
            "{name}"
        );
        // Further accounts in need add no event for the user.
        world.hand_in(DEMO_USER, None, &broken("2_demo-hospital")).await;
        world.request_reauthorization(DEMO_USER, "2_demo-hospital").await;
        world.run_until_idle().await;
        assert_eq!(told(&world).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn the_callback_of_an_account_finds_a_dead_refresh_token_too() {
    let (world, link) = World::in_need().await;
    let callback = world.decide(&world.follow(&link).await, Decision::Success).await;
    world.kill_tokens();
    assert!(world.get(&callback).await.header("location").contains("status=verifying"));
    world.run_until_idle().await;
    assert_eq!(told(&world), ["user.reauthorization_required"]);
    // With a new pair, the sweep settles the account.
    world.store_grant(DEMO_USER).await;
    world.advance(60);
    world.sweep().await;
    assert_eq!(told(&world), ["user.reauthorization_required", "user.reauthorized"]);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

#[tokio::test]
async fn the_sweep_finds_refresh_tokens_that_have_expired_without_being_asked() {
    let world = World::builder().start().await;
    world.advance(REFRESH_TOKEN_LIFETIME - 60);
    assert_eq!(world.sweep().await["expired"], 0);
    assert_eq!(grants(&world).await, json!([{"contractId": DEMO_CONTRACT, "status": "active"}]));
    world.advance(120);
    let since = grants(&world).await[0]["since"].clone();
    let path = "/accounts?status=reauth_required";
    world.system.simulator.clear_requests();
    assert_eq!(world.sweep().await["expired"], 1);
    assert_eq!(world.sweep().await["expired"], 0);
    assert!(world.system.simulator.requests().is_empty(), "digi.me is not asked");
    assert_eq!(told(&world), ["user.reauthorization_required"]);
    let event = world.published_of_user().remove(0);
    assert_eq!(json!(event.since), since, "it is dead since its expiry");
    // The list has an entry for the user, who has no account in need.
    let entry = world.get(path).await.json()["accounts"].clone();
    assert_eq!(
        entry,
        json!([{"userId": DEMO_USER, "contractId": DEMO_CONTRACT, "kind": "user", "status": "reauth_required",
        "since": event.since, "episodeId": event.episode_id}])
    );
    // The user follows the link of the event.
    let end = world.reauthorize(&world.follow(&world.last_link()).await, Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"), "{}", end.reply.body);
    world.run_until_idle().await;
    assert_eq!(told(&world), ["user.reauthorization_required", "user.reauthorized"]);
    assert_eq!(world.get(path).await.json()["accounts"], json!([]));
}

#[tokio::test]
async fn the_list_names_for_each_account_in_need_the_page_that_helps() {
    let (world, _) = World::in_need().await;
    let kinds = async || {
        let list = world.get("/accounts?status=reauth_required").await.json()["accounts"].clone();
        let kind = |entry: &Value| (entry["accountId"].clone(), entry["kind"].as_str().unwrap().to_owned());
        list.as_array().unwrap().iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, [(json!(BANK), "account".to_owned())]);
    world.kill_tokens();
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    assert_eq!(kinds().await, [(json!(BANK), "user".to_owned())], "the user has no entry beside the account's");
    world.store_grant(DEMO_USER).await;
    assert_eq!(kinds().await, [(json!(BANK), "account".to_owned())]);
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_account_without_a_contract_is_listed_under_its_users_only_grant() {
    let world = World::builder().start().await;
    world.kill_tokens();
    world.enqueue(Queue::ReadResults, &ReadResult::new(DEMO_USER, &broken("9_unlisted")));
    world.run_until_idle().await;
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    let list = world.get("/accounts?status=reauth_required").await.json()["accounts"].clone();
    let list: Vec<_> = list.as_array().unwrap().iter().map(|entry| (&entry["accountId"], &entry["kind"])).collect();
    assert_eq!(list, [(&json!("9_unlisted"), &json!("user"))]);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_grant_that_cannot_be_read_does_not_hold_up_the_sweep() {
    let world = World::builder().start().await;
    world.system.secrets.put(SERVICE_SECRET, &"another service secret, by far ".repeat(2));
    world.system.secrets.put(SERVICE_SECRET, &"and another service secret too ".repeat(2));
    world.advance(REFRESH_TOKEN_LIFETIME + 60);
    assert_eq!(world.sweep().await["failed"], 1);
    assert_eq!(world.sweep().await["failed"], 0, "it is due again later");
    world.advance(3_600);
    assert_eq!(world.sweep().await["failed"], 1);
}

#[tokio::test]
async fn only_a_pair_with_another_refresh_token_ends_the_episode() {
    let world = World::builder().start().await;
    let pair = world.grant().await;
    world.advance(2 * 86_400);
    world.system.simulator.control().kill_refresh_tokens(DEMO_USER);
    assert_eq!(world.grant().await["status"], "user_reauthorization_required");
    // The application stores its pair after each read.
    assert_eq!(world.put(GRANT, &pair).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.grant().await["status"], "user_reauthorization_required");
    world.run_until_idle().await;
    assert_eq!(told(&world), ["user.reauthorization_required"]);
    assert_eq!(world.put(GRANT, &world.issue_tokens(DEMO_USER)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.grant().await["status"], "active");
    world.run_until_idle().await;
    assert_eq!(told(&world), ["user.reauthorization_required", "user.reauthorized"]);
    assert_eq!(world.published_of_user()[1].via.as_deref(), Some("grant"));
    // The next dead token is a new episode, and its sequence goes on.
    world.kill_tokens();
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    world.run_until_idle().await;
    let events = world.published_of_user();
    assert_eq!(events.len(), 3);
    assert_ne!(events[0].episode_id, events[2].episode_id);
    assert!(events.is_sorted_by(|before, after| before.sequence < after.sequence));
}

#[tokio::test]
async fn of_two_grants_only_the_dead_one_needs_the_user() {
    let world = World::builder().start().await;
    let (control, simulator) = (world.system.simulator.control(), &world.system.simulator);
    let contract = control.call(digime_simulator::ControlCall::State).unwrap()["contracts"][0].clone();
    let second =
        digime_simulator::Contract { contract_id: "second".into(), ..serde_json::from_value(contract).unwrap() };
    control.register_contract(second).unwrap();
    world.configure_contract("second");
    let tokens = serde_json::to_value(control.issue_tokens(DEMO_USER, "second")).unwrap();
    world.kill_tokens();
    let alive = serde_json::to_value(control.issue_tokens(DEMO_USER, "second")).unwrap();
    drop(tokens);
    assert_eq!(world.put(&format!("/users/{DEMO_USER}/grants/second"), &alive).await.status, StatusCode::NO_CONTENT);
    control.break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let kind = async |body: Value| {
        let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
        world.post(&path, &body).await.json()["kind"].clone()
    };
    assert_eq!(kind(json!({})).await, "user", "the account's contract has the dead token");
    assert_eq!(kind(json!({"contractId": "second"})).await, "account");
    let states = grants(&world).await;
    let state = |id: &str| {
        let states = states.as_array().unwrap().iter();
        states.filter(|state| state["contractId"] == id).map(|state| state["status"].clone()).next().unwrap()
    };
    assert_eq!((state(DEMO_CONTRACT), state("second")), (json!("user_reauthorization_required"), json!("active")));
    // The link of the account renews the dead one, and leaves the other as it is.
    simulator.clear_requests();
    world.run_until_idle().await;
    let first = world.reauthorize(&world.follow(&world.last_link()).await, Decision::Success).await;
    let end = world.reauthorize(first.reply.header("location"), Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
    assert_eq!(told(&world), ["user.reauthorization_required", "user.reauthorized"]);
    assert!(world.published_of_user().iter().all(|event| event.contract_id.as_deref() == Some(DEMO_CONTRACT)));
    let kept = world.get(&format!("/users/{DEMO_USER}/grants/second")).await.json();
    assert_eq!(kept["accessToken"]["value"], alive["access_token"]["value"]);
}

/// The functions' real binaries: a dead refresh token and a dead account in one journey from the reconnect link.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_away_for_long_comes_back_in_one_journey() {
    let world = World::builder().binaries().start().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.system.application.read(DEMO_USER).await.unwrap();
    world.run_until_idle().await;
    world.kill_tokens();
    let url = world.follow(&world.last_link()).await;
    let first = world.reauthorize(&url, Decision::Success).await;
    let end = world.reauthorize(first.reply.header("location"), Decision::Success).await;
    assert_eq!(
        (end.parameter("status").as_deref(), end.parameter("accountId").as_deref()),
        (Some("succeeded"), Some(BANK))
    );
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    assert_eq!(told(&world), ["user.reauthorization_required", "user.reauthorized"]);
    for code in [&url, first.reply.header("location")] {
        let code = code.split("code=").nth(1).unwrap().split('&').next().unwrap();
        for function in local::Function::ALL {
            assert!(!world.log(function).contains(code), "{}", function.name());
        }
    }
}
