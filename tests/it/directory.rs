//! The directory: the embedded cluster and a database by URL, their keys and their secrets.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::support::{KEY, Outcome, Server, TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";

/// Server processes that run on a test's private cluster.
fn servers(env: &TestEnv) -> usize {
    let folder = env.path("state/postgres/data");
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(folder))
        .count()
}

#[test]
fn without_a_url_a_private_cluster_serves_and_stops() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    let plan = env.run("plan --no-asterisk").expect(0);
    assert!(plan.stdout.contains("database private"), "{}", plan.text());
    assert!(!env.path("state").exists(), "a plan creates nothing");
    let first = env.run("apply --no-reload").expect(0);
    let writing = "note: DATABASE_URL is not set; writing to the private database in `[test]/state`\n";
    assert_eq!(first.stderr, format!("{writing}creating the private database (first use)\n"));
    for command in ["sync", "migrate", "secret reseal", "token new portal --scope read"] {
        let said = env.run(command).expect(0).stderr;
        assert!(said.starts_with(writing) && said.matches("DATABASE_URL").count() == 1, "{command}: {said}");
    }
    let users = env.run("users").expect(0);
    assert_eq!(
        users.text(),
        "exit 0\n--- stdout\nEXTENSION  USER             MANAGED BY  NAME\n\
         1000       ana@example.com  file        Ana\n--- stderr\n\
         note: DATABASE_URL is not set; reading the private database in `[test]/state`\n"
    );
    assert_eq!(servers(&env), 0, "the last user stops it");
    let key = env.path("state/secret.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(env.run("plan --no-asterisk --detailed-exitcode").expect(0).stderr, "");
}

#[test]
fn an_ordinary_user_has_a_private_cluster_too() {
    if !is_root() {
        return without_a_url_a_private_cluster_serves_and_stops();
    }
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    // The program itself may lie where the other user cannot go.
    let program = env.path("reconcile");
    // Not by ourselves: a child of another test could still hold the file open for writing.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_reconcile")).arg(&program).status().unwrap().success());
    let everything = env.path("");
    assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(&everything).status().unwrap().success());
    let run = |args: &[&str]| -> Outcome {
        let command = env.command(args);
        let mut other = Command::new(&program);
        other.args(command.get_args()).current_dir(env.path("work")).env_clear().uid(65534).gid(65534);
        for (name, value) in command.get_envs() {
            other.env(name, value.unwrap_or_default());
        }
        let output = other.stdin(Stdio::null()).output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    };
    run(&["apply", "--no-reload"]).expect(0);
    let users = run(&["users"]).expect(0);
    assert!(users.stdout.contains("1000       ana@example.com"), "{}", users.text());
    assert_eq!(servers(&env), 0);
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

#[test]
fn commands_at_once_share_the_cluster() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|n| {
                let env = &env;
                scope.spawn(move || env.run(if n % 2 == 0 { "sync" } else { "users" }))
            })
            .collect();
        for run in runs {
            run.join().unwrap().expect(0);
        }
    });
    assert!(env.run("users").expect(0).stdout.contains("1000       ana@example.com"));
    assert_eq!(servers(&env), 0);
}

#[test]
fn a_killed_command_blocks_nothing() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    for wait in [50, 400, 800, 1200] {
        let mut child = env.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let start = Instant::now();
    env.run("sync").expect(0);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(env.run("users").expect(0).stdout.contains("1000       ana@example.com"));
    assert_eq!(servers(&env), 0, "the server that the killed command left was joined and stopped");
}

