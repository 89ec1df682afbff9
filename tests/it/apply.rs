//! `reconcile apply` on a running Asterisk 22: what it moves, what it proves, what it puts back.

use std::fs;

use super::{
    serve::server::{Serve, token},
    support::{TestEnv, desired},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// The last row of the audit log.
fn audit(env: &TestEnv) -> postgres::Row {
    let mut sql = env.sql();
    sql.query_one(
        "select outcome, actor, host, command, plan_id, counts::text, files::text, message, phases::text,
                finished_at is not null from apply_audit_log order by id desc limit 1",
        &[],
    )
    .unwrap()
}

fn outcome(env: &TestEnv) -> String {
    audit(env).get(0)
}

#[test]
fn files_are_for_asterisk_alone_and_hold_no_plain_secret() {
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", "canary-of-bo");
    env.write("pbx.yaml", &desired(&[&format!("{BO}, secret: {{ env: BO_SIP_SECRET }}")]));
    env.run("apply").expect(0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
    let text = env.endpoints("acme");
    // md5 of 1000:asterisk:canary-of-bo
    assert!(text.contains("password_digest = MD5:") && !text.contains("canary"), "{text}");
    let log = fs::read_to_string(env.path("asterisk/log/full")).unwrap();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("generated_") && (line.contains("WARNING") || line.contains("ERROR")))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_audit_row_says_who_what_and_how_it_ended() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let plan = env.run("plan").expect(0).stdout;
    let id = plan.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    env.run("apply").expect(0);
    let row = audit(&env);
    let text = |index: usize| -> Option<String> { row.get(index) };
    let head: Vec<Option<String>> = (0..5).map(text).collect();
    assert_eq!(head, ["live", "tester", "pbx-test", "apply", id.as_str()].map(|word| Some(word.to_owned())));
    let counts: serde_json::Value = serde_json::from_str(&text(5).unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        counts,
        serde_json::json!({
            "format_version": 1, "written_by": version, "adopt": 0, "create": 2, "delete": 0, "rename": 0, "update": 0
        })
    );
    assert!(text(6).unwrap().contains("pjsip.d/acme/generated_endpoints.conf"));
    assert_eq!(text(7), None);
    for phase in ["record", "render", "write", "reload", "read back"] {
        assert!(text(8).unwrap().contains(&format!("\"{phase}\"")), "{phase}");
    }
    assert!(row.get::<_, bool>(9));
}

#[test]
fn sync_moves_rows_only_and_the_next_apply_heals() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let files = env.files();
    env.run("sync").expect(0);
    assert_eq!(env.files(), files);
    assert_eq!(outcome(&env), "recorded");
    let plan = env.run("plan --detailed-exitcode").expect(2).stdout;
    assert!(plan.contains("Plan: 0 to create, 0 to update, 0 to rename, 0 to delete; 2 files to write.\n"), "{plan}");
    env.run("apply").expect(0);
    assert!(env.ask("pjsip list endpoints").contains("1000/1000"));
}

#[test]
fn without_reload_the_files_are_written_and_asterisk_is_left_alone() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let applied = env.run("apply --no-reload").expect(0);
    assert!(
        applied
            .stdout
            .ends_with("Asterisk was not reloaded (--no-reload): it still runs what it ran before (run 1).\n")
    );
    assert_eq!(outcome(&env), "rendered");
    assert!(!env.ask("pjsip list endpoints").contains("1000/1000"));
    let plan = env.run("plan --detailed-exitcode").expect(2).stdout;
    assert!(plan.contains("Reload: res_pjsip, dialplan (Asterisk does not run the files in place)"), "{plan}");
    let healed = env.run("apply").expect(0).stdout;
    assert!(
        healed.ends_with("Live: no file changed; res_pjsip and dialplan reloaded; read back (run 2).\n"),
        "{healed}"
    );
}

