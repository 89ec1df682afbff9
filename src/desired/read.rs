//! Nodes to typed values, collecting every problem instead of stopping at the first.
//!
//! A serde deserializer over [`Node`]: unknown and repeated keys of a struct are reported and
//! skipped (serde tells which keys the type has, so types and diagnostics cannot drift apart), and
//! an [`At`] catches the failure of the value inside it, so that its neighbours are still read.

mod access;

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
};

use serde::{
    Deserializer,
    de::{self, IntoDeserializer, Visitor, value},
    forward_to_deserialize_any,
};

use self::access::{AtReader, AtStep, ListReader, MapReader, NamedReader};
use super::{
    keys::keys_of,
    sink::Sink,
    yaml::{self, Key, Kind, Node},
};
use crate::model::{
    self, AT, Code, Diagnostic, Invalid, MeantKeys, NAMED, Place, SourceName, TOKEN, WORD, WORD_OR_LIST, WORD_OR_MAP,
    quoted,
};

/// Reads a mapping whose keys are those of two structs, adding every problem to `problems`.
///
/// Answers with how many problems there were beyond those, too. What no snippet may show is added to `hidden`.
pub(super) fn read<A: de::DeserializeOwned, B: de::DeserializeOwned>(
    node: &Node,
    problems: &mut Vec<Diagnostic>,
    hidden: &mut Vec<Place>,
) -> ((Option<A>, Option<B>), usize) {
    let sink = RefCell::new(Sink::default());
    let keys = [keys_of::<A>(), keys_of::<B>()];
    let reader = |part| NodeReader { node, sink: &sink, secret: false, quoted: false, part: Some((&keys, part)) };
    let results = (A::deserialize(reader(0)), B::deserialize(reader(1)));
    let mut sink = sink.into_inner();
    problems.append(&mut sink.listed);
    hidden.append(&mut sink.hidden);
    let mut failed = |problem: Problem| {
        if !problem.was_said() {
            problems.push(problem.at(node.place));
        }
    };
    // What is wrong with the node as a whole is told once.
    let first = results.0.map_err(&mut failed);
    let second = if first.is_ok() { results.1.map_err(failed).ok() } else { results.1.ok() };
    ((first.ok(), second), sink.unlisted)
}

