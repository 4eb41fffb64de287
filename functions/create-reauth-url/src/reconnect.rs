//! The reconnect link: a page with one button, and the button.

use http::StatusCode;
use maud::{Markup, html};
use reauth_core::{
    domain::{Account, Status},
    store::{Grant, Link, Versioned},
    web::{Problem, Request, Response, page::page},
};

use crate::{CreateReauthUrl, make::Wish};

/// A token is 32 bytes in base64url.
const TOKEN_LENGTH: usize = 43;

impl CreateReauthUrl {
    /// `GET /reconnect/{token}`: starts nothing and calls nobody, so that a scanner of links does no harm.
    pub(crate) async fn reconnect_page(&self, request: &Request) -> Result<Response, Problem> {
        let page = async {
            let Some(link) = self.link(request).await? else { return Ok(self.unknown_link()) };
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
            let Some(link) = self.link(request).await? else { return Ok(self.unknown_link()) };
            let (grants, account) = self.access.store.grants_and_account(&link.user_id, &link.account_id).await?;
            match self.alive(&link, account) {
                Ok(account) => self.start(request, link, grants, account).await,
                Err(page) => Ok(page),
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
        let wish = Wish {
            user_id: link.user_id,
            account_id: link.account_id,
            contract_id: None,
            locale: self.settings.default_locale.clone(),
            return_url: self.settings.default_return_url.clone(),
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let made = self.make_for(wish, grants, Some(account), request.trigger).await?;
        Response::see_other(made.url.as_str())
    }

    async fn link(&self, request: &Request) -> Result<Option<Link>, Problem> {
        let token = request.path_text("token");
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if token.len() != TOKEN_LENGTH || !token.bytes().all(base64url) {
            return Ok(None);
        }
        Ok(self.access.store.link(token).await?)
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

fn service_name(account: &Account) -> &str {
    account.service_name.as_deref().unwrap_or("the service")
}
