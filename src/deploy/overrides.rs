//! Whether other files change what our files define: a section `[1000](+)` behind the include adds
//! options to our endpoint, and a section with the name of our context adds extensions to it. The marks
//! and the names of our objects stay as they are, so only reading the files finds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{Host, Override, includes};
use crate::{
    asterisk::{ConfigFile, Sections, lines},
    fs::FileError,
    model::{Tenant, printable},
    render::{Parsed, parse, section_names},
};

impl Host {
    /// Finds sections in other files that change what the files of a tenant define. Costs one reading of
    /// all files that Asterisk reads.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn overrides(&self, tenant: &Tenant) -> Result<Vec<Override>, FileError> {
        let mut found = Vec::new();
        for file in ConfigFile::ALL {
            found.extend(self.overrides_of(file, tenant)?);
        }
        Ok(found)
    }

    fn overrides_of(&self, file: ConfigFile, tenant: &Tenant) -> Result<Vec<Override>, FileError> {
        let Ok(ours) = fs::canonicalize(self.path(&file.path(tenant))) else { return Ok(Vec::new()) };
        let files = includes::read(&self.config_dir, &self.path(file.facts().includer))?;
        let is_ours = |file: &&includes::ReadFile| fs::canonicalize(&file.path).is_ok_and(|path| path == ours);
        let Some(generated) = files.iter().find(is_ours) else { return Ok(Vec::new()) };
        let parsed = parse(&generated.text);
        let ours = Ours::of(&generated.text, &parsed);
        let others = files.iter().filter(|file| file.path != generated.path);
        let found = others.flat_map(|other| {
            let path = includes::below(&self.config_dir, &other.path);
            sections(&other.text, file.facts().sections, &ours).into_iter().map(move |found| Override {
                place: format!("{path}:{}", found.line),
                name: found.name,
                keys: found.keys,
            })
        });
        Ok(found.collect())
    }
}

/// What a generated file defines.
struct Ours<'a> {
    /// The names of its sections, in lower case: Asterisk adds to a section whatever the case of its name.
    names: BTreeMap<String, &'a str>,
    /// Those of declared objects, to which an operator may add options that they do not give.
    objects: BTreeSet<String>,
    /// The options that stand anywhere in it.
    options: BTreeSet<&'a str>,
}

impl<'a> Ours<'a> {
    fn of(text: &'a str, parsed: &'a Parsed) -> Self {
        let options = text.lines().filter(|line| !line.starts_with(';')).filter_map(|line| line.split_once('='));
        Self {
            names: section_names(text).map(|name| (name.to_ascii_lowercase(), name)).collect(),
            objects: parsed.objects.keys().map(|name| name.to_ascii_lowercase()).collect(),
            options: options.map(|(key, _)| key.trim()).collect(),
        }
    }
}

/// A section that changes one of our objects.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    line: usize,
    name: String,
    keys: Vec<String>,
    /// Whether it changes ours whatever options it names.
    certain: bool,
}

