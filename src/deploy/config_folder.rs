//! Whether Asterisk's configuration folder is there, and which one the running Asterisk has.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::Asterisk;
use crate::{
    fs::{FileError, failed},
    model::shown,
};

/// How `core show settings` names the folder.
const LABEL: &str = "Configuration directory:";

/// A configuration folder that is not there.
#[derive(Debug)]
pub(crate) struct MissingFolder {
    folder: PathBuf,
    /// The folder that the running Asterisk names, if that is on this machine.
    of_asterisk: Option<PathBuf>,
}

impl fmt::Display for MissingFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no folder `{}`", shown(&self.folder))
    }
}

impl MissingFolder {
    /// Says it where no folder is needed. The next step is named only if Asterisk runs here with another one.
    pub(crate) fn words_here(&self) -> String {
        let hint = self.of_asterisk.as_ref().map(|_| format!("; {}", self.hint()));
        format!("{self} here{}", hint.unwrap_or_default())
    }

    /// Returns the next step.
    pub(crate) fn hint(&self) -> String {
        match &self.of_asterisk {
            Some(folder) => {
                format!("the running Asterisk reads another one: `--asterisk-config-dir {}`", shown(folder))
            }
            None => "name Asterisk's configuration folder with `--asterisk-config-dir`".to_owned(),
        }
    }
}

/// Finds out whether a configuration folder is missing. If it is, the running Asterisk is asked for its own.
///
/// # Errors
/// If it cannot be looked at.
pub(crate) fn missing_folder(
    config_dir: &Path,
    asterisk: Option<&Asterisk>,
) -> Result<Option<MissingFolder>, FileError> {
    match fs::metadata(config_dir) {
        Ok(found) if found.is_dir() => return Ok(None),
        Ok(_) => {}
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {}
        Err(error) => return Err(failed("look at", config_dir)(error)),
    }
    let answer = asterisk.and_then(|asterisk| asterisk.ask("core show settings").ok());
    let of_asterisk = answer.and_then(|answer| folder_in(answer.raw())).filter(|folder| folder.is_dir());
    Ok(Some(MissingFolder { folder: config_dir.to_owned(), of_asterisk }))
}

/// Reads the folder in the answer of `core show settings`.
fn folder_in(answer: &str) -> Option<PathBuf> {
    let folder = answer.lines().find_map(|line| line.trim().strip_prefix(LABEL))?.trim();
    Path::new(folder).is_absolute().then(|| folder.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_asterisk_is_read() {
        let answer = "* Directories\n  Configuration file:          /srv/a/asterisk.conf\n  \
                      Configuration directory:     /srv/a\n";
        assert_eq!(folder_in(answer), Some("/srv/a".into()));
        assert_eq!(folder_in("No such command"), None);
    }
}
