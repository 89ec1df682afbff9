//! The patch of the operator's own files: imported sections out, our include lines in.
//!
//! Lines that go would stand in the patch with the passwords in them. So nothing is removed: the sections are enclosed in
//! a block comment, which Asterisk passes over, and the patch adds lines only. Its context are lines that hold no value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Component, Path},
};

use super::{
    LeftOut, Rank, Refused,
    conf::{Config, Files, Keep, Line, Section, SourceFile, read},
};
use crate::{asterisk::lines, model::printable};

/// The line above sections that were taken over.
const BEGIN: &str = ";-- taken over by reconcile";

/// The line below them.
const END: &str = "--;";

/// A file and what it includes, with what its sections are kept of.
pub(crate) struct Tree<'a> {
    pub(crate) top: &'a str,
    pub(crate) config: &'a Config,
    pub(crate) keep: Keep,
}

/// A line to add at the end of a file.
pub(crate) struct Appended<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: String,
    pub(crate) line: &'static str,
}

/// What is changed of a file, by the number of the line behind which lines are added.
#[derive(Default)]
struct Added {
    text: String,
    lines: BTreeMap<usize, Vec<String>>,
}

/// Writes the patch, for `patch -p1` in the configuration folder. Lists what it cannot take out.
///
/// # Errors
/// If the sections cannot be enclosed so that Asterisk reads all others as before.
pub(crate) fn patch(
    files: &dyn Files,
    trees: &[Tree<'_>],
    imported: &BTreeSet<String>,
    appended: &[Appended<'_>],
    left_out: &mut Vec<LeftOut>,
) -> Result<String, Refused> {
    let mut changes: BTreeMap<String, Added> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for Tree { top, config, keep } in trees {
        let gone = going(config, imported, &mut found, left_out);
        if gone.is_empty() {
            continue;
        }
        require_own(config, &gone)?;
        let mut going: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (file, line) in gone.iter().flat_map(|index| &config.sections[*index].lines) {
            going.entry(*file).or_default().insert(*line);
        }
        for (file, going) in going {
            let SourceFile { name, text } = &config.files[file];
            let added = enclosed(name, text, &going)?;
            changes.insert(name.clone(), added);
        }
        let patched =
            Patched { files, texts: changes.iter().map(|(name, added)| (name.as_str(), added.after())).collect() };
        require_same(config, &gone, &read(&patched, top, keep)?)?;
    }
    for name in imported.difference(&found) {
        let what = "not in these files, as an endpoint of a database: the patch does not take it out";
        left_out.push(LeftOut::new(Rank::Phone, format!("endpoint {}", printable(name)), what));
    }
    for Appended { file, text, line } in appended {
        require_end(file, text)?;
        let added =
            changes.entry((*file).to_owned()).or_insert_with(|| Added { text: text.clone(), ..Added::default() });
        added.lines.entry(text.lines().count()).or_default().push((*line).to_owned());
    }
    Ok(changes.iter().map(|(name, added)| added.diff(name)).collect())
}

/// Finds the sections of imported endpoints, and of auths and AORs that no other endpoint uses.
fn going(
    config: &Config,
    imported: &BTreeSet<String>,
    found: &mut BTreeSet<String>,
    left_out: &mut Vec<LeftOut>,
) -> BTreeSet<usize> {
    let is_real = |section: &&Section| !section.is_template;
    let kind = |section: &Section| section.option("type").to_ascii_lowercase();
    let is_endpoint = |section: &Section| ["endpoint", "wizard"].contains(&kind(section).as_str());
    let uses = |stay: bool| -> BTreeSet<(&str, &str)> {
        let endpoints = config.sections.iter().filter(is_real).filter(|section| is_endpoint(section));
        let endpoints = endpoints.filter(|section| imported.contains(&section.name) != stay);
        let mut used = BTreeSet::new();
        for section in endpoints {
            for (kind, key) in [("auth", "auth"), ("aor", "aors")] {
                let names = section.option(key).split(',').map(str::trim);
                used.extend(names.filter(|name| !name.is_empty()).map(|name| (kind, name)));
            }
        }
        used
    };
    let (ours, theirs) = (uses(false), uses(true));
    let mut going = BTreeSet::new();
    for (index, section) in config.sections.iter().enumerate().filter(|(_, section)| is_real(section)) {
        let kind = kind(section);
        if is_endpoint(section) && imported.contains(&section.name) {
            found.insert(section.name.clone());
            going.insert(index);
        } else if ours.contains(&(kind.as_str(), section.name.as_str())) {
            if theirs.contains(&(kind.as_str(), section.name.as_str())) {
                let what = format!("the {kind} stays, because another endpoint uses it, too");
                left_out.push(LeftOut::new(Rank::Small, config.place(section.line), what));
            } else {
                going.insert(index);
            }
        }
    }
    going
}

/// Makes sure that no other program writes these files, and that they are in the folder.
fn require_own(config: &Config, gone: &BTreeSet<usize>) -> Result<(), Refused> {
    if config.files.iter().any(|file| file.name == "pjsip.endpoint.conf") {
        let hint = "set up a new host with the imported file, then point the phones to it";
        return Err(Refused::new("FreePBX writes these files anew at each of its reloads: no patch lasts", hint));
    }
    let outside = gone.iter().flat_map(|index| &config.sections[*index].lines);
    let outside = outside
        .map(|(file, _)| &config.files[*file].name)
        .find(|name| name.starts_with('/') || Path::new(name).components().any(|part| part == Component::ParentDir));
    match outside {
        Some(name) => {
            let message = format!("`{name}` is outside the configuration folder, where `patch` changes nothing");
            Err(Refused::new(message, "move it there, or take its sections out by hand"))
        }
        None => Ok(()),
    }
}

fn require_end(name: &str, text: &str) -> Result<(), Refused> {
    if text.is_empty() || text.ends_with('\n') {
        return Ok(());
    }
    let message = format!("the last line of {name} does not end, and the patch would have to quote it");
    Err(Refused::new(message, format!("run `echo >> {name}` in the configuration folder")))
}

/// Encloses runs of going lines, as long as no line between them stays.
fn enclosed(name: &str, text: &str, going: &BTreeSet<usize>) -> Result<Added, Refused> {
    require_end(name, text)?;
    let mut added = Added { text: text.to_owned(), ..Added::default() };
    let mut run: Option<Line> = None;
    let mut close = |run: Option<Line>| {
        if let Some((first, last)) = run {
            added.lines.entry(first - 1).or_default().push(BEGIN.to_owned());
            added.lines.entry(last).or_default().push(END.to_owned());
        }
    };
    for (line, _) in lines(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        if going.contains(&line) {
            run = Some((run.map_or(line, |(first, _)| first), line));
        } else {
            close(run.take());
        }
    }
    close(run);
    Ok(added)
}

/// The files with the changes in them.
struct Patched<'a> {
    files: &'a dyn Files,
    texts: BTreeMap<&'a str, String>,
}

impl Files for Patched<'_> {
    fn find(&self, name: &str) -> Result<Vec<String>, String> {
        self.files.find(name)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self.texts.get(name) {
            Some(text) => Ok(Some(text.clone().into_bytes())),
            None => self.files.read(name),
        }
    }
}

