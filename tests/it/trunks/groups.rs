//! Groups on the real Asterisk: SIPp plays the carrier, the members' phones and numbers outside.

use std::{fs, thread, time::Duration};

use reconcile::asterisk::ConfigFile;

use super::{SECRET, declared, files, put, reload};
use crate::{
    phones::nothing_in_the_log,
    sipp::{Phone, Running},
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// What a phone is told whose call was answered by another one. Phones then list no missed call.
const ELSEWHERE: &str = "text=\"Call completed elsewhere\"";

/// A company whose number goes to `route`; `groups` are its groups, and whatever else they need.
fn company(mobile: &Phone, groups: &str, route: &str) -> String {
    format!(
        "version: 1\n\
         tenant: acme\n\
         extensions: {{ range: 1000-1999 }}\n\
         phones: {{ devices: 2 }}\n\
         dialplan: {{ include: [outbound] }}\n\
         trunks:\n  \
           carrier: {{ host: 127.0.0.2 }}\n  \
           mobile: {{ host: \"{}\", identify: [127.0.0.4] }}\n\
         dialers: {{ desk: {{ number: \"+4930555001\", trunk: mobile, ring: 10s }} }}\n\
         groups:\n{groups}\
         inbound: [{{ to: \"{DID}\", route: {route} }}]\n\
         users:\n  \
           - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
           - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n  \
           - {{ email: cy@example.com, name: Cy, extension: 1002 }}\n",
        mobile.address(),
    )
}

const ALL: &str =
    "  sales: { members: [ana@example.com, bo@example.com, cy@example.com], time: 8s, caller_name: \"Sales: \" }\n";

fn phone(env: &TestEnv, number: &str) -> Phone {
    Phone::with(env, number.to_owned(), SECRET.to_owned())
}

/// Has Asterisk take the files. Who is unplugged between two calls does not become unreachable. A key comes as a request,
/// because there is no audio here.
fn run(env: &TestEnv, file: &str) {
    let declared = declared(file);
    let mut files = files(&declared, &declared.routes);
    let endpoints = &mut files[ConfigFile::Endpoints];
    for (line, instead) in [
        ("qualify_frequency = 60", "qualify_frequency = 0"),
        ("qualify_frequency = 10", "qualify_frequency = 0"),
        ("dtmf_mode = rfc4733", "dtmf_mode = info"),
    ] {
        endpoints.text = endpoints.text.replace(line, instead);
    }
    put(env, files.values());
    reload(env);
}

fn rings(phone: &Running) {
    until("it rings", || phone.log().contains("INVITE "));
}

fn asterisk_log(env: &TestEnv) -> String {
    thread::sleep(Duration::from_millis(200)); // its logger is a thread of its own
    fs::read_to_string(env.path("asterisk/log/full")).expect("a log")
}

#[test]
fn all_members_ring_at_once_on_all_devices_and_the_others_see_completed_elsewhere() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    run(&env, &company(&mobile, ALL, "[sales, busy]"));
    let [ana, other, bo] = ["1000", "1000", "1001"].map(|number| phone(&env, number));
    [&ana, &other, &bo].into_iter().for_each(Phone::registers);
    let (ringing, second, answering) = (ana.is_let_go(), other.is_let_go(), bo.picks_up_late(None, None));

    let said = Phone::at(&env, "127.0.0.2").delivers("+4917099999", DID);
    let identity = ["P-Asserted-Identity:", "Remote-Party-ID:", "Bo", "1001"];
    assert!(!said.lines().any(|line| identity.iter().any(|word| line.contains(word))), "who answers: {said}");
    for told in [ringing.unplug(), second.unplug()] {
        assert!(told.contains("From: \"Sales: From Outside\" <sip:+4917099999@"), "{told}");
        assert!(told.contains(ELSEWHERE), "{told}");
        assert_eq!(told.matches("INVITE").count(), 1, "{told}");
    }
    let answered = answering.unplug();
    assert!(answered.contains("From: \"Sales: From Outside\" <sip:+4917099999@"), "{answered}");
    assert_eq!(answered.lines().count(), 1);
    nothing_in_the_log(&env);
}

#[test]
fn members_ring_in_turn_and_none_sees_completed_elsewhere() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let groups = "  sales: { members: [ana@example.com, cy@example.com, bo@example.com], ring: in-turn, time: 5s }\n";
    run(&env, &company(&mobile, groups, "[sales, busy]"));
    let [ana, bo] = ["1000", "1001"].map(|number| phone(&env, number));
    [&ana, &bo].into_iter().for_each(Phone::registers);
    let (ringing, answering) = (ana.is_let_go(), bo.picks_up());
    let call = Phone::at(&env, "127.0.0.2").delivering("+4917099999", DID);
    rings(&ringing);
    assert_eq!(answering.log(), "", "one after the other");
    call.ends_well();
    let told = ringing.unplug();
    assert!(told.contains("let go") && !told.contains(ELSEWHERE), "{told}");
    assert!(answering.unplug().contains("From: \"From Outside\" <sip:+4917099999@"));
    nothing_in_the_log(&env);
}

