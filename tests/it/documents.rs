//! Documents last: what any version of the program wrote is read, what is absent has defaults, and a document that
//! cannot be read stops only what needs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proptest::prelude::*;
use reconcile::{
    calls::{
        Answer, Applied, Called, CallerClass, CallerId, CallerMatch, Dialer, DialerTarget, Event, Hours, NumberSource,
        Outcome, Routes, Rule, Started, Status, Target, Trunk, What, spool,
    },
    model::{
        Document, EndpointNames, PhoneOverride, PhoneProfile, Settings,
        document::{self, Map},
    },
};
use serde_json::{Value, json};

use super::{
    serve::server::Serve,
    support::{TestEnv, desired},
};

const FOLDER: &str = "tests/documents";

fn golden(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// Parses a text that is valid.
fn of<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>, L: FromIterator<T>>(texts: &[&str]) -> L {
    texts.iter().map(|text| of(text)).collect()
}

fn settings() -> Settings {
    Settings {
        range: of("1000-1099, 2000-2099"),
        country: Some(of("DE")),
        reserved: list(&["1090", "2001"]),
        hold_days: 30,
        endpoint_names: EndpointNames::TenantExtension,
        phones: PhoneProfile {
            codecs: list(&["g722", "alaw"]),
            devices: 3,
            transport: Some(of("transport-udp")),
            realm: of("asterisk"),
        },
        include: list(&["outbound", "internal"]),
    }
}

fn phone() -> PhoneOverride {
    PhoneOverride {
        codecs: Some(list(&["opus", "ulaw"])),
        devices: Some(2),
        transport: Some(of("transport-tls")),
        realm: Some(of("asterisk")),
    }
}

fn routes() -> Routes {
    let trunk = |host: &str, identify: &[&str]| Trunk {
        host: host.to_owned(),
        identify: identify.iter().map(|address| (*address).to_owned()).collect(),
        username: None,
        realm: None,
        register: false,
    };
    let number = |number: &str| DialerTarget::Number(NumberSource::Given(of(number)));
    let dialer = |target, caller_id, ring, trunk: &[&str]| Dialer {
        target,
        caller_id,
        ring,
        trunk: trunk.first().map(|name| of(name)),
    };
    let desk = |name: &str| Target::Dialer(of(name));
    let bo = || Target::User(of::<reconcile::model::Email>("bo.li@example.com").key());
    let ana = Target::User(of::<reconcile::model::Email>("ana.silva@example.com").key());
    Routes {
        trunks: BTreeMap::from([
            (of("backup"), trunk("backup.example", &["192.0.2.7"])),
            (
                of("carrier"),
                Trunk {
                    username: Some(of("acme")),
                    realm: Some(of("carrier.example")),
                    register: true,
                    ..trunk("198.51.100.7:5070", &["203.0.113.0/28", "203.0.113.99"])
                },
            ),
        ]),
        dialers: BTreeMap::from([
            (of("desk"), dialer(number("+4930555001"), CallerId::Caller, 30, &["carrier"])),
            (of("shown"), dialer(number("+4930555003"), CallerId::Called, 30, &[])),
            (of("mobile"), dialer(number("+4930555002"), CallerId::Number(of("+15559876543")), 30, &[])),
            (of("dialfire"), dialer(number("+4930123456"), CallerId::Default, 25, &["carrier"])),
            (
                of("zendesk_talk"),
                dialer(DialerTarget::Sip("sip:acme@talk.example".to_owned()), CallerId::Default, 20, &["backup"]),
            ),
        ]),
        hours: BTreeMap::from([(
            of("office"),
            Hours {
                timezone: "Europe/Berlin".to_owned().try_into().unwrap(),
                open: list(&["mon-fri 09:00-18:00", "sat 22:00-02:00"]),
                closed: list(&["2026-12-25", "2026-12-26"]),
            },
        )]),
        rules: vec![
            Rule {
                to: Called::Did(of("+15559876543")),
                from: vec![CallerMatch::Prefix(of("+49*")), CallerMatch::Withheld],
                when: Some(of("office")),
                route: vec![desk("dialfire"), desk("zendesk_talk"), bo()],
                otherwise: Some(vec![bo(), Target::Hangup]),
                protected: true,
            },
            Rule {
                to: Called::Default,
                from: vec![CallerMatch::Prefix(of("+1*"))],
                when: None,
                route: vec![desk("desk"), Target::Busy],
                otherwise: None,
                protected: false,
            },
        ],
        default_route: vec![desk("mobile"), desk("shown"), ana],
        public_sip_host: Some("sip.example.com".to_owned()),
        caller_id: Some(of("+15559876543")),
    }
}

fn applied(run: i64) -> Applied {
    let user = |email: &str, name: &str| (of::<reconcile::model::Email>(email).key(), name.to_owned());
    Applied {
        tenant: of("acme"),
        run,
        routes: routes(),
        users: BTreeMap::from([user("ana.silva@example.com", "acme-1000"), user("bo.li@example.com", "acme-2010")]),
    }
}

fn event(tenant: Option<&str>, at: &str, what: What) -> Event {
    let call_sid = "CA00000000000000000000000000000003".to_owned();
    Event { call_sid, tenant: tenant.map(of), at: of(at), what }
}

fn answered() -> Event {
    let at = "2026-11-28T21:09:45.939004374Z";
    event(
        Some("acme"),
        at,
        What::Answered(Box::new(Answer {
            from: "+4930111222".to_owned(),
            to: "+15559876543".to_owned(),
            direction: "inbound".to_owned(),
            caller_class: CallerClass::E164,
            received_at: of(at),
            routed_at: of("2026-11-28T21:09:45.939419731Z"),
            response_ms: 0.418,
            rule: Some("to +15559876543 from +49*, withheld when office".to_owned()),
            reason: "to +15559876543 from +49* when office: decides, as `office` is open".to_owned(),
            targets: ["dialfire", "zendesk_talk", "bo.li@example.com"].map(str::to_owned).into(),
            first: Some(Started { step: 0, target: "dialfire".to_owned() }),
            retry: false,
            degraded: None,
            fallback: None,
        })),
    )
}

fn step() -> Event {
    event(
        Some("acme"),
        "2026-11-28T21:09:45.950867803Z",
        What::Step {
            step: 0,
            outcome: Outcome::NoAnswer,
            duration: Some(7),
            sip_code: Some(480),
            next: Some(Started { step: 1, target: "zendesk_talk".to_owned() }),
        },
    )
}

fn status() -> Event {
    event(None, "2026-11-28T21:09:45.960163396Z", What::Status { status: Status::Completed, duration: Some(31) })
}

fn counts() -> Map<String, u64> {
    let counts = [("adopt", 0), ("create", 3), ("delete", 0), ("inbound", 13), ("rename", 0), ("update", 0)];
    Map(counts.map(|(kind, count)| (kind.to_owned(), count)).into())
}

fn files() -> Map<String, String> {
    let files = [
        (
            "extensions.d/acme/generated_routing.conf",
            "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0",
        ),
        ("pjsip.d/acme/generated_endpoints.conf", "e59a5a2c3efd114acce676e79a66eedbd4dcaada61c8ecb34366e52ab99ad4bb"),
    ];
    Map(files.map(|(path, sha)| (path.to_owned(), sha.to_owned())).into())
}

fn phases() -> Map<String, u64> {
    Map([("check", 8), ("record", 61), ("render", 79), ("write", 8)].map(|(phase, ms)| (phase.to_owned(), ms)).into())
}

/// Reads a golden document, compares it, and reads again what is written of it.
#[track_caller]
fn is<D: Document + PartialEq + std::fmt::Debug>(name: &str, expected: &D) {
    assert_eq!(document::read(&golden(name)).as_ref(), Ok(expected), "{name}");
    assert_eq!(document::read(&document::write(expected).unwrap()).as_ref(), Ok(expected), "{name}");
}

/// A file that is added to the folder is read by this test, or fails it.
#[test]
fn every_golden_document_is_read_as_the_value_it_was() {
    for file in fs::read_dir(FOLDER).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        match name.split('.').next().unwrap() {
            "settings" => is(&name, &settings()),
            "phone" => is(&name, &phone()),
            "routes" => is(&name, &routes()),
            "applied" => is(&name, &applied(8)),
            "counts" => is(&name, &counts()),
            "files" => is(&name, &files()),
            "phases" => is(&name, &phases()),
            "event-answered" => is(&name, &answered()),
            "event-step" => is(&name, &step()),
            "event-status" => is(&name, &status()),
            "spool" => assert_eq!(spool::decode(golden(&name).trim_end().as_bytes()), Some(answered()), "{name}"),
            "snapshot" => {
                let Map(tenants): Map<String, Value> = document::read(&golden(&name)).unwrap();
                let tenants = tenants.into_iter().map(|(name, value)| (name, document::from_value(value)));
                assert_eq!(tenants.collect::<Vec<_>>(), [("acme".to_owned(), Ok(applied(6)))], "{name}");
            }
            // Read by the modules that keep them, or whole, or by people.
            "answer" | "generations" | "pending" | "directory" | "README" => {}
            other => panic!("`{other}` is no kind of document: {name}"),
        }
    }
}

