//! Who may: tokens, scopes, and what those hear who may not.

use serde_json::{Value, json};

use super::server::{Answer, Client, Serve, token};
use crate::support::{TestEnv, desired};

const NOBODY: &str = "/users/00000000-0000-4000-8000-000000000000";

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    env
}

/// All that an answer says, apart from which request it answers.
#[track_caller]
fn said(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    answer.error();
    let mut json = answer.json();
    json["error"]["request_id"].take();
    let headers =
        answer.headers.iter().filter(|(name, _)| !["connection", "date", "x-request-id"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (answer.status, json, headers)
}

#[test]
fn every_bad_token_gets_the_same_answer() {
    let (env, elsewhere) = (env(), env());
    let good = token(&env, "portal", "read write apply");
    let revoked = token(&env, "former", "read write apply");
    let serve = Serve::start(&env, "");
    serve.client(&revoked).get("/users").expect(200);
    env.run("token revoke former").expect(0);
    let foreign = token(&elsewhere, "portal", "read write apply");
    let flipped = if good.ends_with('A') { 'E' } else { 'A' };

    let nobody = serve.client("");
    let expected = said(&nobody.get("/users"));
    assert_eq!(
        expected.1["error"],
        json!({ "type": "Unauthorized", "message": "this needs a valid bearer token", "details": [],
                "request_id": null })
    );
    let challenge = ("www-authenticate".to_owned(), "Bearer realm=\"reconcile\"".to_owned());
    assert!(expected.2.contains(&challenge), "{:?}", expected.2);
    let with = |value: &str| nobody.with("Authorization", value);
    let mut clients: Vec<(String, Client)> = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        good.clone(),
        format!("Bearer{good}"),
        format!("Basic {good}"),
        format!("Token {good}"),
        format!("Bearer token={good}"),
        format!("Bearer \"{good}\""),
        format!("Bearer {good} x"),
        format!("Bearer {good},Bearer {good}"),
        format!("Bearer {}", &good[..46]),
        format!("Bearer {good}A"),
        format!("Bearer {}{flipped}", &good[..46]),
        format!("Bearer {}{}", &good[..14], &revoked[14..]),
        format!("Bearer {revoked}"),
        format!("Bearer {foreign}"),
        "Bearer rct_".to_owned(),
        "Bearer portal".to_owned(),
        format!("Bearer {}", "A".repeat(5000)),
    ]
    .into_iter()
    .map(|value| (value.clone(), with(&value)))
    .collect();
    clients.push(("two headers".to_owned(), serve.client(&good).with("Authorization", &format!("Bearer {good}"))));
    clients.push(("two, one good".to_owned(), with("Basic YTpi").with("Authorization", &format!("Bearer {good}"))));
    for (which, client) in &clients {
        let answers =
            [client.get("/users"), client.get(NOBODY), client.delete(NOBODY), client.apply(""), client.get("/metrics")];
        for answer in answers {
            assert_eq!(said(&answer), expected, "{which}");
        }
        // Not even whether the body makes sense.
        assert_eq!(said(&client.send("POST", "/users", Some(b"{"))), expected, "{which}");
    }
    assert_eq!(nobody.get(&format!("/users?access_token={good}")).expect(401).error(), "Unauthorized");
    let known = nobody.with("Cookie", &format!("token={good}")).with("X-Api-Key", &good);
    assert_eq!(said(&known.get("/users")), expected);
    // The scheme's case does not matter.
    for scheme in ["Bearer", "bearer", "BEARER"] {
        with(&format!("{scheme} {good}")).get("/users").expect(200);
    }
}

#[test]
fn every_route_needs_a_token_but_those_that_say_nothing() {
    let mut env = env();
    env.set("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef");
    let serve = Serve::start(&env, "");
    assert!(serve.url.starts_with("http://127.0.0.1:"), "on loopback, too");
    let nobody = serve.client("");
    let document = nobody.get("/openapi.json").expect(200).json();
    let mut open = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let body = (method == "post").then_some(b"{}".as_slice());
            let place = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
            let answer = nobody.send(&method.to_uppercase(), &place, body);
            match answer.status {
                401 => assert_eq!(answer.error(), "Unauthorized"),
                // The provider's signature is its token.
                403 if path.starts_with("/webhooks/") => assert_eq!(answer.error(), "SignatureMissing"),
                _ => open.push(format!("{method} {path} {}", answer.status)),
            }
        }
    }
    assert_eq!(open, ["get /healthz 200", "get /readyz 200"]);
    for page in ["/docs", "/docs/", "/docs/swagger-ui-bundle.js", "/openapi.json"] {
        let answer = nobody.get(page).expect(200);
        assert!(!answer.text.contains("acme"), "{page}");
    }
}

