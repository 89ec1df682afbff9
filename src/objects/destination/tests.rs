//! Who gets the calls to a user that nobody answers: what `check` says about such a list.

use crate::{desired::load_text, objects::Target};

/// Lists the problems of a file, each as `line:column code: message`, then the hint.
fn problems(text: &str) -> String {
    let loaded = load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{text}"));
    let lines = loaded.problems.into_iter().flat_map(|problem| {
        let place = problem.place.unwrap();
        let first = format!("{}:{} {}: {}", place.line, place.column, problem.code, problem.message);
        [Some(first), problem.hint.map(|hint| format!("  {hint}"))].into_iter().flatten()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A file in which Ana has this list.
fn of_ana(list: &str) -> String {
    format!(
        "users:\n  - {{ email: ana@example.com, name: Ana, no_answer: {list} }}\n  \
         - {{ email: bo@example.com, name: Bo, voicemail: true }}\n  - {{ id: lobby, name: Lobby }}\n\
         trunks: {{ carrier: {{ host: 198.51.100.7 }} }}\n\
         dialers: {{ desk: {{ number: \"+4930555001\", trunk: carrier }}, twilio: {{ number: \"+4930555002\" }} }}\n\
         groups: {{ sales: {{ members: [ana@example.com, bo@example.com] }}, far: {{ members: [\"+4930555003\"] }} }}\n\
         voicemail: {{ boxes: {{ info: {{ name: Info }} }} }}\n"
    )
}

#[test]
fn a_list_names_what_a_route_names_and_may_be_empty() {
    for list in [
        "[bo@example.com, lobby, desk, sales, { voicemail: bo@example.com }]",
        "[sales, info]",
        "[hangup]",
        "[busy]",
        "[]",
    ] {
        // Nobody comes from outside: a missing `public_sip_host` is no mistake.
        let found = problems(&of_ana(list));
        assert!(!found.contains("4:"), "{list}: {found}");
    }
    let declared = load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{}", of_ana("[sales, busy]"))).declared;
    let users: Vec<_> = declared.unwrap().users.into_values().map(|user| user.no_answer).collect();
    assert_eq!(users, [Some([Target::Object("sales".parse().unwrap()), Target::Busy].into()), None, None]);
}

#[test]
fn the_own_phone_is_not_tried_again_and_nothing_behind_an_end() {
    insta::assert_snapshot!(problems(&of_ana("[Ana@example.com, hangup, sales]")), @"");
    insta::assert_snapshot!(problems(&of_ana("[bo@example.com, info, bo@example.com]")), @"");
}

#[test]
fn who_is_not_declared_is_told_with_who_was_meant() {
    insta::assert_snapshot!(problems(&of_ana("[b@example.com, sale, lobbi, { voicemail: lobby }, 1001]")), @"");
}

/// A colleague's call does not come through Twilio.
#[test]
fn what_asterisk_cannot_reach_is_told() {
    insta::assert_snapshot!(problems(&of_ana("[twilio, far, desk]")), @"");
}

#[test]
fn a_list_is_no_longer_than_a_route() {
    let users: String = (0..100).map(|n| format!("  - {{ email: u{n}@example.com, name: U }}\n")).collect();
    let all: Vec<String> = (0..100).map(|n| format!("u{n}@example.com")).collect();
    let file =
        |list: &[String]| format!("users:\n  - {{ id: lobby, name: L, no_answer: [{}] }}\n{users}", list.join(", "));
    assert_eq!(problems(&file(&all[1..])), "");
    insta::assert_snapshot!(problems(&file(&all)), @"");
}
