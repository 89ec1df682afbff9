//! The unified diff of a file, with every secret masked and still showing that it changed.
//!
//! Does not depend on time. Large files stay fast: both texts are cut into blocks at blank lines,
//! blocks are paired by their first section, and only paired blocks are compared line by line.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write,
};

use super::{
    GENERATION, MASKED_DIRECTORY, MASKED_HIGHEST, MASKED_MARK, Present,
    masked_boxes::{BoxLine, box_line, known_lines, mask_unknown},
    parse::{self, HIGHEST_BOX},
};
use crate::{
    asterisk::ConfigFile,
    model::{Pin, SENSITIVE, TELLING, escaped},
};
use similar::{Algorithm, ChangeTag, TextDiff};

/// How a file in place differs from the one that shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileDiff {
    /// Whether the file must be written.
    pub changed: bool,
    /// The unified diff without its two head lines; empty where nothing readable changed.
    pub text: String,
    /// Lines added.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
    /// Whether the file in place is as it was once written: whole and unedited.
    pub(crate) genuine: bool,
    /// What differs in the sections that are there before and after, by their name.
    pub sections: BTreeMap<String, SectionDiff>,
}

/// What differs in all sections of one name, besides comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionDiff {
    /// Options that the file in place has, and the one to come has not, with their values.
    pub before: BTreeSet<(String, String)>,
    /// Options that the file to come has, and the one in place has not.
    pub after: BTreeSet<(String, String)>,
    /// Whether a secret differs.
    pub secret: bool,
}

impl SectionDiff {
    /// Tells whether nothing but comments differs.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && !self.secret
    }

    /// Lists the keys of options that differ.
    pub fn keys(&self) -> BTreeSet<&str> {
        self.before.iter().chain(&self.after).map(|(key, _)| key.as_str()).collect()
    }

    /// Finds the value of an option that differs, before and after.
    pub fn values(&self, key: &str) -> [Option<&str>; 2] {
        [&self.before, &self.after]
            .map(|options| options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()))
    }
}

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// A line as it is shown, and what is compared beyond that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Line<'a> {
    shown: Cow<'a, str>,
    /// Tells two masked lines apart.
    tag: u8,
}

/// Tells of an endpoint or a trunk and its digest, or plain secret, in place whether that is the one that
/// shall be.
pub type SameDigest<'a> = dyn Fn(&str, &str) -> bool + 'a;

/// Compares the file in place with the masked text of the file that shall be.
pub(crate) fn diff(file: ConfigFile, old: Option<&Present>, new: &str, same_digest: &SameDigest<'_>) -> FileDiff {
    let known = (file == ConfigFile::Voicemail).then(|| known_lines(new));
    let old_lines = || old.map(|old| masked(&old.text, mark_in(&old.text), Some(same_digest), known.as_ref()));
    // Whoever edits a mark, or cuts the file behind it, changes nothing that can be shown.
    let whole = old.is_some_and(|old| old.parsed.intact && ends_well(old, new));
    // Most files do not change, and the lines of a large one take much memory.
    if old_lines().is_some_and(|lines| lines.eq(masked(new, "", None, known.as_ref()))) {
        return FileDiff { changed: !whole, genuine: whole, ..FileDiff::default() };
    }
    let old_lines: Vec<Line<'_>> = old_lines().into_iter().flatten().collect();
    let new_lines: Vec<Line<'_>> = masked(new, "", None, known.as_ref()).collect();
    let mut changes = Vec::with_capacity(old_lines.len().max(new_lines.len()));
    let (old_blocks, new_blocks) = (blocks(&old_lines), blocks(&new_lines));
    let differing = compare(&old_blocks, &new_blocks, &mut changes);
    let sections = sections(&differing, [&old_blocks, &new_blocks]);
    let count = |tag| changes.iter().filter(|(found, _)| *found == tag).count();
    let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
    FileDiff { changed: added + removed > 0 || !whole, text: hunks(&changes), added, removed, genuine: whole, sections }
}

/// Tells whether what stands behind the marked bytes is the mark and nothing else.
fn ends_well(old: &Present, new: &str) -> bool {
    let (_, tail) = parse::split(&old.text);
    let digest = tail.lines().find_map(parse::digest_of);
    let right = old.parsed.directory.map(|directory| super::mark_digest(&old.parsed.mark, directory));
    tail.starts_with(GENERATION)
        && tail.ends_with('\n')
        && tail.lines().count() == parse::split(new).1.lines().count()
        && (digest.is_none() || digest == right)
}

/// Finds the mark that a file carries, be it the right one or not.
fn mark_in(text: &str) -> &str {
    let (_, tail) = parse::split(text);
    tail.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 32).unwrap_or_default()
}

