//! `reconcile status`, `history` and `secret rotate`: where each stage stands, who moved it, and a
//! new secret on its way.

use std::fs;

use super::{
    serve::server::{Serve, token},
    sipp::Phone,
    support::{Outcome, TestEnv, desired, until},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// What differs from run to run.
const FILTERS: [(&str, &str); 4] = [
    (r"postgres://\S+", "[url]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
    (r"\b[0-9a-f]{32,64}\b", "[hash]"),
    (r"\d+ ms", "[ms]"),
];

fn told(outcome: &Outcome) -> String {
    outcome.text()
}

macro_rules! snapshot {
    ($outcome:expr) => {
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(told(&$outcome)) });
    };
}

#[test]
fn each_stage_is_shown_beside_the_one_before_it() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    snapshot!(env.run("status --detailed-exitcode").expect(2));
    env.run("apply").expect(0);
    snapshot!(env.run("status --detailed-exitcode").expect(0));

    // The file is ahead of the rows.
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let behind = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(behind.contains("recorded    behind the file: 1 to create; see `reconcile plan`\n"), "{behind}");
    assert!(behind.contains("rendered    in step with what is recorded\n"), "{behind}");

    // The rows are ahead of the files.
    env.run("sync").expect(0);
    snapshot!(env.run("status --detailed-exitcode").expect(2));

    // The files are ahead of Asterisk.
    env.run("apply --no-reload").expect(0);
    let behind = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(behind.contains("running     res_pjsip runs another generation of the endpoint file ("), "{behind}");
    env.run("apply").expect(0);
    env.run("status --detailed-exitcode").expect(0);
}

#[test]
fn drift_is_found() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let good = env.endpoints("acme");

    // A hand edited the file.
    fs::write(&path, good.replace("\"Ana\"", "\"Mallory\"")).unwrap();
    snapshot!(env.run("status --detailed-exitcode").expect(2));
    fs::write(&path, &good).unwrap();

    // The operator's include line is gone; Asterisk has not noticed yet.
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, operators.replace("#tryinclude pjsip.d", ";tryinclude pjsip.d")).unwrap();
    let gone = env.run("status --detailed-exitcode").expect(2).stdout;
    let words = "running     Asterisk does not include the generated file: add `#tryinclude pjsip.d/*/generated_endpoints.conf` in `pjsip.conf`\n";
    assert!(gone.contains(words), "{gone}");

    // Now it has.
    env.ask("module reload res_pjsip.so");
    let gone = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(gone.contains("            res_pjsip runs no generation of the endpoint file\n"), "{gone}");
    assert!(gone.contains("            endpoints are missing in the running Asterisk: `1000`, `1001`\n"), "{gone}");
    fs::write(&conf, operators).unwrap();
    env.ask("module reload res_pjsip.so");
    env.run("status --detailed-exitcode").expect(0);
}

#[test]
fn an_asterisk_that_does_not_run_is_drift_unless_it_was_not_to_be_asked() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    let silent = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(silent.contains("running     cannot run `/nowhere/asterisk`: No such file or directory"), "{silent}");
    let left = env.run("status --no-asterisk --detailed-exitcode").expect(0).stdout;
    assert!(left.contains("running     not asked (--no-asterisk)\n"), "{left}");
}

#[test]
fn registered_phones_are_counted_and_listed_when_asked() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let contact = r#"{\"uri\":\"sip:1001@127.0.0.1:9\",\"expiration_time\":\"4000000000\",\"endpoint\":\"1001\"}"#;
    env.ask(&format!("database put registrar/contact \"1001;@0123456789abcdef0123456789abcdef\" \"{contact}\""));
    let status = env.run("status --registrations").expect(0).stdout;
    assert!(
        status.contains(
            "registered  1 of 2 phones, 1 not probed yet\n            1000  ana@example.com  0 contacts\n            1001  bo@example.com  1 contact\n"
        ),
        "{status}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&env.run("status --registrations --format json").stdout).unwrap();
    assert_eq!(json["registrations"], serde_json::json!({ "ana@example.com": 0, "bo@example.com": 1 }));
    assert_eq!((&json["in_step"], &json["registered"]), (&true.into(), &1.into()));
}

