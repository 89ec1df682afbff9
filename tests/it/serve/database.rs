//! The database goes away, comes back, was never there, is too new; two servers share one; a pooler
//! stands in between. Every 201 is in the database, and nothing else is.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::server::{Answer, Client, Serve, token};
use crate::support::{KEY, Server, TestEnv, desired, until};

/// A cluster that keeps its data and its address, whoever ends it.
struct Cluster {
    folder: tempfile::TempDir,
    server: Option<Server>,
    tcp: bool,
}

impl Cluster {
    fn stopped() -> Self {
        let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").unwrap();
        Self { folder, server: None, tcp: false }
    }

    /// With a database of its own and a tenant in it.
    fn with_tenant(env: &mut TestEnv) -> Self {
        let mut cluster = Self::stopped();
        cluster.start();
        env.database = Some(cluster.url());
        env.write("pbx.yaml", &desired(&[]));
        env.run("sync").expect(0);
        cluster
    }

    fn start(&mut self) {
        self.server = None;
        let mut args = vec!["-c", "synchronous_commit=on"];
        if self.tcp {
            args.push("--tcp");
        }
        self.server = Some(Server::start_again("postgres", self.folder.path(), &args));
    }

    fn url(&self) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgresql:///postgres?host={folder}&user=postgres")
    }

    /// Ends it by a signal to its first process, and waits until none is left.
    fn end(&self, signal: Signal) {
        let pid = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap();
        let pid: i32 = pid.lines().next().unwrap().parse().unwrap();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        for pid in children.split_whitespace().map(str::to_owned).chain([pid.to_string()]) {
            let runs =
                || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("postgres"));
            until("the database ended", || !runs());
        }
    }
}

fn newcomer(email: &str) -> Value {
    json!({ "name": "Somebody", "email": email })
}

/// The users as the database has them.
fn recorded(env: &TestEnv) -> BTreeSet<String> {
    env.sql().query("select email from users", &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// What a server says while its database is away.
#[track_caller]
fn unavailable(answer: Answer) {
    let answer = answer.expect(503);
    assert_eq!(answer.error(), "DatabaseUnavailable");
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{answer:?}");
}

/// The database ends while several clients make users, and is started again.
fn ends_during_creates(signal: Signal) {
    let mut env = TestEnv::new();
    let mut cluster = Cluster::with_tenant(&mut env);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let (count, back) = (AtomicUsize::new(0), AtomicBool::new(false));
    let make = |client: usize| {
        let (portal, mut mine, mut after) = (serve.client(&token), BTreeSet::new(), 0);
        for number in 0.. {
            if number >= 25 && after >= 5 {
                break;
            }
            let (email, is_back) = (format!("u{client}-{number}@example.com"), back.load(Ordering::SeqCst));
            let answer = portal.post("/users", &newcomer(&email));
            if answer.status == 201 {
                mine.insert(email);
                count.fetch_add(1, Ordering::SeqCst);
                after += usize::from(is_back);
            } else {
                assert!(answer.text.contains("nothing was changed"), "{}", answer.text);
                unavailable(answer);
                thread::sleep(Duration::from_millis(50));
            }
        }
        mine
    };
    let told: BTreeSet<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|client| scope.spawn(move || make(client))).collect();
        until("some were made", || count.load(Ordering::SeqCst) >= 40);
        cluster.end(signal);
        cluster.start();
        back.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(told.len() >= 80, "{}", told.len());
    assert_eq!(recorded(&env), told);
}

#[test]
fn a_database_that_is_shut_down_during_creates_has_every_201_and_nothing_else() {
    ends_during_creates(Signal::INT);
}

#[test]
fn a_database_that_crashes_during_creates_has_every_201_and_nothing_else() {
    ends_during_creates(Signal::QUIT);
}

#[test]
fn a_database_that_is_killed_during_creates_has_every_201_and_nothing_else() {
    ends_during_creates(Signal::KILL);
}

#[test]
fn a_database_may_go_away_and_come_back() {
    let mut env = TestEnv::new();
    let mut cluster = Cluster::with_tenant(&mut env);
    let token = token(&env, "portal", "read write apply");
    let serve = Serve::start(&env, "");
    let (portal, nobody) = (serve.client(&token), serve.client(""));
    portal.post("/users", &newcomer("a@example.com")).expect(201);
    nobody.get("/readyz").expect(200);

    cluster.end(Signal::INT);
    nobody.get("/healthz").expect(200);
    unavailable(nobody.get("/readyz"));
    unavailable(portal.get("/users"));
    unavailable(portal.post("/users", &newcomer("b@example.com")));
    unavailable(portal.delete("/users/018f3b1c-0000-7000-8000-000000000000"));
    unavailable(portal.apply(""));
    assert!(nobody.get("/metrics").status != 500);

    cluster.start();
    nobody.get("/readyz").expect(200);
    portal.post("/users", &newcomer("b@example.com")).expect(201);
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 2);
}

