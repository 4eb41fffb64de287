//! Sends a mail through Amazon SES, once.

use std::time::Duration;

use aws_sdk_sesv2::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    error::{BuildError, SdkError},
    operation::send_email::{SendEmailError, SendEmailInput},
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use reauth_core::{
    aws::{Aws, AwsError},
    config::ConfigError,
    http_client,
};
use reauth_domain::{UserId, contact::EmailAddress};

use crate::{
    Settings,
    compose::Mail,
    message::{USER_TAG, user_tag},
};

/// SES answers within a second, seldom within some.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// In the message of `MessageRejected` if an identity is not verified: the sender's, or in the sandbox the recipient's. SES has no
/// code for it: <https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html>
const NOT_VERIFIED: &str = "not verified";
/// In bytes. An encoded word has at most 75 characters (RFC 2047, 2).
const ENCODED_WORD: usize = 45;

#[derive(Debug)]
pub(crate) struct Mailer {
    client: Client,
    from: String,
    configuration_set: String,
    reply_to: Option<String>,
}

/// Why SES did not take a mail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// SES takes it later.
    #[error("SES takes no mail now")]
    Throttled(#[source] AwsError),
    /// SES takes no mail of this account until somebody has done something.
    #[error("SES takes no mail of this account")]
    Unusable(#[source] AwsError),
    /// SES does not take this mail.
    #[error("SES does not take this mail")]
    Refused(#[source] AwsError),
    /// Nobody knows whether SES took it.
    #[error("it is not known whether SES took the mail")]
    Unknown(#[source] AwsError),
    #[error("the mail cannot be built")]
    Built(#[from] BuildError),
}

impl SendError {
    fn new(error: &SdkError<SendEmailError>) -> Self {
        let reason = AwsError::from(error).without_addresses();
        let Some(status) = error.raw_response().map(|answer| answer.status().as_u16()) else {
            return if http_client::was_never_sent(error) { Self::Throttled(reason) } else { Self::Unknown(reason) };
        };
        match (error.as_service_error(), status) {
            (Some(SendEmailError::TooManyRequestsException(_) | SendEmailError::LimitExceededException(_)), _)
            | (_, 429 | 503) => Self::Throttled(reason),
            (
                Some(
                    SendEmailError::AccountSuspendedException(_)
                    | SendEmailError::SendingPausedException(_)
                    | SendEmailError::MailFromDomainNotVerifiedException(_)
                    | SendEmailError::NotFoundException(_),
                ),
                _,
            )
            | (_, 401 | 403) => Self::Unusable(reason),
            (Some(SendEmailError::MessageRejected(rejected)), _)
                if rejected.message().is_some_and(|message| message.contains(NOT_VERIFIED)) =>
            {
                Self::Unusable(reason)
            }
            (_, 400..500) => Self::Refused(reason),
            _ => Self::Unknown(reason),
        }
    }
}

impl Mailer {
    pub(crate) fn new(aws: &Aws<'_>, settings: &Settings) -> Result<Self, ConfigError> {
        let environment = aws.environment();
        let from = environment.required("EMAIL_FROM")?.parse::<EmailAddress>();
        let from = from.map_err(|error| ConfigError::new("EMAIL_FROM", error))?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(TIMEOUT)
            .operation_timeout(TIMEOUT);
        // The SDK would repeat a call whose answer was lost, and the user would get the mail twice.
        let config = Builder::from(&aws.service("AWS_ENDPOINT_URL_SESV2")?)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        Ok(Self {
            client: Client::from_conf(config.build()),
            from: sender(settings.branding.application_name(), from.as_str()),
            configuration_set: environment.required("EMAIL_CONFIGURATION_SET")?.to_owned(),
            reply_to: settings.branding.support_url().and_then(mailbox),
        })
    }

    /// Sends a mail. It is not repeated: an answer that was lost can be that of a mail that was sent.
    pub(crate) async fn send(&self, user: &UserId, to: &EmailAddress, mail: &Mail) -> Result<(), SendError> {
        let utf8 = |text: &str| Content::builder().data(text).charset("UTF-8").build();
        let body = Body::builder().text(utf8(&mail.text)?).html(utf8(&mail.html)?).build();
        let mut message = Message::builder().subject(utf8(&mail.subject)?).body(body);
        for (name, value) in mail.headers() {
            message = message.headers(MessageHeader::builder().name(name).value(value).build()?);
        }
        let tag = MessageTag::builder().name(USER_TAG).value(user_tag(user)).build()?;
        let input = SendEmailInput::builder()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to.as_str()).build())
            .set_reply_to_addresses(self.reply_to.clone().map(|address| vec![address]))
            .content(EmailContent::builder().simple(message.build()).build())
            .configuration_set_name(&self.configuration_set)
            .email_tags(tag);
        let sent = input.send_with(&self.client).await;
        sent.map(drop).map_err(|error| SendError::new(&error))
    }
}

/// The address of a mailto URL.
fn mailbox(url: &url::Url) -> Option<String> {
    let address: EmailAddress = (url.scheme() == "mailto").then(|| url.path().parse().ok()).flatten()?;
    Some(address.into())
}

/// The value of `From`: the application's name and the address.
fn sender(name: Option<&str>, address: &str) -> String {
    let Some(name) = name else { return address.to_owned() };
    if name.chars().all(|one| one.is_ascii_graphic() || one == ' ') {
        return format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let (mut words, mut word) = (Vec::new(), String::new());
    for character in name.chars().filter(|one| !one.is_control()) {
        if word.len() + character.len_utf8() > ENCODED_WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    let words: Vec<_> = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    format!("{} <{address}>", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_the_application() {
        assert_eq!(sender(None, "a@example.org"), "a@example.org");
        assert_eq!(sender(Some("Demo, Inc. \"X\""), "a@example.org"), "\"Demo, Inc. \\\"X\\\"\" <a@example.org>");
        assert_eq!(sender(Some("Bücher"), "a@example.org"), "=?UTF-8?B?QsO8Y2hlcg==?= <a@example.org>");
        let long = sender(Some(&"ü".repeat(100)), "a@example.org");
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
    }

    #[test]
    fn only_a_mailto_url_is_a_mailbox() {
        let mailbox = |text: &str| mailbox(&text.parse().unwrap());
        assert_eq!(mailbox("mailto:help@example.org?subject=x").as_deref(), Some("help@example.org"));
        assert_eq!((mailbox("https://example.org/help"), mailbox("mailto:a@b@c")), (None, None));
    }
}
