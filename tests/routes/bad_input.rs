//! Bad input on every route: a problem with the right status and field, nothing written, nothing queued.

use http::{Method, StatusCode};
use local::{ROUTES, names::Queue};
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, World, broken};

const EVENT: &str = "evt_00000000000000000000000000000000";

/// Everything that the table and the queues hold.
fn state(world: &World) -> Value {
    let table = world.system.database.scan(serde_json::from_value(json!({"TableName": local::names::TABLE})).unwrap());
    let depths = Queue::ALL.map(|queue| format!("{:?}", world.system.queues.depth(queue).unwrap()));
    json!([serde_json::to_value(table.unwrap()).unwrap(), depths])
}

/// Method, path, body, status, and all wrong fields. For problems other than bad input, the code in place of fields.
pub(crate) type Case<'a> = (Method, String, &'a str, u16, &'a str);

/// The names of all fields that a problem calls wrong, in its order.
fn wrong_fields(problem: &Value) -> String {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |error: &Value| {
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        error["field"].as_str().unwrap().to_owned()
    };
    errors.iter().map(named).collect::<Vec<_>>().join(" ")
}

/// A path of the route with valid identifiers.
fn example(route: &str) -> String {
    let path = route.replace("{userId}", DEMO_USER).replace("{accountId}", BANK);
    path.replace("{contractId}", "demo-contract")
        .replace("{reauthorizationId}", "ra_00000000000000000000000000000000")
        .replace("{eventId}", EVENT)
}

pub(crate) async fn refused(world: &World, (method, path, body, status, field): Case<'_>) {
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
            assert_eq!(wrong_fields(&problem), field, "{shown}: {problem}");
        }
        _ => assert_eq!(problem["code"], field, "{shown}"),
    }
    assert_eq!(state(world), before, "{shown}: nothing is written, nothing queued");
}

