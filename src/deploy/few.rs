//! How messages name a few of many.

use std::fmt::Display;

/// The most that a message names.
const MOST: usize = 5;

/// Joins the first names and counts the others: `a, b, 3 more`.
pub(super) fn first_few<T: Display>(names: impl ExactSizeIterator<Item = T>) -> String {
    let more = names.len().saturating_sub(MOST);
    let mut parts: Vec<String> = names.take(MOST).map(|name| name.to_string()).collect();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    parts.join(", ")
}
