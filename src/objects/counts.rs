//! How many objects there are, by kind.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::{COUNTED, ObjectKind, Routes};

/// How many objects there are of each kind that reports count. Those that decide about a call come first.
#[derive(Debug)]
pub(crate) struct Counts(Vec<(ObjectKind, &'static str, usize)>);

impl Counts {
    /// Lists the kinds with the number of their objects.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectKind, usize)> {
        self.0.iter().map(|(kind, _, number)| (*kind, *number))
    }
}

impl Routes {
    /// Counts the objects.
    pub(crate) fn counts(&self) -> Counts {
        Counts(COUNTED.iter().rev().map(|(kind, plural, _)| (*kind, *plural, self.count(*kind))).collect())
    }

    /// Counts the rules.
    pub(crate) fn rule_count(&self) -> usize {
        self.rules.len()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (_, plural, number) in &self.0 {
            map.serialize_entry(plural, number)?;
        }
        map.end()
    }
}

impl JsonSchema for Counts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Counts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        for (_, plural, meaning) in COUNTED.iter().rev() {
            let mut number = usize::json_schema(generator);
            number.insert("description".to_owned(), Value::from(*meaning));
            properties.insert((*plural).to_owned(), number.into());
        }
        let required: Vec<&String> = properties.keys().collect();
        json_schema!({ "type": "object", "properties": properties, "required": required })
    }
}
