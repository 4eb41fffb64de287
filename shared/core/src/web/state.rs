//! The `state` of a reauthorization, and the callback URL that contains it.

use reauth_domain::ReauthorizationId;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Problem;

/// The `state` of a reauthorization: its id and a secret.
#[must_use]
pub fn state(id: &ReauthorizationId, secret: &SecretString) -> SecretString {
    format!("{id}.{}", secret.expose_secret()).into()
}

/// The URL to which digi.me's pages send the browser at their end.
///
/// # Errors
/// 500 when the base URL cannot have a path.
pub fn callback_url(base: &Url, state: &SecretString) -> Result<Url, Problem> {
    let mut url = base.join("callback").map_err(Problem::internal)?;
    url.query_pairs_mut().append_pair("state", state.expose_secret());
    Ok(url)
}
