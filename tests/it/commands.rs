//! What commands can do with little: a broken file, a number instead of an address, a database that is not there.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::support::{Server, TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana Silva";
const BO: &str = "email: bo@example.com, name: Bo Li";

/// A directory with two users, and a file that was broken since.
fn broken() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", "version: 1\ntenant: acme # ours\nusers:\n  - email: ana@example.com\n   name: Ana\n");
    env
}

#[test]
fn a_command_that_needs_only_the_tenant_works_while_the_file_is_broken() {
    let env = broken();
    env.run("plan").expect(65);
    let warning =
        "warning: `pbx.yaml` is invalid, and only its tenant `acme` is used; `reconcile check` says what is wrong\n";
    for (command, shows) in [
        ("users", "ana@example.com"),
        ("history", "RUN"),
        ("history 1", "outcome  live"),
        ("secret show ana@example.com", "username  1000"),
        ("secret rotate bo@example.com", "Rotated: the phone of bo@example.com"),
        ("token new portal --scope read", ""),
        ("token list", "portal"),
        ("token revoke portal", "Revoked"),
        ("calls", "CALL SID"),
        ("export --users", "users of acme"),
        ("status", "acme"),
    ] {
        let outcome = env.run(command).expect(0);
        assert!(outcome.stdout.contains(shows), "{command}: {}", outcome.text());
        assert!(outcome.stderr.contains(warning), "{command}: {}", outcome.text());
    }
    env.run("status --detailed-exitcode").expect(65);
    // Wrong elsewhere, but YAML; in one of several files; said by hand.
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers: [ { email: nobody } ]\n");
    assert!(env.run("users").expect(0).stdout.contains("bo@example.com"));
    env.write("phones/a.yaml", "version: 1\ntenant: acme\n");
    env.write("phones/b.yaml", "users: [\n");
    assert!(env.run("users -f phones").expect(0).stdout.contains("bo@example.com"));
    env.write("pbx.yaml", "nonsense\n");
    assert!(env.run("users --tenant acme").expect(0).stdout.contains("bo@example.com"));
    // No tenant, or two of them: nothing is guessed.
    for text in
        ["version: 1\nusers: []\n", "version: 1\ntenant: Acme!\nusers: [\n", "tenant: acme\ntenant: other\nusers: [\n"]
    {
        env.write("pbx.yaml", text);
        let outcome = env.run("users").expect(65);
        assert!(outcome.stderr.contains("hint: name it with `--tenant`, or correct the file"), "{}", outcome.text());
    }
}

#[test]
fn a_forgotten_database_url_is_reported() {
    let mut env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    let none = "note: DATABASE_URL is not set; there is no private database in `[test]/state`\n";
    let outcome = env.run("users").expect(0);
    assert!(outcome.stderr.contains(none), "{}", outcome.text());
    env.run("sync").expect(0);
    let reading = "note: DATABASE_URL is not set; reading the private database in `[test]/state`\n";
    for command in ["users", "history", "token list", "calls", "export --users", "secret show 1000"] {
        let outcome = env.run(command).expect(0);
        assert!(outcome.stderr.contains(reading), "{command}: {}", outcome.text());
    }
    env.set("RECONCILE_DATABASE", "external");
    for command in ["users", "plan --no-asterisk", "sync", "status", "history", "secret rotate 1000", "migrate"] {
        let outcome = env.run(command).expect(64);
        let said = "error: no database is given, and the private one is forbidden\nhint: set DATABASE_URL or";
        assert!(outcome.stderr.contains(said), "{command}: {}", outcome.text());
    }
    env.run("check").expect(0);
    env.unset("RECONCILE_DATABASE");
    env.run("users --database external").expect(64);
    // With a URL nothing is said, and nothing is forbidden.
    let mut env = TestEnv::new();
    env.set("RECONCILE_DATABASE", "external");
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    assert_eq!(env.run("users").expect(0).stderr, "");
}

