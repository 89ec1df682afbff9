//! Phones on a running Asterisk: who registers, who rings, who is turned away, and what a callee
//! reads, before, while and after an apply.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, process::Stdio, thread, time::Duration};

use super::{
    sipp::Phone,
    support::{TestEnv, desired, until},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const BO_DECLARED: &str = "email: bo@example.com, name: Bo, secret: { env: BO_SIP_SECRET }";
const CY: &str = "email: cy@example.com, name: Cy";

#[test]
fn a_call_survives_the_apply_that_adds_a_phone() {
    let env = pbx(&[ANA, BO]);
    let (ana, bo) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "bo@example.com"));
    ana.registers();
    let answering = bo.answers();
    let call = ana.calls("1001", Duration::from_secs(5));
    until("a call is up", || calls_up(&env) == 1);

    apply(&env, &[ANA, BO, CY], "");
    assert_eq!(calls_up(&env), 1, "the call lasts longer than the apply");
    assert_eq!(registered(&env), ["1000", "1001"], "registrations are kept");
    Phone::of(&env, "cy@example.com").registers();
    assert_eq!(registered(&env), ["1000", "1001", "1002"]);
    assert_eq!(calls_up(&env), 1);

    call.ends_well();
    answering.unplug();
    nothing_in_the_log(&env);
}

#[test]
fn every_number_is_answered_as_what_it_is() {
    let env = pbx(&[ANA, BO]);
    let ana = Phone::of(&env, "ana@example.com");
    ana.is_told("480", "1001"); // Bo's, whose phone is not registered
    ana.is_told("404", "1500"); // nobody's
    ana.is_told("404", "2000"); // out of the range
    ana.reaches("600"); // the operator's echo
    ana.reaches("112"); // the operator's emergency number
    nothing_in_the_log(&env);
}

#[test]
fn a_name_reaches_the_callee_as_it_was_declared() {
    let too_long = "é".repeat(60);
    let names = [
        r#"Zoë "Zo" O'Neil; 日本 🎧"#,
        r"back\slash",
        r"ends with one\",
        r"a\;b",
        "Doe, John",
        "a;--b --; #exec",
        "${SHELL(id)} $[1+1] %s %0a",
        "[evil] => x",
        r#"";[evil]"#,
        r#"\" <sip:666@evil.example>;tag=1"#,
        &too_long,
    ];
    let callers: Vec<String> = (0..names.len())
        .map(|n| format!("email: u{n}@example.com, extension: {}, name: {}", 1100 + n, serde_json::json!(names[n])))
        .collect();
    let users: Vec<&str> = callers.iter().map(String::as_str).chain([BO]).collect();
    let env = pbx(&users);
    let answering = Phone::of(&env, "bo@example.com").answers();
    for n in 0..names.len() {
        Phone::of(&env, &format!("u{n}@example.com")).reaches("1000");
    }
    let log = answering.unplug();
    let seen: Vec<[String; 2]> =
        log.lines().map(|line| ["From:", "PAI:"].map(|header| display_name(line, header))).collect();
    // A name longer than Asterisk's 79 bytes is cut between two characters.
    let shown = names.map(|name| if name == too_long { "é".repeat(39) } else { name.to_owned() });
    assert_eq!(seen, shown.map(|name| [name.clone(), name]));
    nothing_in_the_log(&env);
}

#[test]
fn a_removed_phone_expires_and_is_rejected() {
    let env = pbx(&[ANA, BO]);
    let (ana, bo) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "bo@example.com"));
    ana.registers();
    bo.registers();
    assert_eq!(registered(&env), ["1000", "1001"]);

    apply(&env, &[ANA], "");
    assert_eq!(registered(&env), ["1000"]);
    bo.is_refused();
    assert_eq!(registered(&env), ["1000"]);
    ana.is_told("404", "1001");
    nothing_in_the_log(&env);
}

/// Asterisk keeps the last state of a device that it heard of, and callers of a number that was nobody's
/// any more heard 480 for as long as it did.
#[test]
fn a_freed_number_is_unallocated_at_once_whatever_state_its_phone_had() {
    let env = pbx(&[ANA, BO]);
    let (ana, bo) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "bo@example.com"));
    ana.registers();
    bo.registers();
    bo.unregisters();
    until("its state is kept", || env.ask("dialplan eval function DEVICE_STATE(PJSIP/1001)").contains("UNAVAILABLE"));
    ana.is_told("480", "1001");

    apply(&env, &[ANA], "");
    ana.is_told("404", "1001");
    nothing_in_the_log(&env);
}

