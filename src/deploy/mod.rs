//! Stage 4, running: files into their places, narrow reloads, the read-back, and the way back.
//!
//! Owns the apply protocol and everything that touches Asterisk or its configuration folder. What
//! is to be applied was decided by `plan`; how it is reported is the business of `cli`.

mod apply;
mod asterisk;
mod audit_row;
mod callers;
mod clock;
mod compare;
mod contacts;
mod decide;
mod emergency;
mod error;
mod fail_point;
mod files;
mod folder;
mod foresee;
mod generations;
mod host;
mod includes;
mod left_out;
mod listing;
mod log;
mod names;
mod needs;
mod overrides;
mod put_back;
mod reach;
mod readable;
mod readback;
mod reload;
mod requirements;
mod rows;
mod status;
mod step;
mod survey;
mod trunks;
mod without_file;

pub use apply::{Applied, Compare, Request, Show, apply, sync};
pub use asterisk::{Asterisk, AsteriskError};
pub use clock::Observer;
pub use compare::{CompareError, ComparedFile, Comparison, compare, compare_plan, compare_recorded};
pub use error::{ApplyError, NotLive};
pub(crate) use fail_point::pass as fail_point;
pub(crate) use files::keep_shared;
pub use files::{FileError, InPlace};
pub use foresee::TAKEN_NAMES;
pub use host::{Host, Running};
pub use names::{MissingName, NamePlaces};
pub use needs::Lack;
pub use overrides::Override;
pub use reach::{Probed, TrunkRegistration};
pub(crate) use readable::name_in;
pub use readback::Mismatch;
pub use rows::{PrepareError, Prepared, prepare};
pub(crate) use rows::{digest, new_id, random};
pub use status::{FileState, Generation, HostStatus, RunningState, StatusError, status};
pub use survey::{NO_LIST, Policy, Survey};
