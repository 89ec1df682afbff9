//! What an import reads of a configuration folder.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{ask::ours, hinted};
use crate::{
    asterisk::ConfigFile,
    deploy,
    error::Hinted,
    import::{
        self, Found, LeftOut, Rank,
        answers::{Answers, MailboxOwners},
        conf::{self, Config, Files, Keep},
    },
    input::{self, Refused},
    model::{Tenant, shown},
    render::parse,
};

/// How many bytes one file may have.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Dialplans in other languages.
const OTHER_DIALPLANS: [&str; 2] = ["extensions.ael", "extensions.lua"];

/// A configuration folder of Asterisk.
pub(super) struct Folder(pub(super) PathBuf);

impl Files for Folder {
    fn find(&self, name: &str) -> Result<Vec<String>, String> {
        let found = deploy::included(&self.0, name).map_err(|error| error.to_string())?;
        let names = found.iter().map(|path| path.strip_prefix(&self.0).unwrap_or(path).to_str().map(str::to_owned));
        names.map(|name| name.ok_or_else(|| "the name of a file is not UTF-8".to_owned())).collect()
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match input::read_anywhere(&self.0.join(name), LARGEST) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refused::NotAFile) => Ok(None),
            Err(Refused::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(refused) => Err(refused.to_string()),
        }
    }
}

/// The files in which phones of PJSIP are defined.
#[derive(Default)]
pub(super) struct Phones {
    pub(super) pjsip: Config,
    pub(super) wizard: Config,
}

impl Folder {
    fn config(&self, name: &str, keep: &Keep) -> Result<Config> {
        conf::read(self, name, keep).map_err(hinted)
    }

    /// Reads what defines phones of PJSIP, and what phones it makes.
    ///
    /// # Errors
    /// If Asterisk would drop or reject any of it.
    pub(super) fn phones(&self) -> Result<(Phones, Answers)> {
        let mut phones = Phones {
            pjsip: self.config("pjsip.conf", &Keep::Options)?,
            wizard: self.config("pjsip_wizard.conf", &Keep::Options)?,
        };
        let answers = conf::phones(&mut phones.pjsip, &mut phones.wizard);
        phones.pjsip.require_whole().and_then(|()| phones.wizard.require_whole()).map_err(hinted)?;
        Ok((phones, answers))
    }

    /// Reads the phones of the folder, or of `sip.conf` if there is no PJSIP or it is named.
    pub(super) fn answers(&self, sip_is_named: bool) -> Result<(Option<Phones>, Answers)> {
        let is_there = |name: &str| self.0.join(name).exists();
        let has_pjsip = is_there("pjsip.conf") || is_there("pjsip_wizard.conf");
        let (phones, mut answers) = if has_pjsip && !sip_is_named {
            let (phones, answers) = self.phones()?;
            (Some(phones), answers)
        } else if is_there("sip.conf") {
            let sip = self.config("sip.conf", &Keep::Options)?;
            sip.require_whole().map_err(hinted)?;
            (None, conf::sip(&sip))
        } else {
            let message = format!("`{}` holds no pjsip.conf, pjsip_wizard.conf or sip.conf", shown(&self.0));
            return Err(Hinted::new(message, "name Asterisk's configuration folder, such as /etc/asterisk").into());
        };
        if has_pjsip && !sip_is_named && is_there("sip.conf") {
            let what = format!("not read beside pjsip.conf: import `{}` by itself", shown(&self.0.join("sip.conf")));
            answers.left_out.push(LeftOut::new(Rank::Small, "sip.conf", what));
        }
        answers.ours = ours(&self.0)?;
        self.read_dialplan(&mut answers)?;
        answers.boxes = self.boxes(&mut answers.left_out)?;
        Ok((phones, answers))
    }

    fn read_dialplan(&self, answers: &mut Answers) -> Result<()> {
        let dialplan = self.config("extensions.conf", &Keep::Entries)?;
        let mut unknown = |place: &str, what: &str| answers.left_out.push(LeftOut::new(Rank::Dialling, place, what));
        if dialplan.files.is_empty() {
            unknown("extensions.conf", "there is none: which numbers something else answers is not known");
        }
        for name in OTHER_DIALPLANS {
            if self.0.join(name).exists() {
                unknown(name, "not read: the numbers that it answers are not known; add them to `extensions.reserved`");
            }
        }
        answers.left_out.extend(dialplan.unknown(Rank::Dialling, "what is behind it in the dialplan"));
        answers.contexts = conf::dialplan(&dialplan);
        Ok(())
    }

    /// Reads whose the voicemail boxes are.
    pub(super) fn boxes(&self, left_out: &mut Vec<LeftOut>) -> Result<MailboxOwners> {
        let voicemail = self.config("voicemail.conf", &Keep::Entries)?;
        left_out.extend(voicemail.unknown(Rank::Small, "the name of a box behind it"));
        Ok(conf::mailbox_owners(&voicemail))
    }
}

/// Reads the generated endpoint file of a tenant.
pub(super) fn generated(config_dir: &Path, tenant: &Tenant) -> Result<Found> {
    let name = ConfigFile::Endpoints.path(tenant);
    if let Some(missing) = deploy::missing_folder(config_dir, None)? {
        return Err(Hinted::new(&missing, missing.hint()).into());
    }
    let Some(text) = crate::fs::read(&config_dir.join(&name))? else {
        let message = format!("`{}` is not there", shown(&config_dir.join(&name)));
        return Err(Hinted::new(message, "name the tenant, and the folder with `--asterisk-config-dir`").into());
    };
    let parsed = parse(&text);
    if !parsed.intact {
        let message = format!("{name} was edited or cut short: its digests may be those of nobody");
        return Err(Hinted::new(message, "restore the file from a backup of the host").into());
    }
    let phones = parsed.phones.iter().map(|(name, phone)| (name.as_str(), phone.email.as_str()));
    import::read_generated(&name, &text, tenant, phones).map_err(hinted)
}

/// Returns the folder that a path names, and whether it names `sip.conf` in it; `None` if it is a list.
pub(super) fn folder(path: &Path) -> Option<(PathBuf, bool)> {
    if path.is_dir() {
        return Some((path.to_owned(), false));
    }
    let name = path.file_name()?.to_str()?;
    if !["pjsip.conf", "pjsip_wizard.conf", "sip.conf"].contains(&name) {
        return None;
    }
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    Some((folder.to_owned(), name == "sip.conf"))
}