#[test]
fn a_changed_secret_ends_the_old_registration() {
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", "the-first-one-of-bo-7");
    apply(&env, &[ANA, BO_DECLARED], "");
    let (ana, old) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "bo@example.com"));
    ana.registers();
    old.registers();

    env.set("BO_SIP_SECRET", "the-second-one-of-bo-8");
    apply(&env, &[ANA, BO_DECLARED], "");
    assert_eq!(registered(&env), ["1000"]);
    ana.is_told("480", "1001");
    old.is_refused();

    let new = Phone::of(&env, "bo@example.com");
    assert_eq!(new.secret, "the-second-one-of-bo-8");
    let answering = new.answers();
    ana.reaches("1001");
    answering.unplug();
    nothing_in_the_log(&env);
}

/// `database del` alone empties the table, and Asterisk goes on probing the phone and lights its lamp.
#[test]
fn an_expired_phone_is_seen_as_gone() {
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", "the-first-one-of-bo-7");
    apply(&env, &[ANA, BO_DECLARED], "");
    let _listens_on = Phone::of(&env, "bo@example.com").answers();
    until("the lamp of Bo is lit", || state(&env, "1001") == "Not in use");

    env.set("BO_SIP_SECRET", "the-second-one-of-bo-8");
    apply(&env, &[ANA, BO_DECLARED], "");
    assert_eq!(state(&env, "1001"), "Unavailable");
    nothing_in_the_log(&env);
}

/// A reload of thousands of phones takes seconds, in which the old secret still holds.
#[test]
fn a_phone_that_refreshes_while_asterisk_reloads_expires_too() {
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", "the-first-one-of-bo-7");
    apply(&env, &[ANA, BO_DECLARED], "");
    let old = Phone::of(&env, "bo@example.com");
    old.registers();

    env.set("BO_SIP_SECRET", "the-second-one-of-bo-8");
    env.set("ASTERISK_COMMAND", &slow_reload(&env));
    let mut apply = env.command(&["apply"]).stdout(Stdio::null()).spawn().expect("reconcile runs");
    until("the reload begins", || env.path("home/begun").exists());
    thread::sleep(Duration::from_millis(1100)); // Asterisk counts a registration's life in seconds
    old.registers();
    fs::write(env.path("home/go-on"), "").expect("a file");
    assert!(apply.wait().expect("a child").success());
    assert_eq!(registered(&env), [""; 0]);
    old.is_refused();
    nothing_in_the_log(&env);
}

#[test]
fn swapped_numbers_end_both_registrations_and_keep_both_secrets() {
    let pinned = |ana, bo| [format!("{ANA}, extension: {ana}"), format!("{BO}, extension: {bo}")];
    let [ana, bo] = pinned(1000, 1001);
    let env = pbx(&[&ana, &bo]);
    let old = ["ana@example.com", "bo@example.com"].map(|email| Phone::of(&env, email));
    for phone in &old {
        phone.registers();
    }

    let [ana, bo] = pinned(1001, 1000);
    write(&env, &[&ana, &bo]);
    env.run("apply").expect(3);
    assert_eq!(registered(&env), ["1000", "1001"], "the rail holds it back");
    apply(&env, &[&ana, &bo], "--allow relogins=2");
    assert_eq!(registered(&env), [""; 0]);

    let new = ["ana@example.com", "bo@example.com"].map(|email| Phone::of(&env, email));
    assert_eq!(new.each_ref().map(|phone| phone.username.as_str()), ["1001", "1000"]);
    assert_eq!(new.each_ref().map(|phone| &phone.secret), old.each_ref().map(|phone| &phone.secret));
    for phone in &old {
        phone.is_refused();
    }
    for phone in &new {
        phone.registers();
    }
    assert_eq!(registered(&env), ["1000", "1001"]);
    nothing_in_the_log(&env);
}

