//! The files of a tenant with trunks and inbound routes.

mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use super::{Digests, File, Needs, ParsedObject, Phone, Phonebook, Present, diff, parse, section_names};
use crate::{
    asterisk::{
        ConfigFile::{Endpoints, Queues, Routing, Voicemail},
        PerFile,
    },
    desired::{self, Declared},
    model::{Extension, GENERATED_CONTEXTS, Ha1, Identity, Secret, is_generated},
    objects::{Called, DefaultCallerId, NO_ROUTES, ObjectKind, Routes, Rule, Target, trunk_name},
};

const COMPANY: &str = r#"
version: 1
tenant: acme
extensions: { range: 1000-1999 }
trunks:
  carrier: { host: 198.51.100.7, identify: [203.0.113.0/28], username: acme, secret: { env: CARRIER_SECRET }, realm: carrier.example, register: true }
  other: { host: "sip.other.example:5080", username: acme2, secret: { env: OTHER_SECRET }, register: true }
  plain: { host: "2001:db8::7" }
dialers:
  dialfire: { number: "+4930555001", caller_id: caller, ring: 30s, trunk: carrier }
  talk: { sip: "sip:acme@talk.example", ring: 20s, trunk: plain }
  twilio_only: { number: "+4930555002" }
groups:
  sales: { members: [bo@example.com, "+4930555007"], time: 20s, extension: 1500, caller_name: "Sales: ", trunk: carrier, no_answer: [dialfire] }
  night: { members: ["+4930555008", bo@example.com], ring: in-turn }
hours:
  office: { timezone: Europe/Berlin, open: ["mon-fri 09:00-18:00", "sat 22:00-02:00"], closed: ["2026-12-25"] }
inbound:
  - { to: "+15559876543", from: ["+49*", withheld], when: office, route: [dialfire, talk], otherwise: [bo@example.com, busy] }
  - { to: "+15559876543", route: [twilio_only, dialfire] }
  - { to: default, from: ["+1*"], route: [hangup] }
  - { to: "+15559876544", route: [sales, night, busy] }
default_route: [talk]
users:
  - { email: bo@example.com, name: Bo, extension: 1001 }
"#;

fn declared(text: &str) -> Declared {
    desired::load_text("pbx.yaml", text).declared.expect("a valid file")
}

/// What adds voicemail to [`COMPANY`].
const VOICEMAIL: &str = "voicemail: { users: true, boxes: { info: { name: Info desk } } }\n";

/// What adds a conference room to [`COMPANY`].
const ROOM: &str = "rooms: { board: { name: \"Board; x\", extension: 1800, max: 12 } }\n";

/// What adds a menu to [`COMPANY`].
const MENU: &str = "menus:\n  main: { extension: 1300, prompt: acme/welcome, digits: { 1: [sales], \"*\": [bo@example.com, busy] }, wait: 7s, tries: 2, otherwise: [main_2] }\n  main_2: { prompt: beep, digits: { 0: [hangup] } }\n";

/// What adds a queue to [`COMPANY`].
const QUEUE: &str = "queues:\n  support: { extension: 1200, members: [bo@example.com], strategy: linear, ring: 20s, wrap_up: 5s, max_callers: 20, timeout: { after: 5m, to: [sales] }, empty: [busy], full: [bo@example.com], announce: { position: 1m, every: { prompt: acme/wait, each: 45s } } }\n  line_2: { members: [bo@example.com] }\n";

