//! What calls to groups are answered with.

use super::{
    super::{Gather, confirm},
    *,
};
use crate::objects::{Group, Member, Strategy as Order};

/// A tenant whose number goes to a group of these members, then to `zendesk`.
fn with_group(members: &[&str], ring: Order, no_answer: &[&str]) -> LiveRoutes {
    let mut applied = tenant("acme", DID, &["sales", "zendesk"]);
    let member = |name: &&str| match name.parse() {
        Ok(number) => Member::Number(number),
        Err(_) => Member::User(name.parse::<crate::model::Email>().unwrap().key()),
    };
    let group = Group {
        members: members.iter().map(member).collect(),
        ring,
        time: 20,
        extension: None,
        caller_name: None,
        trunk: None,
        caller_id: CallerId::Called,
        no_answer: no_answer.iter().map(|name| target(name)).collect(),
    };
    applied.routes.groups.insert("sales".parse().unwrap(), group);
    applied
}

#[test]
fn all_members_of_a_group_are_dialled_at_once_and_those_outside_confirm() {
    let applied = with_group(&["ana@example.com", "bo@example.com", "+15550005555"], Order::All, &["fixed"]);
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    let ana = Noun::Sip("sip:1011@pbx.example".to_owned());
    let bo = Noun::Sip("sip:1010@pbx.example".to_owned());
    let dial = dialled(&first);
    assert_eq!(dial.nouns, [ana, bo, Noun::Confirmed("+15550005555".to_owned())]);
    assert_eq!((dial.timeout, dial.caller_id.as_deref()), (20, Some(DID)), "one number is shown to all");
    assert_eq!(dial.confirm, "https://pbx.example/webhooks/twilio/confirm");
    assert_eq!((first.target.as_deref(), degraded(&first).as_str()), (Some("sales"), ""));

    // A mailbox answered, and nobody confirmed: the next one gets the call.
    let second = ended(&first, "completed", &[("DialBridged", "false")]);
    assert_eq!(second.target.as_deref(), Some("fixed"));
    let third = ended(&second, "busy", &[]);
    assert_eq!(third.target.as_deref(), Some("zendesk"));
    assert_eq!(ended(&first, "completed", &[("DialBridged", "true")]).twiml.0, [Verb::Hangup]);
}

#[test]
fn members_in_turn_are_steps_of_their_own_and_phones_alone_see_the_caller() {
    let applied = with_group(&["ana@example.com", "gone@example.com", "bo@example.com"], Order::InTurn, &[]);
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    assert_eq!(degraded(&first), "gone@example.com of sales/2 is left out: there is no such user");
    assert_eq!(dialled(&first).caller_id.as_deref(), Some("+4930123456"));
    let mut reply = first;
    let mut targets = Vec::new();
    while let [Verb::Dial(_)] = &reply.twiml.0[..] {
        targets.extend(reply.target.clone());
        reply = ended(&reply, "no-answer", &[]);
    }
    assert_eq!(targets, ["sales/1", "sales/3", "zendesk"]);
}

/// What a URL cannot name, and what the provider does not dial at once, is told.
#[test]
fn a_group_that_is_too_large_for_the_provider_is_dialled_in_part() {
    let numbers: Vec<String> = (0..50).map(|n| format!("+155500066{n:02}")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let reply = call(&tenants(vec![with_group(&numbers, Order::All, &[])]), "+4930123456", DID);
    assert_eq!(dialled(&reply).nouns.len(), 10);
    assert_eq!(degraded(&reply), "sales is dialled in part: the provider dials 10 at once");
    let mut applied = with_group(&numbers, Order::InTurn, &[]);
    let second = Group { ..applied.routes.groups[&"sales".parse().unwrap()].clone() };
    applied.routes.groups.insert("more".parse().unwrap(), second);
    applied.routes.rules[0].route.insert(1, target("more"));
    let reply = call(&tenants(vec![applied]), "+4930123456", DID);
    assert!(dialled(&reply).action.len() < 4000, "{}", dialled(&reply).action.len());
    assert!(degraded(&reply).ends_with(" is left out, with all behind it: a URL cannot name so many"));
}

#[test]
fn a_person_confirms_by_one_digit() {
    let asks = asked("", &[("CallSid", "CA2")], confirm);
    let [Verb::Gather(Gather { action, timeout: 8, .. }), Verb::Hangup] = &asks.0[..] else { panic!("{asks:?}") };
    assert_eq!(action, "https://pbx.example/webhooks/twilio/confirm");
    assert_eq!(asked("", &[("Digits", "1")], confirm), Response(vec![]));
    for other in ["2", "11", "#"] {
        assert_eq!(asked("", &[("Digits", other)], confirm).0, [Verb::Hangup]);
    }
}