#[tokio::test]
async fn bad_identifiers_in_paths_are_refused_by_name() {
    let world = World::builder().start().await;
    let long = "a".repeat(129);
    for bad in ["a%20b", "a%2Fb", "%00", "..%2F..", "%C3%A4", "%2E%2E", &long] {
        let routes: [Case<'_>; 11] = [
            (Method::GET, format!("/users/{bad}/accounts"), "", 400, "userId"),
            (Method::GET, format!("/users/{bad}/accounts/{BANK}"), "", 400, "userId"),
            (Method::GET, format!("/users/u/accounts/{bad}"), "", 400, "accountId"),
            (Method::PUT, format!("/users/{bad}/grants/c"), "{}", 400, "userId accessToken refreshToken"),
            (Method::GET, format!("/users/u/grants/{bad}"), "", 400, "contractId"),
            (Method::POST, format!("/users/{bad}/read-results"), r#"{"readResult":{}}"#, 400, "userId"),
            (Method::DELETE, format!("/users/{bad}"), "", 400, "userId"),
            (Method::POST, format!("/users/u/accounts/{bad}/reauthorizations"), "{}", 400, "accountId"),
            (Method::GET, format!("/reauthorizations/{bad}"), "", 400, "reauthorizationId"),
            (Method::GET, format!("/events/{bad}/deliveries"), "", 400, "eventId"),
            (Method::POST, format!("/events/{bad}/redeliver"), "", 400, "eventId"),
        ];
        for route in routes {
            refused(&world, route).await;
        }
    }
}

#[tokio::test]
async fn bad_bodies_of_a_reauthorization_are_refused_by_name() {
    let world = World::builder().start().await;
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
        (r#"{"return_url":"https://app.example/"}"#, "return_url"),
        (&long, "returnUrl"),
    ] {
        refused(&world, (Method::POST, path.clone(), body, 400, field)).await;
    }
}

#[tokio::test]
async fn a_refused_return_url_names_the_setting_and_its_values() {
    let origins = "https://a.example, https://b.example";
    let world = World::builder()
        .setting("ALLOWED_RETURN_ORIGINS", origins)
        .setting("DEFAULT_RETURN_URL", "https://a.example/back")
        .start()
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
async fn everything_that_is_wrong_is_named_at_once() {
    let world = World::builder().start().await;
    for (method, path, body, fields) in [
        (
            Method::PUT,
            "/users/a%20b/grants/c%20d?replace=x&histroy=1",
            r#"{"accessToken":7}"#,
            "userId contractId replace accessToken refreshToken histroy",
        ),
        (
            Method::POST,
            "/users/a%20b/accounts/c%20d/reauthorizations?x=1",
            r#"{"contractId":"","locale":"","returnUrl":"","return_url":""}"#,
            "userId accountId contractId locale returnUrl x return_url",
        ),
        (
            Method::POST,
            "/users/a%20b/read-results?x=1",
            r#"{"contractId":7,"observedAt":"x","readResult":[],"submittedAt":"2026-11-23T09:00:00Z"}"#,
            "userId contractId observedAt readResult x submittedAt",
        ),
        (Method::GET, "/users/a%20b/accounts?refresh=x&histroy=1", "", "userId refresh histroy"),
        (Method::GET, "/users/a%20b/accounts/c%20d?history=x&histroy=1", "", "userId accountId history histroy"),
        (Method::GET, "/accounts?limit=x&cursor=x&histroy=1", "", "status limit cursor histroy"),
        (Method::GET, "/reauthorizations/x?histroy=1", "", "reauthorizationId histroy"),
        (Method::DELETE, "/users/a%20b?histroy=1", "", "userId histroy"),
        (
            Method::GET,
            "/events?after=x&types=account.lost&userId=a%20b&limit=501&before=1",
            "",
            "after types userId limit before",
        ),
        (
            Method::POST,
            "/events/redeliver?x=1",
            r#"{"from":"yesterday","types":"account.removed","channel":"mail","cursor":7,"until":1}"#,
            "from to types channel cursor x until",
        ),
        (
            Method::POST,
            "/events/redeliver",
            r#"{"from":"2026-11-23T09:00:00Z","to":"2026-11-23T09:00:00Z","types":["account.lost"]}"#,
            "to types",
        ),
        (Method::POST, "/events/x/redeliver?x=1", r#"{"channel":7,"to":1}"#, "eventId channel x to"),
        (Method::POST, "/webhook/test?x=1", "", "x"),
    ] {
        refused(&world, (method, path.to_owned(), body, 400, fields)).await;
    }
}

#[tokio::test]
async fn every_application_route_refuses_unknown_parameters_by_name() {
    let world = World::builder().start().await;
    let long = "x".repeat(5_000);
    for route in ROUTES.iter().filter(|route| route.iam) {
        for (query, name) in [("return_url=1", "return_url"), ("%E2%80%AE=1", "\u{202e}"), (&*long, "xxxx")] {
            let reply =
                world.call(route.method.parse().unwrap(), &format!("{}?{query}", example(route.path)), "{}").await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{} {query}: {}", route.path, reply.body);
            let fields = wrong_fields(&reply.json());
            assert!(fields.split(' ').any(|field| field.starts_with(name)), "{} {query}: {fields}", route.path);
            assert!(fields.len() < 300, "a name is cut: {fields}");
        }
    }
    // The query of a presigned request holds its signature.
    let signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Signature=s";
    let reply = world.get(&format!("/users/{DEMO_USER}/accounts?{signed}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn digime_and_mail_services_may_add_parameters() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let link = format!("{}?utm_source=mail", world.last_link());
    let url = world.follow(&link).await;
    let callback = world.decide(&url, tests::Decision::Success).await;
    let reply = world.get(&format!("{callback}&addedByDigime=1")).await;
    assert!(reply.header("location").contains("status=succeeded"), "{reply:?}");
    world.run_until_idle().await;
}

const ALL_OF_A_GRANT: &str =
    "accessToken.value accessToken.expiry refreshToken.value refreshToken.expiry user.id consentid";

#[tokio::test]
async fn bad_bodies_of_a_grant_are_refused_by_name() {
    let world = World::builder().start().await;
    let path = format!("/users/{DEMO_USER}/grants/demo-contract");
    for (body, field) in [
        ("", ""),
        ("not json", ""),
        ("{}", "accessToken refreshToken"),
        (r#"{"accessToken":"a"}"#, "accessToken refreshToken"),
        (r#"{"accessToken":{"value":"","expiry":1}}"#, "accessToken.value refreshToken"),
        (r#"{"accessToken":{"value":"a"}}"#, "accessToken.expiry refreshToken"),
        (r#"{"accessToken":{"value":"a","expiry":"soon"}}"#, "accessToken.expiry refreshToken"),
        (r#"{"accessToken":{"value":"a","expiry":1}}"#, "refreshToken"),
        (r#"{"accessToken":{},"refreshToken":{},"user":{"id":7},"consentid":7}"#, ALL_OF_A_GRANT),
        (r#"{"refresh_token":{"value":"r","expires_on":1}}"#, "access_token"),
        (
            r#"{"access_token":{"value":"a","expires_on":1},"refresh_token":{"value":7}}"#,
            "refresh_token.value refresh_token.expires_on",
        ),
    ] {
        refused(&world, (Method::PUT, path.clone(), body, 400, field)).await;
    }
    let replace = format!("{path}?replace=yes");
    refused(&world, (Method::PUT, replace, "{}", 400, "replace accessToken refreshToken")).await;
}

#[tokio::test]
async fn bad_queries_are_refused_by_name() {
    let world = World::builder().start().await;
    for (path, field) in [
        ("/accounts", "status"),
        ("/accounts?status=active", "status"),
        ("/accounts?status=reauth_required&limit=0", "limit"),
        ("/accounts?status=reauth_required&limit=many", "limit"),
        ("/accounts?status=reauth_required&limit=100000", "limit"),
        ("/accounts?status=reauth_required&cursor=x", "cursor"),
        ("/accounts?status=reauth_required&limit=1&limit=2", "limit"),
        ("/accounts?status=reauth_required&limit=1&limi%74=2", "limit"),
        ("/accounts?status=active&status=reauth_required&limit=x", "status limit"),
        ("/accounts?status=reauth_required&x=1&x=2", "x"),
        ("/users/demo-user/accounts?refresh=maybe", "refresh"),
        ("/users/demo-user/accounts/1_demo-bank?history=1", "history"),
    ] {
        refused(&world, (Method::GET, path.to_owned(), "", 400, field)).await;
    }
    let twice = "/accounts?status=reauth_required&status=reauth_required";
    assert_eq!(world.get(twice).await.status, StatusCode::OK, "equal duplicates count once");
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let world = World::builder().start().await;
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
    let world = World::builder().start().await;
    world.system.gateway.set_iam_principal(false);
    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| route.iam) {
        let method = route.method.parse().unwrap();
        refused(&world, (method, example(route.path), "{}", 401, "unauthorized")).await;
        asked += 1;
    }
    assert_eq!(asked, 19);
}
