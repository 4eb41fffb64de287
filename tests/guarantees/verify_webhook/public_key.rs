use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderMap;

/// `public_key` is `whpk_…`, `now` in seconds since the epoch. `None` is a wrong signature, or one that differs from `now`
/// by more than five minutes.
pub fn verify(public_key: &str, headers: &HeaderMap, body: &[u8], now: i64) -> Option<()> {
    let key = UnparsedPublicKey::new(&ED25519, BASE64_STANDARD.decode(public_key.strip_prefix("whpk_")?).ok()?);
    let header = |name| headers.get(name)?.to_str().ok();
    let (id, seconds) = (header("webhook-id")?, header("webhook-timestamp")?);
    let content = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let signatures = header("webhook-signature")?.split(' ').filter_map(|signature| signature.strip_prefix("v1a,"));
    let is_valid = |signature: Vec<u8>| key.verify(&content, &signature).is_ok();
    let is_signed = signatures.filter_map(|signature| BASE64_STANDARD.decode(signature).ok()).any(is_valid);
    (is_signed && seconds.parse::<i64>().ok()?.abs_diff(now) <= 300).then_some(())
}
