//! The CI recipes of `examples/ci`, as they stand there.

use clap::ValueEnum;

/// A CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ci {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
}

/// A file of a recipe: its path, its text, and its mode.
pub(super) type RecipeFile = (&'static str, &'static str, u32);

/// The mode of a script, and that of other files.
const SCRIPT: u32 = 0o777;
pub(super) const PLAIN: u32 = 0o666;

macro_rules! files {
    ($($mode:ident $path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../examples/ci/", $path)), $mode)),*]
    };
}

const GITHUB: &[RecipeFile] = files! {
    PLAIN ".github/reconcile/lib.sh"
    PLAIN ".github/reconcile/release"
    PLAIN ".github/workflows/apply.yml"
    PLAIN ".github/workflows/comment.yml"
    PLAIN ".github/workflows/nightly.yml"
    PLAIN ".github/workflows/pull-request.yml"
    PLAIN ".github/workflows/recorded.yml"
    SCRIPT ".github/reconcile/apply.sh"
    SCRIPT ".github/reconcile/check.sh"
    SCRIPT ".github/reconcile/comment.sh"
    SCRIPT ".github/reconcile/install.sh"
    SCRIPT ".github/reconcile/plan.sh"
    SCRIPT ".github/reconcile/recorded.sh"
    SCRIPT ".github/reconcile/reviewed-plan.sh"
    SCRIPT ".github/reconcile/status.sh"
};

const GITLAB: &[RecipeFile] = files! {
    PLAIN ".gitlab-ci.yml"
    PLAIN ".gitlab/reconcile/release"
    SCRIPT ".gitlab/reconcile/apply.sh"
    SCRIPT ".gitlab/reconcile/install.sh"
    SCRIPT ".gitlab/reconcile/plan.sh"
    SCRIPT ".gitlab/reconcile/recorded.sh"
    SCRIPT ".gitlab/reconcile/status.sh"
};

impl Ci {
    /// Lists the files of its recipe.
    pub(super) fn files(self) -> &'static [RecipeFile] {
        match self {
            Self::Github => GITHUB,
            Self::Gitlab => GITLAB,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::*;

    /// A script that is added to a recipe must be written by `init`, too.
    #[test]
    fn recipes_hold_every_file_with_its_mode() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci");
        let mut listed: Vec<&str> =
            [Ci::Github, Ci::Gitlab].iter().flat_map(|ci| ci.files()).map(|file| file.0).collect();
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        listed.sort_unstable();
        assert_eq!(listed, found);
        for (path, _, mode) in [Ci::Github, Ci::Gitlab].iter().flat_map(|ci| ci.files()) {
            let is_script = fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o100 != 0;
            assert_eq!(*mode == SCRIPT, is_script, "{path}");
        }
    }
}
