//! What is kept of a refused answer's body.

use std::cmp::Reverse;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// The kept part, in bytes.
const MAX_LENGTH: usize = 512;
/// Replaces what must not be kept.
const HIDDEN: &str = "…";
/// Shorter values are parts of many words. Ids are hidden whatever their length.
const MIN_HIDDEN_LENGTH: usize = 6;
/// The values of the event's `data` that identify a person.
const IDS: [&str; 2] = ["userId", "accountId"];
/// What URLs leave as it is (RFC 3986, section 2.3: unreserved).
const URL_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What JavaScript's `encodeURIComponent` leaves as it is besides.
const JAVASCRIPT_COMPONENT: &AsciiSet =
    &URL_COMPONENT.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// The beginning of an answer as text on one line, cut at a character.
///
/// Receivers often repeat what they were sent. The reconnect link gives access to a consent page and must not be stored,
/// and neither must a key in the URL. So the URL's parts and the values of the event's `data`, other than the event's id,
/// are replaced.
pub(super) fn text(bytes: &[u8], url: &Url, body: &str) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for value in hidden_values(url, body) {
        if text.contains(&value) {
            text = text.replace(&value, HIDDEN);
        }
    }
    let mut line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    line.truncate(line.floor_char_boundary(MAX_LENGTH));
    line
}

/// The longest first, so that a value that contains another one is replaced as a whole.
fn hidden_values(url: &Url, body: &str) -> Vec<String> {
    let path_and_query = url.query().map(|query| format!("{}?{query}", url.path()));
    let of_url = [Some(url.as_str()), path_and_query.as_deref(), Some(url.path()), url.query()];
    let mut values: Vec<String> = of_url.into_iter().flatten().map(str::to_owned).collect();
    values.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    values.push(url.path().trim_start_matches('/').to_owned());
    values.extend(url.path().split('/').filter(|segment| !is_word(segment)).map(str::to_owned));
    let event = serde_json::from_str(body).unwrap_or(Value::Null);
    if let Some(Value::Object(data)) = event.get("data") {
        data.iter().filter(|(name, _)| *name != "eventId").for_each(|(_, value)| add_strings(value, &mut values));
    }
    values.retain(|value| value.len() >= MIN_HIDDEN_LENGTH);
    values.extend(IDS.iter().filter_map(|name| event["data"][name].as_str()).flat_map(written_forms));
    values.sort_unstable_by(|a, b| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
    values.dedup();
    values
}

/// Whether a segment of the path is a word, such as `webhooks`. Others may be keys.
fn is_word(segment: &str) -> bool {
    segment.len() < 16 && segment.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// An id as it stands in a text, in JSON and in URLs. None of an empty one.
fn written_forms(id: &str) -> Vec<String> {
    let json = Value::from(id).to_string();
    let component = utf8_percent_encode(id, URL_COMPONENT).to_string();
    let path = component.replace("%2F", "/");
    let javascript = utf8_percent_encode(id, JAVASCRIPT_COMPONENT).to_string();
    let form = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let encoded = [component, path, javascript, form];
    let lower_case = encoded.clone().map(|text| with_lower_case_escapes(&text));
    let mut forms = vec![id.to_owned(), json[1..json.len() - 1].to_owned()];
    forms.extend(encoded.into_iter().chain(lower_case));
    forms.retain(|form| !form.is_empty());
    forms
}

/// `%2F` as `%2f`.
fn with_lower_case_escapes(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        format!("{text}%{}{rest}", digits.to_ascii_lowercase())
    })
}

