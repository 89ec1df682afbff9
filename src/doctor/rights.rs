//! What this user may write.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{Check, Finding};
use crate::{accounts::way_in, asterisk::ConfigFile, model::shown};

/// A folder that an apply writes.
#[derive(Debug)]
pub(crate) struct FolderFacts {
    /// The folder, or the one above it in which it would be made.
    pub(crate) path: PathBuf,
    /// Whether this user may write it.
    pub(crate) is_writable: bool,
}

/// Looks at the folders of the generated files that a tenant needs, and at the state folder.
pub(crate) fn look(config_dir: &Path, state_dir: &Path) -> Vec<FolderFacts> {
    let needed = ConfigFile::ALL.into_iter().filter(|file| !file.facts().is_optional);
    let folders = needed.map(|file| config_dir.join(file.facts().folder)).chain([state_dir.to_owned()]);
    let facts = |folder: PathBuf| {
        let path = folder.ancestors().find(|path| path.exists()).unwrap_or(&folder).to_owned();
        let is_writable = accessat(CWD, &path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok();
        FolderFacts { path, is_writable }
    };
    folders.map(facts).collect()
}

/// Finds the folders that cannot be written.
pub(crate) fn check(folders: &[FolderFacts]) -> Vec<Finding> {
    let closed = folders.iter().filter(|folder| !folder.is_writable);
    let finding = |folder: &FolderFacts| {
        let fact = format!("this user cannot write `{}`, so no apply can", shown(&folder.path));
        Finding::new(Check::NotWritable, fact, way_in(&folder.path))
    };
    closed.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::assert_found;

    #[test]
    fn a_folder_that_cannot_be_written_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let found = look(folder.path(), &folder.path().join("state/hosts"));
        assert!(found.iter().all(|found| found.path == folder.path() && found.is_writable), "{found:?}");
        assert_found(&check(&found), &[]);
        let closed = FolderFacts { path: "/".into(), is_writable: false };
        assert_found(
            &check(&[closed]),
            &[&format!("not-writable: this user cannot write `/`, so no apply can -> {}", way_in(Path::new("/")))],
        );
    }
}
