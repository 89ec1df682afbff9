//! What changes about inbound calls: the comparison of what is declared, with the numbers that come
//! from outside of the file, and what is recorded.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use uuid::Uuid;

use super::{FieldChange, Inputs, Kind, Plan, PlannedSecret, SecretPlan, shown};
use crate::{
    directory::{self, Recorded, RecordedSecret},
    model::{Code, Diagnostic, E164, Extension, Place, Secret, UserKey},
    objects::{self, ExtensionClaim, Fields, NumberOwner, Object, ObjectId, ObjectKind, Routes},
};

/// What inbound calls need from outside of the file: each the value, or why it cannot be had.
#[derive(Debug, Default)]
pub struct InboundValues {
    /// The numbers that come from variables, by the variable.
    pub numbers: BTreeMap<String, Result<E164, String>>,
    /// The default caller ID; none where none is set.
    pub caller_id: Option<Result<E164, String>>,
    /// The secrets of objects.
    pub secrets: BTreeMap<ObjectId, Result<Secret, String>>,
}

/// One change about inbound calls.
#[derive(Debug, Clone)]
pub struct InboundChange {
    /// What happens: something is created, updated or deleted.
    pub kind: Kind,
    /// What it is about.
    pub object: ObjectKind,
    /// Its name, or what a rule is for; empty where there is only one.
    pub name: String,
    /// What changes, in words.
    pub fields: Vec<FieldChange>,
    /// Whether the object's secret becomes another one.
    pub secret_changed: bool,
    /// Where it is declared.
    pub place: Option<Place>,
}

impl InboundChange {
    /// Names what it is about.
    pub fn title(&self) -> String {
        format!("{} {}", self.object, self.name).trim_end().to_owned()
    }

    /// Says what changes.
    pub fn words(&self) -> String {
        let single = self.name.is_empty();
        let parts = self.fields.iter().map(|change| match (self.kind, &change.before, &change.after) {
            // What is so unless it is said.
            (Kind::Create, _, Some(value)) if value == "false" => None,
            (Kind::Create, _, Some(value)) if single || change.field == "route" => Some(format!("-> {value}")),
            (Kind::Create, _, Some(value)) if value == "true" => Some(change.field.to_owned()),
            (Kind::Create, _, value) => Some(format!("{} {}", change.field, shown(value.as_ref()))),
            (Kind::Delete, value, _) if single || change.field == "route" => {
                Some(format!("was {}", shown(value.as_ref())))
            }
            (Kind::Delete, ..) => None,
            (_, before, after) if single => Some(format!("{} -> {}", shown(before.as_ref()), shown(after.as_ref()))),
            _ => Some(change.to_string()),
        });
        let secret = self.secret_changed.then(|| "secret changed".to_owned());
        parts.flatten().chain(secret).collect::<Vec<_>>().join("; ")
    }
}

/// Takes what is recorded as it is.
pub(super) fn keep(plan: &mut Plan, recorded: &Recorded) {
    plan.routes = recorded.routes.clone();
    let kept = |row: &RecordedSecret| PlannedSecret { secret: SecretPlan::Keep, print: Some(row.print.clone()) };
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
            Some(Ok(secret)) if old.is_some_and(|(row, login)| row.print.is_secret(login, secret)) => SecretPlan::Keep,
            Some(Ok(_)) => SecretPlan::Take,
            Some(Err(reason)) => {
                let (kind, name) = id;
                plan.unresolved.push(format!("the secret of the {kind} `{name}`: {reason}"));
                SecretPlan::Keep
            }
            None if is_declared || old.is_some() => SecretPlan::Keep,
            None => SecretPlan::Generate,
        };
        let kept = old.filter(|(_, login)| secret == SecretPlan::Keep && after.get(id) == Some(*login));
        if kept.is_some_and(|(row, _)| row.is_behind()) {
            plan.secrets_behind.insert(id.clone());
        }
        let print = kept.map(|(row, _)| row.print.clone());
        plan.secrets.insert(id.clone(), PlannedSecret { secret, print });
    }
}