fn files(declared: &Declared, routes: &Routes, real: bool) -> PerFile<File> {
    let mut allocated = routes.clone();
    allocated.allocate(&Routes::default(), 0);
    let routes = &allocated;
    let extension: Extension = "1001".parse().unwrap();
    let user = declared.users.values().next().unwrap();
    let phone = Phone {
        email: &user.email,
        name: &user.name,
        extension,
        phone: &user.phone,
        no_answer: user.no_answer.as_deref(),
    };
    let book = Phonebook {
        tenant: &declared.tenant,
        settings: &declared.settings,
        directory: Some(uuid::Uuid::from_u128(7)),
        phones: vec![phone],
        routes,
    };
    let secret = |text: &str| Secret::new(text).unwrap();
    let digests = BTreeMap::from([(extension, Ha1::new("1001", "asterisk", &secret("canary-of-bo")))]);
    let secrets = [("carrier", "canary;1"), ("other", "canary;2")];
    let secrets = secrets.map(|(name, text)| ((ObjectKind::Trunk, name.to_owned()), secret(text)));
    let pins = ["1", "info"].map(|name| ((ObjectKind::Box, name.to_owned()), secret("27182")));
    let secrets = secrets.into_iter().chain(pins).collect();
    let digests = if real { Digests::Real { digests: &digests, secrets: &secrets } } else { Digests::Masked };
    book.files(digests).unwrap()
}

#[test]
fn trunks_are_known_by_address_and_lead_inwards_only() {
    let declared = declared(COMPANY);
    let endpoints = &files(&declared, &declared.routes, false)[Endpoints];
    let (_, trunks) = endpoints.text.split_once("callerid = \"Bo\" <1001>\n").unwrap();
    insta::assert_snapshot!(trunks);
}

#[test]
fn routes_are_a_dialplan_in_the_order_in_which_they_are_decided() {
    let declared = declared(COMPANY);
    let routing = &files(&declared, &declared.routes, false)[Routing];
    let (_, inbound) = routing.text.split_once("(nobody),Return(nobody)\n\n").unwrap();
    insta::assert_snapshot!(inbound);
    let mut shuffled = declared.routes.clone();
    shuffled.rules.reverse();
    assert_eq!(files(&declared, &shuffled, false)[Routing].text, routing.text, "file order never matters");
}

/// `check` rejects an include of these.
#[test]
fn every_context_that_is_generated_is_known_by_name() {
    let company =
        COMPANY.replace("extension: 1001 }", "extension: 1001, no_answer: [lobby] }\n  - { id: lobby, name: L }");
    let declared = declared(&(company + VOICEMAIL + ROOM + MENU + QUEUE));
    let files = files(&declared, &declared.routes, true);
    let contexts: BTreeSet<&str> =
        section_names(&files[Routing].text).map(|name| name.strip_prefix("acme-").unwrap()).collect();
    assert!(contexts.iter().all(|kind| is_generated(kind)), "{contexts:?}");
    let fixed = contexts.into_iter().filter(|kind| !kind.starts_with("menu_")).collect::<BTreeSet<_>>();
    assert_eq!(fixed, GENERATED_CONTEXTS.iter().copied().collect());
}

#[test]
fn a_queue_has_a_section_and_says_where_calls_go_that_no_member_took() {
    let declared = declared(&(COMPANY.replace("default_route: [talk]", "default_route: [talk, support]") + QUEUE));
    let files = files(&declared, &declared.routes, false);
    insta::assert_snapshot!(files[Queues].text);
    let routing = &files[Routing].text;
    let (_, queues) = routing.split_once("; Queues.").unwrap();
    let (queues, _) = queues.split_once("; Dialers, over").unwrap();
    insta::assert_snapshot!(queues);
    let (_, arrival) = routing.split_once("exten => queue_support").unwrap();
    insta::assert_snapshot!(arrival.split_once("_[!-~]").unwrap().0);
}

/// What adds a destination in the operator's own dialplan to [`COMPANY`].
fn into_own_dialplan() -> String {
    COMPANY.replace("default_route: [talk]", "default_route: [talk, { context: ivr, extension: \"*9\" }]")
}

