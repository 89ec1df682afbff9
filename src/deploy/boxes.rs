//! Whether Asterisk runs the voicemail boxes of a file, by its own list of them. It shows no PIN.

use std::collections::BTreeMap;

use super::{
    asterisk::{Asterisk, AsteriskError},
    mismatch::Mismatch,
};
use crate::render::{Parsed, ParsedBox};

/// Names the boxes of a file that do not run, and those under whose number another entry runs: of entries with one number
/// Asterisk takes the first, and says so only in its log.
pub(super) fn differing(asterisk: &Asterisk, file: &Parsed) -> Result<Vec<Mismatch>, AsteriskError> {
    let (mut missing, mut others) = (Vec::new(), Vec::new());
    for (context, boxes) in &file.boxes {
        let answer = asterisk.ask(&format!("voicemail show users for {context}"))?;
        let running: BTreeMap<&str, &str> = answer.raw().lines().filter_map(|line| listed(line, context)).collect();
        for (number, ParsedBox { name, .. }) in boxes {
            match running.get(number.as_str()) {
                None => missing.push(number.clone()),
                Some(rest) if !is_named(rest, name) => {
                    others.push(Mismatch::AnotherBox { number: number.clone(), context: context.clone() });
                }
                Some(_) => {}
            }
        }
    }
    if !missing.is_empty() {
        others.push(Mismatch::Missing { kind: "voicemail box", names: missing });
    }
    Ok(others)
}

/// Splits a line of the list, `acme-boxes 1     Ana Silva                            0`, into the number and what follows.
fn listed<'a>(line: &'a str, context: &str) -> Option<(&'a str, &'a str)> {
    let rest = column(line, context, 10)?;
    let number = rest.split(' ').next()?;
    Some((number, column(rest, number, 5)?))
}

/// Takes a column with this text off a line. It has a least width in bytes, and a blank behind it.
fn column<'a>(line: &'a str, text: &str, width: usize) -> Option<&'a str> {
    let (blanks, rest) = line.strip_prefix(text)?.split_at_checked(width.saturating_sub(text.len()) + 1)?;
    blanks.bytes().all(|b| b == b' ').then_some(rest)
}

/// Tells whether a box has this name: what follows it is the time zone, which `[general]` may give all, and the number of
/// new messages.
fn is_named(rest: &str, name: &str) -> bool {
    let Some(tail) = column(rest, name, 25) else { return false };
    let line = |zone: &str, messages: &str| format!("{zone:<10} {messages:>6}");
    match tail.split_whitespace().collect::<Vec<_>>()[..] {
        [messages] => tail == line("", messages),
        [zone, messages] => tail == line(zone, messages),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_read_by_its_columns() {
        let line = |context: &str, number: &str, name: &str, zone: &str| {
            let blanks = " ".repeat(25_usize.saturating_sub(name.len()));
            format!("{context:<10} {number:<5} {name}{blanks} {zone:<10} {:>6}", 3)
        };
        let long = "a name of more than twenty-five bytes";
        for context in ["ab-boxes", "acme-boxes", "a-company-boxes"] {
            for number in ["1", "12345", "123456789"] {
                for name in ["Ana", "Ana Silva", "Zoë Müller", "", long] {
                    for zone in ["", "germany", "a-zone-with-a-long-name"] {
                        let line = line(context, number, name, zone);
                        let (found, rest) = listed(&line, context).unwrap();
                        assert!(found == number && is_named(rest, name), "{line}");
                        assert!(
                            !is_named(rest, "An") && !is_named(rest, "Ana S") && !is_named(rest, &long[..30]),
                            "{line}"
                        );
                    }
                }
            }
        }
        let rest = line("acme-boxes", "1", &format!("{long} x"), "");
        assert!(!is_named(listed(&rest, "acme-boxes").unwrap().1, long));
        assert!(listed("Context    Mbox  User                      Zone       NewMsg", "acme-boxes").is_none());
    }
}