/// Masks secrets, marks and the directory. `known` has the lines that may be shown of a voicemail file.
fn masked<'a>(
    text: &'a str,
    mark: &'a str,
    same_digest: Option<&'a SameDigest<'_>>,
    known: Option<&'a HashSet<&str>>,
) -> impl Iterator<Item = Line<'a>> {
    let mut name = "";
    let mut behind_marks = false;
    text.split_inclusive('\n').map(move |line| {
        behind_marks |= line == GENERATION;
        let bare = line.strip_suffix('\n').unwrap_or(line);
        if let Some((section, _)) = parse::section(bare) {
            name = section;
        }
        if let (Some(line), true) = (box_line(bare), known.is_some()) {
            let BoxLine { number, pin, .. } = &line;
            let same = same_digest
                .is_none_or(|same| same(&format!("{name} {number}"), &pin.map(Pin::joined).unwrap_or_default()));
            return Line { shown: printable(line.masked().into()), tag: u8::from(!same) };
        }
        if let (Some(key), None) = (secret_key(bare), known) {
            let secret = parse::secret_of(bare).filter(|_| !behind_marks);
            let same = secret.is_none_or(|secret| same_digest.is_none_or(|same| same(name, &secret)));
            return Line { shown: printable(format!("{key} = {SENSITIVE}").into()), tag: u8::from(!same) };
        }
        let shown = if bare.starts_with("; directory ") {
            format!("; directory {MASKED_DIRECTORY}").into()
        } else if known.is_some() && bare.strip_prefix("; ").is_some_and(|line| line.starts_with(HIGHEST_BOX)) {
            format!("; {HIGHEST_BOX}{MASKED_HIGHEST}").into()
        } else if behind_marks && !mark.is_empty() {
            mask_mark(bare, mark)
        } else {
            bare.into()
        };
        let is_harmless = |shown: &str| known.is_none_or(|known| known.contains(shown));
        let shown = if is_harmless(&shown) { shown } else { mask_unknown(bare).into() };
        Line { shown: printable(shown), tag: u8::from(!line.ends_with('\n')) }
    })
}

/// Tells whether a line gives a secret, and what stands before it: a key, a comment, or a value that
/// gives another one.
fn secret_key(line: &str) -> Option<String> {
    let sign = line.find(['=', ':'])?;
    // What nearly every line is; the rest may have been written by anybody, in any case.
    if ["username", "auth", "aors", "callerid"].contains(&line[..sign].trim()) {
        return None;
    }
    let mut key = line.to_ascii_lowercase();
    let word = TELLING.iter().filter_map(|word| key.find(word)).min()?;
    key.truncate(word + key[word..].find(['=', ':'])?);
    Some(key.trim().to_owned())
}

/// Escapes what a terminal would act on: the file in place may have been edited.
fn printable(line: Cow<'_, str>) -> Cow<'_, str> {
    if line.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return line;
    }
    let shown = escaped(&line, |c| c == '\t');
    if shown == line { line } else { shown.into() }
}

/// Replaces the mark, with the tenant before it, by its placeholder.
fn mask_mark<'a>(line: &'a str, mark: &str) -> Cow<'a, str> {
    let Some(at) = line.find(mark) else { return line.into() };
    let start = line[..at].rfind(['[', ' ']).map_or(0, |at| at + 1);
    format!("{}{MASKED_MARK}{}", &line[..start], &line[at + mark.len()..]).into()
}

#[derive(Clone, Copy)]
struct Block<'a> {
    key: &'a str,
    /// The head of the section that its lines belong to. It may come before an empty line that the operator added.
    section: &'a str,
    lines: &'a [Line<'a>],
}

/// Cuts lines at blank ones; the blank line belongs to the block before it.
fn blocks<'a>(lines: &'a [Line<'a>]) -> Vec<Block<'a>> {
    let head = |line: &'a Line<'a>| line.shown.split(']').next().unwrap_or_default();
    let mut section = "";
    lines
        .split_inclusive(|line| line.shown.is_empty())
        .map(|lines| {
            let mut heads = lines.iter().filter(|line| line.shown.starts_with('[')).map(head);
            let first = heads.next();
            let key = first.or_else(|| lines.first().map(head)).unwrap_or_default();
            let block = Block { key, section: first.unwrap_or(section), lines };
            section = heads.next_back().or(first).unwrap_or(section);
            block
        })
        .collect()
}

type Changes<'a> = Vec<(ChangeTag, &'a Line<'a>)>;

/// Blocks of both files that have no equal.
type Differing<'a> = [Vec<Block<'a>>; 2];

