//! Which rooms a file makes, and how calls to them go.

use super::{Room, conference_name, sip_user};
use crate::{
    desired::load_text,
    model::{Node, ObjectName, Tenant},
    objects::{Routes, Target},
};

const USERS: &str = "users:\n  - { email: ana@example.com, name: Ana }\n  - { id: lobby, name: Lobby }\n";

fn file(rest: &str) -> String {
    format!("version: 1\ntenant: acme\n{USERS}{rest}")
}

#[track_caller]
fn routes(rest: &str) -> Routes {
    let loaded = load_text("pbx.yaml", &file(rest));
    let problems: Vec<String> = loaded.problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(problems, [""; 0]);
    loaded.declared.unwrap().routes
}

fn problems(rest: &str) -> String {
    problems_of(&file(rest))
}

/// Lists the problems of a file, each as `line:column code: message`, then the hint.
fn problems_of(file: &str) -> String {
    let lines = load_text("pbx.yaml", file).problems.into_iter().flat_map(|problem| {
        let place = problem.place.unwrap();
        let first = format!("{}:{} {}: {}", place.line, place.column, problem.code, problem.message);
        [Some(first), problem.hint.map(|hint| format!("  {hint}"))].into_iter().flatten()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

#[test]
fn each_key_has_a_default() {
    let routes = routes("rooms: { board: {}, lab: { name: The Lab, extension: 1800, max: 2 } }\n");
    assert_eq!(routes.rooms[&name("board")], Room { title: None, extension: None, max: 20 });
    let lab = &routes.rooms[&name("lab")];
    assert_eq!((lab.title.as_ref().unwrap().as_str(), lab.max), ("The Lab", 2));
    let numbered: Vec<_> = routes.numbered().into_iter().map(|one| (one.number.number(), one.chain.0)).collect();
    assert_eq!(numbered, [(1800, vec![Node::Room(name("lab"))])]);
}

/// A caller who comes in stays until the call ends.
#[test]
fn a_room_ends_a_chain() {
    let host = "public_sip_host: pbx.example.com\n";
    let routes = routes(&format!(
        "{host}rooms: {{ board: {{}} }}\n\
         groups: {{ sales: {{ members: [lobby], no_answer: [board] }} }}\n\
         default_route: [ana@example.com, sales]\n"
    ));
    let chain = routes.chain(&[Target::Object(name("sales"))]);
    assert_eq!(chain.0.len(), 2);
    assert_eq!(chain.0[1], Node::Room(name("board")));
    insta::assert_snapshot!(problems(&format!(
        "{host}rooms: {{ board: {{}} }}\n\
         groups: {{ sales: {{ members: [lobby], no_answer: [board] }} }}\n\
         inbound: [{{ to: \"+15559876543\", route: [board, ana@example.com] }}]\n\
         default_route: [sales, lobby]\n"
    )), @r"
    9:41 unreachable-route: no target after `board` is ever tried
      put it last
    10:17 unreachable-route: no target after `sales` is ever tried
      put it last: its own `no_answer` ends the call
    ");
    let list = file("rooms: { board: {} }\n").replace("name: Ana }", "name: Ana, no_answer: [board, lobby] }");
    insta::assert_snapshot!(problems_of(&list), @r"
    4:54 unreachable-route: no target after `board` is ever tried
      put it last
    ");
}

#[test]
fn names_and_sizes_are_checked() {
    let long = "a".repeat(41);
    let rooms = "rooms:\n  Board: {}\n  a-b: {}\n  \"1800\": {}\n  hangup: {}\n";
    insta::assert_snapshot!(problems(&format!("{rooms}  {long}: {{}}\n  ok_1: {{ max: 1 }}\n  lobby: {{ max: 101 }}\n")), @r"
    5:11 duplicate-name: `lobby` is a phone and a room
      rename one of them: a route that names it could mean either; upper and lower case do not matter
    7:3 invalid-object-name: a room cannot be called `Board`
      use lower-case letters, digits and `_`, starting with a letter, at most 40 characters; `name:` takes any text
    8:3 invalid-object-name: a room cannot be called `a-b`
      use lower-case letters, digits and `_`, starting with a letter, at most 40 characters; `name:` takes any text
    9:3 invalid-object-name: a room cannot be called `1800`
      use lower-case letters, digits and `_`, starting with a letter, at most 40 characters; `name:` takes any text
    10:3 reserved-name: a room cannot be called `hangup`
      choose another name
    11:3 invalid-object-name: a room cannot be called `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
      use lower-case letters, digits and `_`, starting with a letter, at most 40 characters; `name:` takes any text
    12:16 out-of-bounds: a room does not hold 1 callers
      `max` goes from 2 to 100
    13:17 out-of-bounds: a room does not hold 101 callers
      `max` goes from 2 to 100
    ");
}

#[test]
fn a_name_that_a_route_lacks_is_told_with_rooms_among_those_declared() {
    insta::assert_snapshot!(problems("rooms: { board: {} }\ndefault_route: [bord]\n"), @r"
    7:17 unknown-reference: no such dialer, room or phone: `bord`
      did you mean `board`?
    ");
}

/// A call through Twilio comes to a room by way of the host of the phones.
#[test]
fn a_room_that_twilio_cannot_reach_is_told() {
    insta::assert_snapshot!(problems("rooms: { board: {} }\ndefault_route: [board]\n"), @r"
    7:17 unreachable-user: a call through Twilio cannot reach `board`, and goes to the next target
      add `public_sip_host:`, the name under which the phones are reached from outside
    ");
    assert_eq!(problems("public_sip_host: pbx.example.com\nrooms: { board: {} }\ndefault_route: [board]\n"), "");
    assert_eq!(problems("rooms: { board: { extension: 1800 } }\n"), "", "phones reach it");
}

/// Asterisk keeps the rooms of all tenants in one list: with a hyphen between slug and name, callers of two tenants met.
#[test]
fn no_two_tenants_name_the_same_room() {
    let named = |slug: &str, room: &str| {
        conference_name(&slug.parse::<Tenant>().unwrap(), &name(room)).map(|name| name.to_string())
    };
    assert_eq!(named("acme", "b_board").unwrap(), "acme_b_board");
    assert_ne!(named("acme", "b_board").unwrap(), named("acme-b", "board").unwrap());
    assert!("acme_b".parse::<Tenant>().is_err(), "a slug has no `_`");
    assert_eq!(named(&"a".repeat(28), &"b".repeat(40)).unwrap().len(), 69);
    assert_eq!(sip_user(&name("board")), "room_board");
}
