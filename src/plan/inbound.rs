//! The objects as they shall be recorded: what is declared, with the numbers and secrets that come from outside of the
//! file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use uuid::Uuid;

use super::{Change, Inputs, Plan, PlannedSecret, SecretPlan, change::Places, diff};
use crate::{
    directory::{self, Recorded, RecordedSecret},
    model::{Code, Diagnostic, E164, Extension, Place, Secret, UserKey},
    objects::{self, ExtensionClaim, NumberOwner, ObjectId, Routes},
};

/// What inbound calls need from outside of the file: each the value, or why it cannot be had.
#[derive(Debug, Default)]
pub struct InboundValues {
    /// The numbers that come from variables, by the variable.
    pub numbers: BTreeMap<String, Result<E164, String>>,
    /// The default caller ID, or `None` if none is set.
    pub caller_id: Option<Result<E164, String>>,
    /// The secrets of objects.
    pub secrets: BTreeMap<ObjectId, Result<Secret, String>>,
}

/// Takes what is recorded as it is.
pub(super) fn keep(plan: &mut Plan, recorded: &Recorded) {
    plan.routes = recorded.routes.clone();
    let kept = |row: &RecordedSecret| PlannedSecret { secret: SecretPlan::Keep, print: row.print.clone() };
    plan.secrets = recorded.secrets.iter().map(|(id, row)| (id.clone(), kept(row))).collect();
    let behind = recorded.secrets.iter().filter(|(_, row)| row.is_behind());
    plan.secrets_behind = behind.map(|(id, _)| id.clone()).collect();
}

/// Adds what happens to the secrets of objects.
fn add_secrets(plan: &mut Plan, inputs: &Inputs<'_>, routes: &Routes) {
    let Inputs { declared, recorded, inbound, .. } = inputs;
    let objects = routes.objects();
    let generated = objects.iter().filter(|(_, object)| object.generates().is_some()).map(|(id, _)| id);
    let ids: Vec<&ObjectId> = declared.object_secrets.keys().chain(generated).collect();
    if ids.is_empty() {
        return;
    }
    let (before, after) = (recorded.routes.logins(), routes.logins());
    for id in ids {
        let old = recorded.secrets.get(id).zip(before.get(id));
        let is_declared = declared.object_secrets.contains_key(id);
        let secret = match inbound.secrets.get(id) {
            Some(Ok(secret)) if old.is_some_and(|(row, login)| row.is_secret(login, secret)) => SecretPlan::Keep,
            Some(Ok(_)) => SecretPlan::Take,
            Some(Err(reason)) => {
                let (kind, name) = id;
                plan.unresolved.push(format!("the secret of the {kind} `{name}`: {reason}"));
                SecretPlan::Keep
            }
            None if old.is_some() => SecretPlan::Keep,
            // It was not read.
            None if is_declared => SecretPlan::Take,
            None => SecretPlan::Generate,
        };
        let kept = old.filter(|(_, login)| secret == SecretPlan::Keep && after.get(id) == Some(*login));
        if kept.is_some_and(|(row, _)| row.is_behind()) {
            plan.secrets_behind.insert(id.clone());
        }
        let print = kept.and_then(|(row, _)| row.print.clone());
        plan.secrets.insert(id.clone(), PlannedSecret { secret, print });
    }
}

/// Adds the declared objects to the plan. `numbers` are their internal numbers. Returns what changes.
pub(super) fn add(plan: &mut Plan, inputs: &Inputs<'_>, numbers: &BTreeMap<ObjectId, Extension>) -> Vec<Change> {
    let recorded = inputs.recorded;
    // The rows name users by their rows: a rename changes nothing about who gets a call.
    let renamed: BTreeMap<UserKey, UserKey> = renamed(plan, recorded);
    let before = if renamed.is_empty() {
        Cow::Borrowed(&recorded.routes)
    } else {
        Cow::Owned(recorded.routes.readdressed(&renamed))
    };
    let (mut routes, places) = wanted(inputs, &before, numbers, &mut plan.unresolved);
    routes.forget_others(|| plan.users.values().map(|user| user.email.key()).collect());
    add_secrets(plan, inputs, &routes);
    taken(plan, inputs, &routes, &places);
    let Inputs { declared, inbound, .. } = inputs;
    let value = |variable: &str| inbound.numbers.get(variable)?.as_ref().ok().cloned();
    plan.problems.extend(objects::loops_by_variables(&declared.routes, &declared.places, value));
    let is_renewed = |(id, planned): &(&ObjectId, &PlannedSecret)| {
        planned.secret == SecretPlan::Take && recorded.secrets.contains_key(*id)
    };
    let renewed = plan.secrets.iter().filter(is_renewed).map(|(id, _)| id.clone()).collect();
    let changes = diff::objects(&before, &routes, &places, &renewed);
    let left = recorded.routes.extensions().into_iter().filter(|(id, number)| numbers.get(id) != Some(number));
    plan.freed.extend(left.map(|(id, number)| (number, NumberOwner::Object(id))));
    plan.notes.extend(routes.left_behind(&before, &plan.tenant));
    // If a number is missing, the routes cannot be rendered.
    plan.routes = if routes.is_resolved() { routes } else { recorded.routes.clone() };
    changes
}

