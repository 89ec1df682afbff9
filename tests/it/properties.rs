//! Whatever happens on the way, the last file decides: random edits, kills, failures and applies,
//! on a real database and real files, some of them on a running Asterisk.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{FileFailurePersistence, TestRunner},
};

use reconcile::directory::seal::{Keyring, Owner};
use uuid::Uuid;

use super::support::{KEY, Outcome, TestEnv, say};

const PEOPLE: usize = 6;
/// Where the apply can be stopped when it leaves Asterisk alone, and with Asterisk also.
const POINTS: &[&str] =
    &["locked", "checked", "recording", "rendered", "staged", "committed", "renamed", "written", "closing"];
const LIVE_POINTS: &[&str] = &["reloaded", "read-back", "proven", "let-go"];

/// What a file says about somebody.
#[derive(Debug, Clone, PartialEq)]
struct User {
    /// Declared under the second address, as the one who had the first.
    renamed: bool,
    name: usize,
    pinned: bool,
    devices: Option<u8>,
    /// The version of the declared secret; generated where there is none.
    secret: Option<usize>,
}

impl User {
    fn email(&self, who: usize) -> String {
        if self.renamed { format!("u{who}-renamed@example.com") } else { format!("u{who}@example.com") }
    }
}

type File = BTreeMap<usize, User>;

/// What is done with a file.
#[derive(Debug, Clone)]
enum Deed {
    Apply,
    Sync,
    /// A command that is killed after so many milliseconds, if it takes so long.
    KillAfter(u64, &'static str),
    /// An apply that is killed, or fails, at a point.
    StopAt(usize, &'static str),
}

fn user() -> impl Strategy<Value = User> {
    let secret = prop::option::weighted(0.2, 0..2_usize);
    (prop::bool::weighted(0.2), 0..3_usize, prop::bool::weighted(0.2), prop::option::weighted(0.2, 1..4_u8), secret)
        .prop_map(|(renamed, name, pinned, devices, secret)| User { renamed, name, pinned, devices, secret })
}

fn steps() -> impl Strategy<Value = Vec<(File, Deed)>> {
    let file = prop::collection::btree_map(0..PEOPLE, user(), 0..=PEOPLE);
    let deed = prop_oneof![
        2 => Just(Deed::Apply),
        1 => Just(Deed::Sync),
        2 => (0..150_u64, prop::sample::select(vec!["apply", "apply", "sync"]))
            .prop_map(|(time, command)| Deed::KillAfter(time, command)),
        5 => (0..POINTS.len() + LIVE_POINTS.len(), prop::sample::select(vec!["kill", "kill", "error"]))
            .prop_map(|(point, how)| Deed::StopAt(point, how)),
    ];
    prop::collection::vec((file, deed), 1..7)
}

fn pin(who: usize) -> i32 {
    1500 + i32::try_from(who).unwrap()
}

fn secret(who: usize, version: usize) -> String {
    format!("declared-{who}-{version}")
}

fn yaml(file: &File) -> String {
    let pins: Vec<String> = (0..PEOPLE).map(|who| pin(who).to_string()).collect();
    let line = |(who, user): (&usize, &User)| {
        let key = |key: &str, value: Option<String>| value.map(|v| format!(", {key}: {v}")).unwrap_or_default();
        format!(
            "\n  - {{ email: {}, name: Name {}{}{}{}{} }}",
            user.email(*who),
            user.name,
            key("extension", user.pinned.then(|| pin(*who).to_string())),
            key("previously", user.renamed.then(|| format!("u{who}@example.com"))),
            key("phone", user.devices.map(|devices| format!("{{ devices: {devices} }}"))),
            key("secret", user.secret.map(|version| format!("{{ env: U{who}_{version}_SECRET }}"))),
        )
    };
    let users = if file.is_empty() { " []".to_owned() } else { file.iter().map(line).collect() };
    let range = format!("{{ range: 1000-1505, reserved: [{}] }}", pins.join(", "));
    format!("version: 1\ntenant: acme\nextensions: {range}\nusers:{users}\n")
}

/// A recorded user.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: Uuid,
    name: String,
    number: i32,
    phone: String,
    declared: bool,
    secret: String,
}

/// Who is recorded, by e-mail.
type Rows = BTreeMap<String, Row>;

/// Waits until the last command left the database, and reads who is recorded.
fn rows(env: &TestEnv) -> Rows {
    let mut sql = env.sql();
    let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    let until = Instant::now() + Duration::from_secs(30);
    while sql.query_one(others, &[]).unwrap().get::<_, i64>(0) > 0 {
        assert!(Instant::now() < until, "a killed command is still in the database");
        thread::sleep(Duration::from_millis(5));
    }
    let table = sql.query_one("select to_regclass('users') is not null", &[]).unwrap();
    if !table.get::<_, bool>(0) {
        return BTreeMap::new();
    }
    let query = "select email, u.id, name, number, phone::text, secret_declared, secret_sealed, tenant_id
                 from users u join extensions using (tenant_id) where user_id = u.id";
    let keys = Keyring::parse(KEY).unwrap();
    let row = |row: &postgres::Row| {
        let (id, name, number, phone) = (row.get(1), row.get(2), row.get(3), row.get(4));
        let secret = keys.open(row.get(6), Owner { tenant: row.get(7), user: id }).unwrap().reveal().to_owned();
        (row.get(0), Row { id, name, number, phone, declared: row.get(5), secret })
    };
    sql.query(query, &[]).unwrap().iter().map(row).collect()
}

/// Who was recorded and is declared by the file that somebody tried to apply: row, number and
/// secret stay, unless the file gives another one.
fn untouched(before: &Rows, after: &Rows, file: &File) {
    for (who, user) in file {
        let first = format!("u{who}@example.com");
        let present = before.get(&user.email(*who)).or_else(|| before.get(&first).filter(|_| user.renamed));
        let Some(old) = present else { continue };
        let new = after.values().find(|row| row.id == old.id);
        let new = new.unwrap_or_else(|| panic!("{first} lost its row: {before:?} {after:?}"));
        if !user.pinned {
            assert_eq!(new.number, old.number, "{first} moved");
        }
        let given = user.secret.map(|version| secret(*who, version));
        assert!(new.secret == old.secret || Some(&new.secret) == given.as_ref(), "{first} has another secret");
    }
}

const RAILS: &str = "--allow deletes=99 --allow relogins=99";

struct Case {
    env: TestEnv,
    apply: String,
    points: Vec<&'static str>,
}

impl Case {
    fn new(asterisk: bool) -> Self {
        let mut env = if asterisk { TestEnv::with_asterisk() } else { TestEnv::new() };
        for (who, version) in (0..PEOPLE).flat_map(|who| (0..2).map(move |version| (who, version))) {
            env.set(&format!("U{who}_{version}_SECRET"), &secret(who, version));
        }
        let (reload, points) =
            if asterisk { ("", [POINTS, LIVE_POINTS].concat()) } else { (" --no-reload", POINTS.into()) };
        Self { env, apply: format!("apply --again {RAILS}{reload}"), points }
    }

