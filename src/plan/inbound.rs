//! What changes about inbound calls: the comparison of what is declared, with the numbers that come
//! from outside of the file, and what is recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use super::{FieldChange, Inputs, Kind, Plan, PlannedTrunkSecret, SecretPlan, shown};
use crate::{
    desired::Declared,
    directory::{self, Recorded, RecordedSecret},
    model::{Diagnostic, E164, ObjectName, Place, SENSITIVE, Secret},
    objects::{
        self, Called, CallerId, Dialer, DialerTarget, Hours, InboundPlaces, NumberSource, Routes, Rule, Target, Trunk,
    },
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

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InboundObject {
    /// A SIP carrier.
    Trunk,
    /// Somewhere calls can be sent to.
    Dialer,
    /// Opening hours.
    Hours,
    /// A rule.
    Route,
    /// Who gets a call that no rule is for.
    DefaultRoute,
    /// Where users' phones are reached from outside.
    PublicSipHost,
    /// The default caller ID.
    CallerId,
}

impl fmt::Display for InboundObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trunk => "trunk",
            Self::Dialer => "dialer",
            Self::Hours => "hours",
            Self::Route => "route",
            Self::DefaultRoute => "default_route",
            Self::PublicSipHost => "public_sip_host",
            Self::CallerId => "caller_id",
        })
    }
}

/// One change about inbound calls.
#[derive(Debug, Clone)]
pub struct InboundChange {
    /// What happens: something is created, updated or deleted.
    pub kind: Kind,
    /// What it is about.
    pub object: InboundObject,
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
    let before = Side { routes: &recorded.routes, secrets: recorded.trunk_secrets.keys().collect() };
    let after = Side { routes: &routes, secrets: plan.trunk_secrets.keys().collect() };
    let taken = plan
        .trunk_secrets
        .iter()
        .filter(|(name, planned)| planned.secret == SecretPlan::Take && recorded.trunk_secrets.contains_key(*name));
    let renewed = taken.map(|(name, _)| name.as_str()).collect();
    plan.inbound = changes(&before, &after, &places, &renewed);
    // Where a number is missing, there is nothing that could be rendered.
    plan.routes = if is_resolved(&routes) { routes } else { recorded.routes.clone() };
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
            plan.problems.push(Diagnostic::error("number-taken", message, *place).hint(hint));
        }
    }
}

/// Finds dialers whose number, which comes from outside of the file, is one of ours. It is not quoted.
fn loops(inputs: &Inputs<'_>) -> Vec<Diagnostic> {
    let Inputs { declared, inbound, .. } = inputs;
    let mut routes = declared.routes.clone();
    let mut variables: BTreeMap<ObjectName, String> = BTreeMap::new();
    for (name, dialer) in &mut routes.dialers {
        let DialerTarget::Number(NumberSource::Env(variable)) = &dialer.target else { continue };
        let Some(Ok(number)) = inbound.numbers.get(variable) else { continue };
        variables.insert(name.clone(), variable.clone());
        dialer.target = DialerTarget::Number(NumberSource::Given(number.clone()));
    }
    let found = objects::loops(&routes).into_iter().filter_map(|(rule, dialer)| {
        let number = format!("the number in {}", variables.get(dialer)?);
        Some(objects::route_loop(dialer, &number, rule, &declared.places))
    });
    found.collect()
}

/// Names the recorded rules that are protected, as changes name them.
pub(super) fn protected(recorded: &Recorded) -> BTreeSet<String> {
    let rules = &recorded.routes.rules;
    names(rules).into_iter().zip(rules).filter(|(_, rule)| rule.protected).map(|(name, _)| name).collect()
}

/// Names rules by what they are for; hours in which nobody is ever there may have several for the same.
pub(super) fn names(rules: &[Rule]) -> Vec<String> {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = |rule: &Rule| {
        let name = rule.to_string();
        let count = known.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 { name } else { format!("{name} ({count})") }
    };
    rules.iter().map(&mut name).collect()
}

/// Where each thing that can change is declared.
type Places = BTreeMap<(InboundObject, String), Place>;

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
            let DialerTarget::Number(NumberSource::Env(variable)) = &dialer.target else { continue };
            if let Ok(number) = number(variable) {
                dialer.target = DialerTarget::Number(NumberSource::Given(number));
            } else if let Some(old) = recorded.routes.dialers.get(name) {
                // As a secret that cannot be had, it stays for now.
                dialer.target = old.target.clone();
            }
        }
        routes
    });
    tidy(&mut routes);
    let mut rules: Vec<_> = routes.rules.into_iter().zip(declared.places.routes.iter().copied()).collect();
    rules.sort_by_cached_key(|(rule, _)| (rule.to.clone(), rule.to_string(), format!("{:?}", rule_fields(rule))));
    let (rules, places): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    let rule_places = names(&rules).into_iter().zip(places);
    routes.rules = rules;
    (routes, places_of(declared, rule_places))
}

fn places_of(declared: &Declared, rules: impl Iterator<Item = (String, Place)>) -> Places {
    let InboundPlaces { trunks, dialers, hours, routes: _, default_route, public_sip_host } = &declared.places;
    let named = [(InboundObject::Trunk, trunks), (InboundObject::Dialer, dialers), (InboundObject::Hours, hours)];
    let named = named
        .into_iter()
        .flat_map(|(object, places)| places.iter().map(move |(name, place)| ((object, name.to_string()), *place)));
    let single = [(InboundObject::DefaultRoute, default_route), (InboundObject::PublicSipHost, public_sip_host)];
    let single = single.into_iter().filter_map(|(object, place)| Some(((object, String::new()), (*place)?)));
    named.chain(single).chain(rules.map(|(name, place)| ((InboundObject::Route, name), place))).collect()
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
    let open = |dialer: &Dialer| matches!(dialer.target, DialerTarget::Number(NumberSource::Env(_)));
    !routes.dialers.values().any(open)
}

