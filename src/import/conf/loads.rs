//! What keeps Asterisk 22 from loading an object: an option that it does not have, or a text in the place of a number.

use super::{Config, Line, Section};
use crate::{
    import::{answers::Options, settings::default_of},
    model::printable,
};

/// Options that Asterisk 22 takes and does not show of an object, by kind. A test compares both lists with its documentation.
const UNSHOWN: &str = include_str!("unshown.txt");

/// How many characters of an option's name are shown.
const SHOWN: usize = 40;

/// How many templates are searched for the line of an option.
const MOST_TEMPLATES: usize = 1000;

/// An option for which Asterisk drops the object.
pub(super) struct BadOption<'a> {
    pub(super) key: &'a str,
    what: String,
}

impl BadOption<'_> {
    /// Says why the object is dropped.
    pub(super) fn at(&self, place: &str) -> String {
        format!("not imported, because Asterisk does not load it: {place} {}", self.what)
    }
}

/// Finds the first option for which Asterisk drops an object.
pub(super) fn bad_option<'a>(kind: &str, options: &'a Options) -> Option<BadOption<'a>> {
    options.iter().find_map(|(key, value)| {
        let what = fault(kind, key, value)?;
        let shown: String = printable(key).chars().take(SHOWN).collect();
        Some(BadOption { key, what: format!("`{shown}` {what}") })
    })
}

fn fault(kind: &str, key: &str, value: &str) -> Option<String> {
    if kind == "endpoint" && key.starts_with('@') {
        return None;
    }
    match default_of(kind, key) {
        None if is_unshown(kind, key) => None,
        None => Some(format!("is no option of an {kind}")),
        // A class of service may have a name.
        Some(_) if key.starts_with("tos_") => None,
        Some(default) => {
            let needs_number = default.parse::<f64>().is_ok();
            (needs_number && value.parse::<f64>().is_err()).then(|| "is no number".to_owned())
        }
    }
}

fn is_unshown(kind: &str, key: &str) -> bool {
    let lines = UNSHOWN.lines().skip_while(|line| line.trim_matches(['[', ']']) != kind).skip(1);
    lines.take_while(|line| !line.starts_with('[')).any(|line| line == key)
}

/// Finds the line of an option, which may be one of a template.
pub(super) fn line_of(config: &Config, section: &Section, key: &str) -> Line {
    let mut next = vec![section];
    for _ in 0..MOST_TEMPLATES {
        let Some(section) = next.pop() else { break };
        if let Some(line) = section.places.get(key) {
            return *line;
        }
        next.extend(section.bases.iter().map(|base| &config.sections[*base]));
    }
    section.line
}
