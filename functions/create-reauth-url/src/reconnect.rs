//! The reconnect link: a page with one button, and the button.

use std::time::Duration;

use http::StatusCode;
use maud::{Markup, html};
use reauth_core::{
    domain::{Account, Status},
    keyring::random_secret,
    store::{Grant, Link, StoredLink, Versioned},
    web::{BROWSER_COOKIE, Problem, Request, Response, page::page},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{CreateReauthUrl, make::Wish};

/// A token is 32 bytes in base64url.
const TOKEN_LENGTH: usize = 43;

impl CreateReauthUrl {
    /// `GET /reconnect/{token}`: starts nothing and calls nobody, so that a scanner of links does no harm.
    pub(crate) async fn reconnect_page(&self, request: &Request) -> Result<Response, Problem> {
        let page = async {
            let Some(StoredLink { link, .. }) = self.link(request).await? else { return Ok(self.unknown_link()) };
            let account = self.access.store.account(&link.user_id, &link.account_id).await?;
            Ok(match self.alive(&link, account) {
                Ok(account) => self.invitation(&account.value),
                Err(page) => page,
            })
        };
        page.await.or_else(|problem| Ok(self.trouble(&problem)))
    }

    /// `POST /reconnect/{token}`: to a reauthorization made at this moment.
    pub(crate) async fn reconnect(&self, request: &Request) -> Result<Response, Problem> {
        let answer = async {
            let Some(stored) = self.link(request).await? else { return Ok(self.unknown_link()) };
            let (link, store) = (stored.link.clone(), &self.access.store);
            let press = store.press(request.path_text("token"), stored);
            let (wait, (grants, account)) =
                tokio::try_join!(press, self.access.grants_and_account(&link.user_id, &link.account_id, None))?;
            match (wait, self.alive(&link, account)) {
                (Some(wait), _) => Ok(self.too_often(wait)),
                (None, Ok(account)) => self.start(request, link, grants, account).await,
                (None, Err(page)) => Ok(page),
            }
        };
        answer.await.or_else(|problem| Ok(self.trouble(&problem)))
    }

    async fn start(
        &self,
        request: &Request,
        link: Link,
        grants: Vec<Versioned<Grant>>,
        account: Versioned<Account>,
    ) -> Result<Response, Problem> {
        // The same mark again, so that of two reconnections in one browser both end well.
        let known = request.cookies(BROWSER_COOKIE).find(|mark| is_token(mark)).map(SecretString::from);
        let browser = known.unwrap_or_else(|| random_secret(&self.ambient));
        let cookie = format!(
            "{BROWSER_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
            browser.expose_secret(),
            self.settings.reauthorization_ttl.as_secs()
        );
        let wish = Wish {
            browser: Some(browser),
            user_id: link.user_id,
            account_id: link.account_id,
            contract_id: None,
            locale: self.settings.default_locale.clone(),
            return_url: self.settings.default_return_url.clone(),
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let made = self.make_for(wish, grants, Some(account), request.trigger).await?;
        Ok(Response::see_other(made.url.as_str())?.with_cookie(cookie))
    }

    async fn link(&self, request: &Request) -> Result<Option<StoredLink>, Problem> {
        let token = request.path_text("token");
        if is_token(token) { Ok(self.access.store.link(token).await?) } else { Ok(None) }
    }

    /// The account that waits for its user; or the page that says why there is nothing to do.
    fn alive(&self, link: &Link, account: Option<Versioned<Account>>) -> Result<Versioned<Account>, Response> {
        let Some(account) = account else { return Err(self.unknown_link()) };
        match account.value.episode() {
            Some(episode) if episode.episode_id == link.episode_id => {}
            _ => return Err(self.over(&account.value)),
        }
        if link.expires_at <= self.ambient.now() { Err(self.expired()) } else { Ok(account) }
    }

    fn invitation(&self, account: &Account) -> Response {
        let application = &self.settings.application_name;
        let service = service_name(account);
        let content = html! {
            p { (application) " can no longer read your data from " strong { (service) } "." }
            @if let Some(username) = account.masked_username() {
                p { "The account is " strong { (username) } ". If it is not yours, close this page." }
            }
            p { "To let it in again, you go to digi.me and sign in there." }
            @if let Status::Verifying { .. } = account.status {
                p { small { "You have done this already, and it is being checked. You can do it again." } }
            }
            form method="post" { button type="submit" { "Reconnect " (service) } }
        };
        let title = format!("Reconnect {service}");
        page(StatusCode::OK, &title, &content, &[&self.access.client.onboard_origin()])
    }

    fn over(&self, account: &Account) -> Response {
        let service = service_name(account);
        let content = html! { p { (service) " is connected. There is nothing left to do." } };
        self.notice(StatusCode::GONE, "Nothing to do", &content)
    }

    fn expired(&self) -> Response {
        let content = html! { p { "This link has expired. Ask " (self.settings.application_name) " for a new one." } };
        self.notice(StatusCode::GONE, "The link has expired", &content)
    }

    fn too_often(&self, wait: Duration) -> Response {
        let content = html! { p { "This link was used too often just now. Try again in ten minutes: it stays good." } };
        self.notice(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", &content).with_retry_after(wait)
    }

    fn unknown_link(&self) -> Response {
        let content = html! {
            p { "This link does not work. Check that it is complete, or open " (self.settings.application_name) " and start from there." }
        };
        self.notice(StatusCode::NOT_FOUND, "The link is not known", &content)
    }

    /// A problem as a page; its cause goes to the log.
    fn trouble(&self, problem: &Problem) -> Response {
        problem.log();
        let content = if problem.retry_after.is_some() {
            html! { p { "That did not work just now. Try again in a minute: the link stays good." } }
        } else {
            html! { p { "That did not work. Open " (self.settings.application_name) " and start from there." } }
        };
        self.notice(problem.status, "That did not work", &content)
    }

    fn notice(&self, status: StatusCode, title: &str, content: &Markup) -> Response {
        page(status, title, content, &[])
    }
}

/// Whether it has the form of this service's tokens and marks: 32 bytes in base64url.
fn is_token(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == TOKEN_LENGTH && text.bytes().all(base64url)
}

fn service_name(account: &Account) -> &str {
    account.service_name.as_deref().unwrap_or("the service")
}
