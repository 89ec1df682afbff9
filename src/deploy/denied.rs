//! What Asterisk's client was denied.

use std::{fs::File, io, os::unix::net::UnixStream, path::PathBuf};

/// Finds what Asterisk's client was denied, of what it said: its configuration, or the socket.
pub(super) fn named_in(said: &str) -> Option<PathBuf> {
    let is_denied = |result: io::Result<()>| result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    let between = |before: &str, after: &str| Some(said.split_once(before)?.1.split_once(after)?.0);
    let config = between("config file '", "'").filter(|path| is_denied(File::open(path).map(drop)));
    let socket = between("(does ", " exist?)").filter(|path| is_denied(UnixStream::connect(path).map(drop)));
    config.or(socket).map(PathBuf::from)
}
