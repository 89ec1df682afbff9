//! `POST /apply`: what is recorded is made live and proven, or refused and told why; nothing cuts it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::server::{Answer, Client, Serve, token};
use crate::support::{TestEnv, database, desired, say, until};

const BO: &str = "email: bo@example.com, name: Bo";
const ENDPOINTS: &str = "pjsip.d/acme/generated_endpoints.conf";

/// What differs from run to run.
const FILTERS: [(&str, &str); 3] =
    [(r"p1-[0-9a-f]{16}", "p1-[id]"), (r"\b[0-9a-f]{64}\b", "[hash]"), (r"since \S+Z", "since [time]")];

macro_rules! snapshot {
    ($json:expr) => {
        let text = serde_json::to_string_pretty(&$json).unwrap();
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(text) });
    };
}

/// A system with one user from the file applied.
pub(super) fn system() -> TestEnv {
    let env = TestEnv::with_asterisk();
    begin(&env);
    env
}

fn begin(env: &TestEnv) {
    env.write("pbx.yaml", &desired(&[BO]));
    env.run("apply").expect(0);
}

/// A server of it, and a client who may do everything.
pub(super) fn serving(env: &TestEnv) -> (Serve, Client) {
    let token = token(env, "portal", "read write apply");
    let serve = Serve::start(env, "");
    let client = serve.client(&token);
    (serve, client)
}

/// A server that is held up, killed or failed at a point of the apply protocol.
pub(super) fn serving_with(env: &mut TestEnv, fail_point: &str) -> (Serve, Client) {
    env.set("RECONCILE_FAIL_POINT", fail_point);
    let serving = serving(env);
    env.unset("RECONCILE_FAIL_POINT");
    serving
}

#[track_caller]
pub(super) fn make(client: &Client, name: &str) {
    let letters: String = name.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    let email = format!("{letters}@example.com");
    client.post("/users", &json!({ "name": name, "email": email })).expect(201);
}

pub(super) fn in_background(client: &Client) -> JoinHandle<Option<Answer>> {
    let client = client.clone();
    thread::spawn(move || client.try_send("POST", "/apply", Some(b"")))
}

pub(super) fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
}

/// The applies in the audit log: who, and how each ended.
pub(super) fn applies(env: &TestEnv) -> Vec<[String; 2]> {
    let query = "select actor, outcome from apply_audit_log where command = 'apply' order by id";
    let rows = env.sql().query(query, &[]).unwrap();
    rows.iter().map(|row| [0, 1].map(|column| row.get(column))).collect()
}

pub(super) fn last_apply(env: &TestEnv) -> [String; 2] {
    applies(env).pop().unwrap()
}

/// Rows and files, times of change included.
fn standing(env: &TestEnv) -> (String, Vec<(PathBuf, String, std::time::SystemTime)>) {
    (env.dump(), env.files())
}

#[track_caller]
pub(super) fn is_in_step(env: &TestEnv) {
    env.run("status --detailed-exitcode").expect(0);
}

/// The messages of an error's details, and its plan where it has one.
fn details(answer: &Answer) -> (Vec<String>, Option<Value>) {
    let json = answer.json();
    let details = json["error"]["details"].as_array().unwrap();
    let messages = details.iter().map(|detail| detail["message"].as_str().unwrap().to_owned()).collect();
    (messages, details.iter().find_map(|detail| detail.get("plan").cloned()))
}

