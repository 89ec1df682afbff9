//! Texts as YAML: what is written is read as the same text.

use std::fmt::Write;

/// Writes a text as a YAML scalar that is read as this text: plain if it cannot be taken for
/// anything else, otherwise in double quotes.
pub(crate) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " .'_+@-".contains(c);
    // A single word may be a number or `null`; two words or an address are neither.
    let words = text.contains([' ', '@']) && text.starts_with(char::is_alphabetic) && !text.ends_with(' ');
    if words && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // No characters at all by Unicode, which some readers of YAML refuse.
            '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{desired, model::DisplayName};

    fn read_back(email: &str, name: &str) -> Option<(String, String)> {
        let user = format!("  - email: {}\n    name: {}\n    extension: 1000\n", scalar(email), scalar(name));
        let loaded = desired::load_text("pbx.yaml", &format!("version: 1\ntenant: acme\nusers:\n{user}"));
        let (_, user) = loaded.declared?.users.pop_first()?;
        Some((user.email.to_string(), user.name.to_string()))
    }

    /// Pieces that mean something in YAML, and characters that some readers trip over.
    const NASTY: &[&str] = &[
        "\"",
        "'",
        "\\",
        ": ",
        " #",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a",
        "*a",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "~",
        "?",
        "<<",
        "---",
        "...",
        "null",
        "true",
        "no",
        "1e3",
        "0x1f",
        "1_000",
        ".5",
        "\\n",
        "\\u0041",
        "${X}",
        "\u{a0}",
        "\u{200b}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{e000}",
        "\u{10ffff}",
        "é",
        "日本",
        "🎧",
        " ",
        "  ",
        "a",
        "Z",
    ];

    proptest! {
        #[test]
        fn whatever_is_printed_is_read_back(name in "\\PC{1,40}") {
            if let Ok(name) = name.parse::<DisplayName>() {
                let back = read_back("ana@example.com", name.as_str());
                prop_assert_eq!(back, Some(("ana@example.com".to_owned(), name.to_string())));
            }
        }

        #[test]
        fn nasty_pieces_are_read_back(
            pieces in prop::collection::vec(prop::sample::select(NASTY), 1..6),
            local in "[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,20}",
        ) {
            let email = format!("{local}@example.com");
            if let Ok(name) = pieces.concat().parse::<DisplayName>() {
                prop_assert_eq!(read_back(&email, name.as_str()), Some((email, name.to_string())));
            }
        }
    }

    #[test]
    fn ordinary_users_are_written_plainly() {
        let shown = ["ana.silva@example.com", "Ana Silva", "Li", "Zoë O'Neil", "Ana: #1", "-a b"].map(scalar);
        assert_eq!(shown, ["ana.silva@example.com", "Ana Silva", "\"Li\"", "Zoë O'Neil", "\"Ana: #1\"", "\"-a b\""]);
    }
}
