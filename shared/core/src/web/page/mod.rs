//! The HTML pages for users: plain, readable, one clear action, no JavaScript. `maud` escapes everything that is shown.

mod branding;
mod color;
mod image;
mod outcome;

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, VARY, X_FRAME_OPTIONS},
};
use jiff::{Timestamp, tz::TimeZone};
use lambda_http::Request;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use reauth_domain::{Locale, ReturnUrl, contact::TimeZoneName};
use reauth_text::{Language, Name, Text, Texts};

pub use self::{
    branding::Branding,
    color::{Color, InvalidColor},
    image::Image,
};
use super::{Problem, Response, ResponseExt, problem::ProblemCode, response};

/// The pages for one reader: in the reader's language and time zone, with the application's name, colour and logo.
#[derive(Debug, Clone)]
pub struct Pages<'a> {
    branding: &'a Branding,
    /// The texts in the reader's language.
    pub texts: &'static Texts,
    time_zone: TimeZone,
    logo: Option<Image>,
}

/// What is shown within the frame of a page.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub status: StatusCode,
    pub title: &'a Text,
    /// The logo of the service that the title names.
    pub logo: Option<&'a Image>,
    pub content: &'a Markup,
    /// The origins, besides this one, that forms of the page lead to. Redirects after a form's submission must be among
    /// them, because browsers apply `form-action` to them.
    pub form_targets: &'a [&'a str],
}

impl<'a> Page<'a> {
    /// A page without forms to other origins.
    #[must_use]
    pub fn new(status: StatusCode, title: &'a Text, content: &'a Markup) -> Self {
        Self { status, title, logo: None, content, form_targets: &[] }
    }
}

impl<'a> Pages<'a> {
    /// The reader's language is the first that is known of `wanted`, then the best of the browser's, then the default.
    #[must_use]
    pub fn new<'l>(branding: &'a Branding, request: &Request, wanted: impl IntoIterator<Item = &'l Locale>) -> Self {
        let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let wanted = wanted.into_iter().map(Locale::as_str);
        let language = Language::negotiate(wanted, accepted, branding.default_language());
        Self { branding, texts: Texts::of(language), time_zone: branding.time_zone(), logo: None }
    }

    /// The same pages with dates in this time zone, if it is known, instead of the default.
    #[must_use]
    pub fn in_time_zone(self, name: Option<&TimeZoneName>) -> Self {
        let time_zone = name.map_or(self.time_zone, TimeZoneName::present_rule);
        Self { time_zone, ..self }
    }

    /// The same pages with the application's logo.
    #[must_use]
    pub fn with_logo(self, logo: Option<Image>) -> Self {
        Self { logo, ..self }
    }

    /// What the texts call the application.
    #[must_use]
    pub fn application(&self) -> Name<'a> {
        self.branding.application()
    }

    /// The day of the reader at this time.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> Text {
        self.texts.date(self.time_zone.to_datetime(at).date())
    }

    /// The page as a response.
    #[must_use]
    pub fn show(&self, page: Page<'_>) -> Response {
        let (texts, language) = (self.texts, self.texts.language());
        let body = html! {
            (DOCTYPE)
            html lang=(language.tag()) dir=(language.dir()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title { (page.title.to_string()) }
                    style { (PreEscaped(self.branding.style())) }
                }
                body {
                    @if self.logo.is_some() || self.application() != Name::Unknown {
                        header { (optional(self.logo.as_ref())) span { (texts.application_start(self.application())) } }
                    }
                    main {
                        h1 { (optional(page.logo)) span { (page.title) } }
                        (page.content)
                    }
                    @if let Some(url) = self.branding.support_url() {
                        footer { a href=(url) { (texts.support_link(self.application())) } }
                    }
                }
            }
        };
        let body = body.into_string();
        let headers = self.headers(&body, page.form_targets);
        response::html(page.status, body, headers)
    }

    fn headers(&self, body: &str, form_targets: &[&str]) -> Vec<(HeaderName, HeaderValue)> {
        let style = self.branding.style_hash();
        let targets: String = form_targets.iter().map(|target| format!(" {target}")).collect();
        // A quote within a text is escaped, so that only an image has this form.
        let images = if body.contains("<img src=\"data:") { " img-src data:;" } else { "" };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}';{images} form-action 'self'{targets}; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        // The policy is always a valid header value: origins are ASCII without control characters.
        let policy = HeaderValue::from_str(&policy).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy));
        let fixed = [
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (CONTENT_LANGUAGE, HeaderValue::from_static(self.texts.language().tag())),
            (VARY, HeaderValue::from_static("accept-language")),
        ];
        fixed.into_iter().chain(policy).collect()
    }

    /// The page for a request that failed. The cause is logged and not shown: the support finds it under the request's id.
    #[must_use]
    pub fn error(&self, problem: &Problem, request_id: &str) -> Response {
        problem.log();
        let texts = self.texts;
        let content = html! {
            p { (texts.error_text()) }
            @if let Some(wait) = problem.retry_after {
                p { (texts.try_again_in(&texts.waiting_time(wait))) }
                (self.try_again())
            } @else {
                p { (texts.error_back(self.application())) }
            }
            p { small { (texts.reference(request_id)) } }
        };
        let mut page = self.show(Page::new(problem.status, &texts.error_title(), &content));
        page.extensions_mut().insert(ProblemCode(problem.code));
        match problem.retry_after {
            Some(wait) => page.with_retry_after(wait),
            None => page,
        }
    }

    /// The page for a link or a callback that was used too often in a short time.
    #[must_use]
    pub fn too_many_attempts(&self, wait: Duration) -> Response {
        let texts = self.texts;
        let content = html! {
            p { (texts.too_many_text(&texts.waiting_time(wait))) }
            (self.try_again())
        };
        let title = texts.too_many_title();
        self.show(Page::new(StatusCode::TOO_MANY_REQUESTS, &title, &content)).with_retry_after(wait)
    }

    fn try_again(&self) -> Markup {
        // An empty `href` loads this page again.
        html! { p { a class="button" href="" { (self.texts.try_again_button()) } } }
    }

    /// How the user gets back to the application: a button if an address is known, else a sentence.
    #[must_use]
    pub fn way_back(&self, return_url: Option<&ReturnUrl>) -> Markup {
        let (texts, application) = (self.texts, self.application());
        match return_url {
            Some(url) => html! { p { a class="button" href=(url.origin()) { (texts.back_button(application)) } } },
            None => html! { p { (texts.back_text(application)) } },
        }
    }

    /// The way back to the application, on a page whose primary action is another.
    #[must_use]
    pub fn secondary_way_back(&self, return_url: &ReturnUrl) -> Markup {
        let label = self.texts.back_button(self.application());
        html! { p.back { a class="button secondary" href=(return_url.origin()) { (label) } } }
    }
}

