//! Health, metrics, the log, and how a server ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wait_timeout::ChildExt;

use super::server::{Answer, Client, Serve, token};
use crate::support::{KEY, Server, TestEnv, desired, until};

/// What makes the lab's PostgreSQL keep what was committed when it is stopped at once.
const KEEPS: &[&str] = &["-c", "synchronous_commit=on"];

/// With the tenant recorded, one user in it.
pub(super) fn recorded() -> TestEnv {
    with_file(TestEnv::new())
}

pub(super) fn with_file(env: TestEnv) -> TestEnv {
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo"]));
    env.run("sync").expect(0);
    env
}

/// Puts a script in the place of Asterisk's client.
fn client(env: &mut TestEnv, script: &str) {
    let path = env.path("client");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", path.to_str().unwrap());
}

pub(super) fn ana() -> Value {
    json!({ "name": "Ana", "email": "ana@example.com" })
}

/// Reads metrics as strictly as `OpenMetrics` is written: samples by name and labels.
#[track_caller]
fn samples(answer: &Answer) -> BTreeMap<String, f64> {
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let body = answer.text.strip_suffix("# EOF\n").expect("it ends with its end");
    let sample =
        regex::Regex::new(r#"^([a-z_]+)(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? ([0-9.e+-]+|\+Inf)$"#).unwrap();
    let (mut found, mut families) = (BTreeMap::new(), BTreeMap::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            help.split_once(' ').expect("a help text").0.clone_into(&mut family);
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            assert_eq!(declared.split(' ').next(), Some(family.as_str()), "its help comes first");
            declared.split_once(' ').unwrap().1.clone_into(&mut kind);
            assert_eq!(families.insert(family.clone(), kind.clone()), None, "{family} is declared twice");
        } else {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
            let suffix = parts[1].strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} outside its family"));
            let suffixes: &[&str] = match kind.as_str() {
                "gauge" => &[""],
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("{other}"),
            };
            assert!(suffixes.contains(&suffix), "{line} in a {kind}");
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(found.insert(name.to_owned(), value.parse().unwrap()), None, "{name} twice");
        }
    }
    assert!(families.keys().all(|name| name.starts_with("reconcile_")));
    found
}

fn sample(client: &Client, name: &str) -> f64 {
    let found = samples(&client.get("/metrics").expect(200));
    *found.get(name).unwrap_or_else(|| panic!("no {name} in {found:?}"))
}