/// Lists the present addresses of users that are renamed, by the former ones.
fn renamed(plan: &Plan, recorded: &Recorded) -> BTreeMap<UserKey, UserKey> {
    let present: BTreeMap<Uuid, UserKey> =
        plan.users.values().filter_map(|user| Some((user.id?, user.email.key()))).collect();
    let moved = recorded.users.iter().filter_map(|(former, user)| Some((former, present.get(&user.id)?)));
    moved
        .filter(|(former, present)| former != present)
        .map(|(former, present)| (former.clone(), present.clone()))
        .collect()
}

/// Rejects numbers that belong to another tenant, because a call to them would be ambiguous. Reports each number once.
/// A number that both tenants have, as an earlier version allowed, is only noted, so that other changes do not wait.
fn taken(plan: &mut Plan, inputs: &Inputs<'_>, routes: &Routes, places: &Places) {
    let recorded = inputs.recorded;
    if recorded.numbers_elsewhere.is_empty() {
        return;
    }
    let objects = routes.objects();
    let claims = objects.iter().flat_map(|(id, object)| object.numbers().into_iter().map(move |number| (id, number)));
    let claims = claims.filter_map(|(id, number)| Some((places.get(id)?, number)));
    let claims: BTreeSet<(&Place, &E164)> = claims.collect();
    let (mut untold, ours) = (routes.numbers(), recorded.numbers());
    for (place, number) in claims {
        let other = recorded.numbers_elsewhere.get(number).filter(|_| untold.remove(number));
        let Some(other) = other else { continue };
        let hint = directory::hint_of_taken(other.as_ref());
        let other = match other {
            Some(other) => format!("the tenant `{other}`"),
            None => "another tenant".to_owned(),
        };
        if ours.contains(number) {
            plan.notes.push(format!("{number} also belongs to {other}, so a call to it is ambiguous: {hint}"));
        } else {
            let message = format!("{number} already belongs to {other}");
            plan.problems.push(Diagnostic::error(Code::NumberTaken, message, *place).hint(hint));
        }
    }
}

/// Names the recorded objects that are protected, as changes name them.
pub(super) fn protected(recorded: &Recorded) -> BTreeSet<ObjectId> {
    recorded.routes.objects().into_iter().filter(|(_, object)| object.is_protected()).map(|(id, _)| id).collect()
}

/// Describes the routes as they shall be recorded, `former` being those that are, with the place of all in them: numbers resolved, and
/// in one order where the file's carries no meaning.
fn wanted(
    inputs: &Inputs<'_>,
    former: &Routes,
    numbers: &BTreeMap<ObjectId, Extension>,
    unresolved: &mut Vec<String>,
) -> (Routes, Places) {
    let Inputs { declared, inbound, .. } = inputs;
    let mut routes = declared.routes.clone();
    routes.allocate(former, inputs.highest_box);
    if declared.routes.is_empty() {
        return (routes, Places::new());
    }
    unresolved.extend(routes.take_caller_id(inbound.caller_id.as_ref(), former));
    let number = |variable: &str| {
        let unknown = || Err(format!("the variable {variable} is not set"));
        inbound.numbers.get(variable).cloned().unwrap_or_else(unknown)
    };
    unresolved.extend(routes.resolve(former, &number));
    routes.set_extensions(|id, _| numbers.get(id).copied().map(ExtensionClaim::Given));
    let places = routes.settle(&declared.places);
    (routes, places)
}
