//! Where one host stands: is what is recorded rendered, and does Asterisk run it? Moves nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Asterisk, AsteriskError, Comparison, FileError, Host, InPlace, Lack, Mismatch, MissingName, Override, Probed,
    TrunkRegistration, contacts, listing::Listing, reach, readback, trunks,
};
use crate::{
    asterisk::mark_name,
    model::Tenant,
    render::{FileDiff, Parsed, Phonebook, trunk_prefix},
};

/// How a generated file stands to what is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It holds what is recorded.
    InStep,
    /// It was never written.
    Missing,
    /// It is as it was written; what is recorded has changed since.
    Behind,
    /// Somebody else changed it, or it is cut short.
    Edited,
}

impl FileState {
    /// Tells the state from the file in place and how it differs from what is recorded.
    pub fn of(in_place: &InPlace, diff: &FileDiff) -> Self {
        match in_place {
            None => Self::Missing,
            Some(_) if !diff.changed => Self::InStep,
            Some(_) if diff.genuine => Self::Behind,
            Some(_) => Self::Edited,
        }
    }
}

/// How the running Asterisk stands to the files in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningState {
    /// Whether the generation of each file in place runs: endpoints, then routing.
    pub live: [bool; 2],
    /// The generations that run instead of the endpoint file in place.
    pub other_generations: Vec<String>,
    /// Phones of the endpoint file in place that do not run.
    pub missing: Vec<Mismatch>,
    /// What Asterisk lacks for inbound calls.
    pub lacks: Vec<Lack>,
    /// Names that Asterisk does not have.
    pub missing_names: Vec<MissingName>,
    /// Names that could not be checked, each with the reason.
    pub unchecked_names: Vec<String>,
    /// Registered contacts by AOR.
    pub registrations: BTreeMap<String, usize>,
    /// What Asterisk's probes found out about registered phones, by AOR.
    pub probed: Probed,
    /// How trunks that register stand at their carriers, by trunk.
    pub trunks: BTreeMap<String, TrunkRegistration>,
}

/// What stands behind what is recorded, on one host.
#[derive(Debug)]
pub struct HostStatus {
    /// The files, in the order of the comparison.
    pub files: Vec<FileState>,
    /// Asterisk; none where it was not asked.
    pub running: Option<RunningState>,
    /// Lines that the operator's files lack.
    pub missing_includes: Vec<&'static str>,
    /// Sections of other files that change what the generated files define.
    pub overrides: Vec<Override>,
}

impl HostStatus {
    /// Tells whether every file holds what is recorded.
    pub fn rendered(&self) -> bool {
        self.files.iter().all(|file| *file == FileState::InStep)
    }

    /// Tells whether Asterisk runs the files in place, as far as it was asked.
    pub fn running(&self) -> bool {
        let live = |running: &RunningState| {
            running.live == [true, true]
                && running.missing.is_empty()
                && running.lacks.is_empty()
                && running.missing_names.is_empty()
        };
        self.running.as_ref().is_none_or(live) && self.missing_includes.is_empty() && self.overrides.is_empty()
    }
}

/// Finds out where a host stands; `comparison` is that of the plan that changes nothing. An Asterisk that
/// does not answer takes nothing from the rest; returns why it does not.
pub fn status(
    host: &Host,
    tenant: &Tenant,
    in_place: &[InPlace; 2],
    comparison: &Comparison,
    now: Timestamp,
) -> (HostStatus, Option<StatusError>) {
    let files = in_place.iter().zip(&comparison.files).map(|(old, (.., diff))| FileState::of(old, diff)).collect();
    let (running, silent) = match &host.asterisk {
        None => (None, None),
        Some(asterisk) => match running(host, asterisk, tenant, in_place, comparison, now) {
            Ok(running) => (Some(running), None),
            Err(error) => (None, Some(error)),
        },
    };
    let (missing_includes, overrides) = if host.config_dir.is_dir() {
        (host.missing_includes(tenant), host.overrides(tenant))
    } else {
        (Vec::new(), Vec::new())
    };
    (HostStatus { files, running, missing_includes, overrides }, silent)
}

/// Asks Asterisk how it stands to the files in place.
fn running(
    host: &Host,
    asterisk: &Asterisk,
    tenant: &Tenant,
    in_place: &[InPlace; 2],
    comparison: &Comparison,
    now: Timestamp,
) -> Result<RunningState, StatusError> {
    host.wait()?;
    let live = host.running(tenant, in_place)?.unwrap_or_default();
    let mut running = RunningState { live: [live.endpoints_live, live.routing_live], ..RunningState::default() };
    let prefix = mark_name(tenant, "");
    if let Some(endpoints) = &in_place[0] {
        let names: Vec<String> = endpoints.parsed.phones.keys().cloned().collect();
        running.missing = readback::missing(asterisk, &names)?;
        running.missing.extend(trunks::missing(asterisk, &endpoints.parsed.trunks)?);
        running.registrations = contacts::count(asterisk, &names)?;
        let registered: Vec<&str> = running.registrations.keys().map(String::as_str).collect();
        running.probed = reach::probed(asterisk, &registered)?;
        running.trunks = trunk_registrations(asterisk, tenant, &endpoints.parsed)?;
    }
    let found = host.requirements(&Phonebook::of(&comparison.plan, None), now)?;
    running.lacks = found.lacks;
    running.missing_names = found.missing_names;
    running.unchecked_names = found.unchecked_names;
    if !live.endpoints_live {
        let found = Listing::of_marks(asterisk, &prefix)?;
        let marks = found.endpoints().filter_map(|name| name.strip_prefix(&prefix));
        running.other_generations = marks.map(str::to_owned).collect();
    }
    Ok(running)
}

/// Asks how the trunks of a file that register stand at their carriers, by trunk.
fn trunk_registrations(
    asterisk: &Asterisk,
    tenant: &Tenant,
    file: &Parsed,
) -> Result<BTreeMap<String, TrunkRegistration>, AsteriskError> {
    let registers = file.trunks.iter().filter(|(_, trunk)| trunk.kinds.contains("registration"));
    let found = reach::registrations(asterisk, &registers.map(|(name, _)| name).collect::<Vec<_>>())?;
    let prefix = trunk_prefix(tenant);
    let name = |object: &str| object.strip_prefix(&prefix).unwrap_or(object).to_owned();
    Ok(found.into_iter().map(|(object, registration)| (name(&object), registration)).collect())
}

/// A host's state cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// What Asterisk must have is not known, because a value cannot be rendered.
    #[error(transparent)]
    Render(#[from] crate::render::BadValue),
    /// Asterisk cannot be asked.
    #[error(transparent)]
    Asterisk(#[from] AsteriskError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}
