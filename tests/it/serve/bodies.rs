//! What a request holds beyond what its operation takes is refused: a client that sends it expects it to
//! matter.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use super::server::{Client, Serve, token};
use crate::support::{TestEnv, desired};

/// Sends a request as it stands; returns the status and the body of the answer.
pub(super) fn raw(serve: &Serve, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(serve.url.trim_start_matches("http://")).unwrap();
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status.unwrap_or_else(|| panic!("no status: {answer}")), body)
}

/// `POST /apply` ignored its body: `{"dry_run": true}` applied for real.
#[test]
fn every_operation_refuses_an_unexpected_body_and_query() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "all", "read write apply calls");
    let serve = Serve::start(&env, "");
    let document = serve.client("").get("/openapi.json").expect(200).json();
    let ask = |method: &str, path: &str, kind: &str, body: &str| {
        let (length, method) = (body.len(), method.to_uppercase());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}"
        );
        let (status, answer) = raw(&serve, &head, body);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        (status, answer["error"]["type"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status, kind: &str| (status, kind.to_owned());
    let mut walked = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let place = path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{sid}", "CA1");
        for (method, operation) in item.as_object().unwrap() {
            let documented = |status: &str| assert!(operation["responses"][status].is_object(), "{method} {path}");
            let content = &operation["requestBody"]["content"];
            if content.is_null() {
                let answer = ask(method, &place, "application/json", r#"{"dry_run":true}"#);
                assert_eq!(answer, refused(400, "UnexpectedBody"), "{method} {path}");
                documented("400");
            } else if content["application/json"].is_object() {
                let answer = ask(method, &place, "application/json", r#"{"surprise":1}"#);
                assert_eq!(answer, refused(422, "ValidationError"), "{method} {path}");
                let answer = ask(method, &place, "text/plain", "dry_run");
                assert_eq!(answer, refused(415, "UnsupportedMediaType"), "{method} {path}");
                ["413", "415", "422"].into_iter().for_each(documented);
            } else {
                // A provider may send more than is known today: all of it is signed.
                assert!(path.starts_with("/webhooks/"), "{method} {path}");
                continue;
            }
            if !path.starts_with("/webhooks/") {
                let body = if content.is_null() { "" } else { "{}" };
                let answer = ask(method, &format!("{place}?surprise=1"), "application/json", body);
                assert_eq!(answer, refused(422, "ValidationError"), "{method} {path}");
                documented("422");
            }
            walked.push(format!("{method} {path}"));
        }
    }
    for operation in ["post /apply", "post /users", "delete /users/{id}", "get /metrics", "get /readyz"] {
        assert!(walked.iter().any(|known| known == operation), "{operation} is not in {walked:?}");
    }
    // The same for the document itself; no path, no opinion about its body.
    assert_eq!(ask("get", "/openapi.json", "text/plain", "x"), refused(400, "UnexpectedBody"));
    assert_eq!(ask("get", "/openapi.json?x=1", "text/plain", ""), refused(422, "ValidationError"));
    assert_eq!(ask("get", "/docs/", "text/plain", "x"), refused(400, "UnexpectedBody"));
    assert_eq!(ask("get", "/none", "text/plain", "x"), refused(404, "NotFound"));
    assert_eq!(ask("patch", "/users", "text/plain", "x"), refused(405, "MethodNotAllowed"));
}

fn details(client: &Client, query: &str, body: &str) -> Vec<(String, String)> {
    let answer = client.send("POST", &format!("/apply{query}"), Some(body.as_bytes())).expect(422);
    assert_eq!(answer.error(), "ValidationError");
    let json = answer.json();
    let text = |detail: &Value, name: &str| detail[name].as_str().unwrap_or_default().to_owned();
    json["error"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| (text(detail, "field"), text(detail, "message")))
        .collect()
}

#[test]
fn options_of_an_apply_may_be_in_the_body_and_must_not_contradict_the_query() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[]));
    env.run("apply").expect(0);
    let token = token(&env, "portal", "write apply");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    portal.post("/users", &json!({ "name": "Ana", "email": "ana@example.com" })).expect(201);
    let apply = |query: &str, body: &str| portal.send("POST", &format!("/apply{query}"), Some(body.as_bytes()));

    let (rows, files) = (env.dump(), env.files());
    let plan = apply("", r#"{"dry_run": true}"#).expect(200).json();
    assert!(plan["format_version"].is_u64(), "{plan}");
    let id = plan["id"].as_str().unwrap();
    apply("?dry_run=true", r#"{"dry_run": true}"#).expect(200);
    assert_eq!(apply("", r#"{"expect": "p1-0000000000000000"}"#).expect(412).error(), "PlanStale");
    for (query, body, expected) in [
        ("?dry_run=false", r#"{"dry_run": true}"#, ("dry_run", "the query and the body contradict each other")),
        ("?dry_run=true", r#"{"dry_run": false}"#, ("dry_run", "the query and the body contradict each other")),
        ("?expect=a", r#"{"expect": "b"}"#, ("expect", "the query and the body contradict each other")),
        ("", r#"{"dry_run": "true"}"#, ("dry_run", "write `true` or `false`")),
        ("", r#"{"dry_run": null}"#, ("dry_run", "write `true` or `false`")),
        ("", r#"{"expect": 1}"#, ("expect", "write the id of a plan")),
        ("", r#"{"dryrun": true}"#, ("body", "there is no field `dryrun`; did you mean `dry_run`?")),
        ("", r#"{"dry_run": false, "dry_run": true}"#, ("body", "the field `dry_run` is given twice")),
        ("", "[]", ("body", "the body is not a JSON object")),
    ] {
        let expected = vec![(expected.0.to_owned(), expected.1.to_owned())];
        assert_eq!(details(&portal, query, body), expected, "{query} {body}");
    }
    assert_eq!(portal.with("Content-Type", "text/plain").send("POST", "/apply", Some(b"dry_run")).status, 415);
    assert_eq!((env.dump(), env.files()), (rows, files), "nothing moved");

    // Without a body, and without a type for it, all is as before.
    let applied = apply("", &json!({ "expect": id }).to_string()).expect(200).json();
    assert_eq!((&applied["outcome"], &applied["plan_id"]), (&json!("live"), &json!(id)));
    portal.with("Content-Type", "application/x-www-form-urlencoded").send("POST", "/apply", Some(b"")).expect(200);
}

#[test]
fn a_request_names_exactly_one_host() {
    let env = TestEnv::new();
    let serve = Serve::start(&env, "");
    for (version, hosts, status) in [
        ("1.1", "Host: a\r\n", 200),
        ("1.0", "", 200),
        ("1.1", "", 400),
        ("1.1", "Host: a\r\nHost: b\r\n", 400),
        ("1.1", "Host: a\r\nhOST: a\r\n", 400),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
    ] {
        let (answered, body) = raw(&serve, &format!("GET /healthz HTTP/{version}\r\n{hosts}Connection: close"), "");
        assert_eq!(answered, status, "{version} {hosts}: {body}");
        assert!(status == 200 || body.contains("\"BadRequest\""), "{body}");
    }
    // The target may be a whole URL (RFC 9112, section 3.2.2), as a proxy writes it.
    for (version, target, host, status) in [
        ("1.1", "http://a:81/healthz", "Host: A:81\r\n", 200),
        ("1.0", "http://a/healthz", "", 200),
        ("1.1", "http://evil.example/healthz", "Host: a\r\n", 400),
        ("1.0", "http://evil.example/healthz", "Host: a\r\n", 400),
        ("1.1", "http://a:81/healthz", "Host: a\r\n", 400),
        ("1.1", "http://evil@a/healthz", "Host: a\r\n", 400),
    ] {
        let (answered, body) = raw(&serve, &format!("GET {target} HTTP/{version}\r\n{host}Connection: close"), "");
        assert_eq!(answered, status, "{version} {target} {host}: {body}");
        assert!(status == 200 || body.contains("names another host"), "{body}");
    }
}
