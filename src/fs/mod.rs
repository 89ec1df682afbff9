//! Reading and writing files, and what a failure says.
//!
//! The one way in which this program puts a file in place: into Asterisk's configuration, and into its own state
//! folder. Not here: the spool, which is appended to, and the logs of the private database.

mod folder;
mod private;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;

pub(crate) use folder::{FILE_MODE, FOLDER_MODE, Folder, Rights, Staged, Target};
pub(crate) use private::close_notes;
use private::make_private;

use crate::{
    accounts::way_in,
    model::{Document, Hints, Unreadable, document},
};

/// A file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub(crate) struct FileError {
    /// What was tried.
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    /// Why it failed.
    pub(crate) source: io::Error,
}

impl Hints for FileError {
    fn hints(&self) -> Vec<String> {
        use io::ErrorKind;

        let unreadable = self.source.get_ref().and_then(|source| source.downcast_ref::<Unreadable>());
        if let Some(reader) = unreadable.and_then(Unreadable::reader) {
            return vec![format!("use {reader}; the file stays as it is")];
        }
        let hint = match self.source.kind() {
            ErrorKind::PermissionDenied if ["read", "open", "look at"].contains(&self.action) => {
                return vec![way_in(&self.path)];
            }
            ErrorKind::PermissionDenied => {
                "run as root, or as a user who may write there and is in that folder's group"
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                "another program wrote there: move it away, then run the same command again"
            }
            ErrorKind::NotADirectory => {
                "replace it by a folder; only the configuration folder itself may be reached over links"
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there, then run the same command again",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
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
    make_private(folder_of(path))?;
    let (folder, name) = place_of(path)?;
    folder.sweep(untouched)?;
    folder.stage(name, text.as_bytes(), Rights::Private)?.commit()
}

/// Keeps a file for ourselves unless one is there already, which another process may have kept meanwhile.
pub(crate) fn keep_new(path: &Path, text: &str) -> Result<(), FileError> {
    let (folder, name) = place_of(path)?;
    folder.stage(name, text.as_bytes(), Rights::Private)?.commit_new()
}

/// Writes new files for the user who asked for them, all or none; one that exists already is left alone. Of the mode, the
/// umask takes what it does of any file.
pub(crate) fn create_all(files: &[(&Path, &str, u32)]) -> Result<(), FileError> {
    for (index, (path, text, mode)) in files.iter().enumerate() {
        let written = create(path, text, *mode);
        if written.is_err() {
            // What failed itself is removed there.
            for (path, ..) in &files[..index] {
                forget(path)?;
            }
            return written;
        }
    }
    Ok(())
}

pub(crate) fn create(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let mut file =
        File::options().write(true).create_new(true).mode(mode).open(path).map_err(failed("create", path))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a file would be taken for a whole one; that it stays is said by the error.
        let _ = fs::remove_file(path);
        failed("write", path)(error)
    })
}

/// Writes a file for the user who asked for it, in place of an earlier one: 0600.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    let path = &std::path::absolute(path).map_err(failed("write", path))?;
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        // Such as `/dev/stdout`: a file in its place would break what others do.
        return Err(failed("write", path)(io::Error::other("it is no regular file")));
    }
    let (folder, name) = place_of(path)?;
    folder.sweep(Duration::from_mins(1))?;
    folder.stage(name, text.as_bytes(), Rights::Private)?.commit()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Opens the folder of a file; returns it with the file's name in it.
fn place_of(path: &Path) -> Result<(Folder, &str), FileError> {
    let missing = || failed("write", path)(io::ErrorKind::NotFound.into());
    let name = path.file_name().and_then(OsStr::to_str).ok_or_else(missing)?;
    Ok((Folder::top(folder_of(path))?.ok_or_else(missing)?, name))
}

/// Renames a file or a folder, and syncs its new name.
pub(crate) fn rename_synced(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_names(folder_of(to))
}

pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file of our own; one that is gone already is fine.
pub(crate) fn forget(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_kept_file_is_replaced_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts/pbx/note");
        fs::create_dir_all(folder.path().join("hosts/pbx")).unwrap();
        fs::write(folder.path().join("hosts/pbx").join(format!("{TEMP}killed")), "half").unwrap();
        for text in ["one", "another"] {
            keep(&path, text).unwrap();
            assert_eq!(read(&path).unwrap().as_deref(), Some(text));
        }
        assert_eq!(names(path.parent().unwrap()), ["note"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn of_many_new_files_at_once_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let seen: Vec<String> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|number| {
                    let path = &path;
                    scope.spawn(move || {
                        keep_new(path, &number.to_string()).unwrap();
                        read(path).unwrap().unwrap()
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|text| *text == seen[0]), "{seen:?}");
        assert_eq!(names(folder.path()), ["key"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}
