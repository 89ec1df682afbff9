//! Internal numbers that belong to objects, and who has or had an internal number.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ObjectId, ObjectKind, Routes, Target};
use crate::model::{Chain, Extension, Invalid, Node, ObjectName, Token, UserKey};

/// The internal number that an object claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtensionClaim {
    /// The lowest free one, or the one that it has. What is recorded has a number in its place.
    Auto,
    /// This one.
    #[serde(untagged)]
    Given(Extension),
}

impl ExtensionClaim {
    /// Returns the number, or `None` if it is not allocated yet.
    pub(crate) fn given(self) -> Option<Extension> {
        match self {
            Self::Given(number) => Some(number),
            Self::Auto => None,
        }
    }
}

impl fmt::Display for ExtensionClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Given(number) => write!(f, "{number}"),
        }
    }
}

/// An [`ExtensionClaim`] as a file has it: plain digits, or `auto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtensionKey(pub(crate) ExtensionClaim);

impl<'de> Deserialize<'de> for ExtensionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Token(text) = Token::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(Self(ExtensionClaim::Auto));
        }
        let number = Extension::from_str(&text).map_err(|Invalid { code, message, hint }| {
            let hint = format!("{}; `auto` takes the lowest free one", hint.unwrap_or_default());
            de::Error::custom(Invalid::new(code, message, &hint))
        })?;
        Ok(Self(ExtensionClaim::Given(number)))
    }
}

impl JsonSchema for ExtensionKey {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ExtensionKey".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [Extension::json_schema(generator), { "const": "auto" }] })
    }
}

/// Who has an internal number, or had it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumberOwner<User = UserKey, Object = ObjectId> {
    /// A user, or a phone that belongs to nobody.
    User(User),
    /// An object.
    Object(Object),
}

impl NumberOwner {
    /// Reads a former owner from a row. No address and no id has a blank in it.
    pub(crate) fn of(text: &str) -> Self {
        match text.split_once(' ').and_then(|(kind, name)| Some((ObjectKind::of(kind)?, name))) {
            Some((kind, name)) => Self::Object((kind, name.to_owned())),
            None => Self::User(UserKey::of(text)),
        }
    }

    /// Names the owner in a sentence.
    pub(crate) fn titled(&self) -> String {
        match self {
            Self::User(user) => format!("`{user}`"),
            Self::Object((kind, name)) => format!("the {kind} `{name}`"),
        }
    }
}

impl NumberOwner<&UserKey, &ObjectId> {
    /// Makes an owner of its own.
    pub(crate) fn cloned(self) -> NumberOwner {
        match self {
            Self::User(user) => NumberOwner::User(user.clone()),
            Self::Object(object) => NumberOwner::Object(object.clone()),
        }
    }
}

/// Writes the owner as a row has it.
impl fmt::Display for NumberOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}"),
            Self::Object((kind, name)) => write!(f, "{kind} {name}"),
        }
    }
}

/// An object that phones reach under an internal number.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) number: Extension,
    pub(crate) object: ObjectId,
    pub(crate) name: ObjectName,
    /// How a call goes.
    pub(crate) chain: Chain,
    /// What its lamp shows: its own phones, and not those who get a call that it does not answer.
    pub(crate) lamp: Vec<Lamp>,
}

/// What a lamp shows the state of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lamp {
    /// A user's phone.
    Phone(UserKey),
    /// A conference room.
    Room(ObjectName),
}

impl Routes {
    /// Lists the objects that phones reach under an internal number, by number.
    pub(crate) fn numbered(&self) -> Vec<Numbered> {
        let numbered = |(object, number): (ObjectId, Extension)| {
            let name: ObjectName = object.1.parse().ok()?;
            let (_, own) = self.called(&name)?;
            let rooms = own.0.iter().filter_map(|node| match node {
                Node::Room(room) => Some(Lamp::Room(room.clone())),
                Node::Ring(_)
                | Node::Box(_)
                | Node::Menu(_)
                | Node::Queue(_)
                | Node::Dialplan(_)
                | Node::End(_)
                | Node::Missing(_) => None,
            });
            let lamp = own.users().into_iter().cloned().map(Lamp::Phone).chain(rooms).collect();
            let chain = self.chain(&[Target::Object(name.clone())]);
            Some(Numbered { number, object, name, chain, lamp })
        };
        let mut all: Vec<Numbered> = self.extensions().into_iter().filter_map(numbered).collect();
        all.sort_by_key(|numbered| numbered.number);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_owner_is_read_as_it_was_written() {
        let user = NumberOwner::User(UserKey::of("Ana@example.com"));
        let object = NumberOwner::Object((ObjectKind::Group, "Sales-1".to_owned()));
        for (owner, row, titled) in
            [(user, "ana@example.com", "`ana@example.com`"), (object, "group Sales-1", "the group `Sales-1`")]
        {
            assert_eq!((owner.to_string().as_str(), owner.titled().as_str()), (row, titled));
            assert_eq!(NumberOwner::of(row), owner);
        }
    }

    #[test]
    fn a_recorded_claim_is_the_number() {
        let claim = ExtensionClaim::Given(1500.try_into().unwrap());
        assert_eq!(serde_json::to_string(&claim).unwrap(), "1500");
        assert_eq!(serde_json::from_str::<ExtensionClaim>("1500").unwrap(), claim);
        assert_eq!(serde_json::from_str::<ExtensionClaim>("\"auto\"").unwrap(), ExtensionClaim::Auto);
    }
}
