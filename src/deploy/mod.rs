//! Stage 4, running: files into their places, narrow reloads, the read-back, and the way back.
//!
//! Owns the apply protocol and everything that touches Asterisk or its configuration folder. What
//! is to be applied was decided by `plan`; how it is reported is the business of `cli`.

mod applied;
mod apply;
mod asterisk;
mod at_once;
mod audit_row;
mod boxes;
mod callers;
mod clock;
mod compare;
mod contacts;
mod decide;
mod denied;
mod effects;
mod emergency;
mod error;
mod examine;
mod generations;
mod host;
mod includes;
mod left_out;
mod listing;
mod log;
mod mismatch;
mod names;
mod needs;
mod overrides;
mod phonebook;
mod put_away;
mod put_back;
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

pub use applied::Applied;
pub use apply::{apply, sync};
pub(crate) use asterisk::running_modules;
pub use asterisk::{Asterisk, AsteriskError};
pub use clock::Observer;
pub use compare::{CompareError, ComparedFile, Comparison, compare, compare_plan, compare_recorded};
pub use error::{ApplyError, NotLive, StatusError};
pub(crate) use examine::{Examined, OperatorFile, broken_include, generated_files, lacking_includes, operator_files};
pub use host::{Host, InPlace, Running};
pub use includes::Override;
pub use mismatch::Mismatch;
pub use names::{MissingName, NamePlaces};
pub use needs::Lack;
pub use put_away::{PutBack, PutBackError};
pub use reach::{Probed, TrunkRegistration};
pub use request::{Compare, Request, Show};
pub use rows::{Prepared, prepare};
pub use status::{FileState, Generation, HostStatus, RunningState, status};
pub use survey::{NO_LIST, Policy, Survey};

pub use crate::fs::FileError;
