//! The reconnect link: a page that shows everything its user has to mend, and the requests that its buttons send.

mod choice;
mod logos;
mod overview;
mod pages;

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    keyring::{is_secret, random_secret},
    store::{Link, LinkUse, OngoingResult, OngoingUse, RecordedUse, StoreError, StoredLink, Versioned},
    web::{ApiRequest, BrowserCookie, Problem, Response, ResponseExt, page::Pages, response},
};
use reauth_domain::{
    Account, AccountId, Grant, Locale, ReauthorizationId, Target, contact::Reader, reauthorization::Reauthorization,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument;

use self::{
    choice::Choice,
    logos::Logos,
    overview::{Overview, is_renewable},
    pages::LinkPages,
};
use crate::{
    CreateReauthUrl,
    create::{CreateError, NewReauthorization},
};

/// How often a use of the link looks for the answer of an identical use that is under way.
const POLL_PAUSE: Duration = Duration::from_millis(100);

impl CreateReauthUrl {
    /// `GET` and `HEAD /reconnect/{token}`: shows the page. It starts no reauthorization and does not call digi.me, because
    /// link scanners open it too.
    #[instrument(skip_all)]
    pub(crate) async fn reconnect_page(&self, request: &Request) -> Result<Response, Problem> {
        let page = async {
            let Some(StoredLink { link, .. }) = self.link(request).await? else {
                return Ok(self.unknown_link(request));
            };
            let page = self.read(request, &link).await?.page();
            // With the cookie, a second press on a button is recognized as such.
            let cookie = BrowserCookie::of(request);
            if cookie.secrets(request).next().is_some() {
                return Ok(page);
            }
            page.with_cookie(&cookie.set(&random_secret(&self.ambient), self.settings.reauthorization_ttl))
        };
        page.await.or_else(|problem| Ok(self.error_page(request, None, &problem)))
    }

    /// `POST /reconnect/{token}`: creates a reauthorization and redirects to its URL, or carries out what the user chose instead.
    #[instrument(skip_all)]
    pub(crate) async fn reconnect(&self, request: &Request) -> Result<Response, Problem> {
        let answered = match Choice::of_form(request) {
            Some((choice, account)) => Box::pin(self.take_choice(request, choice, account.as_ref())).await,
            None => Box::pin(self.use_link(request)).await,
        };
        answered.or_else(|problem| Ok(self.error_page(request, None, &problem)))
    }

    /// 'Not now' or 'I no longer use this'. It can be pressed again: the second time finds the accounts as the first left them.
    async fn take_choice(
        &self,
        request: &Request,
        choice: Choice,
        account: Option<&AccountId>,
    ) -> Result<Response, Problem> {
        let Some(StoredLink { link, .. }) = self.link(request).await? else { return Ok(self.unknown_link(request)) };
        let view = self.read(request, &link).await?;
        let accounts = choice::chosen(&view.overview, choice, account);
        if accounts.is_empty() || view.has_expired {
            return Ok(view.page());
        }
        let ids: Vec<AccountId> = accounts.iter().map(|account| account.account_id.clone()).collect();
        let context = request.context().continuing(link.traceparent);
        if let Err(problem) = self.choose(&link.user_id, &ids, choice, context).await {
            return Ok(view.pages.pages.error(&problem, request.request_id()));
        }
        Ok(view.pages.chosen(choice, &accounts))
    }

    async fn use_link(&self, request: &Request) -> Result<Response, Problem> {
        // Keep an existing cookie. Otherwise a second reconnection in the same browser would replace it, and the first
        // one would not end on the return URL.
        let cookie = BrowserCookie::of(request);
        let known = cookie.secrets(request).next().map(SecretString::from);
        let browser = known.unwrap_or_else(|| random_secret(&self.ambient));
        let set_cookie = cookie.set(&browser, self.settings.reauthorization_ttl);
        let mut arrived_at = request.context().triggered_at;
        loop {
            match self.try_to_use(request, &browser, arrived_at).await? {
                UseResult::Url(url) => return response::see_other(url.expose_secret())?.with_cookie(&set_cookie),
                UseResult::Page(page) => return Ok(page),
                // This use takes the place of the one that failed.
                UseResult::Again => arrived_at = self.ambient.now(),
            }
        }
    }

    async fn try_to_use(
        &self,
        request: &Request,
        browser: &SecretString,
        arrived_at: Timestamp,
    ) -> Result<UseResult, Problem> {
        let Some(stored) = self.link(request).await? else { return Ok(UseResult::Page(self.unknown_link(request))) };
        let link = stored.link.clone();
        let target = chosen(request).unwrap_or_else(|| link.target.clone());
        // `join`, not `try_join`: when the read fails, the recorded use must still be known here, so that it can be taken
        // back.
        let (recorded, read) = tokio::join!(
            self.authorized.store.record_use(token(request), stored, &target, browser, arrived_at),
            self.read_target(&link, &target)
        );
        let recorded = match recorded? {
            LinkUse::TooMany(wait) => {
                let locale = read.ok().and_then(|(_, reader)| reader.locale);
                return Ok(UseResult::Page(self.pages(request, &locale).too_many_attempts(wait)));
            }
            LinkUse::Ongoing(ongoing) => {
                let url = self.wait_for(request, &ongoing).await?;
                return Ok(url.map_or(UseResult::Again, UseResult::Url));
            }
            LinkUse::Recorded(recorded) => recorded,
        };
        let (started, of_contact) = match read {
            Ok((read, Reader { locale: of_contact, .. })) => {
                let locale = self.locale_for_digime(request, of_contact.clone());
                (Box::pin(self.start(request, &link, read, locale, browser.clone())).await, of_contact)
            }
            Err(error) => (Err(error.into()), None),
        };
        match started {
            Ok(Some(url)) => {
                self.answer(request, &recorded, &url).await;
                Ok(UseResult::Url(url))
            }
            // There is nothing to start, or digi.me does not recognize the user any more: the page says so.
            Ok(None) | Err(CreateError::Authorized(AuthorizedClientError::UserAuthorizationRequired)) => {
                self.take_back(request, recorded).await;
                Ok(UseResult::Page(self.read(request, &link).await?.page()))
            }
            // Every problem here is a failure of this service, of digi.me or of the stored grant, not of the user.
            Err(error) => {
                self.take_back(request, recorded).await;
                Ok(UseResult::Page(self.error_page(request, of_contact.as_ref(), &error.into())))
            }
        }
    }

    /// Waits for the answer of an identical use that is under way. `None` if that use failed.
    async fn wait_for(&self, request: &Request, ongoing: &OngoingUse) -> Result<Option<SecretString>, Problem> {
        loop {
            match self.authorized.store.result_of_use(token(request), ongoing).await? {
                OngoingResult::Url(url) => return Ok(Some(url)),
                OngoingResult::Failed => return Ok(None),
                OngoingResult::None => tokio::time::sleep(POLL_PAUSE).await,
            }
        }
    }

    /// Records the URL for an identical use that may be waiting for it. Without the record, that use starts anew.
    async fn answer(&self, request: &Request, recorded: &RecordedUse, url: &SecretString) {
        if let Err(error) = self.authorized.store.answer_use(token(request), recorded, url).await {
            tracing::warn!(error = %Chain(&error), "reconnect: could not record the answer to a use of a link");
        }
    }

    /// Takes back a recorded use. An attempt that fails because of this service does not count toward the rate limit.
    async fn take_back(&self, request: &Request, recorded: RecordedUse) {
        if let Err(error) = self.authorized.store.take_back_use(token(request), recorded).await {
            tracing::warn!(error = %Chain(&error), "reconnect: could not take back the use of a link");
        }
    }

    /// What the user chose to mend, and what is known of the user.
    async fn read_target(&self, link: &Link, target: &Target) -> Result<(ReadTarget, Reader), StoreError> {
        let store = &self.authorized.store;
        let read = async {
            Ok(match target {
                Target::Account(account_id) => {
                    let (grants, account) = self.authorized.grants_and_account(&link.user_id, account_id, None).await?;
                    ReadTarget::Account(grants, account)
                }
                Target::Grant(contract_id) => ReadTarget::Grant(store.grant(&link.user_id, contract_id).await?),
            })
        };
        tokio::try_join!(read, store.reader(&link.user_id))
    }

    /// Creates the reauthorization of what was read. Returns the URL of digi.me's page, or `None` if there is nothing to
    /// mend now. A link of an earlier episode also works for the open episode, until the link expires.
    async fn start(
        &self,
        request: &Request,
        link: &Link,
        read: ReadTarget,
        locale: Option<Locale>,
        browser: SecretString,
    ) -> Result<Option<SecretString>, CreateError> {
        let (context, now) = (request.context().continuing(link.traceparent), self.ambient.now());
        if link.expires_at <= now {
            return Ok(None);
        }
        let new = NewReauthorization {
            browser: Some(browser),
            link: link.notice.clone(),
            user_id: link.user_id.clone(),
            contract_id: None,
            locale,
            return_url: self.settings.default_return_url.clone(),
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let created = match read {
            ReadTarget::Account(grants, Some(account))
                if account.value.episode().is_some() || account.value.renewable_until(now).is_some() =>
            {
                let account_id = account.value.account_id.clone();
                Box::pin(self.create_from_read(new, &account_id, grants, Some(account), context)).await?
            }
            ReadTarget::Grant(Some(grant))
                if grant.value.episode.is_some() || is_renewable(grant.value.tokens.refresh.expires_at, now) =>
            {
                Box::pin(self.create_for_grant(&new, grant, context)).await?
            }
            ReadTarget::Account(..) | ReadTarget::Grant(_) => return Ok(None),
        };
        request.record("reauthorization_id", &created.reauthorization.id);
        Ok(Some(created.page.url.as_str().into()))
    }

    async fn link(&self, request: &Request) -> Result<Option<StoredLink>, Problem> {
        let token = token(request);
        let stored = if is_secret(token) { self.authorized.store.link(token).await? } else { None };
        if let Some(StoredLink { link, .. }) = &stored {
            request.record("user_id", &link.user_id);
            if let Some(traceparent) = &link.traceparent {
                request.record("trace_id", &traceparent.trace_id());
            }
            match &link.target {
                Target::Account(id) => request.record("account_id", id),
                Target::Grant(id) => request.record("contract_id", id),
            }
        }
        Ok(stored)
    }

    /// Reads everything that the page of a link shows.
    async fn read(&self, request: &Request, link: &Link) -> Result<LinkView<'_>, Problem> {
        let store = &self.authorized.store;
        let (accounts, grants, ended, reader, ()) = tokio::try_join!(
            async { Ok::<_, Problem>(self.authorized.user_accounts(&link.user_id, request.context()).await?) },
            async { Ok(store.grant_states(&link.user_id).await?) },
            self.ended(request, link),
            async { Ok(store.reader(&link.user_id).await?) },
            async {
                self.read_own_logo().await;
                Ok(())
            }
        )?;
        let now = self.ambient.now();
        let accounts = accounts.accounts.into_values().map(|account| account.value).collect();
        let of_ended = ended.as_ref().and_then(|ended| ended.locale.as_ref());
        let asked = request.query().ok().as_ref().and_then(Choice::asked);
        let named = asked.as_ref().and_then(|(_, account)| account.clone()).or_else(|| account_of_form(request));
        let overview = Overview::new(link, named.as_ref(), accounts, &grants, now);
        let logos = Logos::read(&self.logos, &overview.accounts).await;
        let pages = self.pages(request, of_ended.into_iter().chain(&reader.locale));
        let pages = self.link_pages(pages.in_time_zone(reader.time_zone.as_ref()));
        Ok(LinkView {
            pages: LinkPages { logos, ..pages },
            overview,
            ended,
            asked,
            has_expired: link.expires_at <= now,
        })
    }

    /// The pages in the language of the reader: that of the reauthorization, else that of the contact, if this service knows it.
    pub(crate) fn pages<'l>(&self, request: &Request, wanted: impl IntoIterator<Item = &'l Locale>) -> Pages<'_> {
        let logo = self.branding.logo_url().and_then(|url| self.logos.remembered(url.as_str()));
        Pages::new(&self.branding, request, wanted).with_logo(logo)
    }

    fn link_pages<'a>(&'a self, pages: Pages<'a>) -> LinkPages<'a> {
        LinkPages {
            pages,
            logos: Logos::default(),
            return_url: self.settings.default_return_url.as_ref(),
            now: self.ambient.now(),
            onboard_origin: self.authorized.client.onboard_origin(),
        }
    }

    /// The locale of digi.me's page: that of the contact, else the language in which the browser was shown this page, else the
    /// default.
    fn locale_for_digime(&self, request: &Request, of_contact: Option<Locale>) -> Option<Locale> {
        let language = self.pages(request, &of_contact).texts.language();
        let of_page = || language.tag().parse().ok().filter(|_| language != self.branding.default_language());
        of_contact.or_else(of_page).or_else(|| self.settings.default_locale.clone())
    }

    fn unknown_link(&self, request: &Request) -> Response {
        self.link_pages(self.pages(request, None)).unknown_link()
    }

    fn error_page(&self, request: &Request, locale: Option<&Locale>, problem: &Problem) -> Response {
        self.pages(request, locale).error(problem, request.request_id())
    }

    /// The reauthorization that was started from this link, and at whose end the browser came back to the page.
    async fn ended(&self, request: &Request, link: &Link) -> Result<Option<Reauthorization>, Problem> {
        let query = request.query().unwrap_or_default();
        let Some(id) = query.get("ended").and_then(|id| id.parse::<ReauthorizationId>().ok()) else {
            return Ok(None);
        };
        let stored = self.authorized.store.reauthorization(&id).await?.map(|stored| stored.reauthorization);
        Ok(stored.filter(|ended| ended.user_id == link.user_id && ended.link.is_some() && ended.link == link.notice))
    }
}

