//! The work tree that the command runs in, and whether that is a CI job.

use std::path::Path;

use super::{Check, Finding};
use crate::input::Folder;

/// The file of the CI recipe that names the release to install.
const RELEASE: &str = ".github/reconcile/release";

/// The largest file of the work tree that is looked at, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What is known of the work tree and the runner.
#[derive(Debug, Default)]
pub(crate) struct CiFacts {
    /// Whether a CI job runs this without a database.
    pub(crate) lacks_database: bool,
    /// The release that the recipe installs, if there is one.
    pub(crate) release: Option<String>,
    /// Whether `.env` is in a git work tree and no line of `.gitignore` names it.
    pub(crate) env_tracked: bool,
}

/// Tells whether a word is the tag of a release, such as `reconcile-0.1.0`.
fn is_release(word: &str) -> bool {
    word.strip_prefix("reconcile-").is_some_and(|version| {
        version.len() <= 30 && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
    })
}

impl CiFacts {
    /// Looks at the work tree around a folder.
    pub(crate) fn look(folder: &Path, lacks_database: bool) -> Self {
        let tree = folder.ancestors().find(|folder| folder.join(".git").exists());
        // A commit may have put a link to a key there, or a pipe: nothing is shown that is no release of ours.
        let opened = tree.and_then(|tree| Folder::open_any(tree).ok());
        let read = |name: &str| String::from_utf8(opened.as_ref()?.read(Path::new(name), LARGEST).ok()?).ok();
        let release = read(RELEASE);
        let first = |text: String| text.split_whitespace().next().filter(|word| is_release(word)).map(str::to_owned);
        let env_tracked = tree.is_some_and(|tree| {
            let ignored = read(".gitignore").unwrap_or_default();
            let names = [".env", "/.env", ".env*", "*.env"];
            tree.join(".env").exists() && !ignored.lines().any(|line| names.contains(&line.trim()))
        });
        Self { lacks_database, release: release.and_then(first), env_tracked }
    }

    /// Finds what is wrong; `version` is this program's.
    pub(crate) fn check(&self, version: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut add = |check, fact: String, fix: String| found.push(Finding::new(check, fact, fix));
        if self.lacks_database {
            let fix = "set DATABASE_URL in the environment of the job, or `--state-dir` to a folder that is kept";
            add(Check::CiDatabase, "this CI job has no DATABASE_URL".to_owned(), fix.to_owned());
        }
        let ours = format!("reconcile-{version}");
        if let Some(release) = self.release.as_ref().filter(|release| **release != ours) {
            let fact = format!("`{RELEASE}` installs `{release}`, and this is `{ours}`");
            add(Check::CiRelease, fact, format!("write the tag and the SHA-256 of `{ours}` into `{RELEASE}`"));
        }
        if self.env_tracked {
            let fact = "`.env` lies in the git work tree, and `.gitignore` does not name it".to_owned();
            add(Check::EnvTracked, fact, "add a line `.env` to `.gitignore`".to_owned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::assert_found;

    #[test]
    fn each_fault_of_the_work_tree_is_found() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir_in(outside.path()).unwrap();
        let look = || CiFacts::look(&folder.path().join("phones"), false).check("0.1.0");
        fs::create_dir_all(folder.path().join("phones")).unwrap();
        fs::create_dir_all(folder.path().join(".github/reconcile")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(".env", "DATABASE_URL=x\n");
        write(RELEASE, "reconcile-0.0.9 00ff\n");
        assert_found(&look(), &[]);
        fs::create_dir(folder.path().join(".git")).unwrap();
        let release = "ci-release: `.github/reconcile/release` installs `reconcile-0.0.9`, and this is `reconcile-0.1.0` -> \
             write the tag and the SHA-256 of `reconcile-0.1.0` into `.github/reconcile/release`";
        let env = "env-tracked: `.env` lies in the git work tree, and `.gitignore` does not name it -> add a line `.env` to \
             `.gitignore`";
        assert_found(&look(), &[release, env]);
        write(".gitignore", "/target\n.env\n");
        write(RELEASE, "reconcile-0.1.0 00ff\n");
        assert_found(&look(), &[]);
        // A commit may put anything there.
        let (key, release) = (folder.path().join("../key"), folder.path().join(RELEASE));
        for word in ["79v36j7QcanaryKey=", "reconcile-0.0.9\u{1b}]0;x"] {
            write(RELEASE, word);
            assert_found(&look(), &[]);
        }
        fs::remove_file(&release).unwrap();
        std::os::unix::fs::symlink(&key, &release).unwrap();
        fs::write(&key, "reconcile-0.0.9 of another folder").unwrap();
        assert_found(&look(), &[]);
        fs::remove_file(&release).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&release).status().unwrap().success());
        assert_found(&look(), &[]);
        let job = CiFacts { lacks_database: true, ..CiFacts::default() };
        assert_found(
            &job.check("0.1.0"),
            &["ci-database: this CI job has no DATABASE_URL -> set DATABASE_URL in the environment of the job, or \
               `--state-dir` to a folder that is kept"],
        );
    }
}
