//! Whether other files change what our files define: a section `[1000](+)` behind the include adds
//! options to our endpoint, and a section with the name of our context adds extensions to it. The marks
//! and the names of our objects stay as they are, so only reading the files finds it.

use std::{collections::BTreeSet, fs};

use super::{Host, Override, includes};
use crate::{
    asterisk::{ConfigFile, Sections},
    model::{Tenant, printable},
    render::section_names,
};

impl Host {
    /// Finds sections in other files that change what the files of a tenant define. Costs one reading of
    /// all files that Asterisk reads.
    pub(super) fn overrides(&self, tenant: &Tenant) -> Vec<Override> {
        ConfigFile::ALL.into_iter().flat_map(|file| self.overrides_of(file, tenant)).collect()
    }

    fn overrides_of(&self, file: ConfigFile, tenant: &Tenant) -> Vec<Override> {
        let Ok(ours) = fs::canonicalize(self.path(&file.path(tenant))) else { return Vec::new() };
        let files = includes::read(&self.config_dir, &self.path(file.facts().includer));
        let is_ours = |file: &&includes::ReadFile| fs::canonicalize(&file.path).is_ok_and(|path| path == ours);
        let Some(generated) = files.iter().find(is_ours) else { return Vec::new() };
        let names: BTreeSet<&str> = section_names(&generated.text).collect();
        let others = files.iter().filter(|file| file.path != generated.path);
        let found = others.flat_map(|other| {
            let path = includes::below(&self.config_dir, &other.path);
            sections(&other.text, file.facts().sections, &names).into_iter().map(move |found| Override {
                place: format!("{path}:{}", found.line),
                name: found.name,
                keys: found.keys,
            })
        });
        found.collect()
    }
}

/// A section that changes one of our objects.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    line: usize,
    name: String,
    keys: Vec<String>,
}

/// Finds the sections in a text that add to one of these names: `[name](+)`, and for contexts also `[name]`,
/// because contexts of one name are one.
fn sections(text: &str, kind: Sections, names: &BTreeSet<&str>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut inside = false;
    for (line, text) in includes::lines(text) {
        let text = text.split(';').next().unwrap_or_default().trim();
        if let Some((name, options)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let options = options.trim().trim_start_matches('(').trim_end_matches(')');
            let adds = options.split(',').any(|option| option.trim() == "+");
            inside = names.contains(name) && (adds || kind == Sections::Contexts);
            if inside {
                found.push(Found { line, name: name.to_owned(), keys: Vec::new() });
            }
        } else if let (true, Some(found), Some((key, _))) = (inside, found.last_mut(), text.split_once('=')) {
            let key = printable(key.trim());
            // The entries of a context, such as `exten` and `same`, say nothing more than that there is something.
            if kind == Sections::Objects && !found.keys.contains(&key) {
                found.keys.push(key);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_adds_to_one_of_ours_is_found_with_its_line_and_options() {
        let names = BTreeSet::from(["1000", "acme-internal"]);
        let found = |text: &str, kind| sections(text, kind, &names);
        let one = |line, name: &str, keys: &[&str]| {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            vec![Found { line, name: name.to_owned(), keys }]
        };
        let text = "[operator]\ncontext = x\n\n[1000](+) ; theirs\ncontext=other\n;allow = alaw\nallow => ulaw\n[next]\na = b\n";
        assert_eq!(found(text, Sections::Objects), one(4, "1000", &["context", "allow"]));
        assert_eq!(found("[1000](tpl,+)\n", Sections::Objects), one(1, "1000", &[]));
        // A section of its own is another matter: the name is taken.
        assert_eq!(found("[1000]\ncontext=other\n", Sections::Objects), []);
        assert_eq!(found("[1001](+)\n", Sections::Objects), []);
        assert_eq!(found(";--\n[1000](+)\n--;\n;[1000](+)\n", Sections::Objects), []);
        for text in ["[acme-internal]\nexten => 112,1,Hangup()\n", "[acme-internal](+)\nexten => 112,1,Hangup()\n"] {
            assert_eq!(found(text, Sections::Contexts), one(1, "acme-internal", &[]));
        }
    }
}