#[test]
fn numbers_in_use_on_hold_reserved_and_free_are_counted() {
    let env = TestEnv::new();
    let file = |users: &[&str]| {
        desired(users).replace("users:", "extensions: { range: 1000-1009, reserved: [1005, 1000], hold: 30d }\nusers:")
    };
    env.write("pbx.yaml", &file(&[ANA, BO, "email: pia@example.com, name: Pia, extension: 1005"]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &file(&[ANA, "email: pia@example.com, name: Pia, extension: 1005"]));
    env.run("sync").expect(0);
    let status = env.run("status --no-asterisk").expect(0).stdout;
    assert!(status.contains("numbers     2 in use, 1 held, 1 reserved, 6 of 10 free (1000-1009)\n"), "{status}");
}

#[test]
fn status_moves_nothing_and_needs_no_file_where_the_tenant_is_named() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    fs::remove_file(env.path("work/pbx.yaml")).unwrap();
    let (dump, files) = (env.dump(), env.files());
    let status = env.run("status --tenant acme --detailed-exitcode").expect(0).stdout;
    assert!(status.contains("recorded    not compared with a file (--tenant)\n"), "{status}");
    assert_eq!((env.dump(), env.files()), (dump, files));
}

/// The marks and names are as they were: nothing but the operator's file shows it.
#[test]
fn a_section_of_the_operator_that_changes_one_of_ours_is_drift_with_its_line() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let edits = [
        ("pjsip.conf", "\n[1000](+)\ncontext = elsewhere\n", "changes `1000`, which reconcile generates: `context`"),
        ("extensions.conf", "\n[acme-internal]\nexten => 112,1,Hangup()\n", "changes `acme-internal`, which"),
    ];
    for (file, section, words) in edits {
        let conf = env.etc(file);
        let operators = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, operators.clone() + section).unwrap();
        env.ask(if file == "pjsip.conf" { "module reload res_pjsip.so" } else { "dialplan reload" });
        let status = env.run("status --detailed-exitcode").expect(2).stdout;
        let place = format!("{file}:{}", operators.lines().count() + 2);
        assert!(status.contains(&format!("running     {place} {words}")), "{status}");
        fs::write(&conf, operators).unwrap();
    }
    // A section of the operator's own is none of ours.
    let conf = env.etc("pjsip.conf");
    fs::write(&conf, fs::read_to_string(&conf).unwrap() + "\n[his]\ntype = aor\n[his](+)\nmax_contacts = 1\n").unwrap();
    env.run("status --detailed-exitcode").expect(0);
}

/// A phone that lost its network is registered until its registration expires.
#[test]
fn a_registered_phone_that_does_not_answer_is_reported() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    Phone::of(&env, "ana@example.com").registers();
    // By itself it probes within a minute.
    env.ask("pjsip qualify 1000");
    until("Asterisk has probed it in vain", || {
        env.run("status").expect(0).stdout.contains("registered  1 of 2 phones, 1 unreachable\n")
    });
    let status = env.run("status --registrations --detailed-exitcode").expect(0).stdout;
    assert!(status.contains("            1000  ana@example.com  1 contact, unreachable\n"), "{status}");
    let json: serde_json::Value = serde_json::from_str(&env.run("status --format json").stdout).unwrap();
    assert_eq!((&json["registered"], &json["unreachable"], &json["unprobed"]), (&1.into(), &1.into(), &0.into()));
}

#[test]
fn a_trunk_whose_registration_is_rejected_is_reported_beside_inbound_calls() {
    let mut env = TestEnv::with_asterisk();
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    let carrier = Phone::at(&env, "127.0.0.1");
    let host = carrier.address();
    let trunk = format!(
        "trunks:\n  carrier: {{ host: \"{host}\", identify: [203.0.113.9], username: acme, \
         secret: {{ env: CARRIER_SECRET }}, realm: carrier.example, register: true }}\n\
         default_route: [ana@example.com]\n"
    );
    env.write("pbx.yaml", &(desired(&[ANA]) + &trunk));
    let refuses = carrier.refuses_registrations();
    env.run("apply").expect(0);
    let rejected = "trunk `carrier` is Rejected: calls to its numbers do not arrive";
    until("the carrier has refused", || env.run("status").expect(0).stdout.contains(rejected));
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(
        status.contains(
            "inbound     0 routes, 0 queues, 0 menus, 0 rooms, 0 groups, 0 dialers, 1 trunk: some calls over trunks do not arrive\n"
        ),
        "{status}"
    );
    let json: serde_json::Value = serde_json::from_str(&env.run("status --format json").stdout).unwrap();
    assert_eq!(json["inbound"]["registrations"], serde_json::json!({ "carrier": "Rejected" }));
    assert_eq!((&json["in_step"], &json["inbound"]["in_step"]), (&false.into(), &false.into()));

    let report = token(&env, "reader", "read");
    let serve = Serve::start(&env, "--no-webhook");
    let reader = serve.client(&report);
    let metric = r#"reconcile_trunk_registered{tenant="acme",host="pbx-test",trunk="carrier"} 0"#;
    until("the look has ended", || reader.get("/metrics").expect(200).text.contains(metric));

    // Once Asterisk is gone, nobody reaches anything by a trunk; the rest of the status is there.
    env.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    let down = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(down.contains("running     cannot run `/nowhere/asterisk`"), "{down}");
    assert!(down.contains("1 trunk: calls over trunks do not arrive while Asterisk does not answer\n"), "{down}");
    assert!(down.contains("rendered    in step with what is recorded\n"), "{down}");
    refuses.unplug();
}

