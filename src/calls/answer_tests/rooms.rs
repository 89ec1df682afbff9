//! What calls to conference rooms are answered with.

use super::*;
use crate::desired::load_text;

/// A tenant whose number goes to `route`, with a room.
fn with_room(route: &[&str]) -> LiveRoutes {
    let file = "version: 1\ntenant: acme\nusers: [{ email: bo@example.com, name: Bo }]\nrooms: { board: {} }\n";
    let mut applied = tenant("acme", DID, route);
    applied.routes.rooms = load_text("pbx.yaml", file).declared.unwrap().routes.rooms;
    applied
}

#[test]
fn a_room_is_dialled_by_sip_and_nothing_behind_it_is_tried() {
    let applied = with_room(&["ana@example.com", "board", "zendesk"]);
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    let second = ended(&first, "no-answer", &[]);
    assert_eq!(second.target.as_deref(), Some("board"));
    assert_eq!(dialled(&second).nouns, [Noun::Sip("sip:room_board@pbx.example".to_owned())]);
    assert_eq!(dialled(&second).caller_id.as_deref(), Some("+4930123456"));
    assert_eq!(ended(&second, "failed", &[]).twiml.0, [Verb::Hangup]);
}

#[test]
fn a_room_without_a_host_is_left_out_and_the_next_target_is_tried() {
    let mut applied = with_room(&["board", "zendesk"]);
    applied.routes.public_sip_host = None;
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    assert_eq!(degraded(&first), "board is left out: there is no `public_sip_host`");
    assert_eq!(first.target.as_deref(), Some("zendesk"));
}
