use digime::ambient::Ambient;
use digime_simulator::ErrorShape;
use http::Method;
use reauth_core::store::{StoredItem, url_hash};
use reauth_domain::{Target, UserId, webhook::WebhookHealth};

use super::{tables::Tables, timeline::Step, *};
use crate::{DEMO_CONTRACT, DEMO_USER, Options, System, in_process, names};

const BANK: &str = "1_demo-bank";

async fn system() -> System {
    let ambient = Ambient::system();
    let options = Options { background: false, ..Options::new(ambient.clone(), ambient.clone()) };
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await.unwrap();
    system.add_demo_user().await.unwrap();
    system
}

async fn lose_the_bank(system: &System) {
    assert!(system.simulator.control().break_account(BANK, ErrorShape::Documented));
    system.application.read(DEMO_USER).await.unwrap();
    system.run_until_idle().await.unwrap();
}

fn user() -> UserId {
    DEMO_USER.parse().unwrap()
}

/// What the index says, as a text that two indexes can be compared by.
fn described(index: &Index) -> String {
    index.read(|tables| {
        let all = tables.needing_attention(&Filter::default(), 1, 100).items;
        let timelines: Vec<_> = all.iter().map(|(user, target)| tables.timelines(user, target)).collect();
        let found = tables.search("e", 1, 100).total;
        let events: Vec<_> = tables.notifications(1, 100).items.iter().map(|event| &event.event).collect();
        format!("{all:?} {timelines:?} {found} {events:?} {:?}", tables.funnel())
    })
}

#[tokio::test]
async fn the_index_follows_the_stream_and_finds_the_same_after_a_restart() {
    let system = system().await;
    lose_the_bank(&system).await;
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
    system.application.call(Method::POST, &path, &serde_json::json!({})).await.unwrap();
    system.run_pipe().await.unwrap();
    let index = &system.operations.index;
    index.read(|tables| {
        let filter = Filter { service: Some("Meadow Bank".into()), step: Some(Step::Clicked) };
        let page = tables.needing_attention(&filter, 1, 10);
        assert_eq!(page.items, [(user(), Target::Account(BANK.parse().unwrap()))]);
        let other = Filter { step: Some(Step::Told), ..Filter::default() };
        assert_eq!(tables.needing_attention(&other, 1, 10).total, 0);
        assert_eq!(tables.funnel()["Meadow Bank"].open[&Step::Clicked], 1);
        let event = tables.notifications(1, 10).items[0].clone();
        assert!(event.published_at.is_some());
        assert!(tables.link(&event.event.subject.event_id).is_some());
        assert_eq!(tables.link_hashes(&user()).len(), 1);
    });
    let restarted = Index::of(&system.database, names::TABLE, &Ambient::system()).unwrap();
    assert_eq!(described(&restarted), described(index));
    system.stop().await;
}

#[tokio::test]
async fn a_healed_episode_leaves_the_list_and_counts_as_healed() {
    let system = system().await;
    lose_the_bank(&system).await;
    assert!(system.simulator.control().mend_account(BANK));
    system.application.read(DEMO_USER).await.unwrap();
    system.run_until_idle().await.unwrap();
    system.operations.index.read(|tables| {
        assert_eq!(tables.open_count(), 0);
        assert_eq!((tables.funnel()["Meadow Bank"].healed, tables.funnel().len()), (1, 1));
    });
    system.stop().await;
}

#[tokio::test]
async fn an_erased_user_is_gone_with_everything() {
    let system = system().await;
    lose_the_bank(&system).await;
    system.application.call(Method::DELETE, &format!("/users/{DEMO_USER}"), &Value::Null).await.unwrap();
    system.run_pipe().await.unwrap();
    system.operations.index.read(|tables| {
        assert!(tables.user(&user()).is_none());
        assert_eq!((tables.open_count(), tables.notifications(1, 10).total), (0, 0));
        assert_eq!((tables.funnel().len(), tables.search("", 1, 10).total), (0, 0));
    });
    system.stop().await;
}

