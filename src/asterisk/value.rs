//! Values and names that may stand in an Asterisk configuration line: the only way into one.
//!
//! Source of the rules: Asterisk's `main/config.c` and `res/res_pjsip`, tried on Asterisk 22.10.

use std::fmt;

use crate::model::{DisplayName, Extension, first_unprintable};

/// A value that cannot be written so that Asterisk reads the same back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of `{what}` cannot be written to Asterisk's configuration: {reason}")]
pub struct BadValue {
    /// What it was for.
    pub what: &'static str,
    /// Why not; the value is not quoted.
    pub reason: &'static str,
}

/// The longest value that is written, in bytes. Asterisk skips lines over 8190.
const MAX: usize = 2000;

/// The right-hand side of a line, already escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// Takes any text that one line can hold: `;` is escaped, the rest is literal.
    ///
    /// # Errors
    /// When the text is empty, too long, begins or ends with a blank, begins with `>` (which
    /// would become part of the `=>`), or holds control or direction-override characters.
    pub fn new(what: &'static str, text: &str) -> Result<Self, BadValue> {
        let refuse = |reason| Err(BadValue { what, reason });
        if text.is_empty() {
            refuse("it is empty")
        } else if text.len() > MAX {
            refuse("it is too long")
        } else if first_unprintable(text).is_some() {
            refuse("it holds a control or invisible character")
        } else if text.trim() != text {
            refuse("it begins or ends with a space")
        } else if text.starts_with('>') {
            refuse("it begins with `>`")
        } else if text.ends_with('\\') || text.contains("\\;") {
            refuse("it holds a backslash that Asterisk would read as an escape")
        } else {
            Ok(Self(text.replace(';', "\\;")))
        }
    }

    /// Writes a caller id: the part of the name that phones get to see, and the number.
    ///
    /// # Errors
    /// Never for names that were parsed; the check is made all the same.
    pub fn caller_id(name: &DisplayName, number: Extension) -> Result<Self, BadValue> {
        let name = name.shown().trim_end().replace('\\', "\\\\").replace('"', "\\\"");
        // Not through `new`: behind a doubled backslash a `;` is escaped like any other.
        if first_unprintable(&name).is_some() {
            return Err(BadValue { what: "callerid", reason: "it holds a control or invisible character" });
        }
        Ok(Self(format!("\"{}\" <{number}>", name.replace(';', "\\;"))))
    }

    /// Returns the escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a value as Asterisk's configuration reader does: up to the first `;` that is not escaped,
/// without the blanks around it, escapes resolved.
pub fn read_value(line: &str) -> String {
    let mut value = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ';' => break,
            '\\' if rest.peek() == Some(&';') => {
                value.push(';');
                rest.next();
            }
            _ => value.push(c),
        }
    }
    value.trim_matches([' ', '\t']).to_owned()
}

/// A section, context or object name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Takes letters, digits and `_ . + -`, at most 79 bytes.
    ///
    /// # Errors
    /// When anything else is in it.
    pub fn new(text: String) -> Result<Self, BadValue> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.+-".contains(&b);
        if (1..=79).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text))
        } else {
            Err(BadValue { what: "a section name", reason: "only letters, digits and `_ . + -` are safe, at most 79" })
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_values_are_rejected_or_harmless() {
        for bad in ["", "a\nb", "a\rb", "a\0b", ">x", " x", "x\t", "a\u{202e}b", "tr\\", "a\\;b"] {
            assert!(Value::new("test", bad).is_err(), "{bad:?}");
        }
        assert!(Value::new("test", &"x".repeat(9000)).is_err());
        assert_eq!(Value::new("test", "a;--b --; #exec").unwrap().as_str(), "a\\;--b --\\; #exec");
    }

    /// Undoes a caller id as Asterisk does: the configuration layer, then the quoted string.
    fn name_on_the_wire(value: &Value) -> String {
        let text = read_value(value.as_str());
        let quoted = text.rsplit_once("\" <").unwrap().0.strip_prefix('"').unwrap();
        let mut name = String::new();
        let mut escaped = false;
        for c in quoted.chars() {
            if c == '\\' && !escaped {
                escaped = true;
            } else {
                assert!(c != '"' || escaped, "an unescaped quote ends the name");
                name.push(c);
                escaped = false;
            }
        }
        assert!(!escaped, "a lone backslash ends the name");
        name
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_value_is_read_back_as_it_was(text in any::<String>()) {
            if let Ok(value) = Value::new("test", &text) {
                prop_assert_eq!(read_value(value.as_str()), text);
                prop_assert!(!value.as_str().contains('\n'));
            }
        }

        #[test]
        fn a_value_of_nasty_pieces_is_read_back_as_it_was(
            pieces in prop::collection::vec(
                prop::sample::select(vec![";", ";--", "--;", "\\", "\"", "[", "]", "#exec ", "=>", "=", "${X}", " ", "é", "a"]),
                1..12,
            )
        ) {
            let text = pieces.concat();
            if let Ok(value) = Value::new("test", &text) {
                prop_assert_eq!(read_value(value.as_str()), text);
            }
        }

        #[test]
        fn a_name_reaches_the_wire_as_it_was(text in "[\\PC]{1,60}") {
            if let Ok(name) = text.parse::<DisplayName>() {
                let value = Value::caller_id(&name, "1001".parse().unwrap()).unwrap();
                prop_assert_eq!(name_on_the_wire(&value), name.shown().trim_end());
            }
        }
    }
}
