//! The documentation is true: transcripts are run, tables come from the code, help is reviewed.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use reconcile::cli::{env::VARIABLES, exit::Exit};
use serde_json::Value;
use ureq::http::StatusCode;

use super::{
    serve::server::Serve,
    support::{TestEnv, tool},
};

/// Compares a document with what it ought to be; `UPDATE_DOCS=1` writes it.
fn compare(name: &str, right: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, right).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(found == right, "{name} is not in step: run the tests with UPDATE_DOCS=1 and review its change");
}

/// Where the server listens in the documentation.
const DOCUMENTED: &str = "http://127.0.0.1:8000";

/// Runs the commands of a `console` block in one shell, and writes what they print.
fn transcript(env: &TestEnv, block: &str, url: &str) -> String {
    let mut shell = Command::new("bash");
    let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let script: String = commands.iter().fold("exec 2>&1\n".to_owned(), |script, command| {
        script + &command.replace(DOCUMENTED, url) + "\nprintf '\\0'\n"
    });
    let reconcile = PathBuf::from(env!("CARGO_BIN_EXE_reconcile"));
    let programs = [reconcile, tool("LAB_JQ"), tool("LAB_CURL"), tool("LAB_OPENSSL")];
    let folders = programs.map(|program| program.parent().unwrap().display().to_string() + ":");
    let path = folders.concat() + &std::env::var("PATH").unwrap();
    shell.args(["-c", &script]).current_dir(env.path("work")).env_clear();
    for (name, value) in env.command(&[]).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let output = shell.env("PATH", path).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().replace(url, DOCUMENTED);
    let printed = printed.replace(env.path("state").to_str().unwrap(), "/var/lib/reconcile");
    let mut text = String::new();
    for (command, printed) in commands.iter().zip(printed.split('\0')) {
        let _ = writeln!(text, "$ {command}");
        text.push_str(printed);
    }
    text
}

#[test]
fn the_readme_is_true() {
    let readme = include_str!("../../../README.md");
    let mut env = TestEnv::embedded();
    env.start_asterisk();
    env.write("pbx.yaml", include_str!("../../../examples/synergycall/pbx.yaml"));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    assert!(Command::new("cp").arg("-r").args([&examples, &env.path("work/examples")]).status().unwrap().success());
    env.set("TWILIO_AUTH_TOKEN", "example");
    let mut right = String::new();
    let mut rest = readme;
    while let Some((before, after)) = rest.split_once("```console\n") {
        let (block, after) = after.split_once("```\n").unwrap();
        let serve = block.contains(DOCUMENTED).then(|| Serve::start(&env, ""));
        let url = serve.as_ref().map_or(DOCUMENTED, |serve| &serve.url);
        let _ = write!(right, "{before}```console\n{}```\n", transcript(&env, block, url));
        rest = after;
    }
    right.push_str(rest);
    let exits: Vec<String> = Exit::TABLE.iter().map(|(_, code, about)| format!("| {code} | {about} |\n")).collect();
    let right = with_table(&right, "| code | meaning |\n|---|---|\n", &exits);
    let variables: Vec<String> =
        VARIABLES.iter().map(|variable| format!("| `{}` | {} |\n", variable.name, variable.about)).collect();
    let right = with_table(&right, "| variable | what it holds |\n|---|---|\n", &variables);
    compare("README.md", &right);
    // The files that are shown are those that are run.
    let shown: Vec<&str> = right.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let run = [
        include_str!("../../../examples/synergycall/pbx.yaml"),
        include_str!("../../../examples/inbound/inbound.yaml"),
    ];
    assert_eq!(shown.len(), run.len());
    assert!(run.iter().zip(shown).all(|(run, shown)| run.ends_with(shown)));
}

fn with_table(text: &str, head: &str, rows: &[String]) -> String {
    let (before, after) = text.split_once(head).unwrap();
    let end = after.find("\n\n").map_or(after.len(), |at| if after.starts_with('\n') { 0 } else { at + 1 });
    format!("{before}{head}{}{}", rows.concat(), &after[end..])
}

