//! Reference pages that come from tables of the program and from its help texts.

use std::{collections::BTreeSet, fmt::Write, fs, path::PathBuf};

use reconcile::{
    cli::{env::VARIABLES, exit::Exit, rail_table::RAILS},
    doctor::Check,
    model::Code,
};
use serde_json::Value;
use ureq::http::StatusCode;

use super::{compare_generated, path, read, table};
use crate::support::TestEnv;

/// Shows each source of the program, the table of rails aside.
pub(super) fn sources(see: &mut dyn FnMut(&PathBuf, &str)) {
    let mut folders = vec![path("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("cli/rail_table.rs")
            {
                see(&path, &fs::read_to_string(&path).unwrap());
            }
        }
    }
}

#[test]
fn the_page_of_exit_codes_is_the_table() {
    let rows = Exit::TABLE.iter().map(|(_, code, about)| vec![code.to_string(), (*about).to_owned()]);
    compare_generated("docs/reference/exit-codes.md", "exit codes", &table(&["code", "meaning"], rows));
}

#[test]
fn the_page_of_the_environment_is_the_table() {
    let rows = VARIABLES.iter().map(|variable| {
        let example = if variable.example.is_empty() { String::new() } else { format!("`{}`", variable.example) };
        vec![format!("`{}`", variable.name), variable.about.to_owned(), example]
    });
    let head = ["variable", "what it holds", "example"];
    compare_generated("docs/reference/environment.md", "environment", &table(&head, rows));
}

#[test]
fn the_page_of_diagnostics_is_the_table() {
    const PAGE: &str = "docs/reference/diagnostics.md";
    let row = |code: String, meaning: &str, remedy: &str| vec![code, meaning.to_owned(), remedy.to_owned()];
    let codes = Code::ALL.iter().map(|code| {
        let (meaning, remedy) = code.explained();
        row(format!("`{code}`"), meaning, remedy)
    });
    compare_generated(PAGE, "codes", &table(&["code", "meaning", "what to do"], codes));
    let rails = RAILS.iter().map(|(rail, meaning, remedy)| row(format!("`rail-{rail}`"), meaning, remedy));
    compare_generated(PAGE, "rails", &table(&["rail", "what it stops", "what to do"], rails));
    assert!(Code::ALL.is_sorted() && Code::ALL.is_sorted_by_key(|code| code.as_str()));
}

#[test]
fn the_page_of_checks_is_the_table() {
    let rows = Check::ALL
        .iter()
        .map(|check| vec![format!("`{check}`"), check.group().word().to_owned(), check.about().to_owned()]);
    compare_generated("docs/reference/checks.md", "checks", &table(&["id", "looks at", "what it finds"], rows));
}

/// Every code and every rail is reported somewhere, and no rail is that is not in the table.
#[test]
fn the_tables_have_every_code_of_the_program() {
    let (mut used, mut rails, mut literals) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    sources(&mut |path, text| {
        if !path.ends_with("model/code.rs") {
            let is_word = |c: char| c.is_ascii_alphanumeric();
            used.extend(
                text.split("Code::").skip(1).filter_map(|rest| Some(rest.split(|c| !is_word(c)).next()?.to_owned())),
            );
        }
        rails.extend(text.split("rail: \"").skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_owned())));
        literals.extend(text.split('"').map(str::to_owned));
    });
    let unused: Vec<_> = Code::ALL.iter().filter(|code| !used.contains(&format!("{code:?}"))).collect();
    assert!(unused.is_empty(), "{unused:?}");
    let listed: BTreeSet<String> = RAILS.iter().map(|(rail, ..)| (*rail).to_owned()).collect();
    assert!(rails.is_subset(&listed), "{rails:?}");
    assert!(listed.is_subset(&literals), "{:?}", listed.difference(&literals));
}

/// The subcommands that a help text lists, `help` aside.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// What every command has too is said once, at the program itself.
#[test]
fn the_page_of_commands_is_the_help() {
    let env = TestEnv::embedded();
    let own = env.run("--help").expect(0).stdout;
    let common = own.split_once("Options:\n").unwrap().1.split_once("\n  -h, --help").unwrap().0;
    let mut text = format!("## reconcile\n\n```text\n{own}```\n");
    let mut rest: Vec<String> = subcommands(&own);
    rest.reverse();
    let mut commands = 0;
    while let Some(command) = rest.pop() {
        commands += 1;
        let help = env.run(&format!("{command} --help")).expect(0).stdout;
        rest.extend(subcommands(&help).iter().rev().map(|name| format!("{command} {name}")));
        let help = help.replace(&format!("{common}\n"), "");
        let help = help.replace("  -h, --help\n          Print help (see a summary with '-h')\n", "");
        let help = help.replace("\nOptions:\n\n", "\n").replace("\n\n\n", "\n\n").trim_end().to_owned();
        let lines: String = help.lines().fold(String::new(), |mut lines, line| {
            let _ = writeln!(lines, "{}", line.trim_end());
            lines
        });
        let _ = write!(text, "\n## reconcile {command}\n\n```text\n{lines}```\n");
    }
    assert!(commands > 15, "{commands} commands were found");
    compare_generated("docs/reference/commands.md", "commands", &text);
}

#[test]
fn wrong_usage_is_distinguished_from_failure() {
    let env = TestEnv::embedded();
    env.run("--bogus").expect(64);
    env.run("frobnicate").expect(64);
    env.run("plan --format xml").expect(64);
    env.run("--version").expect(0);
}

/// What stands in the code for all errors of the API: the type, the status, the meaning.
fn api_errors() -> Vec<(String, u16, String)> {
    let source = read("src/serve/error.rs");
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
    let document: Value = serde_json::from_str(&read("schema/openapi.json")).unwrap();
    let kinds = document["components"]["schemas"]["ErrorType"]["enum"].as_array().unwrap();
    assert_eq!(kinds.iter().map(|kind| kind.as_str().unwrap()).collect::<Vec<_>>(), {
        let kinds: Vec<&str> = errors.iter().map(|(kind, ..)| kind.as_str()).collect();
        kinds
    });
    let rows = errors.into_iter().map(|(kind, status, meaning)| vec![format!("`{kind}`"), status.to_string(), meaning]);
    compare_generated("docs/reference/api-errors.md", "errors", &table(&["type", "status", "meaning"], rows));
}