#[test]
fn an_asterisk_that_does_not_run_is_an_error_before_anything_moves() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("migrate").expect(0);
    let (dump, files) = (env.dump(), env.files());
    env.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    insta::assert_snapshot!(env.run("apply").expect(1).stderr);
    assert_eq!((env.dump(), env.files()), (dump, files));
}

/// An operator's duplicate of one of our names makes Asterisk keep all its old endpoints, and say
/// "success".
#[test]
fn what_asterisk_silently_refuses_is_put_back() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let good = env.endpoints("acme");
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[twice]\ntype = endpoint\n[twice]\ntype = endpoint\n")).unwrap();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let failed = env.run("apply").expect(6);
    insta::assert_snapshot!(failed.stderr);
    assert_eq!(env.endpoints("acme"), good);
    assert_eq!(outcome(&env), "rolled_back");
    assert!(env.ask("pjsip list endpoints").contains("1000/1000"));

    // The rows stay recorded; once the operator's file is right again, the next apply heals.
    fs::write(&conf, operators).unwrap();
    let healed = env.run("apply --again").expect(0);
    assert!(healed.stdout.contains("Plan: 0 to create"), "{}", healed.text());
    assert!(env.ask("pjsip list endpoints").contains("1001/1001"));
    assert_eq!(outcome(&env), "live");
}

#[test]
fn missing_include_lines_are_reported() {
    let env = TestEnv::with_asterisk();
    for file in ["pjsip.conf", "extensions.conf"] {
        let text = fs::read_to_string(env.etc(file)).unwrap();
        let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("#tryinclude")).collect();
        fs::write(env.etc(file), without.join("\n") + "\n").unwrap();
    }
    env.ask("module reload res_pjsip.so");
    env.write("pbx.yaml", &desired(&[ANA]));
    // Before anything moves
    let before = env.files();
    for command in ["plan --detailed-exitcode", "apply"] {
        let stopped = env.run(command).expect(3);
        let words = "error[rail-missing-includes]: `pjsip.conf` does not include the generated files of `acme`: Asterisk would \
                     not take them; `extensions.conf` does not include the generated files of `acme`: Asterisk would not \
                     take them\nhint: add `#tryinclude pjsip.d/*/generated_endpoints.conf` in `pjsip.conf` and `#tryinclude \
                     extensions.d/*/generated_routing.conf` in `extensions.conf`, outside of any comment; if this is intended: \
                     --allow missing-includes=2\n";
        assert!(stopped.stderr.contains(words), "{}", stopped.text());
    }
    assert!(env.files() == before && env.run("users").expect(0).stdout.lines().count() == 1);
    // For include lines that reconcile cannot read.
    insta::assert_snapshot!(env.run("apply --allow missing-includes=2").expect(6).stderr);
    // What stands there now is a stub: whoever adds the lines later starts a sound Asterisk.
    assert!(!env.endpoints("acme").contains("ana@example.com"));
}

