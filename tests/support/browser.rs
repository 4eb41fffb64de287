//! The user's browser: from a reauthorization URL over digi.me's page to the callback.

use http::StatusCode;
use url::Url;

use crate::{Reply, World};

/// What the user chooses on digi.me's page.
#[derive(Debug, Clone, Copy)]
pub enum Decision {
    /// Authorize.
    Success,
    /// Authorize with another account of the same service.
    Another,
    /// On the user page: authorize as another digi.me user.
    AnotherUser,
    /// On the user page: authorize, with a code that was used already.
    UsedCode,
    /// On the user page: authorize, with a code for another code verifier.
    OtherVerifier,
    /// Fail with this error code.
    Error(&'static str),
}

/// The callback that the browser loaded, and its reply.
#[derive(Debug)]
pub struct CallbackResult {
    /// The path and query of the callback.
    pub callback: String,
    pub reply: Reply,
}

impl CallbackResult {
    /// A parameter of the URL that the callback led to.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.reply.header("location")).ok()?;
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

/// Opens a reauthorization URL, sends the user's choice, and returns the callback that digi.me sends the browser to.
pub async fn decide(url: &str, decision: Decision) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let client = client.expect("a client");
    let page = client.get(url).send().await.expect("digi.me's page");
    assert_eq!(page.status().as_u16(), 200);
    let url = Url::parse(url).expect("a URL");
    let parameter = |name: &str| {
        let value = url.query_pairs().find(|(known, _)| known == name);
        value.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (code, account_ref) = (parameter("code"), parameter("accountRef"));
    let decision = match decision {
        Decision::Success => "success",
        Decision::Another => "another",
        Decision::AnotherUser => "another-user",
        Decision::UsedCode => "used-code",
        Decision::OtherVerifier => "other-verifier",
        Decision::Error(code) => code,
    };
    let form = [("code", &*code), ("accountRef", &*account_ref), ("decision", decision), ("username", "someone-else")];
    let mut target = url.clone();
    target.set_query(None);
    let answer = client.post(target).form(&form).send().await.expect("digi.me's answer");
    assert_eq!(answer.status().as_u16(), 303, "digi.me sends the browser on");
    answer.headers()["location"].to_str().expect("a location").to_owned()
}

impl World {
    /// Opens a reauthorization URL, sends the user's choice, and returns the callback that digi.me sends the browser to.
    pub async fn decide(&self, url: &str, decision: Decision) -> String {
        let location = decide(url, decision).await;
        self.path(&location)
    }

    /// The same, and then loads the callback.
    pub async fn reauthorize(&self, url: &str, decision: Decision) -> CallbackResult {
        let callback = self.decide(url, decision).await;
        let reply = self.get(&callback).await;
        CallbackResult { callback, reply }
    }

    /// Creates a reauthorization as the application does. Returns its id and its URL.
    pub async fn create_reauthorization(&self, user: &str, account: &str) -> (String, String) {
        let reply = self.request_reauthorization(user, account).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
        (text("reauthorizationId"), text("url"))
    }

    /// Uses a button of a reconnect link's page. Returns the URL of digi.me's page.
    pub async fn choose(&self, link: &str, field: &str, value: &str) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair(field, value).finish();
        let reply = self.call(http::Method::POST, link, form).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        reply.header("location").to_owned()
    }

    /// Opens a reconnect link and uses its button. Returns the reauthorization URL.
    pub async fn follow(&self, link: &str) -> String {
        let page = self.get(link).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let reply = self.use_link(link).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        reply.header("location").to_owned()
    }
}
