//! The language of pages: that of the reauthorization, the browser, or the default.

use bytes::Bytes;
use digime_simulator::Failure;
use http::{Request, StatusCode, header::ACCEPT_LANGUAGE};
use serde_json::json;
use tests::{BANK, DEMO_USER, Decision, Reply, World};

async fn get(world: &World, path: &str, accepted: &str) -> Reply {
    world.send(Request::get(path).header(ACCEPT_LANGUAGE, accepted).body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn every_page_of_the_link_is_in_a_language_of_the_browser() {
    let (world, link) = World::in_need().await;
    for (accepted, tag, title) in [
        ("nl-BE,nl;q=0.9,en;q=0.8", "nl", "Verbind Meadow Bank opnieuw"),
        ("de-AT", "de", "Meadow Bank neu verbinden"),
        ("fr-CH, de;q=0.5", "fr", "Reconnecter Meadow Bank"),
        ("es-419", "es", "Vuelva a conectar Meadow Bank"),
        ("pt-BR", "pt-PT", "Restabeleça a ligação a Meadow Bank"),
        ("it", "it", "Ricollega Meadow Bank"),
        ("ja, zh;q=0.9", "en", "Reconnect Meadow Bank"),
    ] {
        let page = get(&world, &link, accepted).await;
        assert!(page.text().contains(&format!("<span>{title}</span>")), "{accepted}: {}", page.body);
        assert!(page.body.contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")), "{accepted}: {}", page.body);
        assert_eq!((page.header("content-language"), page.header("vary")), (tag, "accept-language"));
        let unknown = get(&world, "/reconnect/x", accepted).await;
        assert_eq!((unknown.status, unknown.header("content-language")), (StatusCode::NOT_FOUND, tag));
        let refused = get(&world, "/callback", accepted).await;
        assert_eq!((refused.status, refused.header("content-language")), (StatusCode::BAD_REQUEST, tag));
    }
}

#[tokio::test]
async fn digimes_page_and_the_outcome_have_the_language_in_which_the_user_began() {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    world.lose_authorization(BANK).await;
    let link = world.last_link();
    let press = Request::post(&*link).header(ACCEPT_LANGUAGE, "nl").body(Bytes::new()).unwrap();
    let url = world.send(press).await.header("location").to_owned();
    assert!(url.contains("nl"), "{url}");
    let end = world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    let page = get(&world, &world.path(end.reply.header("location")), "fr").await;
    assert!(page.text().contains("U hebt geannuleerd. Er is niets veranderd."), "{}", page.body);
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_locale_of_the_reauthorization_comes_before_the_browsers() {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    world.lose_authorization(BANK).await;
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
    let created = world.post(&path, &serde_json::json!({"locale": "it-IT"})).await;
    let callback = world.decide(created.json()["url"].as_str().unwrap(), Decision::Success).await;
    let page = get(&world, &callback, "de").await;
    assert!(page.text().contains("Il collegamento con Meadow Bank è attivo"), "{}", page.body);
    world.run_until_idle().await;
}

#[tokio::test]
async fn where_the_reauthorization_names_an_unknown_language_the_contacts_counts() {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    let contact = json!({"email": "ann@example.org", "locale": "nl"});
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    world.put("/users/demo-user/grants/demo-contract?replace=true", &body).await;
    world.lose_authorization(BANK).await;
    let link = world.last_link();
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
    let created = world.post(&path, &json!({"locale": "ja"})).await;
    let callback = world.decide(created.json()["url"].as_str().unwrap(), Decision::Error("USER_CANCEL")).await;
    let page = get(&world, &callback, "fr").await;
    assert_eq!(page.header("content-language"), "nl", "{}", page.body);

    // The pages of a link that cannot be followed now are in the same language.
    let press = || Request::post(&*link).header(ACCEPT_LANGUAGE, "fr").body(Bytes::new()).unwrap();
    world.system.simulator.control().fail("/v1.7/reference", Failure::status(503, 3));
    let page = world.send(press()).await;
    assert!(page.status.is_server_error(), "{}", page.body);
    assert_eq!(page.header("content-language"), "nl", "{}", page.body);
    world.system.simulator.control().clear_failures();
    for _ in 0..5 {
        assert_eq!(world.send(press()).await.status, StatusCode::SEE_OTHER);
    }
    let page = world.send(press()).await;
    assert_eq!((page.status, page.header("content-language")), (StatusCode::TOO_MANY_REQUESTS, "nl"));
    world.run_until_idle().await;
}
