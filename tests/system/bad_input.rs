//! Bad input on every route: a problem with the right status and field, nothing written, nothing queued.

use http::{Method, StatusCode};
use local::{ROUTES, names::Queue};
use serde_json::{Value, json};
use tests::World;

use super::{BANK, DEMO_USER};

/// Everything that the table and the queues hold.
fn state(world: &World) -> Value {
    let table = world.system.database.scan(serde_json::from_value(json!({"TableName": local::names::TABLE})).unwrap());
    let depths = Queue::ALL.map(|queue| format!("{:?}", world.system.queues.depth(queue).unwrap()));
    json!([serde_json::to_value(table.unwrap()).unwrap(), depths])
}

/// Method, path, body, status, field (or code, for other problems than bad input).
type Case<'a> = (Method, String, &'a str, u16, &'a str);

async fn refused(world: &World, (method, path, body, status, field): Case<'_>) {
    let before = state(world);
    let reply = world.call(method.clone(), &path, body.to_owned()).await;
    let shown = format!(
        "{method} {} {}",
        path.chars().take(120).collect::<String>(),
        body.chars().take(120).collect::<String>()
    );
    assert_eq!(reply.status.as_u16(), status, "{shown}: {}", reply.body);
    assert_eq!(reply.header("content-type"), "application/problem+json", "{shown}");
    let problem = reply.json();
    assert_eq!(problem["status"], status, "{shown}");
    for name in ["type", "title", "detail", "code", "requestId"] {
        assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{shown}: {name} of {problem}");
    }
    match status {
        400 => {
            assert_eq!(problem["code"], "invalid_request", "{shown}");
            assert_eq!(problem["errors"][0]["field"], field, "{shown}: {problem}");
            assert!(problem["errors"][0]["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
        _ => assert_eq!(problem["code"], field, "{shown}"),
    }
    assert_eq!(state(world), before, "{shown}: nothing is written, nothing queued");
}

#[tokio::test]
async fn bad_identifiers_in_paths() {
    let world = World::new().await;
    let long = "a".repeat(129);
    for bad in ["a%20b", "a%2Fb", "%00", "..%2F..", "%C3%A4", "%2E%2E", &long] {
        let routes: [Case<'_>; 9] = [
            (Method::GET, format!("/users/{bad}/accounts"), "", 400, "userId"),
            (Method::GET, format!("/users/{bad}/accounts/{BANK}"), "", 400, "userId"),
            (Method::GET, format!("/users/u/accounts/{bad}"), "", 400, "accountId"),
            (Method::PUT, format!("/users/{bad}/grants/c"), "{}", 400, "userId"),
            (Method::GET, format!("/users/u/grants/{bad}"), "", 400, "contractId"),
            (Method::POST, format!("/users/{bad}/read-results"), r#"{"readResult":{}}"#, 400, "userId"),
            (Method::DELETE, format!("/users/{bad}"), "", 400, "userId"),
            (Method::POST, format!("/users/u/accounts/{bad}/reauthorizations"), "{}", 400, "accountId"),
            (Method::GET, format!("/reauthorizations/{bad}"), "", 400, "reauthorizationId"),
        ];
        for route in routes {
            refused(&world, route).await;
        }
    }
}

#[tokio::test]
async fn bad_bodies_of_a_reauthorization() {
    let world = World::new().await;
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
    let long = format!(r#"{{"returnUrl":"{}/{}"}}"#, world.system.endpoints.public_base_url, "a".repeat(2_048));
    for (body, field) in [
        ("not json", ""),
        ("[]", ""),
        ("7", ""),
        (r#"{"contractId":""}"#, "contractId"),
        (r#"{"contractId":7}"#, "contractId"),
        (r#"{"contractId":"a b"}"#, "contractId"),
        (r#"{"locale":"english language"}"#, "locale"),
        (r#"{"locale":["en"]}"#, "locale"),
        (r#"{"returnUrl":"https://evil.example/"}"#, "returnUrl"),
        (r#"{"returnUrl":"/back"}"#, "returnUrl"),
        (r#"{"returnUrl":"javascript:alert(1)"}"#, "returnUrl"),
        (r#"{"returnUrl":{}}"#, "returnUrl"),
        (&long, "returnUrl"),
    ] {
        refused(&world, (Method::POST, path.clone(), body, 400, field)).await;
    }
    let all = r#"{"contractId":"","locale":"","returnUrl":""}"#;
    let errors = world.call(Method::POST, &path, all).await.json()["errors"].clone();
    assert_eq!(errors.as_array().map(Vec::len), Some(3), "all wrong fields are named at once: {errors}");
}

#[tokio::test]
async fn a_refused_return_url_names_the_setting_and_its_values() {
    let origins = "https://a.example, https://b.example";
    let world =
        World::with_settings(&[("ALLOWED_RETURN_ORIGINS", origins), ("DEFAULT_RETURN_URL", "https://a.example/back")])
            .await;
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
    for url in ["https://evil.example/", "http://a.example/", "/back", "https://a.example/#fragment"] {
        let reply = world.post(&path, &json!({"returnUrl": url})).await.json();
        let message = reply["errors"][0]["message"].as_str().unwrap_or_default();
        let named = "its origin must be one of ALLOWED_RETURN_ORIGINS (https://a.example, https://b.example)";
        assert!(message.contains(named), "{url}: {reply}");
    }
}

#[tokio::test]
async fn bad_bodies_of_a_grant() {
    let world = World::new().await;
    let path = format!("/users/{DEMO_USER}/grants/demo-contract");
    for (body, field) in [
        ("", ""),
        ("not json", ""),
        ("{}", "accessToken"),
        (r#"{"accessToken":"a"}"#, "accessToken"),
        (r#"{"accessToken":{"value":"","expiry":1}}"#, "accessToken.value"),
        (r#"{"accessToken":{"value":"a"}}"#, "accessToken.expiry"),
        (r#"{"accessToken":{"value":"a","expiry":"soon"}}"#, "accessToken.expiry"),
        (r#"{"accessToken":{"value":"a","expiry":1}}"#, "refreshToken"),
        (r#"{"access_token":{"value":"a","expires_on":1},"refresh_token":{"value":7}}"#, "refresh_token.value"),
    ] {
        refused(&world, (Method::PUT, path.clone(), body, 400, field)).await;
    }
    refused(&world, (Method::PUT, format!("{path}?replace=yes"), "{}", 400, "replace")).await;
}

#[tokio::test]
async fn bad_read_results() {
    let world = World::new().await;
    let path = format!("/users/{DEMO_USER}/read-results");
    for (body, field) in [
        ("", ""),
        ("not json", ""),
        ("[]", ""),
        ("{}", "readResult"),
        (r#"{"readResult":null}"#, "readResult"),
        (r#"{"readResult":"x"}"#, "readResult"),
        (r#"{"readResult":{"hello":"world"}}"#, "readResult"),
        (r#"{"readResult":{"status":"partial"}}"#, "readResult.status"),
        (r#"{"readResult":{"status":{"details":7}}}"#, "readResult.status.details"),
        (r#"{"observedAt":"yesterday","readResult":{}}"#, "observedAt"),
        (r#"{"observedAt":1700000000,"readResult":{}}"#, "observedAt"),
        (r#"{"contractId":"a b","readResult":{}}"#, "contractId"),
        (r#"{"contractId":7,"readResult":{}}"#, "contractId"),
    ] {
        refused(&world, (Method::POST, path.clone(), body, 400, field)).await;
    }
    let large = format!(r#"{{"readResult":{{}},"padding":"{}"}}"#, "x".repeat(5_000_000));
    refused(&world, (Method::POST, path, &large, 413, "read_result_too_large")).await;
}

#[tokio::test]
async fn bad_queries() {
    let world = World::new().await;
    for (path, field) in [
        ("/accounts", "status"),
        ("/accounts?status=active", "status"),
        ("/accounts?status=reauth_required&limit=0", "limit"),
        ("/accounts?status=reauth_required&limit=many", "limit"),
        ("/accounts?status=reauth_required&limit=100000", "limit"),
        ("/accounts?status=reauth_required&cursor=x", "cursor"),
        ("/accounts?status=reauth_required&limit=1&limit=2", ""),
        ("/users/demo-user/accounts?refresh=maybe", "refresh"),
        ("/users/demo-user/accounts/1_demo-bank?history=1", "history"),
    ] {
        refused(&world, (Method::GET, path.to_owned(), "", 400, field)).await;
    }
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let world = World::new().await;
    for (path, code) in [
        ("/users/nobody/accounts", "user_not_found"),
        ("/users/nobody/accounts?refresh=true", "user_not_found"),
        ("/users/nobody/accounts/1_a", "user_not_found"),
        ("/users/demo-user/accounts/9_unknown", "account_not_found"),
        ("/users/nobody/grants/c", "user_not_found"),
        ("/users/demo-user/grants/unknown", "grant_not_found"),
        ("/reauthorizations/ra_00000000000000000000000000000000", "reauthorization_not_found"),
    ] {
        refused(&world, (Method::GET, path.to_owned(), "", 404, code)).await;
    }
    assert_eq!(world.get("/unknown").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_application_route_answers_a_caller_without_a_principal() {
    let world = World::new().await;
    world.system.gateway.set_iam_principal(false);
    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| route.iam) {
        let path = route
            .path
            .replace("{userId}", DEMO_USER)
            .replace("{accountId}", BANK)
            .replace("{contractId}", "demo-contract")
            .replace("{reauthorizationId}", "ra_00000000000000000000000000000000");
        let method = route.method.parse().unwrap();
        refused(&world, (method, path, "{}", 401, "unauthorized")).await;
        asked += 1;
    }
    assert_eq!(asked, 9);
}
