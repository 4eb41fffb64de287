//! The user's browser: from a reauthorization URL over digi.me's page to the callback.

use http::StatusCode;
use url::Url;

use crate::{Reply, World};

/// Which button of digi.me's page the user presses.
#[derive(Debug, Clone, Copy)]
pub enum Decision {
    /// Authorize.
    Success,
    /// Authorize with another account of the same service.
    Another,
    /// End with this error code.
    Error(&'static str),
}

/// Where the browser ended.
#[derive(Debug)]
pub struct CallbackResult {
    /// The callback as digi.me called it: path and query.
    pub callback: String,
    /// What the callback answered.
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

/// Opens a reauthorization URL, presses a button, and gives the callback that digi.me sends the browser to.
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
    /// Opens a reauthorization URL, presses a button, and gives the callback that digi.me sends the browser to.
    pub async fn decide(&self, url: &str, decision: Decision) -> String {
        let location = decide(url, decision).await;
        let base = &self.system.endpoints.public_base_url;
        location.strip_prefix(base).expect("the callback is ours").to_owned()
    }

    /// Goes the whole way: from a reauthorization URL to what the callback answers.
    pub async fn reauthorize(&self, url: &str, decision: Decision) -> CallbackResult {
        let callback = self.decide(url, decision).await;
        let reply = self.get(&callback).await;
        CallbackResult { callback, reply }
    }

    /// Makes a reauthorization as the application does: its identifier and its URL.
    pub async fn make_reauthorization(&self, user: &str, account: &str) -> (String, String) {
        let path = format!("/users/{user}/accounts/{account}/reauthorizations");
        let reply = self.post(&path, &serde_json::json!({})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
        (text("reauthorizationId"), text("url"))
    }

    /// Presses the button of a reconnect link: the reauthorization URL.
    pub async fn follow(&self, link: &str) -> String {
        let page = self.get(link).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let reply = self.call(http::Method::POST, link, "").await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        reply.header("location").to_owned()
    }
}