/// Finds the sections in a text that change one of ours: `[name](+)`, `[name](+type=endpoint)`, and for contexts also
/// `[name]`, because contexts of one name are one. Whoever adds to a trunk, by type, options that it does not give changes
/// none of it; without a type they go to its first section, whatever that is.
fn sections(text: &str, kind: Sections, ours: &Ours<'_>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut inside = None;
    for (line, text) in lines(text) {
        if let Some((name, options)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let options = options.trim().trim_start_matches('(').trim_end_matches(')');
            let options: Vec<&str> = options.split(',').map(str::trim).filter(|option| !option.is_empty()).collect();
            let (adding, templates): (Vec<&str>, Vec<&str>) =
                options.iter().partition(|option| option.starts_with('+'));
            let lower = name.to_ascii_lowercase();
            let own =
                ours.names.get(&lower).filter(|own| !adding.is_empty() || **own == name && kind == Sections::Contexts);
            inside = own.map(|own| {
                let certain = kind == Sections::Contexts || !templates.is_empty();
                found.push(Found { line, name: (*own).to_owned(), keys: Vec::new(), certain });
                ours.objects.contains(&lower) && adding.iter().all(|option| option.len() > 1)
            });
        } else if let (Some(only_ours), Some(found), Some((key, _))) = (inside, found.last_mut(), text.split_once('='))
        {
            let key = key.trim_end_matches([' ', '\t', '+']).to_ascii_lowercase();
            let counts = !only_ours || ours.options.contains(key.as_str());
            let key = printable(&key);
            // The entries of a context, such as `exten` and `same`, say nothing more than that there is something.
            if kind == Sections::Objects && counts && !found.keys.contains(&key) {
                found.keys.push(key);
            }
        }
    }
    found.retain(|found| found.certain || !found.keys.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_adds_to_one_of_ours_is_found_with_its_line_and_options() {
        let names = ["1000", "acme-trunk-carrier", "acme-internal"].map(|name| (name.to_owned(), name));
        let ours = Ours {
            names: BTreeMap::from(names),
            objects: BTreeSet::from(["acme-trunk-carrier".to_owned()]),
            options: BTreeSet::from(["context", "allow"]),
        };
        let found = |text: &str, kind| {
            let found = sections(text, kind, &ours).into_iter();
            found.map(|found| (found.line, found.name, found.keys)).collect::<Vec<_>>()
        };
        let one = |line, name: &str, keys: &[&str]| {
            vec![(line, name.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())]
        };
        let text = "[operator]\ncontext = x\n\n[1000](+) ; theirs\ncontext=other\n;allow = alaw\nallow => ulaw\n[next]\na = b\n";
        assert_eq!(found(text, Sections::Objects), one(4, "1000", &["context", "allow"]));
        assert_eq!(found("[1000](tpl,+)\n", Sections::Objects), one(1, "1000", &[]));
        for head in ["[1000](+type=endpoint)", "[1000]( +type=endpoint )", "[1000];-- x --;(+type=endpoint)"] {
            for option in
                ["Context=other", "context += other", ";-- x --; context = other", "context ;-- x --; = other"]
            {
                let text = format!("{head}\n{option}\n");
                assert_eq!(found(&text, Sections::Objects), one(1, "1000", &["context"]), "{text}");
            }
        }
        // To a trunk an operator may add what it does not give; without a type it goes to the first section.
        let trunk =
            |head: &str| found(&format!("[acme-trunk-carrier]({head})\nmedia_encryption = sdes\n"), Sections::Objects);
        assert_eq!(trunk("+type=endpoint"), []);
        assert_eq!(trunk("+"), one(1, "acme-trunk-carrier", &["media_encryption"]));
        assert_eq!(
            found("[ACME-TRUNK-CARRIER](+type=endpoint)\ncontext = evil\n", Sections::Objects),
            one(1, "acme-trunk-carrier", &["context"])
        );
        assert_eq!(
            found("[1000](+type=endpoint)\nmedia_encryption = sdes\n", Sections::Objects),
            one(1, "1000", &["media_encryption"])
        );
        assert_eq!(found("[1000](+)\n", Sections::Objects), []);
        assert_eq!(
            found("[ACME-INTERNAL](+)\nexten => 112,1,Hangup()\n", Sections::Contexts),
            one(1, "acme-internal", &[])
        );
        assert_eq!(found("[ACME-INTERNAL]\nexten => 112,1,Hangup()\n", Sections::Contexts), []);
        // A section of its own is another matter: the name is taken.
        assert_eq!(found("[1000]\ncontext=other\n", Sections::Objects), []);
        assert_eq!(found("[1001](+)\n", Sections::Objects), []);
        assert_eq!(found(";--\n[1000](+)\n--;\n;[1000](+)\n", Sections::Objects), []);
        for text in ["[acme-internal]\nexten => 112,1,Hangup()\n", "[acme-internal](+)\nexten => 112,1,Hangup()\n"] {
            assert_eq!(found(text, Sections::Contexts), one(1, "acme-internal", &[]));
        }
    }
}