#[test]
fn in_ci_a_private_cluster_needs_a_folder_that_is_kept() {
    let mut env = TestEnv::embedded();
    env.set("CI", "true");
    env.write("pbx.yaml", &desired(&[ANA]));
    let without = |args: &str| {
        let args: Vec<&str> = args.split(' ').collect();
        let output = env.command(&args).env_remove("RECONCILE_STATE_DIR").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for args in ["plan --no-asterisk", "sync"] {
        let (code, stderr) = without(args);
        assert_eq!(code, Some(1));
        assert_eq!(
            stderr,
            "error: in CI a private database would be empty at each run, and an apply would rewrite every phone\n\
             hint: set DATABASE_URL, or `--state-dir` to a folder that is kept between runs; `plan --recorded FILE` needs no \
             database\n"
        );
    }
    env.run("sync").expect(0);
}

#[test]
fn a_database_by_url_needs_a_key_to_write_and_none_to_plan() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let without = |args: &[&str]| env.command(args).env_remove("RECONCILE_SECRET_KEY").output().unwrap();
    let refused = without(&["apply", "--no-reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "error: DATABASE_URL is set, but no key to seal the SIP secrets is given\n\
         hint: make one and keep it safe: export RECONCILE_SECRET_KEY=$(openssl rand -base64 32)\n"
    );
    env.run("apply --no-reload").expect(0);
    let plan = without(&["plan", "--no-asterisk", "--detailed-exitcode"]);
    assert_eq!(plan.status.code(), Some(0), "digests in the files are compared without a key");
}

/// The hint for a forgotten key made a new one, beside secrets that only the old one opens.
#[test]
fn a_forgotten_or_malformed_key_is_asked_for_by_its_id_once_secrets_are_recorded() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let other = "//////////////////////////////////////////8=";
    let sealed = "the secrets are sealed with the key `630dcd2966c43366`";
    let new = "hint: make one and keep it safe: export RECONCILE_SECRET_KEY=$(openssl rand -base64 32)";
    for key in ["", "abc"] {
        env.set("RECONCILE_SECRET_KEY", key);
        let said = env.run("apply").expect(1).stderr;
        assert!(said.contains(new) && !said.contains("abc"), "nothing is sealed yet: {said}");
        env.unset("RECONCILE_SECRET_KEY");
    }
    env.run("apply").expect(0);
    for key in ["", "abc"] {
        env.set("RECONCILE_SECRET_KEY", key);
        for command in
            ["apply", "apply --dry-run", "sync", "secret show 1000", "secret rotate 1000", "serve", "migrate"]
        {
            let said = env.run(command).expect(1).stderr;
            let hint = format!("hint: {sealed}: give it in RECONCILE_SECRET_KEY or RECONCILE_SECRET_KEY_FILE\n");
            assert!(said.contains(&hint) && !said.contains("openssl"), "{command}: {said}");
        }
        let plan = env.run("plan").expect(0);
        assert!(plan.stdout.contains(&format!("an apply needs one; {sealed}")), "{}", plan.text());
        let plan = env.run("plan --no-asterisk").expect(0);
        assert!(!plan.stdout.contains("630dcd2966c43366"), "the key stays on the host: {}", plan.text());
        env.unset("RECONCILE_SECRET_KEY");
    }
    assert!(!env.run("plan").expect(0).stdout.contains("key"));
    env.set("RECONCILE_SECRET_KEY", other);
    let plan = env.run("plan").expect(0);
    assert!(plan.stdout.contains(&format!("{sealed}, not among those given")), "{}", plan.text());
}

/// A lost key file of the private database is not replaced, and the message names the key.
#[test]
fn the_private_database_names_the_key_that_was_lost() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    std::fs::remove_file(env.path("state/secret.key")).unwrap();
    let said = env.run("sync").expect(1).stderr;
    assert!(said.contains("hint: the secrets are sealed with the key `"), "{said}");
    assert!(said.contains("or restore `[test]/state/secret.key`"), "{said}");
    assert!(!env.path("state/secret.key").exists());
}

#[test]
fn a_key_is_retired_once_every_secret_is_sealed_anew() {
    let mut env = TestEnv::with_asterisk();
    let other = "//////////////////////////////////////////8=";
    let both = format!("{other},{KEY}");
    env.set("TELCO_SECRET", "telco-secret-canary");
    let trunk = "trunks:\n  telco: { host: 192.0.2.7, username: pbx, realm: telco, secret: { env: TELCO_SECRET } }\n";
    env.write("pbx.yaml", &(desired(&[ANA, "email: bo@example.com, name: Bo"]) + trunk));
    env.run("apply").expect(0);
    env.write("other.yaml", "version: 1\ntenant: other\nphones: { realm: other }\nextensions: { range: 5000-5999 }\nusers:\n  - { email: zoe@example.com, name: Zoe }\n");
    env.run("sync -f other.yaml").expect(0);
    let shown = env.run("secret show 1000").expect(0).stdout;
    let before = env.dump();
    // The old key is needed to open what it sealed.
    env.set("RECONCILE_SECRET_KEY", other);
    let refused = env.run("secret reseal").expect(1);
    assert!(refused.stderr.contains("sealed with the key 630dcd2966c43366, which is not among"), "{}", refused.text());
    assert_eq!(env.dump(), before, "nothing was changed");
    env.unset("RECONCILE_SECRET_KEY");
    env.set("RECONCILE_SECRET_KEY", &both);
    let done = env.run("secret reseal").expect(0);
    let all = "All secrets are sealed with the key ";
    assert!(done.stdout.starts_with("Resealed: 3 secrets of acme.\nResealed: 1 secret of other.\n"), "{}", done.text());
    assert!(done.stdout.contains(all));
    let again = env.run("secret reseal").expect(0);
    assert!(again.stdout.starts_with(all), "{}", again.text());
    env.unset("RECONCILE_SECRET_KEY");
    env.set("RECONCILE_SECRET_KEY", other);
    assert_eq!(env.run("secret show 1000").expect(0).stdout, shown);
    let plan = env.run("plan").expect(0);
    assert!(plan.stdout.contains("No changes."), "{}", plan.text());
    let applied = env.run("apply").expect(0);
    assert!(applied.stdout.contains("no file changed"), "{}", applied.text());
    let history = env.run("history").expect(0).stdout;
    assert_eq!(history.matches("secret reseal").count(), 1, "{history}");
    let run: i64 = env
        .sql()
        .query_one("select id from apply_audit_log where tenant = 'acme' and command = 'secret reseal'", &[])
        .unwrap()
        .get(0);
    let whole = env.run(&format!("history {run}")).expect(0).stdout;
    assert!(whole.contains("3 secrets were sealed anew, with the key "), "{whole}");
}

