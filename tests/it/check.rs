//! `reconcile check`: every problem in one run, each with its place, code and hint.

use std::time::{Duration, Instant};

use super::support::{Outcome, TestEnv};

fn check(text: impl AsRef<[u8]>) -> Outcome {
    let env = TestEnv::embedded();
    std::fs::write(env.path("work/pbx.yaml"), text).unwrap();
    env.run("check")
}

/// Compares all of the outcome with the reviewed snapshot.
macro_rules! snapshot {
    ($outcome:expr) => {
        insta::assert_snapshot!($outcome.text())
    };
}

#[test]
fn a_valid_file() {
    snapshot!(check(include_str!("../../examples/synergycall/pbx.yaml")));
}

#[test]
fn every_problem_is_found_in_one_run() {
    snapshot!(check(include_str!("every_problem.yaml")));
}

#[test]
fn the_file_is_empty() {
    snapshot!(check(""));
}

#[test]
fn the_file_is_missing() {
    snapshot!(TestEnv::embedded().run("check -f nowhere.yaml"));
}

#[test]
fn the_folder_holds_no_yaml() {
    let env = TestEnv::embedded();
    env.write("phones/readme.txt", "nothing");
    snapshot!(env.run("check -f phones"));
}

#[test]
fn the_file_is_not_utf8() {
    snapshot!(check(b"version: 1\ntenant: acme\nusers:\n  - { email: ana@example.com, name: Z\xe9 }\n"));
}

#[test]
fn the_file_is_not_yaml() {
    snapshot!(check("version: 1\nusers:\n  - email: ana@example.com\n   name: Ana\n"));
}

#[test]
fn the_file_has_two_documents() {
    snapshot!(check("version: 1\n---\ntenant: acme\n"));
}

#[test]
fn another_version_of_the_format() {
    snapshot!(check("version: 2\ntenant: acme\nusers: []\n"));
}

#[test]
fn a_secret_pasted_into_the_file_is_never_shown() {
    let outcome = check(
        "version: 1\ntenant: acme\nusers:\n  - email: ana@example.com\n    name: Ana\n    secret: canary-1\n  \
         - email: bo@example.com\n    name: Bo\n    pasword: canary-2\n  \
         - { email: c@example.com, name: C, secret: { env: 'canary 3' } }\n",
    );
    assert!(!outcome.text().contains("canary"), "{}", outcome.text());
    snapshot!(outcome);
}

/// However the secret got there: the snippet of any problem near it stars it out.
#[test]
fn no_form_of_a_pasted_secret_is_shown() {
    let head = "version: 1\ntenant: acme\nusers:\n  - email: ana@example.com\n    name: Ana\n";
    for tail in [
        "    secret:\n      value: canary\n      other: x\n",
        "    secret:\n      - canary\n",
        "    secret:\n      env:\n        - canary\n",
        "    secret:\n      canary: x\n",
        "    secret:\n      env: X_SECRET\n      env: canary\n",
        "    secret: { env: X_SECRET } canary\n",
        "    secret: !canary x\n",
        "    secret: |\n      canary\n    extension: bad\n",
        "  - { email: bad, name: A, secret: { env: X_SECRET, value: canary } }\n",
        "  - { email: bad, name: A, pasword: canary }\n",
        "  - { email: bad, name: A, Secret: [canary, {a: canary}] }\n",
        "    secret: \"canary\n",
        "    password: canary: x\n",
        "    secret:\n\n\n\n\n\n      a: canary: x\n",
        "    secret: &x canary\n    extension: *x\n",
        "    secret: &x 'canary'\n    name: [*x]\n",
        "    secret: &x [canary]\n    name: *x\n",
        "    secret: &x canary\n    *x : 1\n",
    ] {
        let outcome = check(format!("{head}{tail}")).expect(65);
        let told = outcome.text().replace("the key `canary` is not known here", "");
        assert!(!told.contains("canary"), "{tail}\n{}", outcome.text());
    }
}

/// Other programs' words for a secret, too.
#[test]
fn what_stands_under_any_usual_word_for_a_secret_is_starred_out() {
    for key in [
        "pwd",
        "pw",
        "key",
        "apikey",
        "api_key",
        "sip-key",
        "credential",
        "credentials",
        "auth",
        "passcode",
        "PIN",
        "kennwort",
        "login",
        "anything",
    ] {
        let user = format!("  - {{ email: ana@example.com, name: Ana, {key}: canary }}\n");
        let outcome = check(format!("version: 1\ntenant: acme\nusers:\n{user}")).expect(65);
        assert!(!outcome.text().contains("canary"), "{key}\n{}", outcome.text());
    }
}

