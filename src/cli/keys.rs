//! The keys that seal the directory's secrets: those that are given, or the private database's own.

use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::variable::text_or_file;
use crate::{
    directory::{Directory, seal::Keyring},
    error::Hinted,
    fs::{keep, keep_new},
    model::hex,
};

/// What the keys are for, if no environment variable gives one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Home<'a> {
    /// A database by URL, which has no key of its own.
    Url,
    /// The private database, whose key is in this file.
    Private(&'a Path),
}

/// Finds the keys of a directory. The private database's key is made if nothing is sealed yet: a new key beside secrets
/// that were sealed with a lost one would only hide the loss.
///
/// # Errors
/// Names the keys that sealed what is recorded. A new key is only suggested for a directory without secrets, and
/// nothing is suggested without a directory to ask.
pub(crate) fn find(home: Home<'_>, mut directory: Option<&mut Directory>) -> Result<Keyring> {
    let found = match (given(), home) {
        (Ok(None), Home::Private(path)) => {
            let empty = directory.as_deref_mut().is_some_and(|directory| !holds_secrets(Some(directory)));
            own(path, empty)
        }
        (Ok(None), Home::Url) => Err(anyhow!("DATABASE_URL is set, but no key to seal the SIP secrets is given")),
        (Ok(Some(keys)), _) => Ok(keys),
        (Err(error), _) => Err(error),
    };
    found.map_err(|error| Hinted::new(format!("{error:#}"), hint(directory, home)).into())
}

/// Says why an apply could not open or seal the secrets of a directory. Makes no key.
pub(crate) fn lack(home: Home<'_>, mut directory: Option<&mut Directory>) -> Option<String> {
    let keys = match (given(), home) {
        (Ok(None), Home::Private(path)) if !path.exists() && !holds_secrets(directory.as_deref_mut()) => return None,
        (Ok(None), Home::Private(path)) => own(path, false),
        (Ok(None), Home::Url) => Err(anyhow!("no key is given")),
        (given, _) => given.and_then(|keys| keys.context("no key is given")),
    };
    match keys {
        Err(error) => Some(format!("{error:#}, and an apply needs one; {}", hint(directory, home))),
        Ok(keys) => {
            let unknown: Vec<_> = ids(directory)?.into_iter().filter(|id| !keys.knows(id)).collect();
            (!unknown.is_empty()).then(|| format!("{}, not among those given", sealed_with(&unknown)))
        }
    }
}

fn holds_secrets(directory: Option<&mut Directory>) -> bool {
    directory.is_some_and(|directory| directory.holds_secrets().unwrap_or(true))
}

/// Lists the keys that sealed what is recorded; `None` if the directory cannot be asked, as by a role that only reads.
fn ids(directory: Option<&mut Directory>) -> Option<Vec<Vec<u8>>> {
    directory.and_then(|directory| directory.key_ids().ok())
}

fn hint(directory: Option<&mut Directory>, home: Home<'_>) -> String {
    let where_to = match home {
        Home::Url => "RECONCILE_SECRET_KEY or RECONCILE_SECRET_KEY_FILE".to_owned(),
        Home::Private(path) => format!("RECONCILE_SECRET_KEY, or restore `{}`", path.display()),
    };
    match ids(directory) {
        Some(ids) if ids.is_empty() => {
            "make one and keep it safe: export RECONCILE_SECRET_KEY=$(openssl rand -base64 32)".to_owned()
        }
        Some(ids) => format!("{}: give it in {where_to}", sealed_with(&ids)),
        None => format!("give the key of this database in {where_to}"),
    }
}

/// Names the keys that sealed what is recorded.
fn sealed_with(ids: &[Vec<u8>]) -> String {
    let names: Vec<String> = ids.iter().map(|id| format!("`{}`", hex(id))).collect();
    format!("the secrets are sealed with the key {}", names.join(" and "))
}

/// Reads the keys in `RECONCILE_SECRET_KEY`, or in the file that `RECONCILE_SECRET_KEY_FILE` names.
fn given() -> Result<Option<Keyring>> {
    let text = text_or_file("RECONCILE_SECRET_KEY", "the key")?;
    Ok(text.map(|text| Keyring::parse(&text)).transpose()?)
}

/// Writes the keys that are given into the file of the private database's own, in which nothing is sealed yet.
///
/// # Errors
/// If no usable key is given, or the file cannot be written.
pub(crate) fn keep_given(path: &Path) -> Result<()> {
    let Some(text) = text_or_file("RECONCILE_SECRET_KEY", "the key")? else { return Ok(()) };
    Keyring::parse(&text)?;
    keep(path, &text).with_context(|| format!("the key of the private database in `{}`", path.display()))
}

/// Reads the key of the private database; makes it on first use.
fn own(path: &Path, make: bool) -> Result<Keyring> {
    use base64::{Engine, prelude::BASE64_STANDARD};

    let shown = || format!("the key of the private database in `{}`", path.display());
    match std::fs::read_to_string(path).map(zeroize::Zeroizing::new) {
        Ok(text) => return Keyring::parse(&text).with_context(shown),
        Err(error) if make && error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(shown),
    }
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).context("the operating system returned no random bytes")?;
    let text = zeroize::Zeroizing::new(format!("{}\n", BASE64_STANDARD.encode(*bytes)));
    // Two first runs at once: the key that is there wins.
    keep_new(path, &text).with_context(shown)?;
    own(path, false)
}
