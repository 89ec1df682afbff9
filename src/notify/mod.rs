//! Notifications: a receiver is told when something is wrong with a tenant on a host, and when it is right again.
//!
//! Owns what is told (no secret, no full number), what was told last, and how it is sent. What is wrong is found by
//! `status`, `apply` and `serve`.

mod receiver;
#[cfg(test)]
mod tests;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use receiver::{Receiver, ReceiverError};

use crate::{
    deploy::{FileState, HostStatus, TrunkRegistration},
    fs::{self, FileError},
    model::{Document, Hints, hex, printable},
};

/// How many characters of a problem's text are sent.
const LONGEST: usize = 300;

/// How many digits of a longer number are sent: its last ones.
const DIGITS: usize = 4;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What it is about, a word that stays the same: `recorded`, `rendered`, `running`, `asterisk`, `includes`,
    /// `overrides`, `callers`, `trunk` or `apply`.
    pub(crate) id: String,
    /// What is wrong, in a sentence.
    pub(crate) text: String,
}

impl Problem {
    /// Makes it of a text, in which numbers are cut to their last digits.
    pub(crate) fn new(id: &str, text: &str) -> Self {
        Self { id: id.to_owned(), text: bounded(text) }
    }
}

/// What a notification is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The command that looked: `status`, `apply` or `serve`. Each remembers by itself what it told last.
    pub(crate) command: &'static str,
    /// The tenant's slug.
    pub(crate) tenant: &'a str,
    /// The Asterisk host.
    pub(crate) host: &'a str,
    /// What was compared. Each scope is remembered by itself: a look at less resolves nothing that it did not see.
    pub(crate) scope: &'static str,
}

/// What was told last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    /// The problems. Empty if all was right.
    #[serde(default)]
    problems: Vec<Problem>,
}

impl Document for Told {}

/// A notification as it is sent, in JSON.
#[derive(Debug, Serialize)]
struct Notification<'a> {
    /// The version of this document: 1.
    format_version: u32,
    /// What chat services show.
    text: String,
    /// `problem` or `resolved`.
    state: &'static str,
    command: &'a str,
    tenant: &'a str,
    host: &'a str,
    /// What is wrong. Empty once it is resolved.
    problems: &'a [Problem],
    /// When it was sent, in UTC.
    sent_at: String,
}

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    /// The receiver did not take it.
    #[error("cannot notify {receiver}: {source}")]
    Send {
        /// The receiver's host name. Its URL may hold a secret.
        receiver: String,
        /// Why.
        source: ReceiverError,
    },
    /// What was told last could not be read or kept.
    #[error(transparent)]
    File(#[from] FileError),
    /// The notification could not be written as JSON.
    #[error("cannot write a notification: {0}")]
    Json(#[from] serde_json::Error),
}

impl Hints for NotifyError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Send { .. } => {
                vec!["nothing else depends on it; the next run that finds something tries again".to_owned()]
            }
            Self::File(error) => error.hints(),
            Self::Json(_) => Vec::new(),
        }
    }
}

/// Tells the receiver what is wrong, unless it was told the same before. `folder` keeps what was told last.
///
/// # Errors
/// If the receiver does not take it. It is then told at the next run.
pub(crate) fn tell(
    receiver: &Receiver,
    folder: &Path,
    subject: Subject<'_>,
    mut problems: Vec<Problem>,
    now: Timestamp,
) -> Result<(), NotifyError> {
    problems.sort();
    problems.dedup();
    let note = note_of(folder, subject, receiver);
    let told: Told = fs::read_document(&note)?.unwrap_or_default();
    if told.problems == problems {
        return Ok(());
    }
    let notification = Notification {
        format_version: 1,
        text: text(subject, &problems, &told.problems),
        state: if problems.is_empty() { "resolved" } else { "problem" },
        command: subject.command,
        tenant: subject.tenant,
        host: subject.host,
        problems: &problems,
        sent_at: now.to_string(),
    };
    let body = serde_json::to_string(&notification)?;
    receiver.post(&body).map_err(|source| NotifyError::Send { receiver: receiver.name().to_owned(), source })?;
    Ok(fs::keep_document(&note, &Told { problems })?)
}

/// Where is kept what a receiver was told last about a subject. A host may be called anything: its name becomes no path.
fn note_of(folder: &Path, Subject { command, tenant, host, scope }: Subject<'_>, receiver: &Receiver) -> PathBuf {
    let subject = hex(&Sha256::digest(format!("{command}\n{tenant}\n{host}\n{scope}\n{}", receiver.id())));
    folder.join(format!("notified-{command}-{}.json", &subject[..16]))
}

/// Writes what chat services show.
fn text(subject: Subject<'_>, problems: &[Problem], before: &[Problem]) -> String {
    let Subject { command, tenant, host, .. } = subject;
    let mut text = format!("reconcile {command}: {tenant} on {host}: ");
    if problems.is_empty() {
        text.push_str("resolved");
        for problem in before {
            let _ = write!(text, "\n- no longer: {}", problem.text);
        }
        return text;
    }
    let number = problems.len();
    let _ = write!(text, "{number} problem{}", if number == 1 { "" } else { "s" });
    for problem in problems {
        let _ = write!(text, "\n- {}", problem.text);
    }
    text
}

/// Cuts a text to a length, and each longer number in it to its last digits.
fn bounded(text: &str) -> String {
    let mut shown = String::new();
    let mut digits = String::new();
    for c in text.chars().map(Some).chain([None]) {
        if let Some(digit) = c.filter(char::is_ascii_digit) {
            digits.push(digit);
            continue;
        }
        if digits.len() > DIGITS {
            let _ = write!(shown, "..{}", &digits[digits.len() - DIGITS..]);
        } else {
            shown.push_str(&digits);
        }
        digits.clear();
        shown.extend(c);
    }
    printable(&shown).chars().take(LONGEST).collect()
}

/// Lists what is wrong with a tenant on a host. `callers_behind` says whether calls use older routes than recorded.
pub(crate) fn problems_of(status: &HostStatus, asterisk_answers: bool, callers_behind: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |id: &str, text: &str| problems.push(Problem::new(id, text));
    for (file, state) in status.files.iter() {
        let text = match state {
            None | Some(FileState::InStep) => continue,
            Some(FileState::Missing) => "is missing",
            Some(FileState::Behind) => "is older than the database",
            Some(FileState::Edited) => "was changed by another program",
        };
        add("rendered", &format!("{} {text}", file.name()));
    }
    if !asterisk_answers {
        add("asterisk", "Asterisk does not answer");
    } else if !status.running() {
        add("running", "Asterisk does not run what the generated files say");
    }
    if !status.missing_includes.is_empty() {
        add("includes", "Asterisk's configuration does not include a generated file");
    }
    if !status.overrides.is_empty() {
        add("overrides", "sections of other files change generated objects");
    }
    if callers_behind {
        add("callers", "calls use older routes than the database holds");
    }
    for (name, trunk) in status.running.iter().flat_map(|running| &running.carriers) {
        if !TrunkRegistration::may_arrive(trunk) {
            add("trunk", &format!("trunk `{name}` is not registered at its carrier: {}", trunk.word()));
        }
    }
    problems
}
