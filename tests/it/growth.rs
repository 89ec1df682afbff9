//! What must not grow: two hundred applies in a row leave no file, session or memory behind, and
//! the number of statements does not depend on the number of users.

use std::{collections::BTreeMap, fmt::Write, fs, io::Read, path::Path, process::Stdio, thread, time::Duration};

use super::support::{Server, TestEnv, say};

/// How many applies, each with a change.
const APPLIES: usize = 200;

/// How many users there are.
const USERS: usize = 20;

/// A user, as far as the turns change them.
#[derive(Clone)]
struct User {
    id: usize,
    name: usize,
    /// How often the address changed.
    address: usize,
}

impl User {
    fn line(&self) -> String {
        let Self { id, name, address } = self;
        let previously = address.checked_sub(1).map(|old| format!(", previously: u{id}.{old}@example.com"));
        format!("  - {{ email: u{id}.{address}@example.com, name: User {name}{} }}\n", previously.unwrap_or_default())
    }
}

#[test]
fn two_hundred_applies_in_a_row_leave_nothing_behind() {
    let env = TestEnv::with_asterisk();
    let mut users: Vec<User> = (0..USERS).map(|id| User { id, name: id, address: 0 }).collect();
    let (mut next, mut runs, mut peaks, mut footprints) = (USERS, 0, Vec::new(), Vec::new());
    for round in 0..APPLIES {
        let who = round * 7 % users.len();
        // By turns: created, changed, renamed, deleted, rotated.
        match round % 5 {
            0 => {
                users.push(User { id: next, name: next, address: 0 });
                next += 1;
            }
            1 => users[who].name += 1000,
            2 => users[who].address += 1,
            3 => drop(users.remove(who)),
            _ => {
                let User { id, address, .. } = users[who];
                env.run(&format!("secret rotate u{id}.{address}@example.com")).expect(0);
                runs += 1;
            }
        }
        let text: String = users.iter().map(User::line).collect();
        env.write("pbx.yaml", &format!("version: 1\ntenant: acme\nusers:\n{text}"));
        peaks.push(peak_of_apply(&env));
        runs += 1;
        footprints.push((tree(&env.path("state")), tree(&env.path("asterisk/etc"))));
    }
    env.run("status --detailed-exitcode").expect(0);

    // Files: those of the first applies, none of them larger than the users make it.
    let (state, etc) = &footprints[9];
    let (state_now, etc_now) = &footprints[APPLIES - 1];
    assert_eq!(names(state_now), names(state));
    assert_eq!(names(etc_now), names(etc));
    let (size, size_now) = (state.values().sum::<u64>(), state_now.values().sum::<u64>());
    assert!(size_now <= size + size / 5, "the state folder grew from {size} to {size_now} bytes");

    // Sessions, and a row a run.
    let mut sql = env.sql();
    let left = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    super::support::until("no session is left", || sql.query_one(left, &[]).unwrap().get::<_, i64>(0) == 0);
    let count = |outcome: &str| -> i64 {
        let mut sql = env.sql();
        sql.query_one("select count(*) from apply_audit_log where outcome like $1", &[&outcome]).unwrap().get(0)
    };
    assert_eq!(count("%"), runs);
    assert_eq!(count("live"), i64::try_from(APPLIES).unwrap());

    // Asterisk runs the users, and the mark of one generation.
    for kind in ["endpoints", "aors", "auths"] {
        let found = env.ask(&format!("pjsip list {kind}"));
        assert!(found.contains(&format!("Objects found: {}\n", users.len() + 1)), "{kind}: {found}");
    }
    assert!(env.ask("dialplan show acme-generation").contains("1 extension (1 priority) in 1 context"));

    // Memory: one of the last is no larger than one of the first.
    let (first, last) = (median(&peaks[5..15]), median(&peaks[APPLIES - 10..]));
    say(&format!("peak memory of an apply: {first} KiB at the 10th, {last} KiB at the 200th"));
    assert!(last <= first + first / 5, "an apply took {first} KiB at first and {last} KiB in the end");
}

