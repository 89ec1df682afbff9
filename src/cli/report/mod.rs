//! Reports: a comparison as text, JSON or Markdown, each made from the comparison, none from another.

pub(crate) mod json;
mod markdown;
pub(crate) mod status;
pub(crate) mod text;
mod words;

use std::fmt::Write;

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

/// Writes lines below their heads, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(heads: [&str; N], lines: &[[String; N]]) -> String {
    let heads = heads.map(str::to_owned);
    let width =
        |column: usize| lines.iter().chain([&heads]).map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in [&heads].into_iter().chain(lines) {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