/// `secret rotate` sealed one secret with a key that opens nothing else, and so did `sync` for a tenant of its own: from
/// then on, neither key alone opened the directory's secrets.
#[test]
fn nothing_is_sealed_with_a_key_that_opens_none_of_the_directorys_secrets() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo"]));
    env.write("other.yaml", &desired(&["email: zoe@example.com, name: Zoe"]).replace("acme", "other"));
    env.run("apply").expect(0);
    let before = env.dump();
    env.set("RECONCILE_SECRET_KEY", "//////////////////////////////////////////8=");
    for command in ["secret rotate 1000", "secret reseal", "sync", "apply", "sync -f other.yaml"] {
        let said = env.run(command).expect(1).stderr;
        let refused = "error: the database's secrets were sealed with the key 630dcd2966c43366, which is not among those given\nhint: give the database's own key in RECONCILE_SECRET_KEY";
        assert!(said.contains(refused), "{command}: {said}");
        assert_eq!(env.dump(), before, "{command}: nothing was changed");
    }
    env.unset("RECONCILE_SECRET_KEY");
    env.set("RECONCILE_SECRET_KEY", &format!("//////////////////////////////////////////8=,{KEY}"));
    env.run("secret rotate 1000").expect(0);
    env.run("sync -f other.yaml").expect(0);
}

#[test]
fn a_plan_needs_no_right_to_write() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    let name = env.database.as_ref().unwrap().split(['/', '?']).nth(3).unwrap().to_owned();
    env.sql()
        .batch_execute(&format!(
            "create role reader_{name} login; grant select on all tables in schema public to reader_{name}"
        ))
        .unwrap();
    env.database = env.database.clone().map(|url| url.replace("user=postgres", &format!("user=reader_{name}")));
    env.run("plan --no-asterisk").expect(0);
    let refused = env.run("sync").expect(1);
    assert!(refused.stderr.contains("permission denied"), "{}", refused.text());
}

#[test]
fn a_newer_schema_is_rejected() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("migrate").expect(0);
    assert_eq!(env.run("migrate").expect(0).stdout, "The schema is up to date.\n");
    let mut sql = env.sql();
    let latest: i32 = sql.query_one("select max(version) from refinery_schema_history", &[]).unwrap().get(0);
    sql.execute(
        "insert into refinery_schema_history select 99, 'later', applied_on, checksum from refinery_schema_history
             where version = 1",
        &[],
    )
    .unwrap();
    for args in ["plan --no-asterisk", "sync"] {
        let refused = env.run(args).expect(1);
        assert_eq!(
            refused.stderr,
            format!(
                "error: the database has schema version 99, this program knows up to {latest}\n\
                 hint: use the later version of reconcile that wrote it\n"
            )
        );
    }
}

#[test]
fn an_unreachable_database_is_named_without_its_password() {
    let mut env = TestEnv::new();
    env.database = Some("postgres://pbx:canary@127.0.0.1:1/pbx".to_owned());
    env.write("pbx.yaml", &desired(&[ANA]));
    let refused = env.run("plan --no-asterisk").expect(1);
    assert!(
        refused.stderr.starts_with("error: cannot connect to the database postgres://pbx@127.0.0.1:1/pbx"),
        "{}",
        refused.text()
    );
    assert!(!refused.text().contains("canary"));
}

