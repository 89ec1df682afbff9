//! What changes about inbound calls: the comparison of what is declared, with the numbers that come
//! from outside of the file, and what is recorded.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use uuid::Uuid;

use super::{FieldChange, Inputs, Kind, Plan, PlannedTrunkSecret, SecretPlan, shown};
use crate::{
    desired::Declared,
    directory::{self, Recorded, RecordedSecret},
    model::{Code, Diagnostic, E164, NumberSource, ObjectName, OutsideLine, Place, Secret, UserKey},
    objects::{self, Called, Dialer, Fields, InboundPlaces, Object, ObjectKind, Routes, Trunk},
};

/// What inbound calls need from outside of the file: each the value, or why it cannot be had.
#[derive(Debug, Default)]
pub struct InboundValues {
    /// The numbers of dialers, by their variable.
    pub numbers: BTreeMap<String, Result<E164, String>>,
    /// The default caller ID; none where none is set.
    pub caller_id: Option<Result<E164, String>>,
    /// The secrets of trunks.
    pub trunk_secrets: BTreeMap<ObjectName, Result<Secret, String>>,
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
    /// Whether a trunk's secret becomes another one.
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
    let kept = |row: &RecordedSecret| PlannedTrunkSecret { secret: SecretPlan::Keep, print: Some(row.print.clone()) };
    plan.trunk_secrets = recorded.trunk_secrets.iter().map(|(name, row)| (name.clone(), kept(row))).collect();
    let behind = recorded.trunk_secrets.iter().filter(|(_, row)| row.is_behind());
    plan.trunks_behind = behind.map(|(name, _)| name.clone()).collect();
}