#[test]
fn a_server_starts_before_its_database() {
    let mut env = TestEnv::new();
    let mut cluster = Cluster::stopped();
    env.database = Some(cluster.url());
    let serve = Serve::start(&env, "");
    let nobody = serve.client("");
    nobody.get("/healthz").expect(200);
    unavailable(nobody.get("/readyz"));
    cluster.start();
    nobody.get("/readyz").expect(200);
}

/// Keys are looked at when the server starts, and nobody looked again if the database was away then.
#[test]
fn a_server_that_started_before_its_database_makes_no_user_with_a_key_that_opens_none_of_its_secrets() {
    let mut env = TestEnv::new();
    let mut cluster = Cluster::with_tenant(&mut env);
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    cluster.end(Signal::INT);
    env.set("RECONCILE_SECRET_KEY", "//////////////////////////////////////////8=");
    let mut serve = Serve::start(&env, "");
    cluster.start();
    let answer = serve.client(&token).post("/users", &newcomer("bo@example.com")).expect(500);
    assert_eq!(answer.error(), "InternalServerError");
    serve.says("the database's secrets were sealed with the key ");
    assert_eq!(recorded(&env), ["ana@example.com".to_owned()].into());
}

#[test]
fn a_database_that_is_newer_is_not_used() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let serve = Serve::start(&env, "");
    serve.client("").get("/readyz").expect(200);
    let later =
        "insert into refinery_schema_history select 99, 'later', applied_on, checksum from refinery_schema_history
                 where version = 1";
    env.sql().batch_execute(later).unwrap();
    unavailable(serve.client("").get("/readyz"));
}

/// Many make a user at the same time, each on the server whose turn it is.
fn crowd(clients: &[Client], count: usize) -> BTreeSet<u64> {
    thread::scope(|scope| {
        let make = |number: usize| {
            let portal = clients[number % clients.len()].clone();
            let user = newcomer(&format!("u{number}@example.com"));
            move || portal.post("/users", &user).expect(201).json()["extension"].as_u64().unwrap()
        };
        let clients: Vec<_> = (0..count).map(|number| scope.spawn(make(number))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn two_servers_on_one_database_behave_as_one() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let servers = [Serve::start(&env, ""), Serve::start(&env, "")];
    let clients = servers.each_ref().map(|serve| serve.client(&token));
    assert_eq!(crowd(&clients, 64), (1000..1064).collect());

    let [here, there] = clients.map(|client| client.with("Idempotency-Key", "k-1"));
    let first = here.post("/users", &newcomer("once@example.com")).expect(201);
    let again = there.post("/users", &newcomer("once@example.com")).expect(201);
    assert_eq!((first.text, first.headers.get("location")), (again.text, again.headers.get("location")));
    assert_eq!(there.post("/users", &newcomer("other@example.com")).expect(422).error(), "IdempotencyKeyReused");
}

/// Answers that are kept hold a secret: they must be sealed anew with all others, or a request that is sent again
/// after the old key was retired would fail.
#[test]
fn an_answer_is_given_again_after_its_key_was_retired() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let post = |env: &TestEnv, email: &str| {
        let serve = Serve::start(env, "");
        serve.client(&token).with("Idempotency-Key", "k-1").post("/users", &newcomer(email))
    };
    let first = post(&env, "once@example.com").expect(201);
    let sealed =
        |env: &TestEnv| -> Vec<u8> { env.sql().query_one("select answer from idempotency_keys", &[]).unwrap().get(0) };
    let before = sealed(&env);

    let (old, new) = (KEY, "//////////////////////////////////////////8=");
    env.unset("RECONCILE_SECRET_KEY");
    env.set("RECONCILE_SECRET_KEY", &format!("{new},{old}"));
    let done = env.run("secret reseal").expect(0).stdout;
    assert!(done.starts_with("Resealed: 2 secrets of acme.\n"), "the user's, and the answer: {done}");
    assert_ne!(sealed(&env)[1..9], before[1..9], "the key's id");
    env.unset("RECONCILE_SECRET_KEY");
    env.set("RECONCILE_SECRET_KEY", new);
    let again = post(&env, "once@example.com").expect(201);
    assert_eq!((first.text, first.headers.get("location")), (again.text, again.headers.get("location")));
    assert_eq!(post(&env, "other@example.com").expect(422).error(), "IdempotencyKeyReused");
    assert_eq!(recorded(&env), ["once@example.com".to_owned()].into());
}

#[test]
fn a_transaction_pooler_may_stand_before_the_database() {
    let mut env = TestEnv::new();
    let mut cluster = Cluster { tcp: true, ..Cluster::stopped() };
    cluster.start();
    let url = &cluster.server.as_ref().unwrap().ready;
    let address = url.split('@').nth(1).unwrap().split('/').next().unwrap();
    let folder = tempfile::Builder::new().prefix("rc-pool-").tempdir_in("/tmp").unwrap().keep();
    let pooler = Server::start("pgbouncer", &folder, &[address, "-c", "default_pool_size=3"]);
    env.database = Some(pooler.ready.clone());
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let servers = [Serve::start(&env, ""), Serve::start(&env, "")];
    let clients = servers.each_ref().map(|serve| serve.client(&token));
    assert_eq!(crowd(&clients, 32), (1000..1032).collect());
    assert_eq!(clients[0].get("/users").expect(200).json()["users"].as_array().unwrap().len(), 32);
}

/// Stands before a database, and breaks off one COMMIT, the database never hears of it: the first
/// from now on, the second and so on, or none (0).
struct Breaker {
    after: Arc<AtomicUsize>,
    url: String,
}

impl Breaker {
    fn before(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://postgres@{}/postgres", listener.local_addr().unwrap());
        let (after, address) = (Arc::new(AtomicUsize::new(0)), address.to_owned());
        let shared = Arc::clone(&after);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&address) else { return };
                let after = Arc::clone(&shared);
                thread::spawn(move || pass_on(client, server, &after));
            }
        });
        Self { after, url }
    }
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, after: &AtomicUsize) {
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut bytes = [0; 8 * 1024];
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        let commit = bytes[..read].windows(7).any(|words| words == b"COMMIT\0");
        let mine = || after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1);
        if (commit && mine()) || server.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

