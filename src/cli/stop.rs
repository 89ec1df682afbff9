//! How a command ends that did not do its work, and the exit code of every error.

use std::fmt;

use super::Exit;
use crate::{deploy::ApplyError, model::Invalid, serve::webhook::NoToken};

/// A command that ended without doing its work; what went wrong was already said.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Stop {
    /// Refuses an argument that is no value of its type.
    pub(crate) fn argument(invalid: Invalid) -> Self {
        let hint = invalid.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        Self { exit: Exit::Usage, message: format!("{}{hint}", invalid.message) }
    }

    /// Refuses an argument, with the next step.
    pub(crate) fn usage(message: impl fmt::Display, hint: &str) -> Self {
        Self { exit: Exit::Usage, message: format!("{message}\nhint: {hint}") }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

/// The one mapping of errors to exit codes.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            return stop.exit;
        }
        if cause.is::<NoToken>() {
            return Exit::Usage;
        }
        match cause.downcast_ref::<ApplyError>() {
            Some(ApplyError::Locked { .. }) => return Exit::Locked,
            Some(ApplyError::NotLive(_)) => return Exit::NotLive,
            Some(ApplyError::Stale(_)) => return Exit::Stale,
            Some(ApplyError::Stopped(inner)) => return exit_of(inner),
            _ => {}
        }
    }
    Exit::Error
}
