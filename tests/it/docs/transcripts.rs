//! Each `console` block of the README and the book is run, and each `yaml` block is checked.

use std::{fmt::Write, process::Command};

use super::{Page, chapters, compare, path, read};
use crate::{serve::server::Serve, support::TestEnv, transcript};

/// Where the server listens in the documentation.
const DOCUMENTED: &str = "http://127.0.0.1:8000";

/// What begins a transcript.
const CONSOLE: &str = "```console\n";

/// The README, then the pages of the book.
fn pages() -> impl Iterator<Item = String> {
    let chapters = chapters().into_iter().map(|chapter| format!("docs/{chapter}"));
    ["README.md".to_owned()].into_iter().chain(chapters)
}

/// Runs the commands of a `console` block, and writes what they print.
fn of_block(env: &TestEnv, block: &str, url: &str) -> String {
    let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let here: Vec<String> = commands.iter().map(|command| command.replace(DOCUMENTED, url)).collect();
    let mut text = String::new();
    for (command, printed) in commands.iter().zip(transcript::run(env, &here, &[])) {
        let printed = printed.text.replace(url, DOCUMENTED);
        let _ = writeln!(text, "$ {command}");
        text.push_str(&printed.replace(env.path("state").to_str().unwrap(), "/var/lib/reconcile"));
    }
    text
}

/// A reader who goes through the README and the book with a new host sees what they show.
#[test]
fn every_transcript_is_true() {
    let mut env = TestEnv::embedded();
    env.start_asterisk();
    env.write("pbx.yaml", &read("examples/synergycall/pbx.yaml"));
    let examples = path("examples");
    assert!(Command::new("cp").arg("-r").args([&examples, &env.path("work/examples")]).status().unwrap().success());
    env.set("TWILIO_AUTH_TOKEN", "example");
    let mut run = 0;
    for page in pages() {
        let text = read(&page);
        let (mut right, mut rest) = (String::new(), text.as_str());
        while let Some((before, after)) = rest.split_once(CONSOLE) {
            let (block, after) = after.split_once("```\n").unwrap();
            let serve = block.contains(DOCUMENTED).then(|| Serve::start(&env, ""));
            let url = serve.as_ref().map_or(DOCUMENTED, |serve| &serve.url);
            let _ = writeln!(right, "{before}{CONSOLE}{}```", of_block(&env, block, url));
            rest = after;
            run += 1;
        }
        right.push_str(rest);
        let blocks = Page::of(&text).blocks;
        let consoles = blocks.iter().filter(|(language, _)| language == "console").count();
        assert_eq!(consoles, text.matches(CONSOLE).count(), "{page}: a transcript that would not be run");
        // Other tests may be renewing the pages without one.
        if consoles > 0 {
            compare(&page, &right);
        }
    }
    assert!(run >= 4, "{run} transcripts were run");
}

/// A block is the end of an example, which other tests run; or a file; or some keys of one.
#[test]
fn every_yaml_block_is_an_example_or_a_valid_file() {
    let examples = ["examples/synergycall/pbx.yaml", "examples/inbound/inbound.yaml"].map(read);
    let env = TestEnv::embedded();
    for page in pages() {
        for (_, block) in Page::of(&read(&page)).blocks.iter().filter(|(language, _)| language == "yaml") {
            if examples.iter().any(|example| example.ends_with(block)) {
                continue;
            }
            let mut file = block.clone();
            for (key, line) in [("version:", "version: 1\n"), ("tenant:", "tenant: acme\n"), ("users:", "users: []\n")]
            {
                if !file.lines().any(|found| found.starts_with(key)) {
                    file.push_str(line);
                }
            }
            env.write("pbx.yaml", &file);
            let outcome = env.run("check");
            assert_eq!(outcome.code, 0, "{page}: {}\n{file}", outcome.text());
        }
    }
}
