//! `POST /apply` that is cut: by a client that goes away, by a signal, by a panic. Nothing ends it halfway.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    apply::{applies, in_background, is_in_step, is_stopped, last_apply, make, serving, serving_with, system},
    server::{Serve, token},
};
use crate::support::until;

#[test]
fn a_client_that_goes_away_does_not_cancel_it() {
    let mut env = system();
    let token = token(&env, "portal", "write apply");
    env.set("RECONCILE_FAIL_POINT", "committed=stop");
    let serve = Serve::start(&env, "");
    env.unset("RECONCILE_FAIL_POINT");
    make(&serve.client(&token), "Ana");

    let mut connection = TcpStream::connect(serve.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("POST /apply HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    until("the apply is held up", || is_stopped(serve.pid()));
    drop(connection);
    assert_eq!(last_apply(&env), ["token portal", "open"]);
    serve.signal(Signal::CONT);
    until("the audit row is closed", || last_apply(&env) == ["token portal", "live"]);
    assert!(env.ask("pjsip show endpoint 1001").contains("\"Ana\" <1001>"));
    is_in_step(&env);
}

/// The server dies with the apply in it: what is told afterwards is true, and the next apply heals.
#[test]
fn a_server_that_is_killed_in_the_middle_leaves_the_truth_behind() {
    for (point, told) in [
        ("staged", "rendered    pjsip.d/acme/generated_endpoints.conf differs from the database"),
        ("committed", "rendered    pjsip.d/acme/generated_endpoints.conf differs from the database"),
        ("renamed", "running     res_pjsip runs another generation of the endpoint file"),
        ("reloaded", "running     "),
        ("closing", "running     "),
    ] {
        let mut env = system();
        let (mut serve, client) = serving_with(&mut env, &format!("{point}=kill"));
        make(&client, "Ana");
        assert!(client.try_send("POST", "/apply", Some(b"")).is_none(), "{point}: no answer");
        assert_eq!(serve.ends().code(), None, "{point}");
        let open = point != "staged";
        assert_eq!(last_apply(&env)[1], if open { "open" } else { "live" }, "{point}");

        let status = env.run("status --detailed-exitcode").expect(if told == "running     " { 0 } else { 2 }).stdout;
        assert!(status.contains(told), "{point}: {status}");
        let interrupted = status.lines().any(|line| line.contains("interrupted") || line.contains("open"));
        assert_eq!(interrupted, open, "{point}: {status}");

        let again = Serve::start(&env, "");
        let healed = again.client(&token(&env, "again", "apply")).apply("").expect(200).json();
        assert_eq!(healed["outcome"], "live", "{point}");
        assert!(env.ask("pjsip show endpoint 1001").contains("\"Ana\" <1001>"), "{point}");
        let outcomes: Vec<String> = applies(&env).into_iter().map(|[_, outcome]| outcome).collect();
        assert_eq!(outcomes, if open { vec!["live", "interrupted", "live"] } else { vec!["live", "live"] }, "{point}");
        is_in_step(&env);
    }
}

#[test]
fn sigterm_lets_it_end() {
    for point in ["locked", "committed", "proven"] {
        let mut env = system();
        let (mut serve, client) = serving_with(&mut env, &format!("{point}=stop"));
        make(&client, "Ana");
        let applying = in_background(&client);
        until("the apply is held up", || is_stopped(serve.pid()));
        serve.signal(Signal::TERM);
        serve.signal(Signal::CONT);
        let answer = applying.join().unwrap().expect("an answer").expect(200);
        assert_eq!(answer.json()["outcome"], "live", "{point}");
        assert_eq!(serve.ends().code(), Some(0), "{point}: {}", serve.log());
        assert!(env.ask("pjsip show endpoint 1001").contains("\"Ana\" <1001>"), "{point}");
        assert_eq!(last_apply(&env)[1], "live", "{point}");
        is_in_step(&env);
    }
}

/// A request that was let in before the end, but began to apply after it, may take its time as well.
#[test]
fn sigterm_lets_an_apply_end_that_begins_late_and_takes_long() {
    let mut env = system();
    let reloading = env.path("home/reloading");
    let client = env.path("slow");
    let script = format!(
        "#!/bin/sh\ncase $2 in *'reload res_pjsip'*) : >{0}; timeout 50 sh -c 'while [ -e {0} ]; do sleep 0.1; done';; esac\n\
         exec {1} \"$@\"\n",
        reloading.display(),
        env.path("asterisk/bin/asterisk").display()
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", client.to_str().unwrap());
    let (mut serve, portal) = serving(&env);
    make(&portal, "Ana");

    // The request waits for its token to be looked up, and the server for nothing.
    let mut sql = env.sql();
    let mut lock = sql.transaction().unwrap();
    lock.batch_execute("lock table api_tokens in access exclusive mode").unwrap();
    let applying = in_background(&portal);
    let waits = "select exists (select from pg_locks where relation = 'api_tokens'::regclass and not granted)";
    let mut looker = env.sql();
    until("the request waits", || looker.query_one(waits, &[]).unwrap().get(0));
    serve.signal(Signal::TERM);
    serve.says("shutting down: ");
    lock.rollback().unwrap();
    until("Asterisk reloads", || reloading.exists());
    // Longer than clients have to take their answers, and what is left after that.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(25) {
        assert!(!serve.has_ended(), "it must not end: {}", serve.log());
        thread::sleep(Duration::from_millis(200));
    }
    fs::remove_file(&reloading).unwrap();
    assert_eq!(applying.join().unwrap().expect("an answer").expect(200).json()["outcome"], "live");
    assert_eq!(serve.ends().code(), Some(0), "{}", serve.log());
    env.unset("ASTERISK_COMMAND");
    is_in_step(&env);
}

/// A mistake of ours ends one request, not the server; what it left behind is healed like a kill.
#[test]
fn a_panic_ends_the_request_alone_and_the_next_apply_heals() {
    let mut env = system();
    let (mut serve, client) = serving_with(&mut env, "renamed=panic");
    let client = client.with("x-request-id", "panicking-1");
    client.post("/users", &json!({ "name": "Ana", "email": "ana@example.com" })).expect(201);
    let answer = client.apply("").expect(500);
    assert_eq!(answer.error(), "InternalServerError");
    assert!(!answer.text.contains("asked to panic"), "{}", answer.text);
    client.get("/users").expect(200);
    let line: Value = serde_json::from_str(&serve.says("asked to panic here")).expect("JSON");
    assert_eq!((&line["level"], &line["request_id"]), (&json!("ERROR"), &json!("panicking-1")));
    env.run("apply").expect(0);
    env.run("status --detailed-exitcode").expect(0);
}