#[test]
fn endpoints_may_bear_the_name_of_the_tenant() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &format!("{}endpoint_names: tenant-extension\n", desired(&[ANA, BO])));
    env.run("apply").expect(0);
    let (ana, bo) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "bo@example.com"));
    assert_eq!(ana.username, "acme-1000");
    ana.registers();
    ana.is_told("480", "1001");
    ana.is_told("404", "1002");
    let answering = bo.answers();
    assert_eq!(registered(&env), ["acme-1000", "acme-1001"]);
    ana.reaches("1001");
    let log = answering.unplug();
    assert_eq!(display_name(&log, "From:"), "Ana");
    assert!(log.contains("<sip:1000@"), "{log}");
    nothing_in_the_log(&env);
}

/// Starts Asterisk and applies these users.
pub(super) fn pbx(users: &[&str]) -> TestEnv {
    let env = TestEnv::with_asterisk();
    apply(&env, users, "");
    env
}

pub(super) fn write(env: &TestEnv, users: &[&str]) {
    env.write("pbx.yaml", &format!("{}dialplan: {{ include: [outbound] }}\n", desired(users)));
}

#[track_caller]
pub(super) fn apply(env: &TestEnv, users: &[&str], flags: &str) {
    write(env, users);
    env.run(&format!("apply {flags}")).expect(0);
}

/// A client of Asterisk that says `begun` before it reloads phones, and waits for `go-on`, ten seconds at most.
fn slow_reload(env: &TestEnv) -> String {
    let (client, folder) = (env.path("slow"), env.path("home"));
    let script = format!(
        "#!/bin/sh\n\
         case $2 in *'reload res_pjsip'*) : >{0}/begun; timeout 10 sh -c 'until [ -e {0}/go-on ]; do sleep 0.1; done';; esac\n\
         exec {1} \"$@\"\n",
        folder.display(),
        env.path("asterisk/bin/asterisk").display()
    );
    fs::write(&client, script).expect("a file");
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).expect("a mode");
    client.display().to_string()
}

/// Lists the AORs that have a contact, by both of Asterisk's accounts.
#[track_caller]
pub(super) fn registered(env: &TestEnv) -> Vec<String> {
    let names = |answer: &str, before: &str, after: &str| -> BTreeSet<String> {
        let name = |line: &str| Some(line.trim().strip_prefix(before)?.split_once(after)?.0.trim().to_owned());
        answer.lines().filter_map(name).filter(|name| !name.starts_with('<')).collect()
    };
    let stored = names(&env.ask("database show registrar/contact"), "/registrar/contact/", ";@");
    let shown = names(&env.ask("pjsip show contacts"), "Contact:", "/");
    assert_eq!(stored, shown);
    stored.into_iter().collect()
}

/// What a lamp on somebody else's phone shows.
#[track_caller]
fn state(env: &TestEnv, name: &str) -> String {
    let answer = env.ask("pjsip list endpoints");
    let (_, rest) = answer.split_once(&format!("Endpoint:  {name}/")).expect("the endpoint");
    let words: Vec<&str> =
        rest.lines().next().unwrap_or_default().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    words[1].to_owned()
}

fn calls_up(env: &TestEnv) -> usize {
    // Two channels, each of them talking: before the callee answers, one of them rings.
    env.ask("core show channels concise").lines().filter(|line| line.contains("!Up!")).count() / 2
}

/// Reads the quoted display name of a header, as a phone does, in a line of the callee's log.
#[track_caller]
fn display_name(line: &str, header: &str) -> String {
    let mut rest =
        line.split_once(header).and_then(|(_, rest)| rest.trim_start().strip_prefix('"')).expect(line).chars();
    let mut name = String::new();
    loop {
        match rest.next().expect(line) {
            '"' => break,
            '\\' => name.extend(rest.next()),
            c => name.push(c),
        }
    }
    assert!(rest.as_str().starts_with(" <sip:"), "{line}");
    name
}

/// Asterisk had nothing to complain about, neither the files nor anything else.
#[track_caller]
pub(super) fn nothing_in_the_log(env: &TestEnv) {
    thread::sleep(Duration::from_millis(200)); // its logger is a thread of its own
    let log = fs::read_to_string(env.path("asterisk/log/full")).expect("a log");
    let complaints: Vec<&str> =
        log.lines().filter(|line| line.contains("WARNING[") || line.contains("ERROR[")).collect();
    assert_eq!(complaints, [""; 0]);
}
