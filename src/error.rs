//! Errors at the edges: their words and their hints.

use std::fmt::{self, Write};

use crate::{
    deploy::{ApplyError, AsteriskError, FileError, StatusError},
    directory::{DirectoryError, embedded::EmbeddedError, seal::SealError},
    model::{Hints, Invalid},
    portal::{DeleteError, Refused, ResealError, RotateError},
};

/// An error with the next step.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    pub(crate) fn new(message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { message: message.to_string(), hint: hint.into() }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for Hinted {}

/// Writes an error with its causes, hints last.
pub(crate) fn words(error: &anyhow::Error) -> String {
    words_of(error.as_ref())
}

/// Writes an error with its causes, hints last.
pub(crate) fn words_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let text = cause.to_string();
        let (message, found) = text.split_once("\nhint: ").map_or((text.as_str(), None), |(m, h)| (m, Some(h)));
        // A transparent error says what its source says.
        if parts.last().is_none_or(|last| !last.contains(message)) {
            parts.push(message.to_owned());
        }
        hints.extend(found.map(str::to_owned));
        hints.extend(hints_of(cause));
    }
    hints.dedup();
    let mut words = parts.join(": ");
    for hint in hints {
        let _ = write!(words, "\nhint: {hint}");
    }
    words
}

/// Writes an error with its causes and hints in one line, as a list has it.
pub(crate) fn line_of(error: &(dyn std::error::Error + 'static)) -> String {
    words_of(error).replace("\nhint: ", "; ")
}

/// Asks an error for its hints, whichever of these it is.
macro_rules! hints_of_any {
    ($cause:expr, [$($error:ty),* $(,)?]) => {
        $(if let Some(error) = $cause.downcast_ref::<$error>() {
            return error.hints();
        })*
    };
}

/// Lists the hints of an error that knows any. One that stands for what is in it hides that from the chain, and has its
/// hints.
fn hints_of(cause: &(dyn std::error::Error + 'static)) -> Vec<String> {
    if let Some(ApplyError::Stopped(inner)) = cause.downcast_ref() {
        return inner.chain().flat_map(hints_of).collect();
    }
    hints_of_any!(
        cause,
        [
            ApplyError,
            AsteriskError,
            DeleteError,
            DirectoryError,
            EmbeddedError,
            FileError,
            Invalid,
            Refused,
            ResealError,
            RotateError,
            SealError,
            StatusError,
        ]
    );
    Vec::new()
}
