//! The reconnect link: a page that shows everything its user has to mend, and the request that its buttons send.

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
    web::{ApiRequest, BrowserCookie, Problem, Response, ResponseExt, page::too_many_attempts, response},
};
use reauth_domain::{Account, Grant, ReauthorizationId, Target, reauthorization::Reauthorization};
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument;

use self::overview::Overview;
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
            let Some(StoredLink { link, .. }) = self.link(request).await? else { return Ok(self.unknown_link()) };
            let page = self.overview_page(request, &link).await?;
            // With the cookie, a second press on a button is recognized as such.
            let cookie = BrowserCookie::of(request);
            if cookie.secrets(request).next().is_some() {
                return Ok(page);
            }
            page.with_cookie(&cookie.set(&random_secret(&self.ambient), self.settings.reauthorization_ttl))
        };
        page.await.or_else(|problem| Ok(self.error_page(request, &problem)))
    }

    /// `POST /reconnect/{token}`: creates a reauthorization and redirects to its URL.
    #[instrument(skip_all)]
    pub(crate) async fn reconnect(&self, request: &Request) -> Result<Response, Problem> {
        self.use_link(request).await.or_else(|problem| Ok(self.error_page(request, &problem)))
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
        let Some(stored) = self.link(request).await? else { return Ok(UseResult::Page(self.unknown_link())) };
        let link = stored.link.clone();
        let target = chosen(request).unwrap_or_else(|| link.target.clone());
        // `join`, not `try_join`: when the read fails, the recorded use must still be known here, so that it can be taken
        // back.
        let (recorded, read) = tokio::join!(
            self.authorized.store.record_use(token(request), stored, &target, browser, arrived_at),
            self.read_target(&link, &target)
        );
        let recorded = match recorded? {
            LinkUse::TooMany(wait) => return Ok(UseResult::Page(too_many_attempts(wait))),
            LinkUse::Ongoing(ongoing) => {
                let url = self.wait_for(request, &ongoing).await?;
                return Ok(url.map_or(UseResult::Again, UseResult::Url));
            }
            LinkUse::Recorded(recorded) => recorded,
        };
        let started = match read {
            Ok(read) => Box::pin(self.start(request, &link, read, browser.clone())).await,
            Err(error) => Err(error.into()),
        };
        match started {
            Ok(Some(url)) => {
                self.answer(request, &recorded, &url).await;
                Ok(UseResult::Url(url))
            }
            // There is nothing to start, or digi.me does not recognize the user any more: the page says so.
            Ok(None) | Err(CreateError::Authorized(AuthorizedClientError::UserAuthorizationRequired)) => {
                self.take_back(request, recorded).await;
                Ok(UseResult::Page(self.overview_page(request, &link).await?))
            }
            // Every problem here is a failure of this service, of digi.me or of the stored grant, not of the user.
            Err(error) => {
                self.take_back(request, recorded).await;
                Err(error.into())
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

    async fn read_target(&self, link: &Link, target: &Target) -> Result<ReadTarget, StoreError> {
        match target {
            Target::Account(account_id) => {
                let (grants, account) = self.authorized.grants_and_account(&link.user_id, account_id, None).await?;
                Ok(ReadTarget::Account(grants, account))
            }
            Target::Grant(contract_id) => {
                Ok(ReadTarget::Grant(self.authorized.store.grant(&link.user_id, contract_id).await?))
            }
        }
    }

    /// Creates the reauthorization of what was read. Returns the URL of digi.me's page, or `None` if there is nothing to
    /// mend now. A link of an earlier episode also works for the open episode, until the link expires.
    async fn start(
        &self,
        request: &Request,
        link: &Link,
        read: ReadTarget,
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
            locale: self.settings.default_locale.clone(),
            return_url: self.settings.default_return_url.clone(),
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let created = match read {
            ReadTarget::Account(grants, Some(account)) if account.value.episode().is_some() => {
                let account_id = account.value.account_id.clone();
                Box::pin(self.create_from_read(new, &account_id, grants, Some(account), context)).await?
            }
            ReadTarget::Grant(Some(grant))
                if grant.value.episode.is_some() || grant.value.has_expired_unnoticed(now) =>
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

    /// The page of everything that the user has to mend, and of what is done already.
    async fn overview_page(&self, request: &Request, link: &Link) -> Result<Response, Problem> {
        let store = &self.authorized.store;
        let (accounts, grants, ended) = tokio::try_join!(
            async { Ok::<_, Problem>(self.authorized.user_accounts(&link.user_id, request.context()).await?) },
            async { Ok(store.grant_states(&link.user_id).await?) },
            self.ended(request, link)
        )?;
        let accounts = accounts.accounts.into_values().map(|account| account.value).collect();
        let overview = Overview::new(link, accounts, grants, self.ambient.now());
        Ok(self.overview(link, &overview, ended.as_ref()))
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

/// The token of the link, without what may stand behind it: mail programs take the punctuation after a link for a part of
/// it, and people add a slash.
fn token(request: &Request) -> &str {
    let token = match request.path_text("token") {
        "" => request.path_text("rest"),
        token => token,
    };
    token.trim_end_matches(['/', '.', ',', ';', ')', '>'])
}
