//! Files written whole or not at all: temporary file beside the target, fsync, rename, fsync of the folder.
//!
//! A folder is opened step by step from the configuration folder, and everything is done in the open
//! folder: root must not be led elsewhere by a link that a user with write access puts in the way.

use std::{
    ffi::CStr,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with,
        statat, unlinkat,
    },
    io::Errno,
};

use super::{FileError, TEMP, failed, text_of};
use crate::model::hex;

/// The mode of a generated file: Asterisk reads it by its group.
pub(crate) const FILE_MODE: u32 = 0o640;

/// The mode of a folder that we make for generated files.
pub(crate) const FOLDER_MODE: u32 = 0o750;

/// A generated file, by the configuration folder and its path below it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    config_dir: &'a Path,
    file: &'a str,
}

impl<'a> Target<'a> {
    /// Takes a path such as `pjsip.d/acme/generated_endpoints.conf`.
    pub(crate) fn new(config_dir: &'a Path, file: &'a str) -> Self {
        Self { config_dir, file }
    }

    /// Returns the whole path, for messages.
    fn path(self) -> PathBuf {
        self.config_dir.join(self.file)
    }

    /// Returns the folder below the configuration folder, and the file's name in it.
    fn parts(self) -> (&'a str, &'a str) {
        self.file.rsplit_once('/').unwrap_or(("", self.file))
    }

    /// Reads the file. One that is missing is `None`, and so is a link in its place: the next apply
    /// replaces it by a file.
    pub(crate) fn read(self) -> Result<Option<String>, FileError> {
        let (below, name) = self.parts();
        let Some(folder) = Folder::open(self.config_dir, below)? else { return Ok(None) };
        // A pipe in its place must not hold us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let path = self.path();
        match openat(&folder.file, name, flags, Mode::empty()) {
            Ok(file) => text_of(File::from(file)).map(Some).map_err(failed("read", &path)),
            Err(Errno::NOENT | Errno::LOOP) => Ok(None),
            Err(error) => Err(failed("read", &path)(error.into())),
        }
    }

    /// Writes the file beside its place, with the owner and group of the folder and mode 0640, as deep
    /// in the disk as fsync goes. Nothing is visible yet.
    ///
    /// # Errors
    /// If the folder cannot be made or written, or its group cannot be given: Asterisk would not be able
    /// to read the file, and would silently forget all that is in it.
    pub(crate) fn stage(self, text: &str) -> Result<Staged, FileError> {
        let (below, name) = self.parts();
        Folder::make(self.config_dir, below)?.stage(name, text.as_bytes(), Rights::OfFolder)
    }

    /// Keeps what stands there within reach: a second name for it costs no room on the disk.
    ///
    /// # Errors
    /// If there is nothing, or the file system knows no second names.
    pub(crate) fn link(self) -> Result<Staged, FileError> {
        let (below, name) = self.parts();
        let folder = Folder::make(self.config_dir, below)?;
        let temp = temp_name()?;
        linkat(&folder.file, name, &folder.file, &temp, AtFlags::empty())
            .map_err(|error| failed("link", &self.path())(error.into()))?;
        Ok(Staged { folder, temp: Some(temp), name: name.to_owned() })
    }

    /// Gives a file that stays as it is back to whom it would be written for: Asterisk silently forgets
    /// what it may not read.
    pub(crate) fn admit_in_place(self) -> Result<(), FileError> {
        let (below, name) = self.parts();
        let path = self.path();
        let folder = Folder::make(self.config_dir, below)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            openat(&folder.file, name, flags, Mode::empty()).map_err(|error| failed("open", &path)(error.into()))?;
        admit(&File::from(file), &path, &folder)
    }

    /// Removes what a killed run left beside it; called by who holds the host's lock.
    pub(crate) fn sweep_beside(self) -> Result<(), FileError> {
        match Folder::open(self.config_dir, self.parts().0)? {
            Some(folder) => folder.sweep(Duration::ZERO),
            None => Ok(()),
        }
    }
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The user that this process runs as: mode 0600.
    Private,
    /// The owner and the group of the folder: mode 0640.
    OfFolder,
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    file: File,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder below the configuration folder; `None` if it is missing.
    ///
    /// The configuration folder itself may be reached over links, as the operator likes. Those below
    /// it may not be links.
    pub(crate) fn open(config_dir: &Path, below: &str) -> Result<Option<Self>, FileError> {
        let Some(mut folder) = Self::top(config_dir)? else { return Ok(None) };
        for name in below.split('/').filter(|name| !name.is_empty()) {
            let Some(next) = folder.enter(name)? else { return Ok(None) };
            folder = next;
        }
        Ok(Some(folder))
    }

