//! Deletes the registrations of old phones: of AORs that were removed, or whose digest changed.
//!
//! Asterisk keeps a contact until it expires, whatever happens to its AOR and auth. The list is
//! kept on disk before the files change, so that a run that is killed is finished by the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asterisk::{Asterisk, AsteriskError};
use crate::{
    fs::{self, FileError},
    model::{Document, Unreadable},
};

/// A registration as it was before the reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contact {
    key: String,
    value: String,
}

impl Contact {
    /// Names the AOR it belongs to.
    pub(super) fn aor(&self) -> &str {
        self.key.split_once(";@").map_or(self.key.as_str(), |(aor, _)| aor)
    }

    /// Returns what Asterisk keeps about it, as JSON.
    pub(super) fn value(&self) -> &str {
        &self.value
    }

    fn pair(&self) -> (&str, &str) {
        (&self.key, &self.value)
    }

    /// Reads a line of `database show registrar/contact`.
    fn of_line(line: &str) -> Option<Self> {
        let (key, value) = line.strip_prefix("/registrar/contact/")?.split_once(": ")?;
        Some(Self { key: key.trim().to_owned(), value: value.trim().to_owned() })
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
    Ok(of_aors(&all(asterisk)?, aors))
}

/// Lists all registrations.
pub(super) fn all(asterisk: &Asterisk) -> Result<Vec<Contact>, AsteriskError> {
    let answer = asterisk.ask("database show registrar/contact")?;
    Ok(answer.raw().lines().filter_map(Contact::of_line).collect())
}

/// Picks the registrations of some AORs.
pub(super) fn of_aors(registered: &[Contact], aors: &[String]) -> Vec<Contact> {
    let wanted: BTreeSet<&str> = aors.iter().map(String::as_str).collect();
    registered.iter().filter(|contact| wanted.contains(contact.aor())).cloned().collect()
}

/// How many registrations are ended one by one: four commands of 7 ms each.
const ONE_BY_ONE: usize = 16;

/// How long a command may be. Asterisk's console reads 511 bytes and ignores a longer line.
const COMMAND: usize = 480;

/// What a registration is replaced by, so that it has expired; quoted for a command.
const EXPIRED: &str = r#"{\"uri\":\"sip:gone@invalid\",\"expiration_time\":\"1\"}"#;

/// Ends the registrations that are still the ones listed; who registered anew stays. Returns how many.
///
/// A contact taken out of Asterisk's database behind its back would leave the lamp lit and the old
/// phone probed. So it is made to have expired, and looking at its AOR lets Asterisk clear it away
/// by itself; only where the AOR is gone too, the entry is deleted.
///
/// Many are ended together, in SQL: one by one, 10,000 took minutes under the host's lock. What is left
/// then, as where the operator forbids `database query`, is ended one by one.
pub(super) fn expire_contacts(asterisk: &Asterisk, contacts: &[Contact]) -> Result<usize, AsteriskError> {
    if contacts.is_empty() {
        return Ok(0);
    }
    let left = still_there(asterisk, contacts)?;
    if left.len() <= ONE_BY_ONE {
        return end_one_by_one(asterisk, &left);
    }
    let rows = rows(asterisk, &left)?;
    if !rows.is_empty() {
        asterisk.ask_all(&expire_commands(&rows))?;
        asterisk.look_at_all_aors()?;
        // Those whose AOR is gone. The value is ours alone: no phone can register it.
        asterisk.ask(&format!(
            "database query \"DELETE FROM astdb WHERE key LIKE '/registrar/contact/%' AND value='{EXPIRED}'\""
        ))?;
    }
    let not_ended = still_there(asterisk, &left)?;
    let together = left.len() - not_ended.len();
    Ok(together + end_one_by_one(asterisk, &not_ended)?)
}

/// Returns those of the contacts that are registered as they were.
fn still_there(asterisk: &Asterisk, contacts: &[Contact]) -> Result<Vec<Contact>, AsteriskError> {
    let wanted: BTreeSet<(&str, &str)> = contacts.iter().map(Contact::pair).collect();
    let answer = asterisk.ask("database show registrar/contact")?;
    let listed = answer.raw().lines().filter_map(Contact::of_line);
    Ok(listed.filter(|contact| wanted.contains(&contact.pair())).collect())
}

fn end_one_by_one(asterisk: &Asterisk, contacts: &[Contact]) -> Result<usize, AsteriskError> {
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

/// Finds the rows of Asterisk's database that hold these contacts. A phone that registers anew gets a new
/// row with a higher number (measured), so that a row stands for one registration and no later one.
///
/// The last row is left out: if it goes, its number is given again.
fn rows(asterisk: &Asterisk, contacts: &[Contact]) -> Result<Vec<u64>, AsteriskError> {
    let query = "database query \"SELECT rowid, key, value FROM astdb WHERE key LIKE '/registrar/contact/%'\"";
    let answer = asterisk.ask(query)?;
    let wanted: BTreeSet<(&str, &str)> = contacts.iter().map(Contact::pair).collect();
    let mut found = read_rows(answer.raw());
    found.sort_unstable();
    found.pop();
    Ok(found.into_iter().filter(|(_, key, value)| wanted.contains(&(*key, *value))).map(|(row, ..)| row).collect())
}

/// Reads rows as Asterisk prints them: a line a column, such as `rowid: 2`.
fn read_rows(answer: &str) -> Vec<(u64, &str, &str)> {
    let mut rows = Vec::new();
    let mut lines = answer.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(row) = column(Some(line), "rowid").and_then(|row| row.trim().parse().ok()) else { continue };
        let key = column(lines.peek().copied(), "key").and_then(|key| key.trim().strip_prefix("/registrar/contact/"));
        let Some(key) = key else { continue };
        lines.next();
        let Some(value) = column(lines.peek().copied(), "value") else { continue };
        rows.push((row, key, value.trim()));
    }
    rows
}

/// Takes the value of a column out of a line.
fn column<'a>(line: Option<&'a str>, name: &str) -> Option<&'a str> {
    let (found, value) = line?.split_once(": ")?;
    (found.trim() == name).then_some(value)
}

