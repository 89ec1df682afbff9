//! What changes about inbound calls, in the words of the plan.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    super::{InboundValues, Inputs, Kind, Plan, SecretPlan, plan},
    carrier,
};
use crate::{
    desired::{self, Declared},
    directory::{Recorded, RecordedTenant},
    model::{Ha1, Secret},
    objects::ObjectId,
};

const FILE: &str = r#"version: 1
tenant: acme
public_sip_host: sip.example.com
users:
  - { email: bo.li@example.com, name: Bo Li }
trunks:
  carrier: { host: 198.51.100.7, identify: [203.0.113.0/28], username: acme, secret: { env: CARRIER_SECRET } }
dialers:
  dialfire: { number: { env: DIALFIRE_PHONE_NUMBER }, caller_id: called, ring: 30s, trunk: carrier }
  zendesk_talk: { sip: "sip:acme@talk.example", ring: 20s }
hours:
  office: { timezone: Europe/Berlin, open: ["mon-fri 09:00-18:00"], closed: ["2026-12-25"] }
inbound:
  - to: "+15559876543"
    from: ["+49*", withheld]
    when: office
    route: [dialfire, zendesk_talk]
    otherwise: [bo.li@example.com]
    protected: true
  - to: default
    route: [dialfire, busy]
default_route: [dialfire]
"#;

