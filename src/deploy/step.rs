//! The step from the files in place to the rendered ones, on one host: what is staged, and the notes that let a later
//! run undo or finish it.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    ApplyError, Host,
    contacts::{self, Contact},
    generations::{self, Generations, Phones},
    survey::{InPlace, Running, Survey, kept},
};
use crate::{
    asterisk::{ConfigFile, PerFile},
    fs::{self, FileError, Staged, Target},
    model::Tenant,
    objects::NO_ROUTES,
    render::{Digests, File, Parsed, Phonebook, is_as_written, parse},
};

/// The note with the registrations to end.
const PENDING: &str = "pending_contacts.json";

/// The note with the generations rendered since Asterisk was last proven to run one.
pub(super) const GENERATIONS: &str = "generations.json";

pub(super) struct Step<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) host: &'a Host,
    /// What the files are rendered from.
    pub(super) book: &'a Phonebook<'a>,
    pub(super) rendered: &'a PerFile<File>,
    in_place: &'a InPlace,
    /// The last files that Asterisk was proven to run; stubs where there are none.
    pub(super) last_good: PerFile<String>,
    /// Whether there was no file at all, so that files without users stand for the last good ones.
    pub(super) first: bool,
    /// The endpoint file in place, read.
    pub(super) old: Cow<'a, Parsed>,
    /// Which of the files the tenant uses on this host.
    pub(super) kept: PerFile<bool>,
    /// The files that shall be, read. Of those that the tenant does not use, nothing.
    pub(super) new: PerFile<Parsed>,
    /// What Asterisk runs of the files in place.
    running: Running,
    /// What was rendered since the last proof.
    generations: Generations,
    /// The AORs whose registrations the step makes invalid.
    stale: Vec<String>,
}

/// Files that wait for their rename.
#[derive(Debug, Default)]
pub(super) struct StagedFiles {
    /// The new text, or `None` if nothing changed.
    pub(super) new: PerFile<Option<Staged>>,
    /// The last good files, for the way back: it must not need room on a full disk.
    pub(super) back: PerFile<Option<Staged>>,
}

impl Host {
    /// Reads the last file that Asterisk was proven to run, or the one in place. `None` if there is neither.
    pub(super) fn last_good(
        &self,
        tenant: &Tenant,
        file: ConfigFile,
        survey: &Survey,
    ) -> Result<Option<String>, FileError> {
        // What runs now was proven just now, whoever put it there.
        let is_live = survey.in_place[file].is_some() && survey.running.is_some_and(|running| running.live[file]);
        let kept = if is_live { None } else { fs::read(&self.note(tenant, &file.last_good_note()))? };
        Ok(kept.or_else(|| survey.in_place[file].as_ref().map(|old| old.text.clone())))
    }
}

impl<'a> Step<'a> {
    pub(super) fn new(
        host: &'a Host,
        book: &'a Phonebook<'a>,
        rendered: &'a PerFile<File>,
        survey: &'a Survey,
    ) -> Result<Self, ApplyError> {
        let (tenant, in_place, running) = (book.tenant, &survey.in_place, survey.running.unwrap_or_default());
        let empty = Phonebook {
            tenant,
            settings: book.settings,
            directory: book.directory,
            phones: Vec::new(),
            routes: &NO_ROUTES,
        };
        let stubs = empty.files(Digests::Real { digests: &BTreeMap::new(), secrets: &BTreeMap::new() })?;
        let mut last_good = stubs.map(|stub| stub.text);
        let mut first = true;
        for file in ConfigFile::ALL {
            if let Some(good) = host.last_good(tenant, file, survey)? {
                last_good[file] = good;
                first = false;
            }
        }
        let old = in_place[ConfigFile::Endpoints].as_ref();
        let old = old.map_or_else(|| Cow::Owned(parse("")), |file| Cow::Borrowed(&file.parsed));
        let kept = kept(rendered, in_place);
        let new = PerFile::from_fn(|file| if kept[file] { parse(&rendered[file].text) } else { Parsed::default() });
        let generations = Generations::read(&host.note(tenant, GENERATIONS))?;
        let mut step = Self {
            tenant,
            host,
            book,
            rendered,
            in_place,
            last_good,
            first,
            old,
            kept,
            new,
            running,
            generations,
            stale: Vec::new(),
        };
        step.stale = step.aors_to_expire(&survey.marks)?;
        Ok(step)
    }

