//! What hostile data cannot do, and what the plan looks like, short and long.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{LIMIT, LINE, plan};
use crate::{
    asterisk::ConfigFile,
    deploy::{self, ComparedFile, Comparison, Survey},
    desired,
    directory::Recorded,
    plan::{Change, Changes, FieldChange, InboundValues, Inputs, Kind, RailStop, Subject},
    report::{Desired, RecordedIn, Report},
};

/// Compares a file with an empty directory, or with one that is in step with it.
fn compared(users: &[(String, String)]) -> (Desired, Comparison) {
    let mut yaml = "version: 1\ntenant: acme\nextensions: { range: 10000-99999 }\nusers:\n".to_owned();
    for (email, name) in users {
        let text = |text: &str| serde_json::to_string(text).unwrap();
        yaml = yaml + "  - { email: " + &text(email) + ", name: " + &text(name) + " }\n";
    }
    let loaded = desired::load_text("pbx.yaml", &yaml);
    let declared = loaded.declared.unwrap_or_else(|| panic!("{:?}", loaded.problems));
    let inputs = Inputs {
        declared: &declared,
        recorded: &Recorded::default(),
        secrets: &BTreeMap::new(),
        inbound: &InboundValues::default(),
        allowance: &BTreeMap::new(),
        highest_box: 0,
        now: Timestamp::UNIX_EPOCH,
    };
    let comparison = deploy::compare(&inputs, &Survey::default(), Vec::new()).unwrap();
    (Desired { name: "pbx.yaml".to_owned(), sources: loaded.sources, declared }, comparison)
}

fn written(desired: &Desired, comparison: &Comparison, limit: usize) -> String {
    plan(
        &Report {
            desired,
            comparison,
            recorded_in: RecordedIn::Database("private"),
            allowance: &crate::plan::Allowance::new(),
            arguments: "",
        },
        limit,
    )
}

fn user(n: usize) -> (String, String) {
    (format!("u{n}@example.com"), format!("User {n}"))
}

/// What a reader on GitHub sees: the kinds of everything but text, and our own HTML.
fn structure(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM)
    {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => found.push(format!("block {info}")),
            Event::Html(html) => found.push(html.trim().to_owned()),
            Event::Text(_) | Event::SoftBreak | Event::End(_) | Event::Start(Tag::Paragraph | Tag::HtmlBlock) => {}
            Event::Code(code) => found.push(format!("code {code}")),
            Event::Start(Tag::Heading { .. }) => found.push("heading".to_owned()),
            Event::Start(Tag::Strong) => found.push("strong".to_owned()),
            other => found.push(format!("unexpected {other:?}")),
        }
    }
    found
}

/// The text outside of blocks, where a mention or an address would become a link.
fn prose(markdown: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => inside = true,
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(words) if !inside => text.push_str(&words),
            _ => {}
        }
    }
    text
}

fn commands(markdown: &str) -> Vec<&str> {
    markdown.lines().filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

/// Pieces that mean something to Markdown, HTML, GitHub or its runner.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "```",
        "`",
        "````````",
        "~~~",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        "::error::",
        "::",
        "\n::set-env::",
        "##[command]",
        "##",
        "[",
        "<!--",
        "-->",
        "</details>",
        "<b>",
        "<script>",
        "&lt;",
        "@octocat",
        "#1",
        "|",
        "\\",
        "\\|",
        "![x](http://x.y)",
        "[a](b)",
        "http://evil.example",
        "www.evil.example",
        "\n# head",
        "\n---\n",
        "\n| a |\n|---|\n",
        "$",
        "*",
        "__",
        "\n- x",
        "\t",
        "    ",
        "\u{202e}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\0",
        "\u{1b}[31m",
        "é",
        "日本",
        "🎧",
        "x",
        " ",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12).prop_map(|pieces| pieces.concat())
}

