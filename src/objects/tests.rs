//! What a file of a tenant with a user and a phone makes, for the tests of kinds.

use super::Routes;
use crate::{desired::load_text, model::ObjectName};

const USERS: &str = "users:\n  - { email: ana@example.com, name: Ana }\n  - { id: lobby, name: Lobby }\n";

fn file(rest: &str) -> String {
    format!("version: 1\ntenant: acme\n{USERS}{rest}")
}

/// Reads the objects of a file without problems.
#[track_caller]
pub(super) fn routes(rest: &str) -> Routes {
    let loaded = load_text("pbx.yaml", &file(rest));
    let problems: Vec<String> = loaded.problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(problems, [""; 0]);
    loaded.declared.unwrap().routes
}

/// Lists the problems of a file, each as `line:column code: message`, then the hint.
pub(super) fn problems(rest: &str) -> String {
    let lines = load_text("pbx.yaml", &file(rest)).problems.into_iter().flat_map(|problem| {
        let place = problem.place.unwrap();
        let first = format!("{}:{} {}: {}", place.line, place.column, problem.code, problem.message);
        [Some(first), problem.hint.map(|hint| format!("  {hint}"))].into_iter().flatten()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads a name.
pub(super) fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}
