//! The URLs of digi.me's pages. Each contains a code that digi.me gives for the user's access token.

use digime::{CodeVerifier, ReferenceCode};
use jiff::Timestamp;
use reauth_domain::{AccountId, Grant, Locale};
use secrecy::SecretString;
use url::Url;

use super::{AuthorizedClient, AuthorizedClientError};
use crate::{lambda::RequestContext, store::Versioned};

/// The URL of a page of digi.me. It contains a code.
#[derive(Debug, Clone)]
pub struct PageUrl {
    pub url: Url,
    /// When the code expires.
    pub expires_at: Timestamp,
}

impl AuthorizedClient {
    /// The URL of the page on which the user reauthorizes an account. digi.me is asked for the code and for the account's
    /// reference at the same time.
    ///
    /// # Errors
    /// [`AuthorizedClientError::UserReauthorizationRequired`] when only the user reauthorization page helps.
    pub async fn account_page(
        &self,
        grant: Versioned<Grant>,
        account: &AccountId,
        redirect_uri: &Url,
        state: &SecretString,
        locale: Option<&Locale>,
        context: RequestContext,
    ) -> Result<PageUrl, AuthorizedClientError> {
        let (client, deadline) = (&self.client, context.deadline);
        let contract_id = grant.value.contract_id.clone();
        let code = self.with_token(grant, context, |contract, tokens| async move {
            client.token_reference(&contract, &tokens.access.value, redirect_uri, state, deadline).await
        });
        let reference = self.with_contract(&contract_id, |contract| async move {
            client.account_reference(&contract, account, deadline).await
        });
        // `join`, not `try_join`: when one call fails, the other must still finish, because a refreshed token pair must be
        // stored.
        let (code, reference) = tokio::join!(code, reference);
        let (code, reference) = (code?, reference?);
        let url = client.reauthorize_url(&code, &reference, locale.map(Locale::as_str));
        Ok(PageUrl { url, expires_at: code.expires_at })
    }

    /// The URL of the page on which the user authorizes the application again. digi.me recognizes the user by the last
    /// access token, even by an expired one.
    ///
    /// # Errors
    /// [`AuthorizedClientError::UserAuthorizationRequired`] when digi.me refuses the access token. The application is
    /// notified of it.
    pub async fn user_page(
        &self,
        mut grant: Versioned<Grant>,
        redirect_uri: &Url,
        state: &SecretString,
        verifier: &CodeVerifier,
        locale: Option<&Locale>,
        context: RequestContext,
    ) -> Result<PageUrl, AuthorizedClientError> {
        let client = &self.client;
        let ask = async |grant: &Versioned<Grant>| -> Result<ReferenceCode, AuthorizedClientError> {
            let (tokens, deadline) = (&grant.value.tokens, context.deadline);
            self.with_contract(&grant.value.contract_id, |contract| async move {
                let token = &tokens.access.value;
                client.user_token_reference(&contract, token, redirect_uri, state, verifier, deadline).await
            })
            .await
        };
        let is_refused = |code: &Result<ReferenceCode, AuthorizedClientError>| matches!(code, Err(AuthorizedClientError::Digime(error)) if error.refuses_access_token());
        let mut code = ask(&grant).await;
        // While the refresh token is alive, there is a newer access token.
        if is_refused(&code) && grant.value.episode.is_none() {
            match Box::pin(self.refresh_or_wait(grant.clone(), true, context)).await {
                Ok(refreshed) => {
                    code = ask(&refreshed).await;
                    grant = refreshed;
                }
                Err(AuthorizedClientError::UserReauthorizationRequired) => {}
                Err(error) => return Err(error),
            }
        }
        if is_refused(&code) {
            return Err(self.access_token_died(grant, context).await);
        }
        let code = code?;
        let url = client.user_reauthorize_url(&code, locale.map(Locale::as_str));
        Ok(PageUrl { url, expires_at: code.expires_at })
    }

    /// Records that digi.me does not recognize the user by the access token any more.
    async fn access_token_died(&self, refused: Versioned<Grant>, context: RequestContext) -> AuthorizedClientError {
        let tokens = refused.value.tokens.clone();
        let dies = |grant: Grant, now| {
            let is_same = grant.tokens.same_tokens(&tokens);
            is_same.then(|| grant.access_token_died(self.new_episode(), now)).flatten()
        };
        match Box::pin(self.change_grant(refused, dies, context)).await {
            // The application stored another pair meanwhile: the next attempt uses that one.
            Ok(stored) if !stored.value.tokens.same_tokens(&tokens) => AuthorizedClientError::Busy,
            Ok(_) => AuthorizedClientError::UserAuthorizationRequired,
            Err(error) => error.into(),
        }
    }
}
