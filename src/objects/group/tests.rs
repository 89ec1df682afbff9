//! How calls to groups go.

use std::collections::BTreeMap;

use super::{Group, Member, Strategy};
use crate::{
    model::{CallerId, Email, Leg, Node, Ring, UserKey, Who},
    objects::{DefaultRoute, ObjectKind, Routes, Target},
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
