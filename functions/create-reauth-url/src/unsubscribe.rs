//! The page that stops the mails to a user, and the request of its button. A mail program sends the same request when its user
//! unsubscribes there (RFC 8058): without a cookie, and from anywhere.

use http::StatusCode;
use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    metrics,
    web::{
        ApiRequest, Problem, Response,
        page::{Page, Pages},
    },
};
use reauth_domain::{EmailStop, UserId, contact::ContactState};
use reauth_text::Text;
use tracing::instrument;

use crate::CreateReauthUrl;

impl CreateReauthUrl {
    /// `GET` and `HEAD /unsubscribe/{token}`: asks. It changes nothing, because link scanners open it too.
    #[instrument(skip_all)]
    pub(crate) async fn unsubscribe_page(&self, request: &Request) -> Result<Response, Problem> {
        self.ask(request).await.or_else(|problem| Ok(self.failed(request, &problem)))
    }

    /// `POST /unsubscribe/{token}`: stops the mails. It is in force for every mail that is not claimed yet.
    #[instrument(skip_all)]
    pub(crate) async fn unsubscribe(&self, request: &Request) -> Result<Response, Problem> {
        self.stop(request).await.or_else(|problem| Ok(self.failed(request, &problem)))
    }

    async fn ask(&self, request: &Request) -> Result<Response, Problem> {
        let Some((_, contact)) = self.reader(request).await? else { return Ok(self.unknown(request)) };
        let pages = self.pages_of(request, contact.as_ref());
        let is_stopped = contact.and_then(|contact| contact.stopped).is_some_and(is_unsubscribed);
        Ok(if is_stopped { stopped(&pages) } else { question(&pages) })
    }

    async fn stop(&self, request: &Request) -> Result<Response, Problem> {
        let Some((user, contact)) = self.reader(request).await? else { return Ok(self.unknown(request)) };
        let store = &self.authorized.store;
        if store.stop_emails(&user, EmailStop::Unsubscribed, None, request.context()).await? {
            metrics::emails_stopped(EmailStop::Unsubscribed);
            tracing::info!("unsubscribe: stopped the mails to a user");
        }
        Ok(stopped(&self.pages_of(request, contact.as_ref())))
    }

    /// The user that the token names, and the user's contact. A user who was erased gets no mails either.
    async fn reader(&self, request: &Request) -> Result<Option<(UserId, Option<ContactState>)>, Problem> {
        let store = &self.authorized.store;
        let Some(user) = store.user_of_unsubscribe_token(request.path_text("token")).await? else { return Ok(None) };
        request.record("user_id", &user);
        let contact = store.contact(&user).await?.map(|read| read.value);
        Ok(Some((user, contact)))
    }

    /// The pages in the language of the contact.
    fn pages_of(&self, request: &Request, contact: Option<&ContactState>) -> Pages<'_> {
        let contact = contact.and_then(ContactState::contact);
        self.pages(request, contact.and_then(|contact| contact.locale.as_ref()))
    }

    /// The token is not one of this service.
    fn unknown(&self, request: &Request) -> Response {
        let pages = self.pages(request, None);
        let content = html! { p { (pages.texts.unknown_text(pages.application())) } };
        show(&pages, StatusCode::NOT_FOUND, &pages.texts.unknown_title(), &content)
    }

    fn failed(&self, request: &Request, problem: &Problem) -> Response {
        self.pages(request, None).error(problem, request.request_id())
    }
}

fn question(pages: &Pages<'_>) -> Response {
    let content = html! {
        p { (pages.texts.unsubscribe_text(pages.application())) }
        form method="post" { button { (pages.texts.unsubscribe_button()) } }
    };
    show(pages, StatusCode::OK, &pages.texts.unsubscribe_title(), &content)
}

fn stopped(pages: &Pages<'_>) -> Response {
    let content = html! { p { (pages.texts.unsubscribed_text(pages.application())) } };
    show(pages, StatusCode::OK, &pages.texts.unsubscribed_title(), &content)
}

/// Whether an unsubscription would change nothing.
fn is_unsubscribed(stopped: reauth_domain::contact::Stopped) -> bool {
    !EmailStop::Unsubscribed.outlasts(stopped.reason)
}

fn show(pages: &Pages<'_>, status: StatusCode, title: &Text, content: &Markup) -> Response {
    pages.show(Page::new(status, title, content))
}
