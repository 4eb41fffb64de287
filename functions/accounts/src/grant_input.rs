//! The body of `PUT /users/{userId}/grants/{contractId}`: a token pair, or `{userAccessToken, contact?}`.

use digime::TokenPair;
use reauth_domain::{InvalidField, InvalidFields, contact::ContactInput};
use serde_json::{Map, Value};

const TOKENS: &str = "userAccessToken";
const CONTACT: &str = "contact";

pub(crate) struct GrantInput {
    pub(crate) tokens: TokenPair,
    pub(crate) contact: ContactInput,
}

impl GrantInput {
    /// Parses either form. digi.me defines the fields of a token pair, so that unknown ones are allowed there; beside it, they
    /// are refused by name.
    pub(crate) fn parse(body: Value) -> Result<Self, InvalidFields> {
        match body {
            Value::Object(fields) if fields.contains_key(TOKENS) || fields.contains_key(CONTACT) => {
                Self::wrapper(fields)
            }
            body => Ok(Self { tokens: TokenPair::parse(&body)?, contact: ContactInput::Unchanged }),
        }
    }

    fn wrapper(mut fields: Map<String, Value>) -> Result<Self, InvalidFields> {
        let mut wrong = InvalidFields::default();
        let contact = wrong.check(ContactInput::parse(fields.remove(CONTACT).as_ref()));
        let tokens = match fields.remove(TOKENS) {
            Some(tokens) => wrong.check(TokenPair::parse(&tokens).map_err(|wrong| wrong.under(TOKENS))),
            None => wrong.check(Err(InvalidField::new(TOKENS, "is missing"))),
        };
        wrong.0.extend(fields.keys().map(|name| InvalidField::below("", name, "is not a field of this route")));
        wrong.finish(|| Some(Self { tokens: tokens?, contact: contact? }))
    }
}