#[test]
fn every_help_text() {
    let env = TestEnv::embedded();
    let mut text = env.run("--help").expect(0).stdout;
    for command in [
        "check",
        "trace",
        "plan",
        "sync",
        "apply",
        "watch",
        "users",
        "export",
        "serve",
        "secret show",
        "token new",
        "token list",
        "token revoke",
        "migrate",
        "schema",
    ] {
        let _ = write!(text, "\n==== {command}\n{}", env.run(&format!("{command} --help")).expect(0).stdout);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let env = TestEnv::embedded();
    env.run("--bogus").expect(64);
    env.run("frobnicate").expect(64);
    env.run("plan --format xml").expect(64);
    env.run("--version").expect(0);
}

/// Every code that can be reported is explained, and nothing else is.
#[test]
fn every_diagnostic_is_documented() {
    let (mut codes, mut rails) = (BTreeSet::new(), BTreeSet::new());
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if path.ends_with("src/model/invalid.rs") {
                let listed = text.split_once("const CODES").unwrap().1.split_once("];").unwrap().0;
                codes.extend(listed.split('"').skip(1).step_by(2).map(str::to_owned));
            }
            // Problems of the file, refused values, and the details of the API's errors.
            let calls = ["Diagnostic::error(", "Diagnostic::warning(", "Invalid::new(", "Self::new(", "whole("];
            for call in calls.into_iter().chain(["let bad = ", "code: Some(", "=> Some("]) {
                for (at, _) in text.match_indices(call) {
                    let rest = &text[at + call.len()..];
                    let code = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                    let kebab = |code: &&str| {
                        code.contains('-')
                            && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    };
                    codes.extend(code.filter(kebab).map(str::to_owned));
                }
            }
            for rail in text.split("rail: \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                rails.insert(format!("rail-{rail}"));
            }
        }
    }
    assert!(codes.len() > 25, "{codes:?}");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/diagnostics.md")).unwrap();
    let listed: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned)).collect();
    assert_eq!(listed, codes);
    for rail in rails {
        assert!(page.contains(&format!("\n| {rail} |")), "{rail}");
    }
}

/// What stands in the code for all errors of the API: the type, the status, the meaning.
fn api_errors() -> Vec<(String, u16, String)> {
    let source = include_str!("../../../src/serve/error.rs");
    let table = source.split_once("const TABLE").unwrap().1.split_once("];").unwrap().0;
    let status = |word: &str| {
        let named = |number: &u16| {
            let reason = StatusCode::from_u16(*number).unwrap().canonical_reason();
            reason.is_some_and(|reason| reason.to_uppercase().replace(' ', "_") == word)
        };
        (400..600).find(named).unwrap_or_else(|| panic!("no status {word}"))
    };
    let rows = table.split("Self::").skip(1).map(|row| {
        let (kind, rest) = row.split_once(", StatusCode::").unwrap();
        let (word, rest) = rest.split_once(", \"").unwrap();
        (kind.to_owned(), status(word), rest.split_once('"').unwrap().0.to_owned())
    });
    rows.collect()
}

/// Every type of error that the API can answer with is explained, and nothing else is.
#[test]
fn every_error_of_the_api_is_documented() {
    let errors = api_errors();
    let document: Value = serde_json::from_str(include_str!("../../../schema/openapi.json")).unwrap();
    let kinds = document["components"]["schemas"]["ErrorType"]["enum"].as_array().unwrap();
    assert_eq!(kinds.iter().map(|kind| kind.as_str().unwrap()).collect::<Vec<_>>(), {
        let kinds: Vec<&str> = errors.iter().map(|(kind, ..)| kind.as_str()).collect();
        kinds
    });
    let rows: Vec<String> =
        errors.iter().map(|(kind, status, meaning)| format!("| `{kind}` | {status} | {meaning} |\n")).collect();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/api-errors.md")).unwrap();
    compare("docs/reference/api-errors.md", &with_table(&page, "| type | status | meaning |\n|---|---|---|\n", &rows));
}
