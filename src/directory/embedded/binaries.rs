//! The machine's own `PostgreSQL` server binaries.
//!
//! Owns where they are looked for, in which order, and how their version is told. Does not run a
//! server.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::iter;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::account::{self, Account};
use super::{EmbeddedError, Settings};

/// Where distributions keep versioned binaries: the folder, what its entries begin with before
/// the version, and the folder below the entry.
const DISTRIBUTIONS: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A folder that holds `postgres` and `initdb`, and their major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds binaries, of the version of the cluster in `data` if there is one.
    pub(super) fn find(
        settings: &Settings,
        account: Option<&Account>,
        data: Option<&Path>,
    ) -> Result<Self, EmbeddedError> {
        let wanted = data.map(|data| version_of(data).map(|major| (data, major))).transpose()?;
        let fits = |found: &Self| wanted.is_none_or(|(_, major)| found.major == major);

        let mut found = Vec::new();
        if let Some(dir) = &settings.bin_dir {
            let named = Self::inspect(dir, account).ok_or_else(|| EmbeddedError::NotBinaries(dir.clone()))?;
            if fits(&named) {
                return Ok(named);
            }
            found.push(named.major);
        } else {
            for dir in candidates(settings.path.as_deref(), account) {
                let Some(candidate) = Self::inspect(&dir, account) else {
                    continue;
                };
                if fits(&candidate) {
                    return Ok(candidate);
                }
                found.push(candidate.major);
            }
        }
        found.sort_unstable();
        found.dedup();
        match wanted {
            Some((data, cluster)) if !found.is_empty() => {
                Err(EmbeddedError::Version { data: data.to_path_buf(), cluster, found })
            }
            _ => Err(EmbeddedError::NoBinaries),
        }
    }

    /// Looks into a folder; `None` when it does not hold binaries the server's user can run.
    fn inspect(dir: &Path, account: Option<&Account>) -> Option<Self> {
        let (postgres, initdb) = (dir.join("postgres"), dir.join("initdb"));
        if !postgres.is_file() || !initdb.is_file() {
            return None;
        }
        // Both come from one package; `initdb` answers in half the time.
        let output = account::output(account::command(&initdb, account).arg("--version"), account::ANSWER);
        let output =
            output.inspect_err(|error| tracing::debug!(path = %initdb.display(), %error, "cannot run")).ok()?;
        let major = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir: dir.to_path_buf(), major })
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn major(&self) -> u32 {
        self.major
    }
}

/// Reads which major version made a data folder.
fn version_of(data: &Path) -> Result<u32, EmbeddedError> {
    let text = fs::read_to_string(data.join("PG_VERSION")).ok();
    let major = text.as_deref().and_then(leading_number);
    major.ok_or_else(|| EmbeddedError::NotACluster(data.to_path_buf()))
}

/// Reads the major version from `initdb (PostgreSQL) 15.18 (Debian 15.18-0)`.
fn parse_version(output: &str) -> Option<u32> {
    output.split_once("(PostgreSQL) ").and_then(|(_, version)| leading_number(version))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Lists the folders to look into, best first; the later ones are only worked out when asked for.
fn candidates(path: Option<&OsStr>, account: Option<&Account>) -> impl Iterator<Item = PathBuf> {
    let folders: Vec<PathBuf> = path
        .map(|path| std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect())
        .unwrap_or_default();
    let pg_config = folders.iter().map(|folder| folder.join("pg_config")).find(|p| p.is_file());
    let account = account.cloned();

    folders
        .into_iter()
        .filter_map(|folder| {
            // Links such as /usr/local/bin/postgres lead to where `initdb` is, too.
            let real = folder.join("postgres").canonicalize().ok()?;
            let beside = real.parent()?.to_path_buf();
            Some(if beside.join("initdb").is_file() { beside } else { folder })
        })
        .chain(iter::once_with(move || ask_pg_config(&pg_config?, account.as_ref())).flatten())
        .chain(iter::once_with(|| distribution_folders(&DISTRIBUTIONS)).flatten())
}

fn ask_pg_config(program: &Path, account: Option<&Account>) -> Option<PathBuf> {
    let output = account::output(account::command(program, account).arg("--bindir"), account::ANSWER);
    let output = output.inspect_err(|error| tracing::debug!(path = %program.display(), %error, "cannot run")).ok()?;
    let line = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
    (!line.is_empty()).then(|| PathBuf::from(OsString::from_vec(line.to_vec())))
}

/// Lists the distributions' versioned folders, the highest version first.
fn distribution_folders(places: &[(&str, &str, &str)]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix, below) in places {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix));
            if let Some(version) = version.and_then(|version| version.parse::<u32>().ok()) {
                found.push((version, entry.path().join(below)));
            }
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_as_distributions_print_them() {
        assert_eq!(parse_version("initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("initdb (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("initdb: command not found\n"), None);
    }

    #[test]
    fn prefers_the_highest_distribution_version() {
        let root = tempfile::tempdir().unwrap();
        for name in ["pg-9", "pg-17", "pg-15", "pg-common", "other"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let parent = root.path().to_str().unwrap();
        let names: Vec<_> = distribution_folders(&[(parent, "pg-", "bin")])
            .iter()
            .map(|path| path.strip_prefix(root.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["pg-17/bin", "pg-15/bin", "pg-9/bin"]);
    }
}