/// A newcomer's first tries, each of which ended without a word on how it is written.
#[test]
fn what_other_programs_take_is_answered_with_how_it_is_written_here() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    for (args, code, said) in [
        ("check pbx.yaml", 64, "hint: name the file with `-f pbx.yaml`\n"),
        ("plan --json", 64, "hint: write `--format json`\n"),
        ("trace --to 030123456", 64, "hint: write it in E.164 form: `+`, country code and number"),
        (
            "apply --expect nofile.json",
            1,
            "hint: give an id, such as `p1-5c9e0b7d00112233`, or a file that `reconcile plan",
        ),
    ] {
        let outcome = env.run(args).expect(code);
        assert!(outcome.stderr.contains(said), "{args}: {}", outcome.text());
    }
    env.run("sync").expect(0);
    env.run("token new portal --scope read,write").expect(0);
    let scopes: Vec<String> = env.sql().query_one("select scopes from api_tokens", &[]).unwrap().get(0);
    assert_eq!(scopes, ["read", "write"]);
    // Cron sets no `USER`, and the audit log named a number.
    let mut nameless = env.command(&["sync"]);
    for name in ["RECONCILE_ACTOR", "USER", "LOGNAME", "SUDO_USER"] {
        nameless.env_remove(name);
    }
    assert!(nameless.output().unwrap().status.success());
    let actor: String =
        env.sql().query_one("select actor from apply_audit_log order by id desc limit 1", &[]).unwrap().get(0);
    assert!(!actor.starts_with("uid "), "{actor}");
    // A missing folder was called a file that was never written.
    let status = env.run("status --asterisk-config-dir /nowhere").expect(0).stdout;
    assert!(
        status.contains("there is no folder `/nowhere`: name Asterisk's") && !status.contains("never written"),
        "{status}"
    );
    // What cannot be read is named, with its line.
    env.write(
        "pbx.yaml",
        &desired(&[ANA, "id: x, email: door@example.com, name: Door, secret: { env: DOOR_KEY }"])
            .replace("id: x, ", ""),
    );
    let patterns = "door@example.com: the name of its variable matches none of the patterns of `--allow-env`: *_SECRET, *_PHONE_NUMBER (pbx.yaml:5)";
    for command in ["plan --no-asterisk", "status --no-asterisk"] {
        let outcome = env.run(command).expect(0);
        assert!(outcome.stdout.contains(patterns), "{}", outcome.text());
    }
    env.set("RECONCILE_ALLOW_ENV", "X_*,DOOR_*");
    let unset = env.run("plan --no-asterisk").expect(0);
    assert!(unset.stdout.contains("the variable DOOR_KEY is not set (pbx.yaml:5)"), "{}", unset.text());
}

#[test]
fn a_rotated_secret_is_named_in_the_history_and_shown_as_not_live_yet() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    assert_eq!(env.run("secret show 1000").expect(0).stderr, "");
    env.run("secret rotate 1000").expect(0);
    let note = "note: the secret of ana@example.com is not active yet: Asterisk uses the former secret until `reconcile apply`\n";
    assert_eq!(env.run("secret show 1000").expect(0).stderr, note);
    let run = env.run("history 2").expect(0).stdout;
    assert!(run.contains("~ ana@example.com  extension 1000; another secret"), "{run}");
    env.run("apply").expect(0);
    assert_eq!(env.run("secret show 1000").expect(0).stderr, "");
    // A client that fails without a word.
    env.set("ASTERISK_COMMAND", "/bin/false");
    let said = env.run("apply").expect(1).stderr;
    assert!(
        said.contains("Asterisk does not run here: `/bin/false` printed nothing and ended with exit status: 1"),
        "{said}"
    );
    // One that was killed says nothing about Asterisk.
    env.set("ASTERISK_COMMAND", "sh -c 'kill -9 $$'");
    let said = env.run("apply").expect(1).stderr;
    let killed = "`sh -c kill -9 $$` was ended by signal 9 while it asked Asterisk for `core waitfullybooted`";
    assert!(said.contains(killed) && said.contains("nothing was changed"), "{said}");
}

/// A server that asks everybody but its administrator for a password.
fn guarded(env: &TestEnv) -> (Server, String) {
    let rules = env.path("hba.conf");
    fs::write(
        &rules,
        "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    let data = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").unwrap().keep();
    let server = Server::start("postgres", &data, &["--tcp", "-c", &format!("hba_file={}", rules.display())]);
    let mut sql = postgres::Client::connect(&server.ready, postgres::NoTls).unwrap();
    sql.batch_execute("create role pbx login password 'right-canary'").unwrap();
    sql.batch_execute("create database pbx owner pbx").unwrap();
    let port = server.ready.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    (server, port)
}

