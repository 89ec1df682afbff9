//! Golden documents: what any version of the program wrote, and what is written today, is read as it was.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;
use reconcile::{
    calls::{Answer, Event, LiveRoutes, Outcome, Started, Status, What},
    model::{
        CallerClass, CallerId, Document, EndpointNames, Mode, NumberSource, OperatorsExtension, OutsideLine,
        PhoneOverride, PhoneProfile, Settings,
        document::{self, Map},
    },
    objects::{
        BoxOwner, Boxes, Called, CallerMatch, DefaultCallerId, DefaultRoute, Dialer, ExtensionClaim, Group, Hours,
        LastBox, Mailing, Member, Menu, PublicSipHost, Room, Routes, Rule, Strategy as Order, Target, Trunk,
        UserDocument, UserOfRow, VoicemailBox,
    },
    recorder::spool,
};
use serde_json::Value;
use uuid::Uuid;

use super::{FOLDER, golden, of, queues};

fn list<T: std::str::FromStr<Err: std::fmt::Debug>, L: FromIterator<T>>(texts: &[&str]) -> L {
    texts.iter().map(|text| of(text)).collect()
}

fn settings() -> Settings {
    Settings {
        mode: Mode::Apply,
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
        context: None,
        login: None,
        mailbox: None,
    }
}

fn routes() -> Routes {
    let trunk = |host: &str, identify: &[&str]| Trunk {
        host: host.to_owned(),
        identify: identify.iter().map(|address| (*address).to_owned()).collect(),
        username: None,
        realm: None,
        register: false,
        by_registration: false,
    };
    let number = |number: &str| OutsideLine::Number(NumberSource::Given(of(number)));
    let dialer = |target, caller_id, ring, trunk: &[&str]| Dialer {
        target,
        caller_id,
        ring,
        trunk: trunk.first().map(|name| of(name)),
    };
    let desk = |name: &str| Target::Object(of(name));
    let bo = || Target::User(of::<reconcile::model::Email>("bo.li@example.com").key());
    let ana = Target::User(of::<reconcile::model::Email>("ana.silva@example.com").key());
    Routes {
        groups: BTreeMap::new(),
        boxes: Boxes::NONE,
        last_box: None,
        rooms: BTreeMap::new(),
        menus: BTreeMap::new(),
        queues: BTreeMap::new(),
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
                dialer(OutsideLine::Sip("sip:acme@talk.example".to_owned()), CallerId::Default, 20, &["backup"]),
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
        default_route: DefaultRoute(vec![desk("mobile"), desk("shown"), ana]),
        public_sip_host: Some(PublicSipHost("sip.example.com".to_owned())),
        caller_id: Some(DefaultCallerId(of("+15559876543"))),
    }
}

/// A row, which names users by their rows.
fn user() -> UserDocument {
    let number = |number: u128| UserOfRow::Row(Uuid::from_u128(number));
    let sales = Target::Object(of("sales"));
    let no_answer = vec![sales, Target::User(number(9)), Target::Voicemail(number(7))];
    let phone = PhoneOverride { devices: Some(2), ..PhoneOverride::default() };
    UserDocument { phone, pinned: false, no_answer: Some(no_answer) }
}

/// A row, which names users by their rows.
fn group() -> Group<UserOfRow> {
    let number = |number: u128| UserOfRow::Row(Uuid::from_u128(number));
    Group {
        members: vec![Member::User(number(7)), Member::User(number(8)), Member::Number(of("+491701234567"))],
        ring: Order::InTurn,
        time: 20,
        extension: None,
        caller_name: Some(of("Sales: ")),
        trunk: Some(of("carrier")),
        caller_id: CallerId::Called,
        no_answer: vec![Target::Object(of("dialfire")), Target::User(number(9)), Target::Busy],
    }
}

/// A row, which names users by their rows.
fn menu() -> Menu<UserOfRow> {
    let at = OperatorsExtension { context: of("ivr"), extension: of("s") };
    let ana = Target::User(UserOfRow::Row(Uuid::from_u128(7)));
    Menu {
        extension: Some(ExtensionClaim::Given(1300.try_into().unwrap())),
        prompt: of("acme/welcome"),
        digits: BTreeMap::from([
            (of("1"), vec![ana, Target::Object(of("sales"))]),
            (of("#"), vec![Target::Dialplan(at)]),
        ]),
        wait: 7,
        tries: 2,
        otherwise: vec![Target::Busy],
    }
}

/// A row, which names users by their rows.
fn own_box() -> VoicemailBox<UserOfRow> {
    VoicemailBox {
        number: Some(of("17")),
        whose: BoxOwner::User { user: UserOfRow::Row(Uuid::from_u128(7)), mail: true },
        mailing: Mailing { attach: true, delete: true, seconds: 90 },
    }
}

fn shared_box() -> VoicemailBox<UserOfRow> {
    let lamps = vec![UserOfRow::Row(Uuid::from_u128(7)), UserOfRow::Row(Uuid::from_u128(8))];
    VoicemailBox {
        number: Some(of("18")),
        whose: BoxOwner::Shared { title: of("Info desk"), mail: Some(of("info@example.com")), lamps },
        mailing: Mailing { attach: false, delete: false, seconds: 180 },
    }
}

