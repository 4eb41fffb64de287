//! The contact of a user, to whom this service writes, and the state of the mails to it.

mod state;
mod time_zone;

use std::{fmt, str::FromStr};

use email_address::Options;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    state::{ContactState, SHORTEST_PAUSE, Stopped, StoredContact},
    time_zone::TimeZoneName,
};
use crate::{InvalidField, InvalidFields, InvalidValue, Locale, account::mask};

/// In characters.
const MAX_NAME_LENGTH: usize = 100;

/// The options of the grammar: one bare address under a domain with a dot.
const ADDRESS: Options = Options {
    minimum_sub_domains: 2,
    allow_domain_literal: false,
    allow_display_text: false,
    allow_long_local_parts: false,
};

/// In bytes: the longest path of SMTP without its angle brackets (RFC 5321, 4.5.3.1.3).
const MAX_ADDRESS_LENGTH: usize = 254;

/// An email address that SES accepts: ASCII, without quotes, in a domain with a dot. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as it is shown to the application: `ann@example.org` becomes `a•••••@ex•••••rg`.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0)
    }

    /// Whether another address is this one. Mail providers treat all letters alike.
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidValue;

    fn from_str(value: &str) -> Result<Self, InvalidValue> {
        let message = InvalidValue("must be an email address of ASCII characters, such as ann@example.org");
        // The grammar also has quoted names, which can hold spaces and line breaks, and addresses in Unicode.
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let fits = value.len() <= MAX_ADDRESS_LENGTH;
        if !fits || !is_plain || email_address::EmailAddress::parse_with_options(value, ADDRESS).is_err() {
            return Err(message);
        }
        Ok(Self(value.to_owned()))
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidValue;

    fn try_from(value: String) -> Result<Self, InvalidValue> {
        value.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailAddress([redacted])")
    }
}

/// The name that a mail greets. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PersonName(String);

impl PersonName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = InvalidValue;

    fn from_str(value: &str) -> Result<Self, InvalidValue> {
        let fits = (1..=MAX_NAME_LENGTH).contains(&value.chars().count()) && !value.trim().is_empty();
        if !fits || value.chars().any(changes_the_line) {
            return Err(InvalidValue("must be 1 to 100 characters without control characters"));
        }
        Ok(Self(value.trim().to_owned()))
    }
}

impl TryFrom<String> for PersonName {
    type Error = InvalidValue;

    fn try_from(value: String) -> Result<Self, InvalidValue> {
        value.parse()
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> Self {
        name.0
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PersonName([redacted])")
    }
}

/// Control characters, line separators, and characters that turn the direction of the text around them.
fn changes_the_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whom this service writes to about a user's connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    pub email: EmailAddress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZoneName>,
}

/// What is known of the user for whom a page is. Nothing if there is no contact.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    pub locale: Option<Locale>,
    pub time_zone: Option<TimeZoneName>,
}

impl From<&Contact> for Reader {
    fn from(contact: &Contact) -> Self {
        Self { locale: contact.locale.clone(), time_zone: contact.time_zone.clone() }
    }
}

/// What the application says about the contact when it stores a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactInput {
    /// Nothing: the contact stays as it is.
    Unchanged,
    Removed,
    Put {
        contact: Contact,
        /// The user, who had unsubscribed, wants mails again.
        resubscribe: bool,
    },
}

impl ContactInput {
    /// Parses the field `contact`. A field that is not known is refused by name.
    ///
    /// # Errors
    /// All invalid fields, with names such as `contact.email`.
    pub fn parse(contact: Option<&Value>) -> Result<Self, InvalidFields> {
        match contact {
            None => Ok(Self::Unchanged),
            Some(Value::Null) => Ok(Self::Removed),
            Some(Value::Object(fields)) => parse_contact(fields.clone()).map_err(|wrong| wrong.under("contact")),
            Some(_) => Err(InvalidField::new("contact", "must be an object or null").into()),
        }
    }
}

