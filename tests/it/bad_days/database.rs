//! A database that is away, full, busy, refuses, dies, or breaks off at COMMIT.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    thread,
};

use sha2::{Digest, Sha256};

use super::{
    Case, LIVE, PUT_BACK, Stage, Stands, UNTOUCHED, case,
    day::{ANA, BO, CY, Day},
    live_through,
};
use crate::support::{Server, TestEnv, until};

const USERS: &[&str] = &[ANA, BO];
const MORE: &[&str] = &[ANA, BO, CY];

/// A cluster of its own, which can be killed and started again.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    pub(super) server: Option<Server>,
}

impl Cluster {
    pub(super) fn start(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").expect("a folder");
        let mut cluster = Self { folder, server: None };
        cluster.start_again(options);
        cluster
    }

    /// In a folder that holds its data already.
    pub(super) fn of(folder: tempfile::TempDir) -> Self {
        Self { folder, server: None }
    }

    pub(super) fn start_again(&mut self, options: &[&str]) {
        let args: Vec<&str> = ["--tcp"].into_iter().chain(options.iter().flat_map(|option| ["-c", option])).collect();
        self.server = None;
        self.server = Some(Server::start_again("postgres", self.folder.path(), &args));
    }

    /// Ends it as a crash does: nothing is written any more.
    pub(super) fn crash(&self) {
        let pid = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).expect("a pid");
        let pid = pid.lines().next().expect("a pid").to_owned();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().expect("kill runs").success());
        until("the server ended", || !fs::exists(format!("/proc/{pid}")).unwrap_or(true));
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        let url = &self.server.as_ref().expect("it runs").ready;
        url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned()
    }

    /// Its URL, with a password that must never be shown.
    pub(super) fn url(&self) -> String {
        url(&self.address(), "")
    }
}

pub(super) fn url(addresses: &str, options: &str) -> String {
    format!("postgres://postgres:{DATABASE_PASSWORD}@{addresses}/postgres?connect_timeout=5{options}")
}

/// Nobody asks for it, and nobody may show it.
pub(super) const DATABASE_PASSWORD: &str = "canary9of9the9database";

/// Stands between the program and the server, and breaks off at the COMMIT of a writer: before the server hears of
/// it, or before the program hears of its answer.
fn break_off_at_commit(server: String, heard: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&server) else { return };
            thread::spawn(move || pass_on(client, server, heard));
        }
    });
    address
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, heard: bool) {
    let (mut answers, mut back) = (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
    let answering = thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut bytes = [0; 8 * 1024];
    let mut writes = false;
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        let has = |part: &[u8]| bytes[..read].windows(part.len()).any(|words| words.eq_ignore_ascii_case(part));
        // A snapshot that is only read ends with COMMIT as well.
        writes |= has(b"pg_advisory_xact_lock");
        let commit = writes && has(b"COMMIT\0");
        if commit {
            // No answer gets through any more.
            let _ = client.shutdown(Shutdown::Both);
        }
        if (!commit || heard) && server.write_all(&bytes[..read]).is_err() {
            break;
        }
        if commit {
            break;
        }
    }
    let _ = (server.shutdown(Shutdown::Write), answering.join());
}

fn broken_off(name: &str, heard: bool) -> Case {
    case(name, USERS, MORE).goes_wrong(move |day| {
        let right = day.env.database.clone().expect("a URL");
        let address = right.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        day.env.database = Some(url(&break_off_at_commit(address.to_owned(), heard), ""));
        |day: &mut Day| day.env.database = Some(right)
    })
}

/// The server crashes while an apply is held up, and is started again afterwards.
fn crashes(name: &str, points: &'static str) -> Case {
    case(name, USERS, MORE)
        .goes_wrong(|_| {
            |day: &mut Day| {
                day.cluster().start_again(OPTIONS);
                let url = day.cluster().url();
                day.env.database = Some(url);
            }
        })
        .runs(move |day| day.meanwhile(points, |day| day.cluster().crash()))
}

/// A few connections are enough for everybody but a crowd.
const OPTIONS: &[&str] = &["max_connections=12", "superuser_reserved_connections=0", "synchronous_commit=on"];

/// Another writer of the tenant, who does not come to an end.
fn hold_the_lock(day: &Day) -> postgres::Client {
    let hash = Sha256::digest("reconcile tenant acme");
    let key = i64::from_be_bytes(hash[..8].try_into().expect("8 bytes"));
    let mut writer = day.env.sql();
    writer.batch_execute(&format!("begin; select pg_advisory_xact_lock({key})")).expect("the lock");
    writer
}

