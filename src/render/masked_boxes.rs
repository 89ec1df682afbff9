//! Masks the voicemail file, in which PINs are plain.
//!
//! A hand edit may give a line any form, and the PIN of a line that Asterisk does not read stays valid: the next apply
//! puts it back. So only lines in the exact form of generated ones are shown, and of all others no digit.

use std::collections::HashSet;

use super::parse::{self, BEFORE_TAG};
use crate::model::{Pin, SENSITIVE, is_tag};

/// How many digits a PIN has.
const PIN_DIGITS: usize = 5;

/// A box in the exact form of a generated line: `17 => -27182,Ana,ana@example.com,,attach=yes|maxsecs=180 ; TAG`. An earlier
/// version wrote no tag.
pub(super) struct BoxLine<'a> {
    pub(super) number: &'a str,
    /// `None` if the line is masked already.
    pub(super) pin: Option<Pin<'a>>,
    /// What is between the PIN and the tag.
    rest: &'a str,
    has_tag: bool,
}

impl BoxLine<'_> {
    /// Writes the line without its secrets.
    pub(super) fn masked(&self) -> String {
        let Self { number, rest, .. } = self;
        let tag = if self.has_tag { format!("{BEFORE_TAG}{SENSITIVE}") } else { String::new() };
        format!("{number} => {SENSITIVE}{rest}{tag}")
    }
}

/// Reads a line if it has that form.
pub(super) fn box_line(line: &str) -> Option<BoxLine<'_>> {
    let (number, value) = line.split_once(" => ")?;
    let (secret, rest) = value.split_at(value.find(',')?);
    let (rest, tag) = match rest.split_once(BEFORE_TAG) {
        Some((rest, tag)) => (rest, Some(tag)),
        None => (rest, None),
    };
    let is_masked = secret == SENSITIVE;
    let pin = if is_masked { None } else { Some(Pin { digits: secret.strip_prefix('-')?, tag }) };
    let is_whole = tag.is_none_or(|tag| if is_masked { tag == SENSITIVE } else { is_tag(tag) });
    let is_number = (1..=9).contains(&number.len()) && is_digits(number);
    let is_pin = pin.is_none_or(|pin| pin.digits.len() == PIN_DIGITS && is_digits(pin.digits));
    let fields: Vec<&str> = rest.split(',').collect();
    let has_fields =
        matches!(fields[..], ["", _, _, "", options] if !options.is_empty() && options.bytes().all(is_option));
    (is_number && is_pin && is_whole && has_fields).then_some(BoxLine { number, pin, rest, has_tag: tag.is_some() })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn is_option(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'=' || b == b'|'
}

/// Tells whether a file has a PIN without a tag beside it, as an earlier version wrote it.
pub(crate) fn has_bare_pins(text: &str) -> bool {
    text.lines().filter_map(box_line).any(|line| !line.has_tag)
}

/// Lists the lines of the file to come, which may be shown of the file in place as well.
pub(super) fn known_lines(new: &str) -> HashSet<&str> {
    new.lines().filter(|line| box_line(line).is_none()).collect()
}

