//! What was found on a host: the generated files in place, and what its Asterisk runs of them.

use super::AsteriskError;
use crate::{
    asterisk::{ConfigFile, PerFile},
    render::{File, Present},
};

/// The generated files in place, as far as they exist.
pub(crate) type InPlace = PerFile<Option<Present>>;

/// What was read from the running Asterisk, for a plan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Running {
    /// Whether it runs the generation of each file in place. It does of a file that is optional and not there.
    pub(crate) live: PerFile<bool>,
}

/// What is found on a host about a tenant's files.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The generated files in place.
    pub(crate) in_place: InPlace,
    /// Which of them Asterisk runs. `None` if it is left alone or does not answer.
    pub(crate) running: Option<Running>,
    /// Why Asterisk does not answer.
    pub(crate) silent: Option<AsteriskError>,
    /// The generations of the endpoint file that run, by their marks. Not asked for if the one in place runs.
    pub(crate) marks: Vec<String>,
    /// The endpoint file that runs if none of its kind is in place any more: the last one that was proven to run.
    pub(crate) runs: Option<Present>,
}

impl Survey {
    /// Returns the highest number of a voicemail box that the files in place know, or 0.
    pub(crate) fn highest_box(&self) -> u32 {
        self.in_place[ConfigFile::Voicemail].as_ref().map(|file| file.parsed.highest_box).unwrap_or_default()
    }
}

/// Tells of each rendered file whether the tenant uses it on this host. One that defines nothing is used as long as the
/// file in place defines something, or was edited: once it is replaced, the operator need not include it any more.
pub(super) fn kept(rendered: &PerFile<File>, in_place: &InPlace) -> PerFile<bool> {
    let defines =
        |Present { parsed, .. }: &Present| !parsed.intact || !parsed.boxes.is_empty() || !parsed.queues.is_empty();
    PerFile::from_fn(|file| !rendered[file].is_stub || in_place[file].as_ref().is_some_and(defines))
}