fn declared(text: &str) -> Declared {
    let loaded = desired::load_text("pbx.yaml", text);
    loaded.declared.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

fn values() -> InboundValues {
    let secret = Secret::new("canary-of-the-carrier").unwrap();
    InboundValues {
        numbers: BTreeMap::from([("DIALFIRE_PHONE_NUMBER".to_owned(), Ok("+4930123456".parse().unwrap()))]),
        caller_id: None,
        secrets: BTreeMap::from([(carrier(), Ok(secret))]),
    }
}

fn planned(text: &str, values: &InboundValues, recorded: &Recorded) -> Plan {
    plan(&Inputs {
        declared: &declared(text),
        recorded,
        secrets: &BTreeMap::new(),
        inbound: values,
        allowance: &BTreeMap::new(),
        highest_box: 0,
        now: Timestamp::UNIX_EPOCH,
    })
}

/// What is recorded once a file was applied.
fn applied(text: &str, values: &InboundValues) -> Recorded {
    let plan = planned(text, values, &Recorded::default());
    assert!(plan.unresolved.is_empty(), "{:?}", plan.unresolved);
    let outside = super::Outside { secrets: BTreeMap::new(), inbound: copied(values) };
    super::recorded_after(&plan, &outside, &Recorded::default(), &mut 10, Timestamp::UNIX_EPOCH)
}

fn copied(values: &InboundValues) -> InboundValues {
    let InboundValues { numbers, caller_id, secrets } = values;
    let (numbers, caller_id) = (numbers.clone(), caller_id.clone());
    InboundValues { numbers, caller_id, secrets: secrets.clone() }
}

/// Writes the changes, a line each.
fn changes(plan: &Plan) -> Vec<String> {
    let field = |field: &super::super::FieldChange| {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        format!("{}: {} -> {}", field.field, shown(&field.before), shown(&field.after))
    };
    let line = |(change, (kind, name)): (&super::super::Change, &ObjectId)| {
        let fields: Vec<String> = change.fields.iter().map(field).collect();
        let secret = if change.secret_changed { " secret changed" } else { "" };
        format!("{:?} {kind} {name} [{}]{secret}", change.kind, fields.join("; "))
    };
    plan.changes.of_objects().map(line).collect()
}

#[test]
fn all_of_a_first_declaration_is_created() {
    let plan = planned(FILE, &values(), &Recorded::default());
    assert_eq!(
        changes(&plan),
        [
            "Create trunk carrier [host: none -> 198.51.100.7; identify: none -> 203.0.113.0/28; \
             username: none -> acme; secret: none -> (sensitive); register: none -> false]",
            "Create dialer dialfire [number: none -> +4930123456; caller_id: none -> called; ring: none -> 30s; \
             trunk: none -> carrier]",
            "Create dialer zendesk_talk [sip: none -> sip:acme@talk.example; ring: none -> 20s]",
            "Create hours office [timezone: none -> Europe/Berlin; open: none -> mon-fri 09:00-18:00; \
             closed: none -> 2026-12-25]",
            "Create route to +15559876543 from +49*, withheld when office [route: none -> dialfire, then zendesk_talk; \
             otherwise: none -> bo.li@example.com; protected: none -> true]",
            "Create route to default [route: none -> dialfire, then busy; protected: none -> false]",
            "Create default_route  [default_route: none -> dialfire]",
            "Create public_sip_host  [public_sip_host: none -> sip.example.com]",
        ]
    );
    assert!(!format!("{plan:?}").contains("canary"));
    let (route, _) = plan.changes.of_objects().find(|(_, (_, name))| name.contains("+49")).unwrap();
    assert_eq!(route.place.map(|place| place.line), Some(14));
}

#[test]
fn what_is_recorded_changes_in_nothing_whatever_the_order() {
    let recorded = applied(FILE, &values());
    let plan = planned(&FILE.replace(r#"["+49*", withheld]"#, r#"[withheld, "+49*"]"#), &values(), &recorded);
    assert_eq!(changes(&plan), Vec::<String>::new());
    assert!(plan.is_empty() && plan.routes == recorded.routes);
}

#[test]
fn each_change_is_shown_before_and_after() {
    let recorded = applied(FILE, &values());
    let text = FILE
        .replace("ring: 20s", "ring: 25s, caller_id: called")
        .replace("[\"mon-fri 09:00-18:00\"]", "[\"mon-fri 09:00-18:00\", \"sat,sun 10:00-12:00\"]")
        .replace("route: [dialfire, busy]", "route: [zendesk_talk, busy]")
        .replace("default_route: [dialfire]", "default_route: [zendesk_talk]")
        .replace("public_sip_host: sip.example.com", "public_sip_host: voip.example.com");
    let mut values = values();
    values.caller_id = Some(Ok("+15550001111".parse().unwrap()));
    values.secrets.insert(carrier(), Ok(Secret::new("another-canary").unwrap()));
    assert_eq!(
        changes(&planned(&text, &values, &recorded)),
        [
            "Update trunk carrier [] secret changed",
            "Update dialer zendesk_talk [caller_id: none -> called; ring: 20s -> 25s]",
            "Update hours office [open: mon-fri 09:00-18:00 -> mon-fri 09:00-18:00 and sat,sun 10:00-12:00]",
            "Update route to default [route: dialfire, then busy -> zendesk_talk, then busy]",
            "Update default_route  [default_route: dialfire -> zendesk_talk]",
            "Update public_sip_host  [public_sip_host: sip.example.com -> voip.example.com]",
            "Create caller_id  [caller_id: none -> +15550001111]",
        ]
    );
}

/// What stands in the endpoint file tells nobody the secret, and a plan without a key still knows it.
#[test]
fn a_new_realm_keeps_the_secret_and_shows_another_digest() {
    let recorded = applied(FILE, &values());
    let trunk = carrier();
    let text = FILE.replace("{ env: CARRIER_SECRET }", "{ env: CARRIER_SECRET }, realm: carrier.example");
    let plan = planned(&text, &values(), &recorded);
    assert_eq!(changes(&plan), ["Update trunk carrier [realm: none -> carrier.example]"]);
    assert_eq!((plan.secrets[&trunk].secret, &plan.secrets[&trunk].print), (SecretPlan::Keep, &None));
    let print = recorded.secrets[&trunk].print.as_ref().unwrap();
    assert!(print.is_shown("canary-of-the-carrier") && !print.is_shown("another"));
    let recorded = applied(&text, &values());
    let digest = Ha1::new("acme", "carrier.example", &Secret::new("canary-of-the-carrier").unwrap());
    assert!(recorded.secrets[&trunk].print.as_ref().unwrap().is_shown(digest.reveal()));
    assert!(planned(&text, &values(), &recorded).is_empty());
}

/// Removing all of it from the file removes all of it: nothing is left to surprise a caller.
#[test]
fn a_file_that_declares_nothing_any_more_deletes_all() {
    let open = FILE.replace("protected: true", "protected: false");
    let recorded = applied(&open, &values());
    let text = &FILE[..FILE.find("trunks:").unwrap()].replace("public_sip_host: sip.example.com\n", "");
    let mut values = values();
    // What callers see means nothing without calls.
    values.caller_id = Some(Err("not a number".to_owned()));
    let plan = planned(text, &values, &recorded);
    let objects: Vec<_> = plan.changes.of_objects().collect();
    assert!(objects.iter().all(|(change, _)| change.kind == Kind::Delete) && objects.len() == 8, "{objects:?}");
    assert!(plan.routes.is_empty() && plan.secrets.is_empty() && plan.unresolved.is_empty());
    assert!(plan.stops.is_empty(), "{:?}", plan.stops);
}

#[test]
fn a_number_that_cannot_be_had_is_unresolved_and_keeps_the_recorded_one() {
    let reason = || Err("the variable DIALFIRE_PHONE_NUMBER is not set".to_owned());
    let without = |mut values: InboundValues| {
        values.numbers.insert("DIALFIRE_PHONE_NUMBER".to_owned(), reason());
        values
    };
    let words = "the number of the dialer `dialfire`: the variable DIALFIRE_PHONE_NUMBER is not set";
    let first = planned(FILE, &without(values()), &Recorded::default());
    assert_eq!(first.unresolved, [words]);
    // It is shown, but nothing with a hole in it is rendered.
    assert!(changes(&first).iter().any(|line| line.contains("number: none -> (DIALFIRE_PHONE_NUMBER)")));
    assert!(first.routes.is_empty());

    let recorded = applied(FILE, &values());
    let later = planned(FILE, &without(values()), &recorded);
    assert_eq!(later.unresolved, [words]);
    assert_eq!(changes(&later), Vec::<String>::new());
    assert_eq!(later.routes, recorded.routes);
}

#[test]
fn a_protected_route_is_changed_or_deleted_only_after_that_was_applied() {
    let recorded = applied(FILE, &values());
    let changed = FILE.replace("otherwise: [bo.li@example.com]", "otherwise: [hangup]");
    let deleted = FILE.replace("\"+15559876543\"", "\"+15559876544\"");
    let free = FILE.replace("protected: true", "protected: false");
    let both = changed.replace("protected: true", "protected: false");
    let name = "`to +15559876543 from +49*, withheld when office`";
    for text in [&changed, &deleted, &both] {
        let stops = planned(text, &values(), &recorded).stops;
        let [stop] = stops.as_slice() else { panic!("{stops:?}") };
        assert_eq!(
            (stop.rail, &stop.message),
            ("protected", &format!("protected routes would be changed or deleted: {name}"))
        );
    }
    assert!(planned(&free, &values(), &recorded).stops.is_empty());
    assert!(planned(&changed, &values(), &applied(&free, &values())).stops.is_empty());
}

/// A tenant that is recorded already gets its first routes like any other.
#[test]
fn a_tenant_without_inbound_calls_has_none_in_its_plan() {
    let text = "version: 1\ntenant: acme\nusers: []\n";
    let settings = declared(text).settings;
    let tenant = Some(RecordedTenant { id: uuid::Uuid::from_u128(1), settings });
    let recorded = Recorded { tenant, ..Recorded::default() };
    let caller_id = Some(Ok("+15550001111".parse().unwrap()));
    let values = InboundValues { caller_id, ..InboundValues::default() };
    let plan = planned(text, &values, &recorded);
    assert!(plan.is_empty() && plan.routes.is_empty());
}
