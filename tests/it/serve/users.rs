//! Users over HTTP: made, listed, seen and deleted, whatever is asked for.

use std::{collections::BTreeSet, thread};

use serde_json::{Value, json};

use super::server::{Answer, Client, Serve, token};
use crate::support::{TestEnv, desired};

/// A file with a range and these users.
fn file(extensions: &str, users: &[&str]) -> String {
    desired(users).replace("users:", &format!("extensions: {{ {extensions} }}\nusers:"))
}

/// A server whose tenant's file is recorded, and a client that may read and write.
fn portal(yaml: &str) -> (TestEnv, Serve, Client) {
    let env = TestEnv::new();
    env.write("pbx.yaml", yaml);
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let client = serve.client(&token);
    (env, serve, client)
}

fn ana() -> Value {
    json!({ "name": "Ana", "email": "ana@example.com" })
}

/// Makes somebody of this address; answers with the number.
#[track_caller]
fn number(client: &Client, email: &str) -> u64 {
    let made = client.post("/users", &json!({ "name": "Somebody", "email": email })).expect(201);
    made.json()["extension"].as_u64().unwrap()
}

/// The same client, of another server.
fn at(client: &Client, serve: &Serve) -> Client {
    let mut client = client.clone();
    client.url.clone_from(&serve.url);
    client
}

/// The path of the user with this address.
#[track_caller]
fn path(client: &Client, email: &str) -> String {
    let users = client.get("/users").expect(200).json();
    let user = users["users"].as_array().unwrap().iter().find(|user| user["email"] == email).unwrap().clone();
    format!("/users/{}", user["id"].as_str().unwrap())
}

/// The details of an error, as field and message.
#[track_caller]
fn details(answer: &Answer) -> Vec<(String, String)> {
    let json = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let details = json["error"]["details"].as_array().unwrap();
    details.iter().map(|detail| (text(&detail["field"]), text(&detail["message"]))).collect()
}

/// The fields that an error is about.
#[track_caller]
fn fields(answer: &Answer) -> Vec<String> {
    details(answer).into_iter().map(|(field, _)| field).collect()
}