/// An answer that was given again stood first in a transaction whose COMMIT was lost: its user was
/// looked for, and vouched for users who were never recorded.
#[test]
fn an_answer_given_again_does_not_vouch_for_the_others_of_a_lost_commit() {
    let mut env = TestEnv::new();
    let mut cluster = Cluster { tcp: true, ..Cluster::stopped() };
    cluster.start();
    let url = cluster.server.as_ref().unwrap().ready.clone();
    let address: PathBuf = url.split('@').nth(1).unwrap().into();
    let breaker = Breaker::before(address.parent().unwrap().to_str().unwrap());
    env.database = Some(breaker.url.clone());
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    let again = portal.with("Idempotency-Key", "k-1");
    let first = again.post("/users", &newcomer("first@example.com")).expect(201).text;

    // While the first of these waits for another writer, the others gather behind it.
    let mut writer = postgres::Client::connect(&url, postgres::NoTls).unwrap();
    let hash = Sha256::digest("reconcile tenant acme");
    let key = i64::from_be_bytes(hash[..8].try_into().unwrap());
    writer.batch_execute(&format!("begin; select pg_advisory_xact_lock({key})")).unwrap();
    thread::scope(|scope| {
        let make = |email: &'static str| {
            let portal = portal.clone();
            scope.spawn(move || portal.post("/users", &newcomer(email)).expect(201))
        };
        let before = make("before@example.com");
        let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
        let mut sql = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        until("the first one waits", || sql.query_one(waits, &[]).unwrap().get::<_, i64>(0) > 0);
        let repeated = scope.spawn(|| again.post("/users", &newcomer("first@example.com")).expect(201));
        // Nothing tells that a request waits in the server; where it comes too late, nothing is tested.
        thread::sleep(Duration::from_millis(500));
        let after = make("after@example.com");
        thread::sleep(Duration::from_millis(500));
        breaker.after.store(2, Ordering::SeqCst);
        writer.batch_execute("rollback").unwrap();
        before.join().unwrap();
        after.join().unwrap();
        assert_eq!(repeated.join().unwrap().text, first);
    });
    let wanted = ["first@example.com", "before@example.com", "after@example.com"];
    assert_eq!(recorded(&env), wanted.map(str::to_owned).into());
}
