//! The language of Asterisk's configuration that all stages share: which files are generated, how Asterisk
//! takes each of them, what their generation marks are called, the values of a line, sections of pjsip and the dialplan as a
//! tree.
//!
//! Pure: it opens no file and asks no Asterisk. `render` writes the files, `deploy` puts them in place.

mod config_file;
pub(crate) mod dialplan;
mod include;
mod lines;
mod parameters;
mod section;
mod value;

pub use config_file::{ConfigFile, Facts, MarkCheck, Module, PerFile, Sections};
pub(crate) use include::{Include, include};
pub(crate) use lines::{endless_comment, is_blank, lines};
pub(crate) use parameters::parameters;
pub(crate) use section::Section;
pub use section::SectionType;
pub use value::{BadValue, Name, Value, read_value};

use crate::model::Tenant;

/// Names the pjsip sections of a mark.
pub fn mark_name(tenant: &Tenant, mark: &str) -> String {
    format!("{tenant}-gen-{mark}")
}

/// Names the context that calls from outside arrive in.
pub(crate) fn inbound_context(tenant: &Tenant) -> String {
    format!("{tenant}-inbound")
}

/// Names a context that does not exist: what is sent there is answered with 404. A SIP MESSAGE goes there, because
/// Asterisk would run the dialplan for it as for a call.
pub(crate) fn nowhere_context(tenant: &Tenant) -> String {
    format!("{tenant}-nowhere")
}

/// Names the context of the voicemail boxes.
pub(crate) fn box_context(tenant: &Tenant) -> String {
    format!("{tenant}-boxes")
}

/// Names the context of the marks in the dialplan and among voicemail boxes.
pub fn mark_context(tenant: &Tenant) -> String {
    format!("{tenant}-generation")
}
