//! The plan says whom it affects: phones, trunks and numbers, counted, also where no row changes.

use std::fs;

use serde_json::{Value, json};

use super::support::{TestEnv, desired};

fn users(count: u32) -> Vec<String> {
    (0..count).map(|n| format!("email: u{n}@example.com, name: User {n}")).collect()
}

/// A file with so many users and further lines before them.
fn file(count: u32, head: &str) -> String {
    let users = users(count);
    let text = desired(&users.iter().map(String::as_str).collect::<Vec<_>>());
    text.replacen("users:", &format!("{head}\nusers:"), 1)
}

fn affected(env: &TestEnv) -> Value {
    let plan = env.run("plan --no-asterisk --format json").expect(0).stdout;
    serde_json::from_str::<Value>(&plan).unwrap()["affected"].clone()
}

fn none() -> Value {
    json!({ "ended": 0, "relogin": 0, "moved": 0, "reread": 0, "dialing": 0, "left_alone": 0, "trunks": 0, "numbers": 0 })
}

fn only(counts: &[(&str, u32)]) -> Value {
    let mut all = none();
    for (key, count) in counts {
        all[*key] = (*count).into();
    }
    all
}

#[test]
fn a_setting_that_reaches_every_phone_says_so_and_is_in_the_history() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &file(8, ""));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &file(8, "phones: { codecs: [alaw] }"));
    let plan = env.run("plan").expect(0).stdout;
    for line in [
        "  ~ phones.codecs  opus,g722,ulaw,alaw -> alaw (reloads 8 phones)\n",
        "Affected: 8 phones are reloaded and stay registered\n",
        "Reload: res_pjsip (1 of 2 files changed); calls and registrations are kept\n",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
    let markdown = env.run("plan --format markdown").expect(0).stdout;
    assert!(markdown.contains("\nAffected: 8 phones are reloaded and stay registered\n"), "{markdown}");
    assert_eq!(affected(&env), only(&[("reread", 8)]));
    env.run("apply").expect(0);
    let list = env.run("history").expect(0).stdout;
    assert!(list.lines().nth(1).unwrap().contains("  live     1 setting (8 phones)  tester"), "{list}");
    let run = env.run("history 2").expect(0).stdout;
    assert!(run.contains("settings 1 setting (8 phones)\n"), "{run}");
    assert!(run.contains("\n~ phones.codecs  opus,g722,ulaw,alaw -> alaw (reloads 8 phones)\n"), "{run}");
}

#[test]
fn another_transport_counts_as_a_login() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &file(8, "phones: { transport: transport-tcp }"));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &file(8, "phones: { transport: transport-udp }"));
    assert_eq!(affected(&env), only(&[("moved", 8)]));
    let stopped = env.run("apply --no-reload").expect(3);
    assert_eq!(
        stopped.stderr,
        "error[rail-relogins]: 8 phones would have to log in again, 8 of them over another transport (allowed 2)\n\
         hint: if this is intended: --allow relogins=8\n"
    );
    let line = "  ~ phones.transport  transport-tcp -> transport-udp (8 phones must register over it)\n";
    assert!(stopped.stdout.contains(line), "{}", stopped.text());
    assert!(!stopped.stdout.contains("calls and registrations are kept"), "{}", stopped.text());
    env.run("sync").expect(3);
    env.run("apply --no-reload --allow relogins=8").expect(0);
}

#[test]
fn what_phones_can_dial_and_who_must_log_in_is_counted_by_setting() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &file(3, "dialplan: { include: [outbound] }"));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &file(3, "phones: { realm: pbx }"));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    for line in [
        "  ~ phones.realm      asterisk -> pbx (3 phones must log in again)\n",
        "  ~ dialplan.include  outbound -> (none) (changes what 3 phones can dial)\n",
        "Affected: 3 phones must log in again\n",
        "; calls in progress and all other registrations are kept\n",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
}

#[test]
fn phones_that_end_and_phones_that_are_renumbered_are_counted_apart() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &file(5, ""));
    env.run("apply --no-reload").expect(0);
    let mut left = users(4);
    left[0] = "email: u0@example.com, name: User 0, extension: 1500".to_owned();
    left[1] = "email: u1@example.com, name: Another".to_owned();
    left.push("email: new@example.com, name: New".to_owned());
    env.write("pbx.yaml", &desired(&left.iter().map(String::as_str).collect::<Vec<_>>()));
    let counts = only(&[("ended", 1), ("relogin", 1), ("reread", 1), ("left_alone", 2)]);
    assert_eq!(affected(&env), counts);
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    let line = "Affected: 1 phone is removed, 1 phone must log in again, 1 phone is reloaded and stays registered, \
                2 phones are unaffected\n";
    assert!(plan.contains(line), "{plan}");
    // Rows move first: the phones that the next apply ends are still those in the file in place.
    env.run("sync").expect(0);
    assert_eq!(affected(&env)["ended"], 1);
    let log = env.run("history 2").expect(0).stdout;
    for line in [
        "\n+ new@example.com  extension 1000 (lowest free)\n",
        "\n- u4@example.com  frees extension 1004\n",
        "\n~ u0@example.com  extension 1000 -> 1500 (phone must log in again)\n",
    ] {
        assert!(log.contains(line), "{log}");
    }
}

