//! The logins of phones that an apply takes over from the operator's own files: which of them end.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    asterisk::{Asterisk, AsteriskError},
    mismatch::values_of,
};
use crate::{
    model::{Extension, Ha1, Secret},
    plan::{Plan, PlannedUser, SecretPlan},
    render::endpoint_name,
};

/// Finds the phones that must log in again when the reload takes them over: those that get a generated secret, and those
/// whose recorded login is another one than Asterisk runs. `over` has the names of their endpoints.
///
/// # Errors
/// When Asterisk does not run, or stays silent.
pub(super) fn ended(asterisk: &Asterisk, plan: &Plan, over: &[String]) -> Result<BTreeSet<Extension>, AsteriskError> {
    let name = |user: &PlannedUser| endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
    let users: BTreeMap<String, &PlannedUser> = plan.users.values().map(|user| (name(user), user)).collect();
    let users: Vec<(&String, &PlannedUser)> =
        over.iter().filter_map(|name| Some((name, *users.get(name.as_str())?))).collect();
    let (new, others): (Vec<_>, Vec<_>) =
        users.into_iter().partition(|(_, user)| matches!(user.secret, SecretPlan::Generate));
    // What an import brings is what runs.
    let kept: Vec<_> = others.into_iter().filter(|(_, user)| user.digest.is_some()).collect();
    let endpoints = asterisk.ask_all(&commands("endpoint", kept.iter().map(|(name, _)| name.as_str())))?;
    let auths: Vec<String> =
        endpoints.iter().map(|answer| values_of(answer).remove("auth").unwrap_or_default()).collect();
    let logins = asterisk.ask_all(&commands("auth", auths.iter().map(String::as_str)))?;
    let changed =
        kept.iter().zip(&logins).filter(|((name, user), answer)| !is_kept(plan, user, name, &values_of(answer)));
    Ok(new.iter().chain(changed.map(|(user, _)| user)).map(|(_, user)| user.extension).collect())
}

fn commands<'a>(kind: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.map(|name| format!("pjsip show {kind} {name}")).collect()
}

/// Tells whether what Asterisk runs of an auth is the recorded login of a phone.
fn is_kept(plan: &Plan, user: &PlannedUser, name: &str, auth: &BTreeMap<String, String>) -> bool {
    let Some(prints) = &user.digest else { return false };
    let value = |key: &str| auth.get(key).map_or("", String::as_str);
    if value("username") != user.phone.login_of(name) {
        return false;
    }
    let of_password = Secret::new(value("password"))
        .map(|secret| Ha1::of_phone(&plan.settings, &user.phone, name, &secret))
        .is_ok_and(|digest| prints.is_digest(digest.reveal()));
    let digests = [value("md5_cred"), value("password_digest").trim_start_matches("MD5:")];
    of_password || digests.iter().any(|digest| !digest.is_empty() && prints.is_digest(digest))
}
