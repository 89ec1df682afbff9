//! Queues on the real Asterisk: who is called, who waits, and where a call goes on that no member takes.

use std::time::Duration;

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// How long a caller stays.
const STAYS: Duration = Duration::from_secs(9);

/// A company with a queue, and with a room for each reason to leave it.
fn company(ring: &str, rest: &str) -> String {
    format!(
        "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999 }}\ndialplan: {{ include: [outbound] }}\n\
         public_sip_host: 127.0.0.1\ntrunks: {{ carrier: {{ host: 127.0.0.2 }} }}\n\
         rooms: {{ nobody: {{}}, late: {{}}, crowd: {{}} }}\nqueues:\n  support:\n    extension: 1200\n    \
           members: [ana@example.com, bo@example.com]\n    ring: {ring}\n    empty: [nobody]\n{rest}\
         inbound: [{{ to: \"{DID}\", route: [support] }}]\nusers:\n  \
         - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
         - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n  \
         - {{ email: cy@example.com, name: Cy, extension: 1002 }}\n"
    )
}

fn running(ring: &str, rest: &str) -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &company(ring, rest));
    env.run("apply").expect(0);
    env
}

fn phone(env: &TestEnv, user: &str) -> Phone {
    Phone::of(env, &format!("{user}@example.com"))
}

fn carrier(env: &TestEnv) -> Phone {
    Phone::at(env, "127.0.0.2")
}

/// Waits until the list of the queue says this, in a line about this number or caller.
#[track_caller]
fn queue_says(env: &TestEnv, of: &str, text: &str) {
    until(&format!("{of}: {text}"), || {
        env.ask("queue show acme_support").lines().any(|line| line.contains(of) && line.contains(text))
    });
}

/// Waits until so many are in a room.
#[track_caller]
fn are_in(env: &TestEnv, room: &str, count: usize) {
    let listed = || env.ask(&format!("confbridge list acme_{room}"));
    until(&format!("{count} in {room}"), || {
        listed().lines().filter(|line| line.starts_with("PJSIP/")).count() == count
    });
}

/// Nobody has a phone that is registered: callers do not wait for nobody. Once a phone is there, it rings.
#[test]
fn a_free_member_gets_the_call_and_without_one_a_call_goes_on() {
    let env = running("15s", "");
    let ana = phone(&env, "ana");
    // From outside, from a phone, and from a provider that calls the queue by its name.
    let calls = [
        carrier(&env).delivers_speech("+4917099999", DID, STAYS),
        carrier(&env).delivers_speech("+4917088888", "queue_support", STAYS),
        phone(&env, "cy").calls("1200", STAYS),
    ];
    are_in(&env, "nobody", 3);

    ana.registers();
    let answering = ana.picks_up();
    queue_says(&env, "Local/1000@", "Not in use");
    let call = carrier(&env).delivers_speech("+4917077777", DID, Duration::from_secs(2));
    until("Ana is called", || answering.log().contains("INVITE "));
    let said = answering.log();
    assert!(said.contains("From: \"From Outside\" <sip:+4917077777@"), "{said}");
    call.ends_well();
    queue_says(&env, "Local/1000@", "has taken 1 calls");
    for call in calls {
        call.ends_well();
    }
}

/// Who talks is not called; the next caller waits, through an apply that changes the queue, and is served then.
#[test]
fn a_caller_waits_while_all_members_talk_and_keeps_the_place_through_an_apply() {
    let env = running("15s", "");
    let ana = phone(&env, "ana");
    ana.registers();
    let answering = ana.picks_up();
    queue_says(&env, "Local/1000@", "Not in use");
    let first = carrier(&env).delivers_speech("+4917099999", DID, Duration::from_secs(5));
    queue_says(&env, "Local/1000@", "In use");
    let second = carrier(&env).delivers_speech("+4917088888", DID, Duration::from_secs(30));
    queue_says(&env, "1. ", "PJSIP/acme-trunk-carrier");
    env.write("pbx.yaml", &company("20s", ""));
    let applied = env.run("apply").expect(0).stdout;
    assert!(applied.contains("Live: 1 file written; app_queue reloaded; read back"), "{applied}");
    // A reload of the dialplan alone leaves the members in the sight of the queue.
    env.ask("dialplan reload");
    queue_says(&env, "1. ", "PJSIP/acme-trunk-carrier");
    assert_eq!(answering.log().matches("INVITE ").count(), 1, "who talks is not called");
    first.ends_well();
    until("the second call is taken", || answering.log().matches("INVITE ").count() == 2);
    drop((second, answering));
    nothing_in_the_log(&env);
}

#[test]
fn a_call_goes_on_after_the_timeout_and_while_too_many_wait() {
    let env = running("5s", "    max_callers: 1\n    timeout: { after: 4s, to: [late] }\n    full: [crowd]\n");
    let ana = phone(&env, "ana");
    ana.registers();
    let ringing = ana.rings();
    queue_says(&env, "Local/1000@", "Not in use");
    let first = carrier(&env).delivers_speech("+4917099999", DID, STAYS);
    queue_says(&env, "1. ", "PJSIP/acme-trunk-carrier");
    let second = carrier(&env).delivers_speech("+4917088888", DID, STAYS);
    are_in(&env, "crowd", 1);
    are_in(&env, "late", 1);
    drop((first, second, ringing));
}

/// Two tenants have a queue of one name. A linear queue is another queue.
#[test]
fn each_tenant_has_its_own_queues() {
    let mut env = running("15s", "    strategy: linear\n");
    let other = company("15s", "").replace("tenant: acme", "tenant: bolt\nendpoint_names: tenant-extension");
    let other = other.replace("trunks: { carrier: { host: 127.0.0.2 } }\n", "").replace("inbound: ", "x-inbound: ");
    env.write("bolt.yaml", &other.lines().filter(|line| !line.starts_with("x-inbound")).collect::<Vec<_>>().join("\n"));
    env.set("RECONCILE_FILE", "bolt.yaml");
    env.run("apply").expect(0);
    let listed = env.ask("queue show");
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_once(" has "))
        .map(|(name, _)| name)
        .filter(|name| name.contains('_'))
        .collect();
    assert_eq!(names.len(), 2, "{listed}");
    assert!(names.contains(&"acme_support-linear") && names.contains(&"bolt_support"), "{listed}");
    // Without the queue, its file defines nothing, and Asterisk knows it no more.
    let none: String =
        other.split("queues:").next().unwrap().to_owned() + "users:" + other.split("users:").nth(1).unwrap();
    env.write("bolt.yaml", &none);
    let applied = env.run("apply").expect(0).stdout;
    assert!(!env.ask("queue show").contains("bolt_support"), "{applied}\n{}", env.ask("queue show"));
}

/// A queue of the operator's that has the name of ours, and stands before it.
#[test]
fn an_operators_queue_of_the_same_name_is_found() {
    let env = TestEnv::with_asterisk();
    let own = "[general]\n[acme_support]\nstrategy = ringall\n#tryinclude queues.d/*/generated_queues.conf\n";
    std::fs::write(env.etc("queues.conf"), own).unwrap();
    env.write("pbx.yaml", &company("15s", ""));
    let stopped = env.run("apply").expect(6).stderr;
    assert!(stopped.contains("`member` of `acme_support` has another value"), "{stopped}");
    assert!(env.ask("queue show acme_support").contains("No Members"));
}