#[test]
fn trunks_and_numbers_that_change_are_counted() {
    let env = TestEnv::new();
    let inbound = |host: &str, dialer: &str| {
        format!(
            "trunks: {{ carrier: {{ host: {host} }} }}\n\
             dialers: {{ bot: {{ number: '{dialer}', trunk: carrier }} }}\n\
             inbound: [ {{ to: '+4930111111', route: [bot] }}, {{ to: '+4930222222', route: [u0@example.com] }} ]"
        )
    };
    env.write("pbx.yaml", &file(1, &inbound("198.51.100.7", "+15551234567")));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &file(1, &inbound("198.51.100.8", "+15557654321")));
    assert_eq!(affected(&env), only(&[("trunks", 1), ("numbers", 1), ("left_alone", 1)]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(
        plan.contains(
            "Affected: 1 trunk changes (carrier), calls to 1 public number may be routed differently, 1 phone is unaffected\n"
        ),
        "{plan}"
    );
}

/// A change of `phones.codecs` read "3 phones are read again", and the trunks changed with them.
#[test]
fn trunks_have_the_codecs_and_the_transport_of_the_phones() {
    let env = TestEnv::new();
    let phones = |phones: &str| {
        format!(
            "phones: {{ {phones} }}\ntrunks: {{ carrier: {{ host: 198.51.100.7 }}, backup: {{ host: 198.51.100.8 }} }}"
        )
    };
    env.write("pbx.yaml", &file(1, &phones("codecs: [alaw]")));
    env.run("apply --no-reload").expect(0);
    for changed in ["codecs: [ulaw]", "codecs: [alaw], transport: transport-tcp"] {
        env.write("pbx.yaml", &file(1, &phones(changed)));
        for by in ["plan --no-asterisk", "plan --no-asterisk --asterisk-config-dir /nonexistent"] {
            let plan = env.run(by).expect(0).stdout;
            assert!(plan.contains("2 trunks change (backup, carrier)"), "{by}: {plan}");
        }
    }
}

/// The rule of a number names its group alone, and neither who rings in it nor who is behind it.
#[test]
fn numbers_are_counted_whose_group_rings_others() {
    let env = TestEnv::new();
    let inbound = |member: &str, dialer: &str| {
        format!(
            "trunks: {{ carrier: {{ host: 198.51.100.7 }} }}\n\
             dialers: {{ bot: {{ number: '{dialer}', trunk: carrier }} }}\n\
             groups: {{ sales: {{ members: [u0@example.com, '{member}'], trunk: carrier, no_answer: [bot] }} }}\n\
             inbound: [ {{ to: '+4930111111', route: [sales] }}, {{ to: '+4930222222', route: [u0@example.com] }} ]"
        )
    };
    env.write("pbx.yaml", &file(1, &inbound("+15550000001", "+15551234567")));
    env.run("apply --no-reload").expect(0);
    for changed in [inbound("+15550000002", "+15551234567"), inbound("+15550000002", "+15557654321")] {
        env.write("pbx.yaml", &file(1, &changed));
        assert_eq!(affected(&env), only(&[("numbers", 1), ("left_alone", 1)]));
        // Rows move first: callers still reach what the last apply made so.
        env.run("sync").expect(0);
        assert_eq!(affected(&env), only(&[("numbers", 1), ("left_alone", 1)]));
        env.run("apply --no-reload").expect(0);
        assert_eq!(affected(&env), only(&[("left_alone", 1)]));
    }
}

/// The summary once said of 12 users `12 phones can dial other numbers or contexts, 12 phones are unaffected`.
#[test]
fn a_phone_is_in_one_group_and_one_that_is_made_now_is_in_none() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &file(3, "dialplan: { include: [outbound] }"));
    env.run("apply --no-reload").expect(0);
    let more = file(5, "dialplan: { include: [outbound, parkedcalls] }");
    env.write("pbx.yaml", &more.replacen("name: User 0", "name: Another", 1));
    assert_eq!(affected(&env), only(&[("reread", 1), ("dialing", 2)]));
    // Recorded and not yet applied, as on a second host.
    env.run("sync").expect(0);
    assert_eq!(affected(&env), only(&[("reread", 1), ("dialing", 2)]));
}

/// Asterisk takes the first match, so that the order counts.
#[test]
fn another_order_of_the_operators_contexts_changes_what_phones_can_dial() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &file(2, "dialplan: { include: [outbound, parkedcalls] }"));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &file(2, "dialplan: { include: [parkedcalls, outbound] }"));
    assert_eq!(affected(&env), only(&[("dialing", 2)]));
    env.run("sync").expect(0);
    assert_eq!(affected(&env), only(&[("dialing", 2)]));
}

