//! What became of an action, for the browser that asked for it: a cookie brings it to the next page.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const NAME: &str = "console_notice";
/// In seconds. The next page comes at once.
const MAX_AGE: u32 = 60;
/// In characters. Browsers keep 4,096 bytes of a cookie, and an encoded letter can take 9.
const MAX_LENGTH: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) succeeded: bool,
    pub(super) text: String,
}

impl Notice {
    pub(super) fn success(text: &str) -> Self {
        Self { succeeded: true, text: text.to_owned() }
    }

    pub(super) fn failure(text: &str) -> Self {
        Self { succeeded: false, text: text.chars().take(MAX_LENGTH).collect() }
    }

    /// The value of `Set-Cookie` that sends the notice to the next page.
    pub(super) fn to_cookie(&self) -> String {
        let kind = if self.succeeded { "1" } else { "0" };
        let text = utf8_percent_encode(&self.text, NON_ALPHANUMERIC);
        format!("{NAME}={kind}{text}; Path=/; HttpOnly; SameSite=Strict; Max-Age={MAX_AGE}")
    }

    /// The value of `Set-Cookie` that ends a notice that was shown.
    pub(super) fn ended() -> String {
        format!("{NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == NAME)?;
        let succeeded = value.starts_with('1');
        let text = percent_decode_str(value.get(1..)?).decode_utf8().ok()?.into_owned();
        Some(Self { succeeded, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_comes_back_from_its_cookie() {
        let notice = Notice::failure("\"Break\" did not work: no such account; ünknown=1.");
        let cookie = notice.to_cookie();
        let mut headers = HeaderMap::new();
        let sent = format!("other=1; {}", cookie.split(';').next().unwrap());
        headers.insert(COOKIE, sent.parse().unwrap());
        assert_eq!(Notice::of(&headers), Some(notice));
        assert_eq!(Notice::of(&HeaderMap::new()), None);
    }
}
