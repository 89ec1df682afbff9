//! Tests against real server processes.
//!
//! Other commands are played by this test program itself, run again with [`COMMAND`] set; see
//! [`plays_a_command`]. Run as root they cover the borrowed user, too.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::model::Hints;

use self::played::{COMMAND, Played, STATE_DIR};
use super::*;

mod played;

/// A user that exists everywhere and is neither root nor the server's.
const NOBODY: u32 = 65534;

#[test]
fn creates_on_first_use_and_stops_with_the_last_user() {
    let state = state_dir();
    let settings = settings(state.path());
    assert!(!Embedded::exists(&settings));

    let mut said = Vec::new();
    let embedded = Embedded::start(&settings, &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(said, ["creating the private database (first use)"]);
    assert!(Embedded::exists(&settings));
    assert_eq!(ask(&embedded, "show fsync"), "on");
    assert_eq!(ask(&embedded, "show listen_addresses"), "");
    assert_eq!(ask(&embedded, "show server_encoding"), "UTF8");
    assert_eq!(ask(&embedded, "select current_user::text"), "reconcile");
    let sockets = fs::metadata(embedded.socket_dir()).unwrap();
    assert_eq!(sockets.mode() & 0o7777, 0o700);
    let pid = server(state.path()).unwrap();
    embedded.leave().unwrap();
    assert!(!is_running(pid));

    let again = start(state.path());
    assert_eq!(ask(&again, "select 1::text"), "1");
    drop(again);
    assert_eq!(server(state.path()), None);
}

#[test]
fn keeps_the_server_for_the_remaining_processes() {
    let state = state_dir();
    let first = start(state.path());
    let pid = server(state.path());
    let second = start(state.path());
    first.leave().unwrap();
    assert_eq!(ask(&second, "select 1::text"), "1");
    let third = start(state.path());
    second.leave().unwrap();
    assert_eq!(server(state.path()), pid);
    // A connection that is still open does not keep the server.
    let _client = connect(&third);
    third.leave().unwrap();
    assert_eq!(server(state.path()), None);
}

#[test]
fn starts_a_server_that_knows_nothing_of_the_command() {
    let state = state_dir();
    let embedded = start(state.path());
    let proc = PathBuf::from(format!("/proc/{}", server(state.path()).unwrap()));
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap();
    assert!(proc.ends_with(group), "a process group of its own, so that Ctrl-C spares it");
    let environment = fs::read(proc.join("environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO"), "secrets may be in there");
    for descriptor in fs::read_dir(proc.join("fd")).unwrap() {
        let Ok(target) = fs::read_link(descriptor.unwrap().path()) else {
            continue;
        };
        let name = target.file_name().unwrap_or_default();
        assert!(name != START_LOCK && name != USERS_LOCK, "holds {}", target.display());
    }
    embedded.leave().unwrap();
}

#[test]
fn is_shared_by_commands_that_come_and_go_in_any_order() {
    let state = state_dir();
    for first_leaves_first in [true, false] {
        let mut commands = [Played::hold(state.path()), Played::hold(state.path())];
        assert!(server(state.path()).is_some());
        let order = if first_leaves_first { [0, 1] } else { [1, 0] };
        commands[order[0]].leave();
        assert!(server(state.path()).is_some());
        commands[order[1]].leave();
        assert_eq!(server(state.path()), None);
    }
}

#[test]
fn survives_commands_that_race() {
    let state = state_dir();
    let commands: Vec<_> = (0..4).map(|_| Played::rounds(state.path(), 20)).collect();
    for mut command in commands {
        command.finish();
    }
    assert_eq!(server(state.path()), None);
}

#[test]
fn recovers_from_a_first_run_killed_at_any_moment() {
    for delay in [0, 30, 150, 400, 800] {
        let state = state_dir();
        let mut command = Played::spawn(state.path(), "hold", None);
        await_that(|| {
            fs::read_dir(state.path().join("postgres"))
                .is_ok_and(|mut d| d.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("data"))))
        });
        sleep(Duration::from_millis(delay));
        command.kill();

        let embedded = start(state.path());
        assert_eq!(ask(&embedded, "select 1::text"), "1");
        embedded.leave().unwrap();
        // Once the orphaned `initdb` is through, a start leaves nothing of it.
        await_that(|| {
            start(state.path()).leave().unwrap();
            let entries = fs::read_dir(state.path().join("postgres")).unwrap();
            !entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("data.new"))
        });
    }
}