#[track_caller]
fn is_a_plan(plan: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../../../schema/plan.schema.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("plan.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("plan.json", &mut schemas).unwrap();
    schemas.validate(plan, schema).unwrap_or_else(|error| panic!("{error}\n{plan:#}"));
    // The check can fail.
    assert!(schemas.validate(&json!({ "id": plan["id"] }), schema).is_err());
}

#[test]
fn what_is_recorded_is_made_live_and_the_next_apply_touches_nothing() {
    let env = system();
    let (serve, client) = serving(&env);
    make(&client, "Ana");
    assert!(!env.endpoints("acme").contains("[1001]"), "rows only");

    let mut applied = client.apply("").expect(200).json();
    assert!(env.ask("pjsip show endpoint 1001").contains("\"Ana\" <1001>"));
    for file in applied["files"].as_array().unwrap() {
        let bytes = fs::read(env.etc(file["path"].as_str().unwrap())).unwrap();
        let digest = Sha256::digest(bytes);
        assert_eq!(file["sha256"], digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")));
    }
    for (phase, milliseconds) in applied["phases_ms"].as_object_mut().unwrap() {
        assert!(milliseconds.is_u64(), "{phase}");
        *milliseconds = "[ms]".into();
    }
    snapshot!(applied);
    assert_eq!(last_apply(&env), ["token portal", "live"]);
    is_in_step(&env);

    let files = env.files();
    let again = client.with("X-Request-Id", "the-second-apply").apply("").expect(200).json();
    until("each line names the request", || {
        serve.log().lines().any(|line| line.contains("\"read back\"") && line.contains("the-second-apply"))
    });
    assert_eq!(env.files(), files, "times of change included");
    assert_eq!((&again["outcome"], &again["reloaded"], &again["diff"]), (&json!("live"), &json!([]), &json!("")));
    assert_eq!((&again["counts"]["files_written"], &again["counts"]["users"]), (&json!(0), &json!(2)));
    assert_eq!(again["run"], json!(applied["run"].as_i64().unwrap() + 1));
}

#[test]
fn a_dry_run_answers_with_the_plan_and_moves_nothing() {
    let env = system();
    let (_serve, client) = serving(&env);
    // Where the file is in step, it is the plan of the command.
    let command: Value = serde_json::from_str(&env.run("plan --format json").expect(0).stdout).unwrap();
    assert_eq!(client.apply("?dry_run=true").expect(200).json()["id"], command["id"]);

    make(&client, "Ana");
    let before = standing(&env);
    let plan = client.apply("?dry_run=true").expect(200).json();
    assert_eq!(standing(&env), before);
    is_a_plan(&plan);
    let diff = plan["files"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("+[1001](acme-phone)\n") && diff.contains("+password_digest = (sensitive)\n"), "{plan:#}");
    assert_eq!(plan["reload"], json!(["res_pjsip"]));
    // Users of the API count in the plan of the file, too.
    let command: Value = serde_json::from_str(&env.run("plan --format json").expect(0).stdout).unwrap();
    assert_eq!(plan["id"], command["id"]);

    // A file that is ahead of the rows has another plan: rows of the file are the command's.
    env.write("pbx.yaml", &desired(&[BO, "email: cy@example.com, name: Cy"]));
    let ahead: Value = serde_json::from_str(&env.run("plan --format json").expect(0).stdout).unwrap();
    assert_eq!(client.apply("?dry_run=true").expect(200).json()["id"], plan["id"]);
    assert_ne!(ahead["id"], plan["id"]);
}

#[test]
fn only_the_expected_plan_is_applied() {
    let env = system();
    let (_serve, client) = serving(&env);
    make(&client, "Ana");
    let expected = client.apply("?dry_run=true").expect(200).json()["id"].as_str().unwrap().to_owned();
    make(&client, "Cy");
    let before = standing(&env);
    for query in [format!("?expect={expected}"), format!("?expect={expected}&dry_run=true"), "?expect=none".into()] {
        let stale = client.apply(&query).expect(412);
        assert_eq!(stale.error(), "PlanStale");
        let plan = details(&stale).1.unwrap();
        is_a_plan(&plan);
        assert!(plan["files"][0]["diff"].as_str().unwrap().contains("+[1002](acme-phone)\n"));
        assert_eq!(standing(&env), before);
    }
    let now = client.apply("?dry_run=true").expect(200).json()["id"].as_str().unwrap().to_owned();
    let applied = client.apply(&format!("?expect={now}")).expect(200).json();
    assert_eq!(applied["plan_id"], now);
    is_in_step(&env);
    // Whoever asks again for what is live by that plan has it.
    assert_eq!(client.apply(&format!("?expect={now}")).expect(200).json()["outcome"], "live");
    client.apply(&format!("?expect={expected}")).expect(412);
}

#[test]
fn another_apply_that_holds_the_host_is_named() {
    let mut env = system();
    let (_serve, client) = serving(&env);
    make(&client, "Ana");

    // A command, ...
    let mut command = env.command(&["apply"]);
    command.env("RECONCILE_FAIL_POINT", "committed=stop").stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = command.spawn().unwrap();
    until("the command is held up", || is_stopped(holder.id()));
    let refused = client.apply("").expect(409);
    assert_eq!(refused.error(), "ApplyInProgress");
    snapshot!(json!({ "message": refused.json()["error"]["message"], "details": refused.json()["error"]["details"] }));
    client.apply("?dry_run=true").expect(200);
    kill_process(Pid::from_child(&holder), Signal::CONT).unwrap();
    assert!(holder.wait().unwrap().success());

    // ... and another server.
    make(&client, "Cy");
    env.set("RECONCILE_FAIL_POINT", "committed=stop");
    let portal = token(&env, "other", "apply");
    let other = Serve::start(&env, "");
    env.unset("RECONCILE_FAIL_POINT");
    let applying = in_background(&other.client(&portal));
    until("the server is held up", || is_stopped(other.pid()));
    let refused = client.apply("").expect(409);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("token other runs `apply` on pbx-test since 20"), "{message}");
    let command = env.run("apply").expect(5).stderr;
    assert!(command.contains("token other runs `apply` on pbx-test since 20"), "{command}");
    other.signal(Signal::CONT);
    assert_eq!(applying.join().unwrap().unwrap().expect(200).json()["outcome"], "live");
    client.apply("").expect(200);
    is_in_step(&env);
}

/// Two applies within one server lock each other out as two processes do.
#[test]
fn one_server_applies_once_at_a_time() {
    let mut env = system();
    let (_serve, client) = serving_with(&mut env, "committed=delay");
    make(&client, "Ana");
    let both = [in_background(&client), in_background(&client)].map(|apply| apply.join().unwrap().unwrap());
    let mut statuses = both.each_ref().map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    is_in_step(&env);
}

/// Each opened a connection to the database of its own, until that had none left for anybody.
#[test]
fn a_crowd_of_dry_runs_leaves_the_database_to_others() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[BO]));
    env.run("sync").expect(0);
    fs::write(env.path("slow"), "#!/bin/sh\nsleep 1\n").unwrap();
    fs::set_permissions(env.path("slow"), PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", env.path("slow").to_str().unwrap());
    let (_serve, client) = serving(&env);
    let connections = "select count(*) from pg_stat_activity where application_name = 'reconcile'
                       and datname = current_database()";
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..40).map(|_| scope.spawn(|| client.apply("?dry_run=true"))).collect();
        let (mut most, mut sql) = (0, env.sql());
        while !crowd.iter().all(thread::ScopedJoinHandle::is_finished) {
            most = most.max(sql.query_one(connections, &[]).unwrap().get::<_, i64>(0));
            thread::sleep(Duration::from_millis(20));
        }
        assert!((1..=16 + 2).contains(&most), "{most} connections");
        for answer in crowd {
            let answer = answer.join().unwrap();
            assert!(answer.status == 200 || answer.error() == "HostUnavailable", "{answer:?}");
        }
    });
    client.apply("?dry_run=true").expect(200);
}

