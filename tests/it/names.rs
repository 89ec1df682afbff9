//! What the operator owns and a desired state only names must exist: contexts and transports. Asterisk
//! takes a misspelled one with "success", and then nobody can dial 112.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    serve::server::{Serve, token},
    sipp::Phone,
    support::TestEnv,
};

const USERS: &str = "users:\n  - email: ana.silva@example.com\n    name: Ana Silva\n";

/// A desired state with these lines above its users, which begin in line 3.
fn desired(lines: &str) -> String {
    format!("version: 1\ntenant: acme\n{lines}{USERS}")
}

/// Fails unless an apply, a plan and the API stop at the rail before anything moves, with these words.
#[track_caller]
fn is_stopped(env: &TestEnv, words: &str, hint: &str) {
    let before = env.files();
    let stopped = env.run("apply").expect(3);
    let said = format!("error[rail-missing-names]: {words}\nhint: {hint}");
    assert!(stopped.stderr.contains(&said), "{said}\n{}", stopped.text());
    let plan = env.run("plan --detailed-exitcode").expect(3);
    assert!(plan.stderr.contains(&said), "{}", plan.text());
    env.run("plan").expect(0);
    let json: serde_json::Value = serde_json::from_str(&env.run("plan --format json").stdout).unwrap();
    assert_eq!(json["rails"][0]["rail"], "missing-names", "{json}");
    assert_eq!(env.files(), before);
    let users: i64 = env.sql().query_one("select count(*) from users", &[]).map_or(0, |row| row.get(0));
    assert_eq!(users, 0, "nothing is recorded");
}

#[test]
fn an_include_that_asterisk_does_not_have_stops_an_apply_before_anything_moves() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired("dialplan: { include: [outbond] }\n"));
    is_stopped(
        &env,
        "Asterisk does not have the context `outbond`, which `dialplan.include` names in pbx.yaml:3 \
         (did you mean `outbound`? Asterisk has `outbound`, `parkedcalls`)",
        "correct the name, or define the context `outbond` in Asterisk; until then phones cannot dial out \
         through it, 112 included; if this is intended: --allow missing-names=1",
    );

    // Whoever means it passes it once; afterwards each command still says so.
    env.run("apply --allow missing-names=1").expect(0);
    env.run("apply").expect(3);
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    let finding = "running     Asterisk does not have the context `outbond`, which `dialplan.include` names in \
        pbx.yaml:3 (did you mean `outbound`?";
    assert!(status.contains(finding), "{status}");
    let report = token(&env, "ci", "apply");
    let serve = Serve::start(&env, "--no-webhook");
    let client = serve.client(&report);
    let plan = client.apply("?dry_run=true").expect(200).json();
    assert_eq!(plan["rails"][0]["rail"], "missing-names", "{plan}");
    let stopped = client.apply("").expect(422);
    assert_eq!(stopped.error(), "RailStopped", "{}", stopped.text);

    // The right name passes, and 112 can be dialled.
    env.write("pbx.yaml", &desired("dialplan: { include: [outbound] }\n"));
    env.run("apply").expect(0);
    env.run("status --detailed-exitcode").expect(0);
    let ana = Phone::of(&env, "ana.silva@example.com");
    ana.registers();
    ana.reaches("112");
}

#[test]
fn a_transport_that_asterisk_does_not_have_stops_an_apply_before_anything_moves() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired("phones: { transport: transport-tsl }\n"));
    is_stopped(
        &env,
        "Asterisk does not have the transport `transport-tsl`, which `phones.transport` names in pbx.yaml:3 \
         (did you mean `transport-udp`? Asterisk has `transport-udp`)",
        "correct the name, or define the transport `transport-tsl` in Asterisk; until then calls over it fail; \
         if this is intended: --allow missing-names=1",
    );
    let own = desired("") + "    phone: { transport: wss }\n";
    env.write("pbx.yaml", &own);
    is_stopped(
        &env,
        "Asterisk does not have the transport `wss`, which `phone.transport` of `ana.silva@example.com` names in \
         pbx.yaml:6 (Asterisk has `transport-udp`)",
        "correct the name",
    );
    env.write("pbx.yaml", &own.replace("wss", "transport-udp"));
    env.run("apply").expect(0);
}

