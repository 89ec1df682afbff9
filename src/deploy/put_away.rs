//! `reconcile put-back`: the last good files, without git and without the database.
//!
//! What is put away is noted by the hashes of its files. The next apply finds the run that made it, and marks it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AsteriskError, Host, compare::modules, readback};
use crate::{
    asterisk::{ConfigFile, PerFile},
    fs::{self, FileError},
    model::{Document, Hints, Tenant, hex},
    render::{Parsed, parse},
};

/// The note with the hashes of the files that were put away.
const PUT_AWAY: &str = "put_away.json";

/// The hashes of files that an administrator put away, by path.
#[derive(Debug, Default, Serialize, Deserialize)]
struct PutAway {
    files: BTreeMap<String, String>,
}

impl Document for PutAway {}

/// The last good files were not put back, or Asterisk does not run them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutBackError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Asterisk cannot be asked; nothing moved.
    #[error("{0}; nothing was changed")]
    Asterisk(#[from] AsteriskError),
    /// Another apply holds the host.
    #[error("another apply is running on the host `{0}`")]
    Locked(String),
    /// There is nothing to go back to.
    #[error("the files in place are the last good ones of `{0}`, and none are kept from before")]
    Nothing(Tenant),
    /// The files are back, and Asterisk does not run them.
    #[error("the last good files are back, but Asterisk does not run them: {0}")]
    NotLive(String),
}

impl Hints for PutBackError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::File(error) => error.hints(),
            Self::Asterisk(error) => error.hints(),
            Self::Locked(_) => vec!["wait for it, or end it".to_owned()],
            Self::Nothing(_) => vec!["`reconcile rollback N` goes back to any run that the database knows".to_owned()],
            Self::NotLive(_) => vec!["start Asterisk, or run the same command again".to_owned()],
        }
    }
}

/// What was put back.
#[derive(Debug)]
pub(crate) struct PutBack {
    /// The paths of the files that changed.
    pub(crate) files: Vec<String>,
    /// Whether these are the files before the last good ones, which were in place.
    pub(crate) is_earlier: bool,
}

impl Host {
    /// Puts the last good files of a tenant back: those that Asterisk was last proven to run, or, if these are in place,
    /// the ones before. Reloads what changed, and reads it back. Registrations stay.
    ///
    /// # Errors
    /// If there are none, a file cannot be written, or Asterisk does not run them.
    pub(crate) fn put_back(&self, tenant: &Tenant, actor: &str) -> Result<PutBack, PutBackError> {
        if let Some(asterisk) = &self.asterisk {
            asterisk.wait_until_booted()?;
        }
        let holder = format!("{actor} runs `put-back` on {}", self.name);
        let _lock = self.lock(&holder)?.ok_or_else(|| PutBackError::Locked(self.name.clone()))?;
        let in_place: PerFile<Option<String>> = PerFile::try_from_fn(|file| self.target(&file.path(tenant)).read())?;
        let note = |name: String| fs::read(&self.note(tenant, &name));
        let good = PerFile::try_from_fn(|file| note(file.last_good_note()))?;
        let before = PerFile::try_from_fn(|file| note(file.previous_note()))?;
        let differs = |kept: &PerFile<Option<String>>| {
            ConfigFile::ALL.into_iter().any(|file| kept[file].is_some() && kept[file] != in_place[file])
        };
        let is_earlier = !differs(&good);
        let kept = if is_earlier { before } else { good };
        if !differs(&kept) {
            return Err(PutBackError::Nothing(tenant.clone()));
        }
        let files = self.put_in_place(tenant, &kept, &in_place)?;
        self.run_kept(tenant, &kept)?;
        for file in ConfigFile::ALL {
            if let Some(text) = &kept[file] {
                fs::keep(&self.note(tenant, &file.last_good_note()), text)?;
            }
            fs::forget(&self.note(tenant, &file.previous_note()))?;
        }
        Ok(PutBack { files, is_earlier })
    }

    /// Writes the kept files, and notes what stood in their place.
    fn put_in_place(
        &self,
        tenant: &Tenant,
        kept: &PerFile<Option<String>>,
        in_place: &PerFile<Option<String>>,
    ) -> Result<Vec<String>, FileError> {
        let mut staged = Vec::new();
        let mut away = PutAway::default();
        for (file, text) in kept.iter() {
            let path = file.path(tenant);
            if let Some(text) = text.as_ref().filter(|text| in_place[file].as_ref() != Some(text)) {
                staged.push((path.clone(), self.target(&path).stage(text)?));
                let stood = in_place[file].as_ref().map(|text| hex(&Sha256::digest(text.as_bytes())));
                away.files.extend(stood.map(|hash| (path, hash)));
            }
        }
        if !away.files.is_empty() {
            fs::keep_document(&self.note(tenant, PUT_AWAY), &away)?;
        }
        let mut files = Vec::new();
        for (path, file) in staged {
            file.commit()?;
            files.push(path);
        }
        Ok(files)
    }

    /// Makes Asterisk run the kept files, and reads them back.
    fn run_kept(&self, tenant: &Tenant, kept: &PerFile<Option<String>>) -> Result<(), PutBackError> {
        let Some(asterisk) = &self.asterisk else { return Ok(()) };
        let failed = |error: AsteriskError| PutBackError::NotLive(error.to_string());
        let is_kept = kept.each_ref().map(Option::is_some);
        for file in ConfigFile::ALL.into_iter().filter(|file| is_kept[*file]) {
            for module in modules(file, &is_kept) {
                asterisk.reload(module).map_err(failed)?;
            }
        }
        let good = kept.each_ref().map(|text| text.as_deref().map_or_else(Parsed::default, parse));
        let live = readback::live(asterisk, tenant, &good.each_ref().map(|file| file.mark.as_str())).map_err(failed)?;
        for file in ConfigFile::ALL.into_iter().filter(|file| is_kept[*file]) {
            if !live[file] {
                return Err(PutBackError::NotLive(format!("it does not run {}", file.path(tenant))));
            }
            if let Some(missing) = readback::missing(asterisk, file, &good[file]).map_err(failed)?.first() {
                return Err(PutBackError::NotLive(missing.to_string()));
            }
        }
        Ok(())
    }

    /// Reads the hashes of the files that an administrator put away, by path. Empty if there are none.
    ///
    /// # Errors
    /// If the note cannot be read.
    pub(crate) fn put_away(&self, tenant: &Tenant) -> Result<BTreeMap<String, String>, FileError> {
        Ok(fs::read_document::<PutAway>(&self.note(tenant, PUT_AWAY))?.unwrap_or_default().files)
    }

    /// Forgets what was put away: the runs that made it are marked in the database.
    pub(super) fn forget_put_away(&self, tenant: &Tenant) -> Result<(), FileError> {
        fs::forget(&self.note(tenant, PUT_AWAY))
    }

    /// Forgets the files before the last good ones: `put-back` would make the phones of a removed tenant live again.
    ///
    /// # Errors
    /// If a note cannot be removed.
    pub(crate) fn forget_previous(&self, tenant: &Tenant) -> Result<(), FileError> {
        ConfigFile::ALL.into_iter().try_for_each(|file| fs::forget(&self.note(tenant, &file.previous_note())))
    }

    /// Lists the tenants that have generated files on this host.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub(crate) fn tenants(&self) -> Result<Vec<Tenant>, FileError> {
        let files = super::generated_files(&self.config_dir)?;
        let mut tenants: Vec<Tenant> = files.iter().filter_map(|(_, tenant, _)| tenant.parse().ok()).collect();
        tenants.sort();
        tenants.dedup();
        Ok(tenants)
    }
}
