//! Stage 4, running: files into their places, narrow reloads, the read-back, and the way back.
//!
//! Owns the apply protocol and everything that touches Asterisk or its configuration folder. What
//! is to be applied was decided by `plan`; how it is reported is the business of `cli`.

mod apply;
mod asterisk;
mod at_once;
mod audit_row;
mod boxes;
mod callers;
mod clock;
mod compare;
mod config_folder;
mod contacts;
mod decide;
mod denied;
mod effects;
mod emergency;
mod error;
mod examine;
mod few;
mod findings;
mod former_logins;
mod generations;
mod host;
mod host_survey;
mod includes;
mod left_out;
mod listing;
mod log;
mod mismatch;
mod names;
mod needs;
mod operators;
mod other_pins;
mod outcome;
mod overrides;
mod phonebook;
mod phones_at;
mod prompts;
mod put_away;
mod put_back;
mod queues;
mod reach;
mod readable;
mod readback;
mod reload;
mod request;
mod requirements;
mod rows;
mod search_contexts;
mod sections;
mod status;
mod step;
mod survey;
mod taken;
mod taken_boxes;
mod without_file;

pub(crate) use apply::{apply, sync};
pub(crate) use asterisk::{Asterisk, AsteriskError, running_modules};
pub(crate) use clock::Observer;
pub(crate) use compare::{ComparedFile, Comparison, compare, compare_plan, compare_recorded};
pub(crate) use config_folder::{MissingFolder, missing_folder};
#[cfg(test)]
pub(crate) use emergency::Unreachable;
pub(crate) use error::{ApplyError, NotLive, StatusError};
pub(crate) use examine::{Examined, OperatorFile, broken_include, generated_files, lacking_includes, operator_files};
pub(crate) use host::Host;
pub(crate) use host_survey::{NO_LIST, Policy};
pub(crate) use includes::{Override, included, includes_file};
pub(crate) use mismatch::Mismatch;
pub(crate) use names::{MissingName, NamePlaces};
pub(crate) use needs::MissingNeed;
pub(crate) use outcome::ApplyOutcome;
pub(crate) use put_away::PutBackError;
pub(crate) use reach::{Probed, TrunkRegistration};
pub(crate) use request::Request;
pub(crate) use status::{FileState, Generation, HostStatus, status};
pub(crate) use survey::{InPlace, Running, Survey};

pub(crate) use crate::fs::FileError;