/// Reports each of the keys that a mapping must have and lacks, unless it was: serde reports the first one only.
pub(super) fn missing_keys(node: &Node, keys: &[&'static str], problems: &mut Vec<Diagnostic>) {
    let Kind::Map(pairs) = &node.kind else { return };
    // A key that is not known and looks like it was reported.
    let has = |key: &str| pairs.iter().any(|(found, _)| model::nearest(&found.name, [key].into_iter()).is_some());
    for key in keys.iter().filter(|key| !has(key)) {
        let problem = <Problem as de::Error>::missing_field(key).at(node.place);
        if !problems.iter().any(|found| found.place == problem.place && found.message == problem.message) {
            problems.push(problem);
        }
    }
}

/// A refused value, before it has a place.
#[derive(Debug)]
struct Problem(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    invalid: Invalid,
    place: Option<Place>,
    /// The key that is missing, if that is the problem.
    missing: Option<&'static str>,
    /// Whether another problem has said it.
    was_said: bool,
}

impl Problem {
    fn new(invalid: Invalid) -> Self {
        Self(Box::new(Refusal { invalid, place: None, missing: None, was_said: false }))
    }
    fn at(self, fallback: Place) -> Diagnostic {
        Diagnostic::invalid(self.0.invalid, self.0.place.unwrap_or(fallback))
    }
    fn or_at(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }
    /// Keeps quiet about a missing key if an unknown key was probably meant to be it.
    fn unless_meant(mut self, meant: &MeantKeys) -> Self {
        self.0.was_said |= self.0.missing.is_some_and(|key| meant.has(key));
        self
    }
    fn was_said(&self) -> bool {
        self.0.was_said
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.invalid, f)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Invalid::decode(&format!("{message:#}")))
    }
    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Unit => "nothing",
            de::Unexpected::Bool(_) => "true or false",
            de::Unexpected::Str(_) => "text",
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map => "a mapping",
            _ => "something else",
        };
        Self::new(Invalid::new(Code::WrongType, format!("{expected} is expected here, found {found}"), ""))
    }
    fn missing_field(field: &'static str) -> Self {
        let value = if field == "version" { " 1" } else { "" };
        let hint = format!("add `{field}:{value}`");
        let mut problem = Self::new(Invalid::new(Code::MissingKey, format!("the key `{field}` is missing"), &hint));
        problem.0.missing = Some(field);
        problem
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = model::nearest(variant, expected.iter().copied())
            .map_or_else(|| format!("one of: {}", expected.join(", ")), |near| format!("did you mean `{near}`?"));
        Self::new(Invalid::new(Code::UnknownValue, format!("{} is not known here", quoted(variant)), &hint))
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct NodeReader<'a> {
    node: &'a Node,
    sink: &'a RefCell<Sink>,
    /// Whether the node may hold a secret that was pasted into the file: it is never quoted.
    secret: bool,
    /// Whether a number is read as if it stood in quotes.
    quoted: bool,
    /// If only a part of the mapping is read: the keys of all parts, and which one it is. The first part reports the keys
    /// that none of them has.
    part: Option<(&'a [&'static [&'static str]], usize)>,
}

impl<'a> NodeReader<'a> {
    fn child(self, node: &'a Node) -> Self {
        Self { node, part: None, ..self }
    }

    fn wrong_type(self, expected: &str, hint: &str) -> Problem {
        let found = match &self.node.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text { .. } => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        };
        Problem::new(Invalid::new(Code::WrongType, format!("{expected} is expected here, found {found}"), hint))
            .or_at(self.node.place)
    }

    /// Rejects a number that stands where text is expected: most often a telephone number without quotes.
    fn unquoted(self, expected: &str) -> Problem {
        let (found, hint) = match &self.node.kind {
            Kind::Number(token) if !self.secret && token.len() <= 60 => {
                (format!("the number {}", quoted(token)), format!("put it in quotes: \"{}\"", model::printable(token)))
            }
            _ => ("a number".to_owned(), "put it in quotes if this is really meant".to_owned()),
        };
        let message = format!("{expected} is expected here, found {found}");
        Problem::new(Invalid::new(Code::WrongType, message, &hint)).or_at(self.node.place)
    }

    /// Keeps the pairs of a mapping of names, each name once.
    fn named(self, pairs: &'a [(Key, Node)]) -> Vec<&'a (Key, Node)> {
        let mut seen: HashMap<&str, Place> = HashMap::new();
        let mut kept = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let key = &pair.0;
            match seen.entry(&key.name) {
                Entry::Occupied(first) => self.sink.borrow_mut().push(|| duplicate_key(key, *first.get())),
                Entry::Vacant(entry) => {
                    entry.insert(key.place);
                    kept.push(pair);
                }
            }
        }
        kept
    }

    /// Keeps the pairs whose keys the type has, each once, and reports the others.
    fn known_pairs(self, pairs: &'a [(Key, Node)], fields: &[&str]) -> Vec<&'a (Key, Node)> {
        let mut kept: Vec<&(Key, Node)> = Vec::with_capacity(pairs.len());
        let mut sink = self.sink.borrow_mut();
        for pair in pairs {
            let (key, value) = pair;
            if !fields.contains(&key.name.as_str()) {
                sink.hidden.push(yaml::under(key, value));
                // Of a key that is not listed, any could be meant: nobody sees it, and looking costs time.
                let near = sink.is_listed().then(|| model::nearest(&key.name, fields.iter().copied())).flatten();
                sink.meant.push(near.unwrap_or_default().to_owned());
                sink.push(|| unknown_key(key, near, fields));
            } else if let Some((first, _)) = kept.iter().find(|(first, _)| first.name == key.name) {
                sink.push(|| duplicate_key(key, first.place));
            } else {
                kept.push(pair);
            }
        }
        kept
    }
}

/// Keeps the first pair of each key.
fn first_of_each(pairs: &[(Key, Node)]) -> Vec<&(Key, Node)> {
    let mut seen = HashSet::new();
    pairs.iter().filter(|(key, _)| seen.insert(key.name.as_str())).collect()
}

/// Reports a key that the type does not have.
fn unknown_key(key: &Key, near: Option<&str>, fields: &[&str]) -> Diagnostic {
    let hint = near
        .map_or_else(|| format!("the keys here are: {}", fields.join(", ")), |near| format!("did you mean `{near}`?"));
    let message = format!("the key {} is not known here", quoted(&key.name));
    Diagnostic::error(Code::UnknownKey, message, key.place).hint(hint)
}

/// Reports a key that was given before.
pub(super) fn duplicate_key(key: &Key, first: Place) -> Diagnostic {
    Diagnostic::error(Code::DuplicateKey, format!("the key `{}` is given twice", key.name), key.place)
        .also(first, "first given here")
        .hint("keep one of them")
}

impl<'de> Deserializer<'de> for NodeReader<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let place = self.node.place;
        match &self.node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(*value),
            // What takes numbers asks for them; what asks for anything takes text, a list or a mapping.
            Kind::Number(_) if !self.quoted => Err(self.unquoted(&(&visitor as &dyn de::Expected).to_string())),
            Kind::Number(text) | Kind::Text { text, .. } => visitor.visit_borrowed_str(text),
            Kind::List(items) => visitor.visit_seq(ListReader { reader: self, items: items.iter() }),
            Kind::Map(pairs) => {
                let pairs = pairs.iter().collect::<Vec<_>>().into_iter();
                visitor.visit_map(MapReader { reader: self, pairs, value: None })
            }
        }
        .map_err(|problem| problem.or_at(place))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.kind {
            Kind::Bool(_) => self.deserialize_any(visitor),
            _ => Err(self.wrong_type("true or false", "write `true` or `false`, without quotes")),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.kind {
            Kind::Number(token) => match token.parse::<u32>() {
                Ok(number) => visitor.visit_u32(number),
                Err(_) => Err(self.wrong_type("a whole number from 0", "write plain digits, such as `5`")),
            },
            _ => Err(self.wrong_type("a number", "write plain digits, without quotes")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.kind {
            Kind::Text { text, .. } => {
                visitor.visit_str(text).map_err(|problem: Problem| problem.or_at(self.node.place))
            }
            Kind::List(_) | Kind::Map(_) => Err(self.wrong_type("text", "write a single value")),
            Kind::Number(text) if self.quoted => visitor.visit_str(text),
            Kind::Number(_) => Err(self.unquoted("text")),
            _ => Err(self.wrong_type("text", "put it in quotes if this is really meant")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        // A key without a value is as good as none: its lines are often commented out.
        if matches!(self.node.kind, Kind::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.kind {
            Kind::List(_) => self.deserialize_any(visitor),
            _ => Err(self.wrong_type("a list", "write `[a, b]`, or one item a line, each after `- `")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Kind::Map(pairs) = &self.node.kind else {
            let all = self.part.map_or_else(|| fields.to_vec(), |(parts, _)| parts.concat());
            return Err(self.wrong_type("a mapping", &format!("the keys here are: {}", all.join(", "))));
        };
        let unknown = self.sink.borrow().meant.len();
        let pairs = match self.part {
            None => self.known_pairs(pairs, fields),
            Some((parts, part)) => {
                let mut known = if part == 0 { self.known_pairs(pairs, &parts.concat()) } else { first_of_each(pairs) };
                known.retain(|(key, _)| fields.contains(&key.name.as_str()));
                known
            }
        };
        let meant = MeantKeys(self.sink.borrow().meant[unknown..].into());
        let pairs = pairs.into_iter();
        visitor
            .visit_map(MapReader { reader: self, pairs, value: None })
            .map_err(|problem| problem.or_at(self.node.place).unless_meant(&meant))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        match (name, &self.node.kind) {
            (AT, _) => visitor.visit_map(AtReader { reader: self, step: AtStep::Place }),
            (NAMED, Kind::Map(pairs)) => {
                let pairs = self.named(pairs).into_iter();
                visitor.visit_seq(NamedReader { reader: self, pairs, pair: None, step: 0 })
            }
            (NAMED, _) => Err(self.wrong_type("a mapping of names", "write each as `name: { .. }`")),
            (TOKEN | WORD | WORD_OR_LIST | WORD_OR_MAP, Kind::Number(text))
            | (WORD_OR_LIST, Kind::Text { text, .. }) => visitor.visit_str(text),
            (WORD_OR_MAP, Kind::Map(_)) => self.deserialize_any(visitor),
            (WORD | WORD_OR_MAP, _) => self.deserialize_string(visitor),
            (WORD_OR_LIST, Kind::List(items)) => visitor.visit_seq(ListReader { reader: self, items: items.iter() }),
            (TOKEN, Kind::Text { text, quoted }) => {
                let token = if *quoted { format!("\"{text}\"") } else { text.clone() };
                visitor.visit_str(&token)
            }
            (WORD_OR_LIST, _) => Err(self.wrong_type("a value or a list", "write `a`, or `[a, b]`")),
            (TOKEN, _) => Err(self.wrong_type("a single value", "write one value, such as `1010` or `30s`")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let close = |(key, _): &(Key, Node)| {
            let name = key.name.as_str();
            variants.contains(&name) || model::nearest(name, variants.iter().copied()).is_some()
        };
        match &self.node.kind {
            // Never quoted, not even as a key: this is where somebody puts the secret itself.
            kind if name == "SecretSource" && !matches!(kind, Kind::Map(pairs) if pairs.iter().all(close)) => {
                Err(Problem::new(SourceName::refusal()).or_at(self.node.place))
            }
            Kind::Text { text, .. } => visitor
                .visit_enum(IntoDeserializer::<Problem>::into_deserializer(text.as_str()))
                .map_err(|problem| problem.or_at(self.node.place)),
            Kind::Map(pairs) => {
                let known = self.known_pairs(pairs, variants);
                let [pair] = known.as_slice() else {
                    let hint = format!("write exactly one of: {}", variants.join(", "));
                    return Err(self.wrong_type("exactly one key", &hint));
                };
                let pairs = known.iter().copied().take(1).collect::<Vec<_>>().into_iter();
                let reader = Self { secret: self.secret || name == "SecretSource", ..self };
                let map = MapReader { reader, pairs, value: None };
                visitor
                    .visit_enum(value::MapAccessDeserializer::new(map))
                    .map_err(|problem| problem.or_at(pair.1.place))
            }
            _ => Err(self.wrong_type("a choice", &format!("one of: {}", variants.join(", ")))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct map identifier
    }
}