/// Applies; answers with the most memory that was resident, in KiB.
fn peak_of_apply(env: &TestEnv) -> u64 {
    let mut child = env.command(&["apply"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        // It only grows, so the last one seen is the peak or just short of it.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(size) = line.and_then(|line| line.split_whitespace().next()?.parse().ok()) {
            peak = size;
        }
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(ended.success() && peak > 0, "{ended}: {said}");
    peak
}

fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Every file below a folder, with its size.
fn tree(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(tree(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().unwrap().len());
        }
    }
    found
}

fn names(tree: &BTreeMap<String, u64>) -> Vec<&String> {
    tree.keys().collect()
}

#[test]
fn the_number_of_statements_does_not_depend_on_the_number_of_users() {
    let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").unwrap().keep();
    let server = Server::start("postgres", &folder, &["-c", "log_statement=all"]);
    let statements = |users: u32| -> Vec<(&str, usize)> {
        let mut env = TestEnv::new();
        let name = format!("statements{users}");
        postgres::Client::connect(&server.ready, postgres::NoTls)
            .unwrap()
            .batch_execute(&format!("create database {name}"))
            .unwrap();
        env.database = Some(server.ready.replace(":///postgres", &format!(":///{name}")));
        env.run("migrate").expect(0);
        // Every second user is created, changed, renamed and deleted in turn.
        let declare = |change: &str| {
            let mut text = "version: 1\ntenant: acme\nextensions: { range: 1000-9999 }\nusers:\n".to_owned();
            for user in 0..users {
                let (email, rest) = match (user % 2, change) {
                    (1, "delete") => continue,
                    (1, "update") => (format!("u{user}"), "name: Changed".to_owned()),
                    (1, "rename") => (format!("r{user}"), format!("name: User, previously: u{user}@example.com")),
                    _ => (format!("u{user}"), "name: User".to_owned()),
                };
                let _ = writeln!(text, "  - {{ email: {email}@example.com, {rest} }}");
            }
            env.write("pbx.yaml", &text);
        };
        let all = "--allow deletes=9999 --allow relogins=9999";
        let steps = [
            ("create", "plan --no-asterisk".to_owned()),
            ("create", format!("sync {all}")),
            ("create", format!("apply --no-reload {all}")),
            ("create", format!("apply --no-reload {all}")),
            ("update", format!("apply --no-reload {all}")),
            ("rename", "plan --no-asterisk".to_owned()),
            ("rename", format!("sync {all}")),
            ("rename", format!("apply --no-reload {all}")),
            ("delete", format!("apply --no-reload {all}")),
            ("delete", "status --no-asterisk".to_owned()),
            ("delete", "users".to_owned()),
        ];
        let count = |(change, command): &(&'static str, String)| {
            declare(change);
            let before = logged(&folder);
            env.run(command).expect(0);
            (*change, logged(&folder) - before)
        };
        steps.iter().map(count).collect()
    };
    let (few, many) = (statements(10), statements(1000));
    say(&format!("statements: {few:?}"));
    assert_eq!(few, many);
    assert!(few.iter().all(|(_, count)| (1..=30).contains(count)), "{few:?}");
}

/// Users with a rule and a public number each took four times as long when they were twice as many: all
/// pairs of rules were compared, and users were looked for one by one.
#[test]
fn rules_numbers_and_trunks_cost_no_more_when_there_are_many() {
    let env = TestEnv::new();
    let declare = |users: usize| {
        let mut text = "version: 1\ntenant: acme\nextensions: { range: 10000-29999 }\n".to_owned();
        text += "public_sip_host: pbx.example.com\nusers:\n";
        for n in 0..users {
            let _ = writeln!(text, "  - {{ email: u{n}@example.com, name: User {n} }}");
        }
        text += "trunks:\n";
        for n in 0..users / 10 {
            let _ = writeln!(text, "  t{n}: {{ host: 10.0.{}.{} }}", n / 250, n % 250 + 1);
        }
        text += "dialers:\n";
        for n in 0..users / 10 {
            let _ = writeln!(text, "  d{n}: {{ number: \"+4930900{n:05}\", trunk: t{n} }}");
        }
        text += "inbound:\n";
        for n in 0..users {
            let _ = writeln!(text, "  - {{ to: \"+4930100{n:05}\", route: [u{n}@example.com, d{}] }}", n / 10);
        }
        text += "expect:\n";
        for n in 0..users / 4 {
            let call = format!("{{ to: \"+4930100{n:05}\", at: \"2026-12-01T10:00:00Z\" }}");
            let _ = writeln!(text, "  - {{ call: {call}, reaches: u{n}@example.com }}");
        }
        text
    };
    for command in ["check", "plan --no-asterisk"] {
        grows_with_its_input(&env, command, 0, declare);
    }
}

