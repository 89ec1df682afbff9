//! Users over HTTP.

use serde_json::json;

use super::server::{Serve, token};
use crate::support::{TestEnv, desired};

#[test]
fn a_user_is_made_listed_seen_and_deleted() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo"]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    let made = portal.post("/users", &json!({ "name": "Ana", "email": "ana@example.com" })).expect(201);
    let user = made.json();
    assert_eq!(made.header("location"), Some(format!("/users/{}", user["id"].as_str().unwrap()).as_str()));
    assert_eq!(
        (&user["name"], &user["email"], &user["extension"], &user["managed_by"]),
        (&json!("Ana"), &json!("ana@example.com"), &json!(1001), &json!("api"))
    );
    assert_eq!(user["sip"]["username"], "1001");
    let listed = portal.get("/users").expect(200).json();
    let seen = portal.get(made.header("location").unwrap()).expect(200).json();
    assert_eq!(listed["users"][1], seen);
    assert_eq!(
        portal.post("/users", &json!({ "name": "Ana", "email": "ANA@example.com" })).expect(409).error(),
        "EmailTaken"
    );
    assert_eq!(portal.delete(made.header("location").unwrap()).expect(204).text, "");
    assert_eq!(portal.get(made.header("location").unwrap()).expect(404).error(), "NotFound");
}
