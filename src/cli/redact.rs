//! Keeps people out of the log: e-mail addresses and phone numbers are taken out of every line,
//! wherever in it they come from.

use std::{
    io::{self, Write},
    sync::LazyLock,
};

use regex::{Captures, Regex};

/// An e-mail address; what stands behind `//` is the user of a URL. Or a phone number in E.164 form.
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static PERSONAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(//)?[^\s"'`<>(),;:/@\\=]+@[^\s"'`<>(),;:/@\\]+\.[^\s"'`<>(),;:/@\\.]+|\+\d{3,11}(\d{4})\b"#)
        .expect("a pattern")
});

fn redacted(line: &str) -> String {
    let hide = |found: &Captures<'_>| match (found.get(1), found.get(2)) {
        (Some(_), _) => found[0].to_owned(),
        (None, Some(last)) => format!("***{}", last.as_str()),
        (None, None) => "(e-mail)".to_owned(),
    };
    PERSONAL.replace_all(line, hide).into_owned()
}

/// Writes to stderr a line at a time, redacted.
#[derive(Debug, Default)]
pub(super) struct RedactedStderr;

impl Write for RedactedStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The log hands over whole lines, each in one piece.
        io::stderr().write_all(redacted(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_taken_out_of_a_line() {
        for (line, expected) in [
            (r#"{"message":"`ana.silva@example.com` is a user"}"#, r#"{"message":"`(e-mail)` is a user"}"#),
            ("email=Bo+x@example.co.uk, to=+4930123456", "email=(e-mail), to=***3456"),
            (
                "cannot connect to postgres://pbx@db.example.com/pbx",
                "cannot connect to postgres://pbx@db.example.com/pbx",
            ),
            (
                "runs for ana@host since 2026-11-21T10:00:00.123456Z",
                "runs for ana@host since 2026-11-21T10:00:00.123456Z",
            ),
            ("extension 1042, run 123456789", "extension 1042, run 123456789"),
        ] {
            assert_eq!(redacted(line), expected);
        }
    }
}
