//! Old phones let go: registrations of AORs that vanished, or whose digest changed.
//!
//! Asterisk keeps a contact until it expires, whatever happens to its AOR and auth. The list is
//! kept on disk before the files change, so that a run that is killed is finished by the next.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    asterisk::{Asterisk, AsteriskError},
    files::{self, FileError},
};
use crate::render::Parsed;

/// A registration as it was before the reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contact {
    key: String,
    value: String,
}

/// Names the AORs whose registrations must not survive the step from one file to another.
pub(super) fn stale(old: &Parsed, new: &Parsed) -> Vec<String> {
    let differs = |name: &str, digest: &str| new.phones.get(name).is_none_or(|phone| phone.digest != digest);
    old.phones.iter().filter(|(name, phone)| differs(name, &phone.digest)).map(|(name, _)| name.clone()).collect()
}

/// Lists the registrations of some AORs.
pub(super) fn list(asterisk: &Asterisk, aors: &[String]) -> Result<Vec<Contact>, AsteriskError> {
    if aors.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: std::collections::BTreeSet<&str> = aors.iter().map(String::as_str).collect();
    let answer = asterisk.ask("database show registrar/contact")?;
    Ok(answer
        .raw()
        .lines()
        .filter_map(|line| {
            let (key, value) = line.strip_prefix("/registrar/contact/")?.split_once(": ")?;
            let aor = key.split(";@").next()?;
            wanted.contains(aor).then(|| Contact { key: key.trim().to_owned(), value: value.trim().to_owned() })
        })
        .collect())
}

/// Deletes the registrations that are still the ones listed; who registered anew stays.
pub(super) fn let_go(asterisk: &Asterisk, contacts: &[Contact]) -> Result<usize, AsteriskError> {
    let mut gone = 0;
    for contact in contacts {
        let present = asterisk.ask(&format!("database get registrar/contact \"{}\"", contact.key))?;
        if present.raw().trim().strip_prefix("Value: ") == Some(contact.value.as_str()) {
            asterisk.ask(&format!("database del registrar/contact \"{}\"", contact.key))?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// Reads what a killed run left to do.
pub(super) fn pending(path: &Path) -> Result<Vec<Contact>, FileError> {
    // A note nobody can read is one of a run that was killed while writing it: nothing had moved.
    Ok(files::read(path)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Notes what is to be done once the new files are live.
pub(super) fn keep(path: &Path, contacts: &[Contact]) -> Result<(), FileError> {
    if contacts.is_empty() {
        return files::forget(path);
    }
    files::keep(path, &serde_json::to_string(contacts).unwrap_or_default())
}