/// `sed -i /tryinclude/d pjsip.conf`, and the apply of a new tenant took the phones of all the others down.
#[test]
fn a_reload_that_would_take_phones_of_any_tenant_away_is_stopped_before_anything_moves() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let caller = token(&env, "ci", "apply");
    let serve = Serve::start(&env, "--no-webhook");
    let client = serve.client(&caller);
    let bolt = desired(&["email: zoe@example.com, name: Zoe, extension: 1500"]).replace("tenant: acme", "tenant: bolt");
    env.write("bolt.yaml", &bolt);
    let operators = ["pjsip.conf", "extensions.conf"].map(|file| fs::read_to_string(env.etc(file)).unwrap());
    for (at, file, module) in [(0, "pjsip.conf", "phones and trunks"), (1, "extensions.conf", "dialplan")] {
        fs::write(env.etc(file), operators[at].replace("#tryinclude", ";")).unwrap();
        let before = env.files();
        // Of the tenant itself, even if nothing changes, and of another one that is new here.
        for file_of in ["pbx", "bolt"] {
            let words = format!(
                "error[rail-missing-includes]: `{file}` does not include the generated files of `acme`: a reload would \
                 leave Asterisk without their {module}"
            );
            let plan = env.run(&format!("plan --detailed-exitcode -f {file_of}.yaml")).expect(3);
            assert!(plan.stderr.starts_with(&words), "{}", plan.text());
            let stopped = env.run(&format!("apply -f {file_of}.yaml")).expect(3);
            assert!(stopped.stderr.contains(&words), "{}", stopped.text());
            assert!(stopped.stderr.contains("hint: add `#tryinclude "), "{}", stopped.text());
        }
        let stopped = client.apply("").expect(422).json();
        assert_eq!(stopped["error"]["details"][0]["rail"], "missing-includes", "{stopped}");
        assert!(env.files() == before, "something moved");
        assert!(env.ask("pjsip list endpoints").contains("1000/1000"));
        assert!(env.ask("dialplan show acme-internal").contains("Context 'acme-internal'"));
        fs::write(env.etc(file), &operators[at]).unwrap();
    }
    // A line for each tenant: only those whose files are left out are named.
    let line = |tenant: &str| format!("#tryinclude pjsip.d/{tenant}/generated_endpoints.conf");
    let glob = "#tryinclude pjsip.d/*/generated_endpoints.conf";
    fs::write(env.etc("pjsip.conf"), operators[0].replace(glob, &line("bolt"))).unwrap();
    let stopped = env.run("apply -f bolt.yaml").expect(3).stderr;
    assert!(stopped.contains("`pjsip.conf` does not include the generated files of `acme`: "), "{stopped}");
    fs::write(env.etc("pjsip.conf"), operators[0].replace(glob, &format!("{}\n{}", line("acme"), line("bolt"))))
        .unwrap();
    env.run("apply -f bolt.yaml").expect(0);
    assert!(env.ask("pjsip list endpoints").contains("1000/1000"));
}

/// Asterisk runs on as before, and takes none of the file when it starts the next time.
#[test]
fn a_doubled_include_line_is_reported_before_it_removes_all_phones() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, good.clone() + "\n#tryinclude pjsip.d/acme/generated_endpoints.conf\n").unwrap();
    let at = |line: &str| good.lines().position(|found| found.starts_with(line)).unwrap() + 1;
    let words = format!(
        "`pjsip.d/acme/generated_endpoints.conf` is included 2 times, in `pjsip.conf:{}` and `pjsip.conf:{}`: Asterisk \
         would reject all of its objects",
        at("#tryinclude"),
        good.lines().count() + 2,
    );
    for command in ["plan --detailed-exitcode", "apply"] {
        let stopped = env.run(command).expect(3);
        let rail = format!("error[rail-included-twice]: {words}\nhint: remove all of these lines but one\n");
        assert!(stopped.stderr.contains(&rail), "{}", stopped.text());
    }
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(status.contains(&format!("{words}: remove all of these lines but one\n")), "{status}");
    fs::write(&conf, good).unwrap();
    env.run("status --detailed-exitcode").expect(0);
}

#[test]
fn a_second_apply_at_once_is_rejected_and_names_the_holder_of_the_host() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.sql()
        .execute(
            "update apply_audit_log set outcome = 'open', finished_at = null, started_at = '2026-01-02 03:04:05Z'",
            &[],
        )
        .unwrap();
    let lock = fs::File::open(env.etc("pjsip.d/.reconcile.lock")).unwrap();
    lock.lock().unwrap();
    let refused = env.run("apply").expect(5);
    assert_eq!(
        refused.stderr,
        "error: another apply is running on the host `pbx-test`: tester runs `apply` on pbx-test since 2026-01-02T03:04:05Z\n"
    );
    drop(lock);
    env.run("apply").expect(0);
    let interrupted: i64 =
        env.sql().query_one("select count(*) from apply_audit_log where outcome = 'interrupted'", &[]).unwrap().get(0);
    assert_eq!(interrupted, 1, "the row that a killed run left open");
}

