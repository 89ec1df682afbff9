//! What callers reach: the routes as they were applied, with the phones among their targets. It
//! moves with the end of an apply, and never before.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    calls,
    directory::{
        Directory, DirectoryError, MadeLive, Recorded, RowChanges,
        audit::{End, Outcome},
    },
    model::{EndpointNames, Extension, Tenant, UserKey},
    objects::Routes,
    plan::Plan,
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
    let written = rows.rows.iter().map(|row| (row.id, row.prints.digest.as_slice()));
    let kept = plan.users.values().filter(|user| !user.write);
    let kept = kept.filter_map(|user| Some((user.id?, user.digest.as_ref()?.digest.as_slice())));
    written.chain(kept).filter(|(id, digest)| known.get(id) != Some(digest)).collect()
}

/// The same for the secrets of objects.
fn secrets_made_live<'a>(plan: &'a Plan, recorded: &Recorded, rows: &'a RowChanges) -> Vec<(Uuid, &'a [u8])> {
    let rows_before = recorded.trunk_secrets.values();
    let known: BTreeMap<Uuid, &[u8]> = rows_before.filter_map(|row| Some((row.id, row.applied.as_deref()?))).collect();
    let written = rows.objects.secrets.iter().map(|row| (row.row, row.print.shown.as_slice()));
    let kept = plan.trunk_secrets.iter().filter_map(|(name, planned)| {
        Some((recorded.trunk_secrets.get(name)?.id, planned.print.as_ref()?.shown.as_slice()))
    });
    written.chain(kept).filter(|(object, print)| known.get(object) != Some(print)).collect()
}

/// Says what it means for callers that the audit row could not be closed.
pub(super) fn unmoved(plan: &Plan, recorded: &Recorded) -> &'static str {
    if concerns(plan, recorded) { ", and callers reach what they did until the next apply" } else { "" }
}

/// Tells whether the tenant has inbound calls, or had any: others have nothing that callers reach.
fn concerns(plan: &Plan, recorded: &Recorded) -> bool {
    !plan.routes.is_empty() || recorded.applied.is_some()
}

/// Says that callers still reach something else than what is recorded, where they do.
pub(super) fn behind(tenant: &Tenant, recorded: &Recorded) -> Option<String> {
    let row = recorded.tenant.as_ref()?;
    let number = |email: &UserKey| recorded.users.get(email).map(|user| user.extension);
    match &recorded.applied {
        None if recorded.routes.is_empty() => None,
        None => Some("callers reach nothing of the recorded routes yet: the next apply heals it".to_owned()),
        Some(applied) => {
            let users = users(&recorded.routes, tenant, row.settings.endpoint_names, number);
            let run = applied.run;
            (applied.routes != recorded.routes || applied.users != users).then(|| {
                format!("callers still reach what run {run} applied, not what is recorded: the next apply heals it")
            })
        }
    }
}

/// What callers reach once a plan was carried out.
fn reached(plan: &Plan, run: i64) -> calls::Applied {
    let wanted = plan.routes.users();
    let numbers: BTreeMap<UserKey, Extension> = if wanted.is_empty() {
        BTreeMap::new()
    } else {
        let users = plan.users.values().map(|user| (user.email.key(), user.extension));
        users.filter(|(email, _)| wanted.contains(email)).collect()
    };
    let number = |email: &UserKey| numbers.get(email).copied();
    calls::Applied {
        tenant: plan.tenant.clone(),
        run,
        routes: plan.routes.clone(),
        users: users(&plan.routes, &plan.tenant, plan.settings.endpoint_names, number),
    }
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
