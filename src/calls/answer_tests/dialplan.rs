//! What calls are answered with that go on in the operator's own dialplan.

use super::*;
use crate::model::OperatorsExtension;

/// A tenant whose number goes to `route`, then to an extension of the operator's own, then to `behind`.
fn with_own(route: &[&str], behind: &[&str]) -> LiveRoutes {
    let mut applied = tenant("acme", DID, route);
    let at = OperatorsExtension { context: "ivr".parse().unwrap(), extension: "#9".parse().unwrap() };
    let route = &mut applied.routes.rules[0].route;
    route.push(Target::Dialplan(at));
    route.extend(behind.iter().map(|name| target(name)));
    applied
}

#[test]
fn an_own_extension_is_dialled_by_sip_under_a_name_of_ours_and_nothing_behind_it_is_tried() {
    let applied = with_own(&["ana@example.com"], &["zendesk"]);
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    let second = ended(&first, "no-answer", &[]);
    assert_eq!(second.target.as_deref(), Some("dialplan:#9@ivr"));
    insta::assert_debug_snapshot!(dialled(&second).nouns, @r#"
    [
        Sip(
            "sip:dialplan_a1b1e7b4b3ed@pbx.example",
        ),
    ]
    "#);
    assert_eq!(dialled(&second).caller_id.as_deref(), Some("+4930123456"));
    assert_eq!(ended(&second, "failed", &[]).twiml.0, [Verb::Hangup]);
}

#[test]
fn an_own_extension_without_a_host_is_left_out_and_the_next_target_is_tried() {
    let mut applied = with_own(&[], &["zendesk"]);
    applied.routes.public_sip_host = None;
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    assert_eq!(degraded(&first), "dialplan:#9@ivr is left out: there is no `public_sip_host`");
    assert_eq!(first.target.as_deref(), Some("zendesk"));
}