/// Everything that the page of a link shows.
struct LinkView<'a> {
    pages: LinkPages<'a>,
    overview: Overview,
    /// The reauthorization from which the browser comes back.
    ended: Option<Reauthorization>,
    /// The question that the URL asks for, and the account that it is about.
    asked: Option<(Choice, Option<AccountId>)>,
    has_expired: bool,
}

impl LinkView<'_> {
    fn page(&self) -> Response {
        if self.has_expired && self.overview.has_work() {
            return self.pages.expired();
        }
        let question = self.asked.as_ref().and_then(|(choice, account)| {
            self.pages.question(*choice, &choice::chosen(&self.overview, *choice, account.as_ref()))
        });
        question.unwrap_or_else(|| self.pages.overview(&self.overview, self.ended.as_ref()))
    }
}

/// What a use of the link led to.
enum UseResult {
    /// The URL of digi.me's page.
    Url(SecretString),
    Page(Response),
    /// An identical use was under way, and failed.
    Again,
}

/// What the user chose to mend, as it was read.
#[expect(clippy::large_enum_variant, reason = "one per request")]
enum ReadTarget {
    Account(Vec<Versioned<Grant>>, Option<Versioned<Account>>),
    Grant(Option<Versioned<Grant>>),
}

/// What the user chose to mend: the form field `account` or `contract`.
fn chosen(request: &Request) -> Option<Target> {
    let form = url::form_urlencoded::parse(request.body());
    form.into_iter().find_map(|(name, value)| match &*name {
        "account" => value.parse().ok().map(Target::Account),
        "contract" => value.parse().ok().map(Target::Grant),
        _ => None,
    })
}

/// The account that a form is about.
fn account_of_form(request: &Request) -> Option<AccountId> {
    match chosen(request)? {
        Target::Account(id) => Some(id),
        Target::Grant(_) => None,
    }
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
