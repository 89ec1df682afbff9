//! The language of Asterisk's configuration that all stages share: which files are generated, how Asterisk
//! takes each of them, and what their generation marks are called.
//!
//! Pure: it opens no file and asks no Asterisk. `render` writes the files, `deploy` puts them in place.

mod config_file;

pub use config_file::{ConfigFile, Facts, MarkCheck, Module, PerFile, Sections};

use crate::model::Tenant;

/// Names the pjsip sections of a mark.
pub fn mark_name(tenant: &Tenant, mark: &str) -> String {
    format!("{tenant}-gen-{mark}")
}

/// Names the dialplan context of the marks.
pub fn mark_context(tenant: &Tenant) -> String {
    format!("{tenant}-generation")
}
