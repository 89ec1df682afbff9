//! Folders that no other user may list or write.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use super::{FileError, failed};

/// Makes a folder that only we can list and write, and those above it that are missing. The modes do not
/// depend on the umask: under 000 every user of the machine could replace the last good files.
///
/// Root's may be passed through, because the private database below the state folder runs as another user.
pub(super) fn make_private(folder: &Path) -> Result<(), FileError> {
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Lets no other user list or write the state folder, or a folder of our notes in it: an earlier version made
/// them as wide as the umask was. The private database closes its own folders.
pub(crate) fn close_notes(state_dir: &Path) -> Result<(), FileError> {
    make_private(state_dir)?;
    close(state_dir, &fs::metadata(state_dir).map_err(failed("look at", state_dir))?)?;
    ["hosts", "serve", "calls"].iter().try_for_each(|name| close_below(&state_dir.join(name)))
}

/// Closes a folder of this user and all such folders below it; none that a link leads to. What another user has,
/// such as the one that `serve` runs as, is theirs to close.
fn close_below(folder: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() && is_own(&found) => close(folder, &found)?,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", folder)(error)),
    }
    match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().try_for_each(|entry| close_below(&entry.path())),
        // A server that ended meanwhile has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", folder)(error)),
    }
}

/// Lets no other user list or write a folder of ours.
fn close(folder: &Path, found: &fs::Metadata) -> Result<(), FileError> {
    const OTHERS: u32 = 0o066;
    if is_own(found) && found.mode() & OTHERS != 0 {
        let mode = fs::Permissions::from_mode(found.mode() & 0o7777 & !OTHERS);
        fs::set_permissions(folder, mode).map_err(failed("set the mode of", folder))?;
    }
    Ok(())
}

fn is_own(found: &fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}
