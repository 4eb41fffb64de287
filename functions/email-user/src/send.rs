//! Sends a mail that is due: reads what there is to say, claims the mail, and gives it to SES.

use std::{collections::BTreeSet, time::Duration};

use digime::ambient::Deadline;
use jiff::Timestamp;
use reauth_core::{
    error::Chain,
    lambda::RequestContext,
    metrics::{self, MailOutcome},
    retry::retry_on_conflict,
    store::ContactChange,
};
use reauth_domain::{
    UserId,
    contact::{Contact, ContactState},
    outage::resume_at,
    time::after,
};
use reauth_text::Texts;
use secrecy::ExposeSecret;
use url::Url;

use crate::{
    EmailError, EmailUser,
    compose::{Draft, Mail},
    due::{Decision, decide},
    mailer::SendError,
    overview::{Open, Overview},
};

/// A mail is claimed only while so much of the invocation's time is left: for the claim with its retries, for SES's answer, and for giving the
/// claim back.
const SENDING: Duration = Duration::from_secs(20);
/// When to look again at accounts that digi.me has not confirmed yet.
const VERIFYING_PAUSE: Duration = Duration::from_secs(60 * 60);
/// A mail that SES does not take now is due again after this time, and up to as much more.
const THROTTLED_PAUSE: Duration = Duration::from_secs(5 * 60);
/// A mail that waits until somebody has changed something at SES is due again after this time.
const UNUSABLE_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A mail that was claimed: nobody else sends it.
struct Claimed {
    mail: Mail,
    contact: Contact,
    /// The state before the claim.
    before: ContactState,
    /// When it was claimed.
    at: Timestamp,
}

impl EmailUser {
    /// If the process ends between the claim and the answer of SES, this mail may not be sent. The next reminder is.
    pub(crate) async fn send_due(&self, user: &UserId, context: RequestContext) -> Result<(), EmailError> {
        let claimed = retry_on_conflict(&self.ambient, context.deadline, || self.claim(user, context.deadline)).await?;
        let Some(claimed) = claimed else { return Ok(()) };
        match self.mailer.send(user, &claimed.contact.email, &claimed.mail).await {
            Ok(()) => {
                metrics::mail(MailOutcome::Sent);
                tracing::info!("email-user: sent a mail");
                Ok(())
            }
            Err(error) => self.take_back(user, &claimed, &error, context).await,
        }
    }

    /// `None` if no mail is to be sent now.
    async fn claim(&self, user: &UserId, deadline: Deadline) -> Result<Option<Claimed>, EmailError> {
        let Some(read) = self.store.contact(user).await? else { return Ok(None) };
        let before = read.value;
        let (accounts, grants) = tokio::try_join!(self.store.user_accounts(user), self.store.grant_states(user))?;
        let now = self.ambient.now();
        let mut overview = Overview::new(&accounts, &grants, &before, &self.settings.lifetimes, now);
        let held_until = self.leave_out_outages(user, &mut overview).await?;
        // What is left out is asked for later.
        let ask_again_at = held_until.max(overview.is_verifying.then(|| after(now, VERIFYING_PAUSE)));
        let daytime = self.daytime(user, before.contact());
        match decide(&before, overview, ask_again_at, now, daytime) {
            Decision::Nothing => Ok(None),
            Decision::Later(state) => {
                self.store.put_contact(user, &ContactChange { state, read_version: read.version }).await?;
                Ok(None)
            }
            Decision::Send(overview, state) => {
                let Some(contact) = before.recipient().cloned() else { return Ok(None) };
                let mail = self.compose(user, &contact, &overview).await?;
                let change = ContactChange { state, read_version: read.version };
                if self.ambient.remaining(deadline) < SENDING {
                    return Err(EmailError::OutOfTime);
                }
                self.store.claim_mail(user, &change, &overview.versions()).await?;
                Ok(Some(Claimed { mail, contact, before, at: now }))
            }
        }
    }

    /// Leaves out the accounts of services that are probably down. Returns when to ask for them.
    async fn leave_out_outages(&self, user: &UserId, overview: &mut Overview) -> Result<Option<Timestamp>, EmailError> {
        let services: BTreeSet<String> = overview.open().filter_map(Open::service).map(str::to_owned).collect();
        if services.is_empty() {
            return Ok(None);
        }
        let down = self.store.open_outages(services.iter().map(String::as_str)).await?;
        overview.leave_out(|open| open.service().is_some_and(|service| down.contains_key(service)));
        Ok(down.values().max().map(|until| resume_at(*until, user)))
    }

    async fn compose(&self, user: &UserId, contact: &Contact, overview: &Overview) -> Result<Mail, EmailError> {
        let settings = &self.settings;
        let draft = Draft {
            texts: Texts::of(settings.language_of(contact)),
            time_zone: &settings.time_zone_of(Some(contact)),
            name: contact.name.as_ref(),
            branding: &settings.branding,
            overview,
            page: if settings.links { self.page(overview).await? } else { None },
            links: settings.links,
            unsubscribe_url: settings.public_base_url.join(self.store.unsubscribe_path(user).await?.expose_secret())?,
        };
        Ok(draft.compose())
    }

    /// The page of the newest reconnect link that works. It shows everything that is open.
    async fn page(&self, overview: &Overview) -> Result<Option<Url>, EmailError> {
        let mut seen = BTreeSet::new();
        for notice in overview.notices().into_iter().filter(|notice| seen.insert(notice.event_id.clone())) {
            if let Some((path, _link)) = self.store.link_of_notice(notice).await? {
                return Ok(Some(self.settings.public_base_url.join(path.expose_secret())?));
            }
        }
        Ok(None)
    }

    /// Gives the claim back if SES has not taken the mail.
    async fn take_back(
        &self,
        user: &UserId,
        claimed: &Claimed,
        error: &SendError,
        context: RequestContext,
    ) -> Result<(), EmailError> {
        // The mails that SES did not take together do not come back together.
        let later = |pause: Duration| Some(after(self.ambient.now(), pause + self.ambient.jitter(pause)));
        let (outcome, again_at) = match error {
            SendError::Throttled(_) => (MailOutcome::Throttled, later(THROTTLED_PAUSE)),
            SendError::Unusable(_) => (MailOutcome::Unusable, Some(after(self.ambient.now(), UNUSABLE_PAUSE))),
            SendError::Refused(_) | SendError::Built(_) => (MailOutcome::Refused, None),
            SendError::Unknown(_) => (MailOutcome::Unknown, None),
        };
        metrics::mail(outcome);
        tracing::warn!(error = %Chain(error), outcome = outcome.as_str(), "email-user: SES did not take a mail");
        if matches!(error, SendError::Unknown(_)) {
            return Ok(());
        }
        retry_on_conflict(&self.ambient, context.deadline, || async {
            let Some(read) = self.store.contact(user).await? else { return Ok(()) };
            let back = read.value.taken_back(&claimed.before, claimed.at, again_at);
            let Some(state) = back else { return Ok(()) };
            self.store.put_contact(user, &ContactChange { state, read_version: read.version }).await?;
            Ok(())
        })
        .await
    }
}
