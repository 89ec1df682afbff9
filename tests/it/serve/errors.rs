//! Errors have one form, wherever they come from, and are found in the log by the request's id.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use reconcile::directory::{Directory, Url};
use serde_json::{Value, json};

use super::server::{Answer, Client, Serve, token};
use crate::support::{TestEnv, desired, until};

fn portal() -> (TestEnv, Serve, Client) {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let client = serve.client(&token);
    (env, serve, client)
}

/// Sends bytes as they are; answers with all that comes back.
fn raw(serve: &Serve, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(serve.url.trim_start_matches("http://")).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// The lines of the log that belong to a request, once it was answered.
fn lines(serve: &mut Serve, id: &str) -> Vec<Value> {
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let quoted = format!("\"{id}\"");
    loop {
        let log = serve.log();
        let lines: Vec<Value> = log
            .lines()
            .filter(|line| line.contains(&quoted))
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .collect();
        if lines.iter().any(|line| line.to_string().contains("\"answered\"")) {
            return lines;
        }
        assert!(std::time::Instant::now() < until, "never answered {id}: {log}");
        thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// How many writers wait for a tenant.
fn waiting(env: &TestEnv) -> i64 {
    let statement = "select count(*) from pg_locks join pg_database d on d.oid = database
                     where locktype = 'advisory' and not granted and datname = current_database()";
    env.sql().query_one(statement, &[]).unwrap().get(0)
}

#[test]
fn unknown_paths_and_wrong_methods() {
    let (_env, serve, portal) = portal();
    for client in [&portal, &serve.client("")] {
        for path in [
            "/",
            "/user",
            "/users/",
            "/users/a/b",
            "//users",
            "/USERS",
            "/apply/1",
            "/../etc/passwd",
            "/%00",
            "/docs/none",
        ] {
            let answer = client.get(path).expect(404);
            assert_eq!(answer.error(), "NotFound", "{path}");
            assert!(!answer.text.contains("passwd"), "what was asked for is not repeated");
        }
        for (method, path, allow) in [
            ("PUT", "/users", "GET,HEAD,POST"),
            ("PATCH", "/users", "GET,HEAD,POST"),
            ("PUT", "/users/00000000-0000-4000-8000-000000000000", "DELETE,GET,HEAD"),
            ("POST", "/users/00000000-0000-4000-8000-000000000000", "DELETE,GET,HEAD"),
            ("OPTIONS", "/users", "GET,HEAD,POST"),
            ("GET", "/apply", "POST"),
            ("POST", "/healthz", "GET,HEAD"),
            ("DELETE", "/openapi.json", "GET,HEAD"),
        ] {
            let body = ["PUT", "PATCH", "POST"].contains(&method).then_some(b"".as_slice());
            let answer = client.send(method, path, body).expect(405);
            assert_eq!(answer.error(), "MethodNotAllowed");
            let allowed: BTreeSet<&str> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
            assert_eq!(allowed, allow.split(',').collect(), "{method} {path}");
        }
    }
    let head = portal.send("HEAD", "/users", None).expect(200);
    assert_eq!((head.text.as_str(), head.header("content-type")), ("", Some("application/json")));
    assert_eq!(serve.client("").send("HEAD", "/users", None).expect(401).text, "");
}

#[test]
fn a_body_that_cannot_be_read() {
    let (_env, _serve, portal) = portal();
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let deep_name = format!(r#"{{"name":{deep},"email":"a@b"}}"#);
    let unknown = format!(r#"{{"name":"Ana","email":"a@b","x":{}1{}}}"#, r#"{"x":"#.repeat(500), "}".repeat(500));
    for (body, message) in [
        ("", "the body is empty: send a JSON object"),
        (" \n\t", "the body is empty: send a JSON object"),
        ("{", "the body cannot be read as JSON: see line 1 column 1"),
        ("{'name': 'Ana'}", "the body cannot be read as JSON: see line 1 column 2"),
        ("{\n\"name\": hunter2\n}", "the body cannot be read as JSON: see line 2 column 9"),
        ("{} {}", "the body cannot be read as JSON: see line 1 column 4"),
        ("{\"name\": \"a\nb\"}", ""),
        (r#"{"name": "\ud800", "email": "a@b"}"#, ""),
        (r#"{"extension": 1e999}"#, ""),
        (r#"{"extension": NaN}"#, ""),
        (r#"{"extension": 0x10}"#, ""),
        (r#"{"extension": 01042}"#, ""),
        ("{\"name\": \"Ana\",}", ""),
        ("\u{feff}{}", ""),
        (&deep_name, ""),
        (&unknown, ""),
    ] {
        let answer = portal.send("POST", "/users", Some(body.as_bytes())).expect(400);
        assert_eq!(answer.error(), "BadRequest");
        let said = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            said == message || message.is_empty() && said.starts_with("the body cannot be read as JSON: see line "),
            "{said}"
        );
        assert!(!answer.text.contains("hunter2"), "what stands there is not repeated");
    }
    // JSON, but no object.
    for body in ["[]", "null", "7", "true", r#""hunter2 hunter2""#, r#"[{"name":"Ana","email":"ana@example.com"}]"#] {
        let answer = portal.send("POST", "/users", Some(body.as_bytes())).expect(422);
        assert_eq!(answer.error(), "ValidationError");
        assert_eq!(
            answer.json()["error"]["details"],
            json!([{ "field": "body", "message": "the body is not a JSON object" }]),
            "{body}"
        );
    }
    for (bytes, at) in [
        (b"{\"name\": \"\xff\"}".as_slice(), 11),
        (b"\xfe\xff\0{", 1),
        (b"{\"name\": \"\xed\xa0\x80\"}", 11),
        (b"{\"name\": \"\xc0\x80\"}", 11),
    ] {
        let answer = portal.send("POST", "/users", Some(bytes)).expect(422);
        assert_eq!(
            answer.json()["error"]["details"],
            json!([{ "field": "body", "message": format!("the body is not UTF-8: see byte {at}") }])
        );
    }
}

#[test]
fn a_body_of_another_kind_or_too_large() {
    let (_env, _serve, portal) = portal();
    let body = br#"{"name":"Ana","email":"ana@example.com"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "json",
        "",
        "multipart/form-data; boundary=x",
        "text/json",
    ] {
        let answer = portal.with("Content-Type", kind).send("POST", "/users", Some(body)).expect(415);
        assert_eq!(answer.error(), "UnsupportedMediaType", "{kind}");
        assert_eq!(answer.json()["error"]["message"], "send JSON, as `Content-Type: application/json`");
    }
    let pad = |size: usize| {
        let mut text = body.to_vec();
        text.resize(size, b' ');
        text
    };
    let answer = portal.send("POST", "/users", Some(&pad(64 * 1024 + 1))).expect(413);
    assert_eq!(answer.error(), "PayloadTooLarge");
    assert_eq!(answer.json()["error"]["message"], "the body is larger than 64 KiB");
    let largest = portal.with("Content-Type", "APPLICATION/JSON ; charset=utf-8");
    largest.send("POST", "/users", Some(&pad(64 * 1024))).expect(201);
    let chunked = portal.with("Transfer-Encoding", "chunked");
    assert_eq!(chunked.send("POST", "/users", Some(&pad(64 * 1024 + 1))).expect(413).error(), "PayloadTooLarge");
}

#[test]
fn the_clients_request_id_is_taken_where_it_is_well_formed() {
    let (_env, mut serve, portal) = portal();
    let longest = "x".repeat(128);
    for id in ["7f.A_b-c:1", "0", &longest] {
        for (method, path, status) in [("GET", "/users", 200), ("GET", "/none", 404), ("PUT", "/users", 405)] {
            let body = (method == "PUT").then_some(b"".as_slice());
            let answer = portal.with("X-Request-Id", id).send(method, path, body).expect(status);
            assert_eq!(answer.header("x-request-id"), Some(id));
        }
    }
    let too_long = "x".repeat(129);
    for id in ["", "a b", "a\"b", "a,b", "<a>", "a@b", "{a}", &too_long] {
        let answer = portal.with("X-Request-Id", id).get("/users").expect(200);
        let made = answer.header("x-request-id").unwrap();
        assert!(made != id && made.len() == 36, "{id}: {made}");
    }
    let two = portal.with("X-Request-Id", "one").with("X-Request-Id", "two").get("/users").expect(200);
    assert_eq!(two.headers.get_all("x-request-id").iter().count(), 1);
    assert_eq!(two.header("x-request-id").map(str::len), Some(36));
    // Bytes that are no text are no id, no key and no token.
    for header in ["X-Request-Id", "Idempotency-Key", "Authorization", "Content-Type"] {
        let mut request =
            format!("POST /users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n{header}: ")
                .into_bytes();
        request.extend(b"a\xff\xe9\r\n\r\n{}");
        let answer = raw(&serve, &request);
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("\"Unauthorized\""), "{header}: {answer}");
    }
    // A good one stands in the log; none of the others does.
    assert!(!lines(&mut serve, &longest).is_empty());
    let log = serve.log();
    assert!(!log.contains("a\\\"b") && !log.contains(&too_long), "{log}");
}

#[test]
fn the_log_says_what_became_of_a_request_by_its_id() {
    let (_env, mut serve, portal) = portal();
    let made =
        portal.with("X-Request-Id", "make-1").post("/users", &json!({ "name": "Ana", "email": "ana@example.com" }));
    let path = made.expect(201).header("location").unwrap().to_owned();
    portal.with("X-Request-Id", "see-1").get(&path).expect(200);
    portal.with("X-Request-Id", "lost-1").get("/no/such/path?token=x").expect(404);
    for (id, method, route, status, actor) in [
        ("make-1", "POST", "/users", 201, "token portal"),
        ("see-1", "GET", "/users/{id}", 200, "token portal"),
        ("lost-1", "GET", "none", 404, ""),
    ] {
        let found = lines(&mut serve, id);
        assert_eq!(found.len(), 1, "{found:?}");
        let fields = &found[0];
        assert_eq!(
            (&fields["request_id"], &fields["method"], &fields["route"], &fields["status"], &fields["actor"]),
            (&json!(id), &json!(method), &json!(route), &json!(status), &json!(actor)),
            "{found:?}"
        );
        assert!(fields["duration_ms"].is_u64());
    }
}

/// Users of concurrent requests share a transaction: what one of them breaks on is told to it alone,
/// and logged under its own id. Before, it was logged under none.
#[test]
fn an_internal_error_is_logged_by_the_requests_id_and_not_sent() {
    let (env, mut serve, portal) = portal();
    env.sql().batch_execute("alter table users add constraint secret_rule check (name <> 'Broken')").unwrap();
    let answers: Vec<(usize, u16, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..12)
            .map(|n| {
                let client = portal.with("X-Request-Id", &format!("req-{n}"));
                let name = if n % 4 == 0 { "Broken" } else { "Fine" };
                scope.spawn(move || {
                    let answer = client.post("/users", &json!({ "name": name, "email": format!("u{n}@example.com") }));
                    if n % 4 == 0 {
                        assert_eq!(answer.error(), "InternalServerError");
                    }
                    (n, answer.status, answer.text)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, status, text) in answers {
        let found = lines(&mut serve, &format!("req-{n}"));
        let errors: Vec<&Value> = found.iter().filter(|line| line["level"] == "ERROR").collect();
        if n % 4 != 0 {
            assert_eq!((status, errors.len()), (201, 0), "{text} {found:?}");
            continue;
        }
        assert_eq!((status, errors.len()), (500, 1), "{found:?}");
        assert!(errors[0].to_string().contains("secret_rule"), "{found:?}");
        assert!(!text.contains("secret_rule") && !text.contains("constraint"), "{text}");
        let message = "something went wrong; the server's log says what, by the request id";
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["error"]["message"], message);
    }
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 9);
    // The same where one request is alone with it.
    env.sql().batch_execute("alter table extensions rename to elsewhere").unwrap();
    let answer = portal.with("X-Request-Id", "list-1").get("/users").expect(500);
    assert_eq!(answer.error(), "InternalServerError");
    let found = lines(&mut serve, "list-1");
    assert!(found.iter().any(|line| line["level"] == "ERROR" && line.to_string().contains("extensions")), "{found:?}");
}

/// The deadline of the request was as long as a writer waits for its turn: the client heard that it took
/// too long, and could not know whether the user was made.
#[test]
fn a_locked_tenant_is_reported_as_locked() {
    let (env, _serve, portal) = portal();
    let mut directory = Directory::connect(Url::parse(env.database.as_ref().unwrap()).unwrap()).unwrap();
    let writer = directory.write(&"acme".parse().unwrap()).unwrap();
    let nobody = "/users/00000000-0000-4000-8000-000000000000";
    let ana = json!({ "name": "Ana", "email": "ana@example.com" });
    thread::scope(|scope| {
        for answer in [scope.spawn(|| portal.post("/users", &ana)), scope.spawn(|| portal.delete(nobody))] {
            let answer = answer.join().unwrap().expect(503);
            assert_eq!(answer.error(), "DatabaseUnavailable");
            let message = "another writer keeps the tenant; nothing was changed";
            assert_eq!(answer.json()["error"]["message"], message);
            assert_eq!(answer.header("retry-after"), Some("5"));
        }
        // Whoever only looks is not kept waiting.
        assert_eq!(portal.get("/users").expect(200).json()["users"], json!([]));
    });
    drop(writer);
    portal.post("/users", &ana).expect(201);
}

/// Eight deletes on a tenant that somebody kept held all connections: whoever asked for another
/// tenant, or whether the server is ready, heard that the database cannot be used.
#[test]
fn a_locked_tenant_holds_up_no_other() {
    let (env, serve, portal) = portal();
    let other = env.run("token new other --tenant other --scope read").expect(0).stdout;
    let other = serve.client(other.trim_end());
    let mut directory = Directory::connect(Url::parse(env.database.as_ref().unwrap()).unwrap()).unwrap();
    let writer = directory.write(&"acme".parse().unwrap()).unwrap();
    let waiting = || waiting(&env);
    thread::scope(|scope| {
        let deletes: Vec<_> = (0..20)
            .map(|number| format!("/users/00000000-0000-4000-8000-0000000000{number:02}"))
            .map(|path| {
                let portal = &portal;
                scope.spawn(move || portal.delete(&path))
            })
            .collect();
        until("a delete waits", || waiting() > 0);
        thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        other.get("/users").expect(200);
        serve.client("").get("/readyz").expect(200);
        portal.get("/users").expect(200);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(waiting(), 1);
        // Whose turn did not come hears so, and the one whose turn it was does its work.
        let heard = |delete: thread::ScopedJoinHandle<'_, Answer>| delete.join().unwrap();
        thread::sleep(Duration::from_secs(9));
        drop(writer);
        let mut statuses: Vec<u16> = deletes.into_iter().map(|delete| heard(delete).status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![404], vec![503; 19]].concat());
    });
}

/// Each tenant's writer opened a connection of its own, until the database had none left for anybody;
/// and all of them stayed open.
#[test]
fn writers_of_many_tenants_leave_the_database_to_others() {
    const TENANTS: usize = 40;
    let (env, serve, portal) = portal();
    let mut sql = env.sql();
    let mut writers = Vec::new();
    for number in 0..TENANTS {
        let made = env.run(&format!("token new portal --tenant t{number} --scope write")).expect(0).stdout;
        writers.push(serve.client(made.trim_end()));
    }
    let connections = "select count(*) from pg_stat_activity where application_name = 'reconcile'
                       and datname = current_database()";
    let mut count = || sql.query_one(connections, &[]).unwrap().get::<_, i64>(0);
    // All of them wait: somebody keeps their tenants.
    let open = || Directory::connect(Url::parse(env.database.as_ref().unwrap()).unwrap()).unwrap();
    let mut keepers: Vec<Directory> = (0..TENANTS).map(|_| open()).collect();
    let kept: Vec<_> = keepers
        .iter_mut()
        .enumerate()
        .map(|(number, keeper)| keeper.write(&format!("t{number}").parse().unwrap()).unwrap())
        .collect();
    let ours = i64::try_from(TENANTS).unwrap();
    let ana = json!({ "name": "Ana", "email": "ana@example.com" });
    thread::scope(|scope| {
        let creates: Vec<_> = writers
            .iter()
            .map(|writer| {
                let ana = &ana;
                scope.spawn(move || writer.post("/users", ana))
            })
            .collect();
        until("writers wait", || waiting(&env) >= 16);
        thread::sleep(Duration::from_secs(1));
        assert_eq!(waiting(&env), 16);
        portal.get("/users").expect(200);
        // For those who read and those who write, and two that the server keeps for itself.
        assert!(count() - ours <= 8 + 16 + 2, "{}", count() - ours);
        drop(kept);
        for create in creates {
            assert_eq!(create.join().unwrap().expect(409).error(), "TenantNotRecorded");
        }
    });
    drop(keepers);
    until("the crowd's connections are closed", || count() <= 8 + 2);
}

/// Of a request whose client had gone, the log and the metrics knew nothing, whatever it did.
#[test]
fn a_request_whose_client_goes_away_leaves_its_line() {
    let (env, mut serve, portal) = portal();
    let token = token(&env, "leaver", "write");
    let mut directory = Directory::connect(Url::parse(env.database.as_ref().unwrap()).unwrap()).unwrap();
    let writer = directory.write(&"acme".parse().unwrap()).unwrap();
    let body = r#"{"name":"Ana","email":"ana@example.com"}"#;
    let mut stream = TcpStream::connect(serve.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /users HTTP/1.1\r\nHost: x\r\nX-Request-Id: left-1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    until("the create waits", || waiting(&env) > 0);
    drop(stream);
    let line: Value = serde_json::from_str(&serve.says("the client went away")).unwrap();
    assert_eq!((&line["request_id"], &line["actor"]), (&json!("left-1"), &json!("token leaver")), "{line}");
    assert_eq!((&line["status"], &line["route"], &line["method"]), (&json!(499), &json!("/users"), &json!("POST")));
    drop(writer);
    let metrics = portal.get("/metrics").expect(200).text;
    let counted = r#"reconcile_http_requests_total{method="POST",route="/users",status="499"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

/// The connection was closed without a word, and the client's next request on it had no answer.
#[test]
fn a_refusal_before_the_body_came_ends_the_connection_in_good_order() {
    let (env, serve, portal) = portal();
    for (method, path, status) in [("POST", "/users", 401), ("POST", "/none", 404), ("PUT", "/users", 405)] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
        // Nothing of the body comes: the answer does, and the end.
        let answer = raw(&serve, format!("{head}Content-Length: 2\r\n\r\n").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    // The same wherever a body is not looked at, whatever the answer is.
    let token = token(&env, "other", "read write");
    let nobody = "/users/00000000-0000-4000-8000-000000000000";
    for (method, path, status) in
        [("POST", "/users?x=1", 422), ("DELETE", nobody, 400), ("DELETE", "/users/1", 400), ("GET", "/users", 400)]
    {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
        let answer = raw(&serve, format!("{head}Content-Length: 2\r\n\r\n").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    // Whoever is refused and asks again on the same connection has an answer each time.
    let nobody = serve.client("");
    for _ in 0..50 {
        nobody.send("POST", "/users", Some(b"{}")).expect(401);
        nobody.get("/users").expect(401);
    }
    // A body that was read leaves the connection as it is.
    let kept = portal.post("/users", &json!({})).expect(422);
    assert_eq!(kept.header("connection"), None);
}
