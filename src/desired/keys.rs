//! Which keys a type of the file has, as serde tells it: no second list that could drift apart.

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor, value},
    forward_to_deserialize_any,
};

/// Lists the keys of a struct; none of any other type.
pub(super) fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It always fails: there is nothing to read.
    let _ = T::deserialize(Keys(&mut keys));
    keys
}

struct Keys<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(de::Error::custom("only the keys are wanted"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;

    #[test]
    fn the_keys_of_the_file_are_those_of_its_schema() {
        let schema: serde_json::Value = serde_json::from_str(&crate::desired::schema().unwrap()).unwrap();
        let mut known = file::keys();
        known.sort_unstable();
        let mut listed: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        listed.sort_unstable();
        assert_eq!(known, listed);
    }
}
