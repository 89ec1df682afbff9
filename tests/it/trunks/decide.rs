//! The decision function and the real dialplan choose the same targets.
//!
//! Random routes are rendered and loaded; random calls go through Asterisk as local channels whose
//! caller and time the test sets (`TESTTIME` is Asterisk's own variable for that), and what its log
//! says it tried is compared with the decision. The trunks are not loaded, so that every dialer is out
//! of reach and each list is tried to its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use jiff::Timestamp;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use reconcile::{
    asterisk::ConfigFile,
    calls::{Call, Walked, decide, walk},
    model::Caller,
    objects::Routes,
};

use super::{declared, files, put};
use crate::support::{TestEnv, say, until};

const SETS: usize = 24;
const CALLS: usize = 24;

const HEAD: &str = r#"
version: 1
tenant: acme
extensions: { range: 1000-1999 }
trunks:
  carrier: { host: 192.0.2.7 }
dialers:
  first: { number: "+4930555001", trunk: carrier }
  second: { sip: "sip:acme@talk.example", trunk: carrier, caller_id: caller }
  third: { number: "+4930555003", trunk: carrier, caller_id: "+4930555000" }
  elsewhere: { number: "+4930555004" }
groups:
  team: { members: [ana@example.com, bo@example.com, "+4930555005"], trunk: carrier, no_answer: [night, third] }
  night: { members: [bo@example.com, "+4930555006", ana@example.com], ring: in-turn, time: 5s }
hours:
  office: { timezone: Europe/Berlin, open: ["mon-fri 09:00-18:00"], closed: ["2026-12-25", "2027-01-01"] }
  night: { timezone: America/New_York, open: ["fri-sun 22:00-06:00", "wed 00:00-24:00"] }
  lunch: { timezone: Asia/Kolkata, open: ["mon,wed 12:00-12:30", "sat 23:59-00:01"] }
users:
  - { email: ana@example.com, name: Ana, extension: 1000 }
  - { email: bo@example.com, name: Bo, extension: 1001 }
"#;

const NUMBERS: [&str; 2] = ["+15559876543", "+4930123456"];
const FROM: [&str; 7] = [
    "",
    "from: [withheld]",
    "from: [\"+49*\"]",
    "from: [\"+4930*\", \"+1*\"]",
    "from: [\"+4930*\"]",
    "from: [\"+1555*\", withheld]",
    "from: [\"+2*\"]",
];
const TARGETS: [&str; 10] =
    ["first", "second", "third", "elsewhere", "team", "night", "ana@example.com", "bo@example.com", "busy", "hangup"];

/// Who may call: numbers of all lengths, withheld in every way, and what is no number at all.
const CALLERS: [&str; 25] = [
    "+4930987654",
    "+4930",
    "+49",
    "+491701234567",
    "+15551234567",
    "+1555",
    "+12",
    "+1",
    "+0301234567",
    "4930987654",
    "030987654",
    "anonymous",
    "Anonymous",
    "+266696687",
    "Restricted",
    "",
    "+15559876543210987",
    "ana.silva",
    "+",
    "++",
    "+anonymous",
    " anonymous",
    "Anonymous ",
    "+ anonymous",
    " +4930987654 ",
];

/// What may be called: our numbers in every spelling, phones, and what is no number at all.
const DIALLED: [&str; 18] = [
    "+15559876543",
    "15559876543",
    "+15559876543;npdi=yes",
    "15559876543;rn=+12015550000;npdi",
    "+4930123456",
    "4930123456",
    "4930123456;",
    "030123",
    "anna",
    "7",
    "(555)987",
    "_x",
    "1000",
    "1001",
    "1001;transport=tcp",
    "acct1111",
    "acct1001",
    "acct15559876543",
];