/// A runner at night may not hold the secrets: what was not compared is neither in step nor drift.
#[test]
fn a_declared_secret_that_cannot_be_read_here_is_not_taken_for_in_step() {
    let mut env = TestEnv::with_asterisk();
    let bo = format!("{BO}, secret: {{ env: BO_SIP_SECRET }}");
    env.write("pbx.yaml", &desired(&[ANA, &bo]));
    env.set("BO_SIP_SECRET", "canary-of-bo");
    env.run("apply").expect(0);
    let recorded = |env: &TestEnv, code: i32| -> serde_json::Value {
        let status = env.run("status --detailed-exitcode --format json").expect(code).stdout;
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["recorded"].take()
    };
    assert_eq!(recorded(&env, 0), serde_json::json!({ "in_step": true, "findings": [], "notes": [] }));
    env.unset("BO_SIP_SECRET");
    let unread = "1 declared value cannot be read here, not compared: bo@example.com: the variable BO_SIP_SECRET is \
                  not set (pbx.yaml:5)";
    assert_eq!(recorded(&env, 0), serde_json::json!({ "in_step": null, "findings": [unread], "notes": [] }));
    let status = env.run("status").expect(0).stdout;
    assert!(status.contains(&format!("recorded    {unread}\n")), "{status}");
    // Drift stays drift.
    env.write("pbx.yaml", &desired(&[&bo]));
    let behind = "behind the file: 1 to delete; see `reconcile plan`";
    let unread = unread.replace("pbx.yaml:5", "pbx.yaml:4");
    assert_eq!(recorded(&env, 2), serde_json::json!({ "in_step": false, "findings": [behind, unread], "notes": [] }));
}

#[test]
fn a_tenant_that_is_named_and_not_recorded_is_an_error() {
    let env = TestEnv::new();
    let nosuch = |env: &TestEnv| {
        assert_eq!(
            env.run("status --tenant nosuch --no-asterisk").expect(1).stderr,
            "error: tenant `nosuch` is not recorded\nhint: check the spelling and DATABASE_URL; without --tenant, \
             the file is compared, recorded or not\n"
        );
    };
    nosuch(&env);
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("status --no-asterisk").expect(0);
    env.run("sync").expect(0);
    nosuch(&env);
    env.run("status --tenant acme --no-asterisk").expect(0);
}

#[test]
fn history_lists_who_did_what_and_what_changed() {
    let mut env = TestEnv::with_asterisk();
    snapshot!(env.run("history --tenant acme").expect(1));
    env.set("BO_SIP_SECRET", "canary-of-bo");
    let bo = format!("{BO}, secret: {{ env: BO_SIP_SECRET }}");
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, &bo]));
    env.run("apply").expect(0);
    env.run("secret rotate ana@example.com").expect(0);
    snapshot!(env.run("history").expect(0));
    env.run("apply").expect(0);
    let run = env.run("history 4").expect(0);
    assert!(run.stdout.contains("-password_digest = (sensitive)\n+password_digest = (sensitive)\n"), "{}", run.text());
    let json: serde_json::Value = serde_json::from_str(&env.run("history 2 --format json").expect(0).stdout).unwrap();
    assert_eq!(json["run"]["outcome"], "live");
    assert!(json["run"]["diff"].as_str().unwrap().contains("+[1001](acme-phone)"), "{json}");
    assert_eq!(
        env.run("history 99").expect(1).stderr,
        "error: tenant `acme` has no run 99\nhint: `reconcile history` lists its runs\n"
    );
}

