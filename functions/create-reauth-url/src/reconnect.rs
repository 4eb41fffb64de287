//! The reconnect link: a page with one button, and the request that the button sends.

use std::time::Duration;

use http::StatusCode;
use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    error::Chain,
    keyring::{is_secret, random_secret},
    store::{Grant, Link, LinkUse, RecordedUse, StoredLink, Versioned},
    web::{
        ApiRequest, BrowserCookie, Problem, Response, ResponseExt,
        page::{ServiceName, error_page, page},
        response,
    },
};
use reauth_domain::{Account, Status};
use secrecy::SecretString;
use tracing::instrument;

use crate::{CreateReauthUrl, create::NewReauthorization};

impl CreateReauthUrl {
    /// `GET` and `HEAD /reconnect/{token}`: shows the page. It starts no reauthorization and does not call digi.me, because
    /// link scanners open it too.
    #[instrument(skip_all)]
    pub(crate) async fn reconnect_page(&self, request: &Request) -> Result<Response, Problem> {
        let page = async {
            let Some(StoredLink { link, .. }) = self.link(request).await? else { return Ok(self.unknown_link()) };
            let account = self.authorized.store.account(&link.user_id, &link.account_id).await?;
            Ok(match self.reconnectable(&link, account) {
                Ok(account) => self.invitation(&account.value),
                Err(page) => page,
            })
        };
        page.await.or_else(|problem| Ok(self.error_page(request, &problem)))
    }

    /// `POST /reconnect/{token}`: creates a reauthorization and redirects to its URL.
    #[instrument(skip_all)]
    pub(crate) async fn reconnect(&self, request: &Request) -> Result<Response, Problem> {
        let answer = async {
            let Some(stored) = self.link(request).await? else { return Ok(self.unknown_link()) };
            let (link, store) = (stored.link.clone(), &self.authorized.store);
            // `join`, not `try_join`: when the read fails, the recorded use must still be known here, so that it can be
            // taken back.
            let (recorded, read) = tokio::join!(
                store.record_use(token(request), stored),
                self.authorized.grants_and_account(&link.user_id, &link.account_id, None)
            );
            let recorded = match recorded? {
                LinkUse::TooMany(wait) => return Ok(self.too_many_uses(wait)),
                LinkUse::Recorded(recorded) => recorded,
            };
            let answer = async {
                let (grants, account) = read?;
                match self.reconnectable(&link, account) {
                    Ok(account) => self.start(request, link, grants, account).await,
                    Err(page) => Ok(page),
                }
            };
            let answer = answer.await;
            // Every problem here is a failure of this service, of digi.me or of the stored grant, not of the user.
            if answer.is_err() {
                self.take_back(request, recorded).await;
            }
            answer
        };
        answer.await.or_else(|problem| Ok(self.error_page(request, &problem)))
    }

    /// Takes back a recorded use. An attempt that fails because of this service does not count toward the rate limit.
    async fn take_back(&self, request: &Request, recorded: RecordedUse) {
        if let Err(error) = self.authorized.store.take_back_use(token(request), recorded).await {
            tracing::warn!(error = %Chain(&error), "reconnect: could not take back the use of a link");
        }
    }

