//! Phones that belong to nobody (`id:` in place of `email:`): rows like those of people.

use serde_json::{Value, json};

use super::{
    serve::server::{Serve, token},
    support::{Outcome, TestEnv, desired},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const LOBBY: &str = "id: Lobby, name: Lobby";

/// Lists the tenant's rows: identity, its key, number and whether the row is protected.
fn rows(env: &TestEnv) -> Vec<(String, String, i32, bool)> {
    let rows = env.sql().query(
        "select u.email, u.email_key, e.number, u.protected from users u join extensions e on e.user_id = u.id
         order by e.number",
        &[],
    );
    rows.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

fn row(email: &str, number: i32) -> (String, String, i32, bool) {
    (email.to_owned(), email.to_lowercase(), number, false)
}

fn sync(env: &TestEnv, users: &[&str], flags: &str) -> Outcome {
    env.write("pbx.yaml", &desired(users).replace("users:", "extensions: { hold: 30d }\nusers:"));
    env.run(&format!("sync {flags}"))
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.text()))
}

fn secret(env: &TestEnv, who: &str) -> String {
    json(&env.run(&format!("secret show {who} --format json")).expect(0))["secret"].as_str().unwrap().to_owned()
}

#[test]
fn an_id_is_recorded_where_an_address_is() {
    let env = TestEnv::new();
    sync(&env, &[ANA, LOBBY], "").expect(0);
    assert_eq!(rows(&env), [row("ana@example.com", 1000), row("Lobby", 1001)]);
    // It is the same one in another case.
    sync(&env, &[ANA, "id: LOBBY, name: Lobby"], "").expect(0);
    assert_eq!(rows(&env), [row("ana@example.com", 1000), row("LOBBY", 1001)]);
}

#[test]
fn a_phone_keeps_number_and_secret_when_its_id_becomes_another_id_or_an_address() {
    let env = TestEnv::new();
    sync(&env, &[ANA, LOBBY], "").expect(0);
    let before = secret(&env, "lobby");
    for (users, was, now) in [
        ("id: foyer, name: Lobby, previously: lobby", "Lobby", "foyer"),
        ("email: dora@example.com, name: Dora, previously: foyer", "foyer", "dora@example.com"),
        ("id: desk, name: Desk, previously: dora@example.com", "dora@example.com", "desk"),
    ] {
        let plan = sync(&env, &[ANA, users], "").expect(0).stdout;
        assert!(plan.contains(&format!("was {was}; keeps extension 1001")), "{plan}");
        assert_eq!(rows(&env), [row("ana@example.com", 1000), row(now, 1001)]);
        assert_eq!(secret(&env, now), before);
    }
}

#[test]
fn a_plan_as_json_has_either_an_email_or_a_phone_id() {
    let env = TestEnv::new();
    sync(&env, &[LOBBY], "").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo, previously: lobby", "id: fax, name: Fax"]));
    let plan = json(&env.run("plan --no-asterisk --format json").expect(0));
    let users: Vec<Value> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["object"] == "user")
        .map(|user| json!([user["action"], user["user"]["email"], user["user"]["phone_id"], user["fields"]]))
        .collect();
    let renamed = json!([
        { "field": "email", "before": null, "after": "bo@example.com" },
        { "field": "id", "before": "Lobby", "after": null },
        { "field": "name", "before": "Lobby", "after": "Bo" },
    ]);
    assert_eq!(
        users,
        [
            json!(["create", "ana@example.com", null, []]),
            json!(["rename", "bo@example.com", null, renamed]),
            json!(["create", null, "fax", []]),
        ]
    );
    // A saved plan of phones can be expected.
    std::fs::write(env.path("work/plan.json"), serde_json::to_string(&plan).unwrap()).unwrap();
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo, previously: lobby", "id: fax, name: F"]));
    let stale = env.run("apply --no-reload --expect plan.json").expect(4);
    assert!(stale.stderr.contains("would get other content"), "{}", stale.text());
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo, previously: lobby"]));
    let stale = env.run("apply --no-reload --expect plan.json").expect(4);
    assert!(stale.stderr.contains("only expected: + fax extension 1002"), "{}", stale.text());
}

