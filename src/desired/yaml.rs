//! YAML text to a tree of nodes that know their places.
//!
//! Every pair of a mapping is kept, repeated keys too, so that the reader above can report all of
//! them in one run. The parser's budgets bound depth, nodes and aliases; nothing here knows what
//! the keys mean.

use std::{cell::Cell, collections::HashMap, fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Location, Spanned, options::DuplicateKeyPolicy};

use super::diagnostic::{SECRET_KEYS, has_secret_word};
use crate::model::{Code, Diagnostic, Place, nearest};

/// A YAML node with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it stands; of an alias, where the alias stands.
    pub(super) place: Place,
    /// Where its text was written: elsewhere for an alias.
    pub(super) written: Place,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// A plain number as written, such as `01000`.
    Number(String),
    /// Text; `quoted` where it stood in quotes.
    Text {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping's pair.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) place: Place,
    /// Where its text was written: elsewhere for an alias.
    written: Place,
    pub(super) name: String,
}

/// The most nodes one file may have: some 400,000 users.
const MAX_NODES: usize = 4_000_000;

thread_local! {
    /// The file being parsed, for the places of its nodes: a `Deserialize` takes no arguments.
    static FILE: Cell<u32> = const { Cell::new(0) };
}

/// Parses one document.
pub(super) fn parse(file: u32, text: &str) -> Result<Node, Diagnostic> {
    FILE.set(file);
    let error = |error: serde_yaml::Error| {
        let place = error.location().map_or_else(Place::default, place_of);
        (error, located(Place { file, ..place }, text))
    };
    let mut node = serde_yaml::from_str_with_options::<Node>(text, options(DuplicateKeyPolicy::LastWins))
        .map_err(error)
        .map_err(|(error, place)| refusal(&error.to_string(), place, text))?;
    restore_tokens(&mut node, text);
    if has_number_as_key(&node)
        && let Err(failed) = serde_yaml::from_str_with_options::<Node>(text, options(DuplicateKeyPolicy::Error))
        && let (serde_yaml::Error::DuplicateMappingKey { key: Some(key), .. }, place) = error(failed)
        && is_number(&key)
    {
        // It is not quoted: it may be a secret that was written in the wrong place.
        let message = "a number is given twice as a key of one mapping";
        return Err(Diagnostic::error(Code::DuplicateKey, message, place).hint("keep one of them"));
    }
    Ok(node)
}

/// Makes the options of the parser.
fn options(duplicate_keys: DuplicateKeyPolicy) -> serde_yaml::Options {
    serde_yaml::options! {
        duplicate_keys: duplicate_keys,
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_depth: 16,
            max_recorded_anchor_events: 100_000,
        },
    }
}

/// Tells whether a mapping has a number as a key. Of two equal numbers the parser would only show the last one.
fn has_number_as_key(node: &Node) -> bool {
    match &node.kind {
        Kind::List(items) => items.iter().any(has_number_as_key),
        Kind::Map(pairs) => pairs.iter().any(|(key, value)| is_number(&key.name) || has_number_as_key(value)),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text { .. } => false,
    }
}

fn is_number(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
}

/// Finds the bytes of a place of which the parser tells only line and column.
fn located(place: Place, text: &str) -> Place {
    if place.start > 0 || place.line <= 1 {
        return place;
    }
    let before: usize = text.split_inclusive('\n').take(place.line as usize - 1).map(str::len).sum();
    let line = text[before..].split('\n').next().unwrap_or_default();
    let column = line.char_indices().nth(place.column.saturating_sub(1) as usize).map_or(line.len(), |(at, _)| at);
    let start = u32::try_from(before + column).unwrap_or(u32::MAX);
    Place { start, end: start, ..place }
}

/// Words the parser's refusal for an administrator.
fn refusal(error: &str, place: Place, text: &str) -> Diagnostic {
    // The parser repeats the position at the end of its message.
    let message = error.split(" at line ").next().unwrap_or(error);
    if message.contains("budget breached") || message.contains("recursion limit") || message.contains("Limit") {
        return Diagnostic::error(
            Code::YamlTooComplex,
            "the file is nested too deeply, or becomes too large when its aliases are expanded",
            place,
        )
        .hint("write the users without aliases: at most 16 levels and 4 million nodes are read");
    }
    if message.contains("multiple YAML documents") {
        return Diagnostic::error(Code::InvalidYaml, "the file holds more than one YAML document", place)
            .hint("one file is one document: remove the `---`, or split the file and pass the folder to `--file`");
    }
    Diagnostic::error(Code::InvalidYaml, format!("not valid YAML: {message}"), place).hint(hint_of(message, text))
}

