//! Menus on the real Asterisk: SIPp plays callers, who press keys by events of RFC 4733.

use std::{fs, time::Duration};

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// How long a caller stays.
const STAYS: Duration = Duration::from_secs(9);

/// A company with two menus, each of whose keys leads to a room, and with a room for who presses nothing.
fn company(prompt: &str) -> String {
    format!(
        "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999 }}\ndialplan: {{ include: [outbound] }}\n\
         public_sip_host: 127.0.0.1\ntrunks: {{ carrier: {{ host: 127.0.0.2 }} }}\n\
         rooms: {{ one: {{}}, two: {{}}, silent: {{}} }}\nmenus:\n  \
           main:\n    extension: 1300\n    prompt: {prompt}\n    wait: 1s\n    tries: 2\n    \
             digits: {{ 1: [one], 2: [more], \"*\": [bo@example.com, two] }}\n    otherwise: [silent]\n  \
           more: {{ prompt: beep, digits: {{ 1: [two], 0: [main] }}, wait: 5s }}\n\
         inbound: [{{ to: \"{DID}\", route: [bo@example.com, main] }}]\nusers:\n  \
         - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
         - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n"
    )
}

/// An Asterisk that runs it.
fn running() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &company("beep"));
    env.run("apply").expect(0);
    env
}

/// Waits until so many are in a room.
#[track_caller]
fn are_in(env: &TestEnv, room: &str, count: usize) {
    let listed = || env.ask(&format!("confbridge list acme_{room}"));
    until(&format!("{count} in {room}"), || {
        listed().lines().filter(|line| line.starts_with("PJSIP/")).count() == count
    });
}

fn carrier(env: &TestEnv) -> Phone {
    Phone::at(env, "127.0.0.2")
}

#[test]
fn a_key_leads_where_the_file_says() {
    let env = running();
    let [ana, bo] = ["ana", "bo"].map(|user| Phone::of(&env, &format!("{user}@example.com")));
    let mut calls = Vec::new();
    // From a phone, and by way of a second menu and back.
    let mut call = ana.calls_with_keys("1300", STAYS);
    call.press('1');
    are_in(&env, "one", 1);
    calls.push(call);
    let mut call = carrier(&env).delivers_keys("+4917099999", DID, STAYS);
    for key in ['2', '0', '2', '1'] {
        call.press(key);
        std::thread::sleep(Duration::from_millis(300));
    }
    are_in(&env, "two", 1);
    calls.push(call);
    // A provider calls the menu by its name. Bo's phone does not answer: the next one does.
    let mut call = carrier(&env).delivers_keys("+4917088888", "menu_main", STAYS);
    call.press('*');
    are_in(&env, "two", 2);
    calls.push(call);
    for call in calls {
        call.call.ends_well();
    }

    // A phone that a key rings sees who calls.
    bo.registers();
    let answering = bo.picks_up();
    let mut call = carrier(&env).delivers_keys("+4917077777", "menu_main", Duration::from_secs(3));
    call.press('*');
    until("Bo is called", || answering.log().contains("INVITE "));
    let said = answering.log();
    assert!(said.contains("From: \"From Outside\" <sip:+4917077777@"), "{said}");
    call.call.ends_well();
    nothing_in_the_log(&env);
}

/// A caller who presses nothing, or a key that the menu does not have, hears the prompt again, and then goes on.
#[test]
fn without_a_key_of_the_menu_a_call_goes_on_after_some_tries() {
    let env = running();
    let silent = carrier(&env).delivers_keys("+4917099999", DID, STAYS);
    let mut wrong = carrier(&env).delivers_keys("+4917088888", "menu_main", STAYS);
    for key in ['7', '#', '5', '8'] {
        wrong.press(key);
        std::thread::sleep(Duration::from_millis(700));
    }
    are_in(&env, "silent", 2);
    let log = fs::read_to_string(env.path("asterisk/log/full")).unwrap();
    let played = log.lines().filter(|line| line.contains("@acme-menu_main:") && line.contains("BackGround(")).count();
    assert_eq!(played, 4, "each prompt is played twice");
    // A caller in the menu goes on in the next dialplan.
    let ana = Phone::of(&env, "ana@example.com");
    let mut call = ana.calls_with_keys("1300", STAYS);
    call.press('2');
    until("the second menu begins", || {
        fs::read_to_string(env.path("asterisk/log/full")).unwrap().contains("[s@acme-menu_more:1]")
    });
    env.write("pbx.yaml", &company("beep").replace("1: [two]", "1: [one]"));
    env.run("apply").expect(0);
    call.press('1');
    are_in(&env, "one", 1);
    for call in [silent, wrong, call] {
        call.call.ends_well();
    }
    // No menu has an extension that a caller from outside could dial, and no menu leads out.
    let keys = env.ask("dialplan show acme-menu_main");
    assert!(!keys.contains("Include") && !keys.contains("'_"), "{keys}");
    nothing_in_the_log(&env);
}

/// A menu may lead outside again, so that a call could come back by its name for ever.
#[test]
fn one_caller_has_at_most_ten_calls_to_a_menu_by_its_name() {
    let env = running();
    let calls = carrier(&env).delivers_at_once(10, "+4917099999", "menu_main", Duration::from_secs(30));
    until("all calls are answered", || env.ask("core show channels count").contains("10 active channels"));
    carrier(&env).delivers_in_vain("486", "+4917099999", "menu_main");
    let other = carrier(&env).delivers_speech("+4917088888", "menu_main", Duration::from_secs(1));
    other.ends_well();
    drop(calls);
}

#[test]
fn a_prompt_that_the_host_does_not_have_stops_an_apply() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &company("acme/welcome"));
    let before = env.files();
    let stopped = env.run("apply").expect(3).stderr;
    assert_eq!(env.files(), before);
    let lines: Vec<&str> = stopped.lines().skip_while(|line| !line.starts_with("error[")).take(2).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    error[rail-missing-names]: Asterisk does not have the prompt `acme/welcome`, which the menu `main` names in pbx.yaml:11 (no `acme/welcome.wav` is in its folder `sounds`, and no file of another format)
    hint: put it there, or into the folder of its language, such as `sounds/en`; until then callers hear nothing instead; if this is intended: --allow missing-names=1
    ");
    env.run("apply --allow missing-names=1").expect(0);
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(status.contains("does not have the prompt `acme/welcome`, which the menu `main` names"), "{status}");
    env.write("pbx.yaml", &company("beep"));
    env.run("apply").expect(0);
    env.run("status --detailed-exitcode").expect(0);
}
