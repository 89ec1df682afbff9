//! What calls to voicemail boxes are answered with.

use super::*;
use crate::desired::load_text;

/// A tenant whose number goes to `route`; Bo has the box 1, and there is a shared one with the number 2.
fn with_boxes(route: &[&str]) -> LiveRoutes {
    let file = "version: 1\ntenant: acme\nusers: [{ email: bo@example.com, name: Bo }]\n\
                voicemail: { users: true, boxes: { info: { name: Info desk } } }\n";
    let mut applied = tenant("acme", DID, route);
    let declared = load_text("pbx.yaml", file).declared.unwrap();
    applied.routes.boxes = declared.routes.boxes;
    applied.routes.allocate(&Routes::default(), 0);
    applied
}

#[test]
fn a_box_is_dialled_by_sip_and_nothing_behind_it_is_tried() {
    let applied = with_boxes(&["ana@example.com", "info", "zendesk"]);
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    let second = ended(&first, "no-answer", &[]);
    assert_eq!(second.target.as_deref(), Some("info"));
    assert_eq!(dialled(&second).nouns, [Noun::Sip("sip:voicemail-2@pbx.example".to_owned())]);
    assert_eq!(dialled(&second).caller_id.as_deref(), Some("+4930123456"));
    assert_eq!(ended(&second, "failed", &[]).twiml.0, [Verb::Hangup]);
}

#[test]
fn a_box_without_a_host_is_left_out_and_the_next_target_is_tried() {
    let mut applied = with_boxes(&["info", "zendesk"]);
    applied.routes.public_sip_host = None;
    applied.routes.rules[0]
        .route
        .insert(0, Target::Voicemail("bo@example.com".parse::<crate::model::Email>().unwrap().key()));
    let first = call(&tenants(vec![applied]), "+4930123456", DID);
    let why = "is left out: there is no `public_sip_host`";
    assert_eq!(degraded(&first), format!("voicemail:bo@example.com {why}; info {why}"));
    assert_eq!(first.target.as_deref(), Some("zendesk"));
}
