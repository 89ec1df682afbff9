//! Numbers: several ranges, what is left to the operator's contexts, and emergency numbers.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, desired, tool},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

fn with(extensions: &str, users: &[&str]) -> String {
    desired(users).replace("users:", &format!("extensions: {{ {extensions} }}\nusers:"))
}

/// Runs a call through the phones' context as `channel originate` does, and tells whose step it came to
/// first: the log names the context of the call, also for steps of an included one.
fn dialled(env: &TestEnv, number: &str) -> &'static str {
    let log = || fs::read_to_string(env.path("asterisk/log/full")).unwrap();
    let before = log().len();
    env.ask(&format!("channel originate Local/{number}@acme-internal application Wait 1"));
    let until = Instant::now() + Duration::from_secs(20);
    let first = format!("Executing [{number}@acme-internal:1] ");
    loop {
        let log = log();
        match log[before..].lines().find_map(|line| line.split_once(&first)) {
            Some((_, step)) if step.starts_with("Answer(") => return "the operator's",
            Some((_, step)) if step.contains("acme-count") => return "ours",
            step => assert!(step.is_none() && Instant::now() < until, "{number} went nowhere:\n{}", &log[before..]),
        }
        thread::yield_now();
    }
}

/// A range of three digits took 112 from every phone: its call ended as one to a number that no user has.
#[test]
fn emergency_and_reserved_numbers_inside_the_range_reach_the_operators_contexts() {
    let env = TestEnv::with_asterisk();
    let extensions = fs::read_to_string(env.etc("extensions.conf")).unwrap();
    let outbound = "[outbound]\nexten => 190,1,Answer()\n same => n,Wait(1)\n same => n,Hangup()\n";
    fs::write(env.etc("extensions.conf"), extensions.replace("[outbound]\n", outbound)).unwrap();
    env.ask("core set verbose 3");
    let file = |users: &[&str]| {
        with("range: 100-199, reserved: [110, 112, 190]", users) + "dialplan: { include: [outbound] }\n"
    };
    env.write("pbx.yaml", &file(&[ANA, BO]));
    env.run("apply").expect(0);
    assert_eq!(dialled(&env, "112"), "the operator's");
    assert_eq!(dialled(&env, "190"), "the operator's");
    assert_eq!(dialled(&env, "101"), "ours", "a number that a user has rings the phone");
    let ana = Phone::of(&env, "ana@example.com");
    ana.reaches("112");
    ana.is_told("480", "101");
    ana.is_told("404", "111");
    let hints = env.ask("core show hints");
    assert!(hints.contains("_11[13-9]@acme-internal"), "{hints}");
    nothing_in_the_log(&env);
}

/// Which users there are never changes the dialplan, with one exception: a number that only a pin gives.
#[test]
fn only_a_pin_to_a_number_left_out_reloads_the_dialplan() {
    let env = TestEnv::with_asterisk();
    let file = |users: &[&str]| with("range: 100-199, reserved: [190]", users) + "dialplan: { include: [outbound] }\n";
    env.write("pbx.yaml", &file(&[ANA]));
    env.run("apply").expect(0);
    let plan = |users: &[&str]| {
        env.write("pbx.yaml", &file(users));
        env.run("plan").expect(0).stdout
    };
    let more = plan(&[ANA, BO]);
    assert!(!more.contains("generated_routing.conf") && !more.contains("the dialplan:"), "{more}");

    let door = "email: door@example.com, name: Door, extension: 190";
    let pinned = plan(&[ANA, door]);
    assert!(
        pinned.contains("190 enters the dialplan: phones that dial it no longer reach the operator's contexts"),
        "{pinned}"
    );
    assert!(pinned.contains("+exten => _1[02-9]X,1,"), "{pinned}");
    env.run("apply").expect(0);
    assert!(env.ask("dialplan show 190@acme-internal").contains("'_1[02-9]X'"));

    let freed = plan(&[ANA]);
    assert!(freed.contains("190 leaves the dialplan: phones that dial it reach the operator's contexts"), "{freed}");
    env.run("apply").expect(0);
    let show = env.ask("dialplan show 190@acme-internal");
    assert!(!show.contains("acme-ring"), "{show}");
}

#[test]
fn ranges_are_filled_in_their_order_and_the_dialplan_holds_nothing_between_them() {
    let env = TestEnv::with_asterisk();
    let file = |users: &[&str]| with("range: [2000-2001, 100-102], reserved: [101]", users);
    let user = |n: usize| format!("email: u{n}@example.com, name: U");
    let users: Vec<String> = (0..4).map(user).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    env.write("pbx.yaml", &file(&users));
    env.run("apply").expect(0);
    let listed = env.run("users").expect(0).stdout;
    let numbers: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(numbers.join(" "), "100 102 2000 2001", "{listed}");
    for (number, known) in
        [("99", false), ("100", true), ("101", false), ("103", false), ("1999", false), ("2001", true)]
    {
        let show = env.ask(&format!("dialplan show {number}@acme-internal"));
        assert_eq!(show.contains("acme-ring"), known, "{number}: {show}");
    }
    let status = env.run("status").expect(0).stdout;
    assert!(
        status.contains("numbers     4 in use, 0 held, 1 reserved, 0 of 5 free (2000-2001, 100-102)\n"),
        "{status}"
    );
    env.write("pbx.yaml", &file(&[&users[..], &[ANA]].concat()));
    let full = env.run("plan").expect(1).text();
    assert!(
        full.contains("the range 2000-2001, 100-102 (5 numbers, 1 of them reserved or for emergencies) is full"),
        "{full}"
    );
}

/// Settings as every earlier version recorded them: one range, no country.
#[test]
fn what_an_earlier_version_recorded_is_read_and_nothing_changes() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    let earlier = serde_json::json!({
        "range": "1000-1999", "reserved": [], "hold_days": 0, "endpoint_names": "extension", "include": [],
        "phones": { "codecs": ["opus", "g722", "ulaw", "alaw"], "devices": 1, "transport": null, "realm": "asterisk" },
    });
    let recorded: String = env.sql().query_one("select settings::text from tenants", &[]).unwrap().get(0);
    let mut recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    for key in ["format_version", "written_by"] {
        assert!(recorded.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    }
    assert_eq!(recorded, earlier, "the form that earlier versions read and wrote, apart from its version");
    env.sql().execute("update tenants set settings = $1::text::jsonb", &[&earlier.to_string()]).unwrap();
    env.run("sync").expect(0);
    let again = env.run("plan --no-asterisk --format json").expect(0).stdout;
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["changes"], serde_json::json!([]), "{again}");
}

#[test]
fn the_table_of_emergency_numbers_is_that_of_the_package() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/emergency.py");
    let output = Command::new(tool("LAB_PHONENUMBERS")).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../../src/model/emergency/table.tsv"));
}
