//! Old phones let go: registrations of AORs that vanished, or whose digest changed.
//!
//! Asterisk keeps a contact until it expires, whatever happens to its AOR and auth. The list is
//! kept on disk before the files change, so that a run that is killed is finished by the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    asterisk::{Asterisk, AsteriskError},
    files::{self, FileError},
};

/// A registration as it was before the reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contact {
    key: String,
    value: String,
}

impl Contact {
    /// Names the AOR it belongs to.
    fn aor(&self) -> &str {
        self.key.split(";@").next().unwrap_or_default()
    }
}

/// Counts the registrations of some AORs.
pub(super) fn count(asterisk: &Asterisk, aors: &[String]) -> Result<BTreeMap<String, usize>, AsteriskError> {
    let mut counts = BTreeMap::new();
    for contact in list(asterisk, aors)? {
        *counts.entry(contact.aor().to_owned()).or_default() += 1;
    }
    Ok(counts)
}

/// Lists the registrations of some AORs.
pub(super) fn list(asterisk: &Asterisk, aors: &[String]) -> Result<Vec<Contact>, AsteriskError> {
    if aors.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<&str> = aors.iter().map(String::as_str).collect();
    let answer = asterisk.ask("database show registrar/contact")?;
    Ok(answer
        .raw()
        .lines()
        .filter_map(|line| {
            let (key, value) = line.strip_prefix("/registrar/contact/")?.split_once(": ")?;
            let contact = Contact { key: key.trim().to_owned(), value: value.trim().to_owned() };
            wanted.contains(contact.aor()).then_some(contact)
        })
        .collect())
}

/// Ends the registrations that are still the ones listed; who registered anew stays.
///
/// A contact taken out of Asterisk's database behind its back would leave the lamp lit and the old
/// phone probed. So it is made to have expired, and looking at its AOR lets Asterisk clear it away
/// by itself; only where the AOR is gone too, the entry is deleted.
pub(super) fn let_go(asterisk: &Asterisk, contacts: &[Contact]) -> Result<usize, AsteriskError> {
    const EXPIRED: &str = r#"{\"uri\":\"sip:gone@invalid\",\"expiration_time\":\"1\"}"#;
    let mut gone = 0;
    for contact in contacts {
        let Contact { key, value } = contact;
        let present = asterisk.ask(&format!("database get registrar/contact \"{key}\""))?;
        if present.raw().trim().strip_prefix("Value: ") != Some(value.as_str()) {
            continue;
        }
        asterisk.ask(&format!("database put registrar/contact \"{key}\" \"{EXPIRED}\""))?;
        asterisk.ask(&format!("pjsip show aor {}", contact.aor()))?;
        if asterisk.ask(&format!("database get registrar/contact \"{key}\""))?.raw().contains("Value: ") {
            asterisk.ask(&format!("database del registrar/contact \"{key}\""))?;
        }
        gone += 1;
    }
    Ok(gone)
}

/// What a step to one generation of the endpoint file has to let go.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The mark of the generation: unless that file was put in place, nothing is to be let go.
    mark: String,
    contacts: Vec<Contact>,
}

/// Reads what runs that were killed left to do, given the generation that is in place.
pub(super) fn pending(path: &Path, mark: &str) -> Result<Vec<Contact>, FileError> {
    Ok(read(path)?.into_iter().filter(|pending| pending.mark == mark).flat_map(|pending| pending.contacts).collect())
}

/// Notes what is to be let go once the generation `next` is live; what the one in place still has
/// to let go is carried along, under both, until one of them is proven.
pub(super) fn keep(path: &Path, in_place: &str, next: &str, contacts: &[Contact]) -> Result<(), FileError> {
    if in_place == next {
        return Ok(());
    }
    let carried = pending(path, in_place)?;
    let both = [(in_place, carried.clone()), (next, [carried.as_slice(), contacts].concat())];
    let all: Vec<Pending> = both
        .into_iter()
        .filter(|(_, contacts)| !contacts.is_empty())
        .map(|(mark, contacts)| Pending { mark: mark.to_owned(), contacts })
        .collect();
    if all.is_empty() {
        return files::forget(path);
    }
    files::keep(path, &serde_json::to_string(&all).unwrap_or_default())
}

/// Forgets what other generations than this one left to do.
pub(super) fn keep_only(path: &Path, mark: &str) -> Result<(), FileError> {
    let left = pending(path, mark)?;
    if left.is_empty() {
        return files::forget(path);
    }
    let all = [Pending { mark: mark.to_owned(), contacts: left }];
    files::keep(path, &serde_json::to_string(&all).unwrap_or_default())
}

fn read(path: &Path) -> Result<Vec<Pending>, FileError> {
    // A note nobody can read is none: it is written whole, before anything moves.
    Ok(files::read(path)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(key: &str) -> Contact {
        Contact { key: key.to_owned(), value: "{}".to_owned() }
    }

    /// A run that was killed before its rename had changed nothing: its list must not end the
    /// registrations of phones that are as valid as ever.
    #[test]
    fn only_generations_that_were_put_in_place_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pending.json");
        keep(&note, "a", "b", &[contact("1000")]).unwrap();
        assert_eq!(pending(&note, "a").unwrap(), [], "b was never put in place");
        assert_eq!(pending(&note, "b").unwrap(), [contact("1000")]);
        keep(&note, "b", "c", &[contact("1001")]).unwrap();
        assert_eq!(pending(&note, "b").unwrap(), [contact("1000")]);
        assert_eq!(pending(&note, "c").unwrap(), [contact("1000"), contact("1001")]);
        keep(&note, "c", "c", &[]).unwrap();
        assert_eq!(pending(&note, "c").unwrap().len(), 2, "the same file again changes nothing");
        keep(&note, "d", "e", &[]).unwrap();
        assert!(!note.exists());
    }
}
