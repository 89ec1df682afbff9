//! The exit codes: one table, for the program, its tests and `docs/reference/exit-codes.md`.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Something failed.
    Error,
    /// Changes are present (only with `--detailed-exitcode`).
    Changes,
    /// A rail stopped it.
    Rail,
    /// The plan is not the expected one, or no longer the one that was shown.
    Stale,
    /// Another apply holds the lock.
    Locked,
    /// Recorded, but not live.
    NotLive,
    /// Wrong usage.
    Usage,
    /// The desired state is invalid.
    Invalid,
}

impl Exit {
    /// All of them, with the number and what it means.
    pub const TABLE: &[(Self, u8, &str)] = &[
        (Self::Done, 0, "done, or nothing to do"),
        (Self::Error, 1, "something failed; stderr says what, and what to do"),
        (Self::Changes, 2, "changes are present (only with `--detailed-exitcode`)"),
        (Self::Rail, 3, "stopped by a rail, before anything was changed"),
        (Self::Stale, 4, "the plan is not the one given by `--expect`, or no longer the one that was shown"),
        (Self::Locked, 5, "another apply is running on this host"),
        (Self::NotLive, 6, "recorded, but Asterisk does not run the new files; the last good files were put back"),
        (Self::Usage, 64, "wrong usage of the command line"),
        (Self::Invalid, 65, "the desired state is invalid"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        let number = Exit::TABLE.iter().find(|(known, ..)| *known == exit).map_or(1, |(_, number, _)| *number);
        Self::from(number)
    }
}
