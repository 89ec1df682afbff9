//! A planted secret never shows: not in any output, log, file, audit row or error message.

use std::{fs, path::Path};

use super::support::{KEY, TestEnv, desired};

/// Reads every file below a folder but those that may hold it.
fn everything_below(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            everything_below(&path, text);
        } else if path.is_file() {
            text.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
        }
    }
}

#[test]
fn a_canary_is_found_nowhere() {
    const CANARY: &str = "canary9secret9of9bo";
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", CANARY);
    env.set("RECONCILE_LOG", "trace");
    let bo = "email: bo@example.com, name: Bo, secret: { env: BO_SIP_SECRET }";
    let mut seen = String::new();
    let mut run = |env: &TestEnv, args: &str| seen.push_str(&env.run(args).text());
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana", bo]));
    for args in [
        "check",
        "plan",
        "plan --format json",
        "plan --format markdown",
        "apply",
        "apply",
        "users",
        "users --format json",
        "plan",
    ] {
        run(&env, args);
    }
    // Its digest is as good as the secret, and Asterisk's own words quote it.
    let digest = env.endpoints("acme");
    let digest = digest.split("[1001]").nth(1).unwrap().split("MD5:").nth(1).unwrap()[..32].to_owned();
    // The secret changes, an operator's mistake lets the read-back fail, a hand edits the file.
    env.set("BO_SIP_SECRET", "another9canary9of9bo");
    run(&env, "plan");
    run(&env, "plan --format markdown");
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[twice]\ntype = auth\n[twice]\ntype = auth\npassword = {CANARY}\n"))
        .unwrap();
    run(&env, "apply --allow relogins=9");
    fs::write(&conf, operators).unwrap();
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + &format!("[x]\ntype = auth\nPassword => {CANARY}\nmd5_cred = {CANARY}\n")).unwrap();
    run(&env, "plan");
    run(&env, "apply --allow relogins=9");
    // A row that was tampered with, a wrong key.
    env.sql()
        .execute("update users set secret_sealed = 'x' || secret_sealed where email = 'ana@example.com'", &[])
        .unwrap();
    run(&env, "apply");
    env.set("RECONCILE_SECRET_KEY", "//////////////////////////////////////////8=");
    run(&env, "apply");
    seen.push_str(&env.dump());
    everything_below(&env.path("state"), &mut seen);
    for word in [CANARY, "another9canary9of9bo", KEY] {
        assert!(!seen.contains(word), "{word} in: {}", line_with(&seen, word));
    }
    // The last good files are the one place for digests outside Asterisk's folder.
    let told: Vec<&str> =
        seen.lines().filter(|line| line.contains(&digest) && !line.starts_with("password_digest = MD5:")).collect();
    assert!(told.is_empty(), "{told:?}");
}

fn line_with<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.contains(word)).unwrap_or_default()
}

#[test]
fn only_secret_show_shows_a_secret() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("sync").expect(0);
    let shown = env.run("secret show ana@example.com --format json").expect(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["username"], "1000");
    assert_eq!(shown["realm"], "asterisk");
    let secret = shown["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 24, "a generated secret has 120 bits");
    for args in ["users", "users --format json", "plan --no-asterisk --format json", "check --format json"] {
        assert!(!env.run(args).text().contains(secret), "{args}");
    }
    let unknown = env.run("secret show nobody@example.com").expect(1);
    assert_eq!(unknown.stderr, "error: `nobody@example.com` is not recorded\nhint: `reconcile users` lists who is\n");
}
