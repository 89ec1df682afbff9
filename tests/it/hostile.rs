//! Hostile values are refused, or rendered so that Asterisk sees nothing but a name.

use super::support::{TestEnv, desired};

/// YAML for a user with any name.
fn user(name: &str) -> String {
    format!("email: eve@example.com, name: {}", serde_json::to_string(name).unwrap())
}

#[test]
fn names_that_could_end_a_line_or_mislead_an_eye_are_rejected() {
    let long = "x".repeat(9000);
    for name in [
        "a\nb",
        "a\r\n[evil]\ntype=endpoint",
        "bell\u{7}",
        "nul\0",
        "turn\u{202e}ed",
        "iso\u{2066}lated",
        "",
        " ",
        &long,
    ] {
        let env = TestEnv::embedded();
        env.write("pbx.yaml", &desired(&[&user(name)]));
        let outcome = env.run("check").expect(65);
        let expected = outcome.stderr.contains("invalid-name") || outcome.stderr.contains("invalid-yaml");
        assert!(expected, "{name:?}: {}", outcome.text());
        assert!(outcome.stderr.len() < 2000, "{}", outcome.stderr.len());
    }
}

#[test]
fn any_other_name_is_only_a_name() {
    let names = [
        "\";[evil]",
        "#exec /bin/true",
        "#include /etc/passwd",
        "${SHELL(id)}",
        "$[1+1]",
        ";-- a comment that never ends",
        "--; one that ends",
        "back\\slash at the end\\",
        "\\\"; both",
        "[1000](+)",
        "=> a value",
        "a, b & c",
        "\"quoted\" <1000>",
        "'); drop table users; --",
        "Zoë \"Zo\" O'Neil; 日本 🎧",
    ];
    let env = TestEnv::with_asterisk();
    let users: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(n, name)| format!("email: u{n:02}@example.com, name: {}", serde_json::to_string(name).unwrap()))
        .collect();
    env.write("pbx.yaml", &desired(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("apply").expect(0);
    for (n, name) in names.iter().enumerate() {
        let shown = env.ask(&format!("pjsip show endpoint {}", 1000 + n));
        let caller_id = shown.lines().find(|line| line.starts_with(" callerid  ")).unwrap();
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        assert!(caller_id.ends_with(&format!(": \"{escaped}\" <{}>", 1000 + n)), "{name}: {caller_id}");
    }
    let log = std::fs::read_to_string(env.path("asterisk/log/full")).unwrap();
    let complaints: Vec<&str> =
        log.lines().filter(|line| line.contains("generated_") && line.contains("WARNING")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(env.run("plan --detailed-exitcode").expect(0).stdout.lines().last(), Some("No changes."));
}

/// Longer names than Asterisk keeps are cut between characters, with a warning.
#[test]
fn a_long_name_is_cut_where_a_character_ends() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[&user(&"é".repeat(60))]));
    let outcome = env.run("apply").expect(0);
    assert!(outcome.stderr.contains("warning[long-name]: the name is longer than 79 bytes"), "{}", outcome.text());
    assert!(env.endpoints("acme").contains(&format!("callerid = \"{}\" <1000>\n", "é".repeat(39))));
}

/// A pull request may add a file of any name, and anybody may name themselves in the audit log.
#[test]
fn names_of_files_and_people_cannot_speak_to_a_terminal_or_a_runner() {
    let mut env = TestEnv::with_asterisk();
    let evil = "a\n::error::x\u{1b}[2J\u{202e}.yaml";
    let user = |email: &str| format!("users:\n  - {{ email: {email}, name: Ana }}\n");
    env.write("phones/0.yaml", "version: 1\ntenant: acme\nusers: []\n");
    env.write(&format!("phones/{evil}"), &user("nobody"));
    env.set("RECONCILE_ACTOR", "ana\n::error::x\u{1b}[2J\u{202e}");
    env.set("RECONCILE_HOST", "pbx\n::error::x\u{1b}[2J\u{202e}");
    let said = |args: &str, code: i32, shown: &str| {
        let outcome = env.run(args).expect(code);
        let text = outcome.text();
        assert!(!text.contains("\n::error::") && !text.contains(['\u{1b}', '\u{202e}']), "{args}: {text}");
        assert!(text.contains(shown), "{args}: {text}");
    };
    let file = r"phones/a\n::error::x\u{1b}[2J\u{202e}.yaml";
    said("check -f phones", 65, file);
    said("plan -f phones", 65, file);
    // What is escaped for people is still read by its real name.
    env.write(&format!("phones/{evil}"), &user("ana@example.com"));
    said("plan -f phones", 0, file);
    said("plan -f phones --format markdown", 0, "a");
    said("apply -f phones", 0, "Live: ");
    let actor = r"ana\n::error::x\u{1b}[2J\u{202e}";
    said("status -f phones", 0, actor);
    said("history -f phones", 0, actor);
    said("history 1 -f phones", 0, actor);
    // As the whole path, too, and where it cannot be read.
    let check = |path: &str, code: i32| {
        let outcome = env.command(&["check", "-f", path]).output().unwrap();
        assert_eq!(outcome.status.code(), Some(code));
        let text = String::from_utf8(outcome.stdout).unwrap() + &String::from_utf8(outcome.stderr).unwrap();
        assert!(!text.contains("\n::error::") && text.contains(r"a\n::error::x\u{1b}[2J"), "{text}");
    };
    check(&format!("phones/{evil}"), 65);
    check(&format!("nowhere/{evil}"), 65);
}
