//! Where one host stands: is what is recorded rendered, and does Asterisk run it? Moves nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    AsteriskError, Comparison, FileError, Host, InPlace, Lack, Mismatch, contacts, listing::Listing, readback, trunks,
};
use crate::{
    model::Tenant,
    render::{FileDiff, Phonebook, mark_name},
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
    /// Registered contacts by AOR.
    pub registrations: BTreeMap<String, usize>,
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
}

impl HostStatus {
    /// Tells whether every file holds what is recorded.
    pub fn rendered(&self) -> bool {
        self.files.iter().all(|file| *file == FileState::InStep)
    }

    /// Tells whether Asterisk runs the files in place, as far as it was asked.
    pub fn running(&self) -> bool {
        let live = |running: &RunningState| {
            running.live == [true, true] && running.missing.is_empty() && running.lacks.is_empty()
        };
        self.running.as_ref().is_none_or(live) && self.missing_includes.is_empty()
    }
}

/// Finds out where a host stands; `comparison` is that of the plan that changes nothing.
///
/// # Errors
/// When Asterisk cannot be asked, or a file cannot be read.
pub fn status(
    host: &Host,
    tenant: &Tenant,
    in_place: &[InPlace; 2],
    comparison: &Comparison,
    now: Timestamp,
) -> Result<HostStatus, StatusError> {
    let files = in_place.iter().zip(&comparison.files).map(|(old, (.., diff))| FileState::of(old, diff)).collect();
    let running = match &host.asterisk {
        None => None,
        Some(asterisk) => {
            host.wait()?;
            let live = host.running(tenant, in_place)?.unwrap_or_default();
            let mut running =
                RunningState { live: [live.endpoints_live, live.routing_live], ..RunningState::default() };
            let prefix = mark_name(tenant, "");
            if let Some(endpoints) = &in_place[0] {
                let names: Vec<String> = endpoints.parsed.phones.keys().cloned().collect();
                running.missing = readback::missing(asterisk, &names)?;
                running.missing.extend(trunks::missing(asterisk, &endpoints.parsed.trunks)?);
                running.registrations = contacts::count(asterisk, &names)?;
            }
            running.lacks = host.lacks(&Phonebook::of(&comparison.plan, None), now)?.lacks;
            if !live.endpoints_live {
                let found = Listing::of_marks(asterisk, &prefix)?;
                let marks = found.endpoints().filter_map(|name| name.strip_prefix(&prefix));
                running.other_generations = marks.map(str::to_owned).collect();
            }
            Some(running)
        }
    };
    let missing_includes = if host.config_dir.is_dir() { host.missing_includes(tenant) } else { Vec::new() };
    Ok(HostStatus { files, running, missing_includes })
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
