//! Reports: a comparison as text, JSON or Markdown, each made from the comparison, none from another.

pub(crate) mod json;
mod markdown;
pub(crate) mod status;
pub(crate) mod text;
mod words;

use super::{printer::Printer, session::Desired, settings::PlanFormat};
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
    pub(crate) fn write(&self, format: PlanFormat, printer: &Printer) -> String {
        match format {
            PlanFormat::Text => text::plan(self, printer.color()),
            PlanFormat::Json => json::plan(self),
            PlanFormat::Markdown => markdown::plan(self, markdown::LIMIT),
        }
    }
}
