//! The generations of the endpoint file that may run: those rendered since Asterisk was last proven
//! to run one. An administrator may reload in between, after `--no-reload` or a put-back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    fs::{self, FileError},
    model::{Document, Unreadable, hex},
    render::Parsed,
};

/// How many generations are remembered; who never reloads has no phone that could be mistaken.
const KEPT: usize = 10;

/// What tells another digest apart, by the name of the phone's endpoint. A digest itself is as good
/// as the secret, and stays in the file that Asterisk reads.
pub(super) type Phones = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
struct Generation {
    mark: String,
    phones: Phones,
}

/// What was rendered since the last proof, the latest one last.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Generations {
    generations: Vec<Generation>,
}

impl Document for Generations {
    const VERSION: u16 = 2;

    /// Version 1 was the list alone.
    fn upgrade(_: u16, generations: Value) -> Result<Value, Unreadable> {
        Ok(json!({ "generations": generations }))
    }
}

impl Generations {
    /// Reads the note; one that is missing holds no generation.
    ///
    /// # Errors
    /// If it cannot be read or understood: whose phones run would be guessed then.
    pub(super) fn read(note: &Path) -> Result<Self, FileError> {
        Ok(fs::read_document(note)?.unwrap_or_default())
    }

    /// Adds a generation and keeps the note, before its file is put in place.
    pub(super) fn keep(mut self, note: &Path, file: &Parsed) -> Result<(), FileError> {
        self.generations.retain(|generation| generation.mark != file.mark);
        self.generations.push(Generation { mark: file.mark.clone(), phones: phones(file) });
        let old = self.generations.len().saturating_sub(KEPT);
        self.generations.drain(..old);
        fs::keep_document(note, &self)
    }

    /// Finds what the generation with this mark holds.
    pub(super) fn find(&self, mark: &str) -> Option<&Phones> {
        self.generations.iter().find(|generation| generation.mark == mark).map(|generation| &generation.phones)
    }

    /// Names all phones of all generations.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.generations.iter().flat_map(|generation| generation.phones.keys()).map(String::as_str).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }
}

/// Takes the phones of a file.
pub(super) fn phones(file: &Parsed) -> Phones {
    let tag = |digest: &str| hex(&Sha256::digest(digest)[..8]);
    file.phones.iter().map(|(name, phone)| (name.clone(), tag(&phone.digest))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_notes_are_read() {
        for version in [1, 2] {
            let note = format!("tests/documents/generations.{version}.json");
            let generations = Generations::read(Path::new(&note)).unwrap();
            assert_eq!(generations.generations.len(), 5, "{note}");
            let last = generations.find("af61083180660e3b2c4addc87722cc83").unwrap();
            assert_eq!((last.len(), last["acme-1002"].as_str()), (4, "a827047438e79bee"), "{note}");
        }
    }
}
