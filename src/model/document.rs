//! Documents that last: JSON that the program keeps for itself, each with the version of its form.
//!
//! A document is a kind, a version and JSON. Where it is kept, in a row or in a file, is not known here. Every
//! document is written by [`write()`] and read by [`read`], which upgrades older versions step by step. Absent keys
//! have the defaults that their type names with `#[serde(default)]`. A key without one was in the document from its
//! first version on, and a document without it is damaged.
//!
//! A new key with a default needs no new version. A key that is renamed, moved or means something else needs one:
//! raise [`Document::VERSION`], add a step to [`Document::upgrade`] and a file to `tests/documents`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{printable, quoted};

/// The key of the version. No map that is a document has it: slugs, paths and counts do not hold this word.
const VERSION: &str = "format_version";

/// The key of the program version that wrote the document.
const WRITER: &str = "written_by";

/// The version of this program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// A kind of document.
pub trait Document: Serialize + DeserializeOwned {
    /// The version that is written. A document without a version has the first one, 1.
    const VERSION: u16 = 1;

    /// Turns a document of the version `from` into one of the next version. `from` is at least 1 and below
    /// [`Self::VERSION`].
    ///
    /// # Errors
    /// If the document does not have the form of that version.
    fn upgrade(from: u16, _document: Value) -> Result<Value, Unreadable> {
        Err(Unreadable::Damaged(format!("version {from} cannot be upgraded")))
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A later version of the program wrote it.
    #[error("it has format version {found}, and reconcile {PROGRAM} reads up to {known}")]
    Later {
        /// The document's version.
        found: u64,
        /// The latest version that this program reads.
        known: u16,
        /// The program version that wrote it, in backticks, if the document names it.
        writer: Option<String>,
    },
    /// It does not have the form of its version. Names the key, and may quote the value.
    #[error("{0}")]
    Damaged(String),
}

impl Unreadable {
    /// Names the program that reads the document; `None` if no program does.
    pub fn reader(&self) -> Option<String> {
        match self {
            Self::Later { writer: Some(writer), .. } => Some(format!("reconcile {writer} or a later version")),
            Self::Later { writer: None, .. } => Some("the later version of reconcile that wrote it".to_owned()),
            Self::Damaged(_) => None,
        }
    }
}

/// A document as it is written.
#[derive(Serialize)]
struct Envelope<'a, D> {
    format_version: u16,
    written_by: &'static str,
    #[serde(flatten)]
    document: &'a D,
}

impl<'a, D: Document> Envelope<'a, D> {
    fn of(document: &'a D) -> Self {
        Self { format_version: D::VERSION, written_by: PROGRAM, document }
    }
}

/// Writes a document as JSON, with its version.
///
/// # Errors
/// If a value cannot be written as JSON. Nothing may be recorded in its place.
pub fn write<D: Document>(document: &D) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Envelope::of(document))
}

/// Writes a document with line breaks, for a file that is kept in git.
///
/// # Errors
/// If a value cannot be written as JSON.
pub(crate) fn write_pretty<D: Document>(document: &D) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&Envelope::of(document))
}

/// Writes a document as a value for another document that holds it.
///
/// # Errors
/// If a value cannot be written as JSON.
pub fn to_value<D: Document>(document: &D) -> Result<Value, serde_json::Error> {
    serde_json::to_value(Envelope::of(document))
}

/// Reads a document of this or an earlier version.
///
/// # Errors
/// If a later version of the program wrote it, or if it is damaged.
pub fn read<D: Document>(text: &str) -> Result<D, Unreadable> {
    let value = serde_json::from_str(text).map_err(|error| Unreadable::Damaged(error.to_string()))?;
    from_value(value)
}

/// Reads a document that another document holds.
///
/// # Errors
/// As [`read`].
pub fn from_value<D: Document>(mut value: Value) -> Result<D, Unreadable> {
    let version = take_version(&mut value, D::VERSION)?;
    upgraded(version, value)
}

/// Writes a document whose version is kept beside it.
///
/// # Errors
/// If a value cannot be written as JSON.
pub fn body<D: Document>(document: &D) -> Result<String, serde_json::Error> {
    serde_json::to_string(document)
}

/// Reads a document whose version is kept beside it.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_body<D: Document>(version: u16, text: &str) -> Result<D, Unreadable> {
    if version > D::VERSION {
        return Err(Unreadable::Later { found: version.into(), known: D::VERSION, writer: None });
    }
    upgraded(version.max(1), serde_json::from_str(text).map_err(|error| Unreadable::Damaged(error.to_string()))?)
}

