//! Errors at the edges: their words and their hints.

use std::fmt::{self, Write};

use crate::{
    deploy::{ApplyError, AsteriskError, FileError, PutBackError, StatusError},
    directory::{DirectoryError, embedded::EmbeddedError, seal::SealError},
    model::{Hints, Invalid},
    notify::NotifyError,
    portal::{DeleteError, Refused, ResealError, RotateError},
};

/// An error with the next steps.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hints: Vec<String>,
}

impl Hinted {
    /// Says what is wrong, and the next step.
    pub(crate) fn new(message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self::with(message, [hint.into()])
    }

    /// Says what is wrong, and any next steps.
    pub(crate) fn with(message: impl fmt::Display, hints: impl IntoIterator<Item = String>) -> Self {
        Self { message: message.to_string(), hints: hints.into_iter().collect() }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

impl Hints for Hinted {
    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}

/// Writes an error with its causes, hints last.
pub(crate) fn words(error: &anyhow::Error) -> String {
    words_of(error.as_ref())
}

/// Writes an error with its causes, hints last.
pub(crate) fn words_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let message = cause.to_string();
        // A transparent error says what its source says.
        if parts.last().is_none_or(|last| !last.contains(&message)) {
            parts.push(message);
        }
        for hint in hints_of(cause) {
            // One that stands for what is in it has hints of that, and so may the chain.
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
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
            Hinted,
            Invalid,
            NotifyError,
            PutBackError,
            Refused,
            ResealError,
            RotateError,
            SealError,
            StatusError,
        ]
    );
    Vec::new()
}
