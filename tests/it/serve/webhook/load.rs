//! Bad days under load: whatever dies meanwhile, each call that was answered is recorded, once.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use super::provider::{DID, applied, form, routes};
use crate::{
    serve::server::{Client, Serve, token},
    support::{Server, TestEnv, desired, say, until},
};

/// What a signature is needed for is tested elsewhere.
const UNSIGNED: &str = "--insecure-skip-signature";

/// Who calls, each one after the other.
const CALLERS: usize = 4;

/// Callers, and the calls of theirs that were answered.
#[derive(Default)]
struct Crowd {
    next: AtomicUsize,
    over: AtomicBool,
    answered: Mutex<BTreeSet<String>>,
}

impl Crowd {
    /// Calls until the server is gone or it is over. A call that was not answered is tried no more.
    fn call(&self, client: &Client) {
        let client = client.with("Content-Type", "application/x-www-form-urlencoded");
        while !self.over.load(Ordering::Relaxed) {
            let sid = format!("CA{:032x}", self.next.fetch_add(1, Ordering::Relaxed));
            let body = form(&[("CallSid", &sid), ("From", "+4930123456"), ("To", DID), ("Direction", "inbound")]);
            let Some(answer) = client.try_send("POST", "/webhooks/twilio", Some(body.as_bytes())) else { return };
            assert!(answer.expect(200).text.contains("<Dial "), "{sid}");
            self.answered.lock().unwrap().insert(sid);
        }
    }

    fn count(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// Waits until so many more were answered.
    #[track_caller]
    fn wait_for(&self, more: usize) {
        let (wanted, until) = (self.count() + more, Instant::now() + Duration::from_mins(1));
        while self.count() < wanted {
            assert!(Instant::now() < until, "no call is answered");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn each_answered_call_is_recorded_whatever_dies_meanwhile() {
    let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").unwrap();
    let start = || Server::start_again("postgres", folder.path(), &["-c", "synchronous_commit=on"]);
    let mut postgres = Some(start());
    let mut env = TestEnv::new();
    env.database = postgres.as_ref().map(|server| server.ready.clone());
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }, { "dialer": "zendesk_talk" }])));
    // Two replicas that share a host, of which one is killed again and again.
    let steady = Serve::start(&env, UNSIGNED);
    let mut shaky = Serve::start(&env, UNSIGNED);
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let callers = |serve: &Serve| {
            for _ in 0..CALLERS {
                let (client, crowd) = (serve.client(""), &crowd);
                scope.spawn(move || crowd.call(&client));
            }
        };
        callers(&steady);
        for round in 0..4 {
            callers(&shaky);
            crowd.wait_for(200);
            // The first two die beside a database that works, the others without one.
            if round == 1 {
                postgres = None;
            }
            crowd.wait_for(200);
            shaky.signal(Signal::KILL);
            shaky.ends();
            crowd.wait_for(100);
            shaky = Serve::start(&env, UNSIGNED);
        }
        postgres.replace(start());
        crowd.wait_for(200);
        crowd.over.store(true, Ordering::Relaxed);
    });
    let answered = crowd.answered.into_inner().unwrap();
    say(&format!("{} calls were answered", answered.len()));
    let mut recorded = BTreeSet::new();
    until("all of them are recorded", || {
        let Ok(mut sql) = postgres::Client::connect(env.database.as_ref().unwrap(), postgres::NoTls) else {
            return false;
        };
        let rows = sql.query("select call_sid from calls where status = 'routed' and retries = 0", &[]).unwrap();
        recorded = rows.iter().map(|row| row.get(0)).collect();
        answered.is_subset(&recorded)
    });
    // Those whose answer was cut by the kill may be recorded, too: one for each caller at a time.
    assert!(recorded.len() <= answered.len() + 4 * CALLERS, "{} of {}", recorded.len(), answered.len());
    drop((steady, shaky));
}

#[test]
fn with_a_full_disk_calls_are_answered_and_recorded_all_the_same() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    let state = env.path("state");
    fs::create_dir_all(&state).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=256k,mode=700", "reconcile-test"]).arg(&state).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        say("skipped: a disk cannot be mounted here");
        return;
    }
    let mut serve = Serve::start(&env, UNSIGNED);
    let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
    let monitor = serve.client(&token(&env, "monitor", "read"));
    let durable = || monitor.get("/metrics").expect(200).text.contains("reconcile_call_spool_durable 1\n");
    assert!(durable());
    let _ = fs::write(state.join("junk"), vec![0; 256 * 1024]);
    let call = |number: usize| {
        let sid = format!("CA{number:032x}");
        let body = form(&[("CallSid", &sid), ("From", "+4930123456"), ("To", DID), ("CallerName", &"x".repeat(500))]);
        let answer = client.send("POST", "/webhooks/twilio", Some(body.as_bytes()));
        assert!(answer.expect(200).text.contains("<Dial "), "{sid}");
    };
    let calls = 100;
    (0..calls).for_each(call);
    assert!(!durable(), "a full disk shows");
    serve.says("cannot be written to disk");
    let recorded = || env.sql().query_one("select count(*) from calls", &[]).unwrap().get::<_, i64>(0);
    until("the database has what the disk has not", || usize::try_from(recorded()).unwrap() == calls);
    fs::remove_file(state.join("junk")).unwrap();
    call(calls);
    until("it is durable again", durable);
    until("the last one is recorded", || usize::try_from(recorded()).unwrap() == calls + 1);
    assert!(!serve.log().contains("30123456"), "numbers in the log");
    drop(serve);
    assert!(Command::new("umount").arg("-l").arg(&state).status().unwrap().success());
}

/// Calls were gathered for 20 ms before any was answered: a caller that waits for each answer had 50 a second.
#[test]
fn one_call_after_the_other_is_answered_at_once() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    let serve = Serve::start(&env, UNSIGNED);
    let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
    let mut times: Vec<Duration> = (0..200)
        .map(|number| {
            let sid = format!("CA{number:032x}");
            let body = form(&[("CallSid", &sid), ("From", "+4930123456"), ("To", DID), ("Direction", "inbound")]);
            let began = Instant::now();
            client.send("POST", "/webhooks/twilio", Some(body.as_bytes())).expect(200);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    // Every call but the first took 20 ms. The fastest tenth says so on a busy machine, too.
    assert!(times[20] < Duration::from_millis(15), "{:?}, median {:?}", times[20], times[100]);
}

#[test]
fn calls_are_answered_and_recorded_while_a_thread_of_the_record_panics() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    env.set("RECONCILE_FAIL_POINT", "spool-append=panic");
    let mut serve = Serve::start(&env, UNSIGNED);
    let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
    for number in 0..20 {
        let sid = format!("CA{number:032x}");
        let body = form(&[("CallSid", &sid), ("From", "+4930123456"), ("To", DID), ("Direction", "inbound")]);
        let answer = client.send("POST", "/webhooks/twilio", Some(body.as_bytes()));
        assert!(answer.expect(200).text.contains("<Dial "), "{sid}");
    }
    serve.says("panicked and starts again");
    let recorded = || env.sql().query_one("select count(*) from calls", &[]).unwrap().get::<_, i64>(0);
    until("all of them are recorded", || recorded() == 20);
    let metrics = serve.client(&token(&env, "monitor", "read")).get("/metrics").expect(200).text;
    let restarts = metrics.lines().find_map(|line| line.strip_prefix("reconcile_call_recorder_restarts_total "));
    assert!(restarts.unwrap().parse::<u32>().unwrap() > 0, "{metrics}");
}
