//! Finds and reads the files of a desired state, and merges their nodes.
//!
//! The only part of `desired` that touches the file system.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    diagnostic::Source,
    file,
    read::duplicate_key,
    yaml::{self, Kind, Node},
};
use crate::{
    input::{self, Folder, Refused},
    model::{Code, Diagnostic, Place, Tenant, shown},
};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// How deep folders are looked into.
const MAX_DEPTH: usize = 16;

/// The path that stands for standard input.
const STDIN: &str = "-";

/// Reads the file, every `*.yaml` and `*.yml` below the folder (in upper case also) in the order of their paths,
/// or standard input if the path is `-`.
pub(super) fn sources(path: &Path) -> (Vec<Source>, Vec<Diagnostic>) {
    let mut found = FilesRead::default();
    if path == Path::new(STDIN) {
        found.add("stdin".into(), input::take(io::stdin().lock(), MAX_BYTES));
        return (found.sources, found.problems);
    }
    match Folder::open(path) {
        Ok(Some(folder)) => found.folder(&folder, path),
        Ok(None) => found.add(path.to_owned(), input::read(path, MAX_BYTES)),
        Err(refused) => found.add(path.to_owned(), Err(refused)),
    }
    (found.sources, found.problems)
}

/// What was found so far.
#[derive(Default)]
struct FilesRead {
    sources: Vec<Source>,
    problems: Vec<Diagnostic>,
}

impl FilesRead {
    fn folder(&mut self, folder: &Folder, path: &Path) {
        let mut below = Vec::new();
        self.collect(folder, path, Path::new(""), 0, &mut below);
        below.sort();
        if below.is_empty() && self.problems.is_empty() {
            let message = format!("the folder `{}` holds no YAML file", shown(path));
            self.problems.push(
                Diagnostic::error(Code::MissingFile, message, None)
                    .hint("desired state is read from `*.yaml` and `*.yml`"),
            );
        }
        for file in below {
            let read = folder.read(&file, MAX_BYTES);
            self.add(path.join(file), read);
        }
    }

    fn collect(&mut self, folder: &Folder, path: &Path, below: &Path, depth: usize, files: &mut Vec<PathBuf>) {
        let entries = match folder.entries(below) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("cannot read the folder `{}`: {error}", shown(&path.join(below)));
                self.problems.push(Diagnostic::error(Code::UnreadableFile, message, None));
                return;
            }
        };
        for (name, is_folder) in entries {
            let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
            let yaml =
                name.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("yaml") || ext.eq_ignore_ascii_case("yml"));
            let file = below.join(name);
            if hidden {
                continue;
            }
            if is_folder && depth < MAX_DEPTH {
                self.collect(folder, path, &file, depth + 1, files);
            } else if yaml && !is_folder {
                files.push(file);
            }
        }
    }

    fn add(&mut self, path: PathBuf, read: Result<Vec<u8>, Refused>) {
        let name = shown(&path);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(refused) => return self.problems.push(unread(&name, refused)),
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.problems.push(not_utf8(self.sources.len(), &text, valid));
                text
            }
        };
        self.sources.push(source(path, name, text));
    }
}

/// Takes a text, before anything is known of it.
pub(super) fn source(path: PathBuf, name: String, text: String) -> Source {
    let ours = looks_like_ours(&text);
    Source { path, name, text, hidden: Vec::new(), ours }
}

/// Words why a file was not read.
fn unread(name: &str, refused: Refused) -> Diagnostic {
    let whole = |code, message: String, hint: &str| Diagnostic::error(code, message, None).hint(hint);
    match refused {
        Refused::Io(error) if error.kind() == io::ErrorKind::NotFound => whole(
            Code::MissingFile,
            format!("there is no file `{name}`"),
            "name the desired-state file or folder with `--file`; a missing file never means \"delete all\"",
        ),
        Refused::Io(error) => {
            whole(Code::UnreadableFile, format!("cannot read `{name}`: {error}"), "check the path and its permissions")
        }
        Refused::LeadsOut => whole(
            Code::LinkOutside,
            format!("`{name}` is not read, because a link leads out of its folder"),
            "put the file itself into the folder, or name the path that the link leads to with `--file`",
        ),
        Refused::NotAFile => whole(
            Code::UnreadableFile,
            format!("`{name}` is not a file"),
            "write it into a regular file, or pipe it in and name it `-`",
        ),
        Refused::TooLarge(most) => whole(
            Code::FileTooLarge,
            format!("`{name}` is larger than {} MiB", most / 1024 / 1024),
            "split it and pass the folder to `--file`",
        ),
    }
}

