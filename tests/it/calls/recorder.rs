//! What waits in the spool is in the database in the end: after the death of its owner, of the server,
//! of the database, and of whoever appends.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use reconcile::recorder::spool::{Reader, Spool, encode};
use rustix::process::Signal;

use super::{
    super::{
        serve::server::{Serve, token},
        support::{Server, desired, say, until},
    },
    *,
};

fn append(spool: &Spool, events: impl IntoIterator<Item = Event>) {
    for event in events {
        spool.append(&encode(&event).unwrap()).unwrap();
    }
}

fn count(env: &TestEnv) -> i64 {
    env.sql().query_one("select count(*) from calls where status = 'completed'", &[]).map_or(0, |row| row.get(0))
}

/// The bytes that wait in the folders of the spool.
fn waiting(env: &TestEnv) -> u64 {
    let folders = fs::read_dir(env.path("state/calls")).unwrap().flatten();
    folders.map(|folder| Reader::open(&folder.path()).unwrap().waiting().unwrap()).sum()
}

fn metric(client: &super::super::serve::server::Client, name: &str) -> String {
    let text = client.get("/metrics").expect(200).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn a_server_records_what_the_dead_left_and_is_quick_about_it() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let root = env.path("state/calls");
    let (first, second) = (Spool::claim(&root).unwrap(), Spool::claim(&root).unwrap());
    append(
        &first,
        (0..10_000).flat_map(|number| [answered(&sid(number), 0), status(&sid(number), 9, Status::Completed, None)]),
    );
    append(&second, (10_000..10_010).flat_map(|number| whole_call(&sid(number))));
    drop((first, second));
    let mut serve = Serve::start(&env, "");
    let began = Instant::now();
    until("all calls are recorded", || count(&env) == 10_010);
    let rate = 20_000.0 / began.elapsed().as_secs_f64();
    say(&format!("caught up at {rate:.0} events a second, unoptimised"));
    let client = serve.client(&token(&env, "monitor", "read"));
    until("the spool is empty", || metric(&client, "reconcile_call_spool_bytes") == "0");
    assert_eq!(metric(&client, "reconcile_call_events_written_total"), "20040");
    until("nothing is old", || metric(&client, "reconcile_call_oldest_unsent_seconds") == "0.0");
    assert_eq!(metric(&client, "reconcile_call_spool_durable"), "1");
    serve.signal(Signal::TERM);
    assert!(serve.ends().success());
    assert_eq!(waiting(&env), 0);
}

/// One part of the spool that could not be read slowed down the record of every call.
#[test]
fn a_broken_or_vanished_part_of_the_spool_slows_down_no_call() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let root = env.path("state/calls");
    let (first, second) = (Spool::claim(&root).unwrap(), Spool::claim(&root).unwrap());
    append(&first, (0..6000).map(|number| status(&sid(number), 9, Status::Completed, None)));
    // A folder in place of a file cannot be read, as a bad block of a disk.
    fs::create_dir(root.join("1").join(format!("{:020}.calls", second.open_from()))).unwrap();
    drop((first, second));
    let mut serve = Serve::start(&env, "--insecure-skip-signature");
    let began = Instant::now();
    until("all other calls are recorded", || count(&env) == 6000);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    serve.says("a part of the spool cannot be read");
    let client = serve.client(&token(&env, "monitor", "read"));
    until("it is set aside", || metric(&client, "reconcile_call_spool_set_aside_total") == "1");
    assert!(root.join("1").join(format!("{:020}.unreadable", 1)).is_dir());

    // The folder of the running server goes.
    let ended = |number: usize| {
        let body = format!("CallSid={}&CallStatus=completed", sid(number));
        let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
        client.send("POST", "/webhooks/twilio/status", Some(body.as_bytes())).expect(204);
    };
    (6000..6100).for_each(ended);
    fs::remove_dir_all(root.join("0")).unwrap();
    (6100..6200).for_each(ended);
    until("these are recorded, too", || count(&env) == 6200);
}

