//! The arrows between the rooms of the house, as `src/lib.rs` draws them: which room may know which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// What a room may know. `main` is the program itself; tests may know all.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("child", &[]),
    ("input", &[]),
    ("log", &[]),
    ("asterisk", &["model"]),
    ("calls", &["model"]),
    ("desired", &["calls", "input", "model"]),
    ("directory", &["calls", "child", "input", "model"]),
    ("plan", &["calls", "desired", "directory", "model"]),
    ("render", &["asterisk", "calls", "model"]),
    ("deploy", &["asterisk", "calls", "child", "directory", "model", "plan", "render"]),
    ("portal", &["directory", "model", "plan", "render"]),
    ("error", &["deploy", "directory", "model", "portal"]),
    ("recorder", &["calls", "directory", "error", "model"]),
    ("report", &["asterisk", "calls", "deploy", "desired", "directory", "model", "plan", "render"]),
];

/// Rooms that know all others but each other.
const EDGES: [(&str, &[&str]); 2] = [("serve", &["cli"]), ("cli", &[])];

/// Arrows that exist and should not. This list may only shrink.
const EXCEPTIONS: &[(&str, &str)] =
    &[("portal", "deploy"), ("recorder", "deploy"), ("render", "desired"), ("render", "plan")];

/// The rooms that a source names, outside of comments and of its tests.
fn named(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
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
fn sources(folder: PathBuf) -> Vec<PathBuf> {
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
fn rooms_know_only_what_stands_below_them() {
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
        if !allowed && !EXCEPTIONS.contains(&(from, to)) {
            wrong.push(format!("{room} -> {other}: {sources:?}"));
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way:\n{}", wrong.join("\n"));
    let gone: Vec<_> =
        EXCEPTIONS.iter().filter(|(from, to)| !known.contains_key(&((*from).to_owned(), (*to).to_owned()))).collect();
    assert!(gone.is_empty(), "no exceptions any more: {gone:?}");
}

#[test]
fn rooms_are_found_in_groups_and_paths() {
    let text =
        "use crate::{\n    calls::{self, E164},\n    model,\n};\n// crate::cli\nfn f() -> crate::deploy::Host {}\n";
    assert_eq!(named(text), ["calls", "deploy", "model"].map(str::to_owned).into());
}
