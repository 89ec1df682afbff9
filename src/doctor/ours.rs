//! The generated files: whole, whose, and who may read them.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use uuid::Uuid;

use super::{Check, Finding};
use crate::{
    accounts,
    asterisk::ConfigFile,
    deploy::generated_files,
    fs::{FILE_MODE, FileError, read},
    model::{printable, shown},
    render::{Parsed, parse},
};

/// A generated file as it stands.
#[derive(Debug, Default)]
pub(crate) struct FileFacts {
    /// Its path.
    pub(crate) path: String,
    /// Whether it is a regular file.
    pub(crate) is_file: bool,
    /// The bits of its mode.
    pub(crate) mode: u32,
    /// Its group, and that of its folder.
    pub(crate) groups: (u32, u32),
    /// What it says, or why it cannot be read.
    pub(crate) parsed: Option<Result<Parsed, String>>,
}

/// Looks at the generated files of all tenants, each with its kind.
///
/// # Errors
/// If a folder cannot be listed.
pub(crate) fn look(config_dir: &Path) -> Result<Vec<(ConfigFile, FileFacts)>, FileError> {
    let files = generated_files(config_dir)?;
    Ok(files.into_iter().map(|(file, _, path)| (file, FileFacts::of(&path))).collect())
}

impl FileFacts {
    fn of(path: &Path) -> Self {
        let facts = Self { path: shown(path), ..Self::default() };
        let look = || -> io::Result<(fs::Metadata, fs::Metadata)> {
            Ok((fs::symlink_metadata(path)?, fs::metadata(path.parent().unwrap_or(path))?))
        };
        match look() {
            Ok((own, folder)) => {
                let parsed = own.is_file().then(|| match read(path) {
                    Ok(text) => Ok(parse(&text.unwrap_or_default())),
                    Err(error) => Err(error.to_string()),
                });
                Self {
                    is_file: own.is_file(),
                    mode: own.mode() & 0o7777,
                    groups: (own.gid(), folder.gid()),
                    parsed,
                    ..facts
                }
            }
            Err(error) => Self { parsed: Some(Err(format!("cannot look at `{}`: {error}", facts.path))), ..facts },
        }
    }

    /// Finds what is wrong with it. `directory` is the database in use, if it is known.
    pub(crate) fn check(&self, directory: Option<Uuid>) -> Vec<Finding> {
        const REWRITE: &str = "`reconcile apply` writes it again";
        let path = printable(&self.path);
        let mut found = Vec::new();
        let mut add = |check, fact: String, fix: String| found.push(Finding::new(check, fact, fix));
        match &self.parsed {
            None if !self.is_file => {
                add(Check::LinkedFile, format!("`{path}` is no regular file"), format!("remove it; {REWRITE}"));
            }
            None => {}
            Some(Err(why)) => {
                add(Check::UnreadableFile, why.clone(), "run as root, or as the user who applies".to_owned());
            }
            Some(Ok(parsed)) => {
                if !parsed.intact {
                    let fact = format!("`{path}` was edited or cut short since reconcile wrote it");
                    add(Check::EditedFile, fact, format!("declare what was meant in the file, then {REWRITE}"));
                }
                let other = parsed.directory.filter(|named| directory.is_some_and(|ours| ours != *named));
                if let Some(other) = other {
                    let fact = format!("`{path}` was written from another database, whose id is {other}");
                    let fix =
                        "check DATABASE_URL; if this database is the right one, `plan` says what an apply would do";
                    add(Check::ForeignFile, fact, fix.to_owned());
                }
            }
        }
        if self.is_file && self.mode & !FILE_MODE != 0 {
            let fact = format!("`{path}` has the mode {:04o}, and holds what phones log in with", self.mode);
            add(Check::OpenFile, fact, format!("run `chmod {FILE_MODE:04o} {path}`"));
        }
        let (own, folder) = self.groups;
        if self.is_file && own != folder {
            let name = |gid: u32| accounts::group_name(gid).unwrap_or_else(|| gid.to_string());
            let fact = format!("`{path}` has the group `{}`, and its folder `{}`", name(own), name(folder));
            add(Check::FileGroup, fact, format!("run `chgrp {} {path}`", name(folder)));
        }
        found
    }
}

/// Returns what the endpoint files say.
pub(crate) fn endpoints(files: &[(ConfigFile, FileFacts)]) -> impl Iterator<Item = &Parsed> {
    let endpoints = files.iter().filter(|(file, _)| *file == ConfigFile::Endpoints);
    endpoints.filter_map(|(_, facts)| facts.parsed.as_ref()?.as_ref().ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::doctor::assert_found;

    #[test]
    fn each_fault_of_a_generated_file_is_found() {
        let ours = Uuid::from_u128(1);
        let whole = Parsed { intact: true, directory: Some(ours), ..Parsed::default() };
        let of = |change: &dyn Fn(&mut FileFacts)| {
            let mut facts = FileFacts {
                path: "x.conf".to_owned(),
                is_file: true,
                mode: 0o640,
                groups: (4_000_007, 4_000_007),
                parsed: Some(Ok(whole.clone())),
            };
            change(&mut facts);
            facts.check(Some(ours))
        };
        assert_found(&of(&|_| {}), &[]);
        assert_found(&of(&|facts| facts.mode = 0o600), &[]);
        assert_found(
            &of(&|facts| facts.mode = 0o644),
            &["open-file: `x.conf` has the mode 0644, and holds what phones log in with -> run `chmod 0640 x.conf`"],
        );
        assert_found(
            &of(&|facts| facts.groups = (4_000_008, 4_000_007)),
            &["file-group: `x.conf` has the group `4000008`, and its folder `4000007` -> run `chgrp 4000007 x.conf`"],
        );
        assert_found(
            &of(&|facts| facts.parsed = Some(Ok(Parsed { intact: false, ..whole.clone() }))),
            &[
                "edited-file: `x.conf` was edited or cut short since reconcile wrote it -> declare what was meant in the file, \
               then `reconcile apply` writes it again",
            ],
        );
        let other = Parsed { directory: Some(Uuid::from_u128(2)), ..whole.clone() };
        assert_found(
            &of(&|facts| facts.parsed = Some(Ok(other.clone()))),
            &["foreign-file: `x.conf` was written from another database, whose id is \
               00000000-0000-0000-0000-000000000002 -> check DATABASE_URL; if this database is the right one, `plan` says \
               what an apply would do"],
        );
        assert_found(
            &of(&|facts| facts.parsed = Some(Err("cannot read `x.conf`".to_owned()))),
            &["unreadable-file: cannot read `x.conf` -> run as root, or as the user who applies"],
        );
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let tenant = folder.path().join("pjsip.d/acme");
        fs::create_dir_all(&tenant).unwrap();
        symlink("/etc/passwd", tenant.join("generated_endpoints.conf")).unwrap();
        let found = look(folder.path()).unwrap();
        let path = tenant.join("generated_endpoints.conf");
        let fact = format!("`{}` is no regular file -> remove it; `reconcile apply` writes it again", path.display());
        assert_found(&found[0].1.check(None), &[&format!("linked-file: {fact}")]);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let found = look(folder.path()).unwrap()[0].1.check(None);
        assert_eq!(found.iter().map(|found| found.check).collect::<Vec<_>>(), [Check::EditedFile, Check::OpenFile]);
    }
}