    /// Finds out which phones run: those of the file in place, of another generation that we know,
    /// or, for want of anything better, of the last good one. `marks` are those that run.
    fn running_phones(&self, marks: &[String]) -> Phones {
        if self.running.live[ConfigFile::Endpoints] || self.host.asterisk.is_none() {
            return generations::phones(&self.old);
        }
        let good = parse(&self.last_good[ConfigFile::Endpoints]);
        let mut others = marks.iter().filter(|mark| **mark != good.mark);
        others.find_map(|mark| self.generations.find(mark)).cloned().unwrap_or_else(|| generations::phones(&good))
    }

    /// Tells whether a file must be written.
    pub(super) fn changed(&self, file: ConfigFile) -> bool {
        let in_place = self.in_place[file].as_ref().map(|old| old.text.as_str());
        self.kept[file] && in_place != Some(self.rendered[file].text.as_str())
    }

    /// Lists the files that the tenant uses on this host.
    pub(super) fn kept_files(&self) -> impl Iterator<Item = ConfigFile> {
        ConfigFile::ALL.into_iter().filter(|file| self.kept[*file])
    }

    /// Tells whether a file's module must be reloaded.
    pub(super) fn must_reload(&self, file: ConfigFile) -> bool {
        self.kept[file] && (self.changed(file) || !self.running.live[file])
    }

    /// Returns the endpoint file that shall be, read.
    pub(super) fn new_endpoints(&self) -> &Parsed {
        &self.new[ConfigFile::Endpoints]
    }

    /// Writes what changed beside its target, and keeps what must be undone or finished later: of the registrations,
    /// those that the step from what runs to what shall run makes invalid.
    pub(super) fn stage(&self, registered: &[Contact]) -> Result<StagedFiles, ApplyError> {
        let mut staged = StagedFiles::default();
        for file in self.kept_files() {
            let File { path, text, .. } = &self.rendered[file];
            let target = self.host.target(path);
            target.sweep_beside()?;
            if self.changed(file) {
                staged.new[file] = Some(target.stage(text)?);
                staged.back[file] = Some(self.stage_back(file, target)?);
                fs::keep(&self.host.note(self.tenant, &file.last_good_note()), &self.last_good[file])?;
            } else {
                target.admit_in_place()?;
            }
        }
        if self.changed(ConfigFile::Endpoints) {
            let note = self.host.note(self.tenant, GENERATIONS);
            Generations::read(&note)?.keep(&note, self.new_endpoints())?;
            if self.host.asterisk.is_some() {
                let new = &self.new_endpoints().mark;
                let invalid = contacts::of_aors(registered, &self.stale);
                contacts::keep(&self.pending_note(), &self.old.mark, new, &invalid)?;
            }
        }
        Ok(staged)
    }

    fn stage_back(&self, file: ConfigFile, target: Target<'_>) -> Result<Staged, FileError> {
        let good = &self.last_good[file];
        let stands = self.in_place[file].as_ref().is_some_and(|old| old.text == *good);
        // Some file systems know no second names.
        let linked = if stands { target.link().ok() } else { None };
        linked.map_or_else(|| target.stage(good), Ok)
    }

    fn pending_note(&self) -> std::path::PathBuf {
        self.host.note(self.tenant, PENDING)
    }

    /// Names the AORs whose registrations that step makes invalid: those that vanish or change their
    /// digest, and those that vanished without our doing and may come back as those of other users.
    fn aors_to_expire(&self, marks: &[String]) -> Result<Vec<String>, FileError> {
        let (runs, new) = (self.running_phones(marks), generations::phones(self.new_endpoints()));
        let good = if self.running.live[ConfigFile::Endpoints] { self.last_proven()? } else { Phones::new() };
        let gone = good.iter().filter(|(name, _)| !runs.contains_key(*name));
        let invalid = runs.iter().chain(gone).filter(|(name, tag)| new.get(*name) != Some(*tag));
        Ok(invalid.map(|(name, _)| name.clone()).collect())
    }

