//! Nothing is printed, no pipe is waited for and Asterisk is not asked while a transaction or the tenant's lock is
//! open: a plan that nobody reads and an Asterisk that hangs keep no other writer waiting.

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    serve::server::{Answer, Client, Serve, token},
    support::{Outcome, TestEnv, desired, tool, until},
};

const BO: &str = "email: bo@example.com, name: Bo";

/// How long a writer may take while another command waits. PostgreSQL gives up the lock after 30 s.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A desired state whose plan is larger than the 64 KiB of a pipe.
fn many(users: usize) -> String {
    let lines = (0..users).fold(String::new(), |mut lines, n| {
        let _ = writeln!(lines, "  - {{ email: user{n}@example.com, name: User {n}, secret: {{ env: ONE_SECRET }} }}");
        lines
    });
    desired(&[BO]).replace("users:\n", "extensions: { range: 1000-4999 }\nusers:\n") + &lines
}

/// The same tenant with one user of a new name.
fn other() -> String {
    desired(&["email: bo@example.com, name: Robert"]).replace("users:\n", "extensions: { range: 1000-4999 }\nusers:\n")
}

/// A system with one user recorded, and a desired state of many that is not.
fn system(env: &mut TestEnv, command: &str, users: usize) {
    env.set("ONE_SECRET", "Winter-Sonne-4711");
    env.write("pbx.yaml", &many(0));
    env.run(command).expect(0);
    env.write("pbx.yaml", &many(users));
    env.write("other.yaml", &other());
}

fn serving(env: &TestEnv) -> (Serve, Client) {
    let token = token(env, "portal", "read write apply");
    let serve = Serve::start(env, "");
    let client = serve.client(&token);
    (serve, client)
}

fn make(client: &Client, name: &str) -> Answer {
    client.post("/users", &json!({ "name": name, "email": format!("{name}@example.com") }))
}

/// A command whose output nobody reads for now.
struct Unread {
    child: Child,
    first: u8,
}

impl Unread {
    /// Starts it, and waits until the pipe is full.
    fn start(env: &TestEnv, args: &[&str]) -> Self {
        let mut child = env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut first = [0];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it prints");
        thread::sleep(Duration::from_millis(500));
        assert!(child.try_wait().expect("a child").is_none(), "the plan must be larger than the pipe");
        Self { child, first: first[0] }
    }

    /// Reads the output, and waits for the end.
    fn read(self, env: &TestEnv) -> Outcome {
        let Self { child, first } = self;
        let mut output = child.wait_with_output().expect("it ends");
        output.stdout.insert(0, first);
        env.outcome(output)
    }
}

/// Runs something that must not be kept waiting.
#[track_caller]
fn at_once<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = run();
    assert!(begun.elapsed() < AT_ONCE, "{what} took {:?}", begun.elapsed());
    done
}

fn count_of(env: &TestEnv, like: &str) -> i64 {
    env.sql().query_one("select count(*) from users where email like $1", &[&like]).expect("a count").get(0)
}

/// `reconcile sync | sleep 50` kept every other writer of the tenant waiting.
#[test]
fn a_sync_without_a_reader_blocks_no_writer_and_is_planned_again() {
    let mut env = TestEnv::new();
    system(&mut env, "sync", 2000);
    let (_serve, client) = serving(&env);
    let sync = Unread::start(&env, &["sync"]);
    // The portal takes the number that the plan gives to somebody else.
    let made = at_once("POST /users", || make(&client, "ana")).expect(201).json();
    assert_eq!(made["extension"], 1001);
    let shown = sync.read(&env).expect(0);
    assert_eq!(shown.stdout.matches("Plan: 2000 to create").count(), 2, "{}", shown.stderr);
    assert!(
        shown.stderr.contains("another process changed the database in the meantime; planning again"),
        "{}",
        shown.stderr
    );
    // The number in the plan is the number that user got.
    let again = &shown.stdout[shown.stdout.rfind("Apply exactly this").expect("two plans")..];
    assert!(again.contains("Recorded: "), "{again}");
    let last = shown.stdout.rfind("+ user0@example.com").expect("two plans");
    assert!(shown.stdout[last..].lines().next().unwrap().contains("extension 1002"));
    assert_eq!(count_of(&env, "user%"), 2000);
}