/// Edges of the hours above, closed dates, and both ends of summer time.
const EDGES: [&str; 19] = [
    "2026-11-20T09:00+01:00",
    "2026-11-20T18:00+01:00",
    "2026-12-25T12:00+01:00",
    "2026-12-25T00:00+01:00",
    "2026-12-26T00:00+01:00",
    "2027-01-01T10:00+01:00",
    "2028-01-01T10:00+01:00",
    "2026-03-29T09:00+02:00",
    "2026-10-25T02:30+01:00",
    "2026-11-21T22:00-05:00",
    "2026-11-22T06:00-05:00",
    "2026-11-23T06:00-05:00",
    "2026-11-01T01:30-05:00",
    "2026-11-25T00:00-05:00",
    "2026-11-26T00:00-05:00",
    "2026-11-23T12:30+05:30",
    "2026-11-23T12:00+05:30",
    "2026-11-22T00:01+05:30",
    "2026-11-21T23:59+05:30",
];

fn targets() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&TARGETS[..]), 1..4).prop_map(|targets| {
        let mut kept: Vec<&str> = Vec::new();
        for target in targets {
            if !kept.contains(&target) && !["busy", "hangup"].contains(kept.last().unwrap_or(&"")) {
                kept.push(target);
            }
        }
        format!("[{}]", kept.join(", "))
    })
}

/// A file with random rules, those that contradict each other left out.
fn file() -> impl Strategy<Value = String> {
    let to = prop::sample::select(vec![NUMBERS[0], NUMBERS[1], "default"]);
    let from = prop::sample::select(&FROM[..]);
    let when = prop::option::of(prop::sample::select(vec!["office", "night", "lunch"]));
    let rule = (to, from, when, targets(), prop::option::of(targets()));
    (prop::collection::vec(rule, 1..9), targets()).prop_map(|(rules, default)| {
        let mut text = format!("{HEAD}default_route: {default}\ninbound:\n");
        for (to, from, when, route, otherwise) in rules {
            let mut line = format!("  - {{ to: \"{to}\", route: {route}");
            for (key, value) in [("", (!from.is_empty()).then(|| from.to_owned())), ("when: ", when.map(str::to_owned))]
            {
                let _ = write!(line, "{}", value.map(|value| format!(", {key}{value}")).unwrap_or_default());
            }
            if let (Some(_), Some(otherwise)) = (when, otherwise) {
                let _ = write!(line, ", otherwise: {otherwise}");
            }
            let more = format!("{text}{line} }}\n");
            if reconcile::desired::load_text("pbx.yaml", &more).declared.is_some() {
                text = more;
            }
        }
        if text.ends_with("inbound:\n") { text.replace("inbound:\n", "") } else { text }
    })
}

/// A call as it reaches Asterisk.
#[derive(Debug)]
struct Arrival {
    dialled: String,
    caller: &'static str,
    at: Timestamp,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let dialled = prop::sample::select(&DIALLED[..]);
    let edge =
        (prop::sample::select(&EDGES[..]).prop_map(|text| text.parse::<Timestamp>().unwrap().as_second()), -1_i64..=1)
            .prop_map(|(edge, off)| edge + off)
            .boxed();
    let any = (1_764_500_000_i64..1_900_000_000).boxed();
    (dialled, prop::sample::select(&CALLERS[..]), prop_oneof![edge, any]).prop_map(|(dialled, caller, at)| Arrival {
        dialled: dialled.to_owned(),
        caller,
        at: Timestamp::from_second(at).expect("a time"),
    })
}

