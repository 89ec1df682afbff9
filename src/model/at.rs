//! Values of the desired-state file with their line and column.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{ObjectName, Place};

/// A value and its place; the value is missing where it was refused (and reported).
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    /// Where it stands.
    pub(crate) place: Place,
    /// The value, unless it was refused.
    pub(crate) value: Option<T>,
    /// Whether nothing in it was refused.
    pub(crate) whole: bool,
    /// What its unknown keys were probably meant to be.
    pub(crate) meant: MeantKeys,
}

/// For each unknown key of a mapping the key that was probably meant, or an empty text if none is near.
#[derive(Debug, Clone, Default)]
pub(crate) struct MeantKeys(pub(crate) Box<[String]>);

impl MeantKeys {
    /// Tells whether a key was probably meant by an unknown one: that it is missing has been said then.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|meant| meant == key)
    }

    /// Tells whether an unknown key may stand for this one, even if it does not look like it. What follows from its
    /// absence is not reported then.
    pub(crate) fn may_be(&self, key: &str) -> bool {
        self.0.iter().any(|meant| meant.is_empty() || meant == key)
    }
}

/// The pairs of a mapping whose keys are names of the user's choice, in their order.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(Place, String, At<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Names under which [`At`], [`Token`], [`Word`] and [`Named`] ask this deserializer for what serde cannot carry.
pub(crate) const AT: &str = "$reconcile::At";
pub(crate) const TOKEN: &str = "$reconcile::Token";
pub(crate) const WORD: &str = "$reconcile::Word";
pub(crate) const NAMED: &str = "$reconcile::Named";

/// The name under which a type asks for a scalar as text, whatever it is, or for a list.
pub(crate) const WORD_OR_LIST: &str = "$reconcile::WordOrList";

/// The name under which a type asks for a scalar as text, whatever it is, or for a mapping.
pub(crate) const WORD_OR_MAP: &str = "$reconcile::WordOrMap";

/// A scalar exactly as written in the file, quotes included.
#[derive(Debug, Clone)]
pub(crate) struct Token(pub(crate) String);

/// Text, or a number as text.
#[derive(Debug, Clone)]
pub(crate) struct Word(pub(crate) String);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value with a place")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<At<T>, A::Error> {
                let (file, line, column, start, end) = map.next_value()?;
                let place = Place { file, line, column, start, end };
                // A failure goes into the sink of the reader: its neighbours go on.
                let value = map.next_value().ok();
                if value.is_none() {
                    let _ = map.next_value::<T>();
                }
                Ok(At { place, value, whole: map.next_value()?, meant: MeantKeys(map.next_value()?) })
            }
        }
        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mapping of names")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Named<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((file, line, column, start, end)) = items.next_element()? {
                    let (Some(name), Some(value)) = (items.next_element()?, items.next_element()?) else { break };
                    pairs.push((Place { file, line, column, start, end }, name, value));
                }
                Ok(Named(pairs))
            }
        }
        deserializer.deserialize_newtype_struct(NAMED, NamedVisitor(PhantomData))
    }
}

/// Takes what the reader makes of a scalar.
struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a single value")
    }
    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TOKEN, ScalarVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(WORD, ScalarVisitor).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        let name = generator.subschema_for::<ObjectName>();
        schemars::json_schema!({ "type": "object", "propertyNames": name, "additionalProperties": value })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

pub(crate) fn values<T>(list: Option<At<Vec<At<T>>>>) -> Vec<T> {
    list.and_then(|at| at.value).unwrap_or_default().into_iter().filter_map(|at| at.value).collect()
}
