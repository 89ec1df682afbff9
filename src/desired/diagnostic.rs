//! How a diagnostic is shown: with the line of the file that it is about.

use std::{ops::Range, path::PathBuf};

use crate::model::{Code, Diagnostic, Place, Severity, visible};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One file as it was read.
#[derive(Debug)]
pub struct Source {
    /// The path, for reading.
    pub path: PathBuf,
    /// The path as the user gave it, for people: control characters escaped.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The bytes that are never shown: what stands under a key that names a secret.
    pub(crate) hidden: Vec<Range<u32>>,
    /// Whether it is a desired state by its keys; of any other file no word is shown.
    pub ours: bool,
}

/// The files of one desired state, in the order of their paths.
pub type Sources = [Source];

impl Place {
    /// Writes the place as `file:line`, the form every report uses.
    pub fn show(self, sources: &Sources) -> String {
        let name = sources.get(self.file as usize).map_or("?", |source| source.name.as_str());
        format!("{name}:{}", self.line)
    }
}

impl Diagnostic {
    /// Renders the diagnostic with its snippet, the way compilers do.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code.as_str());
        let places = self.place.iter().map(|place| (place, None));
        let places = places.chain(self.also.iter().map(|(place, label)| (place, Some(label.as_str()))));
        let lines: Vec<_> = places
            .filter_map(|(place, label)| {
                let source = sources.get(place.file as usize)?;
                let (line, span) = excerpt(source, *place, self.code);
                Some((line, source, *place, span, label))
            })
            .collect();
        let mut group = Group::with_title(title);
        for (index, (line, source, place, span, label)) in lines.iter().enumerate() {
            if !source.ours {
                let origin =
                    Origin::path(source.name.as_str()).line(place.line as usize).char_column(place.column as usize);
                group = group.element(origin);
                continue;
            }
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
/// What stands under a key that names a secret is starred out, whatever it is: a secret pasted
/// into the file by mistake must not travel on into a log. Where the file could not be read as a
/// tree, what belongs to such a word is unknown: no line of a file that has one is shown.
fn excerpt(source: &Source, place: Place, code: Code) -> (String, Range<usize>) {
    let text = &source.text;
    let start = text.floor_char_boundary(place.start as usize);
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[from..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let first = (start - from).min(line.len());
    let last = line.ceil_char_boundary((place.end as usize).saturating_sub(from).clamp(first, line.len()));
    if [Code::InvalidYaml, Code::YamlTooComplex, Code::NotUtf8].contains(&code) && may_hold_secret(line, text) {
        return (NOT_SHOWN.to_owned(), 0..0);
    }
    let end = line.floor_char_boundary(line.len().min(first + EXCERPT));
    let byte = |at: usize| u32::try_from(from + at).unwrap_or(u32::MAX);
    // Of all in the file, those on this line: there may be as many as users.
    let (line_start, line_end) = (byte(0), byte(end));
    let here: Vec<_> = source.hidden.iter().filter(|range| range.start < line_end && range.end > line_start).collect();
    let hidden = |at: usize| here.iter().any(|range| range.contains(&byte(at)));
    let mut mask = Mask::default();
    let mut shown = String::with_capacity(end);
    let mut span = 0..0;
    let mut at = 0;
    for (c, seen) in visible(&line[..end]) {
        if at == first {
            span.start = shown.len();
        }
        match c {
            // One for each, so that columns stay as they are.
            c if mask.covers(c, hidden(at)) => shown.push('*'),
            // The renderer has its own way with controls.
            c if seen || c.is_control() => shown.push(c),
            c => shown.extend(c.escape_default()),
        }
        at += c.len_utf8();
        if at <= last {
            span.end = shown.len();
        }
    }
    if first >= end {
        span.start = shown.len();
    }
    if end < line.len() {
        shown.push('…');
    }
    let end = span.end.max(span.start);
    (shown, span.start..end)
}

/// What stands in a snippet for a line of which nothing is shown.
const NOT_SHOWN: &str = "(not shown, because the file names a secret)";

/// Follows what is left out of a line, so that the rest looks whole.
#[derive(Debug, Default)]
struct Mask {
    /// Whether something was left out just before.
    inside: bool,
    /// How many brackets are open in it, whose ends are left out, too.
    open: usize,
}

impl Mask {
    /// Tells whether a character is left out. The colon behind a key and the indentation stay.
    fn covers(&mut self, c: char, hidden: bool) -> bool {
        if hidden {
            self.inside = self.inside || ![':', ' ', '\t'].contains(&c);
            match c {
                '[' | '{' => self.open += 1,
                ']' | '}' => self.open = self.open.saturating_sub(1),
                _ => {}
            }
            return self.inside;
        }
        if self.open > 0 && [' ', ',', ']', '}'].contains(&c) {
            self.open -= usize::from([']', '}'].contains(&c));
            return true;
        }
        *self = Self::default();
        false
    }
}

/// Tells whether a line of a text that is no tree may belong to a secret: a word that names one stands in it, or stands
/// anywhere in the text other than in a reference that ends on its own line.
fn may_hold_secret(line: &str, text: &str) -> bool {
    has_secret_word(&line.to_ascii_lowercase())
        || text.lines().any(|line| has_secret_word(&without_references(line).to_ascii_lowercase()))
}

/// Leaves out references such as `secret: { env: BO_SECRET }`.
fn without_references(line: &str) -> String {
    const KEY: &str = "secret:";
    let (mut left, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once(KEY) {
        left.push_str(before);
        rest = end_of_reference(after).unwrap_or_else(|| {
            left.push_str(KEY);
            after
        });
    }
    left + rest
}

/// Finds the end of `{ env: NAME }` or `{ file: name }`, or `None` if a text begins in another way.
fn end_of_reference(text: &str) -> Option<&str> {
    let inner = text.trim_start_matches(' ').strip_prefix('{')?.trim_start_matches(' ');
    let name = inner.strip_prefix("env:").or_else(|| inner.strip_prefix("file:"))?.trim_start_matches(' ');
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || "_./-".contains(c))).filter(|end| *end > 0)?;
    name[end..].trim_start_matches(' ').strip_prefix('}')
}

/// Tells whether a lower-case text has a word that names a secret.
pub(super) fn has_secret_word(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    SECRET_KEYS.iter().any(|word| text.contains(word)) || words.any(|word| SECRET_WORDS.contains(&word))
}

/// Words that name a secret; keys that hold one of them, or look like one, are treated alike.
pub(super) const SECRET_KEYS: &[&str] =
    &["secret", "password", "passwd", "passphrase", "passcode", "token", "credential", "kennwort", "passwort"];

/// Words that name a secret only if they stand alone, as in `api_key`: others hold them by chance.
const SECRET_WORDS: &[&str] = &["pwd", "pw", "pass", "key", "apikey", "auth", "pin", "login"];
