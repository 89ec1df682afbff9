//! Servers take over what was applied, and keep it.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::server::Serve;
use crate::support::{TestEnv, body, until};

fn applied(tenant: &str, run: i64, number: &str) -> Value {
    let dialer =
        json!({ "target": { "number": { "given": number } }, "caller_id": "called", "ring": 30, "trunk": null });
    json!({
        "tenant": tenant, "run": run, "users": {},
        "routes": {
            "trunks": {}, "dialers": { "desk": dialer }, "groups": {}, "hours": {}, "rules": [],
            "default_route": [{ "dialer": "desk" }], "public_sip_host": null, "caller_id": null,
        },
    })
}

fn apply(env: &TestEnv, applied: &Value) {
    let (tenant, run) = (applied["tenant"].as_str().unwrap(), applied["run"].as_i64().unwrap());
    env.sql()
        .execute(
            "insert into applied_routes (tenant, run, applied) values ($1, $2, $3::text::jsonb)
             on conflict (tenant) do update set run = excluded.run, applied = excluded.applied",
            &[&tenant, &run, &applied.to_string()],
        )
        .unwrap();
}

fn kept(env: &TestEnv) -> Value {
    let text = std::fs::read_to_string(env.path("state/serve/applied-routes.json")).unwrap();
    body(serde_json::from_str(&text).unwrap())
}

#[test]
fn what_is_applied_is_taken_over_at_once_and_kept() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    let mut serve = Serve::start(&env, "");
    let began = Instant::now();
    apply(&env, &applied("acme", 1, "+15559876543"));
    serve.says(r#""run":1,"#);
    assert!(began.elapsed().as_secs() < 4, "it was told, and did not have to ask");
    assert_eq!(kept(&env), json!({ "acme": applied("acme", 1, "+15559876543") }));
    apply(&env, &applied("other", 2, "+15550000000"));
    serve.says(r#""run":2,"#);
    // A directory that was put back to an earlier day.
    env.sql().execute("delete from applied_routes where tenant = 'acme'", &[]).unwrap();
    apply(&env, &applied("other", 3, "+15550000001"));
    serve.says(r#""run":3,"#);
    let both = json!({ "acme": applied("acme", 1, "+15559876543"), "other": applied("other", 3, "+15550000001") });
    assert_eq!(kept(&env), both);
    serve.signal(rustix::process::Signal::TERM);
    assert!(serve.ends().success());
}

/// Two servers may share a folder: what the other one writes at this moment is none of ours, what a server that
/// was killed left is.
#[test]
fn a_temporary_file_is_deleted_once_its_writer_is_gone() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    let [young, old] = ["young", "old"].map(|name| env.path(&format!("state/serve/.reconcile-{name}")));
    std::fs::create_dir_all(env.path("state/serve")).unwrap();
    for path in [&young, &old] {
        std::fs::write(path, "{}").unwrap();
    }
    let two_minutes_ago = SystemTime::now() - Duration::from_mins(2);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(two_minutes_ago).unwrap();
    apply(&env, &applied("acme", 1, "+15559876543"));
    let mut serve = Serve::start(&env, "--no-webhook");
    serve.says(r#""run":1,"#);
    assert_eq!(kept(&env), json!({ "acme": applied("acme", 1, "+15559876543") }));
    assert_eq!((young.exists(), old.exists()), (true, false));
    std::fs::remove_file(young).unwrap();
}

/// A database in which nobody can be told, as behind a pooler, is asked now and then.
#[test]
fn a_server_without_notifications_polls() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    env.sql().execute("drop trigger applied_routes_written on applied_routes", &[]).unwrap();
    let mut serve = Serve::start(&env, "");
    apply(&env, &applied("acme", 7, "+15559876543"));
    serve.says(r#""run":7,"#);
}

/// What a later version wrote about one tenant kept all tenants' calls where they were, and a server
/// from starting.
#[test]
fn an_unreadable_tenant_is_reported_and_skipped() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    apply(&env, &applied("acme", 1, "+15559876543"));
    drop(Serve::start(&env, "--no-webhook"));
    let mut later = applied("acme", 2, "+15559876543");
    later["routes"]["default_route"] = json!([{ "queue": "support" }]);
    apply(&env, &later);
    let mut serve = Serve::start(&env, "--no-webhook");
    serve.says("what was applied last cannot be read, the former routes stay");
    apply(&env, &applied("other", 3, "+15550000001"));
    serve.says(r#""run":3,"#);
    let both = json!({ "acme": applied("acme", 1, "+15559876543"), "other": applied("other", 3, "+15550000001") });
    assert_eq!(kept(&env), both);
    // Spoiled in the file, too, one is left and the other is there.
    let mut spoiled = both;
    spoiled["acme"]["routes"] = json!("?");
    std::fs::write(env.path("state/serve/applied-routes.json"), spoiled.to_string()).unwrap();
    drop(serve);
    Serve::start(&env, "--no-webhook").says("the routes that were applied last:");
}

/// A call is sent to this number.
#[track_caller]
fn reaches(serve: &Serve, number: &str) {
    let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
    let answer = client.send("POST", "/webhooks/twilio", Some(b"CallSid=CA1&To=%2B15550000000")).expect(200).text;
    assert!(answer.contains(&format!(">{number}</Number>")), "{answer}");
}

/// A disk on which nothing can be written: callers are served, and once it can the file catches up.
#[test]
fn what_could_not_be_kept_is_kept_once_it_can() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    let mut serve = Serve::start(&env, "--insecure-skip-signature");
    // A folder stands in the way.
    let path = env.path("state/serve/applied-routes.json");
    std::fs::create_dir_all(path.join("in-the-way")).unwrap();
    apply(&env, &applied("acme", 1, "+15559876543"));
    serve.says("the applied routes would not survive the loss of the database");
    serve.says(r#""run":1,"#);
    reaches(&serve, "+15559876543");

    std::fs::remove_dir_all(&path).unwrap();
    until("the file is there", || path.is_file());
    assert_eq!(kept(&env), json!({ "acme": applied("acme", 1, "+15559876543") }));
    assert_eq!(serve.log().matches(r#""run":1,"#).count(), 1, "nothing was applied anew: {}", serve.log());
    // It is what callers reach without a database.
    serve.signal(rustix::process::Signal::TERM);
    serve.ends();
    let mut env = env;
    env.set("DATABASE_URL", "postgres://pbx@127.0.0.1:1/pbx");
    let serve = Serve::start(&env, "--insecure-skip-signature");
    reaches(&serve, "+15559876543");
}