fn add_strings(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            // The token of a reconnect link is the end of its path.
            values.extend(text.contains("://").then(|| text.rsplit('/').next().unwrap_or_default().to_owned()));
            values.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| add_strings(item, values)),
        Value::Object(fields) => fields.values().for_each(|field| add_strings(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type":"account.reauthorization_required","timestamp":"2026-11-26T09:00:00.000Z","data":{
        "eventId":"evt_00000000000000000000000000000001","userId":"user-17","via":"api","accounts":["1_account"],
        "reconnectUrl":"https://api.example/reconnect/Zm9yLW9uZS1wZXJzb24tb25seQ"}}"#;

    fn kept(answer: &str) -> String {
        text(answer.as_bytes(), &Url::parse("https://app.example/hooks/T01?key=k-1-secret").unwrap(), EVENT)
    }

    #[test]
    fn a_refusal_is_kept_as_one_line_of_text() {
        assert_eq!(kept("{\"error\":\r\n\t\"no\u{1b}[1m such\u{0} thing\"}"), "{\"error\":   \"no [1m such  thing\"}");
        let url = Url::parse("https://app.example/").unwrap();
        assert_eq!(text(b"caf\xe9 \xff", &url, ""), "caf\u{fffd} \u{fffd}");
        assert_eq!(text(b"", &url, ""), "");
    }

    #[test]
    fn a_long_answer_is_cut_at_a_character() {
        assert_eq!(kept(&"x".repeat(16_384)), "x".repeat(512));
        let cut = kept(&format!("x{}", "é".repeat(400)));
        assert_eq!(cut, format!("x{}", "é".repeat(255)));
        assert!(kept(&"\u{fffd}".repeat(400)).len() <= MAX_LENGTH);
    }

    #[test]
    fn fuzz_refused_answers() {
        let url = Url::parse("https://app.example/hooks/T01?key=k-1-secret").unwrap();
        bolero::check!().for_each(|bytes| {
            let line = text(bytes, &url, EVENT);
            assert!(line.len() <= MAX_LENGTH && !line.contains(char::is_control), "{line:?}");
            assert!(!line.contains("user-17") && !line.contains("k-1-secret"), "{line:?}");
        });
    }

    #[test]
    fn a_receiver_that_repeats_the_request_gives_nothing_away() {
        assert_eq!(kept("Cannot POST /hooks/T01?key=k-1-secret"), "Cannot POST …");
        assert_eq!(kept("no route /hooks/T01"), "no route …");
        assert_eq!(kept("the route hooks/T01 is not known"), "the route … is not known");
        let url = Url::parse("https://app.example/webhook/5f0c7d1e-secret").unwrap();
        let answer = b"the webhook \"POST 5f0c7d1e-secret\" is not registered";
        assert_eq!(text(answer, &url, EVENT), "the webhook \"POST …\" is not registered");
        assert_eq!(kept("unknown key: k-1-secret"), "unknown key: …");
        assert_eq!(kept("https://app.example/hooks/T01?key=k-1-secret is gone"), "… is gone");
        let echoed = kept(EVENT);
        for hidden in ["user-17", "Zm9yLW9uZS1wZXJzb24tb25seQ", "reconnect/", "1_account"] {
            assert!(!echoed.contains(hidden), "{echoed}");
        }
        assert_eq!(kept("bad token Zm9yLW9uZS1wZXJzb24tb25seQ"), "bad token …");
        let short = |id: &str, answer: &str| {
            let event = serde_json::json!({"data": {"eventId": "evt_1", "userId": id, "accountId": ""}}).to_string();
            text(answer.as_bytes(), &Url::parse("https://app.example/hooks").unwrap(), &event)
        };
        assert_eq!(short("u-7", "no user u-7"), "no user …");
        assert_eq!(short("é/@ b", "/users/%C3%A9%2F%40%20b or %c3%a9%2f%40+b: é/@ b"), "/users/… or …: …");
        assert_eq!(short("a\"b(c)", r#"{"a\"b(c)": "a%22b(c)"}"#), r#"{"…": "…"}"#);
        // What helps to find the error stays.
        let error = "evt_00000000000000000000000000000001: unknown type account.reauthorization_required";
        assert_eq!(kept(error), error);
    }
}
