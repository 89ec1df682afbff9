//! A problem with a place: what is wrong in which file, line and column, and the way out.
//!
//! This file owns the form of a diagnostic; which problems there are is decided where the rules
//! live (`read.rs`, `check.rs`).

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::model::{Invalid, SENSITIVE};

/// One file as it was read.
#[derive(Debug)]
pub struct Source {
    /// The path as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// The files of one desired state, in the order of their paths.
pub type Sources = [Source];

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

impl Place {
    /// Writes the place as `file:line`, the form every report uses.
    pub fn show(self, sources: &Sources) -> String {
        let name = sources.get(self.file as usize).map_or("?", |source| source.name.as_str());
        format!("{name}:{}", self.line)
    }
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
    pub severity: Severity,
    /// Stable code, such as `duplicate-email`; listed in `docs/diagnostics.md`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where; none where a whole file or folder is at fault.
    pub place: Option<Place>,
    /// Other places that belong to the problem, each with a word on how.
    pub also: Vec<(Place, String)>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Makes an error at a place.
    pub fn error(code: &'static str, message: impl Into<String>, place: impl Into<Option<Place>>) -> Self {
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
    pub fn warning(code: &'static str, message: impl Into<String>, place: Place) -> Self {
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

    /// Renders the diagnostic with its snippet, the way compilers do.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let places = self.place.iter().map(|place| (place, None));
        let places = places.chain(self.also.iter().map(|(place, label)| (place, Some(label.as_str()))));
        let lines: Vec<_> = places
            .filter_map(|(place, label)| {
                let source = sources.get(place.file as usize)?;
                let (line, span) = excerpt(&source.text, *place, self.code);
                Some((line, source, *place, span, label))
            })
            .collect();
        let mut group = Group::with_title(title);
        for (index, (line, source, place, span, label)) in lines.iter().enumerate() {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            group = group.element(
                Snippet::source(line.as_str())
                    .path(source.name.as_str())
                    .line_start(place.line as usize)
                    .annotation(kind.span(span.clone()).label(*label)),
            );
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The longest part of a line that a snippet shows, in bytes.
const EXCERPT: usize = 160;

/// Cuts the line of a place out of its file, and says where in it the place lies.
///
/// What follows `secret:` or `password:` is not shown unless it only names a source
/// (`{ env: .. }`): a secret pasted into the file by mistake must not travel on into a log. Nor is
/// what follows an unknown key, which may be a misspelt one of those.
fn excerpt(text: &str, place: Place, code: &str) -> (String, Range<usize>) {
    let start = text.floor_char_boundary(place.start as usize);
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[from..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let first = (start - from).min(line.len());
    let last = (place.end as usize).saturating_sub(from).clamp(first, line.len());
    let last = line.ceil_char_boundary(last);
    let shown = match code {
        "unknown-key" => line[..last].to_owned(),
        "invalid-source" => format!("{}{SENSITIVE}", &line[..first]),
        _ => hide_secret(line),
    };
    let end = shown.floor_char_boundary(shown.len().min(first + EXCERPT));
    let mut excerpt = shown[..end].to_owned();
    if end < shown.len() {
        excerpt.push('…');
    }
    let first = first.min(excerpt.len());
    (excerpt, first..last.clamp(first, end.max(first)))
}

fn hide_secret(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    for word in ["secret", "password", "passwd"] {
        let Some(at) = lower.find(word) else { continue };
        let Some(colon) = line[at..].find(':') else { continue };
        let value = line[at + colon + 1..].trim_start();
        let source = value.strip_prefix('{').map(str::trim_start);
        let harmless = value.is_empty()
            || value.starts_with('#')
            || source.is_some_and(|rest| rest.starts_with("env:") || rest.starts_with("file:"));
        if !harmless {
            return format!("{} {SENSITIVE}", &line[..=at + colon]);
        }
    }
    line.to_owned()
}