fn object() -> impl Strategy<Value = reconcile::model::ObjectName> {
    "[a-z][a-z0-9_]{0,8}".prop_map(|name| of(&name))
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        object().prop_map(Target::Dialer),
        "[a-z]{1,5}@example\\.com".prop_map(|email| Target::User(of::<reconcile::model::Email>(&email).key())),
        Just(Target::Hangup),
        Just(Target::Busy),
    ]
}

fn any_routes() -> impl Strategy<Value = Routes> {
    let number = || "\\+[1-9][0-9]{6,14}";
    let trunk = ("[a-z.]{1,9}", prop::option::of(object()), any::<bool>()).prop_map(|(host, username, register)| {
        Trunk { host, identify: Vec::new(), realm: username.clone(), username, register }
    });
    let caller = prop_oneof![
        Just(CallerId::Default),
        Just(CallerId::Called),
        Just(CallerId::Caller),
        number().prop_map(|number| CallerId::Number(of(&number))),
    ];
    let dials = prop_oneof![
        number().prop_map(|number| DialerTarget::Number(NumberSource::Given(of(&number)))),
        "[A-Z_]{1,9}".prop_map(|name| DialerTarget::Number(NumberSource::Env(name))),
        "sip:[a-z]{1,5}@[a-z]{1,5}".prop_map(DialerTarget::Sip),
    ];
    let dialer = (dials, caller, any::<u32>(), prop::option::of(object()))
        .prop_map(|(target, caller_id, ring, trunk)| Dialer { target, caller_id, ring, trunk });
    let to = prop_oneof![Just(Called::Default), number().prop_map(|number| Called::Did(of(&number)))];
    let from = prop_oneof![
        Just(CallerMatch::Withheld),
        "\\+[1-9][0-9]{1,5}\\*".prop_map(|prefix| CallerMatch::Prefix(of(&prefix)))
    ];
    let chain = || prop::collection::vec(target(), 0..3);
    let rule = (
        to,
        prop::collection::vec(from, 0..3),
        prop::option::of(object()),
        chain(),
        prop::option::of(chain()),
        any::<bool>(),
    )
        .prop_map(|(to, from, when, route, otherwise, protected)| Rule {
            to,
            from,
            when,
            route,
            otherwise,
            protected,
        });
    (
        prop::collection::btree_map(object(), trunk, 0..3),
        prop::collection::btree_map(object(), dialer, 0..3),
        prop::collection::vec(rule, 0..3),
        chain(),
        prop::option::of("[a-z.]{1,9}"),
        prop::option::of(number().prop_map(|number| of(&number))),
    )
        .prop_map(|(trunks, dialers, rules, default_route, public_sip_host, caller_id)| Routes {
            trunks,
            dialers,
            hours: routes().hours,
            rules,
            default_route,
            public_sip_host,
            caller_id,
        })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let codecs = prop::collection::vec(prop::sample::select(vec!["opus", "alaw", "vp8"]), 1..3);
    let phones =
        (codecs, 1..16_u8, prop::option::of(object()), object()).prop_map(|(codecs, devices, transport, realm)| {
            PhoneProfile { codecs: list(&codecs), devices, transport, realm }
        });
    let reserved = prop::collection::btree_set((1..99_u32).prop_map(|n| n.try_into().unwrap()), 0..4);
    (1..900_u32, reserved, any::<u32>(), phones, prop::collection::vec(object(), 0..3), any::<bool>()).prop_map(
        |(first, reserved, hold_days, phones, include, is_german)| Settings {
            range: of(&format!("{first}-{}, 2000-2010", first + 7)),
            country: is_german.then(|| of("DE")),
            reserved,
            hold_days,
            endpoint_names: if is_german { EndpointNames::TenantExtension } else { EndpointNames::Extension },
            phones,
            include,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_equal(
        settings in any_settings(),
        routes in any_routes(),
        run in any::<i64>(),
        map in prop::collection::btree_map("[a-z./ ]{0,9}", any::<u64>(), 0..4),
    ) {
        let applied = Applied { routes: routes.clone(), ..applied(run) };
        let phone = PhoneOverride { codecs: Some(settings.phones.codecs.clone()), devices: None, ..phone() };
        prop_assert_eq!(document::read(&document::write(&settings).unwrap()), Ok(settings));
        prop_assert_eq!(document::read(&document::write(&routes).unwrap()), Ok(routes));
        prop_assert_eq!(document::from_value(document::to_value(&applied).unwrap()), Ok(applied));
        prop_assert_eq!(document::read(&document::write(&phone).unwrap()), Ok(phone));
        prop_assert_eq!(document::read(&document::write(&Map(map.clone())).unwrap()), Ok(Map(map)));
    }
}

/// A database that an earlier program wrote, with the file that was applied to it.
fn recorded() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    env.set("DIALFIRE_PHONE_NUMBER", "+4930123456");
    env.set("TWILIO_PHONE_NUMBER", "+15559876543");
    env.write("pbx.yaml", &golden("directory.0.1.0.yaml"));
    env.sql().batch_execute(&golden("directory.0.1.0.sql")).unwrap();
    env
}

/// Each document of the directory: the table, its column, and which row.
const DOCUMENTS: [(&str, &str, &str); 7] = [
    ("tenants", "settings", "slug = 'acme'"),
    ("tenants", "routes", "slug = 'acme'"),
    ("applied_routes", "applied", "tenant = 'acme'"),
    ("users", "phone", "email = 'bo.li@example.com'"),
    ("apply_audit_log", "counts", "id = 8"),
    ("apply_audit_log", "files", "id = 8"),
    ("apply_audit_log", "phases", "id = 8"),
];

fn document_of(env: &TestEnv, (table, column, row): (&str, &str, &str)) -> Value {
    let text = format!("select {column}::text from {table} where {row}");
    serde_json::from_str(env.sql().query_one(&text, &[]).unwrap().get(0)).unwrap()
}

fn put(env: &TestEnv, (table, column, row): (&str, &str, &str), document: &Value) {
    let statement = format!("update {table} set {column} = $1::text::jsonb where {row}");
    assert_eq!(env.sql().execute(&statement, &[&document.to_string()]).unwrap(), 1);
}

#[test]
fn rows_of_an_earlier_program_are_read_and_rewritten_only_where_something_changes() {
    let env = recorded();
    let before = DOCUMENTS.map(|place| document_of(&env, place));
    let plan = env.run("plan --no-asterisk --format json").expect(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    for count in ["create", "update", "rename", "adopt", "delete", "relogin"] {
        assert_eq!(plan["counts"][count], 0, "{count}: {plan}");
    }
    assert_eq!((&plan["settings"], &plan["inbound"]), (&json!([]), &json!([])), "{plan}");
    env.run("status --no-asterisk").expect(0);
    assert!(env.run("history").expect(0).stdout.contains("create user"));
    assert!(env.run("users").expect(0).stdout.contains("bo.li@example.com"));
    assert!(env.run("calls").expect(0).stdout.contains("CA00000000000000000000000000000003"));
    env.run("apply --no-reload").expect(0);
    let stays = |at: usize| assert_eq!(document_of(&env, DOCUMENTS[at]), before[at], "{:?}", DOCUMENTS[at]);
    [0, 1, 3, 4, 5, 6].into_iter().for_each(stays);

    env.write("pbx.yaml", &golden("directory.0.1.0.yaml").replace("hold: 30d", "hold: 31d"));
    env.run("apply --no-reload").expect(0);
    let settings = document_of(&env, DOCUMENTS[0]);
    assert_eq!((&settings["format_version"], &settings["hold_days"]), (&json!(1), &json!(31)));
    assert_eq!(settings["written_by"], env!("CARGO_PKG_VERSION"));
    [1, 3].into_iter().for_each(stays);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}

/// Lists every key of a document once, as the JSON pointer to it: of objects and rules that are alike, the first.
fn keys(document: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, form: &str, seen: &mut BTreeSet<String>, keys: &mut Vec<String>) {
        let named = ["/trunks", "/dialers", "/hours", "/users"].iter().any(|map| form.ends_with(map));
        let is_object = value.is_object();
        let parts: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
            _ => return,
        };
        for (key, value) in parts {
            let like = if named || !is_object { "*" } else { key.as_str() };
            let (path, form) = (format!("{path}/{}", key.replace('/', "~1")), format!("{form}/{like}"));
            if seen.insert(form.clone()) && is_object {
                keys.push(path.clone());
            }
            walk(value, &path, &form, seen, keys);
        }
    }
    let mut keys = Vec::new();
    walk(document, "", "", &mut BTreeSet::new(), &mut keys);
    keys
}