    async fn start(
        &self,
        request: &Request,
        link: Link,
        grants: Vec<Versioned<Grant>>,
        account: Versioned<Account>,
    ) -> Result<Response, Problem> {
        // Keep an existing cookie. Otherwise a second reconnection in the same browser would replace it, and the first
        // one would not end on the return URL.
        let cookie = BrowserCookie::of(request);
        let known = cookie.secrets(request).next().map(SecretString::from);
        let browser = known.unwrap_or_else(|| random_secret(&self.ambient));
        let set_cookie = cookie.set(&browser, self.settings.reauthorization_ttl);
        let new = NewReauthorization {
            browser: Some(browser),
            user_id: link.user_id,
            account_id: link.account_id,
            contract_id: None,
            locale: self.settings.default_locale.clone(),
            return_url: self.settings.default_return_url.clone(),
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let created = self.create_from_read(new, grants, Some(account), request.context()).await?;
        response::see_other(created.url.as_str())?.with_cookie(&set_cookie)
    }

    async fn link(&self, request: &Request) -> Result<Option<StoredLink>, Problem> {
        let token = token(request);
        let stored = if is_secret(token) { self.authorized.store.link(token).await? } else { None };
        if let Some(StoredLink { link, .. }) = &stored {
            request.record("user_id", &link.user_id);
            request.record("account_id", &link.account_id);
        }
        Ok(stored)
    }

    /// Returns the account if it can be reconnected now, else the page that says why not. A link of an earlier episode
    /// also works for the open episode, until the link expires.
    fn reconnectable(&self, link: &Link, account: Option<Versioned<Account>>) -> Result<Versioned<Account>, Response> {
        let Some(account) = account else { return Err(self.unknown_link()) };
        match &account.value.status {
            Status::Active { .. } => Err(self.connected(&account.value)),
            Status::Verifying { episode: None, .. } => Err(self.checking(&account.value)),
            Status::ReauthRequired(_) | Status::Verifying { .. } if link.expires_at <= self.ambient.now() => {
                Err(self.expired(&account.value))
            }
            Status::ReauthRequired(_) | Status::Verifying { .. } => Ok(account),
        }
    }

    /// The page with the reconnect button.
    fn invitation(&self, account: &Account) -> Response {
        let (application, service) = (&self.settings.application_name, service_name(account).in_sentence());
        let checking = matches!(account.status, Status::Verifying { .. });
        let button = if checking { "Reconnect again".to_owned() } else { format!("Reconnect {service}") };
        let content = html! {
            @if checking {
                p { "We are checking your connection. You do not need to do anything." }
            } @else {
                p {
                    "Your connection to " strong { (service) } " has ended. Reconnect it so that " (application)
                    " can keep using your data."
                }
            }
            @if let Some(username) = account.masked_username() {
                p { "Account: " strong { (username) } ". Not yours? Close this page; nothing changes." }
            }
            @if !checking {
                p {
                    "Next you go to digi.me, the service that " (application) " uses to connect. You confirm there with "
                    (service) ", then come back."
                }
            }
            form method="post" { button type="submit" { (button) } }
        };
        let title = if checking { format!("Checking {service}") } else { button };
        page(StatusCode::OK, &title, &content, &[&self.authorized.client.onboard_origin()])
    }

    fn connected(&self, account: &Account) -> Response {
        let content = html! { p { "You do not need to do anything. " (self.way_back()) } };
        page(StatusCode::GONE, &format!("{} is connected", service_name(account).at_start()), &content, &[])
    }

    fn checking(&self, account: &Account) -> Response {
        let content =
            html! { p { "We are checking your connection. You do not need to do anything. " (self.way_back()) } };
        page(StatusCode::OK, &format!("Checking {}", service_name(account).in_sentence()), &content, &[])
    }

    fn expired(&self, account: &Account) -> Response {
        let (application, service) = (&self.settings.application_name, service_name(account).in_sentence());
        let content = html! {
            p { "Nothing was changed. Go back to " (application) " and reconnect " strong { (service) } " from there." }
        };
        page(StatusCode::GONE, "This link has expired", &content, &[])
    }

    fn too_many_uses(&self, wait: Duration) -> Response {
        let content = html! {
            p { "This link was used too often in a short time. Try again in " (waiting_time(wait)) ". The link still works." }
        };
        page(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", &content, &[]).with_retry_after(wait)
    }

    fn unknown_link(&self) -> Response {
        let content = html! {
            p {
                "Nothing was changed. Check that you opened the whole link, or go back to "
                (self.settings.application_name) " and reconnect from there."
            }
        };
        page(StatusCode::NOT_FOUND, "This link does not work", &content, &[])
    }

    fn error_page(&self, request: &Request, problem: &Problem) -> Response {
        error_page(problem, &self.settings.application_name, request.request_id())
    }

    fn way_back(&self) -> Markup {
        html! { "You can close this page and go back to " (self.settings.application_name) "." }
    }
}

/// The waiting time in words: in minutes, rounded up, or in seconds when it is below one minute.
fn waiting_time(wait: Duration) -> String {
    let seconds = wait.as_secs().max(1);
    let (count, unit) = if seconds < 60 { (seconds, "second") } else { (seconds.div_ceil(60), "minute") };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// The token of the link, without what may stand behind it: mail programs take the punctuation after a link for a part of
/// it, and people add a slash.
fn token(request: &Request) -> &str {
    let token = match request.path_text("token") {
        "" => request.path_text("rest"),
        token => token,
    };
    token.trim_end_matches(['/', '.', ',', ';', ')', '>'])
}

fn service_name(account: &Account) -> ServiceName<'_> {
    ServiceName(account.service_name.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_time_is_told_in_minutes_rounded_up_and_below_one_in_seconds() {
        for (seconds, told) in [
            (0, "1 second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (61, "2 minutes"),
            (360, "6 minutes"),
        ] {
            assert_eq!(waiting_time(Duration::from_secs(seconds)), told);
        }
    }
}