#[test]
fn a_rotated_secret_is_pending_until_the_next_apply() {
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", "canary-of-bo");
    env.write("pbx.yaml", &desired(&[ANA, &format!("{BO}, secret: {{ env: BO_SIP_SECRET }}")]));
    env.run("apply").expect(0);
    let (before, shown) = (env.endpoints("acme"), env.run("secret show ana@example.com").stdout);

    snapshot!(env.run("secret rotate ana@example.com").expect(0));
    assert_eq!(env.endpoints("acme"), before);
    assert_ne!(env.run("secret show ana@example.com").stdout, shown);
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(status.contains("differs from the database"), "{status}");
    let plan = env.run("plan --detailed-exitcode").expect(2).stdout;
    let row = "  ~ ana@example.com  extension 1000; Asterisk gets the recorded login (phone must log in again)\n";
    assert!(plan.contains(row) && !plan.contains("note: "), "{plan}");

    env.run("apply").expect(0);
    let after = env.endpoints("acme");
    // The same holds for a hand in the file, which no row explains.
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let digest = after.lines().find_map(|line| line.strip_prefix("password_digest = ")).unwrap();
    let hex = digest.rsplit(':').next().unwrap();
    fs::write(&path, after.replace(hex, &"0".repeat(hex.len()))).unwrap();
    let plan = env.run("plan").expect(0).stdout;
    let note = "note: the generated file and the database have different digests for 1 phone, though nothing was recorded since the last apply: another host of this database applied the change, an older dump was restored, or the file \
                was edited\n";
    assert!(plan.contains(row) && plan.contains(note), "{plan}");
    fs::write(&path, &after).unwrap();
    let digests = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("password_digest")).take(2).map(str::to_owned).collect()
    };
    assert_ne!(digests(&after)[0], digests(&before)[0]);
    assert_eq!(digests(&after)[1], digests(&before)[1]);
    let password = env.ask("pjsip show auth 1000");
    assert!(password.contains(digests(&after)[0].split("MD5:").nth(1).unwrap()), "{password}");

    snapshot!(env.run("secret rotate bo@example.com").expect(1));
    assert_eq!(
        env.run("secret rotate zoe@example.com").expect(1).stderr,
        "error: `zoe@example.com` is not recorded\nhint: `reconcile users` lists who is recorded\n"
    );
}

/// A database that an earlier version wrote is planned against; the next apply brings it up to date.
#[test]
fn an_earlier_schema_is_read_and_then_migrated() {
    let env = TestEnv::with_asterisk();
    let latest = env.go_back_to_schema(1);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let plan = env.run("plan").expect(0).stdout;
    let note = format!("note: the database has schema version 1; an apply brings it to {latest}\n");
    assert!(plan.contains(&note), "{plan}");
    env.run("status").expect(0);
    let older = env.run("history").expect(1).stderr;
    assert!(older.ends_with("hint: run `reconcile migrate`\n"), "{older}");
    env.run("apply").expect(0);
    env.run("history 1").expect(0);
}

/// One comment line behind the marks was taken for a file that is merely old.
#[test]
fn a_line_behind_the_marks_is_an_edit() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("apply --no-reload").expect(0);
    let status = env.run("status --no-asterisk").expect(0).stdout;
    assert!(!status.contains("behind what is recorded"), "{status}");
    for file in ["pjsip.d/acme/generated_endpoints.conf", "extensions.d/acme/generated_routing.conf"] {
        let path = env.etc(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}; hi\n")).unwrap();
        let status = env.run("status --no-asterisk --detailed-exitcode").expect(2).stdout;
        assert!(status.contains(&format!("{file} was edited by hand or cut short")), "{status}");
        std::fs::write(&path, text).unwrap();
    }
    let unknown = env.run("users --tenant nosuch").expect(1).stderr;
    assert!(unknown.starts_with("error: tenant `nosuch` is not recorded\nhint: "), "{unknown}");
    env.run("plan --allow deletes").expect(64);
}

/// It was said to run "another generation", as if a newer one had been loaded.
#[test]
fn an_edited_file_is_distinguished_from_the_one_that_runs() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    for (file, reader, noun, edit) in [
        ("pjsip.d/acme/generated_endpoints.conf", "res_pjsip", "endpoint file", "[1000](acme-phone)"),
        ("extensions.d/acme/generated_routing.conf", "the dialplan", "routing file", "[acme-internal]"),
    ] {
        let path = env.etc(file);
        let good = fs::read_to_string(&path).unwrap();
        assert!(good.contains(edit), "{good}");
        fs::write(&path, good.replace(edit, &format!("; by hand\n{edit}"))).unwrap();
        let status = env.run("status --detailed-exitcode").expect(2).stdout;
        let words = format!(
            "running     cannot tell whether {reader} runs the {noun} as applied or as edited: both have the same generation mark\n"
        );
        assert!(status.contains(&words), "{status}");
        fs::write(&path, good).unwrap();
    }
    env.run("status --detailed-exitcode").expect(0);
}

#[test]
fn what_is_not_compared_and_how_an_apply_ended_is_said_in_words() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    let status = env.run("status --no-asterisk").expect(0).stdout;
    assert!(status.contains(": run 1, rendered (Asterisk was left alone), "), "{status}");
    env.sql().execute("update apply_audit_log set outcome = 'not_live'", &[]).unwrap();
    env.write("pbx.yaml", &desired(&["email: ana, name: Ana"]));
    let status = env.run("status --no-asterisk --detailed-exitcode").expect(65).stdout;
    let why = "recorded    not compared with the file, which is invalid; `reconcile check` says what is wrong\n";
    assert!(status.contains(why), "{status}");
    let words = ": run 1, not_live (Asterisk took neither the new files nor the last good ones; see `reconcile history \
                 1`), ";
    assert!(status.contains(words), "{status}");
}
