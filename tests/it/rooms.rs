//! The arrows between the rooms of the house, as `src/lib.rs` draws them: which room may know which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// What a room may know. `main` is the program itself; tests may know all.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("accounts", &["model"]),
    ("child", &[]),
    ("input", &[]),
    ("log", &[]),
    ("fs", &["accounts", "model"]),
    ("fail_point", &["fs"]),
    ("asterisk", &["model"]),
    ("objects", &["asterisk", "model"]),
    ("calls", &["model", "objects"]),
    ("desired", &["calls", "input", "model", "objects"]),
    ("directory", &["accounts", "calls", "child", "fs", "input", "model", "objects"]),
    ("plan", &["desired", "directory", "model", "objects"]),
    ("render", &["asterisk", "model", "objects"]),
    (
        "deploy",
        &[
            "accounts",
            "asterisk",
            "calls",
            "child",
            "directory",
            "fail_point",
            "fs",
            "input",
            "model",
            "objects",
            "plan",
            "render",
        ],
    ),
    ("portal", &["directory", "model", "objects", "plan", "render"]),
    ("notify", &["deploy", "fs", "model"]),
    ("error", &["deploy", "directory", "model", "notify", "portal"]),
    ("import", &["asterisk", "desired", "model"]),
    ("doctor", &["accounts", "asterisk", "deploy", "directory", "error", "fs", "input", "model", "plan", "render"]),
    ("recorder", &["calls", "directory", "error", "fail_point", "fs", "model"]),
    ("report", &["asterisk", "deploy", "desired", "directory", "model", "objects", "plan", "render"]),
];

/// Rooms that know all others but each other.
const EDGES: [(&str, &[&str]); 2] = [("serve", &["cli"]), ("cli", &[])];

/// A source without comments and tests.
pub(crate) fn code_of(text: &str) -> String {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    code.join("\n").split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The rooms that a source names, outside of comments and of its tests.
fn named(text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.insert(word(rest));
            continue;
        };
        // The names at the first level of a group.
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !c.is_whitespace() => {
                    rooms.insert(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

/// The sources below a folder.
pub(crate) fn sources(folder: PathBuf) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Which rooms each room names, with the sources that do.
fn known() -> BTreeMap<(String, String), BTreeSet<PathBuf>> {
    let mut known: BTreeMap<(String, String), BTreeSet<PathBuf>> = BTreeMap::new();
    for path in sources("src".into()) {
        let inside = path.strip_prefix("src").unwrap();
        let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        if parts.iter().any(|part| part.contains("tests")) {
            continue;
        }
        let room = parts[0].trim_end_matches(".rs");
        for other in named(&fs::read_to_string(&path).unwrap()) {
            if other != room {
                known.entry((room.to_owned(), other)).or_default().insert(path.clone());
            }
        }
    }
    known
}

#[test]
fn rooms_know_only_the_rooms_below_them() {
    let known = known();
    assert!(known.contains_key(&("serve".to_owned(), "directory".to_owned())), "the sources are not found: {known:?}");
    let mut wrong = Vec::new();
    for ((room, other), sources) in &known {
        let (from, to) = (room.as_str(), other.as_str());
        let allowed =
            match (ARROWS.iter().find(|(name, _)| *name == from), EDGES.iter().find(|(name, _)| *name == from)) {
                (Some((_, below)), _) => below.contains(&to),
                (None, Some((_, others))) => !others.contains(&to),
                (None, None) => from == "main" || from == "lib",
            };
        if !allowed {
            wrong.push(format!("{room} -> {other}: {sources:?}"));
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn rooms_are_found_in_groups_and_paths() {
    let text =
        "use crate::{\n    calls::{self, E164},\n    model,\n};\n// crate::cli\nfn f() -> crate::deploy::Host {}\n";
    assert_eq!(named(text), ["calls", "deploy", "model"].map(str::to_owned).into());
}

/// The types of the kinds, and the fields that keep their objects.
const KINDS: &str = r"\b(Trunk|Dialer|Hours|OpeningHours|InboundRule|Rule|DefaultRoute|PublicSipHost|DefaultCallerId|VoicemailBox|Boxes|LastBox)\b|\bObjectKind::[A-Z]|\.(trunks|dialers|hours|rules)\b|\broutes\.(groups|boxes|last_box|rooms|menus)\b";

#[test]
fn kinds_of_objects_are_named_in_their_own_room() {
    let kinds = regex::Regex::new(KINDS).unwrap();
    let mut naming = BTreeSet::new();
    for path in sources("src".into()) {
        let inside = path.strip_prefix("src").unwrap().to_str().unwrap().to_owned();
        let apart = ["objects/", "calls/"].iter().any(|room| inside.starts_with(room)) || inside.contains("tests");
        if !apart && kinds.is_match(&fs::read_to_string(&path).unwrap()) {
            naming.insert(inside);
        }
    }
    assert_eq!(naming, BTreeSet::new(), "a new kind must not touch other sources");
}

/// Ways to put a file in place that only `src/fs` may use.
const WRITES: [&str; 9] = [
    "rename(",
    "renameat",
    ".persist(",
    "persist_noclobber(",
    "tempfile_in(",
    "fs::write(",
    "File::create(",
    "create_new(",
    ".sync_all(",
];

/// Sources that use one of them for another act: the spool is appended to, and a damaged line is set aside.
const OTHER_WRITES: [(&str, &str); 2] =
    [("src/recorder/spool/folder.rs", "create_new("), ("src/recorder/spool/reader.rs", ".sync_all(")];

#[test]
fn files_are_put_in_place_in_one_way() {
    let mut found = BTreeSet::new();
    for path in sources("src".into()).into_iter().filter(|path| !path.starts_with("src/fs")) {
        let path = path.to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        if !path.contains("tests") {
            found.extend(WRITES.iter().filter(|way| code_of(&text).contains(**way)).map(|way| (path.clone(), *way)));
        }
    }
    let named = OTHER_WRITES.map(|(path, way)| (path.to_owned(), way));
    assert_eq!(found, named.into());
}
