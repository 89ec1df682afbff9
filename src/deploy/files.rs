//! Writing files: temp file beside the target, fsync, rename, fsync of the folder. The one way
//! in which this program writes anything into Asterisk's configuration.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::NamedTempFile;

use crate::render::Present;

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

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// A generated file as it stands; none where there is none.
pub type InPlace = Option<Present>;

/// Reads a file; a missing one is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// A written file that waits beside its target for the rename.
#[derive(Debug)]
pub(super) struct Staged {
    temp: NamedTempFile,
    target: PathBuf,
}

/// Writes a file beside its target, with the owner and group of the folder and mode 0640, as deep
/// in the disk as fsync goes. Nothing is visible yet.
///
/// # Errors
/// When the folder cannot be made or written, or its group cannot be given: Asterisk would not be
/// able to read the file, and would silently forget all that is in it.
pub(super) fn stage(target: &Path, text: &str) -> Result<Staged, FileError> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    let mut temp = tempfile::Builder::new()
        .prefix(TEMP)
        .permissions(fs::Permissions::from_mode(0o640))
        .tempfile_in(folder)
        .map_err(failed("write into", folder))?;
    temp.write_all(text.as_bytes()).map_err(failed("write", temp.path()))?;
    admit(temp.as_file(), temp.path(), folder)?;
    temp.as_file().sync_all().map_err(failed("sync", temp.path()))?;
    Ok(Staged { temp, target: target.to_owned() })
}

/// Gives a file that stays as it is back to whom it would be written for: Asterisk silently forgets
/// what it may not read. A link in its place is left to whoever made it.
pub(super) fn admit_in_place(target: &Path) -> Result<(), FileError> {
    if target.is_symlink() {
        return Ok(());
    }
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(nofollow).open(target).map_err(failed("open", target))?;
    admit(&file, target, target.parent().unwrap_or(Path::new("/")))
}

/// Gives an open file the owner and group of its folder, and the mode of a generated file.
fn admit(file: &File, path: &Path, folder: &Path) -> Result<(), FileError> {
    let owner = fs::metadata(folder).map_err(failed("look at", folder))?;
    let own = file.metadata().map_err(failed("look at", path))?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        give(file, path, &own, &owner)?;
    }
    if own.mode() & 0o7777 != 0o640 {
        file.set_permissions(fs::Permissions::from_mode(0o640)).map_err(failed("set the mode of", path))?;
    }
    Ok(())
}

/// How our temporary files begin.
const TEMP: &str = ".reconcile-";

/// Removes what a killed run left beside a target; called by who holds the host's lock.
pub(super) fn sweep_beside(target: &Path) -> Result<(), FileError> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    if folder.is_dir() { sweep(folder, Duration::ZERO) } else { Ok(()) }
}

/// Removes temporary files of ours, where nobody has touched them for so long.
fn sweep(folder: &Path, untouched: Duration) -> Result<(), FileError> {
    let entries = fs::read_dir(folder).map_err(failed("read", folder))?;
    let ours = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(TEMP.as_bytes());
    let age = |entry: &fs::DirEntry| entry.metadata().and_then(|data| data.modified()).ok()?.elapsed().ok();
    let left = |entry: &fs::DirEntry| untouched.is_zero() || age(entry).is_some_and(|age| age >= untouched);
    let left = entries.flatten().filter(|entry| ours(entry) && left(entry));
    left.map(|entry| entry.path()).try_for_each(|path| forget(&path))
}

fn give(file: &File, path: &Path, own: &fs::Metadata, owner: &fs::Metadata) -> Result<(), FileError> {
    // Only root can give a file away; its group is what Asterisk needs.
    let uid = rustix::process::geteuid().is_root().then_some(owner.uid());
    if own.gid() != owner.gid() || uid.is_some() {
        fchown(file, uid, Some(owner.gid())).map_err(failed("give the folder's group to a file in", path))?;
    }
    Ok(())
}

/// Makes a folder, and those above it, each with the owner and group of the one it lies in.
fn make_folder(folder: &Path) -> Result<(), FileError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("/"));
    make_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", folder)(error)),
        _ => {}
    }
    let owner = fs::metadata(above).map_err(failed("look at", above))?;
    let own = fs::metadata(folder).map_err(failed("look at", folder))?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        let opened = File::open(folder).map_err(failed("open", folder))?;
        give(&opened, folder, &own, &owner)?;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o750)).map_err(failed("set the mode of", folder))?;
    sync_folder(above)
}

/// Keeps what stands at a target within reach: a second name for it costs no room on the disk.
///
/// # Errors
/// When there is nothing, or the file system knows no second names.
pub(super) fn link(target: &Path) -> Result<Staged, FileError> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    let temp = tempfile::Builder::new()
        .prefix(TEMP)
        .make_in(folder, |path| fs::hard_link(target, path).and_then(|()| File::open(path)))
        .map_err(failed("link", target))?;
    Ok(Staged { temp, target: target.to_owned() })
}

impl Staged {
    /// Puts the file into its place, in one step.
    pub(super) fn commit(self) -> Result<(), FileError> {
        let target = self.target;
        self.temp.persist(&target).map_err(|error| failed("replace", &target)(error.error))?;
        target.parent().map_or(Ok(()), sync_folder)
    }
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

/// Keeps a file for ourselves: 0600, in a folder that is made where it is missing; called by who holds the
/// host's lock.
pub(super) fn keep(path: &Path, text: &str) -> Result<(), FileError> {
    keep_sweeping(path, text, Duration::ZERO)
}

/// Keeps a file that other processes may be writing at this moment, each its own temporary one.
pub(crate) fn keep_shared(path: &Path, text: &str) -> Result<(), FileError> {
    keep_sweeping(path, text, Duration::from_mins(1))
}

fn keep_sweeping(path: &Path, text: &str, untouched: Duration) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    sweep(folder, untouched)?;
    let mut temp = tempfile::Builder::new().prefix(TEMP).tempfile_in(folder).map_err(failed("write into", folder))?;
    temp.write_all(text.as_bytes()).map_err(failed("write", path))?;
    temp.as_file().sync_all().map_err(failed("sync", path))?;
    temp.persist(path).map_err(|error| failed("replace", path)(error.error))?;
    sync_folder(folder)
}

/// Removes a file of our own; one that is gone already is fine.
pub(super) fn forget(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
