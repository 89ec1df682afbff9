//! Calls that go on in the operator's own dialplan, on the real Asterisk: who comes there, and who does not.

use std::fs;

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// A context of the operator's, whose first steps tell who came, and one that leads to it.
const IVR: &str = "
[ivr]
exten => s,1,NoOp(${CALLERID(num)} \"${CALLERID(name)}\")
 same => n,Answer()
 same => n,Wait(1)
 same => n,Hangup()
exten => _70[1-3],1,NoOp(${CALLERID(num)} \"${CALLERID(name)}\")
 same => n,Answer()
 same => n,Wait(1)
 same => n,Hangup()
exten => 800,hint,Custom:ivr
[desk]
include => ivr
";

/// An Asterisk whose operator has these contexts.
fn lab() -> TestEnv {
    let env = TestEnv::with_asterisk();
    let conf = env.etc("extensions.conf");
    fs::write(&conf, fs::read_to_string(&conf).unwrap() + IVR).unwrap();
    env.ask("dialplan reload");
    until("the operator's contexts are loaded", || env.ask("dialplan show ivr").contains("'s'"));
    env
}

/// A company whose users, group and rules send calls there.
fn company(rest: &str) -> String {
    format!(
        "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999 }}\ndialplan: {{ include: [outbound] }}\n{rest}\
         trunks: {{ carrier: {{ host: 127.0.0.2 }} }}\nusers:\n  \
         - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
         - {{ email: bo@example.com, name: Bo, extension: 1001, no_answer: [{{ context: ivr, extension: s }}] }}\n"
    )
}

/// The calls that came there: the extension, and who called.
fn arrived(env: &TestEnv) -> Vec<String> {
    let log = fs::read_to_string(env.path("asterisk/log/full")).expect("a log");
    let arrived = log.lines().filter_map(|line| {
        let (extension, rest) = line.split_once("Executing [")?.1.split_once("@ivr:1] NoOp(\"")?;
        Some(format!("{extension}: {}", rest.split_once("\", \"")?.1.strip_suffix("\") in new stack")?))
    });
    arrived.collect()
}

#[test]
fn phones_and_callers_from_outside_come_there_and_see_nothing_else() {
    let env = lab();
    let file = company(&format!(
        "groups: {{ sales: {{ members: [bo@example.com], extension: 1500, no_answer: [{{ context: desk, extension: 701 }}] }} }}\n\
         inbound: [{{ to: \"{DID}\", route: [bo@example.com, {{ context: ivr, extension: 702 }}] }}]\n\
         default_route: [{{ context: ivr, extension: 703 }}]\n"
    ));
    env.write("pbx.yaml", &file);
    env.run("apply").expect(0);
    let ana = Phone::of(&env, "ana@example.com");
    ana.registers();
    let came = |count: usize| {
        until("the call comes there", || arrived(&env).len() == count);
        arrived(&env).pop().unwrap()
    };

    // Bo has no phone that is registered.
    ana.reaches("1001");
    assert_eq!(came(1), "s: 1000 \"Ana\"");
    // The group's destination is in a context that another one includes.
    ana.reaches("1500");
    until("the group's call comes there", || env_log(&env).contains("Executing [701@desk:1]"));

    let carrier = || Phone::at(&env, "127.0.0.2");
    carrier().delivers("+4917099999", DID);
    assert_eq!(came(2), "702: +4917099999 \"From Outside\"");
    // A caller names neither context nor extension: each of these takes the default route.
    for (calls, called) in (3..).zip(["s", "701", "ivr", "dialplan_s", "702%40ivr"]) {
        carrier().delivers("+4917099999", called);
        assert_eq!(came(calls), "703: +4917099999 \"From Outside\"", "{called}");
    }
    // Phones dial no context that is not included.
    ana.is_told("404", "702");
    nothing_in_the_log(&env);
}

fn env_log(env: &TestEnv) -> String {
    fs::read_to_string(env.path("asterisk/log/full")).expect("a log")
}

/// A provider that dials users by SIP reaches what a rule names under a name of the program's.
#[test]
fn a_provider_reaches_it_by_its_name() {
    let env = lab();
    let rest = format!(
        "public_sip_host: 127.0.0.1\ninbound: [{{ to: \"{DID}\", route: [bo@example.com, {{ context: ivr, extension: s }}] }}]\n"
    );
    env.write("pbx.yaml", &company(&rest));
    env.run("apply").expect(0);
    let routing = fs::read_to_string(env.etc("extensions.d/acme/generated_routing.conf")).unwrap();
    let name = routing.lines().find_map(|line| line.strip_prefix("exten => dialplan_")?.split(',').next()).unwrap();
    for (calls, called) in (1..).zip([format!("dialplan_{name}"), format!("dialplan_{name};npdi=yes")]) {
        Phone::at(&env, "127.0.0.2").delivers("+4917099999", &called);
        until("the call comes there", || arrived(&env).len() == calls);
    }
    assert_eq!(arrived(&env), ["s: +4917099999 \"From Outside\""; 2]);
    nothing_in_the_log(&env);
}

/// A pull request of one tenant would reach the phones and the carriers of another one.
#[test]
fn a_context_of_another_tenant_is_no_destination() {
    let env = TestEnv::with_asterisk();
    let other = company("")
        .replace("tenant: acme", "tenant: bolt\nendpoint_names: tenant-extension")
        .replace("context: ivr, extension: s", "context: outbound, extension: 600");
    env.write("bolt.yaml", &other);
    env.run("apply -f bolt.yaml").expect(0);
    let file = company("").replace("carrier: { host: 127.0.0.2 }", "carrier: { host: 127.0.0.3 }");
    env.write("pbx.yaml", &file.replace("context: ivr, extension: s", "context: bolt-internal, extension: 1000"));
    let words = "error[rail-taken-names]: `no_answer` of `bo@example.com` names `bolt-internal`, a context of the tenant `bolt` \
                 on this host\n";
    for command in ["apply", "apply --no-reload"] {
        let stopped = env.run(command).expect(3).stderr;
        assert!(stopped.contains(words), "{stopped}");
    }
}

/// Asterisk loads a `Goto` to nowhere without complaint, and ends each call that comes to it.
#[test]
fn what_asterisk_does_not_have_stops_an_apply_before_anything_moves() {
    let env = lab();
    let stopped = |file: &str| {
        env.write("pbx.yaml", file);
        let before = env.files();
        let said = env.run("apply").expect(3).stderr;
        assert_eq!(env.files(), before);
        let lines: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("error[")).take(2).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(stopped(&company("").replace("context: ivr", "context: ivrr")), @r"
    error[rail-missing-names]: Asterisk does not have the context `ivrr`, which `no_answer` of `bo@example.com` names in pbx.yaml:8 (did you mean `ivr`? Asterisk has `desk`, `ivr`, `outbound`, `parkedcalls`)
    hint: correct the name, or define the context `ivrr` in Asterisk; until then calls that are sent there end; if this is intended: --allow missing-names=1
    ");
    insta::assert_snapshot!(stopped(&company("").replace("extension: s", "extension: 704")), @r"
    error[rail-missing-names]: Asterisk does not have the extension `704` of the context `ivr`, which `no_answer` of `bo@example.com` names in pbx.yaml:8 (the context has `_70[1-3]`, `s`)
    hint: correct the name, or define the extension `704` of the context `ivr` in Asterisk; until then calls that are sent there end; if this is intended: --allow missing-names=1
    ");
    insta::assert_snapshot!(stopped(&company("").replace("extension: s", "extension: 800")), @r"
    error[rail-missing-names]: Asterisk does not have the extension `800` of the context `ivr`, which `no_answer` of `bo@example.com` names in pbx.yaml:8 (the context has `_70[1-3]`, `s`)
    hint: correct the name, or define the extension `800` of the context `ivr` in Asterisk; until then calls that are sent there end; if this is intended: --allow missing-names=1
    ");
    let group = "groups: { sales: { members: [ana@example.com], no_answer: [{ context: ivr, extension: 9 }] } }\n";
    let rules = format!(
        "inbound: [{{ to: \"{DID}\", route: [{{ context: ivr, extension: 8 }}] }}]\n\
         default_route: [{{ context: nosuch, extension: s }}]\n"
    );
    insta::assert_snapshot!(stopped(&company(&format!("{group}{rules}"))).replace("; ", ";\n"), @r"
    error[rail-missing-names]: Asterisk does not have the extension `8` of the context `ivr`, which the route `to +15559876543` names in pbx.yaml:6 (the context has `_70[1-3]`, `s`);
    Asterisk does not have the extension `9` of the context `ivr`, which the group `sales` names in pbx.yaml:5 (the context has `_70[1-3]`, `s`);
    Asterisk does not have the context `nosuch`, which `default_route` names in pbx.yaml:7 (Asterisk has `desk`, `ivr`, `outbound`, `parkedcalls`)
    hint: correct the name, or define the extension `8` of the context `ivr` in Asterisk;
    until then calls that are sent there end;
    correct the name, or define the extension `9` of the context `ivr` in Asterisk;
    until then calls that are sent there end;
    correct the name, or define the context `nosuch` in Asterisk;
    until then calls that are sent there end;
    if this is intended: --allow missing-names=3
    ");
    env.run("apply --allow missing-names=3").expect(0);
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(
        status.contains("does not have the extension `9` of the context `ivr`, which the group `sales` names"),
        "{status}"
    );

    // Not loaded yet.
    let conf = env.etc("extensions.conf");
    let operators = fs::read_to_string(&conf).unwrap().replace("[ivr]\n", "[ivr]\nexten => late,1,Hangup()\n");
    fs::write(&conf, operators).unwrap();
    let late = company("").replace("extension: s", "extension: late");
    insta::assert_snapshot!(stopped(&late), @r"
    error[rail-missing-names]: Asterisk does not have the extension `late` of the context `ivr`, which `no_answer` of `bo@example.com` names in pbx.yaml:8 (extensions.conf:19 defines it, but Asterisk has not loaded that line)
    hint: run `asterisk -rx 'dialplan reload'` to load it; until then calls that are sent there end; if this is intended: --allow missing-names=1
    ");
    env.ask("dialplan reload");
    until("it is loaded", || env.ask("dialplan show ivr").contains("late"));
    env.run("apply").expect(0);
    env.run("status --detailed-exitcode").expect(0);
}
