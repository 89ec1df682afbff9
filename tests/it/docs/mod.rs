//! The documentation is true: transcripts are run, reference pages come from the program, links lead somewhere.
//!
//! `UPDATE_DOCS=1` writes what ought to be into the pages instead of comparing.

mod keys;
mod links;
mod metrics;
mod reference;
mod transcripts;

use std::{
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A path in the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a document with what it ought to be; `UPDATE_DOCS=1` writes it.
#[track_caller]
fn compare(name: &str, right: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(name), right).unwrap();
    }
    assert!(
        read(name) == right,
        "{name} is not in step: run `UPDATE_DOCS=1 cargo test docs::` and review what it changes"
    );
}

/// Compares what stands on a page between `<!-- generated: NAME -->` and `<!-- end -->` with what ought to be there.
#[track_caller]
fn compare_generated(page: &str, name: &str, right: &str) {
    let text = read(page);
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, after) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no `{}`", begin.trim()));
    let (_, after) = after.split_once("<!-- end -->\n").unwrap_or_else(|| panic!("{page}: `{name}` has no end"));
    compare(page, &format!("{before}{begin}\n{right}\n<!-- end -->\n{after}"));
}

/// Writes a table in Markdown.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let rows = rows.into_iter().map(|cells| line(&cells));
    line(&head) + &format!("|{}\n", "---|".repeat(head.len())) + &rows.collect::<String>()
}

/// What the tests ask about a page in Markdown.
#[derive(Default)]
struct Page {
    /// Where its links lead.
    links: Vec<String>,
    /// The texts of its headings.
    headings: Vec<String>,
    /// What stands in backticks outside blocks.
    code: Vec<String>,
    /// Its code blocks, each with its language.
    blocks: Vec<(String, String)>,
}

impl Page {
    fn of(text: &str) -> Self {
        let mut page = Self::default();
        let (mut in_heading, mut in_block) = (false, false);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. }) => page.links.push(dest_url.into_string()),
                Event::Start(Tag::Heading { .. }) => {
                    in_heading = true;
                    page.headings.push(String::new());
                }
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::CodeBlock(kind)) => {
                    in_block = true;
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    page.blocks.push((language, String::new()));
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Text(text) if in_block => page.blocks.last_mut().unwrap().1.push_str(&text),
                Event::Text(text) if in_heading => page.headings.last_mut().unwrap().push_str(&text),
                Event::Code(code) => {
                    if in_heading {
                        page.headings.last_mut().unwrap().push_str(&code);
                    }
                    page.code.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }
}

/// The pages of the book in its order, as paths below `docs`.
fn chapters() -> Vec<String> {
    Page::of(&read("docs/SUMMARY.md")).links
}