#[test]
fn a_token_does_what_its_scopes_say_and_no_more() {
    let env = env();
    let tokens = ["read", "write", "apply"].map(|scope| token(&env, &format!("only-{scope}"), scope));
    let serve = Serve::start(&env, "");
    let clients = tokens.map(|token| serve.client(&token));
    let body = b"{}".as_slice();
    for (method, path, body, scope) in [
        ("GET", "/users", None, "read"),
        ("GET", NOBODY, None, "read"),
        ("GET", "/metrics", None, "read"),
        ("POST", "/users", Some(body), "write"),
        ("DELETE", NOBODY, None, "write"),
        ("POST", "/apply?dry_run=maybe", Some(body), "apply"),
    ] {
        for (client, has) in clients.iter().zip(["read", "write", "apply"]) {
            let answer = client.send(method, path, body);
            if has == scope {
                assert!(![401, 403].contains(&answer.status), "{method} {path}: {}", answer.text);
                continue;
            }
            let answer = answer.expect(403);
            assert_eq!(
                answer.json()["error"],
                json!({ "type": "Forbidden", "message": format!("this needs a token with the scope `{scope}`"),
                        "details": [], "request_id": answer.header("x-request-id") })
            );
            let challenge = format!("Bearer realm=\"reconcile\", error=\"insufficient_scope\", scope=\"{scope}\"");
            assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
        }
    }
}

#[test]
fn a_token_is_rejected_everywhere_from_the_moment_it_is_revoked() {
    let env = env();
    let text = token(&env, "portal", "read");
    let (one, two) = (Serve::start(&env, ""), Serve::start(&env, ""));
    let clients = [one.client(&text), two.client(&text)];
    let all = |status| {
        for client in &clients {
            client.get("/users").expect(status);
        }
    };
    all(200);
    env.run("token revoke portal").expect(0);
    all(401);
    // One of the same name is another token.
    let renewed = token(&env, "portal", "read");
    one.client(&renewed).get("/users").expect(200);
    all(401);
}

#[test]
fn the_audit_log_and_the_log_name_the_token() {
    let env = env();
    let text = token(&env, "portal", "write");
    let mut serve = Serve::start(&env, "");
    let portal = serve.client(&text);
    let made = portal.post("/users", &json!({ "name": "Ana", "email": "ana@example.com" })).expect(201);
    portal.delete(made.header("location").unwrap()).expect(204);
    portal.with("X-Request-Id", "forbidden-1").get("/users").expect(403);
    let history: Value = serde_json::from_str(&env.run("history --format json").expect(0).stdout).unwrap();
    let rows: Vec<(&str, &str)> = history["runs"].as_array().unwrap()[..2]
        .iter()
        .map(|run| (run["actor"].as_str().unwrap(), run["command"].as_str().unwrap()))
        .collect();
    assert_eq!(rows, [("token portal", "delete user"), ("token portal", "create user")]);
    let line: Value = serde_json::from_str(&serve.says("\"forbidden-1\"")).unwrap();
    assert!(line.to_string().contains("\"actor\":\"token portal\""), "{line}");
    assert!(!serve.log().contains("ana@example.com"), "people are kept out of the log");
}