/// All pairs were compared before they were counted, which took over a minute.
#[test]
fn forty_thousand_ranges_are_counted_before_they_are_compared() {
    let range = "1000-1001, ".repeat(40_000);
    let outcome =
        check(format!("version: 1\ntenant: acme\nextensions: {{ range: [{range}] }}\nusers: []\n")).expect(65);
    assert!(outcome.text().contains("error[invalid-range]: 40000 ranges are too many"), "{}", outcome.text());
}

#[test]
fn the_place_of_an_alias_is_where_it_is_used() {
    let text = "version: 1\ntenant: acme\nusers:\n  - { email: a@x.com, name: A, extension: &e 1500 }\n  \
        - { email: b@x.com, name: B, extension: *e }\n";
    let outcome = check(text).expect(65);
    assert!(
        outcome.stderr.contains("--> pbx.yaml:5:43") && outcome.stderr.contains("::: pbx.yaml:4:"),
        "{}",
        outcome.text()
    );
}

#[test]
fn a_thousand_files_are_read_in_no_time() {
    let env = TestEnv::embedded();
    env.write(
        "phones/0.yaml",
        "version: 1\ntenant: acme\ncountry: DE\nextensions: { range: 100000-199999 }\nusers: []\n",
    );
    for file in 1..1000 {
        let user = |n| format!("  - {{ email: u{file}x{n}@example.com, name: U }}\n");
        let users: Vec<String> = (0..10).map(user).collect();
        env.write(&format!("phones/{file}.yaml"), &format!("users:\n{}", users.concat()));
    }
    let outcome = env.run("check -f phones").expect(0);
    assert_eq!(outcome.stdout, "phones: valid, 9990 users\n");
}

#[test]
fn files_of_a_folder_are_merged_and_a_key_given_twice_names_both_places() {
    let env = TestEnv::embedded();
    env.write("phones/a.yaml", "version: 1\ntenant: acme\nusers:\n  - { email: ana@example.com, name: Ana }\n");
    env.write("phones/b/c.yml", "extensions: { range: 2000-2999 }\nusers:\n  - { email: bo@example.com, name: Bo }\n");
    env.write("phones/.hidden.yaml", "nonsense");
    snapshot!(env.run("check -f phones"));
    env.write("phones/d.yaml", "tenant: other\nusers:\n  - { email: ANA@example.com, name: Ana }\n");
    let outcome = env.run("check -f phones");
    insta::assert_snapshot!("a_key_given_twice", outcome.text());
}

#[test]
fn problems_as_json() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", "version: 1\ntenant: Acme\nusers: []\n");
    snapshot!(env.run("check --format json"));
}

/// A file that grows without end when its aliases are followed, or nests without end, is refused
/// in bounded time and memory.
#[test]
fn bombs_are_refused_quickly() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        let list = vec![format!("*a{before}"); 10].join(", ");
        aliases = format!("{aliases}a{level}: &a{level} [{list}]\n");
    }
    let merges = "base: &base { a: 1 }\nusers:\n".to_owned() + &"  - { <<: *base }\n".repeat(60_000);
    let bombs =
        [("aliases", aliases), ("lists", "[".repeat(200_000)), ("maps", "{a: ".repeat(200_000)), ("merges", merges)];
    for (name, bomb) in bombs {
        let start = Instant::now();
        let env = TestEnv::embedded();
        env.write("pbx.yaml", &bomb);
        let limited = format!("ulimit -v 1500000; exec {} check", env!("CARGO_BIN_EXE_reconcile"));
        let output =
            std::process::Command::new("bash").args(["-c", &limited]).current_dir(env.path("work")).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{name}: {stderr}");
        assert!(start.elapsed() < Duration::from_secs(30), "{name} took {:?}", start.elapsed());
        assert!(stderr.len() < 100_000, "{name}");
    }
}