fn parse_contact(mut fields: Map<String, Value>) -> Result<ContactInput, InvalidFields> {
    let mut wrong = InvalidFields::default();
    let email = wrong.check(text(&mut fields, "email"));
    if email == Some(None) {
        wrong.0.push(InvalidField::new("email", "is missing"));
    }
    let name = wrong.check(text(&mut fields, "name"));
    let locale = wrong.check(text(&mut fields, "locale"));
    let time_zone = wrong.check(text(&mut fields, "timeZone"));
    let resubscribe = match fields.remove("resubscribe") {
        None | Some(Value::Null) => Some(false),
        Some(Value::Bool(value)) => Some(value),
        Some(_) => wrong.check(Err(InvalidField::new("resubscribe", "must be true or false"))),
    };
    wrong.0.extend(fields.keys().map(|name| InvalidField::below("", name, "is not a field of a contact")));
    wrong.finish(|| {
        let contact = Contact { email: email??, name: name?, locale: locale?, time_zone: time_zone? };
        Some(ContactInput::Put { contact, resubscribe: resubscribe? })
    })
}

/// An optional field with a text. `null` counts as left out.
fn text<T: FromStr<Err = InvalidValue>>(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<T>, InvalidField> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|error: InvalidValue| InvalidField::new(name, error.0))
        }
        Some(_) => Err(InvalidField::new(name, "must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_those_that_a_mail_can_be_sent_to() {
        let long = format!("{}@example.org", "a".repeat(64));
        for value in
            ["ann@example.org", "a.b+c@mail.example.co.uk", "o'hara@example.org", "x@xn--bcher-kva.example", &long]
        {
            assert!(value.parse::<EmailAddress>().is_ok(), "{value}");
        }
        let too_long = format!("{}@example.org", "a".repeat(65));
        let far_too_long = format!("a@{}.org", vec!["a".repeat(60); 5].join("."));
        for value in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "a@b@example.org",
            "ann@localhost",
            "ann@[127.0.0.1]",
            "ann example@example.org",
            "\"ann\"@example.org",
            "\"a b\"@example.org",
            "Ann <ann@example.org>",
            "ann@example.org\r\nBcc: x@example.org",
            "ann@example.org\0",
            "ann@example..org",
            ".ann@example.org",
            "ann.@example.org",
            "änn@example.org",
            "ann@bücher.example",
            "ann@-example.org",
            "ann@example.org, bob@example.org",
            "mailto:ann@example.org?cc=x",
            &too_long,
            &far_too_long,
        ] {
            assert!(value.parse::<EmailAddress>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn names_have_no_control_characters() {
        for value in ["Ann", "  Anne-Marie O’Hara ", "李小龍", &"a".repeat(100)] {
            assert_eq!(value.parse::<PersonName>().unwrap().as_str(), value.trim());
        }
        for value in ["", "  ", "Ann\r\nBcc: x", "Ann\u{0}", "\u{202E}nnA", "a\u{2028}b", &"a".repeat(101)] {
            assert!(value.parse::<PersonName>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_contact_is_parsed_with_all_its_errors() {
        let parse = |contact: Value| ContactInput::parse(Some(&contact));
        let whole = json!({"email": "ann@example.org", "name": "Ann", "locale": "nl", "timeZone": "Europe/Amsterdam"});
        let ContactInput::Put { contact, resubscribe: false } = parse(whole.clone()).unwrap() else {
            panic!("no contact")
        };
        assert_eq!(serde_json::to_value(&contact).unwrap(), whole);
        assert_eq!(serde_json::from_value::<Contact>(whole).unwrap(), contact);
        assert_eq!(ContactInput::parse(None), Ok(ContactInput::Unchanged));
        assert_eq!(parse(Value::Null), Ok(ContactInput::Removed));
        let wrong = |contact: Value| {
            let fields = parse(contact).unwrap_err().0;
            fields.iter().map(|field| field.name().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(wrong(json!("ann@example.org")), "contact");
        assert_eq!(wrong(json!({"phone": "1", "name": 7})), "contact.email contact.name contact.phone");
        let bad = json!({"email": "x", "locale": "en_GB", "timeZone": "Mars", "resubscribe": "yes"});
        assert_eq!(wrong(bad), "contact.email contact.locale contact.timeZone contact.resubscribe");
    }

    #[test]
    fn debug_shows_no_address_and_no_name() {
        let contact = json!({"email": "ann@example.org", "name": "Zoe"});
        let parsed = format!("{:?}", ContactInput::parse(Some(&contact)).unwrap());
        assert!(!parsed.contains("example.org") && !parsed.contains("Zoe"), "{parsed}");
        assert_eq!("ann@example.org".parse::<EmailAddress>().unwrap().masked(), "a•••••@ex•••••rg");
    }
}