/// Rules that contradict each other were told in pairs: a thousand equal ones in half a million messages.
#[test]
fn a_rule_that_contradicts_others_is_reported_once() {
    let env = TestEnv::new();
    let text = |rules: usize, rule: &str| {
        let mut text =
            "version: 1\ntenant: acme\nusers: []\ndialers: { desk: { number: \"+4930900100\" } }\n".to_owned();
        text += "hours: { day: { timezone: Europe/Berlin, open: [\"mon-fri 09:00-18:00\"] } }\ninbound:\n";
        text + &format!("  - {{ to: \"+4930100100\", {rule}, route: [desk] }}\n").repeat(rules)
    };
    let rules = ["from: [\"+43*\", \"+49*\", withheld]", "when: day", "when: day, otherwise: [hangup]"];
    for rule in rules {
        env.write("pbx.yaml", &text(1000, rule));
        let told: serde_json::Value = serde_json::from_str(&env.run("check --format json").expect(65).stdout).unwrap();
        let line = |problem: &serde_json::Value| problem["line"].as_u64().unwrap();
        let mut lines: Vec<u64> = told["problems"].as_array().unwrap().iter().map(line).collect();
        assert_eq!(lines.len(), 999, "{rule}");
        lines.dedup();
        assert_eq!(lines.len(), 999, "{rule}: each rule once");
    }
    grows_with_its_input(&env, "check", 65, |size| text(size, rules[0]));
}

/// Each unknown name was compared with all that are declared.
#[test]
fn many_unknown_names_cost_no_more_than_many_known_ones() {
    let env = TestEnv::new();
    grows_with_its_input(&env, "check", 65, |size| {
        let mut text = "version: 1\ntenant: acme\nusers: []\ndialers:\n".to_owned();
        for n in 0..size {
            let _ = writeln!(text, "  d{n:05}: {{ number: \"+4930900{n:05}\" }}");
        }
        text += "inbound:\n";
        for n in 0..size {
            let _ = writeln!(text, "  - {{ to: \"+4930100{n:05}\", route: [e{n:05}] }}");
        }
        text
    });
}

/// Runs a command on a file of 1,000 and one of 8,000 of something, three times each, and compares the fastest.
#[track_caller]
fn grows_with_its_input(env: &TestEnv, command: &str, code: i32, file: impl Fn(usize) -> String) {
    let fastest = |size: usize| {
        env.write("pbx.yaml", &file(size));
        let took = |_| {
            let start = std::time::Instant::now();
            env.run(command).expect(code);
            start.elapsed()
        };
        (0..3).map(took).min().unwrap()
    };
    let (few, many) = (fastest(1000), fastest(8000));
    say(&format!("{command}: {few:?} with 1,000, {many:?} with 8,000"));
    // Eight times as many take 8 times as long. The rest is for a machine with other work.
    assert!(many < few * 25, "{command}: 1,000 took {few:?}, 8,000 took {many:?}");
}

/// Counts the statements in a server's log.
fn logged(folder: &Path) -> usize {
    let log = fs::read_to_string(folder.join("log")).unwrap();
    log.lines().filter(|line| line.contains("LOG:  statement:") || line.contains("LOG:  execute ")).count()
}
