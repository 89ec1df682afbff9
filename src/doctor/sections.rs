//! The sections of the operator's files, with what their templates give them.

use crate::{asterisk::lines, deploy::OperatorFile};

/// A section that is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSection {
    /// Where it begins, as `file:line`.
    pub(crate) place: String,
    /// Its name.
    pub(crate) name: String,
    /// Its options in lower case with their values, those of its templates first.
    pub(crate) options: Vec<(String, String)>,
    /// Whether it only adds to another one: `[name](+)`.
    adds: bool,
    is_template: bool,
}

impl FileSection {
    /// Returns the last value of an option, which is the one that counts.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Tells whether it is an object of a type.
    pub(crate) fn is_type(&self, kind: &str) -> bool {
        self.value("type").is_some_and(|value| value.eq_ignore_ascii_case(kind))
    }
}

/// Reads the sections of files in their order. What `[name](+)` adds belongs to the first section of the name, and to the
/// type that it names.
pub(crate) fn sections(files: &[OperatorFile]) -> Vec<FileSection> {
    let mut all: Vec<FileSection> = Vec::new();
    for file in files {
        for (line, text) in lines(&file.text) {
            if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                all.push(head(format!("{}:{line}", file.name), name, rest, &all));
            } else if let (Some(section), Some((key, value))) = (all.last_mut(), text.split_once('=')) {
                let key = key.trim_end_matches([' ', '\t', '+']).to_ascii_lowercase();
                section.options.push((key, value.trim_start_matches('>').trim().to_owned()));
            }
        }
    }
    let (adding, mut whole): (Vec<FileSection>, Vec<FileSection>) = all.into_iter().partition(|section| section.adds);
    for added in adding {
        if let Some(first) = whole.iter_mut().find(|section| section.name == added.name) {
            first.options.extend(added.options);
        }
    }
    whole.retain(|section| !section.is_template);
    whole
}

/// Reads the head of a section: `[name](!,template)`.
fn head(place: String, name: &str, rest: &str, before: &[FileSection]) -> FileSection {
    let inherits = rest.trim().strip_prefix('(').and_then(|rest| rest.split(')').next()).unwrap_or_default();
    let words: Vec<&str> = inherits.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let templates = words.iter().filter_map(|word| before.iter().find(|section| section.name == *word));
    let options = templates.flat_map(|template| template.options.clone()).collect();
    let is = |sign: char| words.iter().any(|word| word.starts_with(sign));
    FileSection { place, name: name.to_owned(), options, adds: is('+'), is_template: is('!') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_additions_are_followed() {
        let file = |name: &str, text: &str| OperatorFile { name: name.to_owned(), text: text.to_owned() };
        let files = [
            file("pjsip.conf", "[phone](!)\ntype = endpoint\nauth=>none\n[his](phone) ; mine\nContext = x\n"),
            file("more.conf", "[his](+)\nauth = his\n[bare]\n"),
        ];
        let found = sections(&files);
        let names: Vec<_> = found.iter().map(|section| (section.place.as_str(), section.name.as_str())).collect();
        assert_eq!(names, [("pjsip.conf:4", "his"), ("more.conf:3", "bare")]);
        assert!(found[0].is_type("endpoint") && !found[1].is_type("endpoint"));
        assert_eq!((found[0].value("auth"), found[0].value("context")), (Some("his"), Some("x")));
    }
}