/// What the parser says, in part, and what to do about it.
const HINTS: &[(&str, &str)] = &[
    ("tabs disallowed", "indent with spaces, not with tabs"),
    ("did not find expected '-'", "indent all keys of an entry alike, as far as the one behind its `- `"),
    ("did not find expected key", "indent all keys of an entry alike, as far as the one behind its `- `"),
    ("unclosed bracket", "close the `{` or `[`"),
    ("multiline quoted scalar", "close the quotes on the line on which they are opened"),
    ("illegal placement of ':'", "close the bracket or the quotes that are open before this line"),
    ("mapping values are not allowed", "put a value that holds `: ` in quotes, or add the colon that is missing above"),
    ("simple key expected", "write `key: value`, with a colon and a space after the key"),
    ("unexpected character", "put the value in quotes"),
    ("unknown anchor", "put a value that begins with `*` in quotes"),
    ("unknown escape character", "write `\\\\` for a backslash, or use single quotes"),
    ("block sequence entries", "begin a list on the line below its key, or write it as `[a, b]`"),
];

/// Says what to do about a text that is no YAML.
fn hint_of(message: &str, text: &str) -> &'static str {
    if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
        return "a merge was left unfinished: keep one side, and remove the lines `<<<<<<<`, `=======` and `>>>>>>>`";
    }
    let known = HINTS.iter().find(|(part, _)| message.contains(part));
    known.map_or("check indentation, colons and quotes near this place", |(_, hint)| hint)
}

fn place_of(location: Location) -> Place {
    let span = location.span();
    let start = span.byte_offset().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
    let length = span.byte_len().and_then(|len| u32::try_from(len).ok()).unwrap_or(0);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        file: FILE.get(),
        line: small(location.line()),
        column: small(location.column()),
        start,
        end: start.saturating_add(length),
    }
}

/// Finds the bytes under keys that name a secret, so that no snippet shows them. Takes their text out of any other
/// place that an alias repeats it in, so that no message quotes it either.
pub(super) fn hide_secrets(node: &mut Node, hidden: &mut Vec<Range<u32>>, problems: &mut Vec<Diagnostic>) {
    secrets_below(node, hidden, &mut HashMap::new());
    hidden.sort_unstable_by_key(|range| range.start);
    hidden.dedup_by(|next, before| {
        let within = next.start < before.end;
        before.end = if within { before.end.max(next.end) } else { before.end };
        within
    });
    take_out(node, hidden, problems);
}

/// Rejects each text that was written in one of these stretches, which are in order and apart, and is read elsewhere.
fn take_out(node: &mut Node, hidden: &[Range<u32>], problems: &mut Vec<Diagnostic>) {
    let inside = |place: Place| {
        let before = hidden.partition_point(|range| range.start <= place.start);
        before > 0 && hidden[before - 1].end > place.start
    };
    match &mut node.kind {
        // Under the key itself, the reader knows that it may be a secret.
        _ if inside(node.place) => {}
        Kind::Number(_) | Kind::Text { .. } if inside(node.written) => {
            node.kind = Kind::Null;
            problems.push(repeated(node.place));
        }
        Kind::List(items) => items.iter_mut().for_each(|item| take_out(item, hidden, problems)),
        Kind::Map(pairs) => pairs.retain_mut(|(key, value)| {
            if inside(key.written) {
                problems.push(repeated(key.place));
                return false;
            }
            take_out(value, hidden, problems);
            true
        }),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text { .. } => {}
    }
}

fn repeated(place: Place) -> Diagnostic {
    Diagnostic::error(Code::InvalidSource, "this alias repeats the value of a key that names a secret", place)
        .hint("write the value without an alias; this file never contains a secret")
}

/// The most different keys that are looked at; a file has some dozens, and a few names of its own. What stands
/// under any further key is hidden unseen.
const MAX_KEYS: usize = 10_000;

