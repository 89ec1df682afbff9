//! Reports: a comparison as text, JSON or Markdown, each made from the comparison, none from another.

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod status;
pub(crate) mod text;
mod words;

use std::fmt::{self, Write};

use jiff::Timestamp;

use crate::{
    deploy::{Comparison, NamePlaces},
    desired::{Declared, Source},
    plan::Allowance,
};

/// A checked desired state with its sources.
#[derive(Debug)]
pub(crate) struct Desired {
    pub(crate) name: String,
    pub(crate) sources: Vec<Source>,
    pub(crate) declared: Declared,
}

/// Writes where the names are declared that must exist on the Asterisk host.
pub(crate) fn name_places(desired: &Desired) -> NamePlaces {
    let places = desired.declared.host_names.iter();
    places.map(|(name, place)| (name.clone(), place.show(&desired.sources))).collect()
}

/// What a report is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) comparison: &'a Comparison,
    pub(crate) recorded_in: RecordedIn<'a>,
    /// What `--allow` lets pass.
    pub(crate) allowance: &'a Allowance,
    /// What an apply of this plan needs besides, as a shell takes it, such as ` -f office.yaml`. Empty if nothing.
    pub(crate) arguments: &'a str,
}

/// Where what is recorded was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RecordedIn<'a> {
    /// In a database, which is named without its password.
    Database(&'a str),
    /// In the file of `plan --recorded`, which was written at that time.
    File { name: &'a str, written_at: Timestamp },
}

impl RecordedIn<'_> {
    /// Returns when the file was written; `None` if the database was read.
    pub(crate) fn written_at(self) -> Option<Timestamp> {
        match self {
            Self::Database(_) => None,
            Self::File { written_at, .. } => Some(written_at),
        }
    }
}

impl fmt::Display for RecordedIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(name) => write!(f, "database {name}"),
            Self::File { name, written_at } => write!(f, "recorded at {written_at} in {name}"),
        }
    }
}

/// The most characters of a cell: a call's id has 128, and is whole.
const CELL: usize = 128;

/// The most characters that a column is padded to: a longer cell moves those behind it in its own line only.
const COLUMN: usize = 64;

/// Writes lines below their heads, each column as wide as its widest cell. What is longer than people
/// read is cut.
pub(crate) fn table<const N: usize>(heads: [&str; N], lines: &[[String; N]]) -> String {
    let lines: Vec<[String; N]> =
        [heads.map(str::to_owned)].iter().chain(lines).map(|line| line.each_ref().map(|cell| cut(cell))).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).min(COLUMN);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// Cuts what does not fit into a cell.
fn cut(cell: &str) -> String {
    if cell.chars().nth(CELL).is_none() {
        return cell.to_owned();
    }
    cell.chars().take(CELL - 1).chain(['…']).collect()
}

/// Colours text where that is wanted.
pub(crate) fn paint(color: bool, with: anstyle::AnsiColor, text: &str) -> String {
    if color {
        let style = with.on_default();
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// Writes a number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