fn cases() -> Vec<Case> {
    let open = |stands| Stands { audit: Some("open"), ..stands };
    vec![
        case("the database is away", USERS, MORE)
            .goes_wrong(|day| {
                let right = day.env.database.replace(url("127.0.0.1:1", ""));
                |day: &mut Day| day.env.database = right
            })
            .sees(
                1,
                &[
                    "error: cannot connect to the database postgres://postgres@127.0.0.1:1/postgres",
                    "Connection refused",
                    "hint: nothing listens there: check host and port, and that the server runs",
                ],
            )
            .stands(UNTOUCHED),
        case("the database has no connection to spare", USERS, MORE)
            .goes_wrong(|day| {
                let url = day.env.database.clone().expect("a URL");
                let crowd: Vec<_> =
                    std::iter::from_fn(|| postgres::Client::connect(&url, postgres::NoTls).ok()).collect();
                assert!(crowd.len() > 5, "{}", crowd.len());
                |_: &mut Day| drop(crowd)
            })
            .sees(1, &["error: cannot connect to the database", "sorry, too many clients already"])
            .stands(UNTOUCHED),
        case("another writer does not come to an end", USERS, MORE)
            .goes_wrong(|day| {
                let writer = hold_the_lock(day);
                |_: &mut Day| drop(writer)
            })
            .sees(
                1,
                &[
                    "error: the database refused to take the lock of the only writer",
                    "canceling statement due to lock timeout",
                    "hint: another `reconcile` writes this tenant, or a transaction was left open; nothing was changed",
                ],
            )
            .stands(UNTOUCHED),
        case("statements may take a second only", USERS, MORE)
            .goes_wrong(|day| {
                let writer = hold_the_lock(day);
                day.env.sql().batch_execute("alter role postgres set statement_timeout = '1s'").expect("a setting");
                |day: &mut Day| {
                    drop(writer);
                    day.env.sql().batch_execute("alter role postgres reset statement_timeout").expect("a setting");
                }
            })
            .sees(1, &["the database refused to take the lock of the only writer", "due to statement timeout"])
            .stands(UNTOUCHED),
        case("the database refuses the rows at COMMIT", USERS, MORE)
            .goes_wrong(|day| {
                let refuse = "create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
                     create constraint trigger refuse after insert on apply_audit_log deferrable initially deferred
                     for each row execute function refuse()";
                day.env.sql().batch_execute(refuse).expect("a trigger");
                |day: &mut Day| day.env.sql().batch_execute("drop function refuse cascade").expect("a trigger")
            })
            .sees(1, &["error: ", "commit", "ERROR: no"])
            .stands(UNTOUCHED),
        case("an administrator ends the connection", USERS, MORE)
            .runs(|day| {
                day.meanwhile("recording=stop", |day| {
                    let end = "select pg_terminate_backend(pid) from pg_stat_activity
                         where application_name = 'reconcile'";
                    day.env.sql().batch_execute(end).expect("an end");
                })
            })
            .sees(1, &["error: "])
            .stands(UNTOUCHED),
        crashes("the server crashes before COMMIT", "staged=stop").sees(1, &["error: "]).stands(UNTOUCHED),
        crashes("the server crashes after COMMIT", "committed=stop")
            .sees(0, &["warning: the audit row ", " stays open: ", "Live: 1 file written"])
            .stands(open(LIVE)),
        crashes("the server crashes after COMMIT, and the way back needs none", "committed=stop,read-back=error")
            .sees(6, &["rendered: the last good files were put back", "running: Asterisk runs them, read back"])
            .stands(open(PUT_BACK)),
        broken_off("the connection breaks before COMMIT is heard", false)
            .sees(1, &["error: ", "hint: run the same command again"])
            .stands(UNTOUCHED),
        broken_off("the connection breaks after COMMIT was heard", true)
            .sees(1, &["error: ", "hint: run the same command again"])
            .stands(Stands { rows: Stage::After, ..open(UNTOUCHED) }),
    ]
}

#[test]
fn a_database_that_is_not_itself() {
    let cluster = Cluster::start(OPTIONS);
    let mut env = TestEnv::with_asterisk();
    env.database = Some(cluster.url());
    let mut day = Day::on(env);
    day.cluster = Some(cluster);
    live_through("database", &mut day, &cases());
}
