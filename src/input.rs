//! Reads files that others may have put there, such as the author of a pull request.
//!
//! A checkout may hold a link to the key that seals secrets, or a pipe that never ends. So a file is opened
//! below a folder: no link leads out of it, without a race between looking and opening. What is opened must be a
//! regular file, and is read up to a limit.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::{Component, Path, PathBuf},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, File, OpenOptions, OpenOptionsExt},
};

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A link on the way leads out of the folder.
    LeadsOut,
    /// It is a folder, a pipe, a socket or a device.
    NotAFile,
    /// It holds more bytes than this.
    TooLarge(u64),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadsOut => f.write_str("it is, or is below, a link that leads out of its folder"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::TooLarge(most) => write!(f, "it is larger than {most} bytes"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        // The library's own refusal is no error of the system, and has no number.
        if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
            return Self::LeadsOut;
        }
        Self::Io(error)
    }
}

/// An open folder, out of which nothing leads.
pub(crate) struct Folder(Dir);

impl Folder {
    /// Opens the folder that the user named, or `None` if it is something else.
    ///
    /// A path relative to the working directory stays below it: in a checkout, each part of it may be a link
    /// that was committed. Any other path is the user's own, links included.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Refused> {
        let opened =
            if is_below_here(path) { here()?.open_dir(path) } else { Dir::open_ambient_dir(path, ambient_authority()) };
        match opened {
            Ok(dir) => Ok(Some(Self(dir))),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a folder that only the administrator names, links included.
    pub(crate) fn open_any(path: &Path) -> io::Result<Self> {
        Dir::open_ambient_dir(path, ambient_authority()).map(Self)
    }

    /// Opens the folder that the file at a path is in; answers with the file's name, too.
    fn of(path: &Path) -> Result<(Self, OsString), Refused> {
        let name = path.file_name().ok_or(Refused::NotAFile)?.to_owned();
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        match Self::open(parent)? {
            Some(folder) => Ok((folder, name)),
            None => Err(Refused::Io(io::ErrorKind::NotADirectory.into())),
        }
    }

    /// Lists the names below a folder in it, each with whether it is a folder itself, links not followed.
    pub(crate) fn entries(&self, below: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        let below = if below == Path::new("") { Path::new(".") } else { below };
        let entries = self.0.read_dir(below)?;
        entries
            .map(|entry| {
                let entry = entry?;
                let is_folder = entry.file_type()?.is_dir();
                Ok((entry.file_name().into(), is_folder))
            })
            .collect()
    }

    /// Reads a regular file in the folder, of at most so many bytes.
    pub(crate) fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, Refused> {
        // A pipe without a writer would keep a plain open waiting.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        bounded(self.0.open_with(path, &options)?, most)
    }
}

/// Reads the regular file at a path, of at most so many bytes; no link leads out of its folder.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Refused> {
    let (folder, name) = Folder::of(path)?;
    folder.read(Path::new(&name), most)
}

/// Reads the regular file at a path of the administrator's own, wherever links lead, of at most so many bytes.
pub(crate) fn read_anywhere(path: &Path, most: u64) -> Result<Vec<u8>, Refused> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    bounded(File::open_ambient_with(path, &options, ambient_authority())?, most)
}

/// Reads a file that the user named, or a pipe such as that of `<(..)`, of at most so many bytes. A path relative to the
/// working directory is that of a regular file, and no link leads out of its folder: in a checkout, it may be a link that was
/// committed.
pub(crate) fn read_file_or_pipe(path: &Path, most: u64) -> Result<Vec<u8>, Refused> {
    if is_below_here(path) {
        return read(path, most);
    }
    let file = std::fs::File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() || kind.is_block_device() || kind.is_char_device() {
        return Err(Refused::NotAFile);
    }
    take(file, most)
}

fn bounded(file: File, most: u64) -> Result<Vec<u8>, Refused> {
    if !file.metadata()?.is_file() {
        return Err(Refused::NotAFile);
    }
    take(file, most)
}

/// Reads a stream to its end, of at most so many bytes.
pub(crate) fn take(stream: impl Read, most: u64) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    stream.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Refused::Io)?;
    // It is kept for as long as the program runs.
    bytes.shrink_to_fit();
    if bytes.len() as u64 > most { Err(Refused::TooLarge(most)) } else { Ok(bytes) }
}

fn is_below_here(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn here() -> Result<Dir, Refused> {
    Dir::open_ambient_dir(".", ambient_authority()).map_err(Refused::Io)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn nothing_is_read_through_a_link_that_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("key"));
        fs::create_dir_all(inside.join("..data")).unwrap();
        fs::write(&outside, "canary").unwrap();
        fs::write(inside.join("..data/a.yaml"), "x: 1").unwrap();
        symlink("..data/a.yaml", inside.join("a.yaml")).unwrap();
        symlink("../key", inside.join("b.yaml")).unwrap();
        symlink(&outside, inside.join("c.yaml")).unwrap();
        symlink("/", inside.join("root")).unwrap();
        symlink("d.yaml", inside.join("d.yaml")).unwrap();
        assert_eq!(read(&inside.join("a.yaml"), 10).unwrap(), b"x: 1", "a link that stays inside");
        for name in ["b.yaml", "c.yaml", "../in/b.yaml"] {
            let refused = read(&inside.join(name), 10);
            assert!(matches!(refused, Err(Refused::LeadsOut)), "{name}: {refused:?}");
        }
        let whole = Folder::open(&inside).unwrap().unwrap();
        assert!(matches!(whole.read(Path::new("root/etc/passwd"), 10), Err(Refused::LeadsOut)));
        assert!(matches!(whole.read(Path::new("d.yaml"), 10), Err(Refused::Io(_))), "a loop");
    }

    #[test]
    fn only_regular_files_are_read_and_only_so_far() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(matches!(read(&pipe, 10), Err(Refused::NotAFile)));
        assert!(matches!(read(folder.path(), 10), Err(Refused::NotAFile)));
        assert!(matches!(read(Path::new("/dev/zero"), 10), Err(Refused::NotAFile)));
        let file = folder.path().join("file");
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10).unwrap().len(), 10);
        assert!(matches!(read(&file, 9), Err(Refused::TooLarge(9))));
        assert!(matches!(read(&folder.path().join("none"), 9), Err(Refused::Io(_))));
    }
}