#[test]
fn a_rail_stops_it_and_the_plan_is_reported() {
    let mut env = system();
    // Another directory, to which the files in place are foreign.
    env.database = Some(database());
    env.set("ASTERISK_CONFIG_DIR", "/nowhere/at/all");
    env.run("sync").expect(0);
    env.unset("ASTERISK_CONFIG_DIR");
    let (_serve, client) = serving(&env);
    let before = standing(&env);
    let stopped = client.apply("").expect(422);
    assert_eq!(stopped.error(), "RailStopped");
    let json = stopped.json();
    assert_eq!(json["error"]["details"][0]["rail"], "foreign-files");
    assert_eq!(
        json["error"]["message"],
        "the generated files on this host, with 1 user, were written from another database; nothing was changed"
    );
    is_a_plan(&details(&stopped).1.unwrap());
    assert_eq!(standing(&env), before);
    // A dry run tells it without failing.
    let plan = client.apply("?dry_run=true").expect(200).json();
    assert_eq!(plan["rails"][0]["rail"], "foreign-files", "{plan:#}");
}

/// Found only under the host's lock, it was an error of its own, `NameTaken`, while a dry run named the rail.
#[test]
fn a_name_that_another_file_has_is_the_rail_that_a_dry_run_names() {
    let env = system();
    let (_serve, client) = serving(&env);
    make(&client, "Ana");
    fs::create_dir_all(env.etc("pjsip.d/other")).unwrap();
    fs::write(env.etc("pjsip.d/other/generated_endpoints.conf"), "[1001]\ntype = aor\n").unwrap();
    let before = standing(&env);
    let planned = client.apply("?dry_run=true").expect(200).json();
    let stopped = client.apply("").expect(422);
    assert_eq!(stopped.error(), "RailStopped");
    let detail = &stopped.json()["error"]["details"][0];
    let words = "the endpoint `1001` is already in the file of the tenant `other` on this host";
    assert_eq!((&detail["rail"], &detail["message"]), (&json!("taken-names"), &json!(words)));
    assert_eq!(planned["rails"][0]["rail"], detail["rail"], "{planned:#}");
    assert_eq!(planned["rails"][0]["hint"], detail["hint"], "{planned:#}");
    assert_eq!(standing(&env), before);
    fs::remove_dir_all(env.etc("pjsip.d/other")).unwrap();
    client.apply("").expect(200);
    is_in_step(&env);
}

