//! What Asterisk shows of an object.

use std::collections::BTreeMap;

/// Reads the `key : value` lines of a `pjsip show`. The head of the table has the same form, and is left out.
pub(crate) fn parameters(answer: &str) -> BTreeMap<String, String> {
    answer
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .filter(|(key, _)| key.trim() != "ParameterName")
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}
