//! Phones that Asterisk still runs although their file is missing, because the operator moved it away.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Asterisk, AsteriskError, Host,
    findings::{Findings, PhonesWithoutFile},
    left_out::runs,
    listing::{Kind, Listing},
    mismatch::values_of,
};
use crate::{
    asterisk::ConfigFile,
    model::Extension,
    plan::{Plan, PlannedUser},
    render::endpoint_name,
};

impl Host {
    /// Finds the phones of a plan that Asterisk runs without a file in place.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent.
    pub(super) fn find_phones_without_file(
        &self,
        asterisk: &Asterisk,
        plan: &Plan,
        found: &mut Findings,
    ) -> Result<(), AsteriskError> {
        let tenant = &plan.tenant;
        if self.path(&ConfigFile::Endpoints.path(tenant)).exists() || !runs(asterisk, ConfigFile::Endpoints, tenant)? {
            return Ok(());
        }
        let name = |user: &PlannedUser| endpoint_name(tenant, plan.settings.endpoint_names, user.extension);
        let mut users: BTreeMap<String, &PlannedUser> = plan.users.values().map(|user| (name(user), user)).collect();
        let running = Listing::of_phones(asterisk, users.keys().map(String::as_str))?;
        users.retain(|name, _| running.has(Kind::Endpoint, name));
        let commands: Vec<String> = users.keys().map(|name| format!("pjsip show auth {name}")).collect();
        let answers = asterisk.ask_all(&commands)?;
        let is_recorded = |user: &PlannedUser, digest: &str| {
            user.digest.as_ref().is_some_and(|prints| prints.is_digest(digest.trim_start_matches("MD5:")))
        };
        let others = users.values().zip(&answers).filter(|(user, answer)| {
            !values_of(answer).get("password_digest").is_some_and(|digest| is_recorded(user, digest))
        });
        let changed: BTreeSet<Extension> = plan.changes.relogins().collect();
        let others = others.map(|(user, _)| user.extension).filter(|phone| !changed.contains(phone)).collect();
        let running: BTreeSet<Extension> = users.values().map(|user| user.extension).collect();
        found.notes.push(format!(
            "`{}` is missing, and Asterisk still runs phones from it: {} of this plan",
            ConfigFile::Endpoints.path(tenant),
            running.len()
        ));
        found.without_file = Some(PhonesWithoutFile { running, others });
        Ok(())
    }
}
