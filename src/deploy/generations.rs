//! The generations of the endpoint file that may run: those rendered since Asterisk was last proven
//! to run one. Anybody may reload in between, after `--no-reload` or a put-back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{self, FileError, failed};
use crate::{directory::seal::hex, render::Parsed};

/// How many generations are remembered; who never reloads has no phone that could be mistaken.
const KEPT: usize = 10;

/// What tells another digest apart, by the name of the phone's endpoint. A digest itself is as good
/// as the secret, and stays in the file that Asterisk reads.
pub(super) type Phones = BTreeMap<String, String>;

/// One generation.
#[derive(Serialize, Deserialize)]
struct Generation {
    mark: String,
    phones: Phones,
}

/// What was rendered since the last proof, the latest one last.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Generations(Vec<Generation>);

impl Generations {
    /// Reads the note; one that is missing holds no generation.
    ///
    /// # Errors
    /// If it cannot be read or understood: whose phones run would be guessed then.
    pub(super) fn read(note: &Path) -> Result<Self, FileError> {
        let Some(text) = files::read(note)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| failed("understand", note)(error.into()))
    }

    /// Adds a generation and keeps the note, before its file is put in place.
    pub(super) fn keep(mut self, note: &Path, file: &Parsed) -> Result<(), FileError> {
        self.0.retain(|generation| generation.mark != file.mark);
        self.0.push(Generation { mark: file.mark.clone(), phones: phones(file) });
        let old = self.0.len().saturating_sub(KEPT);
        self.0.drain(..old);
        let text = serde_json::to_string(&self).map_err(|error| failed("write", note)(error.into()))?;
        files::keep(note, &text)
    }

    /// Finds what the generation with this mark holds.
    pub(super) fn find(&self, mark: &str) -> Option<&Phones> {
        self.0.iter().find(|generation| generation.mark == mark).map(|generation| &generation.phones)
    }

    /// Names all phones of all generations.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(|generation| generation.phones.keys()).map(String::as_str).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Takes the phones of a file.
pub(super) fn phones(file: &Parsed) -> Phones {
    let tag = |digest: &str| hex(&Sha256::digest(digest)[..8]);
    file.phones.iter().map(|(name, phone)| (name.clone(), tag(&phone.digest))).collect()
}
