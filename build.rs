//! Puts the commit and its date into `--version`, if this is built from a git checkout.
//!
//! The same commit gives the same program: uncommitted changes and the time of the build are left out. Cargo runs this again
//! only if the commit moved.

use std::{env, path::Path, process::Command};

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    // For packages that are built without `.git`.
    println!("cargo::rerun-if-env-changed=RECONCILE_COMMIT");
    let commit = env::var("RECONCILE_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(|| of_checkout(&folder));
    // As of a package that names only its commit.
    println!("cargo::rerun-if-env-changed=RECONCILE_COMMIT_DATE");
    let date =
        env::var("RECONCILE_COMMIT_DATE").ok().filter(|date| !date.is_empty()).or_else(|| date_of_checkout(&folder));
    let date = date.map(|date| format!(" {date}")).unwrap_or_default();
    let commit = commit.map(|commit| format!(" ({commit}{date})")).unwrap_or_default();
    println!("cargo::rustc-env=RECONCILE_VERSION={version}{commit}");
}

/// Finds the commit of the checkout in a folder; `None` if the folder is none, or is below another one.
fn of_checkout(folder: &str) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(folder).canonicalize().ok()? {
        return None;
    }
    // A commit moves the branch that `HEAD` names, or `HEAD` itself.
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--path-format=absolute", "--git-path", name])?;
        // A file that is not there would count as changed at each build.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// Finds the date of the commit, such as `2026-11-30`; called for the checkout whose commit was found.
fn date_of_checkout(folder: &str) -> Option<String> {
    let output =
        Command::new("git").args(["-C", folder, "show", "--no-patch", "--format=%cs", "HEAD"]).output().ok()?;
    let date = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !date.is_empty()).then_some(date)
}