/// A name or address that the desired state accepts, made of the same pieces.
fn user_data() -> impl Strategy<Value = (String, String)> {
    (hostile(), "[a-z`|*_{}~!#$%&'+/=?^.-]{1,30}").prop_map(|(name, local)| {
        let name: String = name.chars().filter(|c| !crate::model::is_unseen(*c)).collect();
        let name = name.replace("${", "").replace("$[", "");
        let name = if name.trim().is_empty() { "x".to_owned() } else { name };
        (format!("{local}@example.com"), name)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn hostile_data_stays_inside_its_block(
        users in prop::collection::btree_map("[a-z]{1,3}", user_data(), 1..6),
        texts in prop::collection::vec(hostile(), 10 + ConfigFile::ALL.len()),
        limit in 12_000..LIMIT,
    ) {
        let users: Vec<(String, String)> =
            users.into_iter().map(|(key, (email, name))| (format!("{key}{email}"), name)).collect();
        let (mut desired, mut comparison) = compared(&users);
        let words = |n: usize| texts[n].clone();
        desired.sources[0].name = words(0);
        comparison.notes = vec![words(1), words(2)];
        comparison.plan.unresolved = vec![words(3)];
        comparison.unchecked = vec![words(4)];
        comparison.stops = vec![RailStop { rail: "deletes", message: words(5), hint: words(6), allow: Some(5) }];
        let name = FieldChange { field: "name", before: Some(words(7)), after: Some(words(8)) };
        let realm = FieldChange { field: "phones.realm", before: None, after: Some(words(9)) };
        let change = |subject: &Subject, field: FieldChange| Change {
            kind: Kind::Update, subject: subject.clone(), fields: vec![field], secret_changed: false, called: None, place: None,
        };
        let user = comparison.plan.changes.iter().next().unwrap().subject.clone();
        comparison.plan.changes =
            [change(&Subject::Setting("phones.realm"), realm), change(&user, name)].into_iter().collect();
        // A diff comes line by line; what stands in a line was written by anybody.
        for file in ConfigFile::ALL {
            let line = words(10 + file as usize).replace(['\n', '\r'], " ");
            comparison.files[file].diff.text = format!("@@ -1,1 +1,2 @@\n {line}\n+{line}\n-{line}\n");
            comparison.files[file].diff.changed = true;
        }
        let markdown = written(&desired, &comparison, limit);
        prop_assert!(markdown.len() <= limit);
        prop_assert_eq!(commands(&markdown), Vec::<&str>::new());
        let id = comparison.id.as_deref().unwrap();
        let file = |path: &str, (added, removed): (usize, usize)| {
            let lines = if added == 1 { "line" } else { "lines" };
            format!("<details><summary>{path}: {added} {lines} added, {removed} removed</summary>")
        };
        let files = comparison.files.values().flat_map(|ComparedFile { path, diff, .. }| {
            [file(path, (diff.added, diff.removed)), "block diff".to_owned(), "</details>".to_owned()]
        });
        let expected: Vec<String> = [
            "<!-- reconcile plan: acme -->", "heading", "strong",
            &format!("code {id}"), &format!("code reconcile apply --expect {id} --allow deletes=5"),
            "strong", "block text", "block diff",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(files)
        .chain(["block text".to_owned(), "block text".to_owned()])
        .collect();
        prop_assert_eq!(structure(&markdown), expected);
        let prose = prose(&markdown);
        prop_assert!(!prose.contains(['@', '#', '<', '`', '|']) && !prose.contains("://"), "{}", prose);
    }
}

#[test]
fn a_small_plan() {
    let (desired, comparison) = compared(&[user(1), ("zoe@example.com".to_owned(), "Zoë \"Zo\"; 日本 🎧".to_owned())]);
    insta::assert_snapshot!(written(&desired, &comparison, LIMIT));
}

#[test]
fn no_changes() {
    let (desired, mut comparison) = compared(&[user(1)]);
    comparison.plan.changes = Changes::default();
    comparison.notes.clear();
    for file in ConfigFile::ALL {
        comparison.files[file].diff.changed = false;
    }
    comparison.reload.clear();
    let id = comparison.id.clone().unwrap();
    let text = |verdict: &str| {
        format!(
            "<!-- reconcile plan: acme -->\n### Plan for acme\n\n**{verdict}** 1 user declared.\n\n\
             Plan id `{id}`: `reconcile apply --expect {id}` applies exactly this.\n"
        )
    };
    assert_eq!(written(&desired, &comparison, LIMIT), text("No changes."));
    comparison.unchecked.push("the running Asterisk (--no-asterisk)".to_owned());
    let unchecked = "\nUnchecked:\n\n```text\nthe running Asterisk (--no-asterisk)\n```\n";
    assert_eq!(written(&desired, &comparison, LIMIT), text("No changes in what was checked.") + unchecked);
}

#[test]
fn rails_and_a_missing_id() {
    let (desired, mut comparison) = compared(&[user(1)]);
    comparison.id = None;
    comparison.plan.unresolved.push("u1@example.com: the variable U1_SECRET is not set".to_owned());
    comparison.notes.push("u1@example.com: `u0@example.com` is not recorded, so this is a new user".to_owned());
    comparison.plan.api_users = 2;
    comparison.stops.push(RailStop {
        rail: "deletes",
        message: "57 of 61 users would be deleted (allowed 5)".to_owned(),
        hint: "if this is intended: --allow deletes=57".to_owned(),
        allow: Some(57),
    });
    for file in ConfigFile::ALL {
        comparison.files[file].diff.text = "@@ -0,0 +1,1 @@\n+...\n".to_owned();
    }
    insta::assert_snapshot!(written(&desired, &comparison, LIMIT));
}

/// First the diffs give way, then the rows; never what decides.
#[test]
fn thousands_of_users_fit() {
    for (number, rows_cut) in [(400, false), (5_000, true)] {
        let users: Vec<(String, String)> = (0..number).map(user).collect();
        let (desired, mut comparison) = compared(&users);
        comparison.stops.push(RailStop {
            rail: "protected",
            message: format!("protected users would be deleted: {}", "`u@example.com`, ".repeat(5_000)),
            hint: "set `protected: false`".to_owned(),
            allow: None,
        });
        comparison.plan.unresolved = users.iter().map(|(email, _)| format!("{email}: not set")).collect();
        let markdown = written(&desired, &comparison, LIMIT);
        assert!(markdown.len() <= LIMIT && markdown.len() > LIMIT - 2_000, "{}", markdown.len());
        let head = format!("**Plan: {number} to create, 0 to update, 0 to rename, 0 to delete; 2 files to write.**");
        assert!(markdown.contains(&head));
        assert!(markdown.contains(&format!("Plan id `{}`", comparison.id.as_deref().unwrap())));
        assert!(markdown.contains("rail-protected: protected users would be deleted: "));
        assert!(markdown.contains("Reload: res_pjsip, dialplan"));
        let said: Vec<&str> = markdown.lines().filter(|line| line.starts_with("... and ")).collect();
        assert_eq!(
            said.iter().any(|line| line.ends_with("more rows, left out to keep this short.")),
            rows_cut,
            "{said:?}"
        );
        assert!(said.iter().any(|line| line.contains(" lines, left out")), "{said:?}");
        assert!(said.iter().any(|line| line.contains(" more reasons, left out")), "{said:?}");
        assert!(structure(&markdown).iter().all(|part| !part.starts_with("unexpected")));
        assert!(markdown.lines().all(|line| line.len() < LINE + 20));
    }
}