/// What the decision function says, in the words of the dialplan.
fn decided(routes: &Routes, call: &Arrival) -> Vec<String> {
    let number = call.dialled.split(';').next().unwrap_or_default();
    // A user who gets calls is reached by the name of the phone.
    let named = [("1000", "ana@example.com"), ("1001", "bo@example.com")].into_iter().find(|(name, _)| *name == number);
    if let Some((_, email)) = named
        && routes.users().iter().any(|user| user.to_string() == email)
    {
        return vec![email.to_owned()];
    }
    let to = format!("+{}", number.trim_start_matches('+')).parse().ok();
    let call = Call { to, from: Some(Caller::new(call.caller)), at: call.at };
    let steps = walk(&routes.chain(decide(routes, &call).targets));
    let tried = steps.into_iter().map(|step| match step {
        Walked::Ring { name, .. }
        | Walked::Missing { name }
        | Walked::Voicemail { name }
        | Walked::Room { name }
        | Walked::Menu { name }
        | Walked::Queue { name } => name,
        Walked::Dialplan { context, extension } => format!("{extension}@{context}"),
        Walked::End { how } => how.to_owned(),
    });
    tried.collect()
}

/// What Asterisk tried for each call, by its log. A comment before the extension of each dialer and group names it.
fn tried(log: &str, routing: &str) -> BTreeMap<usize, Vec<String>> {
    let lines = routing.lines().zip(routing.lines().skip(1));
    let names: BTreeMap<&str, &str> = lines
        .filter_map(|(name, exten)| {
            let exten = exten.strip_prefix("exten => ").filter(|exten| exten.starts_with(['d', 'g']))?;
            Some((exten.split(',').next()?, name.strip_prefix("; ")?))
        })
        .collect();
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for line in log.lines() {
        let Some((_, executed)) = line.split_once("Executing [") else { continue };
        let Some((_, channel)) = executed.split_once("\"Local/") else { continue };
        let Some(call) = channel.split('@').next().and_then(|call| call.parse::<usize>().ok()) else { continue };
        let calls = found.entry(call).or_default();
        let argument = executed.rsplit_once(", \"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
        let called = ["acme-dialers,", "acme-groups,"].iter().find_map(|context| argument.strip_prefix(context));
        // Another extension lists who rings in a group.
        if let Some(dialer) = called.filter(|name| !name.starts_with('l')) {
            calls.push(names[dialer.trim_end_matches(",1")].to_owned());
        } else if let Some(phone) = argument.strip_prefix("acme-phones,") {
            calls.push(if phone == "1000,1" { "ana@example.com" } else { "bo@example.com" }.to_owned());
        } else if executed.contains("] Hangup(") && argument == "17" && executed.contains("@acme-targets:") {
            calls.push("busy".to_owned());
        } else if executed.contains("] Hangup(") && argument == "21" && executed.contains("@acme-targets:") {
            calls.push("hangup".to_owned());
        }
    }
    found
}

#[test]
fn the_dialplan_and_the_decision_function_choose_the_same_targets() {
    let env = TestEnv::bare_with_asterisk();
    let log = env.path("asterisk/log/full");
    // Other cases each time; `DECIDE_SEED` has those of an earlier run again.
    let given = std::env::var("DECIDE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| getrandom::u64().expect("randomness"));
    say(&format!("DECIDE_SEED={seed}"));
    let bytes = [u64::to_le_bytes(seed); 4].concat();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut chosen = BTreeMap::<String, usize>::new();
    for set in 0..SETS {
        let text = file().new_tree(&mut runner).expect("a file").current();
        let declared = declared(&text);
        let routing = &files(&declared, &declared.routes)[ConfigFile::Routing];
        let calls: Vec<Arrival> =
            (0..CALLS).map(|_| arrival().new_tree(&mut runner).expect("a call").current()).collect();
        let mut lab = "[lab]\n".to_owned();
        for (number, call) in calls.iter().enumerate() {
            let Arrival { dialled, caller, at } = call;
            let _ = write!(
                lab,
                "exten => {number},1,Set(CALLERID(num)={caller})\n same => n,Set(TESTTIME={})\n \
                 same => n,Goto(acme-inbound,{},1)\n",
                at.as_second(),
                dialled.replace(';', "\\;")
            );
        }
        fs::write(env.etc("extensions.d/lab/generated_routing.conf"), lab).expect("a file");
        put(&env, [routing]);
        assert!(env.ask("dialplan reload").contains("reloaded"));
        let begun = fs::metadata(&log).expect("a log").len();
        for number in 0..CALLS {
            env.ask(&format!("channel originate Local/{number}@lab application NoOp"));
        }
        until("all calls are over", || env.ask("core show channels count").contains("0 active channels"));
        let read = || {
            String::from_utf8_lossy(&fs::read(&log).expect("a log")[usize::try_from(begun).expect("a size")..])
                .into_owned()
        };
        until("the log is written", || {
            let is_end = |line: &&str| line.contains("] Hangup(\"Local/") && line.contains("@lab-");
            let ended = read().lines().filter(is_end).count();
            ended >= CALLS
        });
        let tried = tried(&read(), &routing.text);
        for (number, call) in calls.iter().enumerate() {
            let expected = decided(&declared.routes, call);
            assert_eq!(
                tried.get(&number),
                Some(&expected),
                "DECIDE_SEED={seed}, set {set}, call {number}: {call:?}\n{text}"
            );
            *chosen.entry(expected.join(" ")).or_default() += 1;
        }
    }
    assert!(chosen.len() > SETS, "the calls took many different ways: {chosen:?}");
}

/// Who would get a call can be asked of the dialplan that runs, and nobody rings for it.
#[test]
fn rules_return_a_destination_and_ring_no_phone() {
    let env = TestEnv::bare_with_asterisk();
    let text = format!(
        "{HEAD}default_route: [first]\ninbound:\n  - {{ to: \"+15559876543\", from: [\"+49*\"], when: office, route: [ana@example.com, second], \
         otherwise: [night] }}\n"
    );
    let declared = declared(&text);
    let routing = &files(&declared, &declared.routes)[ConfigFile::Routing];
    let asked = [
        ("+4930987654", "2026-11-20T12:00+01:00"),
        ("+4930987654", "2026-11-20T19:00+01:00"),
        ("", "2026-11-20T12:00+01:00"),
    ];
    let mut lab = "[lab]\n".to_owned();
    for (number, (caller, at)) in asked.iter().enumerate() {
        let at: Timestamp = at.parse().expect("a time");
        let _ = write!(
            lab,
            "exten => {number},1,Set(CALLER={caller})\n same => n,Set(TESTTIME={})\n \
             same => n,Gosub(acme-rules,+15559876543,1)\n same => n,NoOp(target ${{GOSUB_RETVAL}})\n",
            at.as_second()
        );
    }
    fs::write(env.etc("extensions.d/lab/generated_routing.conf"), lab).expect("a file");
    put(&env, [routing]);
    assert!(env.ask("dialplan reload").contains("reloaded"));
    for number in 0..asked.len() {
        env.ask(&format!("channel originate Local/{number}@lab application NoOp"));
    }
    let log = || fs::read_to_string(env.path("asterisk/log/full")).expect("a log");
    until("all are answered", || log().matches(", \"target ").count() == asked.len());
    let log = log();
    let steps = log.lines().filter_map(|line| line.split_once("Executing [")?.1.split_once(':'));
    let entered: BTreeSet<&str> = steps.filter_map(|(at, _)| Some(at.split_once('@')?.1)).collect();
    assert_eq!(entered, BTreeSet::from(["acme-hours", "acme-rules", "lab"]), "{log}");
    let target = |number: usize| {
        let line = log.lines().find(|line| line.contains(&format!("[{number}@lab:4]"))).expect("an answer");
        line.split("target ").nth(1).and_then(|rest| rest.split('"').next()).expect("a target").to_owned()
    };
    let [within, outside, other] = [0, 1, 2].map(target);
    let hash = within.strip_prefix('r').expect("a rule's target");
    assert_eq!((outside, other.as_str()), (format!("o{hash}"), "default"));
    assert!(
        routing.text.contains(&format!("[acme-targets]\n; to +15559876543 from +49* when office\nexten => r{hash},1,")),
        "{}",
        routing.text
    );
}