#[test]
fn what_asterisk_does_not_take_is_put_back_and_told_stage_by_stage() {
    let env = system();
    let (_serve, client) = serving(&env);
    let (before, good) = (env.files(), fs::read_to_string(env.etc("pjsip.conf")).unwrap());
    make(&client, "Ana");
    fs::write(env.etc("pjsip.conf"), format!("{good}\n[twice]\ntype = aor\n\n[twice]\ntype = aor\n")).unwrap();
    let failed = client.apply("").expect(502);
    assert_eq!(failed.error(), "NotLive");
    snapshot!(json!({ "message": failed.json()["error"]["message"], "details": failed.json()["error"]["details"] }));
    assert_eq!(last_apply(&env), ["token portal", "rolled_back"]);
    fs::write(env.etc("pjsip.conf"), good).unwrap();
    let texts = |files: Vec<(PathBuf, String, _)>| -> Vec<_> { files.into_iter().map(|(p, t, _)| (p, t)).collect() };
    assert_eq!(texts(env.files()), texts(before), "the last good files");
    assert!(env.ask("pjsip show endpoint 1000").contains("\"Bo\" <1000>"), "which run");

    // The same files go live again only by an administrator's word.
    assert_eq!(client.apply("").expect(422).error(), "RailStopped");
    env.run("apply --again").expect(0);
    is_in_step(&env);
}

#[test]
fn an_asterisk_that_hangs_or_is_away_is_reported_before_anything_moves() {
    let mut env = TestEnv::new();
    env.start_asterisk_again();
    begin(&env);
    let (_serve, client) = serving(&env);
    make(&client, "Ana");
    let before = standing(&env);

    let pid = fs::read_to_string(env.path("asterisk/run/asterisk.pid")).unwrap().trim().parse().unwrap();
    let daemon = Pid::from_raw(pid).unwrap();
    kill_process(daemon, Signal::STOP).unwrap();
    let hangs = client.apply("");
    let planned = client.apply("?dry_run=true");
    kill_process(daemon, Signal::CONT).unwrap();
    assert_eq!(hangs.expect(503).error(), "HostUnavailable");
    let planned = planned.expect(200).json();
    assert!(planned["unchecked"][0].as_str().unwrap().starts_with("the running Asterisk: "), "{planned:#}");
    assert_eq!(standing(&env), before);

    env.stop_asterisk();
    let away = client.apply("").expect(503);
    assert_eq!(away.error(), "HostUnavailable");
    let message = away.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Asterisk does not run here") && message.ends_with("nothing was changed"), "{message}");
    assert_eq!(standing(&env), before);

    env.start_asterisk_again();
    client.apply("").expect(200);
    is_in_step(&env);
}