#[test]
fn a_sync_without_a_reader_is_stale_once_another_file_was_recorded() {
    let mut env = TestEnv::new();
    system(&mut env, "sync", 2000);
    let sync = Unread::start(&env, &["sync"]);
    at_once("the second sync", || env.run("sync -f other.yaml")).expect(0);
    let stale = sync.read(&env).expect(4);
    assert!(stale.stderr.contains("1 change that the plan above does not show: ~ bo@example.com"), "{}", stale.stderr);
    assert!(stale.stderr.contains("nothing was changed"), "{}", stale.stderr);
    assert_eq!(count_of(&env, "user%"), 0);
    // Who looks at it first is told by the id.
    let plan = env.run("plan").expect(0).stdout;
    let id = plan.split("--expect ").nth(1).expect("an id").trim();
    let held = Unread::start(&env, &["sync", "--expect", id]);
    at_once("the user's removal", || env.run("sync -f other.yaml")).expect(0);
    held.read(&env).expect(0);
    assert_eq!(count_of(&env, "user%"), 2000);
}

/// The job that was held to a plan does not go on with another one.
#[test]
fn a_sync_that_is_held_to_a_plan_is_stale_once_the_numbers_moved() {
    let mut env = TestEnv::new();
    system(&mut env, "sync", 2000);
    let (_serve, client) = serving(&env);
    let plan = env.run("plan").expect(0).stdout;
    let id = plan.split("--expect ").nth(1).expect("an id").trim();
    let sync = Unread::start(&env, &["sync", "--expect", id]);
    at_once("POST /users", || make(&client, "ana")).expect(201);
    let stale = sync.read(&env).expect(4);
    assert!(stale.stderr.contains(&format!("not the expected {id}; nothing was changed")), "{}", stale.stderr);
    assert_eq!(count_of(&env, "user%"), 0);
}

/// The same for an apply, which the running Asterisk takes in the end.
#[test]
fn an_apply_without_a_reader_blocks_no_writer() {
    let mut env = TestEnv::with_asterisk();
    system(&mut env, "apply", 300);
    let (_serve, client) = serving(&env);
    let apply = Unread::start(&env, &["apply"]);
    at_once("POST /users", || make(&client, "ana")).expect(201);
    at_once("POST /apply", || client.apply("")).expect(200);
    at_once("another sync", || env.run("secret rotate bo@example.com")).expect(0);
    let shown = apply.read(&env).expect(0);
    assert!(shown.stdout.contains("Live: "), "{}", shown.text());
    env.run("status --detailed-exitcode").expect(0);
    assert_eq!(count_of(&env, "user%"), 300);
}

