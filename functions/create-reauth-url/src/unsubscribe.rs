//! The page that stops the mails to a user, and the request of its button. A mail program sends the same request when its user
//! unsubscribes there (RFC 8058): without a cookie, and from anywhere.

use http::{StatusCode, header::ACCEPT_LANGUAGE};
use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    metrics,
    web::{
        ApiRequest, Problem, Response,
        page::{error_page, page},
    },
};
use reauth_domain::{EmailStop, UserId, contact::ContactState};
use reauth_text::{Language, Name, Text, Texts};
use tracing::instrument;

use crate::CreateReauthUrl;

impl CreateReauthUrl {
    /// `GET` and `HEAD /unsubscribe/{token}`: asks. It changes nothing, because link scanners open it too.
    #[instrument(skip_all)]
    pub(crate) async fn unsubscribe_page(&self, request: &Request) -> Result<Response, Problem> {
        self.ask(request).await.or_else(|problem| Ok(self.failed(request, &problem)))
    }

    /// `POST /unsubscribe/{token}`: stops the mails. From then on none is sent, also none that is on its way to SES.
    #[instrument(skip_all)]
    pub(crate) async fn unsubscribe(&self, request: &Request) -> Result<Response, Problem> {
        self.stop(request).await.or_else(|problem| Ok(self.failed(request, &problem)))
    }

    async fn ask(&self, request: &Request) -> Result<Response, Problem> {
        let Some((_, contact)) = self.reader(request).await? else { return Ok(self.unknown(request)) };
        let texts = self.texts(request, contact.as_ref());
        let is_stopped = contact.and_then(|contact| contact.stopped).is_some_and(is_unsubscribed);
        Ok(if is_stopped { self.stopped(texts) } else { self.question(texts) })
    }

    async fn stop(&self, request: &Request) -> Result<Response, Problem> {
        let Some((user, contact)) = self.reader(request).await? else { return Ok(self.unknown(request)) };
        let store = &self.authorized.store;
        if store.stop_emails(&user, EmailStop::Unsubscribed, None, request.context()).await? {
            metrics::emails_stopped(EmailStop::Unsubscribed);
            tracing::info!("unsubscribe: stopped the mails to a user");
        }
        Ok(self.stopped(self.texts(request, contact.as_ref())))
    }

    /// The user that the token names, and the user's contact. A user who was erased gets no mails either.
    async fn reader(&self, request: &Request) -> Result<Option<(UserId, Option<ContactState>)>, Problem> {
        let store = &self.authorized.store;
        let Some(user) = store.user_of_unsubscribe_token(request.path_text("token")).await? else { return Ok(None) };
        request.record("user_id", &user);
        let contact = store.contact(&user).await?.map(|read| read.value);
        Ok(Some((user, contact)))
    }

    fn texts(&self, request: &Request, contact: Option<&ContactState>) -> &'static Texts {
        let contact = contact.and_then(|state| state.contact.as_ref());
        let wanted = contact.and_then(|contact| contact.locale.as_ref()).map(|locale| locale.as_str());
        let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let default = self.settings.default_locale.iter().map(|locale| locale.as_str());
        Texts::of(Language::negotiate(wanted, accepted, Language::negotiate(default, None, Language::English)))
    }

    fn question(&self, texts: &Texts) -> Response {
        let content = html! {
            p { (texts.unsubscribe_text(self.application_name())) }
            form method="post" { button { (texts.unsubscribe_button()) } }
        };
        show(StatusCode::OK, &texts.unsubscribe_title(), &content)
    }

    fn stopped(&self, texts: &Texts) -> Response {
        let content = html! { p { (texts.unsubscribed_text(self.application_name())) } };
        show(StatusCode::OK, &texts.unsubscribed_title(), &content)
    }

    /// The token is not one of this service.
    fn unknown(&self, request: &Request) -> Response {
        let texts = self.texts(request, None);
        let content = html! { p { (texts.unknown_text(self.application_name())) } };
        show(StatusCode::NOT_FOUND, &texts.unknown_title(), &content)
    }

    fn failed(&self, request: &Request, problem: &Problem) -> Response {
        error_page(problem, &self.settings.application_name, request.request_id())
    }

    fn application_name(&self) -> Name<'_> {
        Name::Known(&self.settings.application_name)
    }
}

fn is_unsubscribed(stopped: reauth_domain::contact::Stopped) -> bool {
    stopped.reason == EmailStop::Unsubscribed
}

fn show(status: StatusCode, title: &Text, content: &Markup) -> Response {
    page(status, &title.to_string(), content, &[])
}