/// Adds what changes about inbound calls to the plan. `numbers` are the internal numbers of the declared objects.
pub(super) fn add(plan: &mut Plan, inputs: &Inputs<'_>, numbers: &BTreeMap<ObjectId, Extension>) {
    let recorded = inputs.recorded;
    // The rows name users by their rows: a rename changes nothing about who gets a call.
    let renamed: BTreeMap<UserKey, UserKey> = renamed(plan, recorded);
    let before = if renamed.is_empty() {
        Cow::Borrowed(&recorded.routes)
    } else {
        Cow::Owned(recorded.routes.readdressed(&renamed))
    };
    let (routes, places) = wanted(inputs, &before, numbers, &mut plan.unresolved);
    add_secrets(plan, inputs, &routes);
    taken(plan, inputs, &routes, &places);
    let Inputs { declared, inbound, .. } = inputs;
    let value = |variable: &str| inbound.numbers.get(variable)?.as_ref().ok().cloned();
    plan.problems.extend(objects::loops_by_variables(&declared.routes, &declared.places, value));
    let is_renewed = |(id, planned): &(&ObjectId, &PlannedSecret)| {
        planned.secret == SecretPlan::Take && recorded.secrets.contains_key(*id)
    };
    let renewed = plan.secrets.iter().filter(is_renewed).map(|(id, _)| id.clone()).collect();
    plan.inbound = changes(&before, &routes, &places, &renewed);
    let left = recorded.routes.extensions().into_iter().filter(|(id, number)| numbers.get(id) != Some(number));
    plan.freed.extend(left.map(|(id, number)| (number, NumberOwner::Object(id))));
    plan.notes.extend(routes.left_behind(&before, &plan.tenant));
    // Where a number is missing, there is nothing that could be rendered.
    plan.routes = if routes.is_resolved() { routes } else { recorded.routes.clone() };
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

/// Refuses numbers that another tenant has: whose a call to them is could not be told. Each is told once.
/// Where both have one, as by an earlier version, it is noted: nobody's other changes wait for that.
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
        let hint = directory::hint_of_taken(other);
        if ours.contains(number) {
            plan.notes.push(format!(
                "{number} is a number of the tenant `{other}` as well, and whose a call is cannot be told: {hint}"
            ));
        } else {
            let message = format!("{number} is a number of the tenant `{other}`");
            plan.problems.push(Diagnostic::error(Code::NumberTaken, message, *place).hint(hint));
        }
    }
}

/// Names the recorded objects that are protected, as changes name them.
pub(super) fn protected(recorded: &Recorded) -> BTreeSet<(ObjectKind, String)> {
    recorded.routes.objects().into_iter().filter(|(_, object)| object.is_protected()).map(|(id, _)| id).collect()
}

/// Where each thing that can change is declared.
pub(super) type Places = BTreeMap<ObjectId, Place>;

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
    routes.allocate(former);
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

/// Compares all objects; `renewed` names those whose secret becomes another one.
pub(super) fn changes(
    before: &Routes,
    after: &Routes,
    places: &Places,
    renewed: &BTreeSet<(ObjectKind, String)>,
) -> Vec<InboundChange> {
    let (mut old, new) = (before.objects(), after.objects());
    let mut changes = Vec::new();
    for (id, declared) in new {
        let known = old.remove(&id);
        let kind = if known.is_some() { Kind::Update } else { Kind::Create };
        let fields = differing(known, Some(declared));
        let secret_changed = renewed.contains(&id);
        if kind == Kind::Create || secret_changed || !fields.is_empty() {
            let place = places.get(&id).copied();
            let (object, name) = id;
            changes.push(InboundChange { kind, object, name, fields, secret_changed, place });
        }
    }
    for ((object, name), known) in old {
        let fields = differing(Some(known), None);
        changes.push(InboundChange { kind: Kind::Delete, object, name, fields, secret_changed: false, place: None });
    }
    changes.sort_by(|a, b| (a.object, &a.name).cmp(&(b.object, &b.name)));
    changes
}

/// Compares the properties of an object before and after. Both have the same keys.
fn differing(before: Option<&dyn Object>, after: Option<&dyn Object>) -> Vec<FieldChange> {
    let [before, after] = [before, after].map(|object| object.map(Object::fields));
    let none = |of: &Fields| of.iter().map(|(key, _)| (*key, None)).collect::<Fields>();
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (Some(before), None) => {
            let after = none(&before);
            (before, after)
        }
        (None, Some(after)) => (none(&after), after),
        (None, None) => return Vec::new(),
    };
    super::diff::differing(before.into_iter().zip(after).map(|((key, old), (_, new))| (key, old, new)))
}
