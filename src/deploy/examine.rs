//! What stands between a tenant and its host, for `doctor`. Its phones are not compared: `status` does that.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Host, MissingName, MissingNeed, Override, Survey, compare_plan,
    emergency::{self, Unreachable},
    includes,
    readable::Unreadable,
    requirements::Requirements,
};
use crate::{
    asterisk::{ConfigFile, PerFile},
    directory::Recorded,
    fs::FileError,
    model::Tenant,
    plan::{Allowance, Plan, RailStop},
    render::Phonebook,
};

/// What a host lacks for what is recorded of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Modules and time zones that Asterisk lacks.
    pub(crate) lacks: Vec<MissingNeed>,
    /// Contexts and transports that it lacks.
    pub(crate) missing_names: Vec<MissingName>,
    /// What it does not answer about these.
    pub(crate) unasked: Vec<String>,
    /// Emergency numbers that phones cannot dial.
    pub(crate) emergency: Vec<Unreachable>,
    /// Where `searchcontexts` takes boxes away.
    pub(crate) search_contexts: Option<String>,
    /// Why Asterisk may not read the generated files, and what lets it.
    pub(crate) unreadable: Option<(String, String)>,
    /// Include lines that the operator's files lack.
    pub(crate) missing_includes: Vec<String>,
    /// Generated files that several lines include.
    pub(crate) included_twice: Vec<RailStop>,
    /// Sections of other files that change generated objects.
    pub(crate) overrides: Vec<Override>,
}

impl Host {
    /// Finds out what this host lacks for a plan that changes nothing. Asks nothing of Asterisk if it is left alone.
    ///
    /// # Errors
    /// If a file cannot be read, a value cannot be rendered, or Asterisk stays silent.
    pub(crate) fn examine(&self, plan: Plan, recorded: &Recorded, now: Timestamp) -> Result<Examined> {
        let survey = Survey { in_place: self.in_place(&plan.tenant)?, ..Survey::default() };
        let comparison = compare_plan(plan, recorded, &survey, &Allowance::new(), Vec::new())?;
        let plan = &comparison.plan;
        let kept = PerFile::from_fn(|file| comparison.files[file].is_kept);
        let Requirements { lacks, missing_names, unasked, unchecked_names } =
            self.requirements(&Phonebook::of(plan, None), now)?;
        let emergency = self.asterisk.as_ref().map(|asterisk| emergency::unreachable(asterisk, plan)).transpose()?;
        let unreadable = self.unreadable(&comparison)?.map(|Unreadable { message, hint }| (message, hint));
        Ok(Examined {
            lacks,
            missing_names,
            unasked: unasked.into_iter().chain(unchecked_names).collect(),
            emergency: emergency.unwrap_or_default(),
            search_contexts: self.search_contexts(plan)?,
            unreadable,
            missing_includes: self.missing_includes(&plan.tenant, kept)?,
            included_twice: self.included_twice(&plan.tenant)?,
            overrides: self.overrides(&plan.tenant)?,
        })
    }
}

/// A file that Asterisk reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperatorFile {
    /// Its path below the configuration folder, or its whole path.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Reads an operator's file and those that it includes, without the generated ones.
///
/// # Errors
/// If one of them cannot be read.
pub(crate) fn operator_files(config_dir: &Path, name: &str) -> Result<Vec<OperatorFile>, FileError> {
    let files = includes::read(config_dir, &config_dir.join(name))?;
    let others = files.into_iter().filter(|file| !is_generated(config_dir, &file.path));
    Ok(others.map(|file| OperatorFile { name: includes::below(config_dir, &file.path), text: file.text }).collect())
}

/// Tells whether a path is that of a generated file.
fn is_generated(config_dir: &Path, path: &Path) -> bool {
    ConfigFile::ALL.into_iter().any(|file| {
        path.file_name().is_some_and(|name| name == file.name().as_str())
            && path.starts_with(config_dir.join(file.facts().folder))
    })
}

/// Finds the include line for which Asterisk would reject an operator's file: its place, and what it names.
pub(crate) fn broken_include(config_dir: &Path, name: &str) -> Option<(String, String)> {
    let includes::BrokenInclude { place, name } = includes::broken(config_dir, &config_dir.join(name))?;
    Some((place, name))
}

/// Lists the generated files of all tenants on a host that are there, with the tenant's folder.
///
/// # Errors
/// If a folder cannot be listed.
pub(crate) fn generated_files(config_dir: &Path) -> Result<Vec<(ConfigFile, String, PathBuf)>, FileError> {
    let mut found = Vec::new();
    for file in ConfigFile::ALL {
        let folder = config_dir.join(file.facts().folder);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                continue;
            }
            Err(error) => return Err(crate::fs::failed("read", &folder)(error)),
        };
        for entry in entries.flatten() {
            let path = entry.path().join(file.name());
            if path.symlink_metadata().is_ok() {
                found.push((file, entry.file_name().to_string_lossy().into_owned(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Lists the include lines that the operator's files lack for the files that every tenant has, each with the file it
/// belongs to.
///
/// # Errors
/// If one of the operator's files cannot be read.
pub(crate) fn lacking_includes(config_dir: &Path, tenant: &Tenant) -> Result<Vec<(String, &'static str)>, FileError> {
    let mut lacking = Vec::new();
    for file in ConfigFile::ALL.into_iter().filter(|file| !file.facts().is_optional) {
        let includer = file.facts().includer;
        let finders = includes::finders(config_dir, &config_dir.join(includer))?;
        if includes::finding(&finders, &config_dir.join(file.path(tenant))).next().is_none() {
            lacking.push((file.include_line(), includer));
        }
    }
    Ok(lacking)
}
