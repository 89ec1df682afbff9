//! The files that Asterisk reads behind an operator's file such as `pjsip.conf`: include lines as it reads
//! them, comments left out, wildcards and further files followed.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use glob::{MatchOptions, Pattern};

use crate::{
    asterisk::{Include, include, lines},
    fs::{FileError, failed},
    input::{self, Refused},
};

/// How deep files may include each other.
const DEEPEST: usize = 8;

/// As Asterisk's wildcards: none of them crosses a folder or finds a hidden file.
const WILDCARDS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A plain `#include` that matches no file: Asterisk rejects the whole configuration around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokenInclude {
    /// Where it is, as `file:line` below the configuration folder.
    pub(super) place: String,
    /// What it names.
    pub(super) name: String,
}

/// One of the files that Asterisk reads.
#[derive(Debug)]
pub(super) struct ReadFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Reads a file and those it includes, each once. Skips what is no file, as Asterisk does.
///
/// # Errors
/// When a file cannot be read: what it holds is not known then.
pub(super) fn read(config_dir: &Path, file: &Path) -> Result<Vec<ReadFile>, FileError> {
    let mut files = Vec::new();
    follow(config_dir, file, 0, &mut BTreeSet::new(), &mut files)?;
    Ok(files)
}

fn follow(
    config_dir: &Path,
    file: &Path,
    depth: usize,
    known: &mut BTreeSet<PathBuf>,
    files: &mut Vec<ReadFile>,
) -> Result<(), FileError> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};

    const LARGEST: u64 = 64 * 1024 * 1024;

    if depth > DEEPEST || !known.insert(file.to_owned()) {
        return Ok(());
    }
    let bytes = match input::read_anywhere(file, LARGEST) {
        Ok(bytes) => bytes,
        Err(Refused::NotAFile) => return Ok(()),
        Err(Refused::Io(error)) if [NotFound, IsADirectory, NotADirectory].contains(&error.kind()) => return Ok(()),
        Err(Refused::Io(error)) => return Err(failed("read", file)(error)),
        Err(refused) => return Err(failed("read", file)(io::Error::other(refused))),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut found = Vec::new();
    for (_, include) in includes(&text) {
        found.extend(included(config_dir, &include.name)?);
    }
    files.push(ReadFile { path: file.to_owned(), text });
    for path in found {
        follow(config_dir, &path, depth + 1, known, files)?;
    }
    Ok(())
}

/// What an include line finds, and where it stands: `file:line` below the configuration folder.
#[derive(Debug)]
pub(super) struct Finder {
    pattern: Pattern,
    place: String,
}

/// Lists what a file includes, itself or through files that it includes.
///
/// # Errors
/// As [`read`].
pub(super) fn finders(config_dir: &Path, file: &Path) -> Result<Vec<Finder>, FileError> {
    let mut finders = Vec::new();
    for file in &read(config_dir, file)? {
        for (line, include) in includes(&file.text) {
            let place = format!("{}:{line}", below(config_dir, &file.path));
            let pattern = Pattern::new(&absolute(config_dir, &include.name));
            finders.extend(pattern.ok().map(|pattern| Finder { pattern, place }));
        }
    }
    Ok(finders)
}

/// Lists the places of those that find a file. The file need not exist.
pub(super) fn finding<'a>(finders: &'a [Finder], target: &Path) -> impl Iterator<Item = &'a str> {
    let finds = |finder: &&Finder| finder.pattern.matches_path_with(target, WILDCARDS);
    finders.iter().filter(finds).map(|finder| finder.place.as_str())
}

/// Tells whether a file includes another one, itself or through files that it includes. That one need not exist.
///
/// # Errors
/// As [`read`].
pub(crate) fn includes_file(config_dir: &Path, file: &str, target: &str) -> Result<bool, FileError> {
    let finders = finders(config_dir, &config_dir.join(file))?;
    Ok(finding(&finders, &config_dir.join(target)).next().is_some())
}

/// Finds the first include line for which Asterisk rejects a file as a whole. It explains what was found otherwise: files
/// that cannot be read explain nothing.
pub(super) fn broken(config_dir: &Path, file: &Path) -> Option<BrokenInclude> {
    read(config_dir, file).ok()?.iter().find_map(|file| {
        let mut plain = includes(&file.text).filter(|(_, include)| !include.optional);
        let finds_none =
            |(_, include): &(usize, Include)| included(config_dir, &include.name).is_ok_and(|found| found.is_empty());
        let (line, broken) = plain.find(finds_none)?;
        let place = format!("{}:{line}", below(config_dir, &file.path));
        Some(BrokenInclude { place, name: broken.name })
    })
}

/// Writes a path without the configuration folder it is in.
pub(super) fn below(config_dir: &Path, path: &Path) -> String {
    crate::model::shown(path.strip_prefix(config_dir).unwrap_or(path))
}