fn without(document: &Value, path: &str) -> Value {
    let mut document = document.clone();
    let (parent, key) = path.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&key.replace("~1", "/")).unwrap();
    document
}

/// Takes each key out of a document in turn, and runs the commands. Returns the keys that nothing stands in for.
fn taken_out(place: (&str, &str, &str)) -> Vec<String> {
    const APPLY: &str = "apply --no-reload --allow relogins=9 --allow deletes=9 --allow foreign-files=9";
    let env = recorded();
    env.run("apply --no-reload").expect(0);
    let whole = document_of(&env, place);
    let mut required = Vec::new();
    for path in keys(&whole) {
        let what = format!("{place:?} without {path}");
        put(&env, place, &without(&whole, &path));
        let status = env.run("status --no-asterisk");
        assert_eq!(status.code, 0, "{what}: {}", status.text());
        let plan = env.run("plan --no-asterisk");
        if plan.code == 1 {
            assert!(plan.stderr.contains(" cannot be read: "), "{what}: {}", plan.text());
            assert!(status.stdout.contains(" cannot be read: "), "{what}: {}", status.text());
            for reads in ["history", "users"] {
                env.run(reads).expect(0);
            }
            assert_eq!(env.run(APPLY).expect(1).stderr, plan.stderr);
            let (_, statement) = plan.stderr.split_once("take it out with `").expect("a way out");
            env.sql().batch_execute(statement.split_once('`').unwrap().0).unwrap();
            required.push(path);
        } else {
            assert_eq!(plan.code, 0, "{what}: {}", plan.text());
        }
        let mut healed = env.run(APPLY);
        if healed.code == 3 {
            // A protected rule that became another one is not changed without a word.
            assert!(
                what.contains("/rules/0/") && healed.stderr.contains("[rail-protected]"),
                "{what}: {}",
                healed.text()
            );
            put(&env, place, &whole);
            healed = env.run(APPLY);
        }
        assert_eq!(healed.code, 0, "{what}: {}", healed.text());
    }
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    required
}

