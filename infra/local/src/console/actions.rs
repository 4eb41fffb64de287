//! The console's actions. Each is a list of HTTP calls that a script of the developer could make too: the console makes
//! the same calls, and shows them as curl commands.

use http::Method;
use serde_json::{Value, json};

/// In milliseconds. The latency of a slow digi.me: noticeable, but shorter than the functions' timeouts.
const SLOW: u64 = 2_000;
/// The path of the page on which a user authorizes the application again.
const USER_PAGE: &str = "/apps/saas/user-reauth";
/// More failures than requests are made until the action "Normal" ends them.
const ALL: u32 = 100_000;

/// An action. Its form posts a user and a target to `/console/control/<name>`.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    calls: fn(&Bases, &Subject<'_>) -> Vec<Call>,
    /// What has happened once the action has worked.
    pub(super) done: &'static str,
}

/// The base URLs of the APIs that actions call.
#[derive(Debug, Clone)]
pub(super) struct Bases {
    /// Of the local system, without a slash at the end.
    pub(super) local: String,
    /// Of the simulator's control API, with a slash at the end.
    pub(super) control: String,
}

/// What an action is about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Subject<'a> {
    pub(super) user: &'a str,
    /// An account, an event, a queue or a dead letter; of actions on tokens, the simulator's user, if it has another name.
    pub(super) target: &'a str,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) body: Option<Value>,
}

