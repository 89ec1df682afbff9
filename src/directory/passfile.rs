//! The password file of libpq: `PGPASSFILE`, or `~/.pgpass`.
//!
//! Each line is `host:port:database:user:password`; the first line that fits counts. A field `*` fits anything, and
//! a backslash stands before a `:` or `\` that is meant itself. A file that others may read is not used.

use std::{
    fs::File,
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use zeroize::Zeroizing;

/// The largest password file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a password is looked up by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    /// The host's name or address; `localhost` for a socket in the usual folder.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// A password file.
pub(super) struct Passfile(Zeroizing<String>);

impl Passfile {
    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// Says in words why the file that is there is not used.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let refused = |why: &str| format!("the password file `{}` is not used: {why}", path.display());
        // A pipe without a writer would keep a plain open waiting.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = match File::options().read(true).custom_flags(nonblock).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(&error.to_string())),
        };
        let about = file.metadata().map_err(|error| refused(&error.to_string()))?;
        if !about.is_file() {
            return Err(refused("it is not a regular file"));
        }
        if about.mode() & 0o077 != 0 {
            return Err(refused("others may read it; run `chmod 0600` on it"));
        }
        let bytes =
            crate::input::take(file, MAX_BYTES).map(Zeroizing::new).map_err(|error| refused(&error.to_string()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is not UTF-8 text"))?;
        Ok(Some(Self(Zeroizing::new(text.to_owned()))))
    }

    /// Finds the password for a server.
    pub(super) fn password(&self, server: Server<'_>) -> Option<Zeroizing<String>> {
        let port = server.port.to_string();
        let wanted = [server.host, &port, server.database, server.user];
        self.0.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let mut rest = line;
            for wanted in wanted {
                let (field, behind) = field(rest)?;
                if rest[..rest.len() - behind.len() - 1] != *"*" && *field != *wanted {
                    return None;
                }
                rest = behind;
            }
            // The password ends with the line, or with a `:` of its own.
            let password = field(&Zeroizing::new([rest, ":"].concat()))?.0;
            (!password.is_empty()).then_some(password)
        })
    }
}

/// Reads up to the next `:`; answers with what is behind it.
fn field(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next().map_or('\\', |(_, c)| c)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str, host: &str, user: &str) -> Option<String> {
        let server = Server { host, port: 5432, database: "pbx", user };
        Passfile(Zeroizing::new(text.to_owned())).password(server).map(|password| password.to_string())
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        let text = "# a comment:*:*:*:no\n\nbroken\ndb:5433:*:*:other-port\ndb:5432:other:*:other-database\n\
                    db:5432:pbx:ana:of-ana\ndb:*:*:*:of-db\n*:*:*:*:of-all\n*:*:*:*:too late\n";
        assert_eq!(look(text, "db", "ana").as_deref(), Some("of-ana"));
        assert_eq!(look(text, "db", "bo").as_deref(), Some("of-db"));
        assert_eq!(look(text, "db2", "bo").as_deref(), Some("of-all"));
        assert_eq!(look("db:5432:pbx:bo:x\n", "db", "ana"), None);
        assert_eq!(look("db:5432:pbx:ana:\n", "db", "ana"), None);
    }

    #[test]
    fn escapes_are_resolved_in_every_field() {
        let text = "fe80\\:\\:1:5432:pbx:a\\\\b:p\\:a\\\\ss ü:behind\n";
        assert_eq!(look(text, "fe80::1", "a\\b").as_deref(), Some("p:a\\ss ü"));
        assert_eq!(look("\\*:*:*:*:star\n", "db", "ana"), None);
        assert_eq!(look("\\*:*:*:*:star\n", "*", "ana").as_deref(), Some("star"));
    }
}