#[tokio::test]
async fn a_search_finds_user_ids_account_ids_and_service_names() {
    let system = system().await;
    system.operations.index.read(|tables| {
        let found = |text: &str| {
            let name = |found: &Found<'_>| match found {
                Found::User(user) => user.to_string(),
                Found::Account(user, account) => format!("{user} {}", account.account_id),
            };
            tables.search(text, 1, 10).items.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(found("DEMO-U"), ["demo-user"]);
        assert_eq!(found("2_demo"), ["demo-user 2_demo-hospital"]);
        assert_eq!(found("meadow"), ["demo-user 1_demo-bank"]);
        assert!(found("nobody").is_empty());
        assert_eq!(found("demo").len(), 4);
    });
    system.stop().await;
}

#[test]
fn a_page_beyond_the_last_one_is_the_last_one() {
    let page = |number| Page::of(0..45, 45, number, 20);
    assert_eq!(page(1).items, (0..20).collect::<Vec<_>>());
    assert_eq!((page(3).items.len(), page(9).number, page(0).number), (5, 3, 1));
    assert_eq!(Page::of([0; 0].into_iter(), 0, 7, 20).number, 1);
}

#[tokio::test]
async fn the_demo_is_reset_and_the_limit_of_links_too() {
    let system = system().await;
    lose_the_bank(&system).await;
    let url = |system: &System| {
        let (url, event) = system.operations.index.read(|tables| {
            let event = tables.notifications(1, 1).items[0].clone();
            let id = event.event.subject.event_id.clone();
            (system.operations.links.url(&id, &event.link_key_id).unwrap(), id)
        });
        let published = system.topic.newest(1).remove(0).json();
        assert_eq!(published["data"]["reconnectUrl"], url.as_str(), "as it was published");
        (url, event)
    };
    let (url, event) = url(&system);
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let press = || {
        http.post(&url)
            .body(format!("accountId={BANK}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send()
    };
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(press().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [303, 303, 303, 303, 303, 429]);
    assert_eq!(system.operations.reset_link_limit(&user()).unwrap(), 1);
    assert_eq!(press().await.unwrap().status(), 303);

    system.operations.redeliver(&event).await.unwrap();
    system.sweep().await.unwrap();
    system.run_until_idle().await.unwrap();
    let published = system.topic.newest(2);
    assert_eq!((&published[0].message, &published[0].attributes), (&published[1].message, &published[1].attributes));

    system.simulator.control().set_username(BANK, Some("wrong".into()));
    system.operations.reset_demo().await.unwrap();
    system.run_until_idle().await.unwrap();
    let path = format!("/users/{DEMO_USER}/accounts");
    let accounts = system.application.call(Method::GET, &path, &Value::Null).await.unwrap();
    let states: Vec<_> = accounts["accounts"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(states, ["active", "active", "active"]);
    assert_eq!(accounts["grants"][0]["contractId"], DEMO_CONTRACT);
    assert_eq!(system.simulator.control().accounts(DEMO_USER)[0].username.as_deref(), Some("alex.morgan"));
    system.operations.index.read(|tables| assert_eq!(tables.notifications(1, 10).total, 0));
    system.stop().await;
}

#[tokio::test]
#[should_panic(expected = "the index is read within a read")]
async fn a_read_within_a_read_is_noticed_before_it_can_wait_for_ever() {
    let index = &system().await.operations.index;
    index.read(|_| index.read(|_| ()));
}

#[test]
fn the_health_of_another_endpoint_is_not_that_of_the_configured_one() {
    let url = |path: &str| format!("http://127.0.0.1:8000/{path}");
    let health = WebhookHealth { failing_since: Some(Ambient::system().now()), ..WebhookHealth::default() };
    let url_hash = url_hash(&url("old").parse().unwrap());
    let mut tables = Tables::default();
    tables.put(StoredItem::WebhookHealth { health: health.clone(), url_hash });
    assert_eq!(tables.webhook_health(&url("old")), health);
    assert_eq!(tables.webhook_health(&url("new")), WebhookHealth::default());
}