/// One missing key locked a tenant out.
#[test]
fn a_key_taken_out_of_the_settings_has_the_default_of_the_file() {
    assert_eq!(taken_out(DOCUMENTS[0]), [""; 0]);
}

/// What the file must say has no default, and neither has a choice of one: that is named, with the way out.
#[test]
fn a_key_taken_out_of_the_routes_has_the_default_of_the_file_or_is_named() {
    assert_eq!(
        taken_out(DOCUMENTS[1]),
        [
            "/default_route/0/dialer",
            "/default_route/2/user",
            "/dialers/desk/target",
            "/dialers/desk/target/number",
            "/dialers/desk/target/number/given",
            "/dialers/mobile/caller_id/number",
            "/dialers/zendesk_talk/target/sip",
            "/hours/office/open",
            "/hours/office/timezone",
            "/rules/0/from/0/prefix",
            "/rules/0/otherwise/0/user",
            "/rules/0/route",
            "/rules/0/route/0/dialer",
            "/rules/0/route/2/user",
            "/rules/0/to",
            "/rules/0/to/did",
            "/trunks/backup/host",
        ]
    );
}

/// Callers stay with what they reached before, rather than reach what was guessed.
#[test]
fn a_key_taken_out_of_what_was_applied_is_named() {
    let required = taken_out(DOCUMENTS[2]);
    for key in ["/routes", "/run", "/tenant", "/users", "/routes/dialers/desk/target"] {
        assert!(required.iter().any(|path| path == key), "{key}: {required:?}");
    }
    assert!(!required.iter().any(|path| path == "/routes/hours" || path == "/routes/rules/0/from"), "{required:?}");
}

