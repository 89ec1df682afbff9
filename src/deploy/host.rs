//! One Asterisk host: its configuration folder, its lock, our own notes about it, and its Asterisk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    InPlace, Running,
    asterisk::{Asterisk, AsteriskError},
    config_folder::{MissingFolder, missing_folder},
    readback,
};
use crate::{
    asterisk::{ConfigFile, PerFile},
    fs::{FileError, Folder, Target, close_notes, failed, forget, keep, read},
    model::{Tenant, hex},
    render::{Present, section_names},
};

/// The folder that holds the lock: the user that runs an apply must be able to write there.
const LOCK_FOLDER: &str = ConfigFile::Endpoints.facts().folder;

/// The file that is locked. It is found from the configuration folder alone, so that two state folders
/// make no difference. Asterisk's wildcards do not match hidden files.
const LOCK: &str = ".reconcile.lock";

/// The note that names who has the lock.
const HOLDER: &str = "lock_holder";

/// Where rendered becomes running.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The name it is audited under.
    pub(crate) name: String,
    /// Asterisk's configuration folder.
    pub(crate) config_dir: PathBuf,
    /// Where we keep the last good files and pending work.
    pub(crate) state_dir: PathBuf,
    /// How Asterisk is asked; none leaves it alone.
    pub(crate) asterisk: Option<Asterisk>,
}

impl Host {
    /// Finds out whether Asterisk's configuration folder is missing.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(crate) fn missing_folder(&self) -> Result<Option<MissingFolder>, FileError> {
        missing_folder(&self.config_dir, self.asterisk.as_ref())
    }
}

/// The lock that one apply holds on a host; ends with the process.
#[derive(Debug)]
pub(super) struct HostLock {
    _file: fs::File,
    note: PathBuf,
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // A note that stays is read only while another process has the lock, which writes its own.
        if let Err(error) = forget(&self.note) {
            tracing::debug!(%error, "the note of the lock stays");
        }
    }
}

impl Host {
    /// Reads the tenant's files in place.
    ///
    /// # Errors
    /// When one is there but cannot be read.
    pub(super) fn in_place(&self, tenant: &Tenant) -> Result<InPlace, FileError> {
        PerFile::try_from_fn(|file| Ok(self.target(&file.path(tenant)).read()?.map(Present::new)))
    }

    /// Asks an Asterisk that has finished starting whether it runs the files in place.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) fn marks_of(asterisk: &Asterisk, tenant: &Tenant, in_place: &InPlace) -> Result<Running, AsteriskError> {
        let marks = in_place.each_ref().map(|file| file.as_ref().map_or("", |file| file.parsed.mark.as_str()));
        Ok(Running { live: readback::live(asterisk, tenant, &marks)? })
    }

    /// Reads other tenants' endpoint files on this host, by the name of their folder.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn files_of_others(&self, tenant: &Tenant) -> Result<Vec<(String, String)>, FileError> {
        self.read_of_others(tenant, ConfigFile::Endpoints)
    }

    /// Reads other tenants' routing files on this host, by the name of their folder.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn routing_of_others(&self, tenant: &Tenant) -> Result<Vec<(String, String)>, FileError> {
        self.read_of_others(tenant, ConfigFile::Routing)
    }

    /// Reads one generated file of all other tenants.
    ///
    /// # Errors
    /// When one of them cannot be read.
    fn read_of_others(&self, tenant: &Tenant, file: ConfigFile) -> Result<Vec<(String, String)>, FileError> {
        let folder = self.config_dir.join(file.facts().folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &folder)(error)),
        };
        let entries: Vec<fs::DirEntry> = entries.collect::<Result<_, _>>().map_err(failed("read", &folder))?;
        let is_other = |entry: &fs::DirEntry| entry.file_name() != tenant.as_str() && entry.path().is_dir();
        let others = entries.into_iter().filter(is_other);
        let read = |entry: fs::DirEntry| {
            // What is no file holds no names, and is its tenant's trouble.
            let path = entry.path().join(file.name());
            let text = if path.is_dir() { None } else { read(&path)? }.unwrap_or_default();
            Ok((entry.file_name().to_string_lossy().into_owned(), text))
        };
        others.map(read).collect()
    }

    /// Names the other tenants whose files Asterisk complains about, by path or by object: all files
    /// are one text to it.
    ///
    /// # Errors
    /// When the file of another tenant cannot be read: who is at fault is not known then.
    pub(super) fn others_at_fault(&self, tenant: &Tenant, complaints: &[String]) -> Result<Vec<String>, FileError> {
        let mut others = self.files_of_others(tenant)?;
        others.retain(|(other, text)| {
            let path = format!(".d/{other}/generated_");
            let mut names = section_names(text).map(|name| format!("duplicate object: '{name}'"));
            let twice = names.find(|twice| complaints.iter().any(|complaint| complaint.contains(twice)));
            twice.is_some() || complaints.iter().any(|complaint| complaint.contains(&path))
        });
        Ok(others.into_iter().map(|(other, _)| other).collect())
    }

    /// Takes the host's lock and notes who has it now; `None` if another process has it.
    ///
    /// What is locked is a file that only those who may apply can open: a lock on the configuration folder
    /// could be taken by every user who may read it, for as long as they like.
    ///
    /// # Errors
    /// When the configuration folder is not there, or the lock or the state folder cannot be written.
    pub(super) fn lock(&self, holder: &str) -> Result<Option<HostLock>, FileError> {
        loop {
            let folder = Folder::make(&self.config_dir, LOCK_FOLDER)?;
            let file = folder.open_lock(LOCK)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(failed("lock", &self.config_dir.join(LOCK_FOLDER).join(LOCK))(error.into())),
            }
            // The operator may have removed it meanwhile: what others lock is the new one.
            if folder.still_holds(LOCK, &file)? {
                close_notes(&self.state_dir)?;
                let note = self.notes().join(HOLDER);
                keep(&note, holder)?;
                return Ok(Some(HostLock { _file: file, note }));
            }
        }
    }

    /// Reads who noted that they have the lock. The note is only for the message, and another user's
    /// state folder may be closed to us.
    pub(super) fn holder(&self) -> Option<String> {
        read(&self.notes().join(HOLDER)).unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot tell who holds the lock");
            None
        })
    }

    /// Names a note we keep about a tenant on this host.
    pub(super) fn note(&self, tenant: &Tenant, name: &str) -> PathBuf {
        self.notes().join(tenant.as_str()).join(name)
    }

    /// Names the folder of our notes about this host.
    fn notes(&self) -> PathBuf {
        use sha2::{Digest, Sha256};
        let path = fs::canonicalize(&self.config_dir).unwrap_or_else(|_| self.config_dir.clone());
        self.state_dir.join("hosts").join(hex(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..6]))
    }

    /// Names a generated file.
    pub(super) fn target<'a>(&'a self, file: &'a str) -> Target<'a> {
        Target::new(&self.config_dir, file)
    }

    /// Names the path of a file below the configuration folder.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        Path::new(&self.config_dir).join(file)
    }
}
