//! Links lead to pages and headings that exist, on the forge's web view and in the book.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use super::{Page, chapters, path, read};

/// The pages that stand on their own.
const OUTSIDE: [&str; 7] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/README.md",
    "tests/lab/README.md",
    "fuzz/README.md",
];

/// All pages below `docs`, as paths in the repository.
fn book() -> BTreeSet<String> {
    let mut pages = BTreeSet::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path(folder.to_str().unwrap())).unwrap().flatten() {
            let name = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else if name.extension().is_some_and(|extension| extension == "md") {
                pages.insert(name.to_str().unwrap().to_owned());
            }
        }
    }
    pages
}

/// The anchor of a heading, as forges and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Where a relative link of a page leads, as a path in the repository.
fn target(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => assert!(parts.pop().is_some(), "{page}: `{link}` leads out of the repository"),
            Component::Normal(name) => parts.push(name.to_str().unwrap()),
            _ => {}
        }
    }
    parts.join("/")
}

/// Says what is wrong with a link, if anything is.
fn fault(page: &str, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let to = if file.is_empty() { page.to_owned() } else { target(page, file) };
    if !path(&to).exists() {
        return Some(format!("{page}: `{link}`: there is no {to}"));
    }
    if page.starts_with("docs/") && !to.starts_with("docs/") {
        return Some(format!("{page}: `{link}` leads out of the book: name the path in backticks instead"));
    }
    let heading = heading?;
    let headings = Page::of(&read(&to)).headings;
    (!headings.iter().any(|found| anchor(found) == heading))
        .then(|| format!("{page}: `{link}`: {to} has no such heading"))
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let pages = book().into_iter().chain(OUTSIDE.map(str::to_owned));
    let mut faults = Vec::new();
    let mut links = 0;
    for page in pages {
        for link in Page::of(&read(&page)).links {
            links += 1;
            faults.extend(fault(&page, &link));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(links > 50, "{links} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    for link in ["none.md", "database.md#none", "#none", "../README.md"] {
        assert!(fault("docs/security.md", link).is_some(), "{link}");
    }
    assert_eq!(fault("docs/security.md", "database.md#a-role-that-only-reads"), None);
}

#[test]
fn headings_have_anchors_of_their_own() {
    for page in book() {
        let mut seen = BTreeSet::new();
        for heading in Page::of(&read(&page)).headings {
            assert!(seen.insert(anchor(&heading)), "{page}: a second heading `{heading}`");
        }
    }
}

/// Pages of the book name files of the repository in backticks, because links would lead out of the book.
#[test]
fn every_path_in_backticks_exists() {
    let folders = ["benches/", "docs/", "examples/", "fuzz/", "migrations/", "schema/", "src/", "tests/"];
    for page in book().into_iter().chain(["README.md".to_owned(), "examples/README.md".to_owned()]) {
        for code in Page::of(&read(&page)).code {
            if folders.iter().any(|folder| code.starts_with(folder)) && !code.contains([' ', '*']) {
                assert!(path(&code).exists(), "{page}: there is no `{code}`");
            }
        }
    }
}

#[test]
fn every_page_is_listed_in_the_summary_once() {
    let listed = chapters();
    let pages: BTreeSet<String> = listed.iter().map(|chapter| format!("docs/{chapter}")).collect();
    assert_eq!(pages.len(), listed.len(), "a page is listed twice");
    let mut found = book();
    assert!(found.remove("docs/SUMMARY.md"));
    assert_eq!(pages, found);
}

#[test]
fn the_readme_has_at_most_150_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}
