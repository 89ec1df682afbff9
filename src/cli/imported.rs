//! The file of `--secrets`: secrets that an import found, one line a user, taken once instead of generated ones.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use zeroize::Zeroizing;

use super::printer::Printer;
use crate::{
    desired::Declared,
    error::Hinted,
    fs::failed,
    input,
    model::{Identity, Secret, UserKey, shown},
};

/// The largest such file, in bytes: 300,000 users.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Secrets that were imported.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ImportedArgs {
    /// Give new users the secrets of this file, which `reconcile import --secrets` wrote, instead of generated ones; `-`
    /// reads standard input
    #[arg(long = "secrets", value_name = "FILE")]
    imported_secrets: Option<PathBuf>,
}

/// The third column of a digest.
const DIGEST: &str = "digest";

/// Writes the line of a user.
pub(super) fn line(user: &Identity, secret: &Secret) -> String {
    let digest = if secret.is_digest() { format!("\t{DIGEST}") } else { String::new() };
    format!("{user}\t{}{digest}\n", secret.reveal())
}

/// Reads the line of a user.
fn read_line(line: &str) -> Option<(UserKey, Secret)> {
    let (user, secret) = line.split_once('\t')?;
    let secret = match secret.split_once('\t') {
        Some((digest, DIGEST)) => Secret::of_digest(digest),
        _ => Secret::new(secret),
    };
    Some((user.parse::<Identity>().ok()?.key(), secret.ok()?))
}

/// Finds the git work tree that a path lies in.
pub(super) fn git_work_tree(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let folder = path.parent()?;
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}

impl ImportedArgs {
    /// Writes the file as an argument for a shell. Standard input is gone.
    pub(crate) fn argument(&self) -> Option<String> {
        let file = self.imported_secrets.as_ref()?.to_str().filter(|file| *file != "-")?;
        shlex::try_quote(file).ok().map(Cow::into_owned)
    }

    /// Reads the secrets, and counts those that belong to no user of the file.
    ///
    /// # Errors
    /// If the file cannot be read, or others can read it, or a line is not one of ours. No line is quoted.
    pub(crate) fn read(&self, declared: &Declared, printer: &mut Printer) -> Result<BTreeMap<UserKey, Secret>> {
        let Some(path) = &self.imported_secrets else { return Ok(BTreeMap::new()) };
        let name = if path == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", shown(path)) };
        let bytes = Zeroizing::new(if path == Path::new("-") {
            input::take(io::stdin(), LARGEST)?
        } else {
            let file = File::open(path).map_err(failed("read", path))?;
            let found = file.metadata().map_err(failed("look at", path))?;
            // A pipe, such as that of `<(sops -d ..)`, is nobody else's.
            if found.is_file() {
                if found.permissions().mode() & 0o077 != 0 {
                    let hint = format!("run `chmod 600 {}`", shown(path));
                    bail!(Hinted::new(format!("other users may read or write {name}, which holds secrets"), hint));
                }
                let user = rustix::process::geteuid().as_raw();
                if ![0, user].contains(&found.uid()) {
                    let hint = "make a copy that belongs to you: its owner may change it at any time";
                    bail!(Hinted::new(format!("{name} belongs to another user"), hint));
                }
                if let Some(tree) = git_work_tree(path) {
                    let message = format!("{name} lies in the git work tree `{}`", shown(&tree));
                    bail!(Hinted::new(message, "move it out, so that nobody commits it; see whether somebody did"));
                }
            }
            input::take(file, LARGEST)?
        });
        let mut secrets = BTreeMap::new();
        let mut unknown = 0_usize;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let read = std::str::from_utf8(line).ok().and_then(read_line);
            let hint = "a line is an e-mail address, a tab and a secret of 1 to 128 characters without blanks";
            let Some((key, secret)) = read else {
                bail!(Hinted::new(format!("line {} of {name} is not usable", index + 1), hint));
            };
            unknown += usize::from(!declared.users.contains_key(&key));
            if secrets.insert(key, secret).is_some() {
                bail!(Hinted::new(format!("line {} of {name} is another one of the same user", index + 1), hint));
            }
        }
        if unknown > 0 {
            let users = if unknown == 1 { "1 user".to_owned() } else { format!("{unknown} users") };
            printer.talk(&format!("note: {name} holds secrets of {users} whom the file does not declare"));
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_work_tree_is_distinguished_from_one_outside() {
        let outside = tempfile::tempdir().unwrap();
        assert_eq!(git_work_tree(&outside.path().join("secrets")), None);
        std::fs::create_dir_all(outside.path().join("office/.git")).unwrap();
        std::fs::create_dir_all(outside.path().join("office/phones")).unwrap();
        let found = git_work_tree(&outside.path().join("office/phones/secrets"));
        assert_eq!(found, Some(outside.path().canonicalize().unwrap().join("office")));
    }
}