#[test]
fn a_configuration_folder_that_cannot_be_used_is_reported_before_anything_moves() {
    let env = system();
    let (_serve, client) = serving(&env);
    make(&client, "Ana");
    let before = standing(&env);
    let away = env.path("asterisk/away");
    fs::rename(env.etc(""), &away).unwrap();
    let gone = client.apply("").expect(503);
    fs::rename(&away, env.etc("")).unwrap();
    assert_eq!(gone.error(), "HostUnavailable");
    assert_eq!(standing(&env), before);

    let folder = env.etc("pjsip.d/acme");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "ro", "reconcile-test"]).arg(&folder).stderr(Stdio::null());
    if mount.status().is_ok_and(|status| status.success()) {
        let refused = client.apply("");
        assert!(Command::new("umount").arg("-l").arg(&folder).status().unwrap().success());
        let refused = refused.expect(503);
        assert_eq!(refused.error(), "HostUnavailable");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("Read-only file system"), "{message}");
        assert_eq!(standing(&env), before);
    } else {
        say("skipped: a read-only folder, as a disk cannot be mounted here");
    }
    client.apply("").expect(200);
    is_in_step(&env);
}

#[test]
fn a_tenant_that_was_never_recorded_has_nothing_to_apply() {
    let env = system();
    env.write("pbx.yaml", &desired(&[]).replace("acme", "bolt"));
    let (_serve, client) = serving(&env);
    let before = standing(&env);
    for query in ["", "?dry_run=true"] {
        let refused = client.apply(query).expect(409);
        assert_eq!(refused.error(), "TenantNotRecorded");
        assert_eq!(details(&refused).0, ["the tenant `bolt` is not recorded yet"]);
    }
    assert_eq!(standing(&env), before);
    assert!(!env.etc("pjsip.d/bolt").exists());
}

#[test]
fn a_token_without_the_scope_applies_nothing() {
    let env = system();
    let token = token(&env, "reader", "read write");
    let serve = Serve::start(&env, "");
    let client = serve.client(&token);
    make(&client, "Ana");
    let before = standing(&env);
    for query in ["", "?dry_run=true"] {
        assert_eq!(client.apply(query).expect(403).error(), "Forbidden");
        assert_eq!(serve.client("").apply(query).expect(401).error(), "Unauthorized");
    }
    assert_eq!(standing(&env), before);
}

#[test]
fn a_query_with_a_mistake_is_no_apply() {
    let env = system();
    let (_serve, client) = serving(&env);
    make(&client, "Ana");
    let before = standing(&env);
    // Whoever mistypes `dry_run` must not find that it was none.
    for query in ["?dry_run=maybe", "?dryrun=true", "?dry_run=true&dry_run=false", "?expected=p1-0123456789abcdef"] {
        assert_eq!(client.apply(query).expect(422).error(), "ValidationError", "{query}");
    }
    assert_eq!(standing(&env), before);
}

#[test]
fn the_command_writes_the_same_files() {
    let env = system();
    let (_serve, client) = serving(&env);
    make(&client, "Ana");
    make(&client, "Zoë \"Zo\" O'Neil; 日本");
    client.apply("").expect(200);
    let other = env.another_host("pbx-2");
    other.write("pbx.yaml", &desired(&[BO]));
    other.run("apply").expect(0);
    for file in [ENDPOINTS, "extensions.d/acme/generated_routing.conf"] {
        assert_eq!(fs::read_to_string(env.etc(file)).unwrap(), fs::read_to_string(other.etc(file)).unwrap());
    }
    // Nor has the command anything left to do here, and the other way round.
    assert!(env.run("apply").expect(0).stdout.contains("no file changed; nothing reloaded"));
    assert_eq!(client.apply("").expect(200).json()["counts"]["files_written"], 0);
}
