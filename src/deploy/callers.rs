//! What callers reach: the routes as they were applied, with the phones among their targets. It
//! moves with the end of an apply, and never before.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{
    calls,
    directory::{
        Directory, DirectoryError, MadeLive, Recorded, RowChanges,
        audit::{End, Outcome},
    },
    model::{E164, EndpointNames, Extension, Identity, Tenant, UserKey},
    objects::{NO_ROUTES, Routes},
    plan::{Plan, numbers_between},
    render::endpoint_name,
};

/// Closes the audit row of an apply. What was made so is remembered as live, and reaches callers from then
/// on; what was put back does not.
pub(super) fn close(
    directory: &mut Directory,
    run: i64,
    end: &End,
    plan: &Plan,
    recorded: &Recorded,
    rows: &RowChanges,
) -> Result<(), DirectoryError> {
    if !matches!(end.outcome, Outcome::Live | Outcome::Rendered) {
        return directory.close_audit(run, end);
    }
    let routes = concerns(plan, recorded).then(|| reached(plan, run));
    let live = MadeLive {
        tenant: rows.tenant,
        digests: digests_made_live(plan, recorded, rows),
        secrets: secrets_made_live(plan, recorded, rows),
        routes,
    };
    directory.close_applied(run, end, &live)
}

/// Lists the users whose digest is another one than the last apply made live, by their rows.
fn digests_made_live<'a>(plan: &'a Plan, recorded: &Recorded, rows: &'a RowChanges) -> Vec<(Uuid, &'a [u8])> {
    let known: BTreeMap<Uuid, &[u8]> =
        recorded.users.values().filter_map(|user| Some((user.id, user.applied.as_deref()?))).collect();
    let written = rows.users().map(|row| (row.id, row.prints.digest.as_slice()));
    let kept = plan.users.values().filter(|user| !user.write);
    let kept = kept.filter_map(|user| Some((user.id?, user.digest.as_ref()?.digest.as_slice())));
    written.chain(kept).filter(|(id, digest)| known.get(id) != Some(digest)).collect()
}

/// The same for the secrets of objects.
fn secrets_made_live<'a>(plan: &'a Plan, recorded: &Recorded, rows: &'a RowChanges) -> Vec<(Uuid, &'a [u8])> {
    let rows_before = recorded.secrets.values();
    let known: BTreeMap<Uuid, &[u8]> = rows_before.filter_map(|row| Some((row.id, row.applied.as_deref()?))).collect();
    let written = rows.objects.secrets.iter().map(|row| (row.row, row.print.shown.as_slice()));
    let kept = plan
        .secrets
        .iter()
        .filter_map(|(id, planned)| Some((recorded.secrets.get(id)?.id, planned.print.as_ref()?.shown.as_slice())));
    written.chain(kept).filter(|(object, print)| known.get(object) != Some(print)).collect()
}

/// Says what it means for callers that the audit row could not be closed.
pub(super) fn unmoved(plan: &Plan, recorded: &Recorded) -> &'static str {
    if concerns(plan, recorded) { ", and inbound calls keep the previous routes until the next apply" } else { "" }
}

/// Tells whether the tenant has inbound calls, or had any: others have nothing that callers reach.
fn concerns(plan: &Plan, recorded: &Recorded) -> bool {
    !plan.routes.is_empty() || recorded.applied.is_some()
}

/// Says that callers still reach something else than what is recorded, if they do.
pub(super) fn behind(tenant: &Tenant, recorded: &Recorded) -> Option<String> {
    let row = recorded.tenant.as_ref()?;
    let number = |email: &UserKey| recorded.users.get(email).map(|user| user.extension);
    match &recorded.applied {
        None if recorded.routes.is_empty() => None,
        None => Some("the recorded routes are not in use yet; the next apply puts them into use".to_owned()),
        Some(applied) => {
            let users = users(&recorded.routes, tenant, row.settings.endpoint_names, number);
            let run = applied.run;
            let known = recorded.users.values().map(|user| (&user.email, user.previous.as_ref(), user.extension));
            let phone = |number| endpoint_name(tenant, row.settings.endpoint_names, number);
            let addresses = addresses(applied, known, phone);
            let reached = applied.users.iter().map(|(email, phone)| (&addresses[email], phone));
            (!reached.eq(&users) || applied.routes.readdressed(&addresses) != recorded.routes).then(|| {
                format!("inbound calls still use the routes of run {run}, not the recorded ones; the next apply changes that")
            })
        }
    }
}

/// Finds the present addresses of the users whom callers reach, by those that they had when that was applied: a rename
/// changes nothing about who is reached. `known` lists all users with address, former address and number.
///
/// A former address may be another user's now: the phone that callers reach tells whose it was.
fn addresses<'a>(
    applied: &calls::LiveRoutes,
    known: impl Iterator<Item = (&'a Identity, Option<&'a UserKey>, Extension)>,
    phone: impl Fn(Extension) -> String,
) -> BTreeMap<UserKey, UserKey> {
    let (mut present, mut renamed) = (BTreeSet::new(), BTreeMap::new());
    if applied.users.is_empty() {
        return BTreeMap::new();
    }
    for (identity, previous, number) in known {
        let email = identity.key();
        if let Some(previous) = previous.filter(|previous| applied.users.contains_key(previous)) {
            renamed.insert(previous, (email.clone(), number));
        }
        if applied.users.contains_key(&email) {
            present.insert(email);
        }
    }
    let address = |email: &UserKey, at: &String| match renamed.get(email) {
        Some((new, number)) if !present.contains(email) || phone(*number) == *at => new.clone(),
        _ => email.clone(),
    };
    applied.users.iter().map(|(email, phone)| (email.clone(), address(email, phone))).collect()
}

/// Finds the public numbers whose callers reach somebody else, or in another way, once a plan was carried out.
pub(super) fn numbers(plan: &Plan, recorded: &Recorded) -> BTreeSet<E164> {
    let Some(applied) = &recorded.applied else { return numbers_between(&NO_ROUTES, &plan.routes) };
    let known = plan.users.values().map(|user| (&user.email, user.previous.as_ref(), user.extension));
    let phone = |number| endpoint_name(&plan.tenant, plan.settings.endpoint_names, number);
    numbers_between(&applied.routes.readdressed(&addresses(applied, known, phone)), &plan.routes)
}

/// What callers reach once a plan was carried out.
fn reached(plan: &Plan, run: i64) -> calls::LiveRoutes {
    calls::LiveRoutes { tenant: plan.tenant.clone(), run, routes: plan.routes.clone(), users: phones_called(plan) }
}

/// Names the phones of the users who may get a call once a plan was carried out.
fn phones_called(plan: &Plan) -> BTreeMap<UserKey, String> {
    let wanted = plan.routes.users();
    let numbers: BTreeMap<UserKey, Extension> = if wanted.is_empty() {
        BTreeMap::new()
    } else {
        let users = plan.users.values().map(|user| (user.email.key(), user.extension));
        users.filter(|(email, _)| wanted.contains(email)).collect()
    };
    users(&plan.routes, &plan.tenant, plan.settings.endpoint_names, |email| numbers.get(email).copied())
}

/// Names the phones of the users who may get a call.
fn users(
    routes: &Routes,
    tenant: &Tenant,
    names: EndpointNames,
    number: impl Fn(&UserKey) -> Option<Extension>,
) -> BTreeMap<UserKey, String> {
    let name = |email: UserKey| {
        let name = endpoint_name(tenant, names, number(&email)?);
        Some((email, name))
    };
    routes.users().into_iter().filter_map(name).collect()
}