#[test]
fn the_url_and_the_password_may_come_from_files_and_variables() {
    let mut env = TestEnv::new();
    let (_server, port) = guarded(&env);
    env.plant("right-canary");
    env.write("pbx.yaml", &desired(&[ANA]));
    let url = format!("postgres://pbx@127.0.0.1:{port}/pbx");
    let file = |env: &TestEnv, name: &str, text: &str, mode: u32| {
        fs::write(env.path(name), text).unwrap();
        fs::set_permissions(env.path(name), PermissionsExt::from_mode(mode)).unwrap();
        env.path(name).to_str().unwrap().to_owned()
    };
    env.set("DATABASE_URL", &url);
    let outcome = env.run("sync").expect(1);
    assert!(outcome.stderr.contains("hint: the server asks for a password: give it in"), "{}", outcome.text());
    env.set("PGPASSWORD", "wrong-canary");
    env.plant("wrong-canary");
    let outcome = env.run("sync").expect(1);
    assert!(outcome.stderr.contains("hint: the password is wrong for this user"), "{}", outcome.text());
    env.set("PGPASSWORD", "right-canary");
    env.run("sync").expect(0);
    env.unset("PGPASSWORD");
    let passfile = file(&env, "pgpass", &format!("127.0.0.1:{port}:pbx:pbx:right-canary\n"), 0o644);
    env.set("PGPASSFILE", &passfile);
    let outcome = env.run("users").expect(1);
    assert!(outcome.stderr.contains("is not used: others may read it; run `chmod 0600` on it"), "{}", outcome.text());
    file(&env, "pgpass", &format!("127.0.0.1:{port}:pbx:pbx:right-canary\n"), 0o600);
    env.run("users").expect(0);
    env.unset("PGPASSFILE");
    file(&env, "home/.pgpass", "*:*:*:*:right-canary\n", 0o600);
    env.run("users").expect(0);
    // The whole URL in a file; the variable itself is empty.
    env.set("DATABASE_URL", "");
    let url_file = file(&env, "url", &format!("{}\n", url.replace("pbx@", "pbx:right-canary@")), 0o600);
    env.set("DATABASE_URL_FILE", &url_file);
    fs::remove_file(env.path("home/.pgpass")).unwrap();
    assert!(env.run("users").expect(0).stdout.contains("ana@example.com"));
    file(&env, "url", "\n", 0o600);
    assert!(env.run("users").expect(1).stderr.contains("the file of DATABASE_URL_FILE, is empty"));
    fs::remove_file(env.path("url")).unwrap();
    assert!(env.run("users").expect(1).stderr.contains("cannot read the database URL in `[test]/url`"));
}

#[test]
fn each_way_a_database_fails_has_a_hint_of_its_own() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let url = env.database.clone().unwrap();
    let (server, name) = url.split_once(":///").unwrap();
    let (name, options) = name.split_once('?').unwrap();
    for (wrong, hint) in [
        (format!("{server}:///no-{name}?{options}"), "check the database's name in DATABASE_URL, or create"),
        (url.replace("user=postgres", "user=no-such-role"), "check the user in DATABASE_URL"),
        ("postgres://u@127.0.0.1:1/pbx".to_owned(), "nothing listens there: check host and port"),
        ("postgres://u@nowhere.invalid/pbx".to_owned(), "the host's name is unknown"),
        ("postgres://u@/pbx?host=%2Fnowhere".to_owned(), "there is no socket: check the folder"),
        (url.clone() + "&sslmode=sometimes", "write it as `postgres://"),
    ] {
        env.set("DATABASE_URL", &wrong);
        let outcome = env.run("users").expect(1);
        assert!(outcome.stderr.contains(&format!("hint: {hint}")), "{wrong}: {}", outcome.text());
        env.unset("DATABASE_URL");
    }
}

/// The statements are those of the documentation.
#[test]
fn a_role_with_the_documented_grants_plans_and_changes_nothing() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    let docs = include_str!("../../docs/database.md");
    let grants = docs.split("```sql\n").nth(1).and_then(|text| text.split("```").next()).unwrap();
    let role = format!("planner_{}", std::process::id());
    let grants = grants.replace("reconcile_plan", &role);
    env.sql().batch_execute(&grants).unwrap();
    let url = env.database.clone().unwrap().replace("user=postgres", &format!("user={role}"));
    env.set("DATABASE_URL", &url);
    env.write("pbx.yaml", &desired(&[ANA, BO, "email: cleo@example.com, name: Cleo"]));
    let planned = env.run("plan --no-asterisk --detailed-exitcode").expect(2);
    assert!(planned.stdout.contains("+ cleo@example.com  extension 1002"), "{}", planned.text());
    env.run("status --no-asterisk").expect(0);
    env.run("users").expect(0);
    env.run("history").expect(0);
    // Neither a seal nor a row is within its reach.
    let outcome = env.run("secret show 1000").expect(1);
    assert!(outcome.stderr.contains("docs/database.md"), "{}", outcome.text());
    let dump = env.dump();
    let outcome = env.run("sync").expect(1);
    assert!(outcome.stderr.contains("hint: the database role may not do this"), "{}", outcome.text());
    assert_eq!(env.dump(), dump);
    env.sql().batch_execute(&format!("drop owned by {role}; drop role {role}")).unwrap();
}

