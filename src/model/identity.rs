//! What identifies a user: the e-mail address of a person, or the id of a phone that belongs to nobody.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Code, Email, Invalid, UserKey, quoted, text_type};

text_type! {
    /// The id of a phone that belongs to nobody, such as `lobby`, as it was written.
    ///
    /// It has the form of an object's name and begins with a letter, so that it is never taken for an address, an
    /// extension or an outside number.
    PhoneId,
    |text| {
        let rest = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if text.len() <= 70 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(rest) {
            return Ok(text.to_owned());
        }
        let hint = if text.parse::<Email>().is_ok() {
            "a person has `email:` instead of `id:`"
        } else {
            "begin with a letter, and use letters, digits and `_ . -`, at most 70 characters, such as `lobby`"
        };
        Err(Invalid::new(Code::InvalidId, format!("{} is not the id of a phone", quoted(text)), hint))
    },
    { "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,69}$" }
}

/// What identifies a user within a tenant, as it was written; compare by [`Identity::key`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Identity {
    /// The e-mail address of a person.
    Email(Email),
    /// The id of a phone that belongs to nobody.
    Phone(PhoneId),
}

impl Identity {
    /// Returns the form by which users are compared: lower case.
    pub fn key(&self) -> UserKey {
        UserKey::of(self.as_str())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::Phone(id) => id.as_str(),
        }
    }

    /// Returns the key under which the desired-state file has it.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "id",
        }
    }

    /// Returns what it is called in messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Email(_) => "address",
            Self::Phone(_) => "id",
        }
    }

    /// Returns the address of a person.
    pub(crate) fn email(&self) -> Option<&str> {
        matches!(self, Self::Email(_)).then_some(self.as_str())
    }

    /// Returns the id of a phone that belongs to nobody.
    pub(crate) fn phone_id(&self) -> Option<&str> {
        matches!(self, Self::Phone(_)).then_some(self.as_str())
    }
}

impl FromStr for Identity {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.contains('@') {
            return text.parse().map(Self::Email);
        }
        text.parse().map(Self::Phone).map_err(|_| {
            Invalid::new(
                Code::InvalidId,
                format!("{} is neither an e-mail address nor the id of a phone", quoted(text)),
                "write an address such as `name@example.com`, or an id such as `lobby`",
            )
        })
    }
}

impl TryFrom<String> for Identity {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> Self {
        match identity {
            Identity::Email(email) => email.into(),
            Identity::Phone(id) => id.into(),
        }
    }
}

impl From<Email> for Identity {
    fn from(email: Email) -> Self {
        Self::Email(email)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for Identity {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Identity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "maxLength": 254, "pattern": "^([^@]+@[^@]+|[A-Za-z][A-Za-z0-9_.-]{0,69})$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_with_a_letter_and_holds_no_at_sign() {
        let longest = "a".repeat(70);
        for id in ["lobby", "Door-2", "lift_1.east", "x", &longest] {
            assert_eq!(id.parse::<PhoneId>().unwrap().as_str(), id);
        }
        let too_long = "a".repeat(71);
        for text in ["", "1911", "+4930123456", "-x", "front door", "lobby@example.com", "türe", &too_long] {
            assert_eq!(text.parse::<PhoneId>().unwrap_err().code, Code::InvalidId, "{text:?}");
        }
    }

    #[test]
    fn an_identity_is_an_address_if_it_holds_an_at_sign_and_an_id_otherwise() {
        let identity: Identity = "Bo.Li@Example.com".parse().unwrap();
        assert_eq!(
            (identity.email(), identity.phone_id(), identity.field()),
            (Some("Bo.Li@Example.com"), None, "email")
        );
        assert_eq!(identity.key().as_str(), "bo.li@example.com");
        let identity: Identity = "Lobby".parse().unwrap();
        assert_eq!((identity.email(), identity.phone_id(), identity.field()), (None, Some("Lobby"), "id"));
        assert_eq!(identity.key().as_str(), "lobby");
        let code = |text: &str| text.parse::<Identity>().unwrap_err().code;
        assert_eq!((code("bo@"), code("front door")), (Code::InvalidEmail, Code::InvalidId));
    }
}
