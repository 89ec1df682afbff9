//! The step from the files in place to the rendered ones, on one host: whose names they hold, what
//! is staged, and the notes that let a later run undo or finish it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    ApplyError, Host,
    asterisk::AsteriskError,
    contacts::{self, Contact},
    files::{self, FileError, InPlace},
    host::Running,
    listing::{Kind, Listing},
};
use crate::{
    model::Tenant,
    render::{Digests, File, Module, Parsed, Phonebook, mark_name, parse},
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
    pub(super) old: Cow<'a, Parsed>,
    /// The endpoint file that shall be, read.
    pub(super) new: Parsed,
    /// What Asterisk runs of the files in place.
    running: Running,
}

/// Files that wait for their rename, in the order of the rendered ones.
#[derive(Debug, Default)]
pub(super) struct StagedFiles {
    /// What shall be; none where nothing changed.
    pub(super) new: [Option<files::Staged>; 2],
    /// The last good files, for the way back: it must not need room on a full disk.
    pub(super) back: [Option<files::Staged>; 2],
}

impl<'a> Step<'a> {
    pub(super) fn new(
        host: &'a Host,
        book: &Phonebook<'a>,
        rendered: &'a [File; 2],
        in_place: &'a [InPlace; 2],
        running: Running,
    ) -> Result<Self, ApplyError> {
        let tenant = book.tenant;
        let empty = Phonebook { tenant, settings: book.settings, directory: book.directory, phones: Vec::new() };
        let stubs = empty.files(Digests::Real(&BTreeMap::new()))?;
        let mut last_good = stubs.map(|stub| stub.text);
        for ((good, file), old) in last_good.iter_mut().zip(rendered).zip(in_place) {
            let kept = files::read(&host.note(tenant, &last_good_name(file)))?;
            if let Some(kept) = kept.or_else(|| old.as_ref().map(|old| old.text.clone())) {
                *good = kept;
            }
        }
        let old = in_place[0].as_ref().map_or_else(|| Cow::Owned(parse("")), |file| Cow::Borrowed(&file.parsed));
        Ok(Self { tenant, host, rendered, in_place, running, last_good, old, new: parse(&rendered[0].text) })
    }

    /// Tells whether a file must be written.
    pub(super) fn changed(&self, index: usize) -> bool {
        self.in_place[index].as_ref().map(|file| file.text.as_str()) != Some(self.rendered[index].text.as_str())
    }

    /// Tells whether a file's module must be reloaded.
    pub(super) fn must_reload(&self, index: usize) -> bool {
        let live = [self.running.endpoints_live, self.running.routing_live];
        self.changed(index) || !live[index]
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
        let mut fresh: Vec<&String> =
            self.new.phones.keys().filter(|name| !self.old.phones.contains_key(*name)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let good = parse(&self.last_good[0]);
        let ours = self.names_since_last_good()?;
        fresh.retain(|name| !good.phones.contains_key(*name) && !ours.contains(*name));
        let running = Listing::of_names(asterisk, fresh.iter().map(|name| name.as_str()))?;
        let taken = |name: &str| Kind::ALL.into_iter().find(|kind| running.has(*kind, name));
        let Some((name, kind)) = fresh.into_iter().find_map(|name| Some((name, taken(name)?))) else { return Ok(()) };
        // A generation of ours that no note knows any more: whose a name is cannot be told.
        let prefix = mark_name(self.tenant, "");
        let known = [&self.old.mark, &good.mark, &self.new.mark];
        let is_known = |name: &str| known.iter().any(|mark| name.strip_prefix(&prefix) == Some(mark.as_str()));
        if ours.is_empty() && Listing::of_marks(asterisk, &prefix)?.endpoints().any(|mark| !is_known(mark)) {
            return Ok(());
        }
        Err(ApplyError::NameTaken {
            message: format!("the {} `{name}` already runs in Asterisk, from a file that is not ours", kind.word()),
            hint: "remove it there, or reserve the number with `extensions.reserved`",
        })
    }

    fn names_since_last_good(&self) -> Result<BTreeSet<String>, FileError> {
        let note = files::read(&self.host.note(self.tenant, NAMES))?;
        Ok(note.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Writes what changed beside its target, and keeps what must be undone or finished later.
    pub(super) fn stage(&self) -> Result<StagedFiles, ApplyError> {
        let mut staged = StagedFiles::default();
        for (index, file) in self.rendered.iter().enumerate() {
            let target = self.host.path(&file.path);
            files::sweep_beside(&target)?;
            if self.changed(index) {
                staged.new[index] = Some(files::stage(&target, &file.text)?);
                staged.back[index] = Some(self.stage_back(index, &target)?);
                files::keep(&self.host.note(self.tenant, &last_good_name(file)), &self.last_good[index])?;
            } else {
                files::admit_in_place(&target)?;
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

    fn stage_back(&self, index: usize, target: &Path) -> Result<files::Staged, FileError> {
        let good = &self.last_good[index];
        let stands = self.in_place[index].as_ref().is_some_and(|file| file.text == *good);
        let linked = if stands { files::link(target).ok() } else { None };
        linked.map_or_else(|| files::stage(target, good), Ok)
    }

    fn pending_note(&self) -> std::path::PathBuf {
        self.host.note(self.tenant, PENDING)
    }

    /// Lists the registrations that the step from what runs to what shall run makes invalid.
    fn stale_contacts(&self) -> Result<Vec<Contact>, AsteriskError> {
        match &self.host.asterisk {
            Some(asterisk) => contacts::list(asterisk, &self.stale_aors()),
            None => Ok(Vec::new()),
        }
    }

    /// Names the AORs whose registrations that step makes invalid.
    pub(super) fn stale_aors(&self) -> Vec<String> {
        let good;
        let runs = if self.running.endpoints_live {
            self.old.as_ref()
        } else {
            good = parse(&self.last_good[0]);
            &good
        };
        contacts::stale(runs, &self.new)
    }

    /// Reads the registrations that a run which was killed left to end.
    pub(super) fn left_contacts(&self) -> Result<Vec<Contact>, FileError> {
        if self.running.endpoints_live {
            contacts::pending(&self.pending_note(), &self.old.mark)
        } else {
            Ok(Vec::new())
        }
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