    /// Names those AORs.
    pub(super) fn stale(&self) -> &[String] {
        &self.stale
    }

    /// Reads what we last proved to run, which may be older than what runs now.
    fn last_proven(&self) -> Result<Phones, FileError> {
        let file = ConfigFile::Endpoints;
        let kept = fs::read(&self.host.note(self.tenant, &file.last_good_note()))?;
        let kept = kept.filter(|kept| self.in_place[file].as_ref().is_none_or(|old| old.text != *kept));
        Ok(kept.map_or_else(Phones::new, |kept| generations::phones(&parse(&kept))))
    }

    /// Reads the registrations that a run which was killed left to end.
    pub(super) fn pending_contacts(&self) -> Result<Vec<Contact>, FileError> {
        if self.running.live[ConfigFile::Endpoints] {
            contacts::pending(&self.pending_note(), &self.old.mark)
        } else {
            Ok(Vec::new())
        }
    }

    /// Notes that Asterisk was proven to run the rendered files.
    pub(super) fn proven(&self) -> Result<(), FileError> {
        let note = |file: ConfigFile| self.host.note(self.tenant, &file.last_good_note());
        let mut before = Vec::new();
        for file in self.kept_files() {
            before.push((file, fs::read(&note(file))?));
        }
        let is_new = |(file, good): &(ConfigFile, Option<String>)| good.as_ref() != Some(&self.rendered[*file].text);
        if before.iter().any(is_new) {
            // All files of one generation, so that they go back together. One that another program changed may hold whatever
            // was written into it, a password too: it is not kept.
            let is_written = |file: ConfigFile, good: &str| is_as_written(good, &self.rendered[file].text);
            let is_ours = before.iter().all(|(file, good)| good.as_ref().is_none_or(|good| is_written(*file, good)));
            for (file, good) in &before {
                let previous = self.host.note(self.tenant, &file.previous_note());
                match good.as_ref().filter(|_| is_ours) {
                    Some(good) => fs::keep(&previous, good)?,
                    None => fs::forget(&previous)?,
                }
            }
        }
        for (file, _) in before.iter().filter(|file| is_new(file)) {
            fs::keep(&note(*file), &self.rendered[*file].text)?;
        }
        self.host.forget_put_away(self.tenant)?;
        fs::forget(&self.host.note(self.tenant, GENERATIONS))
    }

    /// Puts the last good files of other tenants back, where Asterisk complains about theirs and they
    /// are not as they were written: all files are one text to it. Says whose and which.
    pub(super) fn mend_others(&self, complaints: &[String]) -> Result<Vec<(Tenant, ConfigFile)>, FileError> {
        let mut mended = Vec::new();
        let others = self.host.others_at_fault(self.tenant, complaints)?;
        for other in others.iter().filter_map(|other| other.parse::<Tenant>().ok()) {
            for file in ConfigFile::ALL {
                let Some(good) = fs::read(&self.host.note(&other, &file.last_good_note()))? else { continue };
                let path = file.path(&other);
                let target = self.host.target(&path);
                let stands = target.read()?.is_none_or(|text| is_as_written(&text, &good));
                if !stands {
                    target.stage(&good)?.commit()?;
                    mended.push((other.clone(), file));
                }
            }
        }
        Ok(mended)
    }

    /// Forgets the registrations to end: they ended.
    pub(super) fn forget_contacts(&self) -> Result<(), FileError> {
        fs::forget(&self.pending_note())
    }

    /// Forgets the registrations that this step was to end: it was undone. What the last good
    /// generation itself left to end stays.
    pub(super) fn undo_contacts(&self) -> Result<(), FileError> {
        contacts::keep_only(&self.pending_note(), &parse(&self.last_good[ConfigFile::Endpoints]).mark)
    }
}
