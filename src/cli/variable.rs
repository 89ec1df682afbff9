//! Environment variables that no flag stands for, and files in their place.

use std::path::PathBuf;

use anyhow::{Context, Result};
use zeroize::Zeroizing;

use crate::input;

/// The largest file in place of a variable, in bytes.
const MAX_VARIABLE_FILE: u64 = 64 * 1024;

/// Reads a secret from the variable `name`, or from the file that the variable `name_FILE` names. `what` is what it holds.
///
/// # Errors
/// If that file cannot be read.
pub(crate) fn text_or_file(name: &str, what: &str) -> Result<Option<Zeroizing<String>>> {
    if let Some(text) = variable(name) {
        return Ok(Some(Zeroizing::new(text)));
    }
    let Some(path) = variable_path(&format!("{name}_FILE")) else { return Ok(None) };
    let shown = || format!("cannot read {what} in `{}`", path.display());
    let file = std::fs::File::open(&path).with_context(shown)?;
    let bytes = Zeroizing::new(input::take(file, MAX_VARIABLE_FILE).with_context(shown)?);
    Ok(Some(Zeroizing::new(std::str::from_utf8(&bytes).with_context(shown)?.to_owned())))
}

/// Reads a variable; an empty one counts as absent.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

pub(crate) fn variable_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}