#[test]
fn a_key_taken_out_of_a_phone_or_of_the_audit_log_is_not_missed() {
    for place in &DOCUMENTS[3..] {
        assert_eq!(taken_out(*place), [""; 0]);
    }
}

#[test]
fn a_document_of_a_later_version_is_left_alone_and_stops_only_what_needs_it() {
    let env = recorded();
    env.run("apply --no-reload").expect(0);
    env.write("bolt.yaml", "version: 1\ntenant: bolt\nendpoint_names: tenant-extension\nusers: []\n");
    for place in DOCUMENTS {
        let whole = document_of(&env, place);
        let mut later = whole.clone();
        later["format_version"] = json!(99);
        later["written_by"] = json!("9.1.0");
        put(&env, place, &later);
        let before = (env.dump(), env.files());
        for reads in ["users", "history", "plan --no-asterisk -f bolt.yaml", "export --users"] {
            let outcome = env.run(reads);
            assert_eq!(outcome.code, 0, "{place:?}: {}", outcome.text());
        }
        let said = concat!(
            "cannot be read: it has format version 99, and reconcile ",
            env!("CARGO_PKG_VERSION"),
            " reads up to 1"
        );
        if place.0 == "apply_audit_log" {
            assert!(env.run("history 8").expect(0).stdout.contains(said), "{place:?}");
            env.run("plan --no-asterisk").expect(0);
        } else {
            let status = env.run("status --no-asterisk --detailed-exitcode").expect(2);
            assert!(status.stdout.contains(said), "{place:?}: {}", status.text());
            for needs in ["plan --no-asterisk", "apply --no-reload", "sync"] {
                let refused = env.run(needs).expect(1).stderr;
                let hint = "\nhint: use reconcile `9.1.0` or a later version; the document, the files and the running \
                            Asterisk stay as they are\n";
                assert!(refused.starts_with("error: the ") && refused.contains(said), "{place:?}: {refused}");
                assert!(refused.ends_with(hint), "{place:?}: {refused}");
            }
        }
        assert!((env.dump(), env.files()) == before, "{place:?}: something moved");
        put(&env, place, &whole);
    }
}

