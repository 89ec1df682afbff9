//! Hostile clients: slow ones, silent ones, crowds, floods, what is no HTTP, and values that mean
//! something to SQL or Asterisk. The server goes on.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::server::{Serve, token};
use crate::support::{TestEnv, desired, until};

fn connect(serve: &Serve) -> TcpStream {
    let stream = TcpStream::connect(serve.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    stream
}

/// Reads what is answered until the connection ends, however it ends.
fn answer(stream: &mut TcpStream) -> String {
    let (mut heard, mut bytes) = (Vec::new(), [0; 8 * 1024]);
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => heard.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Sends bytes one by one, each after a while, until the other side has had enough; answers with what
/// it said.
fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) -> String {
    let mut sender = stream.try_clone().unwrap();
    thread::scope(|scope| {
        let heard = scope.spawn(|| answer(stream));
        for byte in bytes {
            if heard.is_finished() || sender.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        assert!(heard.is_finished(), "it had not enough");
        heard.join().unwrap()
    })
}

fn writable(env: &TestEnv) -> String {
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    token(env, "portal", "read write apply")
}

#[test]
fn slow_and_silent_clients_are_not_waited_for() {
    let env = TestEnv::new();
    let token = writable(&env);
    let serve = Serve::start(&env, "");
    let endless = || std::iter::repeat_n(b'x', 600);
    thread::scope(|scope| {
        scope.spawn(|| {
            let head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().copied();
            drip(&mut connect(&serve), head.chain(endless()));
        });
        scope.spawn(|| assert_eq!(answer(&mut connect(&serve)), ""));
        // The next request of a connection is not waited for either.
        scope.spawn(|| {
            let mut stream = connect(&serve);
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert!(answer(&mut stream).starts_with("HTTP/1.1 200 OK"));
        });
        scope.spawn(|| {
            let mut stream = connect(&serve);
            let head = format!(
                "POST /users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let said = drip(&mut stream, endless());
            assert!(said.starts_with("HTTP/1.1 408 Request Timeout"), "{said}");
            assert!(said.contains(r#"{"error":{"type":"RequestTimeout","message":"#), "{said}");
        });
        serve.client(&token).get("/users").expect(200);
    });
    serve.client(&token).get("/users").expect(200);
}

/// What was to be sent to it was kept for as long as it liked, and so was its connection.
#[test]
fn a_client_that_never_reads_is_given_up() {
    let env = TestEnv::new();
    let serve = Serve::start(&env, "");
    let port: u16 = serve.url.rsplit_once(':').unwrap().1.parse().unwrap();
    // Connections of the server's port that it has not closed: other files come and go by themselves.
    let open = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let ours = format!("0100007F:{port:04X}");
        let is_open = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1] == ours && fields[3] == "01"
        };
        table.lines().filter(is_open).count()
    };
    assert_eq!(open(), 0);
    let mut stream = connect(&serve);
    // More than the buffers of both sides take.
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request.repeat(20).as_bytes()).unwrap();
    until("it is served", || open() == 1);
    until("it is given up", || open() == 0);
}

#[test]
fn ten_megabytes_are_rejected_before_they_are_read() {
    const SIZE: usize = 10 << 20;
    let env = TestEnv::new();
    let token = writable(&env);
    let serve = Serve::start(&env, "");
    for framing in [format!("Content-Length: {SIZE}"), "Transfer-Encoding: chunked".to_owned()] {
        let mut stream = connect(&serve);
        let post = format!(
            "POST /users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        );
        stream.write_all(post.as_bytes()).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let (said, sent) = thread::scope(|scope| {
            let heard = scope.spawn(|| answer(&mut stream));
            let (block, mut sent) = (vec![b' '; 16 * 1024], 0);
            while sent < SIZE && !heard.is_finished() {
                let frame = if framing.contains("chunked") { "4000\r\n" } else { "" };
                let parts = [frame.as_bytes(), &block, if frame.is_empty() { b"" } else { b"\r\n" }];
                if parts.iter().any(|part| sender.write_all(part).is_err()) {
                    break;
                }
                sent += block.len();
                thread::sleep(Duration::from_millis(2));
            }
            (heard.join().unwrap(), sent)
        });
        assert!(said.starts_with("HTTP/1.1 413 Payload Too Large"), "{framing}: {said}");
        assert!(said.contains(r#"{"error":{"type":"PayloadTooLarge","message":"#), "{said}");
        assert!(sent < SIZE / 2, "{framing}: {sent} bytes were taken");
    }
    serve.client(&token).get("/users").expect(200);
}

#[test]
fn a_thousand_idle_connections_do_no_harm() {
    let env = TestEnv::new();
    let token = writable(&env);
    // The clients are files of this process.
    let mine = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: mine.maximum, ..mine }).unwrap();
    // Few open files, as many systems give at first; the server takes what it may. Of one address it
    // takes half of its connections.
    let serve = Serve::start_by(&["prlimit", "--nofile=256:4096"], &env, "");
    let idle: Vec<TcpStream> = (0..1000).map(|_| connect(&serve)).collect();
    let began = Instant::now();
    serve.client(&token).post("/users", &json!({ "name": "Ana", "email": "ana@example.com" })).expect(201);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // All of them were accepted: each is served.
    for mut stream in [&idle[0], &idle[999]] {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    }
}

#[test]
fn what_is_no_proper_http_is_rejected_or_cut() {
    let env = TestEnv::new();
    let token = writable(&env);
    let serve = Serve::start(&env, "");
    let many = (0..1000).fold(String::new(), |head, n| format!("{head}X-{n}: x\r\n"));
    let post = format!(
        "POST /users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    let inner = "DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let cases: &[(&str, Vec<u8>)] = &[
        ("HTTP/0.9", b"GET /healthz\r\n\r\n".to_vec()),
        ("garbage", vec![0xff; 1000]),
        ("text", b"hello, is it me you are looking for?\r\n\r\n".to_vec()),
        ("a huge header", format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 << 20)).into()),
        ("a huge path", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(2 << 20)).into()),
        ("many headers", format!("GET /healthz HTTP/1.1\r\n{many}\r\n").into()),
        ("NUL in a header", b"GET /healthz HTTP/1.1\r\nX: a\0b\r\n\r\n".to_vec()),
        ("a blank before the colon", b"GET /healthz HTTP/1.1\r\nX : a\r\n\r\n".to_vec()),
        ("a folded header", b"GET /healthz HTTP/1.1\r\nX: a\r\n b\r\n\r\n".to_vec()),
        ("two lengths", format!("{post}Content-Length: 6\r\n{length}\r\nxxxxxx").into()),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n").into()),
        ("a length with a sign", format!("{post}Content-Length: +5\r\n\r\nxxxxx").into()),
        ("an endless length", format!("{post}Content-Length: 99999999999999999999999\r\n\r\n").into()),
        ("chunked not last", format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n").into()),
        ("chunked by an old version", format!("{}{chunked}\r\n0\r\n\r\n", post.replace("1.1", "1.0")).into()),
        ("a chunk of no size", format!("{post}{chunked}\r\nzz\r\n\r\n").into()),
        ("a length and chunks", format!("{post}{length}{chunked}\r\n0\r\n\r\n{inner}").into()),
        ("chunks and a length", format!("{post}{chunked}{length}\r\n0\r\n\r\n{inner}").into()),
        ("garbage behind a request", [format!("{post}{length}\r\nxxxxx").as_bytes(), &[0xff; 100]].concat()),
    ];
    for (name, bytes) in cases {
        let mut stream = connect(&serve);
        let mut sender = stream.try_clone().unwrap();
        let said = thread::scope(|scope| {
            scope.spawn(move || sender.write_all(bytes));
            answer(&mut stream)
        });
        let answers: Vec<&str> = said.match_indices("HTTP/1.1 ").map(|(at, _)| &said[at + 9..at + 12]).collect();
        assert!(answers.iter().all(|status| status.starts_with('4')), "{name}: {said}");
        // What one side takes for a body and the other for a request is never answered.
        let most = if name.contains("behind") { 2 } else { 1 };
        assert!(answers.len() <= most && !answers.contains(&"405"), "{name}: {said}");
        serve.client("").get("/healthz").expect(200);
    }
}

#[test]
fn values_that_mean_something_elsewhere_are_only_values_here() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[]));
    env.run("apply").expect(0);
    let token = token(&env, "portal", "read write apply");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    let names = [
        "'); drop table users; --",
        "Robert\\'; select 1; --",
        "${SHELL(id)}",
        "$[1+1]",
        "\";[evil]",
        "#exec /bin/true",
        "[1000](+)",
        ";-- a comment that never ends",
        "back\\slash at the end\\",
        "\"quoted\" <1000>",
        "%s%n {} {{ }} $1 :name",
        "Zoë 日本 🎧👩‍👩‍👧",
    ];
    for (n, name) in names.iter().enumerate() {
        let user = json!({ "name": name, "email": format!("u{n}@example.com") });
        let made = portal.post("/users", &user).expect(201);
        assert_eq!(made.json()["name"], *name);
        let seen = portal.get(made.header("location").unwrap()).expect(200).json();
        assert_eq!(seen["name"], *name);
    }
    portal.apply("").expect(200);
    for (n, name) in names.iter().enumerate() {
        let shown = env.ask(&format!("pjsip show endpoint {}", 1000 + n));
        let caller_id = shown.lines().find(|line| line.starts_with(" callerid  ")).unwrap();
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        assert!(caller_id.ends_with(&format!(": \"{escaped}\" <{}>", 1000 + n)), "{name}: {caller_id}");
    }

    let refused = [
        "nul\0",
        "a\nb",
        "\u{1b}[2J",
        "turn\u{202e}ed",
        "\u{feff}",
        "\u{2028}",
        "",
        "   ",
        &"x".repeat(10_000),
        &"é".repeat(256),
    ]
    .map(str::to_owned);
    for name in refused {
        let answer = portal.post("/users", &json!({ "name": name, "email": "e@example.com" })).expect(422);
        assert_eq!(answer.error(), "ValidationError", "{name:?}");
        assert_eq!(answer.json()["error"]["details"][0]["field"], "name");
        assert!(answer.text.len() < 1000, "{}", answer.text);
    }
    for email in ["a@b'; drop table users", "a b@example.com", "a@-b.c", "a@b\0", "ä@example.com", &"x".repeat(10_000)]
    {
        let answer = portal.post("/users", &json!({ "name": "Eve", "email": email })).expect(422);
        assert_eq!(answer.json()["error"]["details"][0]["field"], "email", "{email:?}");
        assert!(answer.text.len() < 1000, "{}", answer.text);
    }
    let latin = portal.send("POST", "/users", Some(b"{\"name\": \"Z\xfcrich\", \"email\": \"z@example.com\"}"));
    assert_eq!(latin.expect(422).error(), "ValidationError");
    let listed = portal.get("/users").expect(200).json();
    assert_eq!(listed["users"].as_array().unwrap().len(), names.len());
}