/// Makes sure that the patched files hold all other sections as before, and none of those that go.
fn require_same(before: &Config, gone: &BTreeSet<usize>, after: &Config) -> Result<(), Refused> {
    let stays =
        before.sections.iter().enumerate().filter(|(index, _)| !gone.contains(index)).map(|(_, section)| section);
    let same = |one: &Section, other: &Section| {
        (&one.name, one.is_template, &one.options, &one.codecs)
            == (&other.name, other.is_template, &other.options, &other.codecs)
    };
    if after.faults.is_empty()
        && stays.clone().count() == after.sections.len()
        && stays.zip(&after.sections).all(|(one, other)| same(one, other))
    {
        return Ok(());
    }
    let first = gone.first().map_or_else(String::new, |index| before.place(before.sections[*index].line));
    Err(Refused::new(
        format!(
            "the sections from {first} on cannot be commented out: other sections depend on them, or comments end in them"
        ),
        "take the imported sections out by hand",
    ))
}

impl Added {
    /// Writes the file as it is after the patch.
    fn after(&self) -> String {
        let mut after = String::new();
        let add = |number: usize, after: &mut String| {
            for line in self.lines.get(&number).into_iter().flatten() {
                let _ = writeln!(after, "{line}");
            }
        };
        add(0, &mut after);
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            after.push_str(line);
            add(index + 1, &mut after);
        }
        after
    }

    /// Writes the difference. A hunk has at most the next line for context, so that the offset of one that has none is
    /// known by then.
    fn diff(&self, name: &str) -> String {
        // A tab ends a name with blanks.
        let tab = if name.contains(' ') { "\t" } else { "" };
        let mut diff = format!("--- a/{name}{tab}\n+++ b/{name}{tab}\n");
        let old: Vec<&str> = self.text.split('\n').collect();
        let mut shift = 0;
        for (behind, lines) in &self.lines {
            let next = old.get(*behind).filter(|next| *behind + 1 < old.len() && holds_no_value(next));
            let (count, new) = (lines.len(), behind + shift + 1);
            let _ = match next {
                Some(_) => writeln!(diff, "@@ -{},1 +{new},{} @@", behind + 1, count + 1),
                None => writeln!(diff, "@@ -{behind},0 +{new},{count} @@"),
            };
            for line in lines {
                let _ = writeln!(diff, "+{line}");
            }
            if let Some(next) = next {
                let _ = writeln!(diff, " {next}");
            }
            shift += count;
        }
        diff
    }
}

/// Tells whether a line can be quoted: it is empty, or the head of a section, or an include.
fn holds_no_value(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with(['[', '#']) && !line.contains(';')
}