/// The routes, and which trunks have a secret.
struct Side<'a> {
    routes: &'a Routes,
    secrets: BTreeSet<&'a ObjectName>,
}

/// The properties of an object; those of one kind have the same keys.
type Fields = Vec<(&'static str, Option<String>)>;

fn changes(before: &Side<'_>, after: &Side<'_>, places: &Places, renewed: &BTreeSet<&str>) -> Vec<InboundChange> {
    let (mut old, new) = (before.objects(), after.objects());
    let mut changes = Vec::new();
    for ((object, name), fields) in new {
        let known = old.remove(&(object, name.clone()));
        let kind = if known.is_some() { Kind::Update } else { Kind::Create };
        let none = || fields.iter().map(|(key, _)| (*key, None)).collect();
        let fields = differing(known.unwrap_or_else(none), &fields);
        let secret_changed = object == InboundObject::Trunk && renewed.contains(name.as_str());
        if kind == Kind::Create || secret_changed || !fields.is_empty() {
            let place = places.get(&(object, name.clone())).copied();
            changes.push(InboundChange { kind, object, name, fields, secret_changed, place });
        }
    }
    for ((object, name), fields) in old {
        let none: Fields = fields.iter().map(|(key, _)| (*key, None)).collect();
        let fields = differing(fields, &none);
        changes.push(InboundChange { kind: Kind::Delete, object, name, fields, secret_changed: false, place: None });
    }
    changes.sort_by(|a, b| (a.object, &a.name).cmp(&(b.object, &b.name)));
    changes
}

fn differing(before: Fields, after: &Fields) -> Vec<FieldChange> {
    super::diff::differing(before.into_iter().zip(after).map(|((key, old), (_, new))| (key, old, new.clone())))
}

impl Side<'_> {
    /// Lists everything that can change, by what it is and its name.
    fn objects(&self) -> BTreeMap<(InboundObject, String), Fields> {
        let Routes { trunks, dialers, hours, rules, default_route, public_sip_host, caller_id } = self.routes;
        let mut objects = BTreeMap::new();
        for (name, trunk) in trunks {
            let fields = trunk_fields(trunk, self.secrets.contains(name));
            objects.insert((InboundObject::Trunk, name.to_string()), fields);
        }
        let dialers = dialers.iter().map(|(name, dialer)| (InboundObject::Dialer, name.to_string(), fields_of(dialer)));
        let hours = hours.iter().map(|(name, hours)| (InboundObject::Hours, name.to_string(), hours_fields(hours)));
        let rules =
            names(rules).into_iter().zip(rules).map(|(name, rule)| (InboundObject::Route, name, rule_fields(rule)));
        let single = [
            (InboundObject::DefaultRoute, "default_route", some(in_turn(default_route))),
            (InboundObject::PublicSipHost, "public_sip_host", public_sip_host.clone()),
            (InboundObject::CallerId, "caller_id", caller_id.as_ref().map(ToString::to_string)),
        ];
        let single = single.into_iter().filter(|(.., value)| value.is_some());
        let single = single.map(|(object, key, value)| (object, String::new(), vec![(key, value)]));
        objects.extend(dialers.chain(hours).chain(rules).chain(single).map(|(object, name, of)| ((object, name), of)));
        objects
    }
}

fn trunk_fields(trunk: &Trunk, has_secret: bool) -> Fields {
    vec![
        ("host", Some(trunk.host.clone())),
        ("identify", some(trunk.identify.join(","))),
        ("username", trunk.username.as_ref().map(ToString::to_string)),
        ("secret", has_secret.then(|| SENSITIVE.to_owned())),
        ("realm", trunk.realm.as_ref().map(ToString::to_string)),
        ("register", Some(trunk.register.to_string())),
    ]
}

fn fields_of(dialer: &Dialer) -> Fields {
    let (number, sip) = match &dialer.target {
        DialerTarget::Number(NumberSource::Given(number)) => (Some(number.to_string()), None),
        DialerTarget::Number(NumberSource::Env(variable)) => (Some(format!("({variable})")), None),
        DialerTarget::Sip(address) => (None, Some(address.clone())),
    };
    let caller_id = match &dialer.caller_id {
        CallerId::Default => None,
        CallerId::Called => Some("called".to_owned()),
        CallerId::Caller => Some("caller".to_owned()),
        CallerId::Number(number) => Some(number.to_string()),
    };
    vec![
        ("number", number),
        ("sip", sip),
        ("caller_id", caller_id),
        ("ring", Some(format!("{}s", dialer.ring))),
        ("trunk", dialer.trunk.as_ref().map(ToString::to_string)),
    ]
}

fn hours_fields(hours: &Hours) -> Fields {
    let list = |texts: Vec<String>, between: &str| some(texts.join(between));
    vec![
        ("timezone", Some(hours.timezone.name().to_owned())),
        // A range may hold commas itself.
        ("open", list(hours.open.iter().map(ToString::to_string).collect(), " and ")),
        ("closed", list(hours.closed.iter().map(ToString::to_string).collect(), ",")),
    ]
}

fn rule_fields(rule: &Rule) -> Fields {
    vec![
        ("route", Some(in_turn(&rule.route))),
        ("otherwise", rule.otherwise.as_deref().map(in_turn)),
        ("protected", Some(rule.protected.to_string())),
    ]
}

/// Writes who gets a call: `dialfire, then zendesk_talk`.
fn in_turn(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
