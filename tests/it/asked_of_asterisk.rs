//! Which questions an apply asks Asterisk. Each is a process of its own and costs some 10 ms.

use std::{fs, os::unix::fs::PermissionsExt};

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// A client for Asterisk that notes what it is asked.
fn noting(env: &mut TestEnv) {
    let client = env.path("noting");
    let (asked, real) = (env.path("asked"), env.path("asterisk/bin/asterisk"));
    let script = format!("#!/bin/sh\necho \"$2\" >>{}\nexec {} \"$@\"\n", asked.display(), real.display());
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", client.to_str().unwrap());
}

/// Puts a word in the place of each generation mark.
fn without_marks(command: &str) -> String {
    let marks = command.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 32);
    marks.fold(command.to_owned(), |text, mark| text.replace(mark, "MARK"))
}

/// Runs an apply. Returns what it asked before the reload, and the reload with what it asked afterwards. What is asked
/// at the same time comes in any order.
fn asked_by_apply(env: &TestEnv) -> (Vec<String>, Vec<String>) {
    fs::write(env.path("asked"), "").unwrap();
    env.run("apply").expect(0);
    let asked = fs::read_to_string(env.path("asked")).unwrap();
    let asked: Vec<String> = asked.lines().map(without_marks).collect();
    let reload = asked.iter().position(|command| command.contains("reload")).unwrap_or(asked.len());
    let (before, after) = asked.split_at(reload);
    let sorted = |commands: &[String]| {
        let mut commands = commands.to_vec();
        commands.sort();
        commands
    };
    (sorted(before), sorted(after))
}

const MARKS: [&str; 4] = [
    "dialplan show MARK@acme-generation",
    "pjsip show aor acme-gen-MARK",
    "pjsip show auth acme-gen-MARK",
    "pjsip show endpoint acme-gen-MARK",
];

/// What is asked, in the order of the alphabet.
fn questions(some: &[&[&str]]) -> Vec<String> {
    let mut questions: Vec<String> = some.iter().copied().flatten().map(|command| (*command).to_owned()).collect();
    questions.sort();
    questions
}

#[test]
fn an_apply_of_one_change_asks_what_it_needs_and_no_more() {
    let mut env = TestEnv::with_asterisk();
    noting(&mut env);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);

    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Robert"]));
    let (before, after) = asked_by_apply(&env);
    let survey = ["core waitfullybooted", "core show settings", "core show applications", "core show functions"];
    let under_the_lock = ["database show registrar/contact", "logger show channels"];
    assert_eq!(before, questions(&[&survey, &MARKS, &under_the_lock, &MARKS]));
    let reload = ["module reload res_pjsip.so"];
    let phones = ["pjsip show endpoints like ^(1)[0-9]{3}$"];
    let changed = ["pjsip show endpoint 1001", "pjsip show aor 1001", "pjsip show auth 1001"];
    assert_eq!(after, questions(&[&reload, &MARKS, &phones, &changed]));
}

/// A new phone's name may be taken by the operator, and a module whose file does not run may not be loaded.
#[test]
fn more_is_asked_for_what_is_new_and_for_what_does_not_run() {
    let mut env = TestEnv::with_asterisk();
    noting(&mut env);
    env.write("pbx.yaml", &(desired(&[ANA]) + "dialplan: { include: [outbound] }\n"));
    let (before, _) = asked_by_apply(&env);
    for wanted in [
        "dialplan show outbound",
        "module show like pbx_config",
        "module show like res_pjsip",
        "pjsip list aors like ^(1)[0-9]{3}$",
        "pjsip list auths like ^(1)[0-9]{3}$",
        "pjsip list endpoints like ^(1)[0-9]{3}$",
    ] {
        assert!(before.iter().any(|asked| asked == wanted), "{wanted}: {before:#?}");
    }
    // Nothing is new, and everything runs.
    let (before, after) = asked_by_apply(&env);
    assert!(after.is_empty() && !before.iter().any(|asked| asked.starts_with("pjsip list")), "{before:#?}");
}
