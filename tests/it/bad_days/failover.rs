//! A primary and its streaming standby: one dies, the other takes over.

use std::{fs, process::Command};

use reconcile::asterisk::{ConfigFile::Endpoints, PerFile};

use super::{
    Case, LIVE, Stage, Stands, UNTOUCHED, case,
    database::{Cluster, url},
    day::{ANA, BO, CY, Day},
    live_through_each,
};
use crate::support::{tool, until};

const USERS: &[&str] = &[ANA, BO];
const MORE: &[&str] = &[ANA, BO, CY];

const PRIMARY: &[&str] = &["wal_level=replica", "max_wal_senders=4", "synchronous_commit=on"];
const STANDBY: &[&str] = &["hot_standby=on"];

/// Makes a standby that follows a primary.
fn follow(primary: &Cluster) -> Cluster {
    let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").expect("a folder");
    let address = primary.address();
    let (host, port) = address.split_once(':').expect("host and port");
    let copied = Command::new(tool("RECONCILE_PG_BIN").join("pg_basebackup"))
        .args(["-h", host, "-p", port, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-N", "-D"])
        .arg(folder.path().join("data"))
        .status()
        .expect("pg_basebackup runs");
    assert!(copied.success());
    let mut standby = Cluster::of(folder);
    standby.start_again(STANDBY);
    standby
}

fn asked(cluster: &Cluster, query: &str) -> String {
    let mut client = postgres::Client::connect(&cluster.url(), postgres::NoTls).expect("it answers");
    client.query_one(query, &[]).expect("an answer").get(0)
}

/// Waits until the standby has all that the primary has.
fn in_step_with(day: &mut Day) {
    let end = asked(day.cluster(), "select pg_current_wal_lsn()::text");
    let there = format!("select coalesce(pg_last_wal_replay_lsn() >= '{end}'::pg_lsn, false)::text");
    until("the standby is in step", || asked(day.standby(), &there) == "true");
}

fn promote(standby: &Cluster) {
    assert_eq!(asked(standby, "select pg_promote()::text"), "true");
}

/// The URL with both, as in the README.
fn both(day: &mut Day) -> String {
    let addresses = [day.cluster().address(), day.standby().address()].join(",");
    url(&addresses, "&target_session_attrs=read-write")
}

/// The primary crashes while an apply is held up, and the standby has all it had.
fn fails_over(name: &str, point: &'static str) -> Case {
    case(name, USERS, MORE).runs(move |day| {
        day.meanwhile(point, |day| {
            in_step_with(day);
            day.cluster().crash();
            promote(day.standby());
        })
    })
}

fn cases() -> Vec<Case> {
    let only = |standby: bool, options: &'static str| {
        move |day: &mut Day| {
            let address = if standby { day.standby().address() } else { day.cluster().address() };
            let right = day.env.database.replace(url(&address, options));
            |day: &mut Day| day.env.database = right
        }
    };
    vec![
        case("the standby stands first in the URL", USERS, MORE).goes_wrong(|day| {
            let addresses = [day.standby().address(), day.cluster().address()].join(",");
            let right = day.env.database.replace(url(&addresses, "&target_session_attrs=read-write"));
            |day: &mut Day| day.env.database = right
        }),
        case("the URL leads to a standby only", USERS, MORE)
            .goes_wrong(only(true, ""))
            .sees(1, &[
                "cannot execute ",
                " in a read-only transaction",
                "hint: this server is read-only: name all servers in DATABASE_URL, with `target_session_attrs=read-write`",
            ])
            .stands(UNTOUCHED),
        case("the URL wants to write and leads to a standby only", USERS, MORE)
            .goes_wrong(only(true, "&target_session_attrs=read-write"))
            .sees(1, &["error: cannot connect to the database", "database does not allow writes"])
            .stands(UNTOUCHED),
        fails_over("the standby takes over in the middle of the rows", "recording=stop")
            .sees(1, &["error: "])
            .stands(UNTOUCHED),
        fails_over("the standby takes over after COMMIT", "committed=stop")
            .sees(0, &["warning: the audit row ", "Live: 1 file written"])
            .stands(Stands { audit: Some("open"), ..LIVE }),
        // What the files hold is all that is left of the last rows: nothing is thrown away unasked.
        case("the standby takes over without the last rows", USERS, MORE)
            .goes_wrong(|day| {
                in_step_with(day);
                day.standby().server = None;
                |day: &mut Day| fs::rename(day.env.etc("pjsip.d/acme"), day.env.path("away")).expect("a folder")
            })
            .runs(|day| {
                day.run("apply").expect(0);
                day.cluster().crash();
                day.standby().start_again(STANDBY);
                promote(day.standby());
                let url = both(day);
                day.env.database = Some(url);
                day.run("apply")
            })
            .sees(3, &[
                "error[rail-foreign-files]: the generated files on this host hold 1 user that this database never had",
                "hint: restore a dump of the database that has them; or continue without them",
                "--allow foreign-files=1",
            ])
            .stands(Stands { files: PerFile::all(Stage::Before).with(Endpoints, Stage::Else), running: PerFile::all(Stage::Before).with(Endpoints, Stage::Else), ..UNTOUCHED }),
    ]
}

#[test]
fn a_standby_takes_over() {
    let mut day = Day::new();
    live_through_each("failover", &cases(), |case| {
        let primary = Cluster::start(PRIMARY);
        day.standby = Some(follow(&primary));
        day.cluster = Some(primary);
        let url = both(&mut day);
        day.env.database = Some(url);
        // It is another directory: nothing of the former one may stand.
        day.forget_files();
        case.live_through(&mut day);
    });
}