/// Walks both files side by side; a block without a partner is removed or added as a whole.
fn compare<'a>(old: &[Block<'a>], new: &[Block<'a>], changes: &mut Changes<'a>) -> Differing<'a> {
    let in_new: HashSet<&str> = new.iter().map(|block| block.key).collect();
    let mut waiting: HashMap<&str, usize> = HashMap::new();
    for block in old {
        *waiting.entry(block.key).or_default() += 1;
    }
    let mut differing = Differing::default();
    let whole = |tag, block: &Block<'a>, changes: &mut Changes<'a>, differing: &mut Differing<'a>| {
        changes.extend(block.lines.iter().map(|line| (tag, line)));
        differing[usize::from(tag == ChangeTag::Insert)].push(*block);
    };
    let mut old = old.iter().peekable();
    for block in new {
        let partner = waiting.get(block.key).copied().unwrap_or(0) > 0;
        if !partner {
            // What left stands before what came, as in every diff.
            while let Some(gone) = old.next_if(|old| !in_new.contains(old.key)) {
                whole(ChangeTag::Delete, gone, changes, &mut differing);
            }
            whole(ChangeTag::Insert, block, changes, &mut differing);
            continue;
        }
        for candidate in old.by_ref() {
            waiting.entry(candidate.key).and_modify(|left| *left = left.saturating_sub(1));
            if candidate.key == block.key {
                if candidate.lines != block.lines {
                    differing[0].push(*candidate);
                    differing[1].push(*block);
                }
                lines(candidate.lines, block.lines, changes);
                break;
            }
            whole(ChangeTag::Delete, candidate, changes, &mut differing);
        }
    }
    for gone in old {
        whole(ChangeTag::Delete, gone, changes, &mut differing);
    }
    differing
}