    /// Opens a folder below the configuration folder, and makes those that are missing, each with the
    /// owner and group of the one above it.
    pub(crate) fn make(config_dir: &Path, below: &str) -> Result<Self, FileError> {
        let missing = || failed("open", config_dir)(io::ErrorKind::NotFound.into());
        let mut folder = Self::top(config_dir)?.ok_or_else(missing)?;
        for name in below.split('/').filter(|name| !name.is_empty()) {
            folder = match folder.enter(name)? {
                Some(next) => next,
                None => folder.make_in(name)?,
            };
        }
        Ok(folder)
    }

    /// Opens a folder, which may be reached over links; `None` if it is missing.
    pub(crate) fn top(config_dir: &Path) -> Result<Option<Self>, FileError> {
        match openat(CWD, config_dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(Some(Self { file: file.into(), path: config_dir.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed("open", config_dir)(error.into())),
        }
    }

    fn enter(&self, name: &str) -> Result<Option<Self>, FileError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.file, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(Self { file: file.into(), path })),
            Err(Errno::NOENT) => Ok(None),
            Err(_) if self.is_link(name) => {
                let link = "it is a symbolic link, and generated files are only written into real folders";
                Err(failed("open", &path)(io::Error::new(io::ErrorKind::NotADirectory, link)))
            }
            Err(error) => Err(failed("open", &path)(error.into())),
        }
    }

    fn is_link(&self, name: &str) -> bool {
        let found = statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
    }

    fn make_in(&self, name: &str) -> Result<Self, FileError> {
        let path = self.path.join(name);
        match mkdirat(&self.file, name, Mode::from_raw_mode(FOLDER_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("create", &path)(error.into())),
        }
        let gone = || failed("create", &path)(io::ErrorKind::NotFound.into());
        let made = self.enter(name)?.ok_or_else(gone)?;
        let owner = self.metadata()?;
        let own = made.metadata()?;
        if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
            give(&made.file, &path, &own, &owner)?;
        }
        made.file.set_permissions(fs::Permissions::from_mode(FOLDER_MODE)).map_err(failed("set the mode of", &path))?;
        self.sync()?;
        Ok(made)
    }

    fn metadata(&self) -> Result<fs::Metadata, FileError> {
        self.file.metadata().map_err(failed("look at", &self.path))
    }

    fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(failed("sync", &self.path))
    }

    /// Writes a file beside its place, as deep in the disk as fsync goes. Nothing is visible yet.
    ///
    /// # Errors
    /// If it cannot be written, or not be given to the folder's group.
    pub(crate) fn stage(self, name: &str, bytes: &[u8], rights: Rights) -> Result<Staged, FileError> {
        let (temp, path) = (temp_name()?, self.path.join(name));
        let mode = if rights == Rights::Private { 0o600 } else { FILE_MODE };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.file, &temp, flags, Mode::from_raw_mode(mode))
            .map_err(|error| failed("write into", &self.path)(error.into()))?;
        let staged = Staged { folder: self, temp: Some(temp), name: name.to_owned() };
        let mut file = File::from(file);
        file.write_all(bytes).map_err(failed("write", &path))?;
        if rights == Rights::OfFolder {
            admit(&file, &path, &staged.folder)?;
        }
        file.sync_all().map_err(failed("sync", &path))?;
        Ok(staged)
    }

    /// Removes temporary files of ours that were not touched for so long.
    pub(crate) fn sweep(&self, untouched: Duration) -> Result<(), FileError> {
        let read = |error: Errno| failed("read", &self.path)(error.into());
        for entry in Dir::read_from(&self.file).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name();
            if !name.to_bytes().starts_with(TEMP.as_bytes()) || !self.is_left(name, untouched) {
                continue;
            }
            match unlinkat(&self.file, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => {
                    let path = self.path.join(name.to_string_lossy().as_ref());
                    return Err(failed("remove", &path)(error.into()));
                }
            }
        }
        Ok(())
    }

    /// Tells whether no process touched a file for so long.
    fn is_left(&self, name: &CStr, untouched: Duration) -> bool {
        if untouched.is_zero() {
            return true;
        }
        let Ok(found) = statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let modified = u64::try_from(found.st_mtime).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age >= untouched))
    }

    /// Opens the file in this folder that is locked, for who may write the folder and no one else: who
    /// can open a file can keep it locked for ever.
    pub(crate) fn open_lock(&self, name: &str) -> Result<File, FileError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = |flags: OFlags| openat(&self.file, name, flags, Mode::from_raw_mode(0o600));
        let opened = match open(flags) {
            Err(Errno::NOENT) => open(flags | OFlags::CREATE),
            opened => opened,
        };
        let file = File::from(opened.map_err(|error| failed("open", &path)(error.into()))?);
        let (own, folder) = (file.metadata().map_err(failed("look at", &path))?, self.metadata()?);
        if !own.is_file() {
            return Err(failed("lock", &path)(io::Error::other("it is no regular file")));
        }
        // Root made it for the user who owns the folder, too.
        let root = rustix::process::geteuid().is_root();
        if root && own.uid() == 0 && (own.uid(), own.gid()) != (folder.uid(), folder.gid()) {
            give(&file, &path, &own, &folder)?;
        }
        let mode = if folder.mode() & 0o020 == 0 { 0o600 } else { 0o660 };
        let mine = root || own.uid() == rustix::process::geteuid().as_raw();
        if mine && own.mode() & 0o7777 != mode {
            if mode == 0o660 && own.gid() != folder.gid() {
                give(&file, &path, &own, &folder)?;
            }
            file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", &path))?;
        }
        if !mine && own.mode() & 0o007 != 0 {
            return Err(failed("lock", &path)(io::Error::other("all users of this machine can open it")));
        }
        Ok(file)
    }

    /// Tells whether a file that was opened in this folder still bears its name there.
    pub(crate) fn still_holds(&self, name: &str, file: &File) -> Result<bool, FileError> {
        let own = file.metadata().map_err(failed("look at", &self.path.join(name)))?;
        let found = statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        Ok(found.is_ok_and(|found| found.st_ino == own.ino() && found.st_dev == own.dev()))
    }
}