#[test]
fn sets_folders_right_that_a_killed_command_left_half_made() {
    let state = state_dir();
    let folder = state.path().join("postgres");
    fs::create_dir_all(folder.join("run")).unwrap();
    fs::create_dir(folder.join("data.new-left")).unwrap();
    for path in [&folder, &folder.join("run")] {
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
    let embedded = start(state.path());
    assert_eq!(ask(&embedded, "select 1::text"), "1");
    assert!(!folder.join("data.new-left").exists());
    embedded.leave().unwrap();
}

#[test]
fn joins_the_server_a_killed_command_left() {
    let state = state_dir();
    let mut command = Played::hold(state.path());
    let left = server(state.path());
    command.kill();
    let embedded = start(state.path());
    assert_eq!(server(state.path()), left);
    embedded.leave().unwrap();
    assert_eq!(server(state.path()), None);
}

#[test]
fn recovers_from_a_command_killed_while_starting_or_stopping() {
    let state = state_dir();
    start(state.path()).leave().unwrap();
    for delay in (0..120).step_by(6) {
        let mut command = Played::spawn(state.path(), "rounds 1", None);
        sleep(Duration::from_millis(delay));
        command.kill();
        let embedded = start(state.path());
        assert_eq!(ask(&embedded, "select 1::text"), "1", "killed after {delay} ms");
        embedded.leave().unwrap();
        assert_eq!(server(state.path()), None);
    }
}

#[test]
fn joins_no_server_that_a_killed_command_told_to_stop() {
    let state = state_dir();
    let mut command = Played::hold(state.path());
    let told = server(state.path()).unwrap();
    // The server reads the signal late, and calls itself ready until then.
    signal(told, Signal::STOP);
    await_that(|| status_of(told, "State:").starts_with('T'));
    drop(command.child.stdin.take());
    await_that(|| is_pending(told, Signal::INT));
    command.kill();

    let woken = std::thread::spawn(move || {
        sleep(Duration::from_millis(200));
        signal(told, Signal::CONT);
    });
    let embedded = start(state.path());
    assert_ne!(server(state.path()), Some(told));
    assert_eq!(ask(&embedded, "select 1::text"), "1");
    embedded.leave().unwrap();
    woken.join().unwrap();
}

#[test]
fn starts_again_after_the_server_was_killed_in_use() {
    let state = state_dir();
    let user = start(state.path());
    // A process that is slow to notice the end of its server holds its memory.
    let mut client = connect(&user);
    let slow: i32 = client.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    signal(slow, Signal::STOP);
    let killed = server(state.path()).unwrap();
    signal(killed, Signal::KILL);
    await_that(|| !is_running(killed));

    let log = state.path().join("postgres/server.log");
    let woken = std::thread::spawn(move || {
        await_that(|| fs::read_to_string(&log).unwrap().contains("still in use"));
        signal(slow, Signal::CONT);
    });
    let embedded = start(state.path());
    woken.join().unwrap();
    assert_ne!(server(state.path()), Some(killed));
    assert_eq!(ask(&embedded, "select 1::text"), "1");
    user.leave().unwrap();
    assert_eq!(ask(&embedded, "select 1::text"), "1");
    embedded.leave().unwrap();
    assert_eq!(server(state.path()), None);
}

#[test]
fn takes_no_other_program_for_the_server() {
    let state = state_dir();
    let embedded = start(state.path());
    let data = cluster::data_dir(state.path());
    let (record, owner) = (data.join("postmaster.pid"), fs::metadata(&data).unwrap());
    let kept = fs::read_to_string(&record).unwrap();
    embedded.leave().unwrap();

    // The server died without a word, and its number was given to another program of its user.
    let mut other = Command::new("sleep").arg("60").uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    let rest = kept.split_once('\n').unwrap().1;
    let lock = state.path().join("postgres/run/.s.PGSQL.5432.lock");
    for stale in [&record, &lock] {
        fs::write(stale, format!("{}\n{rest}", other.id())).unwrap();
        std::os::unix::fs::chown(stale, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let embedded = start(state.path());
    assert_eq!(ask(&embedded, "select 1::text"), "1");
    embedded.leave().unwrap();
    assert!(other.try_wait().unwrap().is_none(), "the bystander was spared");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn takes_awkward_folders() {
    let state = state_dir();
    let real = state.path().join("a, b \"c\" ü");
    fs::create_dir(&real).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o755)).unwrap();
    symlink(&real, state.path().join("link")).unwrap();
    let one = start(&state.path().join("missing/../link/x"));
    let other = start(&real.join("x"));
    one.leave().unwrap();
    assert_eq!(ask(&other, "select 1::text"), "1");
    other.leave().unwrap();
    assert_eq!(server(&real.join("x")), None);
}

#[test]
fn refuses_a_long_path_before_anything_is_created() {
    let state = state_dir();
    let long = state.path().join("x".repeat(100));
    let error = Embedded::start(&settings(&long), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbeddedError::SocketPath { .. }), "{error}");
    assert_eq!(Hints::hints(&error), ["pass a shorter `--state-dir`"]);
    assert!(!long.exists());
}

#[test]
fn refuses_a_folder_without_binaries_before_anything_is_created() {
    let state = state_dir();
    let settings = Settings { bin_dir: Some(state.path().into()), ..settings(&state.path().join("s")) };
    let error = Embedded::start(&settings, &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbeddedError::NotBinaries(_)), "{error}");
    assert!(!state.path().join("s").exists());
}

