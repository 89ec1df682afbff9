//! One Asterisk host: its configuration folder, its lock, our own notes about it, and its Asterisk.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    ApplyError,
    asterisk::{Asterisk, AsteriskError},
    files::{self, FileError, InPlace, failed},
    includes, readback,
};
use crate::{
    directory::seal::hex,
    model::Tenant,
    render::{Present, endpoints_path, routing_path, section_names},
};

/// The note that names who has the lock.
const HOLDER: &str = "lock_holder";

/// Where rendered becomes running.
#[derive(Debug, Clone)]
pub struct Host {
    /// The name it is audited under.
    pub name: String,
    /// Asterisk's configuration folder.
    pub config_dir: PathBuf,
    /// Where we keep the last good files and pending work.
    pub state_dir: PathBuf,
    /// How Asterisk is asked; none leaves it alone.
    pub asterisk: Option<Asterisk>,
}

/// What was read from the running Asterisk, for a plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Running {
    /// Whether it runs the generation of the endpoint file in place.
    pub endpoints_live: bool,
    /// Whether it runs the generation of the routing file in place.
    pub routing_live: bool,
}

/// The lock that one apply holds on a host; ends with the process.
#[derive(Debug)]
pub(super) struct HostLock {
    _folder: File,
    note: PathBuf,
}

impl Drop for HostLock {
    fn drop(&mut self) {
        let _ = files::forget(&self.note);
    }
}

impl Host {
    /// Reads the tenant's files in place: endpoints, then routing.
    ///
    /// # Errors
    /// When one is there but cannot be read.
    pub fn in_place(&self, tenant: &Tenant) -> Result<[InPlace; 2], FileError> {
        Ok([
            files::read(&self.config_dir.join(endpoints_path(tenant)))?.map(Present::new),
            files::read(&self.config_dir.join(routing_path(tenant)))?.map(Present::new),
        ])
    }

    /// Waits until Asterisk has finished starting, where it may be asked.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn wait(&self) -> Result<(), AsteriskError> {
        self.asterisk.as_ref().map_or(Ok(()), Asterisk::wait_until_booted)
    }

    /// Reads the tenant's files in place, and asks whether Asterisk runs them.
    ///
    /// # Errors
    /// When a file cannot be read, or Asterisk cannot be asked.
    pub(super) fn look(&self, tenant: &Tenant) -> Result<([InPlace; 2], Option<Running>), ApplyError> {
        let in_place = self.in_place(tenant)?;
        let running = self.running(tenant, &in_place)?;
        Ok((in_place, running))
    }

    /// Asks an Asterisk that has finished starting whether it runs the files in place.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn running(&self, tenant: &Tenant, in_place: &[InPlace; 2]) -> Result<Option<Running>, AsteriskError> {
        let Some(asterisk) = &self.asterisk else { return Ok(None) };
        let marks = in_place.each_ref().map(|file| file.as_ref().map_or("", |file| file.parsed.mark.as_str()));
        let [endpoints_live, routing_live] = readback::live(asterisk, tenant, marks)?;
        Ok(Some(Running { endpoints_live, routing_live }))
    }

    /// Reads other tenants' endpoint files on this host, by the name of their folder.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn files_of_others(&self, tenant: &Tenant) -> Result<Vec<(String, String)>, FileError> {
        let folder = self.config_dir.join("pjsip.d");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &folder)(error)),
        };
        let others = entries.flatten().filter(|entry| entry.file_name() != tenant.as_str() && entry.path().is_dir());
        let read = |entry: fs::DirEntry| {
            // What is no file holds no names, and is its tenant's trouble.
            let path = entry.path().join("generated_endpoints.conf");
            let text = if path.is_dir() { None } else { files::read(&path)? }.unwrap_or_default();
            Ok((entry.file_name().to_string_lossy().into_owned(), text))
        };
        others.map(read).collect()
    }

    /// Names the other tenants whose files Asterisk complains about, by path or by object: all files
    /// are one text to it.
    pub(super) fn others_at_fault(&self, tenant: &Tenant, complaints: &[String]) -> Vec<String> {
        let mut others = self.files_of_others(tenant).unwrap_or_default();
        others.retain(|(other, text)| {
            let path = format!(".d/{other}/generated_");
            let mut names = section_names(text).map(|name| format!("duplicate object: '{name}'"));
            let twice = names.find(|twice| complaints.iter().any(|complaint| complaint.contains(twice)));
            twice.is_some() || complaints.iter().any(|complaint| complaint.contains(&path))
        });
        others.into_iter().map(|(other, _)| other).collect()
    }

    /// Takes the host's lock and notes who has it now, or says that somebody else has it.
    ///
    /// # Errors
    /// When the configuration folder is not there, or the state folder cannot be written.
    pub(super) fn lock(&self, holder: &str) -> Result<Option<HostLock>, FileError> {
        let path = &self.config_dir;
        let folder = File::options()
            .read(true)
            .custom_flags(i32::try_from(rustix::fs::OFlags::DIRECTORY.bits()).unwrap_or(0))
            .open(path)
            .map_err(failed("open", path))?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let note = self.notes().join(HOLDER);
                files::keep(&note, holder)?;
                Ok(Some(HostLock { _folder: folder, note }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed("lock", path)(error.into())),
        }
    }

    /// Reads who noted that they have the lock.
    pub(super) fn holder(&self) -> Option<String> {
        files::read(&self.notes().join(HOLDER)).ok().flatten()
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

    /// Finds out which lines that lead to our files the operator's own files lack.
    pub(super) fn missing_includes(&self, tenant: &Tenant) -> Vec<&'static str> {
        let lines = [
            ("pjsip.conf", endpoints_path(tenant), "`#tryinclude pjsip.d/*/generated_endpoints.conf` in `pjsip.conf`"),
            (
                "extensions.conf",
                routing_path(tenant),
                "`#tryinclude extensions.d/*/generated_routing.conf` in `extensions.conf`",
            ),
        ];
        let included =
            |file: &str, ours: &str| includes::leads_to(&self.config_dir, &self.path(file), &self.path(ours));
        lines.into_iter().filter(|(file, ours, _)| !included(file, ours)).map(|(_, _, line)| line).collect()
    }

    /// Names the path of a generated file.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        Path::new(&self.config_dir).join(file)
    }
}