/// A written file that waits beside its target for the rename.
#[derive(Debug)]
pub(crate) struct Staged {
    folder: Folder,
    /// Its name until then; `None` once it is in place.
    temp: Option<String>,
    name: String,
}

impl Staged {
    /// Puts the file into its place, in one step.
    pub(crate) fn commit(mut self) -> Result<(), FileError> {
        if let Some(temp) = &self.temp {
            renameat(&self.folder.file, temp, &self.folder.file, &self.name)
                .map_err(|error| failed("replace", &self.folder.path.join(&self.name))(error.into()))?;
            self.temp = None;
        }
        self.folder.sync()
    }

    /// Puts the file into its place, in one step, unless another file is there already.
    pub(crate) fn commit_new(mut self) -> Result<(), FileError> {
        let Some(temp) = self.temp.take() else { return Ok(()) };
        let (folder, name) = (&self.folder.file, &self.name);
        let placed = match renameat_with(folder, &temp, folder, name, RenameFlags::NOREPLACE) {
            // Some file systems only know links.
            Err(Errno::INVAL | Errno::NOSYS) => linkat(folder, &temp, folder, name, AtFlags::empty()),
            renamed => renamed,
        };
        // Gone already if it was renamed.
        let _ = unlinkat(folder, &temp, AtFlags::empty());
        match placed {
            Ok(()) | Err(Errno::EXIST) => self.folder.sync(),
            Err(error) => Err(failed("create", &self.folder.path.join(name))(error.into())),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp
            && let Err(error) = unlinkat(&self.folder.file, temp, AtFlags::empty())
        {
            // The next apply sweeps it away.
            tracing::debug!(%error, temp, "cannot remove a temporary file");
        }
    }
}

fn temp_name() -> Result<String, FileError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| failed("name", Path::new(TEMP))(io::Error::other(error.to_string())))?;
    Ok(format!("{TEMP}{}", hex(&random)))
}

/// Gives an open file the owner and group of its folder, and the mode of a generated file.
fn admit(file: &File, path: &Path, folder: &Folder) -> Result<(), FileError> {
    let owner = folder.metadata()?;
    let own = file.metadata().map_err(failed("look at", path))?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        give(file, path, &own, &owner)?;
    }
    if own.mode() & 0o7777 != FILE_MODE {
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE)).map_err(failed("set the mode of", path))?;
    }
    Ok(())
}

fn give(file: &File, path: &Path, own: &fs::Metadata, owner: &fs::Metadata) -> Result<(), FileError> {
    // Only root can give a file away; its group is what Asterisk needs.
    let uid = rustix::process::geteuid().is_root().then_some(owner.uid());
    if own.gid() != owner.gid() || uid.is_some() {
        fchown(file, uid, Some(owner.gid())).map_err(failed("give the folder's group to a file in", path))?;
    }
    Ok(())
}