/// A member calls the group, here by the operator's own dialplan.
#[test]
fn the_phone_that_calls_does_not_ring() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let file = company(&mobile, ALL, "[sales, busy]").replace("[outbound]", "[desk]");
    let desk = "[desk]\nexten => 77,1,Goto(acme-inbound,+15559876543,1)\n";
    let path = env.etc("extensions.d/lab/generated_routing.conf");
    fs::write(path, desk).expect("a file");
    run(&env, &file);
    let [ana, bo] = ["1000", "1001"].map(|number| phone(&env, number));
    [&ana, &bo].into_iter().for_each(Phone::registers);
    let answering = bo.picks_up();
    ana.reaches("77");
    assert_eq!(answering.unplug().lines().count(), 1);
    let log = asterisk_log(&env);
    assert!(log.contains("Called Local/1001@acme-members/n"), "{log}");
    assert!(!log.contains("Called Local/1000@acme-members/n"), "{log}");
    nothing_in_the_log(&env);
}

#[test]
fn who_is_behind_a_group_gets_the_calls_that_no_member_answers() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let groups = ALL.replace(", caller_name", ", no_answer: [desk], caller_name");
    run(&env, &company(&mobile, &groups, "[sales, busy]"));
    let carrier = Phone::at(&env, "127.0.0.2");
    let answering = mobile.picks_up();
    // Nobody is registered, then all are busy: the call goes on at once.
    carrier.delivers("+4917099999", DID);
    let [ana, bo] = ["1000", "1001"].map(|number| phone(&env, number));
    [&ana, &bo].into_iter().for_each(Phone::registers);
    let busy = [ana.is_busy(), bo.is_busy()];
    carrier.delivers("+4917099999", DID);
    assert_eq!(busy.map(|phone| phone.unplug().lines().count()), [1, 1]);
    // One of them rings to the end.
    let (ringing, _busy) = (ana.is_let_go(), bo.is_busy());
    carrier.delivers("+4917099999", DID);
    assert!(ringing.unplug().contains("let go"));
    let log = answering.unplug();
    assert_eq!(log.matches("INVITE sip:+4930555001@").count(), 3, "{log}");
    assert!(!log.contains("Sales"), "the name is for members: {log}");
    // Nobody is left: the caller hears why.
    let _busy = mobile.is_busy();
    carrier.delivers_in_vain("486", "+4917099999", DID);
    nothing_in_the_log(&env);
}

#[test]
fn a_phone_that_dials_the_number_of_a_group_reaches_its_members_and_those_behind_them() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let groups = "  sales:
    members: [ana@example.com, bo@example.com, \"+491701234567\"]
    extension: 1500
    time: 8s
    caller_name: \"Sales: \"
    trunk: mobile
  night: { members: [bo@example.com], extension: 1501, no_answer: [desk] }
";
    // No rule names the groups.
    run(&env, &company(&mobile, groups, "[busy]"));
    let [ana, bo, cy] = ["1000", "1001", "1002"].map(|number| phone(&env, number));
    [&ana, &bo].into_iter().for_each(Phone::registers);

    let (ringing, answering, outside) = (ana.is_let_go(), bo.picks_up_late(None, None), mobile.is_busy());
    cy.reaches("1500");
    let told = ringing.unplug();
    assert!(told.contains("From: \"Sales: Cy\" <sip:1002@") && told.contains(ELSEWHERE), "{told}");
    assert!(answering.unplug().contains("From: \"Sales: Cy\" <sip:1002@"));
    assert!(outside.unplug().contains("INVITE sip:+491701234567@"));

    // A member calls: its own phone does not ring.
    let (answering, outside) = (bo.picks_up_late(None, None), mobile.is_busy());
    ana.reaches("1500");
    assert_eq!(answering.unplug().lines().count(), 1);
    let log = asterisk_log(&env);
    assert_eq!(log.matches("Called Local/1000@acme-members/n").count(), 1, "for the call of Cy: {log}");

    // A number outside sees one of ours.
    drop(outside);
    let (_busy, desk) = (bo.is_busy(), mobile.picks_up());
    ana.reaches("1501");
    let log = desk.unplug();
    assert!(log.starts_with("INVITE sip:+4930555001@") && log.contains(&format!("From: <sip:{DID}@")), "{log}");

    // A caller from outside cannot dial the number of a group.
    Phone::at(&env, "127.0.0.2").delivers_in_vain("404", "+4917099999", "1500");
    nothing_in_the_log(&env);
}

