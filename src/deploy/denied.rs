//! What the user who runs this program may not use: whose it is, and how to get at it.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
};

use crate::accounts;

/// Finds what Asterisk's client was denied, of what it said: its configuration, or the socket.
pub(super) fn named_in(said: &str) -> Option<PathBuf> {
    let is_denied = |result: io::Result<()>| result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    let between = |before: &str, after: &str| Some(said.split_once(before)?.1.split_once(after)?.0);
    let config = between("config file '", "'").filter(|path| is_denied(File::open(path).map(drop)));
    let socket = between("(does ", " exist?)").filter(|path| is_denied(UnixStream::connect(path).map(drop)));
    config.or(socket).map(PathBuf::from)
}

/// Says whose a path is that may not be used, and how to get at it.
pub fn way_in(path: &Path) -> String {
    const ROOT: &str = "run the same command with `sudo`";
    // Below a folder that may not be entered, nothing can be looked at.
    let seen = path.ancestors().find_map(|path| Some((path, fs::metadata(path).ok()?)));
    let Some((path, found)) = seen else { return ROOT.to_owned() };
    let owner = accounts::user(found.uid()).map_or_else(|| found.uid().to_string(), |user| user.name);
    let group = accounts::group_name(found.gid());
    let me = accounts::user(rustix::process::geteuid().as_raw()).map_or_else(|| "USER".to_owned(), |user| user.name);
    let mut ways = Vec::new();
    if let Some(group) = group.as_ref().filter(|_| found.gid() != 0 && found.mode() & 0o040 != 0) {
        ways.push(format!("join that group with `sudo usermod -aG {group} {me}` and log in again"));
    }
    ways.push(match found.uid() {
        0 => ROOT.to_owned(),
        _ => format!("run the same command with `sudo -u {owner}`"),
    });
    let (path, group) = (crate::model::shown(path), group.unwrap_or_else(|| found.gid().to_string()));
    format!("`{path}` belongs to the user `{owner}` and the group `{group}`: {}", ways.join(", or "))
}