/// A newcomer's `p@ss#w/rd` stood in the first message: everything behind its `@` was taken for the host.
#[test]
fn no_piece_of_a_password_that_is_not_encoded_is_shown() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    for password in ["p@ss#wxyz/rd", "geheim@wort", "a/bcde?fghi=jk", "%zzvw:xy99", "wxyz'vw wxyz", "?passfile=vwxyz"] {
        for url in [
            format!("postgres://pbx:{password}@127.0.0.1:1/pbx"),
            format!("postgres://127.0.0.1:1/pbx?user=pbx&password={password}"),
            format!("host=127.0.0.1 port=1 user=pbx dbname=pbx password={password}"),
            format!("host=127.0.0.1 port=1 user=pbx dbname=pbx password='{password}'"),
        ] {
            env.database = Some(url.clone());
            env.set("RECONCILE_LOG", "trace");
            for command in ["plan --no-asterisk --format markdown", "apply --no-reload", "users", "export --users"] {
                let said = env.run(command).expect(1).text();
                for piece in password.as_bytes().windows(4) {
                    let piece = std::str::from_utf8(piece).unwrap();
                    assert!(!said.contains(piece) || "passfile=".contains(piece), "{url}: {piece}: {said}");
                }
            }
        }
    }
    env.database = Some("postgres://pbx:p@ss#w/rd@127.0.0.1:23592/pbx".to_owned());
    assert_eq!(
        env.run("plan").expect(1).stderr,
        "error: the database URL is ambiguous: user, password or host hold an `@`, `:`, `/`, `?` or `#` that is not encoded\n\
         hint: in user and password, write `@` as `%40`, `:` as `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23` and \
         `%` as `%25`\n"
    );
}

/// Eight writers at once on one tenant: the last file wins, and nobody's number is given twice. Who was overtaken would
/// delete a user that its plan did not show: it stops with 4, and is run again.
#[test]
fn concurrent_writers_take_turns() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    thread::scope(|scope| {
        for n in 0..8 {
            let env = &env;
            scope.spawn(move || {
                let name = format!("file{n}.yaml");
                let user = format!("email: u{n}@example.com, name: User {n}");
                env.write(&name, &desired(&[ANA, &user]));
                let sync = || env.run(&format!("sync -f {name}"));
                let overtaken = |outcome: &Outcome| outcome.code == 4;
                let mut outcome = sync();
                for _ in 0..20 {
                    if !overtaken(&outcome) {
                        break;
                    }
                    outcome = sync();
                }
                outcome.expect(0);
            });
        }
    });
    let count: i64 = env.sql().query_one("select count(*) from users", &[]).unwrap().get(0);
    assert_eq!(count, 2, "each run deletes what its file does not declare");
}

/// TLS as libpq means it: `require` encrypts, `verify-full` also asks who is there.
#[test]
fn tls_is_spoken_and_checked() {
    let folder = tempfile::Builder::new().prefix("rc-tls-").tempdir_in("/tmp").unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let leaf = "basicConstraints=critical,CA:FALSE";
    let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", leaf];
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            &path("key"),
            "-out",
            &path("cert"),
        ])
        .args(subject)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    // The server wants a key of its own that nobody else reads: it makes its copy.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    if is_root() {
        for name in ["key", "cert"] {
            let user = if Command::new("id").arg("postgres").output().unwrap().status.success() {
                "postgres"
            } else {
                "nobody"
            };
            assert!(Command::new("chown").args([user, &path(name)]).status().unwrap().success());
        }
    }
    let data = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").unwrap().keep();
    let options =
        ["ssl=on".to_owned(), format!("ssl_cert_file={}", path("cert")), format!("ssl_key_file={}", path("key"))];
    let args: Vec<&str> =
        ["--tcp"].into_iter().chain(options.iter().flat_map(|option| ["-c", option.as_str()])).collect();
    let server = Server::start("postgres", &data, &args);
    let port = server.ready.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let mut env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    let mut plan = |host: &str, options: &str| {
        env.database = Some(format!("postgres://postgres@{host}:{port}/postgres?{options}"));
        env.run("plan --no-asterisk")
    };
    plan("127.0.0.1", "sslmode=require").expect(0);
    plan("localhost", &format!("sslmode=verify-full&sslrootcert={}", path("cert"))).expect(0);
    // Keys and values of the URL are percent-encoded.
    std::fs::create_dir(folder.path().join("my ca")).unwrap();
    std::fs::copy(path("cert"), folder.path().join("my ca/a+b.pem")).unwrap();
    let encoded = path("my ca/a+b.pem").replace('/', "%2F").replace(' ', "%20");
    plan("localhost", &format!("sslmode=verify%2Dfull&ssl%72ootcert={encoded}")).expect(0);
    let other_name = plan("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={}", path("cert"))).expect(1);
    let unknown = plan("localhost", "sslmode=verify-full").expect(1);
    for outcome in [other_name, unknown] {
        let hint = "hint: the server's certificate is not trusted: name its CA with `sslrootcert`";
        assert!(outcome.stderr.contains(hint), "{}", outcome.text());
    }
}
