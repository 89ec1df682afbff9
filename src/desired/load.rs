//! Finds and reads the files of a desired state, and merges their nodes.
//!
//! The only part of `desired` that touches the file system.

use std::{fs, io::Read, os::unix::fs::FileTypeExt, path::Path};

use super::{
    diagnostic::{Diagnostic, Place, Source},
    read::duplicate_key,
    yaml::{self, Kind, Node},
};
use crate::model::shown;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads the file, or every `*.yaml` and `*.yml` below the folder (in upper case also), in the order of their paths.
pub(super) fn sources(path: &Path) -> (Vec<Source>, Vec<Diagnostic>) {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    if path.is_dir() {
        collect(path, 0, &mut paths, &mut problems);
        paths.sort();
        if paths.is_empty() && problems.is_empty() {
            let message = format!("the folder `{}` holds no YAML file", shown(path));
            problems.push(
                Diagnostic::error("missing-file", message, None)
                    .hint("desired state is read from `*.yaml` and `*.yml`"),
            );
        }
    } else {
        paths.push(path.to_owned());
    }
    for path in paths {
        match read(&path) {
            Ok(text) => sources.push(Source { name: shown(&path), path, text, hidden: Vec::new() }),
            Err(Refused::Text(refused)) => {
                let (source, problem) = *refused;
                let file = u32::try_from(sources.len()).unwrap_or(u32::MAX);
                let place = problem.place.map(|place| Place { file, ..place });
                problems.push(Diagnostic { place, ..problem });
                sources.push(source);
            }
            Err(Refused::Whole(problem)) => problems.push(*problem),
        }
    }
    (sources, problems)
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<std::path::PathBuf>, problems: &mut Vec<Diagnostic>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("cannot read the folder `{}`: {error}", shown(folder));
            problems.push(Diagnostic::error("unreadable-file", message, None));
            return;
        }
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml =
            path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("yaml") || ext.eq_ignore_ascii_case("yml"));
        if hidden {
            continue;
        }
        if path.is_dir() && !path.is_symlink() && depth < 16 {
            collect(&path, depth + 1, paths, problems);
        } else if yaml && path.is_file() {
            paths.push(path);
        }
    }
}

enum Refused {
    /// The file was read, but its text cannot be used.
    Text(Box<(Source, Diagnostic)>),
    /// The file could not be read.
    Whole(Box<Diagnostic>),
}

fn read(path: &Path) -> Result<String, Refused> {
    let whole = |code, message: String, hint: &str| {
        Refused::Whole(Box::new(Diagnostic::error(code, message, None).hint(hint.to_owned())))
    };
    let name = shown(path);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => whole(
            "missing-file",
            format!("there is no file `{name}`"),
            "name the desired-state file or folder with `--file`; a missing file never means \"delete all\"",
        ),
        _ => whole("unreadable-file", format!("cannot read `{name}`: {error}"), "check the path and its permissions"),
    };
    if fs::metadata(path).map_err(failed)?.file_type().is_fifo() {
        let hint = "write it into a file; a pipe may never end";
        return Err(whole("unreadable-file", format!("`{name}` is not a file"), hint));
    }
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(whole(
            "file-too-large",
            format!("`{name}` is larger than {} MiB", MAX_BYTES / 1024 / 1024),
            "split it and pass the folder to `--file`",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let before = &text[..valid];
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place = Place {
            file: 0,
            line: count(before.matches('\n').count() + 1),
            column: count(before.rsplit('\n').next().unwrap_or_default().chars().count() + 1),
            start: count(valid),
            end: count(valid + 1),
        };
        let problem = Diagnostic::error("not-utf8", "the file is not UTF-8 text", place)
            .hint("save the file as UTF-8, without a legacy code page");
        Refused::Text(Box::new((Source { path: path.to_owned(), name, text, hidden: Vec::new() }, problem)))
    })
}

/// The lists whose order means nothing: those of several files are added up.
const ADDED_UP: &[&str] = &["users", "inbound", "expect"];

/// Parses every source and merges their mappings: users, rules and expectations are added up, any
/// other key given twice is a problem that names both places.
pub(super) fn tree(sources: &mut [Source], problems: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut whole: Option<Node> = None;
    let alone = sources.len() == 1;
    for (file, source) in sources.iter_mut().enumerate() {
        let file = u32::try_from(file).unwrap_or(u32::MAX);
        match yaml::parse(file, &source.text) {
            Err(problem) => problems.push(problem),
            Ok(Node { kind: Kind::Null, place, .. }) => {
                if alone {
                    problems.push(
                        Diagnostic::error("empty-file", format!("`{}` declares nothing", source.name), place)
                            .hint("an empty file never means \"delete all\"; `users: []` says that nobody is declared"),
                    );
                }
            }
            Ok(node) => {
                yaml::secrets(&node, &mut source.hidden);
                whole = Some(match whole {
                    None => node,
                    Some(first) => merge(first, node, problems),
                });
            }
        }
    }
    if whole.is_none() && problems.is_empty() {
        problems.push(Diagnostic::error("empty-file", "no file declares anything", None));
    }
    whole
}

fn merge(first: Node, second: Node, problems: &mut Vec<Diagnostic>) -> Node {
    let (mut pairs, more) = match (first.kind, second.kind) {
        (Kind::Map(pairs), Kind::Map(more)) => (pairs, more),
        (kind, _) => {
            let message = "every file must be a mapping of the keys of a desired state";
            problems.push(Diagnostic::error("wrong-type", message, second.place));
            return Node { kind, ..first };
        }
    };
    for (key, value) in more {
        let Some((known, present)) = pairs.iter_mut().find(|(known, _)| known.name == key.name) else {
            pairs.push((key, value));
            continue;
        };
        match (&mut present.kind, value.kind) {
            (Kind::List(items), Kind::List(more)) if ADDED_UP.contains(&key.name.as_str()) => items.extend(more),
            (Kind::Map(_), kind @ Kind::Map(_)) => {
                let value = Node { kind, ..value };
                let before = std::mem::replace(present, Node { kind: Kind::Null, ..value });
                *present = merge(before, value, problems);
            }
            _ => problems.push(duplicate_key(&key, known.place)),
        }
    }
    Node { kind: Kind::Map(pairs), ..first }
}