fn optional(image: Option<&Image>) -> Markup {
    html! { @if let Some(image) = image { (image) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branding(variables: &[(&str, &str)]) -> Branding {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Branding::from_environment(&owned.collect()).unwrap()
    }

    fn body(response: &Response) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let name = "<script>alert(1)</script>\" onload=\"x <img src=\"data:";
        let branding = branding(&[("APPLICATION_NAME", name)]);
        let pages = Pages::new(&branding, &Request::default(), []);
        let title = pages.texts.reconnect_title(Name::Known(name));
        let response = pages.show(Page::new(StatusCode::OK, &title, &html! { p title=(name) { (name) } }));
        let body = body(&response);
        assert!(!body.contains("<script>") && !body.contains("\" onload") && !body.contains("<img"), "{body}");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("img-src"), "{policy}");
    }

    #[test]
    fn forms_lead_to_named_origins_only() {
        let branding = branding(&[]);
        let pages = Pages::new(&branding, &Request::default(), []);
        let (title, content) = (pages.texts.all_set_title(), html! {});
        let page = Page { form_targets: &["https://api.digi.me"], ..Page::new(StatusCode::OK, &title, &content) };
        let response = pages.show(page);
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("form-action 'self' https://api.digi.me;"), "{policy}");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert_eq!(response.headers()[X_FRAME_OPTIONS], "DENY");
    }

    #[test]
    fn images_are_allowed_on_a_page_with_an_image_only_and_from_the_page_only() {
        let branding = branding(&[]);
        let pages = Pages::new(&branding, &Request::default(), []).with_logo(Some(Image::new("image/png", b"png")));
        let response = pages.show(Page::new(StatusCode::OK, &pages.texts.all_set_title(), &html! {}));
        assert!(body(&response).contains("<img src=\"data:image/png;base64,cG5n\" alt=\"\">"), "{}", body(&response));
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("; img-src data:; form-action"), "{policy}");
    }

    #[test]
    fn a_page_is_in_the_language_of_its_reader() {
        let branding = branding(&[("DEFAULT_LOCALE", "fr"), ("SUPPORT_URL", "mailto:hulp@example.com")]);
        let request = http::Request::builder().header(ACCEPT_LANGUAGE, "nl-BE,en;q=0.5").body(().into()).unwrap();
        let tag = |request: &Request, wanted: &[Locale]| {
            let pages = Pages::new(&branding, request, wanted);
            let response = pages.show(Page::new(StatusCode::OK, &pages.texts.all_set_title(), &html! {}));
            let tag = response.headers()[CONTENT_LANGUAGE].to_str().unwrap().to_owned();
            assert!(body(&response).contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")), "{}", body(&response));
            assert_eq!(response.headers()[VARY], "accept-language");
            tag
        };
        assert_eq!(tag(&request, &["pt-BR".parse().unwrap()]), "pt-PT");
        assert_eq!(tag(&request, &["ja".parse().unwrap()]), "nl");
        assert_eq!(tag(&Request::default(), &[]), "fr");
        let pages = Pages::new(&branding, &request, []);
        let response = pages.show(Page::new(StatusCode::OK, &pages.texts.all_set_title(), &html! {}));
        let link = "<a href=\"mailto:hulp@example.com\">Vraag hulp bij de toepassing</a>";
        assert!(body(&response).contains(link), "{}", body(&response));
    }
}
