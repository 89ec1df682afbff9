//! Where one host stands: is what is recorded rendered, and does Asterisk run it? Moves nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Asterisk, AsteriskError, Comparison, Host, InPlace, Mismatch, MissingName, MissingNeed, Override, Probed, Running,
    StatusError, Survey, TrunkRegistration, contacts, emergency, reach, readback, requirements::Requirements,
};
use crate::{
    asterisk::{ConfigFile, PerFile, SectionType},
    fs::FileError,
    model::Tenant,
    plan::RailStop,
    render::{FileDiff, Parsed, Phonebook, Present},
};

/// How a generated file stands to what is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    /// It holds what is recorded.
    InStep,
    /// It is not there.
    Missing,
    /// It is as it was written; what is recorded has changed since.
    Behind,
    /// Another program or a person changed it, or it is cut short.
    Edited,
}

impl FileState {
    /// Tells the state from the file in place and how it differs from what is recorded.
    pub(crate) fn of(in_place: Option<&Present>, diff: &FileDiff) -> Self {
        match in_place {
            None => Self::Missing,
            Some(_) if !diff.changed => Self::InStep,
            Some(_) if diff.genuine => Self::Behind,
            Some(_) => Self::Edited,
        }
    }
}

/// Which generation of a file Asterisk runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Generation {
    /// That of the file in place.
    InPlace,
    /// The one that was applied: the file in place was edited since.
    Applied,
    /// Another one, by its mark.
    Another(String),
    /// None.
    Absent,
    /// Another one, or none.
    NotInPlace,
}

/// How the running Asterisk stands to the files in place.
#[derive(Debug)]
pub(crate) struct RunningState {
    /// Which generation of each file runs.
    pub(crate) generations: PerFile<Generation>,
    /// Objects of the files in place that do not run.
    pub(crate) missing: Vec<Mismatch>,
    /// What Asterisk lacks for inbound calls.
    pub(crate) lacks: Vec<MissingNeed>,
    /// Names that Asterisk does not have.
    pub(crate) missing_names: Vec<MissingName>,
    /// Names that could not be checked, each with the reason.
    pub(crate) unchecked_names: Vec<String>,
    /// Registered contacts by AOR.
    pub(crate) registrations: BTreeMap<String, usize>,
    /// What Asterisk's probes found out about registered phones, by AOR.
    pub(crate) probed: Probed,
    /// How objects that register stand at their carriers, by name.
    pub(crate) carriers: BTreeMap<String, TrunkRegistration>,
    /// Which emergency numbers phones cannot dial, and which option of the operator's takes boxes away, in words.
    pub(crate) notes: Vec<String>,
}

/// What stands behind what is recorded, on one host.
#[derive(Debug)]
pub(crate) struct HostStatus {
    /// How the files stand to what is recorded. `None` for those that the tenant does not have.
    pub(crate) files: PerFile<Option<FileState>>,
    /// Asterisk, or `None` if it was not asked.
    pub(crate) running: Option<RunningState>,
    /// Lines that the operator's files lack.
    pub(crate) missing_includes: Vec<String>,
    /// Generated files that several lines include, in words.
    pub(crate) included_twice: Vec<RailStop>,
    /// Sections of other files that change what the generated files define.
    pub(crate) overrides: Vec<Override>,
    /// Why neither is known, if one of the operator's files cannot be read.
    pub(crate) unread: Option<FileError>,
}

impl HostStatus {
    /// Tells whether every file holds what is recorded.
    pub(crate) fn rendered(&self) -> bool {
        self.files.values().flatten().all(|file| *file == FileState::InStep)
    }

    /// Tells whether Asterisk runs the files in place, as far as it was asked.
    pub(crate) fn running(&self) -> bool {
        let live = |running: &RunningState| {
            running.generations.values().all(|generation| *generation == Generation::InPlace)
                && running.missing.is_empty()
                && running.lacks.is_empty()
                && running.missing_names.is_empty()
        };
        let beside = self.missing_includes.len() + self.included_twice.len() + self.overrides.len();
        self.running.as_ref().is_none_or(live) && beside == 0 && self.unread.is_none()
    }
}