/// Masks a line that is not known and that is no box: the beginning stays, up to the first blank or digit.
pub(super) fn mask_unknown(line: &str) -> String {
    let is_context = |name: &str| {
        let slug = name.strip_suffix("-boxes");
        slug.is_some_and(|slug| slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
    };
    if line.ends_with(']')
        && parse::section(line).is_some_and(|(name, _)| is_context(name) && line.len() == name.len() + 2)
    {
        return line.to_owned();
    }
    let word = &line[..line.find(|c: char| c.is_whitespace() || c.is_numeric()).unwrap_or(line.len())];
    if word.is_empty() { SENSITIVE.to_owned() } else { format!("{word} {SENSITIVE}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Present, diff};
    use crate::asterisk::ConfigFile;

    const PIN: &str = "32485";
    const TAG: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
    const MARK: &str = "0123456789abcdef0123456789abcdef";
    const BEFORE: &str = "; Written by reconcile for the tenant acme\n; directory (directory)\n\n[acme-boxes]\n1 => -";
    const BEHIND: &str = ",Ana Silva,ana@example.com,,attach=yes|minsecs=1|maxsecs=180 ; \
                          a1b2c3d4e5f60718293a4b5c6d7e8f90\n\
                          2 => -27182,Bo Li,bo@example.com,,attach=yes|minsecs=1|maxsecs=180\n\n; generation\n\
                          [acme-generation]\n0123456789abcdef0123456789abcdef => -,\n";

    fn shown(old: &str, new: &str) -> String {
        diff(ConfigFile::Voicemail, Some(&Present::new(old.to_owned())), new, &|_, _| true).text
    }

    fn new() -> String {
        format!("{BEFORE}{PIN}{BEHIND}")
            .replace("-32485", "(sensitive)")
            .replace("-27182", "(sensitive)")
            .replace(TAG, "(sensitive)")
            .replace(MARK, "(generation)")
    }

    /// Edits of a text: where, how many characters go, and what comes.
    fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, &'static str)>> {
        let pieces = vec![
            "",
            "",
            ";",
            "; ",
            "#",
            "\n",
            "\r",
            "=",
            " => ",
            ">",
            " += ",
            ":",
            ",",
            "[",
            "]",
            "[acme-boxes] ",
            "(+)",
            "1",
            "x",
            " ",
            "\t",
            "-",
            "|",
            "é",
            "exten => ",
            "password = ",
            "; directory ",
            "; generation\n",
            "[acme-generation]\n",
        ];
        prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, prop::sample::select(pieces)), 0..6)
    }

    fn edited(text: &str, edits: &[(prop::sample::Index, usize, &str)], near: &impl Fn(usize) -> usize) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        for (at, gone, piece) in edits {
            let at = near(at.index(letters.len() + 1)).min(letters.len());
            let end = (at + gone).min(letters.len());
            letters.splice(at..end, piece.chars());
        }
        letters.into_iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn a_pin_is_shown_in_no_form_that_a_hand_edit_gives_its_line(before in edits(), behind in edits()) {
            let line = BEFORE.rfind('\n').map_or(0, |end| BEFORE[..end].chars().count() + 1);
            // Most edits are made in the line itself, up to the PIN.
            let old = edited(BEFORE, &before, &|at| if at % 4 == 0 { at } else { line + at % 7 });
            let old = format!("{old}{PIN}{}", edited(BEHIND, &behind, &|at| at % 70));
            let shown = shown(&old, &new());
            prop_assert!(!shown.contains(PIN) && !shown.contains(TAG), "{}\n{}", old, shown);
        }
    }

    #[test]
    fn what_is_no_line_of_ours_is_masked_behind_its_first_word() {
        assert_eq!(shown(&format!("{BEFORE}{PIN}{BEHIND}"), &new()), "");
        for (edit, line) in [
            (";1 => -32485", "-; (sensitive)\n"),
            ("; 1 => -32485", "-; (sensitive)\n"),
            ("1 > -32485", "-(sensitive)\n"),
            ("1: -32485", "-(sensitive)\n"),
            ("1 += -32485", "-(sensitive)\n"),
            ("x1 => -32485", "-x (sensitive)\n"),
            ("[acme-boxes] 1 => -32485", "-[acme-boxes] (sensitive)\n"),
            ("1 => 32485", "-(sensitive)\n"),
            ("1 => -,32485", "-(sensitive)\n"),
        ] {
            let old = format!("{BEFORE}{PIN}{BEHIND}").replace("1 => -32485", edit);
            let shown = shown(&old, &new());
            assert!(shown.contains(line) && shown.contains("\n+1 => (sensitive),Ana Silva,"), "{shown}");
            assert!(!shown.contains("32485") && !shown.contains(TAG), "{shown}");
        }
        // An earlier version wrote no tag.
        let bare = shown(&format!("{BEFORE}{PIN}{BEHIND}").replace(&format!(" ; {TAG}"), ""), &new());
        let line = "1 => (sensitive),Ana Silva,ana@example.com,,attach=yes|minsecs=1|maxsecs=180";
        assert!(bare.contains(&format!("\n-{line}\n+{line} ; (sensitive)\n")), "{bare}");
        // A box of ours that goes stays readable.
        let gone = shown(&format!("{BEFORE}{PIN}{BEHIND}"), "; Written by reconcile for the tenant acme\n");
        assert!(gone.contains("-[acme-boxes]\n-1 => (sensitive),Ana Silva,ana@example.com,,attach=yes|"), "{gone}");
    }
}
