//! How calls to groups go.

use std::collections::BTreeMap;

use super::{Group, Member, Strategy};
use crate::{
    desired,
    model::{CallerId, Email, Leg, Node, Ring, UserKey, Who},
    objects::{DefaultRoute, ExtensionClaim, Lamp, ObjectKind, Routes, Target},
};

fn user(name: &str) -> UserKey {
    format!("{name}@example.com").parse::<Email>().unwrap().key()
}

fn group(members: &[&str], ring: Strategy, no_answer: &[&str]) -> Group {
    let target = |name: &&str| match *name {
        "busy" => Target::Busy,
        name => Target::Object(name.parse().unwrap()),
    };
    Group {
        members: members.iter().map(|name| Member::User(user(name))).collect(),
        ring,
        time: 20,
        extension: None,
        caller_name: None,
        trunk: None,
        caller_id: CallerId::Default,
        no_answer: no_answer.iter().map(target).collect(),
    }
}

fn routes<const N: usize>(groups: [(&str, Group); N]) -> Routes {
    let groups = groups.map(|(name, group)| (name.parse().unwrap(), group));
    Routes { groups: groups.into(), ..Routes::default() }
}

/// Describes a chain: who rings in each step.
fn steps(routes: &Routes, name: &str) -> Vec<String> {
    let chain = routes.chain(&[Target::Object(name.parse().unwrap())]);
    let step = |node: &Node| match node {
        Node::Ring(Ring { name, who: Who::Members { legs, .. }, seconds: 20 }) => {
            let legs: Vec<String> = legs.iter().map(Leg::to_string).collect();
            format!("{name}: {}", legs.join(" ").replace("@example.com", ""))
        }
        other => format!("{other:?}"),
    };
    chain.0.iter().map(step).collect()
}

/// The chain behind the number of a group was cut without a word.
#[test]
fn a_chain_behind_the_number_of_a_group_is_as_long_as_any_other_at_most() {
    let problems = |groups: usize, extension: &str, rest: &str| {
        let next = |n: usize| if n + 1 < groups { format!("g{}", n + 1) } else { "busy".to_owned() };
        let group = |n: usize| {
            let extension = if n == 0 { extension } else { "" };
            format!("  g{n}: {{ members: [ana@example.com], {extension}no_answer: [{}] }}\n", next(n))
        };
        let groups = (0..groups).map(group).collect::<Vec<_>>().concat();
        let users = "users:\n  - { email: ana@example.com, name: Ana }\n";
        let text = format!("version: 1\ntenant: acme\n{users}{rest}groups:\n{groups}");
        let problems = desired::load_text("pbx.yaml", &text).problems.into_iter();
        problems.map(|problem| (problem.code.as_str(), problem.place.map(|place| place.line))).collect::<Vec<_>>()
    };
    assert_eq!(problems(98, "extension: 1005, ", ""), []);
    assert_eq!(problems(120, "", ""), [], "no call reaches it");
    assert_eq!(problems(120, "extension: 1005, ", ""), [("long-route", Some(6))]);
    let route = "public_sip_host: pbx.example.com\ndefault_route: [g0]\n";
    assert_eq!(problems(120, "", route), [("long-route", Some(6))]);
}

#[test]
fn members_ring_at_once_or_in_turn_and_then_those_behind_them() {
    let routes = routes([
        ("sales", group(&["ana", "bo"], Strategy::All, &["night", "busy"])),
        ("night", group(&["cy", "bo"], Strategy::InTurn, &[])),
    ]);
    assert_eq!(steps(&routes, "sales"), ["sales: ana bo", "night/1: cy", "night/2: bo", "End(Busy)"]);
    assert_eq!(routes.users().len(), 0, "no rule names the group");
    let routes = Routes { default_route: DefaultRoute(vec![Target::Object("sales".parse().unwrap())]), ..routes };
    assert_eq!(routes.users(), ["ana", "bo", "cy"].map(user).into());
}

