//! Our own files in the state folder, for ourselves alone, and what a failure to read or write says.

mod folder;

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;

pub(crate) use folder::{FILE_MODE, FOLDER_MODE, Folder, Staged, Target};

use crate::model::{Document, Unreadable, document};

/// A file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// The path.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// How our temporary files begin.
pub(crate) const TEMP: &str = ".reconcile-";

/// Reads a file; a missing one is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FileError> {
    // A pipe in its place must not hold us.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    match File::options().read(true).custom_flags(flags).open(path).and_then(text_of) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Reads a document; a missing file holds none.
pub(crate) fn read_document<D: Document>(path: &Path) -> Result<Option<D>, FileError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let kind = |unreadable: &Unreadable| match unreadable {
        Unreadable::Later { .. } => io::ErrorKind::Unsupported,
        Unreadable::Damaged(_) => io::ErrorKind::InvalidData,
    };
    let document = document::read(&text).map_err(|error| io::Error::new(kind(&error), error));
    document.map(Some).map_err(failed("understand", path))
}

/// Keeps a document for ourselves, as [`keep`] does.
pub(crate) fn keep_document<D: Document>(path: &Path, document: &D) -> Result<(), FileError> {
    let text = document::write(document).map_err(|error| failed("write", path)(error.into()))?;
    keep(path, &text)
}

/// Reads all of an open file that is to be a regular one.
pub(crate) fn text_of(mut file: File) -> io::Result<String> {
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Keeps a file for ourselves: 0600, in a folder that is made where it is missing; called by who holds the
/// host's lock.
pub(crate) fn keep(path: &Path, text: &str) -> Result<(), FileError> {
    keep_sweeping(path, text, Duration::ZERO)
}

/// Keeps a file that other processes may be writing at this moment, each its own temporary one.
pub(crate) fn keep_shared(path: &Path, text: &str) -> Result<(), FileError> {
    keep_sweeping(path, text, Duration::from_mins(1))
}

fn keep_sweeping(path: &Path, text: &str, untouched: Duration) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_private(folder)?;
    sweep(folder, untouched)?;
    let mut temp = tempfile::Builder::new()
        .prefix(TEMP)
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(failed("write into", folder))?;
    temp.write_all(text.as_bytes()).map_err(failed("write", path))?;
    temp.as_file().sync_all().map_err(failed("sync", path))?;
    temp.persist(path).map_err(|error| failed("replace", path)(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

/// Makes a folder that only we can list and write, and those above it that are missing. The modes do not
/// depend on the umask: under 000 every user of the machine could replace the last good files.
///
/// Root's may be passed through, because the private database below the state folder runs as another user.
fn make_private(folder: &Path) -> Result<(), FileError> {
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Lets no other user list or write the state folder, or a folder of our notes in it: an earlier version made
/// them as wide as the umask was. The private database closes its own folders.
pub(crate) fn close_notes(state_dir: &Path) -> Result<(), FileError> {
    make_private(state_dir)?;
    close(state_dir, &fs::metadata(state_dir).map_err(failed("look at", state_dir))?)?;
    ["hosts", "serve", "calls"].iter().try_for_each(|name| close_below(&state_dir.join(name)))
}

/// Closes a folder of this user and all such folders below it; none that a link leads to. What another user has,
/// such as the one that `serve` runs as, is theirs to close.
fn close_below(folder: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() && is_own(&found) => close(folder, &found)?,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", folder)(error)),
    }
    match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().try_for_each(|entry| close_below(&entry.path())),
        // A server that ended meanwhile has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", folder)(error)),
    }
}

/// Lets no other user list or write a folder of ours.
fn close(folder: &Path, found: &fs::Metadata) -> Result<(), FileError> {
    const OTHERS: u32 = 0o066;
    if is_own(found) && found.mode() & OTHERS != 0 {
        let mode = fs::Permissions::from_mode(found.mode() & 0o7777 & !OTHERS);
        fs::set_permissions(folder, mode).map_err(failed("set the mode of", folder))?;
    }
    Ok(())
}

fn is_own(found: &fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

/// Removes temporary files of ours that were not touched for so long.
fn sweep(folder: &Path, untouched: Duration) -> Result<(), FileError> {
    let entries = fs::read_dir(folder).map_err(failed("read", folder))?;
    let ours = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(TEMP.as_bytes());
    let age = |entry: &fs::DirEntry| entry.metadata().and_then(|data| data.modified()).ok()?.elapsed().ok();
    let left = |entry: &fs::DirEntry| untouched.is_zero() || age(entry).is_some_and(|age| age >= untouched);
    let left = entries.flatten().filter(|entry| ours(entry) && left(entry));
    left.map(|entry| entry.path()).try_for_each(|path| forget(&path))
}

/// Removes a file of our own; one that is gone already is fine.
pub(crate) fn forget(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