#[test]
fn phones_are_shown_by_number_and_several_at_once() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    let one = env.run("secret show ana@example.com").expect(0).stdout;
    assert_eq!(env.run("secret show 1000").expect(0).stdout, one);
    let both = env.run("secret show 1001 ana@example.com").expect(0).stdout;
    assert!(both.starts_with("email     bo@example.com\n") && both.ends_with(&format!("\n\n{one}")), "order as asked");
    let json = |args: &str| serde_json::from_str::<serde_json::Value>(&env.run(args).expect(0).stdout).unwrap();
    let one = json("secret show 1000 --format json");
    assert_eq!((&one["extension"], &one["format_version"]), (&1000.into(), &1.into()));
    let both = json("secret show 1000 1001 --format json");
    assert_eq!((&both["users"][1]["email"], &both["users"][0]["secret"]), (&"bo@example.com".into(), &one["secret"]));
    let outcome = env.run("secret show 1000 1099").expect(1);
    assert_eq!(outcome.stdout, "", "all or none");
    assert!(outcome.stderr.contains("no user has the extension 1099"), "{}", outcome.text());
    assert!(env.run("secret rotate 1001").expect(0).stdout.contains("the phone of bo@example.com, extension 1001"));
}

#[test]
fn users_are_filtered_by_text_number_and_who_manages_them() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO, "email: cleo@silva.example, name: Cleo, extension: 1500"]));
    env.run("sync").expect(0);
    env.sql().execute("update users set managed_by = 'api' where email = 'bo@example.com'", &[]).unwrap();
    let listed = |args: &str| {
        let text = env.run(&format!("users {args} --format json")).expect(0).stdout;
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let users = document["users"].as_array().unwrap().iter();
        users.map(|user| user["extension"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed(""), [1000, 1001, 1500]);
    assert_eq!(listed("SILVA"), [1000, 1500]);
    assert_eq!(listed("--extension 1001"), [1001]);
    assert_eq!(listed("--extension 1001-1500"), [1001, 1500]);
    assert_eq!(listed("--managed-by api"), [1001]);
    assert_eq!(listed("silva --managed-by file --extension 1400-1600"), [1500]);
    assert_eq!(listed("nothing"), Vec::<u64>::new());
}

#[test]
fn the_version_names_the_commit_and_its_date() {
    let env = TestEnv::embedded();
    let version = env.run("--version").expect(0).stdout;
    let git = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let number = env!("CARGO_PKG_VERSION");
    match git.ok().filter(|git| git.status.success()) {
        // Built a commit ago, perhaps: what counts is that there is one.
        Some(_) => {
            let commit =
                version.strip_prefix(&format!("reconcile {number} (")).and_then(|text| text.strip_suffix(")\n"));
            let commit = commit.unwrap_or_else(|| panic!("{version}"));
            let (commit, date) = commit.split_once(' ').unwrap_or_else(|| panic!("{version}"));
            assert!(commit.len() == 12 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{version}");
            assert!(date.parse::<jiff::civil::Date>().is_ok(), "{version}");
        }
        None => assert_eq!(version, format!("reconcile {number}\n")),
    }
}

#[test]
fn a_dry_run_stops_where_an_apply_would_and_moves_nothing() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let outcome = env.run("apply --dry-run").expect(0);
    assert!(
        outcome.stdout.ends_with("Dry run: no check stops this apply; nothing was changed.\n"),
        "{}",
        outcome.text()
    );
    let tables: i64 =
        env.sql().query_one("select count(*) from pg_tables where schemaname = 'public'", &[]).unwrap().get(0);
    assert_eq!(tables, 0, "not even the tables were made");
    assert!(!env.etc("pjsip.d/acme").exists());
    let id = outcome
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Apply exactly this: reconcile apply --expect "))
        .unwrap()
        .to_owned();
    env.run(&format!("apply --dry-run --expect {id}")).expect(0);
    env.run("apply --dry-run --expect p1-0000000000000000").expect(4);
    env.run(&format!("apply --expect {id}")).expect(0);
    let again = env.run(&format!("apply --dry-run --expect {id}")).expect(0);
    assert!(again.stderr.contains("is already recorded by run"), "{}", again.text());
    // A rail, a key that is missing, a folder that is missing, an Asterisk that does not run.
    let many: Vec<String> = (0..12).map(|n| format!("email: u{n:02}@example.com, name: U")).collect();
    env.write("pbx.yaml", &desired(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("apply --allow deletes=1").expect(0);
    let (dump, files) = (env.dump(), env.files());
    env.write("pbx.yaml", &desired(&[ANA]));
    let outcome = env.run("apply --dry-run").expect(3);
    assert_eq!(outcome.stderr.matches("error[rail-deletes]").count(), 1, "{}", outcome.text());
    env.run("apply --dry-run --allow deletes=12 --asterisk-config-dir /nowhere").expect(1);
    env.set("RECONCILE_SECRET_KEY", "");
    assert!(
        env.run("apply --dry-run --allow deletes=12")
            .expect(1)
            .stderr
            .contains("no key to seal the SIP secrets is given")
    );
    env.unset("RECONCILE_SECRET_KEY");
    let silent = "apply --dry-run --allow deletes=12 --asterisk-command /nowhere/asterisk";
    let outcome = env.run(silent).expect(1);
    assert!(outcome.stderr.contains("`apply --no-reload` works without a running Asterisk"), "{}", outcome.text());
    env.run(&format!("{silent} --no-reload")).expect(0);
    assert_eq!((env.dump(), env.files()), (dump, files));
}

/// Runs a command on a terminal of its own; answers with all that it shows there.
fn on_terminal(env: &TestEnv, args: &str) -> String {
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_reconcile"));
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).current_dir(env.path("work")).env_clear();
    for (name, value) in env.command(&[]).get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.env("NO_COLOR", "1").stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn a_long_plan_is_counted_on_a_terminal_and_whole_everywhere_else() {
    let env = TestEnv::new();
    let users: Vec<String> = (0..300).map(|n| format!("email: u{n:03}@example.com, name: U")).collect();
    env.write("pbx.yaml", &desired(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("  + u")).count();
    let lines = |text: &str| text.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++")).count();
    let shown = on_terminal(&env, "plan --no-asterisk");
    assert_eq!(rows(&shown), 50, "{shown}");
    assert!(shown.contains("\n  + ... and 250 more of this kind; --full shows all\n"), "{shown}");
    assert!(shown.contains("Plan: 300 to create"), "{shown}");
    assert!(
        lines(&shown) <= 2 * 100 && shown.lines().any(|line| line.ends_with(" more lines; --full shows all")),
        "{shown}"
    );
    let piped = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(rows(&piped) == 300 && lines(&piped) > 1000 && !piped.contains("--full"), "{}", piped.len());
    let full = on_terminal(&env, "plan --no-asterisk --full");
    assert_eq!((rows(&full), lines(&full)), (300, lines(&piped)));
    let json = on_terminal(&env, "plan --no-asterisk --format json");
    assert_eq!(
        json.matches("\"action\": \"create\"").count(),
        env.run("plan --no-asterisk --format json").stdout.matches("\"action\": \"create\"").count()
    );
}

#[test]
fn a_phase_that_takes_long_is_named_on_a_terminal_only() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let slow = env.path("slow");
    fs::write(&slow, format!("#!/bin/sh\nsleep 2\nexec {} \"$@\"\n", env.path("asterisk/bin/asterisk").display()))
        .unwrap();
    fs::set_permissions(&slow, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("ASTERISK_COMMAND", slow.to_str().unwrap());
    let shown = on_terminal(&env, "plan");
    assert!(shown.contains("asking Asterisk what it runs ...\n"), "{shown}");
    let piped = env.run("plan").expect(0);
    assert!(!piped.text().contains("..."), "{}", piped.text());
}

/// CI sets variables without a value to the empty text, and a flag was blamed for it.
#[test]
fn an_empty_variable_counts_as_absent() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    let folders =
        format!("--state-dir {} --asterisk-config-dir {}", env.path("state").display(), env.etc("").display());
    let commands = [
        format!("plan --no-asterisk {folders}"),
        // Its arguments are read, and then it does not listen in the clear.
        format!("serve --no-webhook --listen 0.0.0.0:1 {folders}"),
    ];
    let run = |env: &TestEnv| commands.each_ref().map(|command| env.run(command).text());
    let before = run(&env);
    assert!(before[1].contains("error: without TLS, tokens and secrets would be sent unencrypted"), "{}", before[1]);
    for variable in reconcile::cli::env::VARIABLES {
        if !["DATABASE_URL", "RECONCILE_SECRET_KEY"].contains(&variable.name) {
            env.set(variable.name, "");
        }
    }
    assert_eq!(run(&env), before);
}