#[test]
fn names_are_counted_together_and_each_has_its_line() {
    let env = TestEnv::with_asterisk();
    env.write(
        "pbx.yaml",
        &desired("dialplan:\n  include:\n    - nosuch\n    - outbound\nphones: { transport: tls }\n"),
    );
    let stopped = env.run("apply --allow missing-names=1").expect(3).stderr;
    for words in ["names in pbx.yaml:5 (", "names in pbx.yaml:7 (", "--allow missing-names=2"] {
        assert!(stopped.contains(words), "{words}: {stopped}");
    }
    env.run("apply --allow missing-names=2").expect(0);
}

/// The operator has written the context and not reloaded yet.
#[test]
fn a_context_that_asterisk_has_not_loaded_yet_is_reported_as_not_loaded() {
    let env = TestEnv::with_asterisk();
    let conf = env.etc("extensions.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, operators.clone() + "\n[premium]\nexten => _9X.,1,Hangup()\n").unwrap();
    let line = operators.lines().count() + 2;
    env.write("pbx.yaml", &desired("dialplan: { include: [premium] }\n"));
    is_stopped(
        &env,
        &format!(
            "Asterisk does not have the context `premium`, which `dialplan.include` names in pbx.yaml:3 \
             (extensions.conf:{line} defines it, but Asterisk has not loaded that line)"
        ),
        "run `asterisk -rx 'dialplan reload'` to load it; until then phones cannot dial out through it, 112 included",
    );
    env.ask("dialplan reload");
    env.run("apply").expect(0);
}

/// A client that may not ask for them: an apply goes on, and says what it did not check.
#[test]
fn names_that_asterisk_may_not_be_asked_for_are_unchecked() {
    let mut env = TestEnv::with_asterisk();
    let client = env.path("narrow");
    let script = format!(
        "#!/bin/sh\ncase $2 in 'dialplan show outbound'|'pjsip show transport '*) echo \"You do not have permissions to \
         run '$2' command\"; exit 0;; esac\nexec {} \"$@\"\n",
        env.path("asterisk/bin/asterisk").display()
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", client.to_str().unwrap());
    env.write("pbx.yaml", &desired("dialplan: { include: [outbound] }\nphones: { transport: transport-udp }\n"));
    let plan = env.run("plan --detailed-exitcode").expect(2).stdout;
    for words in [
        "unchecked: whether the context `outbound` exists: Asterisk does not answer `dialplan show outbound`\n",
        "unchecked: whether the transport `transport-udp` exists: Asterisk does not answer \
         `pjsip show transport transport-udp`\n",
    ] {
        assert!(plan.contains(words), "{plan}");
    }
    let applied = env.run("apply").expect(0);
    assert!(applied.stderr.contains("warning: whether the context `outbound` exists"), "{}", applied.text());
    let status = env.run("status --detailed-exitcode").expect(0).stdout;
    assert!(status.contains("whether the context `outbound` exists"), "{status}");
}

#[test]
fn a_plan_says_that_phones_cannot_dial_out() {
    let env = TestEnv::new();
    let note = |cause: &str| {
        format!("note: {cause}: phones can only call each other, and dial no outside or emergency number (112)\n")
    };
    env.write("pbx.yaml", &desired(""));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains(&note("there is no `dialplan.include`")), "{plan}");
    env.write("pbx.yaml", &desired("dialplan: { include: [outbound] }\n"));
    let plan = env.run("sync").expect(0).stdout;
    assert!(!plan.contains("phones can only call each other"), "{plan}");
    env.write("pbx.yaml", &desired(""));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains(&note("the last `dialplan.include` is removed")), "{plan}");
}

