//! Keys, and files and folders with secrets.

use std::{
    fs,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Check, Finding};
use crate::model::{Email, shown};

/// How much of a file is read to tell whether an import wrote it, in bytes.
const HEAD: u64 = 512;

/// How many files of a folder are looked at.
const MOST_FILES: usize = 200;

/// What is known of the secrets.
#[derive(Debug, Default)]
pub(crate) struct SecretFacts {
    /// Why what is recorded cannot be opened.
    pub(crate) lack_of_keys: Option<String>,
    /// Files with a key, a password or a token: the variable, or what it is, the path and the mode.
    pub(crate) files: Vec<(String, PathBuf, u32)>,
    /// The folder of declared secrets, with its mode.
    pub(crate) secrets_dir: Option<(PathBuf, u32)>,
    /// The state folder, with its mode.
    pub(crate) state_dir: Option<(PathBuf, u32)>,
    /// Files that an import left.
    pub(crate) left: Vec<PathBuf>,
}

impl SecretFacts {
    /// Adds a file, if it is there.
    pub(crate) fn add_file(&mut self, name: &str, path: PathBuf) {
        if let Some(mode) = mode_of(&path) {
            self.files.push((name.to_owned(), path, mode));
        }
    }

    /// Finds what is wrong with them.
    pub(crate) fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut add = |check, fact: String, fix: String| found.push(Finding::new(check, fact, fix));
        if let Some(why) = &self.lack_of_keys {
            let (fact, fix) = why.split_once("; ").unwrap_or((why, "add that key behind the current one and a comma"));
            add(Check::Key, fact.to_owned(), fix.to_owned());
        }
        // Others' bits, and that the group may write: a service's group may read the key of its certificate.
        for (name, path, mode) in self.files.iter().filter(|(.., mode)| mode & 0o027 != 0) {
            let path = shown(path);
            let fact = format!("`{path}` ({name}) has the mode {mode:04o}, so other users can read or write it");
            add(Check::OpenSecretFile, fact, format!("run `chmod 0600 {path}`, and replace what was in it"));
        }
        if let Some((path, mode)) = self.secrets_dir.as_ref().filter(|(_, mode)| mode & 0o022 != 0) {
            let path = shown(path);
            let fact = format!("`{path}` (RECONCILE_SECRETS_DIR) has the mode {mode:04o}, so other users can write it");
            add(Check::OpenSecretsFolder, fact, format!("run `chmod go-w {path}`"));
        }
        if let Some((path, mode)) = self.state_dir.as_ref().filter(|(_, mode)| mode & 0o066 != 0) {
            let path = shown(path);
            let fact =
                format!("the state folder `{path}` has the mode {mode:04o}, so other users can list or write it");
            add(Check::OpenStateFolder, fact, format!("run `chmod 0711 {path}`"));
        }
        for path in &self.left {
            let path = shown(path);
            let fact = format!("`{path}` holds plain secrets, as `reconcile import --secrets` writes them");
            add(Check::ImportFileLeft, fact, format!("once an apply has taken them, run `shred -u {path}`"));
        }
        found
    }
}

/// Returns the bits of the mode of what is there.
pub(crate) fn mode_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.mode() & 0o7777)
}

/// Lists the files in a folder that an import wrote: lines of an address, a tab and a secret.
pub(crate) fn left_by_import(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut left: Vec<PathBuf> =
        files.take(MOST_FILES).map(|entry| entry.path()).filter(|path| is_of_import(path)).collect();
    left.sort();
    left
}

fn is_of_import(path: &Path) -> bool {
    let mut head = zeroize::Zeroizing::new(Vec::new());
    let read = fs::File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let first = read.ok().and_then(|_| std::str::from_utf8(&head).ok()?.lines().next());
    let line = first.and_then(|line| line.split_once('\t'));
    line.is_some_and(|(email, secret)| {
        email.parse::<Email>().is_ok() && !secret.is_empty() && !secret.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::assert_found;

    #[test]
    fn each_fault_of_keys_and_folders_is_found() {
        let file = |mode| SecretFacts { files: vec![("its key".into(), "/k".into(), mode)], ..SecretFacts::default() };
        assert_found(&file(0o600).check(), &[]);
        assert_found(&file(0o640).check(), &[]);
        assert_found(
            &file(0o644).check(),
            &[
                "open-secret-file: `/k` (its key) has the mode 0644, so other users can read or write it -> run `chmod 0600 \
               /k`, and replace what was in it",
            ],
        );
        let facts = SecretFacts {
            lack_of_keys: Some("no key is given, and an apply needs one; make one".into()),
            secrets_dir: Some(("/s".into(), 0o777)),
            state_dir: Some(("/d".into(), 0o755)),
            left: vec!["/root/acme.secrets".into()],
            ..SecretFacts::default()
        };
        assert_found(
            &facts.check(),
            &[
                "key: no key is given, and an apply needs one -> make one",
                "open-secrets-folder: `/s` (RECONCILE_SECRETS_DIR) has the mode 0777, so other users can write it -> run \
                 `chmod go-w /s`",
                "open-state-folder: the state folder `/d` has the mode 0755, so other users can list or write it -> run \
                 `chmod 0711 /d`",
                "import-file-left: `/root/acme.secrets` holds plain secrets, as `reconcile import --secrets` writes them -> \
                 once an apply has taken them, run `shred -u /root/acme.secrets`",
            ],
        );
    }

    #[test]
    fn a_file_of_an_import_is_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("left", "ana@example.com\tgeheim\nbo@example.com\tnoch-geheimer\n");
        write("list.tsv", "ana@example.com\tAna Silva\n");
        write("notes", "ana@example.com geheim\n");
        write("bytes", "\u{0}\t\u{1}");
        assert_eq!(left_by_import(folder.path()), [folder.path().join("left")]);
        assert_eq!(left_by_import(&folder.path().join("none")), Vec::<PathBuf>::new());
    }
}