/// Finds out where a host stands; `comparison` is that of the plan that changes nothing. An Asterisk that
/// does not answer takes nothing from the rest; returns why it does not.
pub(crate) fn status(
    host: &Host,
    tenant: &Tenant,
    survey: Survey,
    comparison: &Comparison,
    now: Timestamp,
) -> (HostStatus, Option<StatusError>) {
    let Survey { in_place, running: live, silent, marks, runs: _ } = survey;
    let state = |file| FileState::of(in_place[file].as_ref(), &comparison.files[file].diff);
    let kept = PerFile::from_fn(|file| comparison.files[file].is_kept);
    let files = PerFile::from_fn(|file| kept[file].then(|| state(file)));
    let (running, silent) = match (&host.asterisk, live) {
        (Some(asterisk), Some(live)) => match running(host, asterisk, (&in_place, live, marks), comparison, now) {
            Ok(running) => (Some(running), None),
            Err(error) => (None, Some(error)),
        },
        _ => (None, silent.map(StatusError::from)),
    };
    let beside = || Ok((host.missing_includes(tenant, kept)?, host.included_twice(tenant)?, host.overrides(tenant)?));
    let beside = if host.config_dir.is_dir() { beside() } else { Ok(Default::default()) };
    let (found, unread) = match beside {
        Ok(found) => (found, None),
        Err(error) => (Default::default(), Some(error)),
    };
    let (missing_includes, included_twice, overrides) = found;
    (HostStatus { files, running, missing_includes, included_twice, overrides, unread }, silent)
}

/// Asks Asterisk how it stands to the files in place.
fn running(
    host: &Host,
    asterisk: &Asterisk,
    (in_place, live, marks): (&InPlace, Running, Vec<String>),
    comparison: &Comparison,
    now: Timestamp,
) -> Result<RunningState, StatusError> {
    let runs = |file| live.live[file] || !comparison.files[file].is_kept;
    let mut generations =
        PerFile::from_fn(|file| if runs(file) { Generation::InPlace } else { Generation::NotInPlace });
    if !live.live[ConfigFile::Endpoints] {
        generations[ConfigFile::Endpoints] = marks.into_iter().next().map_or(Generation::Absent, Generation::Another);
    }
    for (file, is_applied) in runs_as_applied(asterisk, &comparison.plan.tenant, in_place)?.iter() {
        if *is_applied {
            generations[file] = Generation::Applied;
        }
    }
    let mut missing = Vec::new();
    for (file, present) in in_place.iter() {
        if let Some(present) = present {
            missing.extend(readback::missing(asterisk, file, &present.parsed)?);
        }
    }
    let (mut registrations, mut probed, mut carriers) = (BTreeMap::new(), Probed::default(), BTreeMap::new());
    if let Some(endpoints) = &in_place[ConfigFile::Endpoints] {
        let names: Vec<String> = endpoints.parsed.phones.keys().cloned().collect();
        registrations = contacts::count(asterisk, &names)?;
        let registered: Vec<&str> = registrations.keys().map(String::as_str).collect();
        probed = reach::probed(asterisk, &registered)?;
        carriers = registrations_of(asterisk, &endpoints.parsed)?;
    }
    let Requirements { lacks, missing_names, unchecked_names, .. } =
        host.requirements(&Phonebook::of(&comparison.plan, None), now)?;
    let unreachable = emergency::unreachable(asterisk, &comparison.plan)?;
    let mut notes: Vec<String> = unreachable.into_iter().map(|found| found.fact).collect();
    notes.extend(host.search_contexts(&comparison.plan)?);
    Ok(RunningState {
        generations,
        missing,
        lacks,
        missing_names,
        unchecked_names,
        registrations,
        probed,
        carriers,
        notes,
    })
}

/// Tells of which files that were edited Asterisk still runs what was applied: the mark at their end.
fn runs_as_applied(asterisk: &Asterisk, tenant: &Tenant, in_place: &InPlace) -> Result<PerFile<bool>, AsteriskError> {
    let marks = in_place.each_ref().map(|file| {
        let edited = file.as_ref().filter(|file| !file.parsed.intact);
        edited.and_then(|file| file.parsed.written.as_deref()).unwrap_or_default()
    });
    if marks.values().all(|mark| mark.is_empty()) {
        return Ok(PerFile::all(false));
    }
    let live = readback::live(asterisk, tenant, &marks)?;
    Ok(PerFile::from_fn(|file| live[file] && !marks[file].is_empty()))
}

/// Asks how the objects of a file that register stand at their carriers, by the name they are declared under.
fn registrations_of(asterisk: &Asterisk, file: &Parsed) -> Result<BTreeMap<String, TrunkRegistration>, AsteriskError> {
    let registers = file.objects.iter().filter(|(_, object)| object.has(SectionType::Registration));
    let found = reach::registrations(asterisk, &registers.map(|(section, _)| section).collect::<Vec<_>>())?;
    let name = |section: String| file.objects.get(&section).map_or(section, |object| object.name.clone());
    Ok(found.into_iter().map(|(section, registration)| (name(section), registration)).collect())
}
