//! `reconcile check`: pasted secrets, files that are too much, and the schemas. Its messages stand in `tests/scenarios`.

use std::time::{Duration, Instant};

use super::support::{Outcome, TestEnv, desired};

fn check(text: impl AsRef<[u8]>) -> Outcome {
    let env = TestEnv::embedded();
    std::fs::write(env.path("work/pbx.yaml"), text).unwrap();
    env.run("check")
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

/// A secret that was pasted into the file is never quoted, if it is a number either.
#[test]
fn a_secret_that_is_a_number_is_not_quoted() {
    for source in ["{ env: 4711471147 }", "{ file: +4711471147 }", "4711471147", "[4711471147]"] {
        let outcome = check(desired(&[&format!("email: ana@example.com, name: Ana, secret: {source}")])).expect(65);
        assert!(!outcome.text().contains("4711"), "{}", outcome.text());
    }
}

/// Other programs' words for a secret, too.
#[test]
fn values_under_any_usual_word_for_a_secret_are_starred_out() {
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

/// A file that grows without end when its aliases are followed, or nests without end, is refused
/// in bounded time and memory.
#[test]
fn bombs_are_rejected_quickly() {
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
    let numbers = env.run("schema numbers").expect(0).stdout;
    assert!(numbers == include_str!("../../schema/numbers.schema.json"), "run: reconcile schema numbers");
    let import = env.run("schema import").expect(0).stdout;
    assert!(import == include_str!("../../schema/import.schema.json"), "run: reconcile schema import");
    assert!(plan == include_str!("../../schema/plan.schema.json"), "run: reconcile schema plan");
    let status = env.run("schema status").expect(0).stdout;
    assert!(status == include_str!("../../schema/status.schema.json"), "run: reconcile schema status");
    let doctor = env.run("schema doctor").expect(0).stdout;
    assert!(doctor == include_str!("../../schema/doctor.schema.json"), "run: reconcile schema doctor");
    let backup = env.run("schema backup").expect(0).stdout;
    assert!(backup == include_str!("../../schema/backup.schema.json"), "run: reconcile schema backup");
    let recorded = env.run("schema recorded").expect(0).stdout;
    assert!(recorded == include_str!("../../schema/recorded.schema.json"), "run: reconcile schema recorded");
    let openapi = env.run("schema openapi").expect(0).stdout;
    assert!(openapi == include_str!("../../schema/openapi.json"), "run: reconcile schema openapi");
}
