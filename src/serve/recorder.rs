//! Writes down what becomes known about calls, before they are answered.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::calls::Event;

/// An event could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub(super) struct RecorderError {
    path: PathBuf,
    source: io::Error,
}

/// Where events are written.
pub(super) struct Recorder(PathBuf);

impl Recorder {
    /// Takes a file in the state folder.
    pub(super) fn new(state_dir: &Path) -> Self {
        // Where that fails, each event tells.
        let _ = std::fs::create_dir_all(state_dir);
        Self(state_dir.join("calls.jsonl"))
    }

    /// Writes an event, as a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn append(&self, event: &Event) -> Result<(), RecorderError> {
        let write = || {
            let mut line = serde_json::to_vec(event)?;
            line.push(b'\n');
            OpenOptions::new().append(true).create(true).open(&self.0)?.write_all(&line)
        };
        write().map_err(|source| RecorderError { path: self.0.clone(), source })
    }
}