/// Finds the files that an include line names, in the order in which Asterisk reads them.
///
/// # Errors
/// When a folder cannot be looked into: what is in it is not known then.
pub(crate) fn included(config_dir: &Path, name: &str) -> Result<Vec<PathBuf>, FileError> {
    let name = absolute(config_dir, name);
    let mut found = Vec::new();
    for path in glob::glob_with(&name, WILDCARDS).into_iter().flatten() {
        found.push(path.map_err(|error| {
            let path = error.path().to_owned();
            failed("read", &path)(error.into())
        })?);
    }
    // A name without wildcards below a folder that is closed counts as one that is not there.
    match fs::symlink_metadata(&name) {
        Err(error) if found.is_empty() && error.kind() == io::ErrorKind::PermissionDenied => {
            Err(failed("look at", Path::new(&name))(error))
        }
        _ => Ok(found),
    }
}

fn absolute(config_dir: &Path, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    format!("{}/{name}", Pattern::escape(&config_dir.to_string_lossy()))
}

/// Lists the include lines of a text with their numbers, outside of comments.
fn includes(text: &str) -> impl Iterator<Item = (usize, Include)> {
    lines(text).filter_map(|(line, text)| Some((line, include(&text)?)))
}

/// A section in another file that changes one of our objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    /// Where it begins, as `file:line` below Asterisk's configuration folder.
    pub(crate) place: String,
    /// The object that it changes.
    pub(crate) name: String,
    /// The options that it sets.
    pub(crate) keys: Vec<String>,
}

impl Override {
    /// Says what changes what.
    pub(crate) fn words(&self) -> String {
        let Self { place, name, keys } = self;
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let what = if keys.is_empty() { String::new() } else { format!(": {}", keys.join(", ")) };
        format!("{place} changes `{name}`, which reconcile generates{what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_lines_are_read_as_asterisk_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let (top, target) =
            (folder.path().join("pjsip.conf"), folder.path().join("pjsip.d/acme/generated_endpoints.conf"));
        let leads = |text: &str| {
            fs::write(&top, text).unwrap();
            finding(&finders(folder.path(), &top).unwrap(), &target).next().is_some()
        };
        fs::write(folder.path().join("mine.conf"), "#include pjsip.d/*/generated_endpoints.conf\n").unwrap();
        for text in [
            "#include pjsip.d/*/generated_endpoints.conf",
            "  #include \"pjsip.d/acme/*.conf\" ; ours",
            "#tryinclude <pjsip.d/acme/generated_endpoints.conf>",
            "#include mine.conf",
            ";-- a note --;\n#include mi*.conf",
            &format!("#include {}/pjsip.d/*/generated_endpoints.conf", folder.path().display()),
        ] {
            assert!(leads(text), "{text}");
        }
        for text in [
            ";#include pjsip.d/*/generated_endpoints.conf",
            ";--\n#include pjsip.d/*/generated_endpoints.conf\n--;",
            "#include pjsip.d/lab/generated_endpoints.conf",
            "#include \"pjsip.d/nosuch\"; pjsip.d/*/generated_endpoints.conf",
            "#include pjsip.d/*.conf",
            "#include pjsip.conf",
            "",
        ] {
            assert!(!leads(text), "{text}");
        }
    }

    #[test]
    fn each_line_that_finds_a_file_is_named_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (top, target) =
            (folder.path().join("pjsip.conf"), folder.path().join("pjsip.d/acme/generated_endpoints.conf"));
        fs::write(&top, "; ours\n#include mine.conf\n\n#tryinclude pjsip.d/*/generated_endpoints.conf\n").unwrap();
        fs::write(folder.path().join("mine.conf"), "#include pjsip.d/acme/*.conf\n").unwrap();
        let finders = finders(folder.path(), &top).unwrap();
        assert_eq!(finding(&finders, &target).collect::<Vec<_>>(), ["pjsip.conf:4", "mine.conf:1"]);
    }

    /// A reinstalled host: the operator's lines are back, the generated files are not.
    #[test]
    fn an_include_that_matches_nothing_is_found_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("pjsip.conf");
        let broken = |text: &str| {
            fs::write(&top, text).unwrap();
            broken(folder.path(), &top).map(|broken| (broken.place, broken.name))
        };
        let found = |place: &str, name: &str| Some((place.to_owned(), name.to_owned()));
        assert_eq!(broken("; ours\n#include pjsip.d/*/x.conf\n"), found("pjsip.conf:2", "pjsip.d/*/x.conf"));
        assert_eq!(broken("#tryinclude pjsip.d/*/x.conf\n"), None);
        fs::write(folder.path().join("mine.conf"), "\n\n#include \"gone.conf\"\n").unwrap();
        assert_eq!(broken("#include mine.conf\n"), found("mine.conf:3", "gone.conf"));
        assert_eq!(broken(";--\n#include gone.conf\n--;\n"), None);
        // Files that include each other end.
        fs::write(folder.path().join("mine.conf"), "#include pjsip.conf\n").unwrap();
        assert_eq!(broken("#include mine.conf\n"), None);
    }
}