fn not_utf8(file: usize, text: &str, valid: usize) -> Diagnostic {
    let before = &text[..valid];
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let place = Place {
        file: count(file),
        line: count(before.matches('\n').count() + 1),
        column: count(before.rsplit('\n').next().unwrap_or_default().chars().count() + 1),
        start: count(valid),
        end: count(valid + 1),
    };
    Diagnostic::error(Code::NotUtf8, "the file is not UTF-8 text", place)
        .hint("save the file as UTF-8, without a legacy code page")
}

/// Tells whether most keys at the top of a text are those of a desired state. If not, the file is a foreign one,
/// and no word of it is shown: it may be a key or a password file that was linked or named by mistake.
fn looks_like_ours(text: &str) -> bool {
    if text.trim().is_empty() {
        return true;
    }
    let word = |key: &&str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    // Indented keys are those of users and the like; in flow style they all look so.
    let flow = text.trim_start().starts_with('{');
    let top = text.lines().filter(|line| flow || !line.starts_with([' ', '\t']));
    mostly_ours(top.filter_map(|line| {
        let (key, _) = line.trim_start_matches(['\u{feff}', '{', ' ']).split_once(':')?;
        Some(key.trim_end().trim_matches(['"', '\''])).filter(word)
    }))
}

/// Tells whether a node is a mapping, most of whose keys are those of a desired state.
fn is_ours(node: &Node) -> bool {
    matches!(&node.kind, Kind::Map(pairs) if mostly_ours(pairs.iter().map(|(key, _)| key.name.as_str())))
}

/// Tells whether more than half of the keys are those of a desired state: others have a `version` or `users`, too.
fn mostly_ours<'a>(keys: impl Iterator<Item = &'a str>) -> bool {
    let known = file::keys();
    let (mut ours, mut all) = (0_usize, 0_usize);
    for key in keys {
        all += 1;
        ours += usize::from(known.contains(&key));
    }
    ours * 2 > all
}

/// Finds the one tenant that the files name, as far as they can be read.
pub(super) fn tenant(sources: &[Source]) -> Option<Tenant> {
    let mut found = None;
    for source in sources.iter().filter(|source| source.ours) {
        for name in tenants(&source.text) {
            let tenant: Tenant = name.parse().ok()?;
            if *found.get_or_insert_with(|| tenant.clone()) != tenant {
                return None;
            }
        }
    }
    found
}

/// Lists what stands under `tenant` at the top of a text, by its lines if it is no YAML.
fn tenants(text: &str) -> Vec<String> {
    match yaml::parse(0, text) {
        Ok(Node { kind: Kind::Map(pairs), .. }) => pairs
            .into_iter()
            .filter(|(key, _)| key.name == "tenant")
            .map(|(_, value)| match value.kind {
                Kind::Text { text, .. } => text,
                _ => String::new(),
            })
            .collect(),
        Ok(_) => Vec::new(),
        Err(_) => text
            .lines()
            .filter_map(|line| line.strip_prefix("tenant:"))
            .map(|value| value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned())
            .collect(),
    }
}

/// The hint about a file that is none of ours.
const FOREIGN: &str = "a desired state begins with `version: 1` and `tenant:`; name it with `--file`";

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
            Err(problem) if problem.code == Code::InvalidYaml && !source.ours => {
                let message = "not valid YAML, and most of its keys are not those of a desired state";
                problems.push(Diagnostic { message: message.to_owned(), ..problem }.hint(FOREIGN));
            }
            Err(problem) => problems.push(problem),
            Ok(Node { kind: Kind::Null, place, .. }) => {
                if alone {
                    problems.push(
                        Diagnostic::error(Code::EmptyFile, format!("`{}` declares nothing", source.name), place)
                            .hint("an empty file never means \"delete all\"; write `users: []` to declare no users"),
                    );
                }
            }
            Ok(node) if !is_ours(&node) => {
                source.ours = false;
                let what = if matches!(node.kind, Kind::Map(_)) {
                    "most of its keys are unknown"
                } else {
                    "it is not a mapping"
                };
                let message = format!("`{}` is not a desired state: {what}", source.name);
                problems.push(Diagnostic::error(Code::NotDesiredState, message, node.place).hint(FOREIGN));
            }
            Ok(mut node) => {
                source.ours = true;
                yaml::hide_secrets(&mut node, &mut source.hidden, problems);
                whole = Some(match whole {
                    None => node,
                    Some(first) => merge(first, node, problems),
                });
            }
        }
    }
    if whole.is_none() && problems.is_empty() {
        problems.push(Diagnostic::error(Code::EmptyFile, "no file declares anything", None));
    }
    whole
}

fn merge(first: Node, second: Node, problems: &mut Vec<Diagnostic>) -> Node {
    let (mut pairs, more) = match (first.kind, second.kind) {
        (Kind::Map(pairs), Kind::Map(more)) => (pairs, more),
        (kind, _) => {
            let message = "every file must be a mapping of the keys of a desired state";
            problems.push(Diagnostic::error(Code::WrongType, message, second.place));
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