/// Writes the commands that make rows expire. Nothing of what a phone sent is in them.
fn expire_commands(rows: &[u64]) -> Vec<String> {
    let head =
        format!("database query \"UPDATE astdb SET value='{EXPIRED}' WHERE key LIKE '/registrar/contact/%' AND (");
    let mut commands = Vec::new();
    let mut terms = String::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let length = rest.iter().zip(*first..).take_while(|(row, expected)| *row == expected).count();
        let last = rest[length - 1];
        rest = &rest[length..];
        let term = if last == *first { format!("rowid={first}") } else { format!("rowid BETWEEN {first} AND {last}") };
        if !terms.is_empty() && head.len() + terms.len() + term.len() + " OR )\"".len() > COMMAND {
            commands.push(format!("{head}{terms})\""));
            terms.clear();
        }
        if !terms.is_empty() {
            terms.push_str(" OR ");
        }
        terms.push_str(&term);
    }
    if !terms.is_empty() {
        commands.push(format!("{head}{terms})\""));
    }
    commands
}

/// The registrations that a step to one generation of the endpoint file makes invalid.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The mark of the generation: unless that file was put in place, no registration is deleted.
    mark: String,
    contacts: Vec<Contact>,
}

/// The registrations that may have to be deleted, by generation.
#[derive(Default, Serialize, Deserialize)]
struct AllPending {
    pending: Vec<Pending>,
}

impl Document for AllPending {
    const VERSION: u16 = 2;

    /// Version 1 was the list alone.
    fn upgrade(_: u16, pending: Value) -> Result<Value, Unreadable> {
        Ok(json!({ "pending": pending }))
    }
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
        return fs::forget(path);
    }
    fs::keep_document(path, &AllPending { pending: all })
}

