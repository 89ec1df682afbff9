//! What Asterisk shows of an object.

use std::collections::BTreeMap;

/// Reads the `key : value` lines of a `pjsip show`; the table above them has none.
pub(crate) fn parameters(answer: &str) -> BTreeMap<String, String> {
    answer
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}
