//! Steps that many tests begin with.

use digime_simulator::{Account, ErrorShape};
use http::{Method, StatusCode};
use local::{DEMO_CONTRACT, DEMO_USER, names::CONTRACT_SECRET_PREFIX};
use serde_json::{Value, json};

use crate::{BANK, Decision, DeliveredEvent, Reply, World, broken};

impl World {
    /// The source of one of the demo user's accounts withdraws its authorization, and a read that began at 08:00 says so.
    pub async fn lose_authorization(&self, account: &str) {
        self.system.simulator.control().break_account(account, ErrorShape::Documented);
        self.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(account)).await;
    }

    /// A world whose demo user needs to reauthorize the bank account, with the path of its reconnect link.
    pub async fn in_need() -> (Self, String) {
        let world = Self::builder().start().await;
        world.lose_authorization(BANK).await;
        let link = world.last_link();
        (world, link)
    }

    /// A world whose demo user reauthorized the bank account with another login than before, a minute ago.
    pub async fn with_identity_mismatch() -> Self {
        let (world, _) = Self::in_need().await;
        let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
        let result = world.reauthorize(&url, Decision::Another).await;
        assert_eq!(result.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
        world.run_until_idle().await;
        world.advance(60);
        world
    }

    /// Gives a contract a key: that of the demo contract.
    pub fn configure_contract(&self, contract: &str) {
        let id = |contract: &str| format!("{CONTRACT_SECRET_PREFIX}{contract}");
        let secret = self.system.secrets.get(&id(DEMO_CONTRACT)).expect("the demo contract has a secret");
        let mut secret: Value = serde_json::from_str(&secret).expect("a secret in JSON");
        secret["contractId"] = json!(contract);
        self.system.secrets.put(&id(contract), &secret.to_string());
    }

    /// A new token pair of a user, as digi.me's API gives it.
    #[must_use]
    pub fn issue_tokens(&self, user: &str) -> Value {
        let tokens = self.system.simulator.control().issue_tokens(user, DEMO_CONTRACT);
        serde_json::to_value(tokens).expect("a pair in JSON")
    }

    /// Gives a user a new grant, over whatever is stored.
    pub async fn store_grant(&self, user: &str) {
        let path = format!("/users/{user}/grants/{DEMO_CONTRACT}?replace=true");
        let reply = self.put(&path, &self.issue_tokens(user)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    }

    /// A user with a contact loses the authorization of an account. A mail is due in ten minutes.
    pub async fn lose_with_contact(&self, user: &str, contact: &Value) {
        const ACCOUNT: &str = "1_told";
        let path = format!("/users/{user}/grants/{DEMO_CONTRACT}");
        let reply = self.put(&path, &json!({"userAccessToken": self.issue_tokens(user), "contact": contact})).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
        self.system.simulator.control().add_account(user, Account::new(ACCOUNT, "River Bank", None));
        self.hand_in(user, None, &broken(ACCOUNT)).await;
    }

    /// Requests a reauthorization, as the application does.
    pub async fn request_reauthorization(&self, user: &str, account: &str) -> Reply {
        self.post(&format!("/users/{user}/accounts/{account}/reauthorizations"), &json!({})).await
    }

    /// digi.me refuses the demo user's access token and refresh token, except to start the user page.
    pub fn kill_tokens(&self) {
        let control = self.system.simulator.control();
        control.expire_access_tokens(DEMO_USER);
        control.kill_refresh_tokens(DEMO_USER);
    }

    /// Creates a reauthorization of the demo user without an account. Returns its id and its URL.
    pub async fn create_user_reauthorization(&self) -> (String, String) {
        let reply = self.post(&format!("/users/{DEMO_USER}/reauthorizations"), &json!({})).await;
        assert_eq!((reply.status, &reply.json()["kind"]), (StatusCode::CREATED, &json!("user")), "{}", reply.body);
        let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
        (text("reauthorizationId"), text("url"))
    }

    /// The status of a reauthorization in the API.
    pub async fn reauthorization(&self, id: &str) -> Value {
        let reply = self.get(&format!("/reauthorizations/{id}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    /// The demo user's token pair as the API shows it, with its status.
    pub async fn grant(&self) -> Value {
        let reply = self.get(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    /// The types of the published events, sorted: events of an account and of a grant have no common order.
    #[must_use]
    pub fn published_types(&self) -> Vec<String> {
        let mut types: Vec<_> = self.published().into_iter().map(|event| event.kind).collect();
        types.sort();
        types
    }

    /// The published events of users, in the order of their sequence.
    #[must_use]
    pub fn published_of_user(&self) -> Vec<DeliveredEvent> {
        let mut events = self.published();
        events.retain(|event| event.kind.starts_with("user."));
        events.sort_by_key(|event| event.sequence);
        events
    }

    /// How often digi.me was asked for a new token pair.
    #[must_use]
    pub fn refreshes(&self) -> usize {
        let requests = self.system.simulator.requests();
        requests.iter().filter(|request| request.path.ends_with("/oauth/token")).count()
    }

    /// Uses the button of a reconnect link once.
    pub async fn use_link(&self, link: &str) -> Reply {
        self.call(Method::POST, link, "").await
    }

    /// Erases a user.
    pub async fn erase(&self, user: &str) {
        let reply = self.call(Method::DELETE, &format!("/users/{user}"), "").await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::NO_CONTENT, ""));
    }
}
