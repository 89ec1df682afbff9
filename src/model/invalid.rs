//! How a value is refused, and how text of others is shown in messages.

use std::{fmt, path::Path};

use super::{Code, Hints, is_unseen, printable};

/// A value that was refused, with the reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The rule that was broken.
    pub code: Code,
    /// What is wrong, with the offending value quoted.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Invalid {
    pub(crate) fn new(code: Code, message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { code, message: message.into(), hint }
    }

    /// Takes back what the alternate form of `Display` wrote; other text becomes `invalid-value`.
    pub(crate) fn decode(text: &str) -> Self {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        if let [code, message, hint] = parts[..]
            && let Some(code) = Code::ALL.iter().find(|known| known.as_str() == code)
        {
            return Self::new(*code, message, hint);
        }
        Self::new(Code::InvalidValue, text, "")
    }
}

/// Stands between the parts of an [`Invalid`] on its way through serde, whose errors are text.
const SEPARATOR: char = '\u{1f}';

impl std::error::Error for Invalid {}

impl Hints for Invalid {
    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let hint = self.hint.as_deref().unwrap_or_default();
            write!(f, "{}{SEPARATOR}{}{SEPARATOR}{hint}", self.code, self.message)
        } else {
            f.write_str(&self.message)
        }
    }
}

/// Quotes a value for a message: control characters escaped, never longer than 60 characters.
pub(crate) fn quoted(value: &str) -> String {
    let end = value.char_indices().nth(60).map_or(value.len(), |(at, _)| at);
    let mut shown = printable(&value[..end]);
    if end < value.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Writes a path for a message or report: a file's name may hold newlines and escapes.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Tells whether a character only says in which direction the text beside it runs, without turning any
/// text around by itself: programs that contacts are copied from add it, and nobody sees it.
pub(crate) fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}')
}

/// Names the invisible character in a value that was rejected, as the way out.
pub(crate) fn invisible_hint(text: &str) -> Option<String> {
    let bad = text.chars().find(|c| is_unseen(*c))?;
    Some(format!("remove the invisible character U+{:04X}, which was probably copied along", u32::from(bad)))
}

/// Finds the candidate a misspelt word was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        // At least so many letters differ: what is far longer needs no closer look.
        .filter(|candidate| word.len().abs_diff(candidate.len()) <= 4 * (candidate.len().max(3) / 3))
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}
