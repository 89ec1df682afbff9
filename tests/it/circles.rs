//! Modules inside a room: none needs another one in a circle, so that each can be read with what is below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use super::rooms::{code_of, sources};

/// The room whose own files list all kinds, while each kind is checked against the whole list. There, only the folders
/// of the kinds are compared with each other.
const LIST_OF_KINDS: &str = "objects";

/// A module by its path below the crate, such as `["plan", "diff"]`.
type Module = Vec<String>;

/// The sources of the program, each under its module.
struct Sources {
    code: BTreeMap<Module, String>,
    /// What modules re-export, by their path and the name: the path that it has in truth.
    exports: BTreeMap<Module, Module>,
}

/// A `use` with what it makes public, and its tree.
static USE: LazyLock<regex::Regex> =
    LazyLock::new(|| regex::Regex::new(r"(?m)^\s*(pub(?:\([\w: ]+\))? )?use ([^;]+);").unwrap());

/// A path in code that does not begin with a name that was imported.
static PATH: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap());

/// Lists the paths of a tree of imports, each with its name: `a::{b, c::d as e}` is `a::b` as `b` and `a::c::d` as `e`.
fn leaves(tree: &str) -> Vec<(String, String)> {
    let tree = tree.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((head, group)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((&tree, ""));
        let path = path.trim().trim_end_matches("::self");
        let name = if alias.is_empty() { path.rsplit("::").next().unwrap_or_default() } else { alias.trim() };
        return vec![(path.to_owned(), name.to_owned())];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[begin..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    let whole =
        |part: &str| if part == "self" { head.trim_end_matches("::").to_owned() } else { format!("{head}{part}") };
    parts.flat_map(|part| leaves(&whole(part))).collect()
}

/// Reads a path as one below the crate, if it names something of the crate.
fn absolute(path: &str, module: &Module) -> Option<Module> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut from = match parts[0] {
        "crate" => Vec::new(),
        "self" | "super" => module.clone(),
        _ => return None,
    };
    while ["crate", "self", "super"].contains(parts.first()?) {
        if parts.remove(0) == "super" {
            from.pop();
        }
    }
    from.extend(parts.into_iter().map(str::to_owned));
    Some(from)
}

impl Sources {
    fn read() -> Self {
        let mut code = BTreeMap::new();
        for path in sources("src".into()) {
            let inside = path.strip_prefix("src").unwrap();
            let parts = inside.with_extension("");
            let mut module: Module = parts.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            let is_test = module.iter().any(|part| part.contains("tests"));
            if is_test
                || inside.extension() != Some("rs".as_ref())
                || [Path::new("lib.rs"), Path::new("main.rs")].contains(&inside)
            {
                continue;
            }
            module.pop_if(|last| last == "mod");
            code.insert(module, code_of(&fs::read_to_string(&path).unwrap()));
        }
        Self::of(code)
    }

    fn of(code: BTreeMap<Module, String>) -> Self {
        let mut exports = BTreeMap::new();
        for (module, text) in &code {
            for found in USE.captures_iter(text).filter(|found| found.get(1).is_some()) {
                for (path, name) in leaves(&found[2]) {
                    // `pub use change::Change` names a module below.
                    let path = absolute(&path, module).or_else(|| absolute(&format!("self::{path}"), module)).unwrap();
                    exports.insert([module.as_slice(), &[name]].concat(), path);
                }
            }
        }
        Self { code, exports }
    }

    /// Finds the module that defines what a path names.
    fn owner(&self, mut path: Module) -> Option<&Module> {
        // Each step follows one re-export.
        for _ in 0..8 {
            let (module, _) = (0..=path.len()).rev().find_map(|end| self.code.get_key_value(&path[..end]))?;
            let named = path.get(..=module.len());
            match named.and_then(|named| self.exports.get(named)) {
                Some(truth) => path = [truth.as_slice(), &path[module.len() + 1..]].concat(),
                None => return Some(module),
            }
        }
        None
    }

    /// Lists which modules a module names.
    fn named(&self, module: &Module) -> BTreeSet<&Module> {
        let text = &self.code[module];
        let imports = USE.captures_iter(text).filter(|found| found.get(1).is_none());
        let imports: Vec<String> = imports.flat_map(|found| leaves(&found[2])).map(|(path, _)| path).collect();
        let rest = USE.replace_all(text, "");
        let inline = PATH.find_iter(&rest).map(|found| found.as_str().to_owned());
        imports.into_iter().chain(inline).filter_map(|path| self.owner(absolute(&path, module)?)).collect()
    }

    /// Returns the module of a folder that a module is, or is in.
    fn part<'a>(&self, folder: &[String], module: &'a Module) -> Option<&'a str> {
        let part = module.strip_prefix(folder)?.first()?.as_str();
        let is_below =
            |other: &Module| other.strip_prefix(folder).is_some_and(|path| path.len() > 1 && path[0] == part);
        (folder != [LIST_OF_KINDS] || self.code.keys().any(is_below)).then_some(part)
    }

    /// Finds the circles between the modules of each folder. A folder in a folder counts as one module.
    fn circles(&self) -> Vec<String> {
        let known: BTreeMap<&Module, BTreeSet<&Module>> =
            self.code.keys().map(|module| (module, self.named(module))).collect();
        let folders: BTreeSet<&[String]> =
            self.code.keys().flat_map(|module| (0..module.len()).map(|end| &module[..end])).collect();
        let mut circles = Vec::new();
        for folder in folders {
            let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (module, others) in &known {
                let Some(from) = self.part(folder, module) else { continue };
                let to = others.iter().filter_map(|other| self.part(folder, other)).filter(|to| *to != from);
                arrows.entry(from).or_default().extend(to);
            }
            circles.extend(circle(&arrows).map(|circle| format!("{}: {}", folder.join("::"), circle.join(" -> "))));
        }
        circles
    }
}