#[test]
fn names_both_versions_when_they_differ() {
    let state = state_dir();
    start(state.path()).leave().unwrap();
    fs::write(cluster::data_dir(state.path()).join("PG_VERSION"), "9\n").unwrap();
    let error = Embedded::start(&settings(state.path()), &mut |_| {}).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("was made by PostgreSQL 9, but this machine has PostgreSQL 1"), "{text}");
}

#[test]
fn shows_the_log_when_the_server_does_not_start() {
    let state = state_dir();
    start(state.path()).leave().unwrap();
    fs::remove_file(cluster::data_dir(state.path()).join("global/pg_control")).unwrap();
    let error = Embedded::start(&settings(state.path()), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbeddedError::Start { .. }), "{error}");
    assert!(error.to_string().contains("could not find the database system"), "{error}");
}

#[test]
fn sets_a_large_log_aside() {
    let state = state_dir();
    start(state.path()).leave().unwrap();
    let log = state.path().join("postgres/server.log");
    fs::write(&log, vec![b'\n'; 5 << 20]).unwrap();
    start(state.path()).leave().unwrap();
    assert!(fs::metadata(&log).unwrap().len() < 1 << 20);
    assert!(state.path().join("postgres/server.log.1").exists());
}

#[test]
fn names_the_folder_in_the_way_of_roots_server() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let state = state_dir();
    let closed = state.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start(&settings(&closed.join("s")), &mut |_| {}).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("who cannot enter \"{}\"", closed.display())), "{text}");
    assert!(!closed.join("s").exists());
}

#[test]
fn runs_for_an_ordinary_user_and_then_for_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let state = state_dir();
    let theirs = state.path().join("s");
    fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&theirs, Permissions::from_mode(0o700)).unwrap();

    let mut holder = Played::spawn(&theirs, "hold", Some(NOBODY));
    holder.await_line("ready");
    // Root joins an ordinary user's server, and may be the last to leave it.
    let root = start(&theirs);
    holder.leave();
    assert_eq!(ask(&root, "select 1::text"), "1");
    root.leave().unwrap();
    assert_eq!(server(&theirs), None);
    start(&theirs).leave().unwrap();
    // What root made there is still that user's.
    Played::spawn(&theirs, "rounds 2", Some(NOBODY)).finish();

    // The other way round it is told.
    let roots = state.path().join("r");
    start(&roots).leave().unwrap();
    let output = Played::spawn(&roots, "rounds 1", Some(NOBODY)).fail();
    assert!(output.contains("belongs to another user"), "{output}");
}

/// Not a test of its own: plays a command when the environment says so.
#[test]
fn plays_a_command() {
    let Ok(command) = std::env::var(COMMAND) else {
        return;
    };
    let state = PathBuf::from(std::env::var_os(STATE_DIR).unwrap());
    if command == "hold" {
        let embedded = start(&state);
        assert_eq!(ask(&embedded, "select 1::text"), "1");
        println!("\nready");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        embedded.leave().unwrap();
    } else {
        let rounds: u64 = command.strip_prefix("rounds ").unwrap().parse().unwrap();
        for round in 0..rounds {
            let embedded = start(&state);
            assert_eq!(ask(&embedded, "select 1::text"), "1");
            sleep(Duration::from_millis((u64::from(std::process::id()) * 7 + round * 13) % 40));
            embedded.leave().unwrap();
            sleep(Duration::from_millis((u64::from(std::process::id()) * 3 + round * 17) % 25));
        }
    }
}

/// A folder that root's server can enter, too.
fn state_dir() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn settings(state: &Path) -> Settings {
    Settings { state_dir: state.into(), bin_dir: None, path: std::env::var_os("PATH") }
}

#[track_caller]
fn start(state: &Path) -> Embedded {
    Embedded::start(&settings(state), &mut |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

fn connect(embedded: &Embedded) -> postgres::Client {
    postgres::Config::new()
        .host_path(embedded.socket_dir())
        .user(embedded.user())
        .dbname(embedded.database())
        .connect(postgres::NoTls)
        .unwrap()
}

fn ask(embedded: &Embedded, question: &str) -> String {
    connect(embedded).query_one(question, &[]).unwrap().get(0)
}

/// Finds the living server of a state folder by its own record.
fn server(state: &Path) -> Option<i32> {
    let record = fs::read_to_string(cluster::data_dir(state).join("postmaster.pid")).ok()?;
    record.lines().next()?.trim().parse().ok().filter(|pid| is_running(*pid))
}

#[track_caller]
fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Tells whether a stopped process has been sent a signal that it will read once it goes on.
fn is_pending(pid: i32, signal: Signal) -> bool {
    u64::from_str_radix(&status_of(pid, "ShdPnd:"), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

/// Reads a field of a process's status.
fn status_of(pid: i32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

fn is_running(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[track_caller]
fn await_that(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain");
        sleep(Duration::from_millis(5));
    }
}