/// Finds what differs in the sections that both files have.
fn sections<'a>([old, new]: &Differing<'a>, all: [&[Block<'a>]; 2]) -> BTreeMap<String, SectionDiff> {
    let mut lines: HashMap<&str, [Vec<&Line<'_>>; 2]> = HashMap::new();
    for (side, blocks) in [old, new].into_iter().enumerate() {
        for block in blocks.iter().filter(|block| block.section.starts_with('[')) {
            lines.entry(block.section).or_default()[side].extend(block.lines);
        }
    }
    for blocks in all {
        let known: HashSet<&str> = blocks.iter().map(|block| block.section).collect();
        lines.retain(|section, _| known.contains(section));
    }
    let name = |section: &str| section.trim_start_matches('[').to_owned();
    lines.iter().map(|(head, [before, after])| (name(head), section(before, after))).collect()
}

fn section(before: &[&Line<'_>], after: &[&Line<'_>]) -> SectionDiff {
    let options = |lines: &[&Line<'_>]| lines.iter().filter_map(|line| option(&line.shown)).collect::<BTreeSet<_>>();
    let (before_all, after_all) = (options(before), options(after));
    SectionDiff {
        before: before_all.difference(&after_all).cloned().collect(),
        after: after_all.difference(&before_all).cloned().collect(),
        secret: before.iter().any(|line| line.tag != 0 && line.shown.ends_with(SENSITIVE)),
    }
}

/// Reads `key = value` or `key => value`.
fn option(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=').filter(|_| !line.starts_with(';'))?;
    Some((key.trim().to_owned(), value.trim_start_matches('>').trim().to_owned()))
}

fn lines<'a>(old: &'a [Line<'a>], new: &'a [Line<'a>], changes: &mut Changes<'a>) {
    if old == new {
        changes.extend(new.iter().map(|line| (ChangeTag::Equal, line)));
        return;
    }
    let text =
        |lines: &'a [Line<'a>]| lines.iter().map(|line| format!("{}{}", line.tag, line.shown)).collect::<Vec<_>>();
    let (old_text, new_text) = (text(old), text(new));
    let old_text: Vec<&str> = old_text.iter().map(String::as_str).collect();
    let new_text: Vec<&str> = new_text.iter().map(String::as_str).collect();
    let compared = TextDiff::configure().algorithm(Algorithm::Myers).diff_slices(&old_text, &new_text);
    for change in compared.iter_all_changes() {
        let line = match (change.old_index(), change.new_index()) {
            (Some(index), None) => &old[index],
            (_, Some(index)) => &new[index],
            (None, None) => continue,
        };
        changes.push((change.tag(), line));
    }
}

/// Writes the changes as hunks of a unified diff.
fn hunks(changes: &Changes<'_>) -> String {
    let mut text = String::new();
    let mut index = 0;
    let (mut old_line, mut new_line) = (1, 1);
    while let Some(distance) = changes[index..].iter().position(|(tag, _)| *tag != ChangeTag::Equal) {
        let start = (index + distance).saturating_sub(CONTEXT).max(index);
        old_line += start - index;
        new_line += start - index;
        let mut end = index + distance;
        let mut equal = 0;
        for (offset, (tag, _)) in changes[end..].iter().enumerate() {
            equal = if *tag == ChangeTag::Equal { equal + 1 } else { 0 };
            if equal > 2 * CONTEXT {
                end += offset + 1 - equal;
                break;
            }
            if end + offset + 1 == changes.len() {
                end = changes.len() - equal;
                break;
            }
        }
        let end = (end + CONTEXT).min(changes.len());
        let hunk = &changes[start..end];
        let count = |other| hunk.iter().filter(|(tag, _)| *tag != other).count();
        let (old_count, new_count) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        let from = |line: usize, count: usize| if count == 0 { line - 1 } else { line };
        let _ = writeln!(
            text,
            "@@ -{},{old_count} +{},{new_count} @@",
            from(old_line, old_count),
            from(new_line, new_count)
        );
        for (tag, line) in hunk {
            let sign = match tag {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let _ = writeln!(text, "{sign}{}", line.shown);
        }
        old_line += old_count;
        new_line += new_count;
        index = end;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Carries a unified diff out on the lines it was made for.
    fn patch(old: &[&str], diff: &str) -> Vec<String> {
        let mut new: Vec<String> = Vec::new();
        let mut at = 0;
        for line in diff.lines() {
            if let Some(head) = line.strip_prefix("@@ -") {
                let (start, rest) = head.split_once(',').unwrap();
                let count: usize = rest.split(' ').next().unwrap().parse().unwrap();
                let start: usize = start.parse().unwrap();
                let start = if count == 0 { start } else { start - 1 };
                new.extend(old[at..start].iter().map(|line| (*line).to_owned()));
                at = start;
            } else if let Some(added) = line.strip_prefix('+') {
                new.push(added.to_owned());
            } else {
                assert_eq!(old[at], &line[1..], "context and removed lines are those of the old file");
                if line.starts_with(' ') {
                    new.push(old[at].to_owned());
                }
                at += 1;
            }
        }
        new.extend(old[at..].iter().map(|line| (*line).to_owned()));
        new
    }

    fn text() -> impl Strategy<Value = String> {
        let block = (0..12_u32, prop::collection::vec(prop::sample::select(vec!["a = 1", "b = 2", "c = 3"]), 0..4));
        prop::collection::vec(block, 0..12).prop_map(|blocks| {
            let block = |(n, lines): (u32, Vec<&str>)| format!("; user\n[{n}](t)\n{}\n\n", lines.join("\n"));
            blocks.into_iter().map(block).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_diff_leads_from_the_old_file_to_the_new(old in text(), new in text()) {
            let diff = diff(ConfigFile::Endpoints, Some(&Present::new(old.clone())), &new, &|_, _| true);
            let lines: Vec<&str> = old.lines().collect();
            let patched = patch(&lines, &diff.text);
            prop_assert_eq!(patched, new.lines().collect::<Vec<_>>());
            prop_assert_eq!(diff.text.is_empty(), old == new);
        }
    }

    #[test]
    fn a_secret_that_changes_shows_as_a_change_and_is_not_shown() {
        let file = |digest: &str| format!("[1](t)\npassword_digest = MD5:{digest}\n");
        let old = file("canary");
        let same =
            diff(ConfigFile::Endpoints, Some(&Present::new(old.clone())), &file("(sensitive)"), &|name, digest| {
                name == "1" && digest == "canary"
            });
        assert_eq!(same.text, "");
        let other = diff(ConfigFile::Endpoints, Some(&Present::new(old.clone())), &file("(sensitive)"), &|_, _| false);
        assert_eq!(
            other.text,
            "@@ -1,2 +1,2 @@\n [1](t)\n-password_digest = (sensitive)\n+password_digest = (sensitive)\n"
        );
    }

    #[test]
    fn no_line_that_gives_a_secret_is_shown_however_it_is_written() {
        for line in [
            ";password = canary",
            "; Password: canary",
            "  PASSWORD=>canary",
            "set_var = SIP_SECRET=canary",
            "outbound\u{1b}[31m_secret = canary",
            "refresh_token=canary",
        ] {
            let shown = diff(ConfigFile::Endpoints, Some(&Present::new(format!("{line}\n"))), "", &|_, _| true).text;
            assert!(shown.ends_with(" = (sensitive)\n") && !shown.contains(['\u{1b}', 'y']), "{shown}");
        }
        let plain = "; secret@example.com\ncallerid = \"Password=1\" <1000>\ncontext = token\n";
        let shown = diff(ConfigFile::Endpoints, Some(&Present::new(plain.to_owned())), "", &|_, _| true).text;
        assert_eq!(shown.matches("(sensitive)").count(), 0, "{shown}");
    }
}
