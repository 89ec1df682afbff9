//! How a server ends: what runs is finished, and nothing and nobody keeps it for ever.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{
    operate::{ana, recorded, with_file},
    server::{Serve, token},
};
use crate::support::{TestEnv, until};

#[test]
fn it_ends_at_once_with_idle_clients_and_by_either_signal() {
    let env = recorded();
    for signal in [Signal::TERM, Signal::INT] {
        let mut serve = Serve::start(&env, "");
        let address = serve.url.strip_prefix("http://").unwrap().to_owned();
        let mut idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
        for stream in &mut idle[..10] {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        }
        let began = Instant::now();
        serve.signal(signal);
        assert_eq!(serve.ends().code(), Some(0), "{}", serve.log());
        // The grace for slow clients is 10 s: nobody waited for that.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[test]
fn a_slow_client_does_not_keep_it_for_ever() {
    let env = recorded();
    let mut serve = Serve::start(&env, "");
    let bearer = token(&env, "w", "write");
    let mut slow = TcpStream::connect(serve.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "POST /users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).unwrap();
    serve.client("").get("/healthz").expect(200);
    serve.signal(Signal::TERM);
    assert_eq!(serve.ends().code(), Some(0), "{}", serve.log());
}

/// It waited for what it asked about the applied routes, for as long as the database was silent.
#[test]
fn a_database_that_does_not_answer_does_not_keep_it() {
    let env = recorded();
    let mut serve = Serve::start(&env, "--no-webhook");
    let mut sql = env.sql();
    let mut held = sql.transaction().unwrap();
    held.batch_execute("lock table applied_routes in access exclusive mode").unwrap();
    let mut other = env.sql();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("the server waits", || other.query_one(waits, &[]).unwrap().get::<_, i64>(0) > 0);
    serve.signal(Signal::TERM);
    assert_eq!(serve.ends().code(), Some(0), "{}", serve.log());
}

#[test]
fn running_requests_are_finished_and_new_ones_are_rejected() {
    let env = recorded();
    let mut serve = Serve::start(&env, "");
    let portal = serve.client(&token(&env, "w", "write"));
    let mut sql = env.sql();
    let mut held = sql.transaction().unwrap();
    held.batch_execute("lock table users in exclusive mode").unwrap();
    let running = thread::spawn({
        let portal = portal.clone();
        move || portal.post("/users", &ana())
    });
    let mut other = env.sql();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("the request waits", || other.query_one(waits, &[]).unwrap().get::<_, i64>(0) > 0);
    serve.signal(Signal::TERM);
    let address = serve.url.strip_prefix("http://").unwrap().to_owned();
    until("nobody is let in", || TcpStream::connect(&address).is_err());
    held.commit().unwrap();
    let made = running.join().unwrap().expect(201).json();
    assert_eq!(serve.ends().code(), Some(0), "{}", serve.log());
    let email: String = env.sql().query_one("select email from users where managed_by = 'api'", &[]).unwrap().get(0);
    assert_eq!(made["email"], email);
}

/// The process id of the private PostgreSQL, where it runs.
fn private_postgres(env: &TestEnv) -> Option<Pid> {
    let folders = glob::glob(&format!("{}/**/postmaster.pid", env.path("state").display())).unwrap();
    let text = std::fs::read_to_string(folders.flatten().next()?).ok()?;
    Pid::from_raw(text.lines().next()?.parse().ok()?)
}

#[test]
fn the_private_database_is_shared_comes_back_and_is_stopped() {
    let env = with_file(TestEnv::embedded());
    let bearer = token(&env, "rw", "read write");
    let mut serve = Serve::start(&env, "");
    let portal = serve.client(&bearer);
    portal.post("/users", &ana()).expect(201);
    // A command meanwhile sees the same, and does not stop it.
    assert!(env.run("users").expect(0).stdout.contains("ana@example.com"));
    portal.get("/users").expect(200);

    let killed = private_postgres(&env).expect("it runs");
    kill_process(killed, Signal::KILL).unwrap();
    // What it leaves behind for a moment may still answer.
    until("it is back", || match portal.get("/users") {
        answer if answer.status == 200 => private_postgres(&env).is_some_and(|running| running != killed),
        answer => {
            assert_eq!(answer.expect(503).error(), "DatabaseUnavailable");
            false
        }
    });
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 2);
    portal.post("/users", &json!({ "name": "Kim", "email": "kim@example.com" })).expect(201);

    serve.signal(Signal::TERM);
    assert_eq!(serve.ends().code(), Some(0), "{}", serve.log());
    until("it is stopped", || private_postgres(&env).is_none());
}