/// A client for Asterisk that waits at a command while a file is there.
fn gate(env: &mut TestEnv, commands: &str) {
    let (client, gate) = (env.path("gated"), env.path("gate"));
    let script = format!(
        "#!/bin/sh\ncase $2 in {commands}) if [ -e {0} ]; then : >{0}.reached; fi; \
         timeout 12 sh -c 'while [ -e {0} ]; do sleep 0.1; done';; esac\nexec {1} \"$@\"\n",
        gate.display(),
        env.path("asterisk/bin/asterisk").display()
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", client.to_str().unwrap());
}

/// Asterisk's answers about names and modules were waited for with the tenant's lock held.
#[test]
fn an_asterisk_that_hangs_keeps_no_writer_waiting() {
    let mut env = TestEnv::with_asterisk();
    system(&mut env, "apply", 3);
    gate(&mut env, "'core show settings'|'pjsip list auths like'*");
    let (_serve, client) = serving(&env);
    let close = || fs::write(env.path("gate"), "").unwrap();
    let open = || {
        fs::remove_file(env.path("gate")).unwrap();
        fs::remove_file(env.path("gate.reached")).unwrap();
    };

    close();
    let mut apply = env.command(&["apply"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("Asterisk is asked", || env.path("gate.reached").exists());
    at_once("POST /users", || make(&client, "ana")).expect(201);
    at_once("a rotation", || env.run("secret rotate bo@example.com")).expect(0);
    assert!(apply.try_wait().unwrap().is_none(), "it waits for Asterisk");
    open();
    env.outcome(apply.wait_with_output().unwrap()).expect(0);
    assert_eq!(count_of(&env, "user%"), 3);

    close();
    thread::scope(|scope| {
        let applying = scope.spawn(|| client.apply(""));
        until("Asterisk is asked", || env.path("gate.reached").exists());
        at_once("POST /users", || make(&client, "cy")).expect(201);
        at_once("a sync", || env.run("sync")).expect(0);
        assert!(!applying.is_finished(), "it waits for Asterisk");
        open();
        assert_eq!(applying.join().unwrap().expect(200).json()["outcome"], "live");
    });
    env.run("status --detailed-exitcode").expect(0);
}

/// Rows that the file does not declare move all the time, and each plan has another id.
#[test]
fn an_apply_ends_while_the_portal_makes_users_all_the_time() {
    let mut env = TestEnv::with_asterisk();
    system(&mut env, "apply", 0);
    let (_serve, client) = serving(&env);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let portal = scope.spawn(|| {
            let mut made = 0;
            while !ended.load(Ordering::Relaxed) {
                make(&client, &format!("ana{made}")).expect(201);
                made += 1;
            }
            made
        });
        until("the portal makes users", || count_of(&env, "ana%") > 0);
        let by_command = env.run("apply -f other.yaml");
        let by_portal = client.apply("");
        ended.store(true, Ordering::Relaxed);
        let made = portal.join().unwrap();
        let by_command = by_command.expect(0);
        assert_eq!(by_command.stdout.matches("Plan: 0 to create, 1 to update").count(), 3, "{}", by_command.text());
        assert_eq!(by_portal.expect(200).json()["outcome"], "live");
        assert!(made > 3, "{made}");
    });
    env.run("apply -f other.yaml").expect(0);
    env.run("status -f other.yaml --detailed-exitcode").expect(0);
}

/// Whatever Asterisk is asked, no transaction is open meanwhile: the client looks.
#[test]
fn asterisk_is_never_asked_while_a_transaction_is_open() {
    let mut env = TestEnv::with_asterisk();
    let (client, seen) = (env.path("watched"), env.path("seen"));
    let script = format!(
        "#!/bin/sh\nopen=$('{psql}' -XAtq '{url}' -c \"select count(*) from pg_stat_activity where \
         datname = current_database() and state like 'idle in transaction%'\")\n\
         echo \"$open $2\" >>'{seen}'\nexec {real} \"$@\"\n",
        psql = tool("RECONCILE_PG_BIN").join("psql").display(),
        url = env.database.as_ref().unwrap(),
        seen = seen.display(),
        real = env.path("asterisk/bin/asterisk").display(),
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", client.to_str().unwrap());
    env.set("ONE_SECRET", "Winter-Sonne-4711");
    env.set("OTHER_SECRET", "Sommer-Mond-0815");
    let one = |text: &str| {
        desired(&[BO, "email: ana@example.com, name: Ana, secret: { env: ONE_SECRET }"]).replace("users:\n", text)
    };
    let (_serve, client) = {
        env.write("pbx.yaml", &one("dialplan: { include: [outbound] }\nusers:\n"));
        env.run("apply --allow missing-names=1").expect(0);
        serving(&env)
    };
    // A phone that must log in again and one that goes, with registrations to end.
    let contact = r#"{\"uri\":\"sip:1000@127.0.0.1:9\",\"expiration_time\":\"4000000000\",\"endpoint\":\"1000\",\"qualify_frequency\":\"0\"}"#;
    env.ask(&format!("database put registrar/contact \"1000;@0123456789abcdef0123456789abcdef\" \"{contact}\""));
    env.write(
        "pbx.yaml",
        &one("users:\n")
            .replace("ONE_SECRET", "OTHER_SECRET")
            .replace(BO, "email: cy@example.com, name: Cy, extension: 1007"),
    );
    env.run("apply").expect(0);
    make(&client, "dora").expect(201);
    client.apply("").expect(200);
    env.run("apply --no-reload").expect(0);
    // The file in place is not the one that runs.
    make(&client, "emil").expect(201);
    env.run("apply --no-reload").expect(0);
    make(&client, "fay").expect(201);
    env.run("apply").expect(0);
    let asked = fs::read_to_string(&seen).unwrap();
    let open: Vec<&str> = asked.lines().filter(|line| !line.starts_with("0 ")).collect();
    assert!(asked.lines().any(|line| line.starts_with("0 database show registrar/contact")), "{asked}");
    assert_eq!(open, Vec::<&str>::new());
}
