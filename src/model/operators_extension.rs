//! Extensions of the operator's own dialplan.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Code, Invalid, ObjectName, quoted, text_type};

text_type! {
    /// The name of an extension of the operator's own dialplan, as it is in a call: no pattern, which begins with `_`, and
    /// nothing that means something in an argument.
    ExtensionName,
    |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.+-*#".contains(&b);
        if (1..=79).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('_') {
            return Ok(text.to_owned());
        }
        let hint = if text.starts_with('_') {
            "a call goes to one extension: write one that the pattern matches, such as `s` or `100`"
        } else {
            "use letters, digits and `_ . + - * #`, at most 79 characters, such as `s` or `100`"
        };
        Err(Invalid::new(Code::InvalidTarget, format!("{} is not an extension of a dialplan", quoted(text)), hint))
    },
    { "type": ["string", "integer"], "pattern": "^[A-Za-z0-9.+*#-][A-Za-z0-9_.+*#-]{0,78}$" }
}

/// An extension of the operator's own dialplan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperatorsExtension {
    /// The context that it is in, or that leads to it by an `include`.
    pub context: ObjectName,
    /// Its name.
    pub extension: ExtensionName,
}

/// Writes it in one word that names nothing else.
impl fmt::Display for OperatorsExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dialplan:{}@{}", self.extension, self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_no_pattern_and_no_argument() {
        let long = "1".repeat(79);
        for name in ["s", "100", "+4930", "*97", "#9", "a-b", "a_b", "main.menu", &long] {
            assert_eq!(name.parse::<ExtensionName>().unwrap().as_str(), name);
        }
        let too_long = "1".repeat(80);
        for bad in [
            "", "_1XX", "_", "s,1", "s;x", "${EXTEN}", "$[1]", "a b", "a&b", "a|b", "a/b", "a@b", "a(b)", "ä", "a\n",
            "a\\", "a\"b", "a^b", "a~b", "a!", "[1]", "a:b", &too_long,
        ] {
            assert!(bad.parse::<ExtensionName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_other_destination_reads_the_same() {
        let at = OperatorsExtension { context: "ivr".parse().unwrap(), extension: "s".parse().unwrap() };
        assert_eq!(at.to_string(), "dialplan:s@ivr");
        assert!(at.to_string().parse::<crate::model::Email>().is_err());
        assert!(at.to_string().parse::<ObjectName>().is_err());
    }
}