    fn carry_out(&self, deed: &Deed) {
        let sync = format!("sync {RAILS}");
        let line = if matches!(deed, Deed::Sync | Deed::KillAfter(_, "sync")) { &sync } else { &self.apply };
        let args: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.env.command(&args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match deed {
            Deed::Apply => self.apply_what_was_planned(),
            Deed::Sync => drop(self.run(line).expect(0)),
            Deed::KillAfter(time, _) => {
                let mut child = command.spawn().unwrap();
                thread::sleep(Duration::from_millis(*time));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Deed::StopAt(point, how) => {
                let point = self.points[point % self.points.len()];
                let status = command.env("RECONCILE_FAIL_POINT", format!("{point}={how}")).status().unwrap();
                assert!(*how != "kill" || status.code() != Some(1), "{status} at {point}");
            }
        }
    }

    /// Applies what a plan said: number for number.
    fn apply_what_was_planned(&self) {
        let plan = self.env.run("plan --no-asterisk --format json").expect(0).stdout;
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        let id = plan["id"].as_str().unwrap();
        let before = rows(&self.env);
        self.env.run(&format!("{} --expect {id}", self.apply)).expect(0);
        let mut planned: BTreeMap<String, i64> =
            before.into_iter().map(|(email, row)| (email, i64::from(row.number))).collect();
        for change in plan["changes"].as_array().unwrap().iter().filter(|change| change["object"] == "user") {
            let email = change["user"]["email"].as_str().unwrap().to_owned();
            let fields = change["fields"].as_array().unwrap();
            for field in fields.iter().filter(|field| field["field"] == "email") {
                planned.remove(field["before"].as_str().unwrap());
            }
            if change["action"] == "delete" {
                planned.remove(&email);
            } else {
                planned.insert(email, change["user"]["extension"].as_i64().unwrap());
            }
        }
        let done = rows(&self.env).into_iter().map(|(email, row)| (email, i64::from(row.number)));
        assert_eq!(done.collect::<BTreeMap<_, _>>(), planned);
    }

    fn run(&self, args: &str) -> Outcome {
        self.env.run(args)
    }
}

/// Goes through the steps, then applies the last file once more: all is as if nothing had happened.
fn the_last_file_decides(steps: &[(File, Deed)], asterisk: bool) {
    let case = Case::new(asterisk);
    let env = &case.env;
    let mut before = BTreeMap::new();
    for (file, deed) in steps {
        env.write("pbx.yaml", &yaml(file));
        case.carry_out(deed);
        let after = rows(env);
        untouched(&before, &after, file);
        before = after;
    }
    let (last, _) = steps.last().unwrap();
    case.run(&case.apply).expect(0);
    let unasked = if asterisk { "" } else { "--no-asterisk" };
    let plan = case.run(&format!("plan --detailed-exitcode {unasked}")).expect(0);
    assert!(plan.stdout.contains("No changes"), "{}", plan.text());

    // Rows: who is declared, as declared, as after one apply on a clean machine.
    let after = rows(env);
    untouched(&before, &after, last);
    let clean = Case::new(false);
    clean.env.write("pbx.yaml", &yaml(last));
    clean.run(&clean.apply).expect(0);
    let lasting = |rows: &Rows| {
        let row = |(email, row): (&String, &Row)| (email.clone(), (row.name.clone(), row.phone.clone(), row.declared));
        rows.iter().map(row).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(lasting(&after), lasting(&rows(&clean.env)));
    for (who, user) in last {
        let row = &after[&user.email(*who)];
        assert_eq!(row.name, format!("Name {}", user.name));
        assert!(!user.pinned || row.number == pin(*who), "{row:?}");
        assert!(user.secret.is_none_or(|version| row.secret == secret(*who, version)), "{row:?}");
    }

    // Files: as a host renders them that never had any.
    let fresh = env.path("fresh");
    fs::create_dir_all(fresh.join("etc")).unwrap();
    let apply = format!("apply --no-reload --host fresh {RAILS}");
    let args: Vec<&str> = apply.split_whitespace().collect();
    let mut command = env.command(&args);
    command.env("ASTERISK_CONFIG_DIR", fresh.join("etc")).env("RECONCILE_STATE_DIR", fresh.join("state"));
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    for path in ["pjsip.d/acme/generated_endpoints.conf", "extensions.d/acme/generated_routing.conf"] {
        let [ours, theirs] =
            [env.etc(path), fresh.join("etc").join(path)].map(|path| fs::read_to_string(path).unwrap());
        assert!(ours == theirs, "{path}:\n{ours}\n{theirs}");
    }

    // Nothing is left over.
    for folder in [env.path("asterisk/etc"), env.path("state")] {
        no_temporary_file_below(&folder);
    }
    let left = "select id, command, outcome from apply_audit_log where outcome = 'open' or finished_at is null";
    let left = env.sql().query(left, &[]).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

fn no_temporary_file_below(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        assert!(!entry.file_name().to_string_lossy().starts_with(".reconcile-"), "{}", path.display());
        if path.is_dir() {
            no_temporary_file_below(&path);
        }
    }
}

/// Runs random cases; `PROPTEST_CASES` asks for more of them.
fn any_sequence(cases: u32, asterisk: bool) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    let persistence = FileFailurePersistence::Direct("proptest-regressions/tests/properties.txt");
    let config = ProptestConfig {
        failure_persistence: Some(Box::new(persistence)),
        max_shrink_iters: 60,
        ..ProptestConfig::with_cases(cases)
    };
    let (ran, deeds) = (Cell::new(0), Cell::new(0));
    let result = TestRunner::new(config).run(&steps(), |steps| {
        ran.set(ran.get() + 1);
        deeds.set(deeds.get() + steps.len());
        the_last_file_decides(&steps, asterisk);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let on = if asterisk { "on a running Asterisk" } else { "on database and files" };
    say(&format!("{} sequences of {} edits with kills, failures and applies, {on}", ran.get(), deeds.get()));
}

#[test]
fn any_sequence_ends_as_the_last_file_says() {
    any_sequence(15, false);
}

#[test]
fn any_sequence_ends_as_the_last_file_says_on_a_running_asterisk() {
    any_sequence(3, true);
}

/// A run that only records closes its audit row in the same transaction: killed before the end of
/// it, nothing happened; after it, all did.
#[test]
fn a_killed_sync_leaves_nothing_open() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &yaml(&File::new()));
    env.run("migrate").expect(0);
    let mut sql = env.sql();
    let slow =
        "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$;
                create trigger slow before update on apply_audit_log for each row execute function slow()";
    sql.batch_execute(slow).unwrap();
    let mut sync = env.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let held = "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    while sql.query(held, &[]).unwrap().is_empty() {
        assert!(Instant::now() < until, "it is about to close its row");
    }
    sync.kill().unwrap();
    sync.wait().unwrap();
    let ended = "select pg_terminate_backend(pid, 30000) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()";
    sql.query(ended, &[]).unwrap();
    sql.batch_execute("drop trigger slow on apply_audit_log").unwrap();
    env.run("apply --no-reload").expect(0);
    let outcomes = sql.query("select command, outcome from apply_audit_log order by id", &[]).unwrap();
    let outcomes: Vec<(String, String)> = outcomes.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(outcomes, [("apply".to_owned(), "rendered".to_owned())]);
}