/// Phones that cannot dial 112 were noted after the apply only, and never by `status`.
#[test]
fn emergency_numbers_that_no_phone_can_dial_are_noted_from_the_first_plan_on() {
    let env = TestEnv::with_asterisk();
    let words =
        |numbers: &str| format!("note: phones cannot dial {numbers}: no context of `dialplan.include` matches\n");
    let both = words("`110`, `112`");
    env.write("pbx.yaml", &desired("country: DE\ndialplan: { include: [parkedcalls] }\n"));
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains(&both), "{plan}");
    let applied = env.run("apply").expect(0);
    assert!(applied.stdout.contains(&both), "{}", applied.text());
    let plan = env.run("plan --detailed-exitcode").expect(0).stdout;
    assert!(plan.contains(&both), "{plan}");

    // It is a note: what runs is what was applied.
    let status = env.run("status --detailed-exitcode").expect(0).stdout;
    assert!(status.contains(&format!("running     in step with the files\n            {both}")), "{status}");
    let json: serde_json::Value = serde_json::from_str(&env.run("status --format json").expect(0).stdout).unwrap();
    assert_eq!(json["running"]["in_step"], true, "{json}");
    assert_eq!(format!("note: {}\n", json["running"]["notes"][0].as_str().unwrap()), both);

    // A context that is still to be included is asked all the same. The lab's has 112 and not 110.
    env.write("pbx.yaml", &desired("country: DE\ndialplan: { include: [parkedcalls, outbound] }\n"));
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains(&words("`110`")), "{plan}");
    // A number of a user can be dialled.
    let pinned = desired("country: DE\nextensions: { range: 100-999 }\ndialplan: { include: [outbound] }\n")
        + "    extension: 110\n";
    env.write("pbx.yaml", &pinned);
    let plan = env.run("plan").expect(0).stdout;
    assert!(!plan.contains("phones cannot dial"), "{plan}");
    // 000 cannot be an extension, and is what phones in Australia dial.
    env.write("pbx.yaml", &desired("country: AU\ndialplan: { include: [outbound] }\n"));
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains(&words("`000`, `106`")), "{plan}");

    // Nothing is included: one note is enough, and later plans and status say it too.
    env.write("pbx.yaml", &desired("country: DE\n"));
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains("phones can only call each other") && !plan.contains("phones cannot dial"), "{plan}");
    env.run("apply").expect(0);
    let words = "note: phones cannot dial `110`, `112`: there is no `dialplan.include`\n";
    for command in ["plan", "status"] {
        let said = env.run(command).expect(0).stdout;
        assert!(said.contains(words), "{said}");
    }
}

/// Phones in a context of the operator's that has no emergency number were not noted.
#[test]
fn emergency_numbers_that_a_phone_context_lacks_are_noted() {
    let env = TestEnv::with_asterisk();
    let phone = |context: &str| format!("    phone: {{ context: {context} }}\n");
    // The lab's `outbound` has 112 and not 110. No phone of ours dials in our context: its includes do not matter.
    env.write("pbx.yaml", &(desired("country: DE\ndialplan: { include: [parkedcalls] }\n") + &phone("parkedcalls")));
    let note = "note: phones with `phone.context: parkedcalls` cannot dial `110`, `112`\n";
    let applied = env.run("apply").expect(0).stdout;
    assert!(applied.contains(note) && !applied.contains("no context of `dialplan.include`"), "{applied}");
    for command in ["plan", "status"] {
        let said = env.run(command).expect(0).stdout;
        assert!(said.contains(note), "{said}");
    }
    // Users who have the number are not reached from there.
    let pinned = desired("country: DE\nextensions: { range: 100-999 }\n") + "    extension: 110\n" + &phone("outbound");
    env.write("pbx.yaml", &pinned);
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains("note: phones with `phone.context: outbound` cannot dial `110`\n"), "{plan}");
}