#[test]
fn an_empty_database_never_wipes_a_running_system() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let mut wrong = TestEnv::new();
    wrong.set("ASTERISK_CONFIG_DIR", env.path("asterisk/etc").to_str().unwrap());
    wrong.set("ASTERISK_COMMAND", env.path("asterisk/bin/asterisk").to_str().unwrap());
    wrong.write("pbx.yaml", &desired(&["email: zoe@example.com, name: Zoe"]));
    let (good, files) = (env.endpoints("acme"), env.files());
    let stopped = wrong.run("apply").expect(3);
    insta::assert_snapshot!(stopped.stderr);
    assert_eq!((env.endpoints("acme"), env.files()), (good, files));
}

#[test]
fn a_hand_edited_file_is_shown_and_healed() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let good = env.endpoints("acme");
    let digest = good.lines().find(|line| line.starts_with("password_digest")).unwrap();
    let edits = [
        good.replace("\"Ana\"", "\"Mallory\""),
        good.replacen(digest, "password_digest = MD5:00000000000000000000000000000000", 1),
        good.clone() + "[backdoor]\ntype = endpoint\n",
        good[..good.len() / 2].to_owned(),
        good.replace('\n', "\r\n"),
        String::new(),
    ];
    for edited in edits {
        fs::write(&path, &edited).unwrap();
        let plan = env.run("plan --detailed-exitcode").expect(2);
        assert!(plan.stdout.contains("1 file to write."), "{}", plan.text());
        assert!(!plan.stdout.contains("00000000000000000000000000000000"), "{}", plan.text());
        env.run("apply").expect(0);
        assert_eq!(env.endpoints("acme"), good);
    }
}

/// Registers a phone behind Asterisk's back.
fn register(env: &TestEnv, number: u32) {
    let key = format!("{number};@0123456789abcdef0123456789abcdef");
    let contact = format!(
        r#"{{\"uri\":\"sip:{number}@127.0.0.1:9\",\"expiration_time\":\"4000000000\",\"endpoint\":\"{number}\",\"qualify_frequency\":\"0\"}}"#
    );
    let done = env.ask(&format!("database put registrar/contact \"{key}\" \"{contact}\""));
    assert!(done.contains("Updated database successfully"), "{done}");
}

fn registered(env: &TestEnv) -> usize {
    env.ask("database show registrar/contact").lines().filter(|line| line.starts_with("/registrar/contact/")).count()
}

/// The last good file is the one that was proven, even if another apply had written it.
#[test]
fn what_was_proven_is_what_is_put_back() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply --no-reload").expect(0);
    env.run("apply").expect(0);
    let good = env.endpoints("acme");
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[twice]\ntype = endpoint\n[twice]\ntype = endpoint\n")).unwrap();
    env.write("pbx.yaml", &desired(&[ANA, BO, "email: cleo@example.com, name: Cleo"]));
    env.run("apply").expect(6);
    assert_eq!(env.endpoints("acme"), good);
    assert!(env.ask("pjsip list endpoints").contains("1001/1001"));
}

/// What runs is the last good, whoever let Asterisk read it: nobody deleted comes back.
#[test]
fn a_generation_that_another_program_reloaded_is_the_one_put_back() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    env.ask("module reload res_pjsip.so");
    let good = env.endpoints("acme");
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana Silva"]));
    env.set("RECONCILE_FAIL_POINT", "read-back=error");
    env.run("apply").expect(6);
    assert_eq!(env.endpoints("acme"), good);
    assert!(!env.ask("pjsip list endpoints").contains("1001/1001"));
}

/// What lies beside the tenants' folders is the operator's business, or that of its tenant.
#[test]
fn a_file_of_no_tenant_blocks_no_apply() {
    let env = TestEnv::with_asterisk();
    fs::write(env.etc("pjsip.d/trunk.conf"), "; mine\n").unwrap();
    fs::create_dir_all(env.etc("pjsip.d/other/generated_endpoints.conf")).unwrap();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
}

