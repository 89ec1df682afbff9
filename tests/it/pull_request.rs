//! What the author of a pull request controls is data: it names no file outside of the checkout, quotes none, and
//! costs no more than it is worth.

use std::{fs, os::unix::fs::symlink, process::Command};

use super::support::{KEY, TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";

/// Commands that read the desired state, each with how a refused file ends.
const READERS: [&str; 4] = ["check", "plan --no-asterisk", "trace --to +15550100", "apply"];

#[test]
fn a_desired_state_that_is_a_link_out_of_its_folder_is_rejected_and_quotes_nothing() {
    let env = TestEnv::new();
    env.plant("root-of-all-canaries");
    fs::write(env.path("key"), "root-of-all-canaries\n").unwrap();
    fs::write(env.path("state.yaml"), desired(&[&format!("{ANA}, root-of-all-canaries: 1")])).unwrap();
    fs::create_dir(env.path("elsewhere")).unwrap();
    fs::write(env.path("elsewhere/pbx.yaml"), "root-of-all-canaries: 1\n").unwrap();
    let absolute = env.path("key");
    for target in ["../key", "../state.yaml", absolute.to_str().unwrap()] {
        let _ = fs::remove_file(env.path("work/pbx.yaml"));
        symlink(target, env.path("work/pbx.yaml")).unwrap();
        for command in READERS {
            let outcome = env.run(command).expect(65);
            assert!(outcome.stderr.contains("error[link-outside]: `pbx.yaml` is not read"), "{}", outcome.text());
        }
    }
    // A file in a folder, a folder in the folder, the folder itself, and a folder on the way.
    env.write("phones/a.yaml", &desired(&[ANA]));
    symlink("../../state.yaml", env.path("work/phones/b.yaml")).unwrap();
    let outcome = env.run("check -f phones").expect(65);
    assert!(outcome.stderr.contains("error[link-outside]: `phones/b.yaml` is not read"), "{}", outcome.text());
    fs::remove_file(env.path("work/phones/b.yaml")).unwrap();
    symlink("../../elsewhere", env.path("work/phones/more")).unwrap();
    env.run("check -f phones").expect(0);
    symlink("../elsewhere", env.path("work/linked")).unwrap();
    for path in ["linked", "linked/pbx.yaml", "phones/more/pbx.yaml"] {
        let outcome = env.run(&format!("check -f {path}")).expect(65);
        assert!(outcome.stderr.contains(&format!("error[link-outside]: `{path}` is not read")), "{}", outcome.text());
    }
    // What stays inside is read, as Kubernetes and editors lay files out.
    fs::remove_file(env.path("work/pbx.yaml")).unwrap();
    symlink("phones/a.yaml", env.path("work/pbx.yaml")).unwrap();
    env.run("check").expect(0);
    // The administrator's own path may lead where it likes.
    symlink(env.path("work/phones"), env.path("current")).unwrap();
    env.run(&format!("check -f {}", env.path("current").display())).expect(0);
    env.run(&format!("check -f {}", env.path("current/a.yaml").display())).expect(0);
}

#[test]
fn no_word_of_a_file_that_is_no_desired_state_is_shown() {
    let env = TestEnv::embedded();
    let foreign = [
        format!("{KEY}\n"),
        "canary-1: &a canary-2\ncanary-3: *b\n".to_owned(),
        "version: '3'\nservices: { canary: { image: canary } }\n".to_owned(),
        "apiVersion: v1\nkind: Config\nusers:\n  - { name: canary, user: { client-key-data: canary } }\n".to_owned(),
        "- canary\n- { canary: 1 }\n".to_owned(),
        "canary\n".to_owned(),
        "root:x:0:0:canary:/root:/bin/sh\ndaemon:x:1:1:canary:/:/bin/sh\n".to_owned(),
        "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n".to_owned(),
        "[section]\nsecret = canary\n\t!canary\n".to_owned(),
        "\u{feff}%canary\n".to_owned(),
    ];
    for text in foreign {
        env.write("pbx.yaml", &text);
        for format in ["text", "json"] {
            let outcome = env.run(&format!("check --format {format}")).expect(65);
            let told = outcome.text();
            assert!(!told.contains("canary") && !told.contains(KEY) && !told.contains("BEGIN"), "{text}\n{told}");
        }
    }
    let mut bytes = b"canary \xff\xfe canary".to_vec();
    bytes.extend(KEY.as_bytes());
    fs::write(env.path("work/pbx.yaml"), bytes).unwrap();
    let told = env.run("check").expect(65).text();
    assert!(!told.contains("canary") && told.contains("not-utf8"), "{told}");
    // A desired state with a mistake is quoted as ever.
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers:\n  - email: ana@example.com\n   name: Ana\n");
    assert!(env.run("check").expect(65).stderr.contains("5 |    name: Ana"));
}

#[test]
fn pipes_and_devices_are_no_desired_state_no_plan_and_no_secret() {
    let mut env = TestEnv::new();
    fs::create_dir(env.path("work/secrets")).unwrap();
    for pipe in ["pipe.yaml", "secrets/pipe"] {
        assert!(Command::new("mkfifo").arg(env.path("work").join(pipe)).status().unwrap().success());
    }
    env.write("folder/a.yaml", &desired(&[ANA]));
    assert!(Command::new("mkfifo").arg(env.path("work/folder/b.yaml")).status().unwrap().success());
    for path in ["pipe.yaml", "/dev/zero", "folder"] {
        let outcome = env.run(&format!("check -f {path}")).expect(65);
        assert!(outcome.stderr.contains(" is not a file\n"), "{}", outcome.text());
    }
    env.write("pbx.yaml", &desired(&[ANA]));
    symlink("/dev/zero", env.path("work/plan.json")).unwrap();
    for (plan, why) in [
        ("/dev/zero", "it is not a regular file"),
        ("pipe.yaml", "it is not a regular file"),
        ("plan.json", "a link that leads out of its folder"),
    ] {
        let outcome = env.run(&format!("apply --no-reload --expect {plan}")).expect(1);
        assert!(outcome.stderr.contains(why), "{}", outcome.text());
    }
    env.set("RECONCILE_SECRETS_DIR", env.path("work/secrets").to_str().unwrap());
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, secret: {{ file: pipe }}")]));
    let outcome = env.run("sync").expect(1);
    assert!(outcome.stderr.contains("the secret file pipe: it is not a regular file"), "{}", outcome.text());
}

/// Names in a review are what they look like.
#[test]
fn a_name_with_characters_that_cannot_be_seen_is_rejected_and_shown_escaped() {
    let env = TestEnv::embedded();
    for (hidden, code) in [("\u{e0041}\u{e0042}", "U+E0041"), ("\u{200d}", "U+200D"), ("\u{ad}", "U+00AD")] {
        env.write("pbx.yaml", &desired(&[&format!("email: ana@example.com, name: \"An{hidden}a\"")]));
        let told = env.run("check").expect(65).stderr;
        assert!(told.contains("error[invalid-name]") && told.contains(code), "{told}");
        assert!(!told.contains(hidden), "{told:?}");
    }
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: \"نمی\u{200c}خواهم 👩🏽\u{200d}💻\""]));
    env.run("check").expect(0);
}

/// The work for any number of mistakes is bounded: no more than a thousand are listed, each with what was probably meant.
#[test]
fn many_unknown_keys_are_listed_so_far_and_counted() {
    const KEYS: usize = 200_000;
    let env = TestEnv::embedded();
    let keys = (0..KEYS).map(|n| format!("    canry{n}: 1")).collect::<Vec<_>>().join("\n") + "\n";
    env.write("pbx.yaml", &(desired(&[ANA]) + "  - email: bo@example.com\n    name: Bo\n" + &keys));
    let outcome = env.run("check").expect(65);
    let more = format!("\n... and {} more\n", KEYS - 100);
    assert!(outcome.stderr.ends_with(&more), "{}", outcome.stderr.lines().last().unwrap());
    assert_eq!(outcome.stdout, format!("pbx.yaml: {KEYS} errors\n"));
    let json = env.run("check --format json").expect(65).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["problems"].as_array().unwrap().len(), &json["unlisted_errors"]), (1000, &(KEYS - 1000).into()));
    // A mapping of foreign keys is no desired state: one problem, whatever its size.
    env.write("pbx.yaml", &keys.replace("    canry", "canry"));
    assert_eq!(env.run("check").expect(65).stdout, "pbx.yaml: 1 error\n");
}
