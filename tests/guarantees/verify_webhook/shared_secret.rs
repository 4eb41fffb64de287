use http::HeaderMap;
use standardwebhooks::{Webhook, WebhookError};

/// `secret` is `whsec_…`. An error is a wrong signature, or one that differs from the clock by more than five minutes.
pub fn verify(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), WebhookError> {
    Webhook::new(secret)?.verify(body, headers)
}