#[test]
fn a_note_of_a_later_version_stops_the_apply_and_stays() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("apply --no-reload").expect(0);
    let hosts = fs::read_dir(env.path("state/hosts")).unwrap().flatten().next().unwrap().path();
    let note = hosts.join("acme/generations.json");
    let mut later: Value = serde_json::from_str(&fs::read_to_string(&note).unwrap()).unwrap();
    assert_eq!(later["format_version"], 2);
    later["format_version"] = json!(3);
    later["written_by"] = json!("9.1.0");
    fs::write(&note, later.to_string()).unwrap();
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo"]));
    let before = env.files();
    let refused = env.run("apply --no-reload").expect(1).stderr;
    assert!(
        refused.contains("it has format version 3, and reconcile ") && refused.contains(" reads up to 2"),
        "{refused}"
    );
    assert!(
        refused.contains("\nhint: use reconcile `9.1.0` or a later version; the file stays as it is\n"),
        "{refused}"
    );
    assert_eq!(fs::read_to_string(&note).unwrap(), later.to_string());
    assert!(env.files() == before, "a file moved");
    fs::write(&note, golden("generations.1.json")).unwrap();
    env.run("apply --no-reload").expect(0);
}

/// A server that is put back to an earlier version keeps what it cannot read.
#[test]
fn a_snapshot_of_a_later_version_is_kept() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    let path = env.path("state/serve/applied-routes.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut kept: Value = serde_json::from_str(&golden("snapshot.1.json")).unwrap();
    kept["bolt"] = json!({ "format_version": 7, "written_by": "9.1.0" });
    fs::write(&path, kept.to_string()).unwrap();
    let statement = "insert into applied_routes (tenant, run, applied) values ('other', 3, $1::text::jsonb)";
    let other = Applied { tenant: of("other"), ..applied(3) };
    env.sql().execute(statement, &[&document::write(&other).unwrap()]).unwrap();
    let mut serve = Serve::start(&env, "--no-webhook");
    serve.says("those of the tenant `bolt`, use reconcile `9.1.0` or a later version: it has format version 7");
    serve.says(r#""run":3,"#);
    let after: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((&after["bolt"], &after["acme"]["run"], &after["other"]["run"]), (&kept["bolt"], &json!(6), &json!(3)));
    drop(serve);

    kept["format_version"] = json!(99);
    fs::write(&path, kept.to_string()).unwrap();
    Serve::start(&env, "--no-webhook").says("it is set aside in");
    let aside = fs::read_to_string(path.with_extension("unreadable.json")).unwrap();
    assert_eq!(aside, kept.to_string());
}