#[test]
fn a_killed_server_loses_nothing_and_writes_nothing_twice() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let calls = 4000;
    let spool = Spool::claim(&env.path("state/calls")).unwrap();
    append(&spool, (0..calls).flat_map(|number| whole_call(&sid(number))));
    drop(spool);
    // Killed again and again while it writes, wherever it stands.
    for pause in [0, 5, 15, 40, 90, 20] {
        let mut serve = Serve::start(&env, "");
        let before = count(&env);
        until("it writes", || count(&env) > before);
        thread::sleep(Duration::from_millis(pause));
        serve.signal(Signal::KILL);
        serve.ends();
    }
    let _serve = Serve::start(&env, "");
    until("all calls are recorded", || count(&env) == i64::try_from(calls).unwrap());
    let odd = "select count(*) from calls where retries <> 0 or routed_dialer <> 'zendesk_talk'
               or (select count(*) from call_steps s where s.call_sid = calls.call_sid) <> 2";
    assert_eq!(env.sql().query_one(odd, &[]).unwrap().get::<_, i64>(0), 0);
}

#[test]
fn calls_wait_for_a_database_that_is_away() {
    let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").unwrap();
    let start = || Server::start_again("postgres", folder.path(), &["-c", "synchronous_commit=on"]);
    let mut postgres = Some(start());
    let mut env = TestEnv::new();
    env.database = postgres.as_ref().map(|server| server.ready.clone());
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let mut serve = Serve::start(&env, "");
    let client = serve.client(&token(&env, "monitor", "read"));
    let alive = Spool::claim(&env.path("state/calls")).unwrap();
    assert_eq!(metric(&client, "reconcile_call_events_written_total"), "0");
    postgres = None;
    // Another replica on this host dies while the database is away.
    append(&alive, (0..700).flat_map(|number| whole_call(&sid(number))));
    drop(alive);
    serve.says("calls wait to be recorded");
    until("it is seen that calls wait", || metric(&client, "reconcile_call_oldest_unsent_seconds") != "0.0");
    assert!(metric(&client, "reconcile_call_spool_bytes").parse::<u64>().unwrap() > 100_000);
    assert_ne!(metric(&client, "reconcile_call_batches_failed_total"), "0");
    postgres.replace(start());
    until("all calls are recorded", || {
        // The server may just come up.
        let sql = postgres::Client::connect(env.database.as_ref().unwrap(), postgres::NoTls);
        sql.and_then(|mut sql| sql.query_one("select count(*) from calls where status = 'completed'", &[]))
            .is_ok_and(|row| row.get::<_, i64>(0) == 700)
    });
    until("nothing waits", || metric(&client, "reconcile_call_spool_bytes") == "0");
    let log = serve.log();
    assert!(!log.contains("30123456"), "{log}");
    // Ended without its database, the server ends all the same.
    drop(postgres);
    serve.signal(Signal::TERM);
    assert!(serve.ends().success());
}

/// The variable that has this test program append until it is killed.
const APPEND: &str = "CALLS_TEST_APPEND_TO";

#[test]
fn appends_until_it_is_killed() {
    let Some(root) = std::env::var_os(APPEND) else { return };
    let spool = Spool::claim(Path::new(&root)).unwrap();
    let mut out = std::io::stdout();
    for number in 0.. {
        append(&spool, [answered(&sid(number), 0)]);
        // What is said here is an answered call.
        out.write_all(format!("appended {}\n", sid(number)).as_bytes()).unwrap();
    }
}

#[test]
fn every_append_that_returned_is_there_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "calls::recorder::appends_until_it_is_killed", "--nocapture"])
            .env(APPEND, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("appended ")?.1.to_owned()));
        let mut appended: Vec<String> = lines.by_ref().take(2000).collect();
        child.kill().unwrap();
        appended.extend(lines);
        child.wait().unwrap();
        let spool = Spool::claim(root.path()).unwrap();
        assert_eq!(spool.folder().path(), root.path().join("0"), "the lock died with it");
        let mut reader = spool.reader().unwrap();
        let mut read = Vec::new();
        loop {
            let batch = reader.next(spool.open_from(), 500).unwrap();
            assert_eq!(batch.bad, 0);
            if batch.is_empty() {
                break;
            }
            read.extend(batch.events.iter().map(|event| event.call_sid.clone()));
            reader.delivered(&batch).unwrap();
        }
        reader.check().unwrap();
        // One more may be there, whose append had no time to return.
        assert_eq!(read[..appended.len()], appended);
        assert!(read.len() <= appended.len() + 1 && appended.len() >= 2000);
    }
}