#[test]
fn a_user_is_made_listed_seen_and_deleted() {
    let (_env, _serve, portal) = portal(&desired(&["email: bo@example.com, name: Bo"]));
    let made = portal.post("/users", &ana()).expect(201);
    let mut user = made.json();
    let id = user["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(format!("/users/{id}").as_str()));
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(made.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(made.header("x-request-id").map(str::len), Some(36));
    // The secret is there, this once.
    let login = user.as_object_mut().unwrap().remove("sip").unwrap();
    assert_eq!(login["secret"].as_str().map(str::len), Some(24));
    assert_eq!(login, json!({ "username": "1001", "secret": login["secret"], "realm": "asterisk" }));
    let expected = json!({
        "id": id, "name": "Ana", "email": "ana@example.com", "extension": 1001, "managed_by": "api",
        "protected": false, "created_at": user["created_at"],
    });
    assert_eq!(user, expected);
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'));

    let listed = portal.get("/users").expect(200);
    assert_eq!(listed.header("cache-control"), Some("no-store"));
    let listed = listed.json();
    assert_eq!(portal.get(&format!("/users/{id}")).expect(200).json(), expected);
    assert_eq!(portal.get(&format!("/users/{}", id.to_uppercase())).expect(200).json(), expected);
    assert_eq!(listed["users"][0]["managed_by"], "file");
    assert_eq!(listed, json!({ "users": [listed["users"][0], expected], "next": null }));

    let gone = portal.delete(&format!("/users/{id}")).expect(204);
    assert_eq!((gone.text.as_str(), gone.header("content-type"), gone.header("content-length")), ("", None, None));
    assert!(gone.header("x-request-id").is_some());
    for again in [portal.delete(&format!("/users/{id}")), portal.get(&format!("/users/{id}"))] {
        let again = again.expect(404);
        assert_eq!(again.error(), "NotFound");
        assert_eq!(again.json()["error"]["message"], format!("there is no user {id}"));
    }
}

#[test]
fn the_lowest_free_number_is_given_and_any_other_on_request() {
    let (_env, _serve, portal) = portal(&file("range: 1000-1005, reserved: [1001], hold: 2d", &[]));
    assert_eq!(number(&portal, "ana@example.com"), 1000);
    assert_eq!(number(&portal, "bo@example.com"), 1002, "1001 is reserved");
    let pinned = |email: &str, number: Value| {
        portal.post("/users", &json!({ "name": "Somebody", "email": email, "extension": number }))
    };
    assert_eq!(pinned("cleo@example.com", json!(1001)).expect(201).json()["extension"], 1001);
    assert_eq!(pinned("dora@example.com", json!(1005.0)).expect(201).json()["extension"], 1005);
    assert_eq!(pinned("eve@example.com", json!(null)).expect(201).json()["extension"], 1003);

    // A number on hold goes back to the same person, and to nobody else.
    portal.delete(&path(&portal, "ana@example.com")).expect(204);
    assert_eq!(number(&portal, "fay@example.com"), 1004);
    let full = portal.post("/users", &json!({ "name": "Gil", "email": "gil@example.com" })).expect(409);
    assert_eq!(full.error(), "RangeExhausted");
    assert_eq!(details(&full), [("extension".to_owned(), "the range 1000-1005 (6 numbers) has none left".to_owned())]);
    assert_eq!(number(&portal, "ANA@example.com"), 1000);
}

#[test]
fn what_somebody_else_has_is_refused_and_nobody_is_named() {
    let (_env, _serve, portal) = portal(&desired(&["email: bo.secretive@example.com, name: Bo, extension: 1500"]));
    portal.post("/users", &ana()).expect(201);
    let again = portal.post("/users", &json!({ "name": "Other", "email": "ANA@Example.com" })).expect(409);
    assert_eq!(again.error(), "EmailTaken");
    assert_eq!(details(&again), [("email".to_owned(), "`ANA@Example.com` is a user already".to_owned())]);
    let taken =
        portal.post("/users", &json!({ "name": "Cleo", "email": "cleo@example.com", "extension": 1500 })).expect(409);
    assert_eq!(taken.error(), "ExtensionTaken");
    assert_eq!(details(&taken), [("extension".to_owned(), "the extension 1500 is taken".to_owned())]);
    assert!(!taken.text.contains("secretive") && !taken.text.contains("Bo"), "{}", taken.text);
    for number in [999, 2000, 1, 99_999_999] {
        let outside = portal
            .post("/users", &json!({ "name": "Cleo", "email": "cleo@example.com", "extension": number }))
            .expect(422);
        assert_eq!(outside.error(), "ValidationError");
        let message = format!("the extension {number} is outside the range 1000-1999");
        assert_eq!(details(&outside), [("extension".to_owned(), message)]);
    }
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 2);
}

#[test]
fn a_tenant_needs_its_file_first() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    assert_eq!(portal.get("/users").expect(200).json(), json!({ "users": [], "next": null }));
    let refused = portal.post("/users", &ana()).expect(409);
    assert_eq!(refused.error(), "TenantNotRecorded");
    assert_eq!(
        refused.json()["error"]["details"],
        json!([{
            "message": "the tenant `acme` is not recorded yet",
            "hint": "run `reconcile sync` or `reconcile apply` with its file once",
        }])
    );
    let nobody = "/users/00000000-0000-4000-8000-000000000000";
    assert_eq!(portal.delete(nobody).expect(404).error(), "NotFound");
    env.run("sync").expect(0);
    assert_eq!(number(&portal, "ana@example.com"), 1000, "at once, without a restart");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    let body = json!({
        "name": "", "email": "nobody", "extension": "1042", "nmae": 1, "admin\u{202e}\n": true,
    });
    let refused = portal.with("Idempotency-Key", "a b").post("/users", &body).expect(422);
    assert_eq!(refused.error(), "ValidationError");
    assert_eq!(refused.json()["error"]["message"], "refused: name, email, extension, Idempotency-Key, body");
    assert_eq!(
        refused.json()["error"]["details"],
        json!([
            { "field": "name", "code": "invalid-name", "message": "the name is empty",
              "hint": "write the name the callee shall see" },
            { "field": "email", "code": "invalid-email", "message": "`nobody` is not an e-mail address",
              "hint": "write it as `name@example.com`" },
            { "field": "extension", "code": "invalid-extension",
              "message": "this is no whole number from 1 to 99999999" },
            { "field": "Idempotency-Key", "message": "this is one key of 1 to 255 visible ASCII characters" },
            { "field": "body",
              "message": "there is no field `admin\\u{202e}\\n`; there are name, email, extension" },
            { "field": "body", "message": "there is no field `nmae`; did you mean `name`?" },
        ])
    );
    let empty = portal.post("/users", &json!({})).expect(422);
    let missing = "this field is missing".to_owned();
    assert_eq!(details(&empty), [("name".to_owned(), missing.clone()), ("email".to_owned(), missing)]);
    // However many are wrong, the answer stays small.
    let many: Value = (0..5000).map(|n| (format!("f{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(fields(&portal.post("/users", &many).expect(422)).len(), 12);
    assert_eq!(portal.get("/users").expect(200).json()["users"], json!([]));
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    for wrong in [json!(null), json!(7), json!(true), json!(["Ana"]), json!({ "first": "Ana" })] {
        let body = json!({ "name": wrong, "email": wrong });
        let refused = portal.post("/users", &body).expect(422);
        let message = "this is no text".to_owned();
        assert_eq!(details(&refused), [("name".to_owned(), message.clone()), ("email".to_owned(), message)]);
    }
    // As JSON writes them, so that nothing is rounded on the way.
    for wrong in [
        "0",
        "-0",
        "-5",
        "1042.5",
        "-1042.0",
        "100000000",
        "4294967296",
        "4294968338",
        "18446744073709551616",
        "1e30",
        "\"1042\"",
        "true",
        "false",
        "[]",
        "[1042]",
        "{}",
        "\"\"",
    ] {
        let body = format!(r#"{{"name":"Ana","email":"ana@example.com","extension":{wrong}}}"#);
        let refused = portal.send("POST", "/users", Some(body.as_bytes())).expect(422);
        assert_eq!((refused.error().as_str(), fields(&refused)), ("ValidationError", vec!["extension".to_owned()]));
        assert_eq!(refused.json()["error"]["details"][0]["code"], "invalid-extension", "{wrong}");
    }
    for whole in ["1042", "1.043e3", "1044.0"] {
        let body = format!(r#"{{"name":"Ana","email":"a{whole}@example.com","extension":{whole}}}"#);
        portal.send("POST", "/users", Some(body.as_bytes())).expect(201);
    }
}

/// Of two values, nobody can know which one is meant: the last one wins in one reader, the first in another.
#[test]
fn a_field_that_stands_there_twice_is_refused() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    for twice in [
        r#"{"name":"Ana","email":"ana@example.com","email":"eve@example.com"}"#,
        r#"{"name":"Ana","email":"ana@example.com","email":"ana@example.com"}"#,
        r#"{"email":"ana@example.com","name":"Ana","\u0065mail":"eve@example.com","email":null}"#,
    ] {
        let refused = portal.send("POST", "/users", Some(twice.as_bytes())).expect(422);
        let message = "the field `email` stands there twice".to_owned();
        assert_eq!(details(&refused), [("body".to_owned(), message)]);
    }
    assert_eq!(portal.get("/users").expect(200).json()["users"], json!([]));
}

#[test]
fn hostile_names_are_refused_or_kept_as_they_are() {
    let (env, _serve, portal) = portal(&file("range: 1000-1999", &[]));
    let long = "x".repeat(10_000);
    let (longest, too_long) = ("🎧".repeat(255), "🎧".repeat(256));
    for refused in [
        "",
        " ",
        "\u{a0}\u{2003}",
        "a\0b",
        "a\nb",
        "a\r\nb",
        "a\u{1b}[31mb",
        "a\u{7f}",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{202e}gpj.exe",
        "a\u{2066}b",
        "a\u{200f}b",
        "\u{feff}a",
        &long,
        &too_long,
    ] {
        let answer = portal.post("/users", &json!({ "name": refused, "email": "ana@example.com" })).expect(422);
        assert_eq!((answer.error().as_str(), fields(&answer)), ("ValidationError", vec!["name".to_owned()]));
        assert_eq!(answer.json()["error"]["details"][0]["code"], "invalid-name");
        assert!(answer.text.len() < 1000, "{}", answer.text.len());
    }
    let kept = [
        "Robert'); DROP TABLE users;--",
        r#"" or ""=""#,
        "$1 $$ %s %n \\0 \\u0041",
        "[general]",
        "#include /etc/passwd",
        "a;b,c|d&e=>f<g>(h)",
        "${SHELL(id)} $[1+1] #{x}",
        "\"Ana\" <sip:ana@example.com>",
        "; comment ;-- block --;",
        "same => n,System(id)",
        "\\",
        "null",
        "Zoë 日本 עברית 👩\u{200d}👩\u{200d}👧",
        &longest,
    ];
    for (n, name) in kept.iter().enumerate() {
        let body = json!({ "name": name, "email": format!("u{n}@example.com") });
        assert_eq!(portal.post("/users", &body).expect(201).json()["name"], *name);
    }
    // Blanks around a name are no part of it.
    let trimmed = portal.post("/users", &json!({ "name": " Ana  Silva ", "email": "ana@example.com" })).expect(201);
    assert_eq!(trimmed.json()["name"], "Ana  Silva");
    let listed = portal.get("/users").expect(200).json();
    let names: Vec<&str> =
        listed["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(names[..kept.len()], kept);
    // Rendered, read back, and nothing left to do.
    env.run("apply --no-reload").expect(0);
    assert!(env.run("plan --no-asterisk").expect(0).stdout.contains("No changes"));
    let sections = env.endpoints("acme").lines().filter(|line| line.trim_end() == "type = endpoint").count();
    assert!(sections <= kept.len() + 3, "{}", env.endpoints("acme"));
}

#[test]
fn hostile_addresses_are_refused_or_kept_as_they_are() {
    let (env, _serve, portal) = portal(&desired(&[]));
    let long = format!("{}@example.com", "x".repeat(10_000));
    let (local, domain) = (format!("{}@example.com", "x".repeat(65)), format!("a@{}.com", "x".repeat(64)));
    for refused in [
        "",
        "ana",
        "@example.com",
        "ana@",
        "ana@@example.com",
        "a b@example.com",
        "ana@exa mple.com",
        " ana@example.com",
        "ana@example.com\n",
        "ana@example.com\0",
        "\"ana\"@example.com",
        "ana;--@example.com",
        "ana@example..com",
        "ana@-example.com",
        "ana@[127.0.0.1]",
        "zoë@example.com",
        "ana@exämple.com",
        "ana\u{202e}@example.com",
        "ana@example.com,bo@example.com",
        "<ana@example.com>",
        &long,
        &local,
        &domain,
    ] {
        let answer = portal.post("/users", &json!({ "name": "Ana", "email": refused })).expect(422);
        assert_eq!((answer.error().as_str(), fields(&answer)), ("ValidationError", vec!["email".to_owned()]));
        assert!(answer.text.len() < 1000, "{}", answer.text);
    }
    let kept =
        ["o'brien+x@example.com", "$x{}|~!#%&*/=?^`@example.com", "#include@example.com", "-@localhost", "A.B@C.de"];
    for email in kept {
        assert_eq!(portal.post("/users", &json!({ "name": "Ana", "email": email })).expect(201).json()["email"], email);
    }
    let listed = portal.get("/users").expect(200).json();
    let emails: Vec<&str> =
        listed["users"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, kept);
    env.run("apply --no-reload").expect(0);
}

#[test]
fn a_key_makes_it_safe_to_send_a_request_again() {
    let (env, serve, portal) = portal(&desired(&[]));
    let keyed = portal.with("Idempotency-Key", "k-1");
    let first = keyed.post("/users", &ana()).expect(201);
    let again = keyed.post("/users", &ana()).expect(201);
    assert_eq!(again.text, first.text, "the secret too");
    assert_eq!(again.header("location"), first.header("location"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    // What asks for the same is the same request, however it is written.
    let same = br#" { "extension": null, "email": "ana@example.com", "name": " Ana " } "#;
    assert_eq!(keyed.send("POST", "/users", Some(same)).expect(201).text, first.text);
    // Another replica knows it, too.
    let replica = Serve::start(&env, "");
    let elsewhere = at(&keyed, &replica);
    assert_eq!(elsewhere.post("/users", &ana()).expect(201).text, first.text);

    for other in [
        json!({ "name": "Ana Silva", "email": "ana@example.com" }),
        json!({ "name": "Ana", "email": "bo@example.com" }),
        json!({ "name": "Ana", "email": "ana@example.com", "extension": 1000 }),
    ] {
        let refused = keyed.post("/users", &other).expect(422);
        assert_eq!(refused.error(), "IdempotencyKeyReused");
        assert_eq!(fields(&refused), ["Idempotency-Key"]);
    }
    // What was refused was not remembered.
    let fresh = portal.with("Idempotency-Key", "k-2");
    assert_eq!(fresh.post("/users", &ana()).expect(409).error(), "EmailTaken");
    fresh.post("/users", &json!({ "name": "Bo", "email": "bo@example.com" })).expect(201);
    // The key is the token's own.
    let second = serve.client(&token(&env, "second", "write")).with("Idempotency-Key", "k-1");
    assert_eq!(second.post("/users", &ana()).expect(409).error(), "EmailTaken");
    second.post("/users", &json!({ "name": "Cleo", "email": "cleo@example.com" })).expect(201);
    // The answer stands after the user is gone, and makes nobody.
    portal.delete(first.header("location").unwrap()).expect(204);
    assert_eq!(keyed.post("/users", &ana()).expect(201).text, first.text);
    assert_eq!(portal.get(first.header("location").unwrap()).expect(404).error(), "NotFound");
}

#[test]
fn a_key_is_one_visible_word() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for key in ["", "a b", "a\tb", &too_long] {
        let refused = portal.with("Idempotency-Key", key).post("/users", &ana()).expect(422);
        assert_eq!(fields(&refused), ["Idempotency-Key"], "{key}");
    }
    let two = portal.with("Idempotency-Key", "a").with("Idempotency-Key", "a");
    assert_eq!(fields(&two.post("/users", &ana()).expect(422)), ["Idempotency-Key"]);
    portal.with("Idempotency-Key", &longest).post("/users", &ana()).expect(201);
    portal.with("idempotency-key", r#""!~'%;--"#).post("/users", &json!({ "name": "B", "email": "b@b" })).expect(201);
}

#[test]
fn one_key_at_once_makes_one_user() {
    let (env, serve, portal) = portal(&desired(&[]));
    let replica = Serve::start(&env, "");
    let keyed = portal.with("Idempotency-Key", "k-1");
    let answers: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let client = at(&keyed, if n % 2 == 0 { &serve } else { &replica });
                scope.spawn(move || client.post("/users", &ana()).expect(201).text)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 1, "all hear the same");
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 1);
}

#[test]
fn sixty_four_at_once_get_the_lowest_numbers_and_nobody_is_refused() {
    // 64 numbers are left: two are reserved, two are somebody's, and one was freed.
    let (env, serve, portal) = portal(&file(
        "range: 1000-1067, reserved: [1003, 1040]",
        &["email: ana@example.com, name: Ana, extension: 1010"],
    ));
    assert_eq!(number(&portal, "bo@example.com"), 1000);
    assert_eq!(number(&portal, "cleo@example.com"), 1001);
    assert_eq!(number(&portal, "dora@example.com"), 1002);
    portal.delete(&path(&portal, "cleo@example.com")).expect(204);
    portal.delete(&path(&portal, "dora@example.com")).expect(204);
    let replica = Serve::start(&env, "");
    let answers: Vec<Value> = thread::scope(|scope| {
        let request = |n| {
            let client = at(&portal, if n % 2 == 0 { &serve } else { &replica });
            let body = json!({ "name": "N", "email": format!("u{n}@example.com") });
            move || client.post("/users", &body).expect(201).json()
        };
        let threads: Vec<_> = (0..64).map(|n| scope.spawn(request(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let numbers: BTreeSet<u64> = answers.iter().map(|user| user["extension"].as_u64().unwrap()).collect();
    let lowest: BTreeSet<u64> = (1000..=1067).filter(|number| ![1000, 1003, 1010, 1040].contains(number)).collect();
    assert_eq!((answers.len(), numbers), (64, lowest));
    let ids: BTreeSet<&str> = answers.iter().map(|user| user["id"].as_str().unwrap()).collect();
    let secrets: BTreeSet<&str> = answers.iter().map(|user| user["sip"]["secret"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), secrets.len()), (64, 64));
    let full = portal.post("/users", &ana()).expect(409);
    assert_eq!(full.error(), "EmailTaken", "what is wrong with the request comes first");
    let full = portal.post("/users", &json!({ "name": "One", "email": "more@example.com" })).expect(409);
    assert_eq!(full.error(), "RangeExhausted");
    assert!(full.text.contains("1000-1067 (68 numbers)"), "{}", full.text);
}

#[test]
fn the_list_is_walked_page_by_page() {
    let (_env, _serve, portal) = portal(&desired(&["email: z@example.com, name: Z, extension: 1500"]));
    for email in ["y@example.com", "x@example.com", "w@example.com", "v@example.com", "u@example.com", "t@example.com"]
    {
        number(&portal, email);
    }
    let all = portal.get("/users").expect(200).json();
    let numbers = |page: &Value| -> Vec<u64> {
        page["users"].as_array().unwrap().iter().map(|user| user["extension"].as_u64().unwrap()).collect()
    };
    assert_eq!((numbers(&all), &all["next"]), (vec![1000, 1001, 1002, 1003, 1004, 1005, 1500], &json!(null)));
    for limit in 1..=8 {
        let (mut walked, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = portal.get(&format!("/users?limit={limit}{after}")).expect(200).json();
            walked.extend(page["users"].as_array().unwrap().clone());
            pages += 1;
            let Some(next) = page["next"].as_u64() else { break };
            after = format!("&after={next}");
        }
        assert_eq!((json!(walked), pages), (all["users"].clone(), 7_usize.div_ceil(limit)));
    }
    assert_eq!(numbers(&portal.get("/users?after=1004").expect(200).json()), [1005, 1500]);
    assert_eq!(numbers(&portal.get("/users?after=99999999&limit=1000000").expect(200).json()), [0; 0]);
    // Whoever is deleted meanwhile is not missed, and whoever comes is found.
    let next = portal.get("/users?limit=2").expect(200).json()["next"].as_u64().unwrap();
    portal.delete(&path(&portal, "x@example.com")).expect(204);
    assert_eq!(numbers(&portal.get(&format!("/users?limit=2&after={next}")).expect(200).json()), [1002, 1003]);
}

#[test]
fn parameters_that_are_wrong_or_unknown_are_refused() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1000001", "limit"),
        ("limit=99999999999", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%00", "limit"),
        ("limit=%ff", "limit"),
        ("after=0", "after"),
        ("after=100000000", "after"),
        ("after=1000'--", "after"),
        ("limit=1&limit=2", "limit"),
        ("offset=5", "offset"),
        ("limit=5&page=2", "page"),
        ("Limit=5", "query"),
        ("%00%0a=5", "query"),
        ("=", "query"),
    ] {
        let refused = portal.get(&format!("/users?{query}")).expect(422);
        assert_eq!(
            (refused.error().as_str(), fields(&refused)),
            ("ValidationError", vec![field.to_owned()]),
            "{query}"
        );
    }
    assert_eq!(fields(&portal.get("/users?limit=0&after=0").expect(422)), ["after", "limit"]);
    portal.get("/users?").expect(200);
    // Who believes in a dry run must not be mistaken.
    let refused = portal.post("/users?dry_run=true", &ana()).expect(422);
    assert_eq!(fields(&refused), ["dry_run"]);
    let made = portal.post("/users", &ana()).expect(201);
    let path = made.header("location").unwrap();
    assert_eq!(fields(&portal.delete(&format!("{path}?dry_run=true")).expect(422)), ["dry_run"]);
    assert_eq!(fields(&portal.get(&format!("{path}?fields=name")).expect(422)), ["fields"]);
    portal.get(path).expect(200);
}

#[test]
fn another_tenants_users_are_unknown() {
    let (env, serve, acme) = portal(&desired(&[]));
    env.write("other.yaml", &desired(&["email: bo@example.com, name: Bo"]).replace("acme", "other"));
    env.run("sync -f other.yaml").expect(0);
    let other = serve.client(&token(&env, "portal --tenant other", "read write"));
    let path = acme.post("/users", &ana()).expect(201).header("location").unwrap().to_owned();
    assert_eq!(other.get(&path).expect(404).error(), "NotFound");
    assert_eq!(other.delete(&path).expect(404).error(), "NotFound");
    acme.get(&path).expect(200);
    let seen = other.get("/users").expect(200);
    assert!(seen.text.contains("bo@example.com") && !seen.text.contains("ana@example.com"), "{}", seen.text);
    // The same address and number is another user there.
    let made = other.post("/users", &ana()).expect(201).json();
    assert_eq!((&made["email"], &made["extension"]), (&json!("ana@example.com"), &json!(1001)));
    assert!(!acme.get("/users").expect(200).text.contains("bo@example.com"));
}

#[test]
fn whom_the_file_declares_is_removed_there() {
    let (_env, _serve, portal) =
        portal(&desired(&["email: ana@example.com, name: Ana", "email: bo@example.com, name: Bo, protected: true"]));
    let declared = portal.delete(&path(&portal, "ana@example.com")).expect(409);
    assert_eq!(declared.error(), "UserDeclared");
    let message = "`ana@example.com` is declared in the desired state";
    assert_eq!(declared.json()["error"]["message"], message);
    assert_eq!(
        declared.json()["error"]["details"][0]["hint"],
        "remove the lines of `ana@example.com` from `users:` in the file of the tenant `acme`, and run `reconcile \
         apply` with it"
    );
    let protected = portal.delete(&path(&portal, "bo@example.com")).expect(409);
    assert_eq!(protected.error(), "UserProtected");
    assert_eq!(
        protected.json()["error"]["details"][0]["hint"],
        "set `protected: false` in the desired state and apply it first"
    );
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 2);
    for wrong in ["1", "ana@example.com", "%ff", "%00", "{id}", "00000000-0000-4000-8000-00000000000", "..%2fhealthz"] {
        for refused in [portal.delete(&format!("/users/{wrong}")), portal.get(&format!("/users/{wrong}"))] {
            let refused = refused.expect(422);
            assert_eq!((refused.error().as_str(), fields(&refused)), ("ValidationError", vec!["id".to_owned()]));
        }
    }
}

#[test]
fn the_file_leaves_the_portals_users_alone_until_it_names_them() {
    let base = desired(&["email: bo@example.com, name: Bo"]);
    let (env, _serve, portal) = portal(&base);
    let made = portal.post("/users", &json!({ "name": "Ana: \"A\" #1", "email": "ana@example.com" })).expect(201);
    let path = made.header("location").unwrap();
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo Li", "email: cleo@example.com, name: Cleo"]));
    env.run("apply --no-reload").expect(0);
    let before = portal.get(path).expect(200).json();
    assert_eq!((&before["managed_by"], &before["extension"]), (&json!("api"), &json!(1001)));

    let lines = env.run("export --users").expect(0).stdout;
    let rendered = env.endpoints("acme");
    env.write(
        "pbx.yaml",
        &(desired(&["email: bo@example.com, name: Bo Li", "email: cleo@example.com, name: Cleo"]) + &lines),
    );
    env.run("apply --no-reload").expect(0);
    let mut adopted = before;
    adopted["managed_by"] = json!("file");
    assert_eq!(portal.get(path).expect(200).json(), adopted, "the same id, number and time");
    assert_eq!(env.endpoints("acme"), rendered, "no phone has to log in again");
    assert_eq!(portal.delete(path).expect(409).error(), "UserDeclared");

    env.write("pbx.yaml", &base);
    env.run("apply --no-reload --allow deletes=9").expect(0);
    portal.get(path).expect(404);
}