/// Sends a request as it stands, and looks at the status.
#[track_caller]
fn raw(serve: &Serve, request: &str, status: &str) {
    let mut stream = TcpStream::connect(serve.url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

#[test]
fn a_key_that_opens_nothing_is_reported_at_the_start() {
    let mut env = recorded();
    let (right, other) = (KEY, "//////////////////////////////////////////8=");
    env.set("RECONCILE_SECRET_KEY", other);
    let told = env.run("serve --listen 127.0.0.1:0").expect(1).stderr;
    assert!(told.contains("error: the database's secrets were sealed with the key "), "{told}");
    assert!(told.contains("\nhint: give the database's own key in RECONCILE_SECRET_KEY"), "{told}");
    // While keys are changed, both are given.
    env.set("RECONCILE_SECRET_KEY", &format!("{other},{right}"));
    drop(Serve::start(&env, ""));
    env.set("RECONCILE_SECRET_KEY", right);
    drop(Serve::start(&env, ""));
}

#[test]
fn health_needs_no_token_and_ready_means_database_and_schema() {
    let env = recorded();
    let serve = Serve::start(&env, "");
    let anybody = serve.client("");
    assert_eq!(anybody.get("/healthz").expect(200).json(), json!({ "status": "ok" }));
    assert_eq!(anybody.get("/readyz").expect(200).json(), json!({ "status": "ok" }));
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
                 values (999, 'later', '2026-01-01T00:00:00Z', '1')";
    env.sql().batch_execute(newer).unwrap();
    let answer = anybody.get("/readyz");
    assert!(answer.status >= 500, "{}", answer.text);
    answer.error();
    assert_eq!(anybody.get("/healthz").status, 200);
}

#[test]
fn metrics_tell_users_numbers_applies_and_lag() {
    let env = with_file(TestEnv::with_asterisk());
    let serve = Serve::start(&env, "");
    let all = serve.client(&token(&env, "all", "read write apply"));
    assert_eq!(serve.client("").get("/metrics").expect(401).error(), "Unauthorized");
    assert_eq!(serve.client(&token(&env, "w", "write")).get("/metrics").expect(403).error(), "Forbidden");

    let lag = r#"reconcile_stage_lag_seconds{tenant="acme",host="pbx-test"}"#;
    assert!(sample(&all, lag) > 0.0, "nobody applied yet");
    assert_eq!(all.apply("").expect(200).json()["outcome"], "live");
    assert_eq!(sample(&all, lag).to_bits(), 0.0_f64.to_bits());
    all.post("/users", &ana()).expect(201);
    let found = samples(&all.get("/metrics").expect(200));
    for (name, value) in [
        (r#"reconcile_users{tenant="acme",managed_by="file"}"#, 1.0_f64),
        (r#"reconcile_users{tenant="acme",managed_by="api"}"#, 1.0),
        (r#"reconcile_extensions{tenant="acme"}"#, 1000.0),
        (r#"reconcile_extensions_free{tenant="acme"}"#, 998.0),
        (r#"reconcile_last_apply_success{tenant="acme",host="pbx-test"}"#, 1.0),
        (r#"reconcile_last_apply_outcome{tenant="acme",host="pbx-test",outcome="live"}"#, 1.0),
        ("reconcile_database_up", 1.0),
        (r#"reconcile_http_requests_total{method="POST",route="/users",status="201"}"#, 1.0),
        (r#"reconcile_http_request_duration_seconds_count{method="POST",route="/users"}"#, 1.0),
        (r#"reconcile_http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/users"}"#, 1.0),
    ] {
        assert_eq!(found.get(name).map(|value| value.to_bits()), Some(value.to_bits()), "{name} in {found:#?}");
    }
    let before = found[lag];
    assert!(before > 0.0);
    until("the lag grows", || sample(&all, lag) > before + 0.1);
    all.apply("").expect(200);
    assert_eq!(sample(&all, lag).to_bits(), 0.0_f64.to_bits());
}

/// The look that a scrape begins: what it finds is in the scrapes after it.
#[test]
fn metrics_tell_drift_registrations_and_the_age_of_the_last_look() {
    let mut env = with_file(TestEnv::with_asterisk());
    let (asked, real) = (env.path("asked"), env.path("asterisk/bin/asterisk"));
    client(&mut env, &format!("echo \"$2\" >>{}\nexec {} \"$@\"", asked.display(), real.display()));
    let serve = Serve::start(&env, "");
    let all = serve.client(&token(&env, "all", "read apply"));
    all.apply("").expect(200);
    let of = |name: &str| format!(r#"reconcile_{name}{{tenant="acme",host="pbx-test"}}"#);
    let stage = |stage: &str| format!(r#"reconcile_in_step{{tenant="acme",host="pbx-test",stage="{stage}"}}"#);
    let looked = || samples(&all.get("/metrics").expect(200));
    until("the first look has ended", || looked().contains_key(&of("asterisk_up")));
    let found = looked();
    for (name, value) in [
        (of("asterisk_up"), 1.0_f64),
        (stage("rendered"), 1.0),
        (stage("running"), 1.0),
        (stage("inbound"), 1.0),
        (of("phones_registered"), 0.0),
        (of("phones_unreachable"), 0.0),
        (of("missing_names"), 0.0),
        (of("overrides"), 0.0),
    ] {
        assert_eq!(found.get(&name).map(|value| value.to_bits()), Some(value.to_bits()), "{name} in {found:#?}");
    }
    assert!(found[&of("last_look_age_seconds")] < 60.0, "{found:#?}");

    // Within a minute no scrape costs another look, whatever happened meanwhile.
    let count = || fs::read_to_string(&asked).unwrap_or_default().lines().filter(|line| line.contains("show")).count();
    let before = count();
    assert!(before > 0);
    for _ in 0..20 {
        looked();
    }
    assert_eq!(count(), before);
}

/// What somebody changed beside the file since the last apply.
#[test]
fn metrics_tell_what_is_not_in_step() {
    let env = with_file(TestEnv::with_asterisk());
    env.run("apply").expect(0);
    let (conf, routing) = (env.etc("pjsip.conf"), env.etc("extensions.d/acme/generated_routing.conf"));
    let add = |path: &Path, text: &str| fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
    add(&conf, "\n[1000](+type=endpoint)\ncontext = elsewhere\n");
    add(&routing, "; by hand\n");
    let serve = Serve::start(&env, "");
    let reader = serve.client(&token(&env, "r", "read"));
    let of = |name: &str| format!(r#"reconcile_{name}{{tenant="acme",host="pbx-test"}}"#);
    let stage = |stage: &str| format!(r#"reconcile_in_step{{tenant="acme",host="pbx-test",stage="{stage}"}}"#);
    let looked = || samples(&reader.get("/metrics").expect(200));
    until("the first look has ended", || looked().contains_key(&of("asterisk_up")));
    let found = looked();
    for (name, value) in [
        (of("asterisk_up"), 1.0_f64),
        (stage("rendered"), 0.0),
        (stage("running"), 0.0),
        (stage("inbound"), 1.0),
        (of("overrides"), 1.0),
    ] {
        assert_eq!(found.get(&name).map(|value| value.to_bits()), Some(value.to_bits()), "{name} in {found:#?}");
    }
}

/// A link that leads to itself can be read by nobody, not even by root.
#[test]
fn what_cannot_be_looked_into_is_not_called_in_step() {
    let env = with_file(TestEnv::with_asterisk());
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    std::os::unix::fs::symlink("loop.conf", env.etc("loop.conf")).unwrap();
    fs::write(&conf, fs::read_to_string(&conf).unwrap() + "\n#tryinclude loop.conf\n").unwrap();
    let serve = Serve::start(&env, "");
    let reader = serve.client(&token(&env, "r", "read"));
    let running = r#"reconcile_in_step{tenant="acme",host="pbx-test",stage="running"}"#;
    let looked = || samples(&reader.get("/metrics").expect(200));
    until("the first look has ended", || looked().contains_key(running));
    assert_eq!(looked()[running].to_bits(), 0.0_f64.to_bits());
    let status = env.run("status").expect(0).stdout;
    let words = "not checked: what the operator's own files include and change: cannot read `";
    assert!(status.contains(words), "{status}");
}

/// An Asterisk that hangs delays no scrape.
#[test]
fn a_scrape_never_waits_for_asterisk() {
    let mut env = with_file(TestEnv::with_asterisk());
    env.run("apply").expect(0);
    client(&mut env, "exec sleep 60");
    let serve = Serve::start(&env, "");
    let reader = serve.client(&token(&env, "r", "read"));
    for _ in 0..5 {
        let begun = Instant::now();
        samples(&reader.get("/metrics").expect(200));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let down = r#"reconcile_asterisk_up{tenant="acme",host="pbx-test"} 0"#;
    until("the look has given up", || reader.get("/metrics").expect(200).text.contains(down));
    let running = r#"reconcile_in_step{tenant="acme",host="pbx-test",stage="running"} 0"#;
    assert!(reader.get("/metrics").expect(200).text.contains(running));
}

#[test]
fn unknown_paths_and_methods_make_no_labels() {
    let env = recorded();
    let serve = Serve::start(&env, "");
    let reader = serve.client(&token(&env, "r", "read"));
    for number in 0..300 {
        reader.get(&format!("/no/{number}\"%0a")).expect(404);
        reader.get(&format!("/users/{number}"));
        raw(&serve, &format!("M{number} /users HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "405");
    }
    let found = samples(&reader.get("/metrics").expect(200));
    let part = |name: &String, label: &str| {
        let (_, rest) = name.split_once(&format!("{label}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let routes: BTreeSet<String> = found.keys().filter_map(|name| part(name, "route")).collect();
    assert_eq!(routes, ["/users", "/users/{id}", "none"].map(str::to_owned).into());
    let methods: BTreeSet<String> = found.keys().filter_map(|name| part(name, "method")).collect();
    assert_eq!(methods, ["GET", "other"].map(str::to_owned).into());
    let none = r#"reconcile_http_requests_total{method="GET",route="none",status="404"}"#;
    assert_eq!(found[none].to_bits(), 300.0_f64.to_bits());
}

#[test]
fn while_the_database_is_away_its_readers_read_that_and_it_comes_back() {
    let mut env = TestEnv::new();
    let folder = env.path("postgres");
    let server = Server::start_again("postgres", &folder, KEEPS);
    env.database = Some(server.ready.clone());
    let env = with_file(env);
    let (known, unknown, other) = (token(&env, "r", "read"), token(&env, "new", "read"), token(&env, "old", "read"));
    let serve = Serve::start(&env, "");
    let reader = serve.client(&known);
    assert_eq!(sample(&reader, "reconcile_database_up").to_bits(), 1.0_f64.to_bits());
    // One that was revoked is no reader any more.
    samples(&serve.client(&other).get("/metrics").expect(200));
    env.run("token revoke old").expect(0);
    serve.client(&other).get("/metrics").expect(401);

    drop(server);
    let found = samples(&reader.get("/metrics").expect(200));
    assert_eq!(found["reconcile_database_up"].to_bits(), 0.0_f64.to_bits());
    assert!(!found.keys().any(|name| name.contains("tenant=")), "nothing is told that is not known");
    for stranger in [&unknown, &other] {
        assert_eq!(serve.client(stranger).get("/metrics").expect(503).error(), "DatabaseUnavailable");
    }
    serve.client("").get("/metrics").expect(401);
    assert_eq!(serve.client("").get("/readyz").expect(503).error(), "DatabaseUnavailable");
    serve.client("").get("/healthz").expect(200);

    let _server = Server::start_again("postgres", &folder, KEEPS);
    until("it is back", || serve.client("").get("/readyz").status == 200);
    assert_eq!(sample(&reader, "reconcile_database_up").to_bits(), 1.0_f64.to_bits());
}

/// The log lines, each a JSON object.
fn lines(serve: &Serve) -> Vec<Value> {
    serve
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn every_request_is_one_json_line_without_personal_data() {
    let env = recorded();
    let mut serve = Serve::start(&env, "");
    let portal = serve.client(&token(&env, "portal", "read write"));
    portal.with("x-request-id", "my-1").post("/users", &ana()).expect(201);
    portal.with("x-request-id", "my-2").post("/users", &ana()).expect(409);
    let forged = "x\",\"level\":\"ERROR\",\"y\":\"";
    let made = portal.with("x-request-id", forged).get("/ana@example.com/%0a{\"level\":\"ERROR\"}");
    let made = made.header("x-request-id").unwrap().to_owned();
    assert_ne!(made, forged);
    serve.says(&made);
    let lines = lines(&serve);
    let line = |id: &str| {
        let mut found = lines.iter().filter(|line| line["request_id"] == id && line["message"] == "answered");
        let line = found.next().unwrap_or_else(|| panic!("{id} in {lines:#?}")).clone();
        assert_eq!(found.next(), None);
        line
    };
    for (id, method, route, status, actor) in [
        ("my-1", "POST", "/users", 201, "token portal"),
        ("my-2", "POST", "/users", 409, "token portal"),
        (&made, "GET", "none", 404, ""),
    ] {
        let line = line(id);
        assert_eq!((&line["method"], &line["route"]), (&json!(method), &json!(route)));
        assert_eq!((&line["status"], &line["actor"]), (&json!(status), &json!(actor)));
        assert!(line["duration_ms"].is_u64() && line["timestamp"].is_string(), "{line}");
        assert_eq!(line["level"], "INFO");
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "{line}");
    }
    assert!(!serve.log().contains("example.com"), "{}", serve.log());
}

#[test]
fn other_lines_of_a_request_carry_its_id_too() {
    let env = recorded();
    let mut serve = Serve::start(&env, "");
    let portal = serve.client(&token(&env, "portal", "read write"));
    env.sql().batch_execute("alter table users rename to lost").unwrap();
    portal.with("x-request-id", "lost-1").get("/users").expect(500).error();
    serve.says("\"message\":\"answered\"");
    let lines = lines(&serve);
    let why = lines.iter().find(|line| line["level"] == "ERROR").unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(why["request_id"], "lost-1");
    assert!(why.as_object().unwrap().values().all(|value| !value.is_object()), "{why}");
}

/// A server died of its log: tracing says on stderr that it cannot write there, and panicked.
#[test]
fn a_log_without_a_reader_stops_nothing() {
    let mut env = TestEnv::new();
    env.set("RECONCILE_LOG", "debug");
    let (gone, closed) = std::io::pipe().unwrap();
    drop(gone);
    let (_unread, full) = std::io::pipe().unwrap();
    let disk = File::options().write(true).open("/dev/full").unwrap();
    for (what, log) in [
        ("a full disk", Stdio::from(disk)),
        ("a reader that is gone", closed.into()),
        ("a reader that reads nothing", full.into()),
    ] {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = env.command(&["serve", "--listen", &free.to_string(), "--no-webhook"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let ask = || ureq::get(format!("http://{free}/healthz")).call().is_ok_and(|answer| answer.status() == 200);
        until("it listens", ask);
        // Some 150 KB of lines, more than fits into a pipe.
        for number in 0..1000 {
            assert!(ask(), "{what}: request {number}");
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = child.wait_timeout(Duration::from_mins(1)).unwrap().expect("it ends");
        assert!(ended.success(), "{what}: {ended}");
    }
}

/// The log is written by a thread of its own, which ends with the process.
#[test]
fn a_command_that_ends_has_written_its_log_and_waits_for_no_reader_for_long() {
    let env = recorded();
    let args = ["users", "--log", "debug"];
    let whole = env.command(&args).output().unwrap();
    let log = String::from_utf8(whole.stderr).unwrap();
    assert!(
        whole.status.success() && log.lines().all(|line| line.contains("DEBUG")) && log.lines().count() >= 2,
        "{log}"
    );

    let (_unread, mut full) = std::io::pipe().unwrap();
    full.write_all(&vec![b'x'; 64 * 1024]).unwrap();
    let began = Instant::now();
    let stuck = env.command(&args).stderr(full).stdout(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert!(stuck.status.success() && stuck.stdout == whole.stdout);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
