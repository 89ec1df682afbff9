//! The step from the files in place to the rendered ones, on one host: whose names they hold, what
//! is staged, and the notes that let a later run undo or finish it.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    ApplyError, Host,
    asterisk::Asterisk,
    contacts::{self, Contact},
    generations::{self, Generations, Phones},
    host::{InPlace, Running},
    listing::{Kind, Listing},
    sections,
    survey::Survey,
};
use crate::{
    asterisk::{ConfigFile, PerFile, mark_name},
    fs::{self, FileError, Staged, Target},
    model::{ObjectName, Tenant},
    render::{Digests, File, NO_ROUTES, Parsed, ParsedObject, Phonebook, is_as_written, parse, section_names},
};

/// The note with the registrations to end.
const PENDING: &str = "pending_contacts.json";

/// The note with the generations rendered since Asterisk was last proven to run one.
const GENERATIONS: &str = "generations.json";

/// The step.
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
    /// The files that shall be, read.
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
    /// What shall be; none where nothing changed.
    pub(super) new: PerFile<Option<Staged>>,
    /// The last good files, for the way back: it must not need room on a full disk.
    pub(super) back: PerFile<Option<Staged>>,
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
        let stubs = empty.files(Digests::Real { digests: &BTreeMap::new(), trunk_secrets: &BTreeMap::new() })?;
        let mut last_good = stubs.map(|stub| stub.text);
        let mut first = true;
        for (file, old) in in_place.iter() {
            let old = old.as_ref().map(|old| old.text.clone());
            // What runs now was proven just now, whoever put it there.
            let note = host.note(tenant, &file.last_good_note());
            let kept = if running.live[file] { None } else { fs::read(&note)? };
            if let Some(kept) = kept.or(old) {
                last_good[file] = kept;
                first = false;
            }
        }
        let old = in_place[ConfigFile::Endpoints].as_ref();
        let old = old.map_or_else(|| Cow::Owned(parse("")), |file| Cow::Borrowed(&file.parsed));
        let new = rendered.each_ref().map(|file| parse(&file.text));
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
            new,
            running,
            generations,
            stale: Vec::new(),
        };
        step.stale = step.stale_aors(&survey.marks)?;
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
        self.in_place[file].as_ref().map(|old| old.text.as_str()) != Some(self.rendered[file].text.as_str())
    }

    /// Tells whether a file's module must be reloaded.
    pub(super) fn must_reload(&self, file: ConfigFile) -> bool {
        self.changed(file) || !self.running.live[file]
    }

    /// Returns the endpoint file that shall be, read.
    pub(super) fn new_endpoints(&self) -> &Parsed {
        &self.new[ConfigFile::Endpoints]
    }

    /// Makes sure that no name belongs to another tenant on this host, by its files.
    pub(super) fn check_files(&self) -> Result<(), ApplyError> {
        let files = self.host.files_of_others(self.tenant)?;
        self.check_addresses(&files)?;
        self.check_includes()?;
        let others: BTreeMap<&str, &str> = files
            .iter()
            .flat_map(|(tenant, text)| section_names(text).map(move |name| (name, tenant.as_str())))
            .collect();
        let taken = |name: &String| others.get(name.as_str()).map(|tenant| (name.clone(), *tenant));
        let mut ours = self.new_endpoints().objects.iter();
        if let Some((kind, (name, tenant))) = ours.find_map(|(name, object)| Some((object.kind, taken(name)?))) {
            return Err(ApplyError::taken_name(
                format!(
                    "the {kind} `{name}` bears a name that stands in the file of the tenant `{tenant}` on this host"
                ),
                &format!("give the {kind} another name"),
            ));
        }
        if let Some((name, tenant)) = self.new_endpoints().phones.keys().find_map(taken) {
            return Err(ApplyError::taken_name(
                format!("the endpoint `{name}` stands in the file of the tenant `{tenant}` on this host"),
                "give the tenants ranges that do not overlap, or set `endpoint_names: tenant-extension`",
            ));
        }
        Ok(())
    }

    /// Makes sure that no new name already runs in Asterisk, from the operator's own files.
    pub(super) fn check_running(&self, asterisk: &Asterisk) -> Result<(), ApplyError> {
        let mut fresh: Vec<&String> =
            self.new_endpoints().phones.keys().filter(|name| !self.old.phones.contains_key(*name)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let good = parse(&self.last_good[ConfigFile::Endpoints]);
        let ours = self.generations.names();
        fresh.retain(|name| !good.phones.contains_key(*name) && !ours.contains(name.as_str()));
        let running = Listing::of_names(asterisk, fresh.iter().map(|name| name.as_str()))?;
        let taken = |name: &str| Kind::ALL.into_iter().find(|kind| running.has(*kind, name));
        let Some((name, kind)) = fresh.into_iter().find_map(|name| Some((name, taken(name)?))) else { return Ok(()) };
        // A generation of ours that no note knows any more: whose a name is cannot be told.
        let prefix = mark_name(self.tenant, "");
        let known = [&self.old.mark, &good.mark, &self.new_endpoints().mark];
        let is_known = |name: &str| known.iter().any(|mark| name.strip_prefix(&prefix) == Some(mark.as_str()));
        if self.generations.is_empty() && Listing::of_marks(asterisk, &prefix)?.endpoints().any(|mark| !is_known(mark))
        {
            return Ok(());
        }
        Err(ApplyError::taken_name(
            format!("the {} `{name}` already runs in Asterisk, from a file that is not ours", kind.word()),
            "remove it there, or reserve the number with `extensions.reserved`",
        ))
    }

    /// Makes sure that phones do not dial into another tenant's contexts: its phones would ring, and its carriers
    /// would be paid for.
    fn check_includes(&self) -> Result<(), ApplyError> {
        let include = &self.book.settings.include;
        if include.is_empty() {
            return Ok(());
        }
        for (other, text) in self.host.routing_of_others(self.tenant)? {
            let theirs = |name: &&ObjectName| section_names(&text).any(|context| context == name.as_str());
            if let Some(name) = include.iter().find(theirs) {
                return Err(ApplyError::taken_name(
                    format!("`dialplan.include` names `{name}`, a context of the tenant `{other}` on this host"),
                    "include contexts of your own only",
                ));
            }
        }
        Ok(())
    }

    /// Makes sure that no address leads to two tenants: Asterisk gives its calls to either of them.
    fn check_addresses(&self, others: &[(String, String)]) -> Result<(), ApplyError> {
        let ours = &self.new_endpoints().objects;
        if ours.values().all(|object| object.addresses().next().is_none()) {
            return Ok(());
        }
        for (other, text) in others {
            let parsed = parse(text);
            let theirs: Vec<&str> = parsed.objects.values().flat_map(ParsedObject::addresses).collect();
            let shared = |ours: &str| theirs.iter().any(|theirs| sections::overlap(ours, theirs));
            for (name, object) in ours {
                if let Some(address) = object.addresses().find(|address| shared(address)) {
                    return Err(ApplyError::taken_name(
                        format!("calls from `{address}`, of `{name}`, go to the tenant `{other}` on this host"),
                        "an address leads to one tenant: narrow `identify`, or give both to one tenant",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Writes what changed beside its target, and keeps what must be undone or finished later: of the registrations,
    /// those that the step from what runs to what shall run makes invalid.
    pub(super) fn stage(&self, registered: &[Contact]) -> Result<StagedFiles, ApplyError> {
        let mut staged = StagedFiles::default();
        for (file, File { path, text }) in self.rendered.iter() {
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
    /// digest, and those that vanished behind our back and may come back as somebody else's.
    fn stale_aors(&self, marks: &[String]) -> Result<Vec<String>, FileError> {
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
    pub(super) fn left_contacts(&self) -> Result<Vec<Contact>, FileError> {
        if self.running.live[ConfigFile::Endpoints] {
            contacts::pending(&self.pending_note(), &self.old.mark)
        } else {
            Ok(Vec::new())
        }
    }

    /// Notes that Asterisk was proven to run the rendered files.
    pub(super) fn proven(&self) -> Result<(), FileError> {
        for (file, File { text, .. }) in self.rendered.iter() {
            let note = self.host.note(self.tenant, &file.last_good_note());
            if fs::read(&note)?.as_deref() != Some(text.as_str()) {
                fs::keep(&note, text)?;
            }
        }
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