/// An operator's mistake that keeps one of our objects out is told as long as it is there; once it
/// was mended, the next apply brings the object back, though nothing of ours changed.
#[test]
fn objects_kept_out_by_a_mistake_come_back_with_the_next_apply() {
    let mut env = TestEnv::new();
    env.start_asterisk_again();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[1000](+type=endpoint)\nallow = nonsense\nbogus = 1\n")).unwrap();
    env.start_asterisk_again();
    assert!(!env.ask("pjsip list endpoints").contains("1000/1000"));
    let failed = env.run("apply").expect(6);
    assert!(failed.stderr.contains("endpoints are missing in the running Asterisk: `1000`"), "{}", failed.text());
    assert!(failed.stderr.contains("running: unknown, the read-back of these files also failed"), "{}", failed.text());
    fs::write(&conf, operators).unwrap();
    let healed = env.run("apply --again").expect(0);
    assert!(healed.stdout.contains("res_pjsip reloaded"), "{}", healed.text());
    assert!(env.ask("pjsip list endpoints").contains("1000/1000"));
}

/// What counts is what Asterisk runs, not which file lay there in between.
#[test]
fn phones_removed_without_a_reload_expire_with_the_next_one() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    register(&env, 1001);
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    assert_eq!(registered(&env), 1);
    let applied = env.run("apply").expect(0);
    assert!(applied.stdout.contains("1 registration of old phones deleted"), "{}", applied.text());
    assert_eq!(registered(&env), 0);
}

/// A run that failed before its commit leaves the phones of others alone.
#[test]
fn an_apply_that_never_happened_expires_no_registration() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    register(&env, 1001);
    env.sql()
        .batch_execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
             create constraint trigger refuse after insert on apply_audit_log deferrable initially deferred
             for each row execute function refuse()",
        )
        .unwrap();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(1);
    env.sql().batch_execute("drop trigger refuse on apply_audit_log").unwrap();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    assert_eq!(registered(&env), 1);
    let left: Vec<_> =
        env.files().into_iter().filter(|(path, ..)| path.to_str().unwrap().contains(".reconcile-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Neither a database that was synced first, nor one restored from an old backup, gets past the rail.
#[test]
fn another_directory_is_stopped_whatever_it_knows() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let good = env.endpoints("acme");
    let mut wrong = TestEnv::new();
    wrong.set("ASTERISK_CONFIG_DIR", env.path("asterisk/etc").to_str().unwrap());
    wrong.set("ASTERISK_COMMAND", env.path("asterisk/bin/asterisk").to_str().unwrap());
    wrong.write("pbx.yaml", &desired(&[ANA, BO]));
    wrong.run("sync").expect(0);
    let stopped = wrong.run("apply").expect(3).stderr;
    // What the hint says is what lets it pass.
    assert!(stopped.contains("--allow foreign-files=2, and every phone of these files gets a new secret"), "{stopped}");
    wrong.run("apply --dry-run --allow foreign-files=1 --allow relogins=2").expect(3);
    wrong.run("apply --dry-run --allow foreign-files=2").expect(3);
    wrong.run("apply --dry-run --allow foreign-files=2 --allow relogins=2").expect(0);
    // Deleting by `sync` and applying later is no reason to stop ...
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    env.run("apply").expect(0);
    // ... a row that vanished without a trace is.
    env.sql().batch_execute("delete from users; delete from former_users").unwrap();
    env.write("pbx.yaml", &desired(&["email: zoe@example.com, name: Zoe"]));
    let stopped = env.run("apply").expect(3);
    assert!(
        stopped
            .stderr
            .contains("the generated files on this host hold 1 user that this database never had: `ana@example.com`\n"),
        "{}",
        stopped.text()
    );
    assert_ne!(env.endpoints("acme"), good);
    // Told twice, with the number of users whose phones go.
    env.run("apply --allow foreign-files=0").expect(3);
    env.run("apply --allow foreign-files=1").expect(0);
    assert!(env.endpoints("acme").contains("zoe@example.com") && !env.endpoints("acme").contains("ana@example.com"));
}
