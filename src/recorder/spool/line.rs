//! A line of the spool: a checksum, a blank, and an event as JSON, which has no line breaks.

use serde::ser::Error;

use crate::{calls::Event, model::document};

/// How long a line is at most, in bytes: a request is far smaller.
pub(crate) const LARGEST: usize = 1024 * 1024;

/// Writes an event as a line.
///
/// # Errors
/// When it cannot be written as JSON, or would be longer than is read.
pub fn encode(event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::with_capacity(1024);
    line.extend(b"00000000 ");
    line.extend(document::write(event)?.as_bytes());
    let sum = format!("{:08x}", crc32fast::hash(&line[9..]));
    line[..8].copy_from_slice(sum.as_bytes());
    line.push(b'\n');
    if line.len() > LARGEST {
        return Err(Error::custom("it is too long for a line of the spool"));
    }
    Ok(line)
}

/// Reads a line without its line break, or returns `None` if it is damaged or no known event.
pub fn decode(line: &[u8]) -> Option<Event> {
    let (sum, rest) = line.split_at_checked(8)?;
    let json = rest.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32fast::hash(json)).then(|| document::read(std::str::from_utf8(json).ok()?).ok())?
}