/// An empty line within a section, as an editor's hand leaves it, hides nothing; comments change nothing.
#[test]
fn edits_by_hand_are_counted_whatever_is_between_them() {
    let env = TestEnv::new();
    let inbound =
        "trunks: { carrier: { host: 198.51.100.7 } }\ninbound: [ { to: '+4930111111', route: [u0@example.com] } ]";
    env.write("pbx.yaml", &file(3, inbound));
    env.run("apply --no-reload").expect(0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let written = fs::read_to_string(&path).unwrap();
    let edit = |text: &str, by: &str| {
        assert!(written.contains(text), "{written}");
        fs::write(&path, written.replacen(text, by, 1)).unwrap();
        affected(&env)
    };
    let template = "[acme-phone](!)\ntype = endpoint\n";
    assert_eq!(edit(template, &format!("{template}\ntransport = other\n")), only(&[("moved", 3)]));
    assert_eq!(edit("aors = 1001\n", "aors = 1001\n\ntransport = other\n"), only(&[("moved", 1), ("left_alone", 2)]));
    assert_eq!(edit("; trunk carrier\n", "; by hand\n; trunk carrier\n"), only(&[("left_alone", 3)]));
}

/// The same of the routing file: how calls arrive and how phones ring, and what phones can dial.
#[test]
fn edits_of_the_dialplan_by_hand_are_counted() {
    let env = TestEnv::new();
    let inbound =
        "trunks: { carrier: { host: 198.51.100.7 } }\ninbound: [ { to: '+4930111111', route: [u0@example.com] } ]";
    env.write("pbx.yaml", &file(3, inbound));
    env.run("apply --no-reload").expect(0);
    let path = env.etc("extensions.d/acme/generated_routing.conf");
    let written = fs::read_to_string(&path).unwrap();
    let edit = |text: &str, by: &str| {
        assert!(written.contains(text), "{written}");
        fs::write(&path, written.replace(text, by)).unwrap();
        affected(&env)
    };
    let of_number = only(&[("numbers", 1), ("left_alone", 3)]);
    assert_eq!(edit("exten => 4930111111,1,", "exten => 04930111111,1,"), of_number);
    assert_eq!(edit(",1(I,30)", ",1(I,3)"), of_number);
    assert_eq!(edit("[acme-ring]\n", "[acme-ring]\nexten => 112,1,Hangup()\n"), only(&[("dialing", 3)]));
    assert_eq!(
        edit("[acme-leg]\n", "[acme-leg]\nexten => 1000,1,Return(rang)\n"),
        only(&[("dialing", 3), ("numbers", 1)])
    );
    assert_eq!(edit("exten => ", "exten = "), only(&[("left_alone", 3)]));
}

/// A number that nobody has is answered by us, or by the operator's contexts.
#[test]
fn another_range_changes_what_phones_can_dial() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &file(3, "extensions: { range: 1000-1999 }"));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &file(3, "extensions: { range: 1000-1499 }"));
    assert_eq!(affected(&env), only(&[("dialing", 3)]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    for line in [
        "extensions.range  1000-1999 -> 1000-1499 (changes what 3 phones can dial)",
        "3 phones can dial other numbers or contexts",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
    env.run("sync").expect(0);
    assert_eq!(affected(&env), only(&[("dialing", 3)]));
}

/// Who is called counts, not the phone's number: it may go to another person.
#[test]
fn a_number_that_rings_another_person_is_counted() {
    let env = TestEnv::new();
    let routes = |first: &str, second: &str| {
        format!(
            "inbound: [ {{ to: '+4930111111', route: [{first}@example.com] }}, \
             {{ to: '+4930222222', route: [{second}@example.com] }} ]"
        )
    };
    let declare = |first: &str, second: &str, routes: &str| {
        let users = [
            format!("email: {first}@example.com, name: A, extension: 1000"),
            format!("email: {second}@example.com, name: B, extension: 1001"),
        ];
        let text = desired(&users.each_ref().map(String::as_str));
        env.write("pbx.yaml", &text.replacen("users:", &format!("{routes}\nusers:"), 1));
    };
    declare("dan", "bo", &routes("dan", "bo"));
    env.run("apply --no-reload").expect(0);
    declare("bo", "dan", &routes("bo", "dan"));
    assert_eq!(affected(&env)["numbers"], 2);
    env.run("sync --allow relogins=2").expect(0);
    assert_eq!(affected(&env)["numbers"], 2);
    let status = env.run("status --no-asterisk").expect(0).stdout;
    assert!(status.contains("calls still use the routes of run 1"), "{status}");
    env.run("apply --no-reload --allow relogins=2").expect(0);
    // A rename reaches the same people.
    let text = fs::read_to_string(env.path("work/pbx.yaml")).unwrap();
    let renamed = text.replace("dan@example.com, name: B", "daniel@example.com, previously: dan@example.com, name: B");
    env.write("pbx.yaml", &renamed.replace("route: [dan@", "route: [daniel@"));
    assert_eq!(affected(&env)["numbers"], 0);
    env.run("sync").expect(0);
    let status = env.run("status --no-asterisk").expect(0).stdout;
    assert!(status.contains("calls use the recorded routes"), "{status}");
}