/// Adds what changes about inbound calls to the plan.
pub(super) fn add(plan: &mut Plan, inputs: &Inputs<'_>) {
    let Inputs { declared, recorded, inbound, .. } = inputs;
    for name in declared.trunk_secrets.keys() {
        let old = recorded.trunk_secrets.get(name).zip(recorded.routes.trunks.get(name));
        let secret = match inbound.trunk_secrets.get(name) {
            Some(Ok(secret)) if old.is_some_and(|(row, trunk)| row.print.is_secret(trunk, secret)) => SecretPlan::Keep,
            Some(Ok(_)) => SecretPlan::Take,
            Some(Err(reason)) => {
                plan.unresolved.push(format!("the secret of the trunk `{name}`: {reason}"));
                SecretPlan::Keep
            }
            None => SecretPlan::Keep,
        };
        let login = |trunk: &Trunk| (trunk.username.clone(), trunk.realm.clone());
        let same = |trunk: &Trunk| declared.routes.trunks.get(name).map(login) == Some(login(trunk));
        let kept = old.filter(|(_, trunk)| secret == SecretPlan::Keep && same(trunk));
        if kept.is_some_and(|(row, _)| row.is_behind()) {
            plan.trunks_behind.insert(name.clone());
        }
        let print = kept.map(|(row, _)| row.print.clone());
        plan.trunk_secrets.insert(name.clone(), PlannedTrunkSecret { secret, print });
    }
    taken(plan, inputs);
    let (routes, places) = wanted(inputs, &mut plan.unresolved);
    plan.problems.extend(loops(inputs));
    let taken = plan
        .trunk_secrets
        .iter()
        .filter(|(name, planned)| planned.secret == SecretPlan::Take && recorded.trunk_secrets.contains_key(*name));
    let renewed = taken.map(|(name, _)| (ObjectKind::Trunk, name.to_string())).collect();
    // The rows name users by their rows: a rename changes nothing about who gets a call.
    let renamed: BTreeMap<UserKey, UserKey> = renamed(plan, recorded);
    let before = if renamed.is_empty() {
        Cow::Borrowed(&recorded.routes)
    } else {
        Cow::Owned(recorded.routes.readdressed(&renamed))
    };
    plan.inbound = changes(&before, &routes, &places, &renewed);
    // Where a number is missing, there is nothing that could be rendered.
    plan.routes = if is_resolved(&routes) { routes } else { recorded.routes.clone() };
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
fn taken(plan: &mut Plan, inputs: &Inputs<'_>) {
    let Inputs { declared, recorded, .. } = inputs;
    if recorded.numbers_elsewhere.is_empty() {
        return;
    }
    let (mut untold, ours) = (declared.routes.numbers(), recorded.numbers());
    for (rule, place) in declared.routes.rules.iter().zip(&declared.places.routes) {
        let Called::Did(number) = &rule.to else { continue };
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

/// Finds dialers whose number, which comes from outside of the file, is one of ours. It is not quoted.
fn loops(inputs: &Inputs<'_>) -> Vec<Diagnostic> {
    let Inputs { declared, inbound, .. } = inputs;
    let mut routes = declared.routes.clone();
    let mut variables: BTreeMap<ObjectName, String> = BTreeMap::new();
    for (name, dialer) in &mut routes.dialers {
        let OutsideLine::Number(NumberSource::Env(variable)) = &dialer.target else { continue };
        let Some(Ok(number)) = inbound.numbers.get(variable) else { continue };
        variables.insert(name.clone(), variable.clone());
        dialer.target = OutsideLine::Number(NumberSource::Given(number.clone()));
    }
    let found = objects::loops(&routes).into_iter().filter_map(|(rule, dialer)| {
        let number = format!("the number in {}", variables.get(dialer)?);
        Some(objects::route_loop(dialer, &number, rule, &declared.places))
    });
    found.collect()
}

/// Names the recorded objects that are protected, as changes name them.
pub(super) fn protected(recorded: &Recorded) -> BTreeSet<(ObjectKind, String)> {
    recorded.routes.objects().into_iter().filter(|(_, object)| object.is_protected()).map(|(id, _)| id).collect()
}

/// Where each thing that can change is declared.
type Places = BTreeMap<(ObjectKind, String), Place>;

/// Describes the routes as they shall be recorded, with the place of all in them: numbers resolved, and
/// in one order where the file's carries no meaning.
fn wanted(inputs: &Inputs<'_>, unresolved: &mut Vec<String>) -> (Routes, Places) {
    let Inputs { declared, recorded, inbound, .. } = inputs;
    if declared.routes.is_empty() {
        return (Routes::default(), Places::new());
    }
    let caller_id = match &inbound.caller_id {
        None => None,
        Some(Ok(number)) => Some(number.clone()),
        Some(Err(reason)) => {
            unresolved.push(reason.clone());
            recorded.routes.caller_id.clone()
        }
    };
    let number = |variable: &str| {
        let unknown = || Err(format!("the variable {variable} is not set"));
        inbound.numbers.get(variable).cloned().unwrap_or_else(unknown)
    };
    let mut routes = declared.routes.resolved(caller_id.clone(), number).unwrap_or_else(|missing| {
        unresolved.extend(missing);
        let mut routes = Routes { caller_id, ..declared.routes.clone() };
        for (name, dialer) in &mut routes.dialers {
            let OutsideLine::Number(NumberSource::Env(variable)) = &dialer.target else { continue };
            if let Ok(number) = number(variable) {
                dialer.target = OutsideLine::Number(NumberSource::Given(number));
            } else if let Some(old) = recorded.routes.dialers.get(name) {
                // As a secret that cannot be had, it stays for now.
                dialer.target = old.target.clone();
            }
        }
        routes
    });
    tidy(&mut routes);
    let mut rules: Vec<_> = routes.rules.into_iter().zip(declared.places.routes.iter().copied()).collect();
    rules.sort_by_cached_key(|(rule, _)| objects::order(rule));
    let (rules, places): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    let rule_places = objects::names(&rules).into_iter().zip(places);
    routes.rules = rules;
    (routes, places_of(declared, rule_places))
}

fn places_of(declared: &Declared, rules: impl Iterator<Item = (String, Place)>) -> Places {
    let InboundPlaces { trunks, dialers, groups, hours, routes: _, default_route, public_sip_host } = &declared.places;
    let named = [
        (ObjectKind::Trunk, trunks),
        (ObjectKind::Dialer, dialers),
        (ObjectKind::Group, groups),
        (ObjectKind::Hours, hours),
    ];
    let named = named
        .into_iter()
        .flat_map(|(object, places)| places.iter().map(move |(name, place)| ((object, name.to_string()), *place)));
    let single = [(ObjectKind::DefaultRoute, default_route), (ObjectKind::PublicSipHost, public_sip_host)];
    let single = single.into_iter().filter_map(|(object, place)| Some(((object, String::new()), (*place)?)));
    named.chain(single).chain(rules.map(|(name, place)| ((ObjectKind::Route, name), place))).collect()
}

/// Puts the lists whose order means nothing into one order.
fn tidy(routes: &mut Routes) {
    for trunk in routes.trunks.values_mut() {
        trunk.identify.sort();
        trunk.identify.dedup();
    }
    for hours in routes.hours.values_mut() {
        hours.open.sort_by_cached_key(ToString::to_string);
        hours.open.dedup();
    }
    for rule in &mut routes.rules {
        rule.from.sort();
        rule.from.dedup();
    }
}

fn is_resolved(routes: &Routes) -> bool {
    let open = |dialer: &Dialer| matches!(dialer.target, OutsideLine::Number(NumberSource::Env(_)));
    !routes.dialers.values().any(open)
}

/// Compares all objects; `renewed` names those whose secret becomes another one.
fn changes(
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
