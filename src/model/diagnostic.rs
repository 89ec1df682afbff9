//! A problem with a place: what is wrong in which file, line and column, and the way out.
//!
//! This file owns the form of a diagnostic; which problems there are is decided where the rules live: in `desired`
//! and in each kind of object.

use serde::Serialize;

use super::{Code, Invalid};

/// A stretch of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Index of the file among the sources.
    pub file: u32,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte of the stretch.
    pub start: u32,
    /// First byte after the stretch.
    pub end: u32,
}

/// Whether a problem stops the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does something that was not meant.
    Warning,
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Whether it stops the command.
    pub(crate) severity: Severity,
    /// Which kind of problem it is.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The place, or `None` if a whole file or folder is at fault.
    pub place: Option<Place>,
    /// Other places that belong to the problem, each with a word on how.
    pub also: Vec<(Place, String)>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Makes an error at a place.
    pub fn error(code: Code, message: impl Into<String>, place: impl Into<Option<Place>>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place: place.into(),
            also: Vec::new(),
            hint: None,
        }
    }

    /// Makes a warning at a place.
    pub fn warning(code: Code, message: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, place) }
    }

    /// Makes an error of a refused value.
    pub fn invalid(invalid: Invalid, place: Place) -> Self {
        let Invalid { code, message, hint } = invalid;
        Self { hint, ..Self::error(code, message, place) }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place with a word on how it belongs.
    #[must_use]
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also.push((place, label.into()));
        self
    }
}
