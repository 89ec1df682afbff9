//! Notifications: what a receiver is told, once, and what is never told.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    serve::server::Serve,
    support::{TestEnv, desired, until},
};

/// The secret part of the receiver's URL.
const PATH: &str = "hooks-canary-path";

const USERS: [&str; 4] = [
    "email: ana@example.com, name: Ana",
    "email: bo@example.com, name: Bo",
    "email: cy@example.com, name: Cy",
    "email: di@example.com, name: Di",
];

/// One request: the signature, and the body.
type Received = (Option<String>, Value);

/// Somebody who answers every request with this status.
struct Listener {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Listener {
    fn start(status: &'static str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/{PATH}", socket.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&received);
        thread::spawn(move || {
            for stream in socket.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut signature, mut length) = (None, 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim_end().split_once(": ") else {
                        if line.trim_end().is_empty() {
                            break;
                        }
                        continue;
                    };
                    match name.to_ascii_lowercase().as_str() {
                        "x-reconcile-signature" => signature = Some(value.to_owned()),
                        "content-length" => length = value.parse().unwrap(),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                requests.lock().unwrap().push((signature, serde_json::from_slice(&body).unwrap()));
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            }
        });
        Self { url, received }
    }

    /// Takes what was received since the last time.
    fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// Takes the one notification that came.
    #[track_caller]
    fn one(&self) -> Value {
        let [(_, mut body)] = <[Received; 1]>::try_from(self.take()).unwrap();
        assert!(body.as_object_mut().unwrap().remove("sent_at").is_some());
        body
    }
}

#[test]
fn status_notifies_once_of_what_is_wrong_and_once_that_it_is_resolved() {
    let env = TestEnv::with_asterisk();
    let listener = Listener::start("200 OK");
    let status = format!("status --notify {}", listener.url);
    env.write("pbx.yaml", &desired(&USERS[..1]));
    env.run("apply").expect(0);
    env.run(&status).expect(0);
    assert_eq!(listener.take(), []);

    env.write("pbx.yaml", &desired(&USERS[..2]));
    env.run("sync").expect(0);
    let shown = env.run(&status).expect(0);
    assert!(!shown.text().contains(PATH));
    let text = "reconcile status: acme on pbx-test: 1 problem\n- generated_endpoints.conf is older than the database";
    let problem = json!({ "id": "rendered", "text": "generated_endpoints.conf is older than the database" });
    assert_eq!(
        listener.one(),
        json!({
            "format_version": 1, "text": text, "state": "problem", "command": "status", "tenant": "acme", "host": "pbx-test",
            "problems": [problem],
        })
    );
    env.run(&status).expect(0);
    assert_eq!(listener.take(), [], "the same is told once");

    // A look at less resolves nothing that it did not see.
    env.run(&format!("{status} --tenant acme --no-asterisk")).expect(0);
    assert_eq!(listener.one()["state"], "problem");
    env.run("apply").expect(0);
    env.run(&format!("{status} --tenant acme --no-asterisk")).expect(0);
    assert_eq!(listener.one()["state"], "resolved");
    env.run(&status).expect(0);
    let resolved = listener.one();
    assert_eq!(resolved["state"], "resolved");
    let text = "reconcile status: acme on pbx-test: resolved\n- no longer: generated_endpoints.conf is older than the database";
    assert_eq!(resolved["text"], text);
    env.run(&status).expect(0);
    assert_eq!(listener.take(), []);
}

#[test]
fn an_apply_that_is_stopped_is_told_and_signed() {
    let mut env = TestEnv::new();
    let listener = Listener::start("204 No Content");
    env.set("RECONCILE_NOTIFY_URL", &listener.url);
    env.set("RECONCILE_NOTIFY_KEY", "the key");
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply --no-reload").expect(0);
    assert_eq!(listener.take(), []);
    env.write("pbx.yaml", &desired(&USERS[..1]));
    env.run("apply --no-reload").expect(3);
    let [(signature, body)] = <[Received; 1]>::try_from(listener.take()).unwrap();
    let signature = signature.unwrap();
    assert!(signature.starts_with("sha256=") && signature.len() == 7 + 64, "{signature}");
    assert_eq!(body["problems"][0]["id"], "apply");
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("a rail stopped it: error[rail-deletes]: 3 of 4 users would be deleted"), "{text}");
    env.run("apply --no-reload --allow deletes=3").expect(0);
    assert_eq!(listener.one()["state"], "resolved");
}

#[test]
fn a_receiver_that_is_away_or_refuses_changes_nothing() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("sync").expect(0);
    let refuses = Listener::start("500 Internal Server Error");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/{PATH}", silent.local_addr().unwrap());
    let warnings = [
        (format!("http://127.0.0.1:1/{PATH}"), "cannot notify 127.0.0.1: "),
        (refuses.url.clone(), "cannot notify 127.0.0.1: it answered with status 500"),
        (silent, "cannot notify 127.0.0.1: "),
    ];
    for (url, warning) in warnings {
        let began = Instant::now();
        let shown = env.run(&format!("status --no-asterisk --notify {url}")).expect(0);
        assert!(shown.stderr.contains(&format!("warning: {warning}")), "{}", shown.text());
        assert!(!shown.text().contains(PATH) && began.elapsed().as_secs() < 20, "{}", shown.text());
    }
    // Who was not told is told the next time.
    let listener = Listener::start("200 OK");
    env.run(&format!("status --no-asterisk --notify {}", listener.url)).expect(0);
    assert_eq!(listener.one()["state"], "problem");
}

#[test]
fn a_url_that_is_not_encrypted_is_refused_and_not_shown() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&USERS));
    let refused = env.run(&format!("status --notify http://hooks.example/{PATH}")).expect(64);
    assert_eq!(
        refused.stderr,
        "error: the URL of `--notify` cannot be used: it does not begin with `https://`\n\
         hint: write it as `https://hooks.example/path`; it is not shown, because such a URL is often a secret\n"
    );
}

/// The libraries that send it write whole addresses into their log.
#[test]
fn no_log_shows_the_address() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("sync").expect(0);
    let listener = Listener::start("200 OK");
    for level in ["debug", "trace", "ureq=trace"] {
        let url = format!("{}-{level}", listener.url);
        let shown = env.run(&format!("status --notify {url} --log {level}")).text();
        assert!(!shown.contains(PATH), "{level}: {shown}");
    }
    assert!(!listener.take().is_empty());
}

#[test]
fn a_server_looks_by_itself_and_notifies() {
    let env = TestEnv::with_asterisk();
    let listener = Listener::start("200 OK");
    env.write("pbx.yaml", &desired(&USERS[..1]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&USERS[..2]));
    env.run("sync").expect(0);
    let serve = Serve::start(&env, &format!("--no-webhook --notify {}", listener.url));
    until("the receiver is told", || !listener.received.lock().unwrap().is_empty());
    let told = listener.one();
    assert_eq!((&told["command"], &told["state"]), (&json!("serve"), &json!("problem")));
    assert!(!serve.log().contains(PATH));
    let is_note = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("notified-serve-");
    until("it is remembered", || fs::read_dir(env.path("state")).unwrap().flatten().any(is_note));
}