fn upgraded<D: Document>(version: u16, value: Value) -> Result<D, Unreadable> {
    let upgraded = (version..D::VERSION).try_fold(value, |value, from| D::upgrade(from, value))?;
    serde_path_to_error::deserialize(upgraded).map_err(|error| {
        let path = error.path().to_string();
        let reason = printable(&error.inner().to_string());
        Unreadable::Damaged(if path == "." { reason } else { format!("{}: {reason}", quoted(&path)) })
    })
}

/// Takes the version out of a document, and the program that wrote it.
fn take_version(value: &mut Value, known: u16) -> Result<u16, Unreadable> {
    // A list has no keys: it is of the first version.
    let Value::Object(keys) = value else { return Ok(1) };
    let writer = keys.remove(WRITER);
    let Some(version) = keys.remove(VERSION) else { return Ok(1) };
    let damaged = || Unreadable::Damaged(format!("`{VERSION}` is not a version: {}", quoted(&version.to_string())));
    let found = version.as_u64().filter(|found| *found > 0).ok_or_else(damaged)?;
    match u16::try_from(found) {
        Ok(version) if version <= known => Ok(version),
        _ => {
            let writer = writer.as_ref().and_then(Value::as_str).map(quoted);
            Err(Unreadable::Later { found, known, writer })
        }
    }
}

/// A map that is a document of its own, such as counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[serde(bound = "K: Ord + Serialize + DeserializeOwned, V: Serialize + DeserializeOwned")]
pub struct Map<K: Ord, V>(pub BTreeMap<K, V>);

impl<K: Ord + Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Document for Map<K, V> {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Version 1 was a list; version 2 named it `names`; version 3 calls it `people`.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct People {
        people: Vec<String>,
        #[serde(default)]
        closed: bool,
    }

    impl Document for People {
        const VERSION: u16 = 3;

        fn upgrade(from: u16, mut document: Value) -> Result<Value, Unreadable> {
            match from {
                1 => Ok(json!({ "names": document })),
                _ => Ok(json!({ "people": document["names"].take() })),
            }
        }
    }

    fn people(names: &[&str]) -> People {
        People { people: names.iter().map(|name| (*name).to_owned()).collect(), closed: false }
    }

    #[test]
    fn what_is_written_names_its_version_and_its_writer_and_is_read_back() {
        let text = write(&people(&["ana"])).unwrap();
        let form = format!(r#"{{"format_version":3,"written_by":"{PROGRAM}","people":["ana"],"closed":false}}"#);
        assert_eq!(text, form);
        assert_eq!(read::<People>(&text), Ok(people(&["ana"])));
    }

    #[test]
    fn an_older_version_is_upgraded_step_by_step() {
        for text in [
            r#"["ana","bo"]"#,
            r#"{"format_version":2,"names":["ana","bo"]}"#,
            r#"{"format_version":3,"people":["ana","bo"]}"#,
        ] {
            assert_eq!(read::<People>(text), Ok(people(&["ana", "bo"])), "{text}");
        }
    }

    #[test]
    fn a_later_version_is_rejected_and_its_writer_named() {
        let later = read::<People>(r#"{"format_version":4,"written_by":"9.1.0","people":[]}"#).unwrap_err();
        assert_eq!(later.to_string(), format!("it has format version 4, and reconcile {PROGRAM} reads up to 3"));
        assert_eq!(later.reader().unwrap(), "reconcile `9.1.0` or a later version");
        let unnamed = read::<People>(r#"{"format_version":70000}"#).unwrap_err();
        assert_eq!(unnamed.reader().unwrap(), "the later version of reconcile that wrote it");
    }

    #[test]
    fn a_damaged_document_is_rejected_and_the_key_named() {
        for (text, reason) in [
            (r#"{"format_version":3}"#, "missing field `people`"),
            (r#"{"format_version":3,"people":[7]}"#, "`people[0]`: invalid type: integer `7`, expected a string"),
            (r#"{"format_version":0}"#, "`format_version` is not a version: `0`"),
            (r#"{"format_version":"3"}"#, "`format_version` is not a version: `\"3\"`"),
            ("null", "`people`: invalid type: null, expected a sequence"),
        ] {
            let error = read::<People>(text).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.reader()), (reason, None), "{text}");
        }
        assert!(read::<People>("{").unwrap_err().to_string().starts_with("EOF while parsing"));
    }

    #[test]
    fn a_map_does_not_hold_the_version_beside_its_own_keys() {
        let map = Map(BTreeMap::from([("create".to_owned(), 3)]));
        let text = write(&map).unwrap();
        assert!(text.contains("\"format_version\":1"), "{text}");
        assert_eq!(read(&text), Ok(map.clone()));
        assert_eq!(read(r#"{"create":3}"#), Ok(map));
    }
}
