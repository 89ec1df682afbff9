//! Requests about users that are wrong, or hostile.

use super::*;

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
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
              "hint": "write the name that the called person sees" },
            { "field": "email", "code": "invalid-email", "message": "`nobody` is not an e-mail address",
              "hint": "write it as `name@example.com`" },
            { "field": "extension", "code": "invalid-extension",
              "message": "not a whole number from 1 to 99999999" },
            { "field": "Idempotency-Key", "message": "give one key of 1 to 255 visible ASCII characters" },
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
fn values_of_the_wrong_kind_are_rejected() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    for wrong in [json!(null), json!(7), json!(true), json!(["Ana"]), json!({ "first": "Ana" })] {
        let body = json!({ "name": wrong, "email": wrong });
        let refused = portal.post("/users", &body).expect(422);
        let message = "not a string".to_owned();
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
fn a_field_that_is_given_twice_is_rejected() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    for twice in [
        r#"{"name":"Ana","email":"ana@example.com","email":"eve@example.com"}"#,
        r#"{"name":"Ana","email":"ana@example.com","email":"ana@example.com"}"#,
        r#"{"email":"ana@example.com","name":"Ana","\u0065mail":"eve@example.com","email":null}"#,
    ] {
        let refused = portal.send("POST", "/users", Some(twice.as_bytes())).expect(422);
        let message = "the field `email` is given twice".to_owned();
        assert_eq!(details(&refused), [("body".to_owned(), message)]);
    }
    assert_eq!(portal.get("/users").expect(200).json()["users"], json!([]));
}

#[test]
fn hostile_names_are_rejected_or_kept_as_they_are() {
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
fn hostile_addresses_are_rejected_or_kept_as_they_are() {
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
fn parameters_that_are_wrong_or_unknown_are_rejected() {
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
