//! Reports: a comparison as text or JSON, each made from the comparison, none from another.

pub(crate) mod json;
pub(crate) mod status;
pub(crate) mod text;

use super::{printer::Printer, session::Desired, settings::Format};
use crate::deploy::Comparison;

/// What a report is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) comparison: &'a Comparison,
    /// The database, without its password.
    pub(crate) database: &'a str,
}

impl Report<'_> {
    /// Writes the plan in a format.
    pub(crate) fn write(&self, format: Format, printer: &Printer) -> String {
        match format {
            Format::Text => text::plan(self, printer.color()),
            Format::Json => json::plan(self),
        }
    }
}