#[test]
fn a_protected_phone_is_neither_deleted_nor_renumbered_and_its_number_is_held() {
    let env = TestEnv::new();
    sync(&env, &[ANA, "id: lobby, name: Lobby, protected: true"], "").expect(0);
    let stopped = sync(&env, &[ANA], "").expect(3);
    assert!(stopped.stderr.contains("`lobby`"), "{}", stopped.text());
    sync(&env, &[ANA, "id: lobby, name: Lobby, extension: 1500, protected: true"], "").expect(3);
    sync(&env, &[ANA, "id: lobby, name: Lobby"], "").expect(0);
    let plan = sync(&env, &[ANA], "").expect(0).stdout;
    assert!(plan.contains("- lobby  frees extension 1001"), "{plan}");
    // The number goes back to the same id, and to nobody else.
    let plan = sync(&env, &[ANA, "id: fax, name: Fax", "id: LOBBY, name: Lobby"], "").expect(0).stdout;
    assert!(plan.contains("+ LOBBY  extension 1001 (held from before)"), "{plan}");
    assert_eq!(rows(&env), [row("ana@example.com", 1000), row("LOBBY", 1001), row("fax", 1002)]);
}

#[test]
fn commands_that_take_an_address_take_an_id() {
    let env = TestEnv::new();
    sync(&env, &[ANA, LOBBY], "").expect(0);
    let before = secret(&env, "Lobby");
    let text = env.run("secret show lobby").expect(0).stdout;
    assert!(text.starts_with("id        Lobby\nextension 1001\n"), "{text}");
    let shown = json(&env.run("secret show 1001 --format json").expect(0));
    assert_eq!((&shown["email"], &shown["phone_id"]), (&Value::Null, &json!("Lobby")));
    let rotated = env.run("secret rotate lobby").expect(0);
    assert!(rotated.stdout.contains("Rotated: the phone of lobby, extension 1001,"), "{}", rotated.text());
    assert_ne!(secret(&env, "lobby"), before);
    let unknown = env.run("secret show foyer").expect(1);
    assert!(unknown.stderr.contains("`foyer` is not recorded"), "{}", unknown.text());
    let wrong = env.run("secret show front.door!").expect(64);
    assert!(wrong.stderr.contains("neither an e-mail address nor the id of a phone"), "{}", wrong.text());

    let listed = json(&env.run("users lobby --format json").expect(0));
    let expected = json!([{
        "email": null, "phone_id": "Lobby", "extension": 1001, "managed_by": "file", "name": "Lobby", "protected": false
    }]);
    assert_eq!(listed["users"], expected);
    let history = env.run("history 1").expect(0).stdout;
    assert!(history.contains("+ Lobby  extension 1001"), "{history}");
}

#[test]
fn the_portal_shows_phones_of_the_file_and_leaves_them_to_it() {
    let env = TestEnv::new();
    sync(&env, &[LOBBY], "").expect(0);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    let listed = portal.get("/users").expect(200).json();
    let phone = &listed["users"][0];
    assert_eq!((&phone["email"], &phone["phone_id"]), (&Value::Null, &json!("Lobby")));
    let path = format!("/users/{}", phone["id"].as_str().unwrap());
    assert_eq!(portal.get(&path).expect(200).json(), *phone);
    let refused = portal.delete(&path).expect(409);
    assert_eq!(refused.error(), "UserDeclared");
    // An address that begins like the id is another one. An id cannot be made here.
    let made = portal.post("/users", &json!({ "name": "Ana", "email": "lobby@example.com" })).expect(201).json();
    assert_eq!((&made["email"], &made["phone_id"]), (&json!("lobby@example.com"), &Value::Null));
    assert_eq!(portal.post("/users", &json!({ "name": "Fax", "email": "fax" })).expect(422).error(), "ValidationError");
}
