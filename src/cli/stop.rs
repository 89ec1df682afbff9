//! How a command ends that did not do its work, and the exit code of every error.

use std::fmt;

use super::Exit;
use crate::{deploy::ApplyError, error::Hinted, model::Invalid, portal::RotateError, serve::webhook::NoToken};

/// A command that ended without doing its work; what went wrong was already said.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) said: Hinted,
}

impl Stop {
    /// Ends with an exit code; the message says all.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, said: Hinted::with(message, []) }
    }

    /// Refuses an argument that is no value of its type.
    pub(crate) fn argument(invalid: Invalid) -> Self {
        Self { exit: Exit::Usage, said: Hinted::with(invalid.message, invalid.hint) }
    }

    /// Refuses an argument, with the next step.
    pub(crate) fn usage(message: impl fmt::Display, hint: &str) -> Self {
        Self { exit: Exit::Usage, said: Hinted::new(message, hint) }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said.fmt(f)
    }
}

impl std::error::Error for Stop {
    /// Its hints are there.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.said)
    }
}

/// The one mapping of errors to exit codes.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            return stop.exit;
        }
        if cause.is::<NoToken>() {
            return Exit::Usage;
        }
        if let Some(RotateError::Rail(_)) = cause.downcast_ref::<RotateError>() {
            return Exit::Rail;
        }
        match cause.downcast_ref::<ApplyError>() {
            Some(ApplyError::Locked { .. }) => return Exit::Locked,
            Some(ApplyError::NotLive(_)) => return Exit::NotLive,
            Some(ApplyError::Rail(_)) => return Exit::Rail,
            Some(ApplyError::Stale(_)) => return Exit::Stale,
            Some(ApplyError::Stopped(inner)) => return exit_of(inner),
            _ => {}
        }
    }
    Exit::Error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::words, plan::RailStop};

    /// A rail that was found under the host's lock ended with 1 wherever the caller forgot to map it.
    #[test]
    fn a_rail_ends_with_its_code_wherever_it_was_found() {
        let stop = RailStop { rail: "taken-names", message: "m".into(), hint: "h".into(), allow: None };
        let error = anyhow::Error::from(ApplyError::Rail(stop));
        assert_eq!(words(&error), "error[rail-taken-names]: m\nhint: h");
        assert_eq!(exit_of(&error), Exit::Rail);
        assert_eq!(exit_of(&anyhow::Error::from(ApplyError::Stopped(error.context("outside")))), Exit::Rail);
    }
}