/// A call leaves by a `Goto` and nothing stands behind it. A provider calls it by SIP, under a name of the program's.
#[test]
fn a_call_goes_on_in_the_operators_dialplan_and_shows_who_calls() {
    let declared = declared(&into_own_dialplan());
    let routing = &files(&declared, &declared.routes, true)[Routing].text;
    let lines: Vec<&str> = routing.lines().collect();
    let entry = lines.iter().position(|line| *line == "; dialplan:*9@ivr").unwrap();
    insta::assert_snapshot!(lines[entry..entry + 5].join("\n"), @r"
    ; dialplan:*9@ivr
    exten => dialplan_9217a48c99cb,1,Set(CALLED=+15559876543)
     same => n,Goto(acme-caller,pdialplan_9217a48c99cb,1)
    exten => _dialpla[n]_9217a48c99cb\;!,1,Set(CALLED=+15559876543)
     same => n,Goto(acme-caller,pdialplan_9217a48c99cb,1)
    ");
    let default = lines.iter().position(|line| *line == "; any other call").unwrap();
    insta::assert_snapshot!(lines[default..default + 8].join("\n"), @r"
    ; any other call
    exten => default,1,Set(CAUSE=20)
     same => n,Gosub(acme-dialers,dce7611e7481e,1)
     same => n,Set(CALLERID(num)=${FROM_NUMBER})
     same => n,Set(CALLERID(name)=${FROM_NAME})
     same => n,Set(CALLERID(pres)=${FROM_SHOWN})
     same => n,Goto(ivr,*9,1)
    ; the phone `1001`, called by its name
    ");
}

/// Its context has its keys and nothing else. A provider calls it by SIP once a route names it.
#[test]
fn a_menu_is_a_context_of_its_keys() {
    let declared = declared(&(COMPANY.replace("default_route: [talk]", "default_route: [talk, main]") + MENU));
    let routing = &files(&declared, &declared.routes, true)[Routing].text;
    let (_, menus) = routing.split_once("; The menu `main`").unwrap();
    let (menus, _) = menus.split_once("; Dialers, over").unwrap();
    insta::assert_snapshot!(menus, @r"
    : its keys, and nothing else.
    [acme-menu_main]
    exten => s,1,Set(TRIES=0)
     same => n(again),Set(TRIES=$[${TRIES} + 1])
     same => n,Background(acme/welcome)
     same => n,WaitExten(7)
    exten => *,1,Set(CAUSE=20)
     same => n,Gosub(acme-colleagues,1001,1)
     same => n,Hangup(17)
    exten => 1,1,Set(CAUSE=20)
     same => n,Gosub(acme-groups,ge04eb29020ea,1)
     same => n,Gosub(acme-dialers,d0dd7dc9da0d5,1)
     same => n,Hangup(${CAUSE})
    exten => i,1,GotoIf($[${TRIES} < 2]?s,again)
     same => n,Set(CAUSE=20)
     same => n,Goto(acme-menu_main_2,s,1)
    exten => t,1,Goto(i,1)

    ; The menu `main_2`: its keys, and nothing else.
    [acme-menu_main_2]
    exten => s,1,Set(TRIES=0)
     same => n(again),Set(TRIES=$[${TRIES} + 1])
     same => n,Background(beep)
     same => n,WaitExten(5)
    exten => 0,1,Set(CAUSE=20)
     same => n,Hangup(21)
    exten => i,1,GotoIf($[${TRIES} < 3]?s,again)
     same => n,Set(CAUSE=1)
     same => n,Hangup(${CAUSE})
    exten => t,1,Goto(i,1)
    ");
    let naming: Vec<&str> =
        routing.lines().filter(|line| line.contains("main") && !line.starts_with(['[', ';'])).collect();
    insta::assert_snapshot!(naming.join("\n"), @r"
    exten => menu_main,1,Set(CALLED=+15559876543)
     same => n,Goto(acme-caller,pmenu_main,1)
     same => n,Goto(acme-caller,pmenu_main,1)
     same => n,Goto(acme-menu_main,s,1)
    exten => pmenu_main,1,Set(CAUSE=20)
     same => n,Goto(acme-menu_main,s,1)
     same => n,Goto(acme-menu_main,s,1)
     same => n,Goto(acme-menu_main_2,s,1)
    ");
}

/// The lamp of its number shows the room, and a provider calls it by SIP once a route names it.
#[test]
fn a_room_is_an_extension_that_joins_a_conference_of_the_tenant() {
    let declared = declared(&(COMPANY.replace("default_route: [talk]", "default_route: [talk, board]") + ROOM));
    let routing = &files(&declared, &declared.routes, true)[Routing].text;
    let with_room = routing.lines().filter(|line| {
        ["1800", "room", "confbridge", "CONFBRIDGE", "ConfBridge", "Board"].iter().any(|word| line.contains(word))
    });
    insta::assert_snapshot!(with_room.collect::<Vec<_>>().join("\n"), @r"
    exten => 1800,hint,confbridge:acme_board
    exten => 1800,1,Gosub(acme-count,s,1)
    exten => room_board,1,Set(CALLED=+15559876543)
     same => n,Goto(acme-caller,proom_board,1)
    exten => _room_board\;!,1,Set(CALLED=+15559876543)
     same => n,Goto(acme-caller,proom_board,1)
     same => n,Goto(acme-rooms,room_board,1)
    ; called by its name: room_board
    exten => proom_board,1,Set(CAUSE=20)
     same => n,Goto(acme-rooms,room_board,1)
     same => n,Goto(acme-rooms,room_board,1)
    ; Conference rooms. The slug stands before each name: Asterisk keeps those of all tenants in one list.
    [acme-rooms]
    ; board: Board; x
    exten => room_board,1,Set(CONFBRIDGE(bridge,max_members)=12)
     same => n,Set(CONFBRIDGE(user,music_on_hold_when_empty)=yes)
     same => n,ConfBridge(acme_board)
    ");
}

/// What is shown where, in the file as in an answer to Twilio.
#[test]
fn a_dialer_sees_the_default_caller_id_unless_it_asks_for_another() {
    let declared = declared(
        &COMPANY.replace("number: \"+4930555002\"", "number: \"+4930555002\", caller_id: called, trunk: plain"),
    );
    let shown = |default: Option<&str>| {
        let routes = Routes {
            caller_id: default.map(|number| DefaultCallerId(number.parse().unwrap())),
            ..declared.routes.clone()
        };
        let text = files(&declared, &routes, true)[Routing].text.clone();
        let sets = |name: &str| {
            let (_, dialer) = text.split_once(&format!("\n; {name}\n")).expect(name);
            let numbers = dialer.lines().take_while(|line| !line.starts_with(';')).filter_map(|line| {
                let (_, number) = line.split_once("Set(CALLERID(num)=")?;
                number.split(')').next().map(str::to_owned)
            });
            numbers.collect::<Vec<_>>().join(" ")
        };
        ["twilio_only", "dialfire", "talk"].map(sets)
    };
    let dialled = "${CALLED}".to_owned();
    let caller = "${CALLED} ${CALLER}".to_owned();
    assert_eq!(shown(None), [dialled.clone(), caller.clone(), dialled.clone()]);
    assert_eq!(shown(Some("+15554445555")), [dialled, caller, "+15554445555".to_owned()]);
}

#[test]
fn a_tenant_without_routes_has_the_files_it_always_had() {
    let declared = declared(COMPANY);
    for (_, file) in files(&declared, &Routes::default(), false) {
        assert!(!file.text.contains("trunk") && !file.text.contains("inbound"), "{}", file.text);
    }
}

#[test]
fn boxes_are_entries_of_a_file_that_only_their_tenants_have() {
    let declared = declared(&(COMPANY.replace("hangup]", "info]") + VOICEMAIL));
    assert!(files(&declared, &Routes::default(), false)[Voicemail].is_stub);
    let files = files(&declared, &declared.routes, false);
    let file = &files[Voicemail];
    assert!(!file.is_stub);
    let (_, boxes) = file.text.split_once("\n\n").unwrap();
    insta::assert_snapshot!(boxes, @r"
    [acme-boxes]
    1 => (sensitive),Bo,bo@example.com,,attach=yes|minsecs=1|maxsecs=180 ; (sensitive)
    2 => (sensitive),Info desk,,,attach=yes|minsecs=1|maxsecs=180 ; (sensitive)

    ; generation
    [acme-generation]
    (generation) => -,
    ");
    let (_, routing) = files[Routing].text.split_once("What phones may dial").unwrap();
    let part = |from: &str, to: &str| routing.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    let parts = [
        part("any box by its number and PIN\n", "\n\n; All devices"),
        part("\n[acme-voicemail]\n", "\n\n"),
        part("\nexten => voicemail-2", "\nexten => _[!-~]."),
        part("\n; to default from +1*\n", "\n;"),
    ];
    insta::assert_snapshot!(parts.join("\n---\n"));
}

#[test]
fn trunks_are_read_back_as_they_were_written_and_their_secrets_are_never_shown() {
    let declared = declared(COMPANY);
    let masked = &files(&declared, &declared.routes, false)[Endpoints];
    let real = &files(&declared, &declared.routes, true)[Endpoints];
    let parsed = parse(&real.text);
    assert!(parsed.intact && parsed.phones.keys().eq(["1001"]));
    let secret = |object: &ParsedObject| {
        let mut options = object.sections.iter().flat_map(|section| &section.options);
        let found = options.find(|(key, _)| key.starts_with("password"));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let secrets: Vec<(&str, String)> =
        parsed.objects.iter().map(|(name, object)| (name.as_str(), secret(object))).collect();
    let digest = Ha1::new("acme", "carrier.example", &Secret::new("canary;1").unwrap());
    assert_eq!(
        secrets,
        [
            ("acme-trunk-carrier", format!("MD5:{}", digest.reveal())),
            ("acme-trunk-other", "canary;2".to_owned()),
            ("acme-trunk-plain", String::new())
        ]
    );
    for (name, types) in [
        ("carrier", "auth aor endpoint identify registration"),
        ("other", "auth aor endpoint registration"),
        ("plain", "aor endpoint identify"),
    ] {
        let object = &parsed.objects[&trunk_name(&declared.tenant, name)];
        assert_eq!((object.kind, object.name.as_str()), (ObjectKind::Trunk, name));
        let found = object.sections.iter().map(|section| section.kind.unwrap().word());
        assert_eq!(found.collect::<Vec<_>>().join(" "), types, "{name}");
    }

    let present = Present::new(real.text.clone());
    let same = diff(Endpoints, Some(&present), &masked.text, &|_, _| true);
    assert!(!same.changed, "{}", same.text);
    let other = diff(Endpoints, Some(&present), &masked.text, &|name, _| name != "acme-trunk-other");
    assert!(other.text.contains("-password = (sensitive)\n+password = (sensitive)\n"), "{}", other.text);
    assert!(!format!("{} {parsed:?}", other.text).contains("canary"));
}

/// Whatever is used without being listed would go unchecked on Asterisk.
#[test]
fn what_the_dialplan_uses_is_what_it_is_said_to_need() {
    /// What is in Asterisk itself, a label's priority, and the options before a subroutine.
    const CORE: [&str; 9] = ["Goto", "GotoIf", "GotoIfTime", "Hangup", "NoOp", "Set", "1", "n", "iIU"];
    let declared = declared(COMPANY);
    let routing = &files(&declared, &declared.routes, false)[Routing];
    let lines = routing.text.lines().filter(|line| !line.starts_with(';'));
    let used: BTreeSet<&str> = lines
        .flat_map(|line| line.split('(').rev().skip(1))
        .map(|head| head.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap())
        .filter(|word| !word.is_empty() && !CORE.contains(word))
        .collect();
    let book = Phonebook {
        tenant: &declared.tenant,
        settings: &declared.settings,
        directory: None,
        phones: Vec::new(),
        routes: &declared.routes,
    };
    let needs = book.needs().unwrap();
    let listed: BTreeSet<&str> = needs.words.keys().copied().collect();
    assert_eq!(listed, used);
    assert!(used.contains("STRFTIME") && used.contains("Gosub") && used.contains("PJSIP_CONTACT"));
    let modules: Vec<&str> = needs.modules.keys().copied().collect();
    assert_eq!(
        modules,
        [
            "res_pjsip_caller_id",
            "res_pjsip_endpoint_identifier_ip",
            "res_pjsip_outbound_authenticator_digest",
            "res_pjsip_outbound_registration"
        ]
    );
    assert_eq!(needs.zones.into_keys().collect::<Vec<_>>(), ["Europe/Berlin"]);
    let phones_alone = Phonebook { routes: &NO_ROUTES, ..book };
    let Needs { words, modules, zones } = phones_alone.needs().unwrap();
    assert!(words.contains_key("Gosub") && !words.contains_key("CUT"), "{words:?}");
    assert!(modules.is_empty() && zones.is_empty());
}

/// An extension has up to eight digits, a number as few as seven.
#[test]
fn a_number_of_ours_is_no_phone_that_is_called_the_same() {
    let long = COMPANY.replace("1000-1999", "1000000-1999999").replace("extension: 1001", "extension: 1001555");
    let long = long.replace("extension: 1500", "extension: 1001500");
    let declared = declared(&long.replace("+15559876543", "+1001555"));
    let user = declared.users.values().next().unwrap();
    let extension: Extension = "1001555".parse().unwrap();
    let phone = Phone {
        email: &user.email,
        name: &user.name,
        extension,
        phone: &user.phone,
        no_answer: user.no_answer.as_deref(),
    };
    let book = Phonebook {
        tenant: &declared.tenant,
        settings: &declared.settings,
        directory: None,
        phones: vec![phone],
        routes: &declared.routes,
    };
    let routing = &book.files(Digests::Masked).unwrap()[Routing];
    assert!(routing.text.contains("exten => 1001555,1,Goto(+1001555,1)\n"), "{}", routing.text);
    assert!(!routing.text.contains("p1001555"), "{}", routing.text);
}

/// Users were looked up for each target, and all rules for each number: twice as many took four times as long.
#[test]
fn rendering_takes_time_in_proportion_to_users_numbers_and_rules() {
    let declared = declared(COMPANY);
    let user = declared.users.values().next().unwrap();
    let took = |count: u32| {
        let emails: Vec<Identity> = (0..count).map(|n| format!("u{n}@example.com").parse().unwrap()).collect();
        let phones = emails.iter().zip(1_000_000..).map(|(email, number)| Phone {
            email,
            name: &user.name,
            extension: Extension::try_from(number).unwrap(),
            phone: &user.phone,
            no_answer: user.no_answer.as_deref(),
        });
        let rules = emails.iter().zip(1_000_000..).map(|(email, number)| Rule {
            to: Called::Did(format!("+1{number}").parse().unwrap()),
            from: Vec::new(),
            when: None,
            route: vec![Target::User(email.key())],
            otherwise: None,
            protected: false,
        });
        let routes = Routes { rules: rules.collect(), ..Routes::default() };
        let book = Phonebook {
            tenant: &declared.tenant,
            settings: &declared.settings,
            directory: None,
            phones: phones.collect(),
            routes: &routes,
        };
        let once = || {
            // Of this thread alone: other programs do not count.
            let start = clock_gettime(ClockId::ThreadCPUTime);
            let routing = &book.files(Digests::Masked).unwrap()[Routing];
            assert!(routing.text.matches("Gosub(acme-phones,").count() >= count as usize);
            clock_gettime(ClockId::ThreadCPUTime) - start
        };
        (0..3).map(|_| once()).min().unwrap()
    };
    let [some, many] = [1_000, 8_000].map(|count| Duration::try_from(took(count)).unwrap());
    assert!(many < some * 24, "8 times as much took {many:?} instead of {some:?}");
}