#[test]
fn every_key_of_the_schema_is_read_and_every_key_read_is_in_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(&reconcile::desired::schema().unwrap()).unwrap();
    let keys = |definition: &serde_json::Value| -> Vec<String> {
        definition["properties"].as_object().unwrap().keys().cloned().collect()
    };
    // Whatever the reader does not know it reports as `unknown-key`; a value of a wrong type does not.
    let unknown = |text: &str| {
        let loaded = reconcile::desired::load_text("pbx.yaml", text);
        loaded.problems.iter().any(|problem| problem.code == reconcile::model::Code::UnknownKey)
    };
    for key in keys(&schema) {
        assert!(!unknown(&format!("{key}: {{}}\nusers: []")), "{key}");
    }
    for (parent, definition) in
        [("extensions", "Extensions"), ("phones", "Phone"), ("dialplan", "Dialplan"), ("rails", "Rails")]
    {
        for key in keys(&schema["$defs"][definition]) {
            assert!(!unknown(&format!("{parent}: {{ {key}: {{}} }}")), "{parent}.{key}");
        }
    }
    for key in keys(&schema["$defs"]["User"]) {
        assert!(!unknown(&format!("users: [ {{ {key}: {{}} }} ]")), "users.{key}");
    }
    assert!(
        unknown("users: []\ntenant: x\nbogus: 1")
            && unknown("users: [ { bogus: 1 } ]")
            && unknown("rails: { bogus: 1 }")
    );
}

#[test]
fn the_schemas_in_the_repository_are_the_printed_ones() {
    let env = TestEnv::embedded();
    let desired = env.run("schema").expect(0).stdout;
    assert!(desired == include_str!("../../schema/desired-state.schema.json"), "run: reconcile schema");
    let plan = env.run("schema plan").expect(0).stdout;
    assert!(plan == include_str!("../../schema/plan.schema.json"), "run: reconcile schema plan");
    let status = env.run("schema status").expect(0).stdout;
    assert!(status == include_str!("../../schema/status.schema.json"), "run: reconcile schema status");
    let openapi = env.run("schema openapi").expect(0).stdout;
    assert!(openapi == include_str!("../../schema/openapi.json"), "run: reconcile schema openapi");
}

/// Hints that were false, or led into the next error.
#[test]
fn a_hint_leads_out_of_its_error() {
    let env = TestEnv::embedded();
    let head = "version: 1\ntenant: acme\n";
    let users = "users:\n  - { email: jan.new@example.com, name: Jan, previously: jan@example.com }\n  - { email: door@example.com, name: Door }\n";
    for (text, hints, not) in [
        (format!("{head}extensions: {{ hold: 30 }}\nusers: []\n"), &["hint: write it as `30d`"][..], "quotes"),
        (format!("{head}extensions: {{ hold: \"30\" }}\nusers: []\n"), &["hint: write it as `30d`"], "quotes"),
        (format!("{head}phones: {{ codecs: [pcma] }}\nusers: []\n"), &["did you mean `alaw`?"], "cannot speak"),
        (
            format!(
                "{head}{users}trunks: {{ telco: {{ host: 192.0.2.1, register: true, secret: {{ env: T_SECRET }} }} }}\n"
            ),
            &["registers, but has no `username`", "hint: add `username:`"],
            "no `secret`",
        ),
        (
            format!("{head}{users}default_route: [jan@example.com]\n"),
            &["hint: did you mean `jan.new@example.com`?"],
            "declared are",
        ),
        (format!("{head}{users}default_route: [ghost@example.com]\n"), &["declared are: "], "did you mean"),
        (
            format!("{head}{users}default_route: [dor@example.com]\n"),
            &["did you mean `door@example.com`?"],
            "declared are",
        ),
        (
            format!("{head}{users}default_route: [door@exmaple.com]\n"),
            &["did you mean `door@example.com`?"],
            "declared are",
        ),
        (
            format!("{head}{users}default_route: [\"91\"]\n"),
            &["a route names users by their e-mail, not by number"],
            "declared are",
        ),
        (
            format!("{head}country: AQ\nusers: []\n"),
            &["whose emergency numbers are known", "such as `DE`"],
            "did you mean",
        ),
        ("tenant: acme\n".to_owned(), &["add `version: 1`", "the key `users` is missing"], "`tenant` is missing"),
    ] {
        env.write("pbx.yaml", &text);
        let said = env.run("check").expect(65).stderr;
        assert!(hints.iter().all(|hint| said.contains(hint)) && !said.contains(not), "{text}{said}");
    }
}