pub(super) fn applied(run: i64) -> LiveRoutes {
    let user = |email: &str, name: &str| (of::<reconcile::model::Email>(email).key(), name.to_owned());
    LiveRoutes {
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
            "phone" => is(&name, &UserDocument { phone: phone(), ..UserDocument::default() }),
            "user" => is(&name, &user()),
            "user-pinned" => is(&name, &UserDocument { pinned: true, ..UserDocument::default() }),
            "user-dialplan" => {
                let at = OperatorsExtension { context: of("ivr"), extension: of("*9") };
                let no_answer = Some(vec![Target::Object(of("sales")), Target::Dialplan(at)]);
                is(&name, &UserDocument { no_answer, ..UserDocument::default() });
            }
            "group" => is(&name, &group()),
            "group-extension" => {
                let extension = Some(ExtensionClaim::Given(1500.try_into().unwrap()));
                is(&name, &Group { extension, ..group() });
            }
            "box" => is(&name, &own_box()),
            "room" => {
                let extension = Some(ExtensionClaim::Given(1800.try_into().unwrap()));
                is(&name, &Room { title: Some(of("Board")), extension, max: 12 });
            }
            "menu" => is(&name, &menu()),
            "menu-defaults" => {
                let digits = BTreeMap::from([(of("0"), vec![Target::Hangup])]);
                let (extension, otherwise) = (None, Vec::new());
                is(&name, &Menu::<UserOfRow> { extension, prompt: of("beep"), digits, wait: 5, tries: 3, otherwise });
            }
            "queue" => is(&name, &queues::queue()),
            "queue-defaults" => is(&name, &queues::with_defaults()),
            "shared-box" => is(&name, &shared_box()),
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
            "answer" | "generations" | "pending" | "directory" | "recorded" | "README" => {}
            other => panic!("`{other}` is no kind of document: {name}"),
        }
    }
}

fn object() -> impl Strategy<Value = reconcile::model::ObjectName> {
    "[a-z][a-z0-9_]{0,8}".prop_map(|name| of(&name))
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        object().prop_map(Target::Object),
        "[a-z]{1,5}@example\\.com".prop_map(|email| Target::User(of::<reconcile::model::Email>(&email).key())),
        (object(), "[a-z0-9*#][a-z0-9_.+*#-]{0,8}")
            .prop_map(|(context, name)| Target::Dialplan(OperatorsExtension { context, extension: of(&name) })),
        Just(Target::Hangup),
        Just(Target::Busy),
    ]
}

fn any_group() -> impl Strategy<Value = Group> {
    let member = prop_oneof![
        "[a-z]{1,5}@example\\.com".prop_map(|email| Member::User(of::<reconcile::model::Email>(&email).key())),
        "\\+[1-9][0-9]{6,14}".prop_map(|number| Member::Number(of(&number))),
    ];
    (
        prop::collection::vec(member, 0..4),
        any::<bool>(),
        any::<u32>(),
        prop::option::of("[A-Za-zäöü][a-zäöü ]{0,9}".prop_map(|prefix| of(&prefix))),
        prop::option::of(object()),
        prop::collection::vec(target(), 0..3),
        prop::option::of((1..=99_999_999_u32).prop_map(|number| ExtensionClaim::Given(number.try_into().unwrap()))),
    )
        .prop_map(|(members, at_once, time, caller_name, trunk, no_answer, extension)| Group {
            members,
            ring: if at_once { Order::All } else { Order::InTurn },
            time,
            extension,
            caller_name,
            trunk,
            caller_id: CallerId::Caller,
            no_answer,
        })
}

fn any_routes() -> impl Strategy<Value = Routes> {
    let number = || "\\+[1-9][0-9]{6,14}";
    let trunk = ("[a-z.]{1,9}", prop::option::of(object()), any::<bool>()).prop_map(|(host, username, register)| {
        Trunk { host, identify: Vec::new(), realm: username.clone(), username, register, by_registration: false }
    });
    let caller = prop_oneof![
        Just(CallerId::Default),
        Just(CallerId::Called),
        Just(CallerId::Caller),
        number().prop_map(|number| CallerId::Number(of(&number))),
    ];
    let dials = prop_oneof![
        number().prop_map(|number| OutsideLine::Number(NumberSource::Given(of(&number)))),
        "[A-Z_]{1,9}".prop_map(|name| OutsideLine::Number(NumberSource::Env(name))),
        "sip:[a-z]{1,5}@[a-z]{1,5}".prop_map(OutsideLine::Sip),
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
        prop::collection::btree_map(object(), any_group(), 0..3),
        prop::collection::vec(rule, 0..3),
        chain().prop_map(DefaultRoute),
        prop::option::of("[a-z.]{1,9}".prop_map(PublicSipHost)),
        prop::option::of(number().prop_map(|number| DefaultCallerId(of(&number)))),
        prop::option::of((any::<u32>(), prop::collection::btree_map(object(), any::<u32>(), 0..2))),
    )
        .prop_map(|(trunks, dialers, groups, rules, default_route, public_sip_host, caller_id, last_box)| Routes {
            trunks,
            dialers,
            groups,
            boxes: Boxes::NONE,
            last_box: last_box.map(|(last, shared)| LastBox { last, users: BTreeMap::new(), shared }),
            rooms: BTreeMap::new(),
            menus: BTreeMap::new(),
            queues: BTreeMap::new(),
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
            mode: Mode::Apply,
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
        let applied = LiveRoutes { routes: routes.clone(), ..applied(run) };
        let phone = PhoneOverride { codecs: Some(settings.phones.codecs.clone()), devices: None, ..phone() };
        prop_assert_eq!(document::read(&document::write(&settings).unwrap()), Ok(settings));
        prop_assert_eq!(document::read(&document::write(&routes).unwrap()), Ok(routes));
        prop_assert_eq!(document::from_value(document::to_value(&applied).unwrap()), Ok(applied));
        let user = UserDocument { phone, pinned: true, ..user() };
        prop_assert_eq!(document::read(&document::write(&user).unwrap()), Ok(user));
        prop_assert_eq!(document::read(&document::write(&Map(map.clone())).unwrap()), Ok(Map(map)));
    }
}