/// Does so; `known` remembers which keys name a secret.
fn secrets_below<'a>(node: &'a Node, hidden: &mut Vec<Range<u32>>, known: &mut HashMap<&'a str, bool>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| secrets_below(item, hidden, known)),
        Kind::Map(pairs) => {
            for (key, value) in pairs {
                let full = known.len() >= MAX_KEYS;
                if *known.entry(&key.name).or_insert_with(|| full || names_secret(&key.name)) {
                    let Place { start, end, .. } = under(key, value);
                    hidden.push(start..end);
                } else {
                    secrets_below(value, hidden, known);
                }
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text { .. } => {}
    }
}

fn names_secret(key: &str) -> bool {
    let name = key.to_ascii_lowercase();
    has_secret_word(&name) || nearest(&name, SECRET_KEYS.iter().copied()).is_some()
}

/// The stretch behind a key up to the end of its value.
pub(super) fn under(key: &Key, value: &Node) -> Place {
    Place { start: key.place.end, end: last_byte(value).max(key.place.end), ..key.place }
}

/// The end of the last text below a node.
fn last_byte(node: &Node) -> u32 {
    let below = match &node.kind {
        Kind::List(items) => items.iter().map(last_byte).max(),
        Kind::Map(pairs) => pairs.iter().map(|(key, value)| last_byte(value).max(key.place.end)).max(),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text { .. } => None,
    };
    below.unwrap_or(0).max(node.place.end).max(node.written.end)
}

/// Puts back what the number or text looked like in the file: `01000` is not 1000.
fn restore_tokens(node: &mut Node, source: &str) {
    let Place { start, end, .. } = node.written;
    let token = source.get(start as usize..end as usize).unwrap_or_default();
    match &mut node.kind {
        Kind::Number(text) => token.clone_into(text),
        Kind::Text { quoted, .. } => *quoted = token.starts_with(['"', '\'']),
        Kind::List(items) => items.iter_mut().for_each(|item| restore_tokens(item, source)),
        Kind::Map(pairs) => pairs.iter_mut().for_each(|(_, value)| restore_tokens(value, source)),
        Kind::Null | Kind::Bool(_) => {}
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { place: place_of(spanned.referenced), written: place_of(spanned.defined), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { place: place_of(spanned.referenced), written: place_of(spanned.defined), name: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

/// Numbers keep no value here: [`restore_tokens`] takes them as written.
const NUMBER: Kind = Kind::Number(String::new());

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(NUMBER)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(NUMBER)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Kind, E> {
        Ok(NUMBER)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Kind, E> {
        Ok(NUMBER)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(NUMBER)
    }
    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text { text: text.to_owned(), quoted: false })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Kind::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looking for what a key was meant to be costs a microsecond, and a file may have a million of them.
    #[test]
    fn the_value_of_the_ten_thousandth_key_is_hidden() {
        let text = (0..MAX_KEYS + 2).map(|n| format!("k{n}: value")).collect::<Vec<_>>().join("\n");
        let mut node = parse(0, &text).unwrap();
        let mut hidden = Vec::new();
        hide_secrets(&mut node, &mut hidden, &mut Vec::new());
        assert_eq!(hidden.len(), 2);
        assert_eq!(hidden[1].end as usize, text.trim_end().len());
    }

    /// Every mistake was told to check "indentation, colons and quotes".
    #[test]
    fn a_mistake_in_yaml_has_a_hint() {
        let hint = |text: &str| parse(0, &format!("version: 1\n{text}")).unwrap_err().hint.unwrap();
        for (text, words) in [
            ("users:\n\t- email: a@x\n", "indent with spaces"),
            ("users:\n  - email: a@x\n   name: A\n", "indent all keys of an entry alike"),
            ("users:\n- email: a@x\n name: A\n", "indent all keys of an entry alike"),
            ("users:\n  - { email: a@x\n", "close the `{` or `[`"),
            ("users:\n  - email: \"a@x\n    name: A\n", "close the quotes on the line"),
            ("users: [a\nhours: {}\n", "close the bracket or the quotes that are open"),
            ("tenant: a: b\n", "put a value that holds `: ` in quotes"),
            ("users\n  - email: a@x\n", "write `key: value`"),
            ("tenant: @a\n", "put the value in quotes"),
            ("tenant: *a\n", "put a value that begins with `*` in quotes"),
            ("tenant: \"a\\q\"\n", "write `\\\\` for a backslash"),
            ("users: - a\n", "begin a list on the line below its key"),
            ("<<<<<<< HEAD\nusers: []\n=======\n>>>>>>> b\n", "a merge was left unfinished"),
        ] {
            assert!(hint(text).starts_with(words), "{text}: {}", hint(text));
        }
    }
}
