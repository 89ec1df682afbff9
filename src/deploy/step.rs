//! The step from the files in place to the rendered ones, on one host: whose names they hold, what
//! is staged, and the notes that let a later run undo or finish it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ApplyError, Host,
    asterisk::AsteriskError,
    contacts::{self, Contact},
    files::{self, FileError, InPlace},
    readback,
};
use crate::{
    model::Tenant,
    render::{Digests, File, Module, Parsed, Phonebook, parse},
};

/// The note with the registrations to end.
const PENDING: &str = "pending_contacts.json";

/// The note with the names we rendered since Asterisk was last proven to run our files.
const NAMES: &str = "names_since_last_good.json";

fn last_good_name(file: &File) -> String {
    format!("last_good_{}.conf", if file.module == Module::Pjsip { "endpoints" } else { "routing" })
}

/// The step.
pub(super) struct Step<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) host: &'a Host,
    pub(super) rendered: &'a [File; 2],
    in_place: &'a [InPlace; 2],
    /// The last files that Asterisk was proven to run; stubs where there are none.
    pub(super) last_good: [String; 2],
    /// The endpoint file in place, read.
    pub(super) old: Parsed,
    /// The endpoint file that shall be, read.
    pub(super) new: Parsed,
    /// Whether Asterisk runs the endpoint file in place.
    runs_old: bool,
}

/// Files that wait for their rename, in the order of the rendered ones.
pub(super) type StagedFiles = [Option<files::Staged>; 2];

impl<'a> Step<'a> {
    pub(super) fn new(
        host: &'a Host,
        book: &Phonebook<'a>,
        rendered: &'a [File; 2],
        in_place: &'a [InPlace; 2],
    ) -> Result<Self, ApplyError> {
        let tenant = book.tenant;
        let empty = Phonebook { tenant, settings: book.settings, directory: book.directory, phones: Vec::new() };
        let stubs = empty.files(Digests::Real(&BTreeMap::new()))?;
        let mut last_good = stubs.map(|stub| stub.text);
        for ((good, file), text) in last_good.iter_mut().zip(rendered).zip(in_place) {
            if let Some(kept) = files::read(&host.note(tenant, &last_good_name(file)))?.or_else(|| text.clone()) {
                *good = kept;
            }
        }
        let old = parse(in_place[0].as_deref().unwrap_or_default());
        let runs_old = match &host.asterisk {
            Some(asterisk) => in_place[0].is_some() && readback::endpoints_mark(asterisk, tenant, &old.mark)?,
            None => false,
        };
        Ok(Self { tenant, host, rendered, in_place, last_good, old, new: parse(&rendered[0].text), runs_old })
    }

    /// Tells whether a file must be written.
    pub(super) fn changed(&self, index: usize) -> bool {
        self.in_place[index].as_deref() != Some(self.rendered[index].text.as_str())
    }

    /// Makes sure that no name belongs to another tenant or to the operator's own files.
    pub(super) fn check_names(&self) -> Result<(), ApplyError> {
        let others = self.host.names_of_others(self.tenant)?;
        if let Some(name) = self.new.phones.keys().find(|name| others.contains(*name)) {
            return Err(ApplyError::NameTaken {
                message: format!("the endpoint `{name}` stands in another tenant's file on this host"),
                hint: "give the tenants ranges that do not overlap, or set `endpoint_names: tenant-extension`",
            });
        }
        let Some(asterisk) = &self.host.asterisk else { return Ok(()) };
        let good = parse(&self.last_good[0]);
        let ours = self.names_since_last_good()?;
        let is_ours =
            |name: &String| self.old.phones.contains_key(name) || good.phones.contains_key(name) || ours.contains(name);
        let fresh: Vec<&String> = self.new.phones.keys().filter(|name| !is_ours(name)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let running = readback::endpoints(asterisk)?;
        // A generation of ours that no note knows any more: whose a name is cannot be told.
        let known = [&self.old.mark, &good.mark, &self.new.mark];
        let unknown_generation = running.marks(self.tenant).any(|mark| !known.iter().any(|known| *known == mark));
        match fresh.into_iter().find(|name| running.has(name)) {
            Some(name) if !(unknown_generation && ours.is_empty()) => Err(ApplyError::NameTaken {
                message: format!("the endpoint `{name}` already runs in Asterisk, from a file that is not ours"),
                hint: "remove it there, or reserve the number with `extensions.reserved`",
            }),
            _ => Ok(()),
        }
    }

    fn names_since_last_good(&self) -> Result<BTreeSet<String>, FileError> {
        let note = files::read(&self.host.note(self.tenant, NAMES))?;
        Ok(note.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Writes what changed beside its target, and keeps what must be undone or finished later.
    pub(super) fn stage(&self) -> Result<StagedFiles, ApplyError> {
        let mut staged = [None, None];
        for (index, file) in self.rendered.iter().enumerate() {
            let target = self.host.path(&file.path);
            files::sweep_beside(&target)?;
            if self.changed(index) {
                staged[index] = Some(files::stage(&target, &file.text)?);
                files::keep(&self.host.note(self.tenant, &last_good_name(file)), &self.last_good[index])?;
            }
        }
        if self.changed(0) {
            let mut names = self.names_since_last_good()?;
            names.extend(self.new.phones.keys().cloned());
            let names = serde_json::to_string(&names).unwrap_or_default();
            files::keep(&self.host.note(self.tenant, NAMES), &names)?;
            if self.host.asterisk.is_some() {
                contacts::keep(&self.pending_note(), &self.old.mark, &self.new.mark, &self.stale_contacts()?)?;
            }
        }
        Ok(staged)
    }

    fn pending_note(&self) -> std::path::PathBuf {
        self.host.note(self.tenant, PENDING)
    }

    /// Lists the registrations that the step from what runs to what shall run makes invalid.
    pub(super) fn stale_contacts(&self) -> Result<Vec<Contact>, AsteriskError> {
        let Some(asterisk) = &self.host.asterisk else { return Ok(Vec::new()) };
        let good;
        let runs = if self.runs_old {
            &self.old
        } else {
            good = parse(&self.last_good[0]);
            &good
        };
        contacts::list(asterisk, &contacts::stale(runs, &self.new))
    }

    /// Reads the registrations that a run which was killed left to end.
    pub(super) fn left_contacts(&self) -> Result<Vec<Contact>, FileError> {
        if self.runs_old { contacts::pending(&self.pending_note(), &self.old.mark) } else { Ok(Vec::new()) }
    }

    /// Notes that Asterisk was proven to run the rendered files.
    pub(super) fn proven(&self) -> Result<(), FileError> {
        for file in self.rendered {
            let note = self.host.note(self.tenant, &last_good_name(file));
            if files::read(&note)?.as_deref() != Some(file.text.as_str()) {
                files::keep(&note, &file.text)?;
            }
        }
        files::forget(&self.host.note(self.tenant, NAMES))
    }

    /// Forgets the registrations to end: they ended, or the step was undone.
    pub(super) fn forget_contacts(&self) -> Result<(), FileError> {
        files::forget(&self.pending_note())
    }
}