impl Call {
    /// The command for a shell that makes the call.
    fn curl(&self) -> String {
        let method = if self.method == Method::POST && self.body.is_some() {
            String::new()
        } else {
            format!(" -X {}", self.method)
        };
        let body = self.body.as_ref().map(|body| format!(" -d {}", quoted(&body.to_string()))).unwrap_or_default();
        format!("curl --fail-with-body -sS{method} {}{body}", quoted(&self.url))
    }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Bases {
    fn local(&self, method: Method, path: &str, body: Option<Value>) -> Vec<Call> {
        vec![Call { method, url: format!("{}/_local/{path}", self.local), body }]
    }

    fn control(&self, method: Method, path: &str, body: Option<Value>) -> Vec<Call> {
        vec![Call { method, url: format!("{}{path}", self.control), body }]
    }

    /// A call for the account that is the target.
    fn account(&self, subject: &Subject<'_>, what: &str, body: Option<Value>) -> Vec<Call> {
        self.control(Method::POST, &format!("accounts/{}/{what}", segment(subject.target)), body)
    }

    /// A call for the simulator's user.
    fn tokens(&self, subject: &Subject<'_>, what: &str) -> Vec<Call> {
        let user = if subject.target.is_empty() { subject.user } else { subject.target };
        self.control(Method::POST, &format!("users/{}/{what}", segment(user)), None)
    }

    fn latency(&self, path_prefix: Option<&str>, milliseconds: u64) -> Vec<Call> {
        let mut body = json!({ "milliseconds": milliseconds });
        if let Some(prefix) = path_prefix {
            body["pathPrefix"] = json!(prefix);
        }
        self.control(Method::PUT, "latency", Some(body))
    }

    fn access_token_status(&self, status: &str) -> Vec<Call> {
        self.control(Method::PATCH, "settings", Some(json!({ "accessTokenStatus": status })))
    }

    fn advance(&self, by: &str) -> Vec<Call> {
        self.local(Method::PUT, "clock", Some(json!({ "advance": by })))
    }
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string()
}

macro_rules! actions {
    ($( $constant:ident = $name:literal, $label:literal, $calls:expr, $done:literal; )*) => {
        $( pub(super) const $constant: Action = Action { name: $name, label: $label, calls: $calls, done: $done }; )*

        const ACTIONS: &[&Action] = &[$( &$constant, )*];
    };
}

actions! {
    READ = "read", "Run a read",
        |bases, subject| bases.local(Method::POST, &format!("users/{}/read", segment(subject.user)), None),
        "The application ran a read and handed in its result.";
    STORE_GRANT = "store-grant", "Store a new grant",
        |bases, subject| bases.local(Method::POST, &format!("users/{}/grant", segment(subject.user)), None),
        "The user authorized again, and the service has the new grant.";
    ACCEPT_IDENTITY = "accept-identity", "Accept the new login",
        |bases, subject| {
            let account = format!("users/{}/accounts/{}", segment(subject.user), segment(subject.target));
            bases.local(Method::POST, &format!("{account}/accept-identity"), None)
        },
        "The application took the login that digi.me names now.";
    RESET_LINKS = "reset-links", "Reset the limit of the links",
        |bases, subject| bases.local(Method::POST, &format!("users/{}/links/reset-limit", segment(subject.user)), None),
        "The buttons of the user's links can be pressed again at once.";
    RESET_DEMO = "reset-demo", "Reset the demo",
        |bases, _| bases.local(Method::POST, "demo/reset", None),
        "demo-user is as in a new system, and digi.me works normally.";
    REDELIVER = "redeliver", "Send again",
        |bases, subject| bases.local(Method::POST, &format!("events/{}/redeliver", segment(subject.target)), None),
        "The application asked for the event again. The next sweep puts it on its way, within 5 seconds.";
    ENABLE_WEBHOOK = "enable-webhook", "Enable",
        |bases, _| bases.local(Method::POST, "webhook/enable", None),
        "Events are posted again. Those that came meanwhile follow within 24 minutes, those that wait for their next post in its time.";
    TEST_WEBHOOK = "test-webhook", "Send a test event",
        |bases, _| bases.local(Method::POST, "webhook/test", None),
        "The endpoint accepted a test event.";
    BREAK_SERVICE = "break-service", "Break 120 accounts of Meadow Bank",
        |bases, subject| {
            let path = format!("services/{}/break", segment(subject.target));
            // Two times as many as count as an outage in five minutes, because the five minutes can end in between.
            bases.local(Method::POST, &path, Some(json!({ "accounts": 120 })))
        },
        "120 users have an account that broke, and the application has read it. The sweep tells the operator within a minute.";
    MEND_SERVICE = "mend-service", "Mend them",
        |bases, subject| bases.local(Method::POST, &format!("services/{}/mend", segment(subject.target)), None),
        "The accounts are authorized again, and the application has read them.";
    BOUNCE_MAIL = "bounce-mail", "Bounce",
        |bases, subject| bases.local(Method::POST, &format!("mails/{}/bounce", segment(subject.target)), None),
        "The address does not exist: SES said so, and no more mails go to it.";
    COMPLAIN_MAIL = "complain-mail", "Complain",
        |bases, subject| bases.local(Method::POST, &format!("mails/{}/complain", segment(subject.target)), None),
        "The user reported the mail as spam: SES said so, and no more mails go to the address.";
    REDRIVE = "redrive", "Redrive all",
        |bases, subject| bases.local(Method::POST, &format!("queues/{}/redrive", segment(subject.target)), None),
        "The dead letters were moved back to the queue.";
    REDRIVE_ONE = "redrive-one", "Redrive",
        |bases, subject| {
            let (queue, message_id) = subject.target.split_once('/').unwrap_or((subject.target, ""));
            let body = json!({ "messageId": message_id });
            bases.local(Method::POST, &format!("queues/{}/redrive", segment(queue)), Some(body))
        },
        "The dead letter was moved back to the queue.";
    BREAK = "break", "Break",
        |bases, subject| bases.account(subject, "break", None),
        "The source withdrew its authorization. The application does not know it until it reads.";
    BREAK_SDK = "break-sdk", "Break, error in the SDK's form",
        |bases, subject| bases.account(subject, "break", Some(json!({ "shape": "sdk" }))),
        "The source withdrew its authorization. Reads report it in the SDKs' shape.";
    MEND = "mend", "Mend",
        |bases, subject| bases.account(subject, "mend", None),
        "The source is authorized again. The service does not know it until the application reads.";
    EXPIRE_ACCESS = "expire-access", "Expire the access tokens",
        |bases, subject| bases.tokens(subject, "expire-access-tokens"),
        "The user's access tokens have expired.";
    KILL_REFRESH = "kill-refresh", "Invalidate the refresh tokens",
        |bases, subject| bases.tokens(subject, "kill-refresh-tokens"),
        "The user's refresh tokens are invalid. The service notices it when the access token has expired: expire it, and run a read.";
    REVOKE_TOKENS = "revoke-tokens", "Revoke all tokens",
        |bases, subject| bases.tokens(subject, "revoke-tokens"),
        "digi.me no longer knows the user's tokens.";
    ROTATE_KEY = "rotate-key", "Rotate the signing key",
        |bases, _| bases.control(Method::POST, "signing-key/rotate", None),
        "digi.me signs with a new key.";
    SLOW_ALL = "slow", "Slow (2 s)",
        |bases, _| bases.latency(None, SLOW),
        "digi.me answers after 2 seconds.";
    SLOW_USER_PAGE = "slow-user-page", "Slow user reauthorization page (2 s)",
        |bases, _| bases.latency(Some(USER_PAGE), SLOW),
        "digi.me's user reauthorization page answers after 2 seconds.";
    FAILING = "failing", "Failing (500)",
        |bases, _| {
            let failure = json!({ "path": "/v1.7/*", "failure": { "status": 500, "times": ALL } });
            bases.control(Method::POST, "failures", Some(failure))
        },
        "digi.me answers 500.";
    NORMAL = "normal", "Normal",
        // A latency of 0 without a path ends no latency that was set for a path.
        |bases, _| [
            bases.latency(None, 0),
            bases.latency(Some(USER_PAGE), 0),
            bases.control(Method::DELETE, "failures", None),
        ].concat(),
        "digi.me answers without delay and without errors.";
    STATUS_ABSENT = "status-absent", "Omit accessTokenStatus",
        |bases, _| bases.access_token_status("absent"),
        "digi.me does not report which accounts are authorized.";
    STATUS_REPORTED = "status-reported", "Report accessTokenStatus",
        |bases, _| bases.access_token_status("reported"),
        "digi.me reports which accounts are authorized.";
    CLOCK_HOUR = "clock-hour", "+1 hour", |bases, _| bases.advance("1h"), "The clock moved by 1 hour.";
    CLOCK_DAY = "clock-day", "+1 day", |bases, _| bases.advance("1d"), "The clock moved by 1 day.";
    CLOCK_FORTNIGHT = "clock-fortnight", "+14 days", |bases, _| bases.advance("14d"), "The clock moved by 14 days.";
}

/// The action with the given name.
pub(super) fn by_name(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().copied().find(|action| action.name == name)
}

impl Action {
    pub(super) fn calls(&self, bases: &Bases, subject: &Subject<'_>) -> Vec<Call> {
        (self.calls)(bases, subject)
    }