/// The lamp of a group blinks while one of its phones rings.
#[test]
fn the_lamp_of_a_group_shows_the_states_of_its_members() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let group =
        "  sales: { members: [ana@example.com, bo@example.com], extension: 1500, no_answer: [cy@example.com] }\n";
    run(&env, &company(&mobile, group, "[sales, busy]"));
    let shown = env.ask("dialplan show 1500@acme-internal");
    assert!(shown.contains("hint: PJSIP/1000&PJSIP/1001 "), "{shown}");
    let hint = || env.ask("core show hint 1500");
    assert!(hint().contains("State:Unavailable"), "{}", hint());
    let [ana, bo, cy] = ["1000", "1001", "1002"].map(|number| phone(&env, number));
    [&ana, &bo, &cy].into_iter().for_each(Phone::registers);
    until("the lamp is dark", || hint().contains("State:Idle"));
    let (ringing, _busy) = (ana.rings(), [bo.is_busy(), cy.is_busy()]);
    let call = Phone::at(&env, "127.0.0.2").delivering_in_vain("486", "+4917099999", DID);
    until("the lamp blinks", || hint().contains("State:Ringing"));
    ana.turns_away(&ringing);
    call.ends_well();
    until("the lamp is dark again", || hint().contains("State:Idle"));
    nothing_in_the_log(&env);
}

/// A mailbox that answers would take the call from all others.
#[test]
fn an_outside_number_gets_the_call_only_if_1_is_pressed_there() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let groups = "  sales: { members: [ana@example.com, \"+491701234567\"], time: 30s, trunk: mobile }\n";
    let file = company(&mobile, groups, "[sales, busy]");
    run(&env, &file);
    let carrier = Phone::at(&env, "127.0.0.2");
    let ana = phone(&env, "1000");
    ana.registers();

    // The mailbox answers and hangs up. Ana rings on, and turns the call away.
    let (ringing, mailbox) = (ana.rings(), mobile.picks_up_late(None, Some(Duration::from_secs(2))));
    let call = carrier.delivering_in_vain("486", "+4917099999", DID);
    rings(&ringing);
    until("the mailbox is called", || mailbox.log().contains("INVITE "));
    let log = mailbox.unplug();
    assert!(log.starts_with("INVITE sip:+491701234567@") && log.contains(&format!("From: <sip:{DID}@")), "{log}");
    ana.turns_away(&ringing);
    call.ends_well();
    ringing.unplug();

    // A person answers and presses 1: Ana is told that another one has the call.
    let (ringing, person) = (ana.is_let_go(), mobile.picks_up_late(Some('1'), None));
    carrier.delivers("+4917099999", DID);
    assert!(ringing.unplug().contains(ELSEWHERE));
    assert_eq!(person.unplug().lines().count(), 1);

    // Any other key is none.
    let (ringing, person) = (ana.rings(), mobile.picks_up_late(Some('2'), None));
    let call = carrier.delivering_in_vain("486", "+4917099999", DID);
    rings(&ringing);
    person.unplug();
    ana.turns_away(&ringing);
    call.ends_well();
    // Asterisk itself warns of a callee who hangs up while the prompt is played.
    let warned = asterisk_log(&env);
    let complaints: Vec<&str> =
        warned.lines().filter(|line| line.contains("WARNING[") || line.contains("ERROR[")).collect();
    assert!(complaints.len() == 1 && complaints[0].contains("Abnormal 'Gosub(acme-confirm"), "{complaints:?}");
}

/// Whoever becomes a member meanwhile: the call goes on with those behind the group.
#[test]
fn a_call_that_rings_goes_on_when_the_members_change() {
    let env = TestEnv::bare_with_asterisk();
    let mobile = Phone::at(&env, "127.0.0.1");
    let group = |members: &str| format!("  sales: {{ members: [{members}], time: 60s, no_answer: [desk] }}\n");
    let both = "ana@example.com, cy@example.com";
    let ana = phone(&env, "1000");
    for (before, after) in [("ana@example.com", both), (both, "ana@example.com")] {
        run(&env, &company(&mobile, &group(before), "[sales, busy]"));
        ana.registers();
        let (ringing, answering) = (ana.rings(), mobile.picks_up());
        let call = Phone::at(&env, "127.0.0.2").delivering("+4917099999", DID);
        rings(&ringing);
        run(&env, &company(&mobile, &group(after), "[sales, busy]"));
        ana.turns_away(&ringing);
        call.ends_well();
        let log = answering.unplug();
        assert!(log.starts_with("INVITE sip:+4930555001@"), "{before} -> {after}: {log}");
        assert_eq!(ringing.unplug().matches("INVITE").count(), 1);
    }
    nothing_in_the_log(&env);
}
