//! Generated files that the operator's own files do not include. Asterisk reloads without complaint, and
//! removes every object and context that it knew from them.

use std::{fs, path::Path};

use glob::Pattern;

use super::{Asterisk, AsteriskError, Comparison, Host, StatusError, includes, listing::Listing};
use crate::{
    model::Tenant,
    plan::{Allowance, RailStop},
    render::{Module, endpoints_path, mark_context, mark_name, routing_path},
};

/// The rail that stops an apply whose reload would remove what runs.
const RAIL: &str = "missing-includes";

/// Returns where a tenant's file for a module is, below the configuration folder.
fn path_of(module: Module, tenant: &Tenant) -> String {
    match module {
        Module::Pjsip => endpoints_path(tenant),
        Module::Dialplan => routing_path(tenant),
    }
}

/// Returns the line that the operator's file for a module must have, and where.
fn line_of(module: Module) -> &'static str {
    match module {
        Module::Pjsip => "`#tryinclude pjsip.d/*/generated_endpoints.conf` in `pjsip.conf`",
        Module::Dialplan => "`#tryinclude extensions.d/*/generated_routing.conf` in `extensions.conf`",
    }
}

impl Host {
    /// Lists the lines that include a tenant's files and that the operator's own files lack.
    pub(super) fn missing_includes(&self, tenant: &Tenant) -> Vec<&'static str> {
        let missing = |module: &Module| !self.is_included(&self.patterns(*module), *module, tenant);
        [Module::Pjsip, Module::Dialplan].into_iter().filter(missing).map(line_of).collect()
    }

    /// Adds the rail `missing-includes` to a plan if a reload would remove what Asterisk runs from generated files,
    /// of any tenant, or leave the files of other tenants out. On a host where nothing of ours runs yet, a missing
    /// line is only noted.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent.
    pub(super) fn note_missing_includes(
        &self,
        asterisk: &Asterisk,
        comparison: &mut Comparison,
        allowance: &Allowance,
    ) -> Result<(), StatusError> {
        let tenant = &comparison.plan.tenant;
        let (mut harms, mut lines) = (Vec::new(), Vec::new());
        for module in [Module::Pjsip, Module::Dialplan] {
            // Without its file, a reload fails, and Asterisk keeps what it runs.
            if !self.path(module.operators_file()).exists() {
                continue;
            }
            let patterns = self.patterns(module);
            let is_left_out = |tenant: &Tenant| !self.is_included(&patterns, module, tenant);
            let is_ours_left_out = is_left_out(tenant);
            let mut harmed = Vec::new();
            if is_ours_left_out && runs(asterisk, module, tenant)? {
                harmed.push(format!("`{tenant}`"));
            }
            for other in others(&self.config_dir, module, tenant).into_iter().filter(is_left_out) {
                if is_ours_left_out || runs(asterisk, module, &other)? {
                    harmed.push(format!("`{other}`"));
                }
            }
            if !harmed.is_empty() {
                lines.push(line_of(module));
                harms.push(words(module, &harmed));
            } else if is_ours_left_out {
                let line = line_of(module);
                comparison.plan.notes.push(format!("Asterisk does not include the generated file: add {line}"));
            }
        }
        if harms.len() > allowance.get(RAIL).copied().unwrap_or(0) {
            let (message, lines, count) = (harms.join("; "), lines.join(" and "), harms.len());
            let hint = format!("add {lines}, outside of any comment; if this is meant: --allow {RAIL}={count}");
            comparison.plan.stops.push(RailStop { rail: RAIL, message, hint, allow: Some(count) });
        } else {
            comparison.plan.notes.extend(harms);
        }
        Ok(())
    }

    /// Reads what the operator's file for a module includes.
    fn patterns(&self, module: Module) -> Vec<Pattern> {
        includes::patterns(&self.config_dir, &self.path(module.operators_file()))
    }

    fn is_included(&self, patterns: &[Pattern], module: Module, tenant: &Tenant) -> bool {
        includes::finds(patterns, &self.path(&path_of(module, tenant)))
    }
}

/// Says what a reload does to the tenants whose files are left out.
fn words(module: Module, tenants: &[String]) -> String {
    let (file, tenants) = (module.operators_file(), tenants.join(", "));
    let harm = match module {
        Module::Pjsip => "a reload would leave Asterisk without their phones and trunks",
        Module::Dialplan => {
            "a reload would leave Asterisk without their dialplan, so that their phones can dial nothing"
        }
    };
    format!("`{file}` does not include the generated files of {tenants}: {harm}")
}

/// Lists the other tenants that have a generated file for a module on this host, by name.
fn others(config_dir: &Path, module: Module, tenant: &Tenant) -> Vec<Tenant> {
    let ours = path_of(module, tenant);
    let folder = ours.split('/').next().unwrap_or_default();
    // A folder that cannot be read stops an apply elsewhere: the lock is in it.
    let entries = fs::read_dir(config_dir.join(folder)).into_iter().flatten().flatten();
    let tenants = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<Tenant>().ok());
    let has_file = |other: &Tenant| other != tenant && config_dir.join(path_of(module, other)).is_file();
    let mut others: Vec<Tenant> = tenants.filter(has_file).collect();
    others.sort();
    others
}

/// Tells whether Asterisk runs a generation of a tenant's file, whichever.
pub(super) fn runs(asterisk: &Asterisk, module: Module, tenant: &Tenant) -> Result<bool, AsteriskError> {
    match module {
        Module::Pjsip => Ok(Listing::of_marks(asterisk, &mark_name(tenant, ""))?.endpoints().next().is_some()),
        Module::Dialplan => {
            let context = mark_context(tenant);
            let answer = asterisk.ask(&format!("dialplan show {context}"))?;
            Ok(answer.raw().contains(&format!("Context '{context}'")))
        }
    }
}