/// Finds one circle: takes out what names nothing that is left, until nothing or only circles and what leads to them
/// remain.
fn circle<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut left: BTreeSet<&str> = arrows.keys().copied().collect();
    while let Some(end) = left.iter().copied().find(|part| arrows[part].is_disjoint(&left)) {
        left.remove(end);
    }
    let mut way = vec![*left.first()?];
    loop {
        let next = *arrows[way.last()?].intersection(&left).next()?;
        if let Some(begin) = way.iter().position(|part| *part == next) {
            way.drain(..begin);
            way.push(next);
            return Some(way);
        }
        way.push(next);
    }
}

#[test]
fn modules_of_a_room_do_not_need_each_other_in_a_circle() {
    let sources = Sources::read();
    let diff = sources.named(&["plan", "diff"].map(str::to_owned).to_vec());
    let change = ["plan", "change"].map(str::to_owned).to_vec();
    assert!(diff.contains(&change), "imports are not found: {diff:?}");
    assert_eq!(sources.circles(), Vec::<String>::new());
}

#[test]
fn a_circle_is_found_in_imports_paths_and_through_what_a_module_exports_again() {
    let circles = |files: &[(&str, &str)]| {
        let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
        Sources::of(files.iter().map(|(path, text)| (module(path), (*text).to_owned())).collect()).circles()
    };
    let root =
        ("plan", "mod diff;\npub use change::{self, Change as Other};\npub(crate) use diff::{deep::{Diff, Kind}};\n");
    let other = ("plan::change", "use super::{\n    diff::deep::{self, Kind},\n};\n");
    let found = ["plan: change -> diff -> change"];
    assert_eq!(circles(&[root, other, ("plan::diff", "fn f() -> crate::plan::change::Kind {}\n")]), found);
    assert_eq!(circles(&[root, ("plan::change", "use super::Diff;\n"), ("plan::diff", "use super::change;\n")]), found);
    assert_eq!(circles(&[root, other, ("plan::diff", "use std::fmt;\nuse super::Plan;\n")]), [""; 0]);
    assert_eq!(circles(&[("a", "use crate::b::c::D;\n"), ("b::c", "use crate::a;\n"), ("b", "")]), [": a -> b -> a"]);
}
