//! The checkpoint of a folder of the spool: where what was delivered ends.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use super::{SpoolError, failed};

/// A place: the number of a segment, and a byte in it.
pub(super) type Place = (u64, u64);

const CHECKPOINT: &str = "checkpoint";

/// Reads the checkpoint, or returns `None` if there is none that can be read.
pub(super) fn checkpoint(folder: &Path) -> Option<Place> {
    let text = fs::read_to_string(folder.join(CHECKPOINT)).ok()?;
    let (sum, place) = text.trim_end().split_once(' ')?;
    let (number, offset) = place.split_once(' ')?;
    let good = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(place.as_bytes());
    good.then(|| Some((number.parse().ok()?, offset.parse().ok()?)))?
}

/// Writes the checkpoint over the one before, in place: a full disk has no room for a second file.
pub(super) fn write_checkpoint(folder: &Path, (number, offset): Place) -> Result<(), SpoolError> {
    let path = folder.join(CHECKPOINT);
    let is_new = !path.exists();
    let place = format!("{number:020} {offset:020}");
    let text = format!("{:08x} {place}\n", crc32fast::hash(place.as_bytes()));
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    file.and_then(|file| {
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_data()
    })
    .map_err(failed("write", &path))?;
    if is_new { crate::fs::sync_names(folder).map_err(failed("sync", folder)) } else { Ok(()) }
}