/// Forgets what other generations than this one left to do.
pub(super) fn keep_only(path: &Path, mark: &str) -> Result<(), FileError> {
    let left = pending(path, mark)?;
    if left.is_empty() {
        return fs::forget(path);
    }
    let pending = vec![Pending { mark: mark.to_owned(), contacts: left }];
    fs::keep_document(path, &AllPending { pending })
}

/// Reads the note; one that is missing says that nothing is left to do.
///
/// # Errors
/// If it cannot be read or understood. It is written whole, so that another hand was in it, and the
/// registrations it named would stay with secrets that are no longer valid.
fn read(path: &Path) -> Result<Vec<Pending>, FileError> {
    Ok(fs::read_document::<AllPending>(path)?.unwrap_or_default().pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(key: &str) -> Contact {
        Contact { key: key.to_owned(), value: "{}".to_owned() }
    }

    /// It counted as "nothing is left to do": the registrations it named stayed.
    #[test]
    fn a_note_that_cannot_be_understood_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pending.json");
        std::fs::write(&note, "[{\"mark\":").unwrap();
        assert!(pending(&note, "a").unwrap_err().to_string().starts_with("cannot understand `"));
        assert!(keep(&note, "a", "b", &[contact("1000")]).is_err());
        assert_eq!(std::fs::read_to_string(&note).unwrap(), "[{\"mark\":", "it is left for a person to look at");
        assert_eq!(pending(&folder.path().join("none"), "a").unwrap(), []);
    }

    #[test]
    fn rows_are_read_as_asterisk_prints_them() {
        let answer = "rowid: 2                      \nkey  : /registrar/contact/1000;@aa          \n\
                      value: {\"uri\":\"sip:a@b\"}     \n\nrowid: 7\nkey  : /registrar/contact/1001;@bb\nvalue: {}\n\n";
        assert_eq!(read_rows(answer), [(2, "1000;@aa", "{\"uri\":\"sip:a@b\"}"), (7, "1001;@bb", "{}")]);
        assert_eq!(read_rows("No such command 'database query'"), []);
        assert_eq!(read_rows("rowid: 2\nrowid: 3\nkey  : /registrar/contact/1;@a\n"), []);
    }

    /// Asterisk ignores a line of 512 bytes.
    #[test]
    fn commands_that_end_many_registrations_are_short_enough() {
        let rows: Vec<u64> = (100_000..104_000).step_by(2).chain(200_000..250_000).collect();
        let commands = expire_commands(&rows);
        assert!(commands.len() < 200 && commands.iter().all(|command| command.len() <= COMMAND), "{}", commands.len());
        let all = commands.concat();
        assert!(all.contains("rowid=100000 OR rowid=100002") && all.contains("rowid BETWEEN 200000 AND 249999"));
        assert_eq!(all.matches("rowid=").count(), 2000);
        assert_eq!(expire_commands(&[]), [""; 0]);
    }

    /// A run that was killed before its rename had changed nothing: its list must not end the
    /// registrations of phones that are as valid as ever.
    #[test]
    fn only_generations_that_were_put_in_place_expire_contacts() {
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

    /// What an earlier version left to do is done by this one.
    #[test]
    fn golden_notes_are_read() {
        for version in [1, 2] {
            let note = format!("tests/documents/pending.{version}.json");
            let pending = pending(Path::new(&note), "fa52726d2d84b79f185cec5fb0f2d725").unwrap();
            let value = "{\"uri\":\"sip:acme-1001@127.0.0.1:9\",\"expiration_time\":\"4000000000\",\
                         \"endpoint\":\"acme-1001\"}";
            let key = "acme-1001;@0123456789abcdef0123456789abcdef";
            assert_eq!(pending, [Contact { key: key.to_owned(), value: value.to_owned() }], "{note}");
        }
    }
}
