//! What calls to menus are answered with.

use super::*;
use crate::desired::load_text;

/// A tenant whose number goes to `route`, with a menu.
fn with_menu(route: &[&str]) -> LiveRoutes {
    let file = "version: 1\ntenant: acme\nusers: [{ email: bo@example.com, name: Bo }]\n\
                menus: { main: { prompt: beep, digits: { 1: [bo@example.com] } } }\n";
    let mut applied = tenant("acme", DID, route);
    applied.routes.menus = load_text("pbx.yaml", file).declared.unwrap().routes.menus;
    applied
}

#[test]
fn a_menu_is_dialled_by_sip_and_nothing_behind_it_is_tried() {
    let applied = with_menu(&["ana@example.com", "main", "zendesk"]);
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    let second = ended(&first, "no-answer", &[]);
    assert_eq!(second.target.as_deref(), Some("main"));
    assert_eq!(dialled(&second).nouns, [Noun::Sip("sip:menu_main@pbx.example".to_owned())]);
    assert_eq!(ended(&second, "failed", &[]).twiml.0, [Verb::Hangup]);
}

#[test]
fn a_menu_without_a_host_is_left_out_and_the_next_target_is_tried() {
    let mut applied = with_menu(&["main", "zendesk"]);
    applied.routes.public_sip_host = None;
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    assert_eq!(degraded(&first), "main is left out: there is no `public_sip_host`");
    assert_eq!(first.target.as_deref(), Some("zendesk"));
}
