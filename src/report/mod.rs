//! Reports: a comparison as text, JSON or Markdown, each made from the comparison, none from another.

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod status;
pub(crate) mod text;
mod words;

use std::fmt::Write;

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
    /// The database, without its password.
    pub(crate) database: &'a str,
    /// What `--allow` lets pass.
    pub(crate) allowance: &'a Allowance,
    /// What an apply of this plan needs besides, as a shell takes it, such as ` -f office.yaml`. Empty if nothing.
    pub(crate) arguments: &'a str,
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