    /// The action as commands for a shell, one a line.
    pub(super) fn curl(&self, bases: &Bases, subject: &Subject<'_>) -> String {
        self.calls(bases, subject).iter().map(Call::curl).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn bases() -> Bases {
        Bases { local: "http://127.0.0.1:9000".to_owned(), control: "http://127.0.0.1:9001/_simulator/".to_owned() }
    }

    #[test]
    fn no_two_actions_have_the_same_name() {
        let names: BTreeSet<_> = ACTIONS.iter().map(|action| action.name).collect();
        assert_eq!(names.len(), ACTIONS.len());
        assert!(names.into_iter().all(|name| by_name(name).is_some()));
    }

    #[test]
    fn a_command_names_method_url_and_body() {
        let subject = Subject { user: "auth0|o'neil", target: "1_a" };
        let expected = "curl --fail-with-body -sS -X POST 'http://127.0.0.1:9000/_local/users/auth0%7Co%27neil/read'";
        assert_eq!(READ.curl(&bases(), &subject), expected);
        let expected =
            r#"curl --fail-with-body -sS 'http://127.0.0.1:9001/_simulator/accounts/1_a/break' -d '{"shape":"sdk"}'"#;
        assert_eq!(BREAK_SDK.curl(&bases(), &subject), expected);
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn normal_ends_each_latency_that_an_action_sets() {
        let latencies = |action: &Action| {
            let calls = action.calls(&bases(), &Subject::default()).into_iter();
            let bodies = calls.filter(|call| call.url.ends_with("/latency")).filter_map(|call| call.body);
            bodies.map(|body| (body["pathPrefix"].clone(), body["milliseconds"].clone())).collect::<Vec<_>>()
        };
        let ended = latencies(&NORMAL);
        let set: Vec<_> = ACTIONS.iter().flat_map(|action| latencies(action)).filter(|(_, ms)| *ms != 0).collect();
        assert!(!set.is_empty());
        for (prefix, _) in set {
            assert!(ended.contains(&(prefix.clone(), json!(0))), "{prefix}");
        }
    }
}
