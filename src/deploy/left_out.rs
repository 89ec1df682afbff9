//! Generated files that the operator's own files do not include. Asterisk reloads without complaint, and
//! removes every object and context that it knew from them.

use std::{fs, path::Path};

use super::{
    Asterisk, AsteriskError, Comparison, Host, StatusError,
    findings::Findings,
    includes::{self, Finder},
    listing::Listing,
};
use crate::{
    asterisk::{ConfigFile, PerFile, Sections, mark_name},
    fs::FileError,
    model::Tenant,
    plan::{Allowance, RailStop},
};

/// The rail that stops an apply whose files Asterisk would not take, or whose reload would remove what runs.
const RAIL: &str = "missing-includes";

/// Returns the line that the operator's file must have to include a generated file, and where.
fn line_of(file: ConfigFile) -> String {
    format!("`{}` in `{}`", file.include_line(), file.facts().includer)
}

impl Host {
    /// Lists the lines that include the files that a tenant uses and that the operator's own files lack.
    ///
    /// # Errors
    /// When one of the operator's files cannot be read.
    pub(super) fn missing_includes(&self, tenant: &Tenant, kept: PerFile<bool>) -> Result<Vec<String>, FileError> {
        let mut lines = Vec::new();
        for file in ConfigFile::ALL.into_iter().filter(|file| kept[*file]) {
            if !self.is_included(&self.finders(file)?, file, tenant) {
                lines.push(line_of(file));
            }
        }
        Ok(lines)
    }

    /// Finds the rail `missing-includes`, for a plan whose files Asterisk would not take, or whose reload would remove
    /// what Asterisk runs from generated files of any tenant, or leave the files of other tenants out.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent, or one of the operator's files cannot be read.
    pub(super) fn find_missing_includes(
        &self,
        asterisk: &Asterisk,
        comparison: &Comparison,
        allowance: &Allowance,
        found: &mut Findings,
    ) -> Result<(), StatusError> {
        let tenant = &comparison.plan.tenant;
        let (mut harms, mut lines) = (Vec::new(), Vec::new());
        for file in ConfigFile::ALL.into_iter().filter(|file| comparison.files[*file].is_kept) {
            // Without its file, a reload fails, and Asterisk keeps what it runs.
            if !self.path(file.facts().includer).exists() {
                continue;
            }
            let finders = self.finders(file)?;
            found.stops.extend(self.twice_in(&finders, file, tenant));
            let is_left_out = |tenant: &Tenant| !self.is_included(&finders, file, tenant);
            let is_ours_left_out = is_left_out(tenant);
            let mut harmed = Vec::new();
            if is_ours_left_out && runs(asterisk, file, tenant)? {
                harmed.push(format!("`{tenant}`"));
            }
            for other in others(&self.config_dir, file, tenant).into_iter().filter(is_left_out) {
                if is_ours_left_out || runs(asterisk, file, &other)? {
                    harmed.push(format!("`{other}`"));
                }
            }
            if !harmed.is_empty() {
                lines.push(line_of(file));
                harms.push(words(file, &harmed));
            } else if is_ours_left_out {
                lines.push(line_of(file));
                harms.push(format!(
                    "`{}` does not include the generated files of `{tenant}`: Asterisk would not take them",
                    file.facts().includer
                ));
            }
        }
        if harms.len() > allowance.get(RAIL).copied().unwrap_or(0) {
            let (message, lines, count) = (harms.join("; "), lines.join(" and "), harms.len());
            let hint = format!("add {lines}, outside of any comment; if this is intended: --allow {RAIL}={count}");
            // Not part of the command that the plan proposes: whoever lets it pass knows why.
            found.stops.push(RailStop { rail: RAIL, message, hint, allow: None });
        } else {
            found.notes.extend(harms);
        }
        Ok(())
    }

    /// Says which of a tenant's files several lines include, so that Asterisk would lose them.
    ///
    /// # Errors
    /// When one of the operator's files cannot be read.
    pub(super) fn included_twice(&self, tenant: &Tenant) -> Result<Vec<RailStop>, FileError> {
        let mut stops = Vec::new();
        for file in ConfigFile::ALL {
            stops.extend(self.twice_in(&self.finders(file)?, file, tenant));
        }
        Ok(stops)
    }

    /// Finds the rail at objects that Asterisk reads twice: it takes none of the whole file then, if only at its next
    /// start. Contexts of one name are one.
    fn twice_in(&self, finders: &[Finder], file: ConfigFile, tenant: &Tenant) -> Option<RailStop> {
        let path = file.path(tenant);
        let places: Vec<String> =
            includes::finding(finders, &self.path(&path)).map(|place| format!("`{place}`")).collect();
        (places.len() > 1 && file.facts().sections == Sections::Objects).then(|| RailStop {
            rail: "included-twice",
            message: format!(
                "`{path}` is included {} times, in {}: Asterisk would reject all of its objects",
                places.len(),
                places.join(" and ")
            ),
            hint: "remove all of these lines but one".to_owned(),
            allow: None,
        })
    }

    /// Reads what the operator's file that includes a generated one includes.
    fn finders(&self, file: ConfigFile) -> Result<Vec<Finder>, FileError> {
        includes::finders(&self.config_dir, &self.path(file.facts().includer))
    }

    fn is_included(&self, finders: &[Finder], file: ConfigFile, tenant: &Tenant) -> bool {
        includes::finding(finders, &self.path(&file.path(tenant))).next().is_some()
    }
}

/// Says what a reload does to the tenants whose files are left out.
fn words(file: ConfigFile, tenants: &[String]) -> String {
    let (includer, tenants) = (file.facts().includer, tenants.join(", "));
    let harm = file.facts().harm;
    format!("`{includer}` does not include the generated files of {tenants}: {harm}")
}

/// Lists the other tenants that have a generated file of a kind on this host, by name.
fn others(config_dir: &Path, file: ConfigFile, tenant: &Tenant) -> Vec<Tenant> {
    // A folder that cannot be read stops an apply elsewhere: the lock is in it.
    let entries = fs::read_dir(config_dir.join(file.facts().folder)).into_iter().flatten().flatten();
    let tenants = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<Tenant>().ok());
    let has_file = |other: &Tenant| other != tenant && config_dir.join(file.path(other)).is_file();
    let mut others: Vec<Tenant> = tenants.filter(has_file).collect();
    others.sort();
    others
}

/// Tells whether Asterisk runs a generation of a tenant's file, whichever.
pub(super) fn runs(asterisk: &Asterisk, file: ConfigFile, tenant: &Tenant) -> Result<bool, AsteriskError> {
    match &file.facts().any_mark {
        None => Ok(Listing::of_marks(asterisk, &mark_name(tenant, ""))?.endpoints().next().is_some()),
        Some(check) => Ok(check.is_shown(asterisk.ask(&check.command(tenant, ""))?.raw(), tenant, "")),
    }
}