/// `check` rejects both. What a damaged row holds must not keep the program busy for ever.
#[test]
fn no_chain_is_without_end() {
    let mut around = routes([
        ("sales", group(&["ana"], Strategy::All, &["night"])),
        ("night", group(&["bo"], Strategy::All, &["sales"])),
    ]);
    assert_eq!(steps(&around, "sales")[2..], [r#"Missing(ObjectName("sales"))"#]);
    around.groups.clear();
    for level in 0..60 {
        let next = format!("g{}", level + 1);
        let name = format!("g{level}").parse().unwrap();
        // Each of two ways leads to both of the next level.
        around.groups.insert(name, group(&["ana"], Strategy::All, &[&next, &next]));
    }
    assert_eq!(steps(&around, "g0").len(), Routes::LONGEST);
}

#[test]
fn a_renamed_user_stays_a_member() {
    let routes = routes([("sales", group(&["ana", "bo"], Strategy::All, &[]))]);
    let renamed = routes.readdressed(&BTreeMap::from([(user("bo"), user("bob"))]));
    assert_eq!(steps(&renamed, "sales"), ["sales: ana bob"]);
}

#[test]
fn what_names_a_changed_object_by_way_of_a_group_is_found() {
    let routes = Routes {
        default_route: DefaultRoute(vec![Target::Object("sales".parse().unwrap())]),
        ..routes([("sales", group(&["ana"], Strategy::All, &["desk"]))])
    };
    let found = routes.naming([(ObjectKind::Dialer, "desk".to_owned())].into());
    let found: Vec<String> = found.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    assert_eq!(found, ["dialer desk", "group sales"]);
}

/// A group whose outside number has no trunk was not counted: nothing said that Twilio must be able to reach the phones.
#[test]
fn a_number_without_a_trunk_is_called_by_twilio() {
    let file = |trunk: &str, rule: &str| {
        format!(
            "version: 1\ntenant: acme\nusers: [{{ email: ana@example.com, name: Ana }}]\n\
             trunks: {{ carrier: {{ host: 198.51.100.7 }} }}\n\
             groups: {{ sales: {{ members: [\"+491701234567\"]{trunk} }} }}\n\
             inbound: [{{ to: \"+15559876543\", route: [{rule}] }}]\n"
        )
    };
    let checked = |trunk: &str, rule: &str| {
        let loaded = desired::load_text("pbx.yaml", &file(trunk, rule));
        let codes: Vec<String> = loaded.problems.iter().map(|problem| problem.code.to_string()).collect();
        (codes.join(" "), loaded.declared.unwrap().routes.use_twilio())
    };
    let reached = ", trunk: carrier";
    assert_eq!(checked(reached, "sales, ana@example.com"), (String::new(), false));
    assert_eq!(checked("", "sales, ana@example.com"), ("unreachable-dialer unreachable-user".to_owned(), true));
    // Asterisk rings nobody here.
    assert_eq!(checked("", "sales"), ("unreachable-dialer unreachable-dialer".to_owned(), true));
    assert_eq!(checked(reached, "sales"), (String::new(), false));
}

#[test]
fn phones_reach_a_group_under_its_number_and_its_lamp_shows_its_own_members() {
    let number = |number: u32| Some(ExtensionClaim::Given(number.try_into().unwrap()));
    let night = Group { extension: number(1400), ..group(&["cy", "bo"], Strategy::InTurn, &[]) };
    let sales = Group { extension: number(1500), ..group(&["ana", "bo"], Strategy::All, &["night", "busy"]) };
    let auto = Group { extension: Some(ExtensionClaim::Auto), ..group(&["ana"], Strategy::All, &[]) };
    let mut routes = routes([("sales", sales), ("night", night), ("auto", auto)]);
    let phones = |names: &[&str]| names.iter().map(|name| Lamp::Phone(user(name))).collect::<Vec<_>>();
    let numbered = |routes: &Routes| -> Vec<(u32, String, usize, Vec<Lamp>)> {
        let all = routes.numbered().into_iter();
        all.map(|one| (one.number.number(), one.name.to_string(), one.chain.0.len(), one.lamp)).collect()
    };
    let expected =
        [(1400, "night".to_owned(), 2, phones(&["bo", "cy"])), (1500, "sales".to_owned(), 4, phones(&["ana", "bo"]))];
    assert_eq!(numbered(&routes), expected, "one whose number is not allocated yet is not among them");
    assert!(!routes.is_resolved());
    let of_auto = (ObjectKind::Group, "auto".to_owned());
    routes.set_extensions(|id, _| (*id == of_auto).then(|| number(1001)).flatten());
    assert!(routes.is_resolved());
    assert_eq!(numbered(&routes)[0], (1001, "auto".to_owned(), 1, phones(&["ana"])));
    assert_eq!(routes.users().len(), 0, "nobody outside dials it");
}
