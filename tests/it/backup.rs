//! Backup and restore, what is forgotten by itself, and a tenant that is removed.

use std::{fs, os::unix::fs::PermissionsExt};

use super::support::{KEY, TestEnv, database, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// A host with two tenants' worth of rows, and a file that was applied.
fn office() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &(desired(&[ANA, BO]) + "voicemail: { users: true }\n"));
    env.run("check").expect(0);
    env.run("apply").expect(0);
    env
}

/// All rows, as another backup has them.
fn rows(env: &TestEnv, name: &str) -> String {
    env.run(&format!("backup {name}")).expect(0);
    let text = fs::read_to_string(env.path("work").join(name)).unwrap();
    text.lines().filter(|line| line.starts_with("{\"rows\"")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_restored_directory_is_the_one_that_was_backed_up() {
    let mut env = office();
    let shown = env.run("secret show ana@example.com").stdout;
    let before = rows(&env, "before");
    let outcome = env.run("backup pbx.reconcile").expect(0);
    assert_eq!(outcome.stdout, "Backup: 1 tenant, 2 users in `pbx.reconcile`. The key is not in it.\n");
    let path = env.path("work/pbx.reconcile");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    env.hear("backup", &text);
    // What is there is never written over.
    let refused = env.run("backup pbx.reconcile").expect(1).stderr;
    let wanted = "error: `pbx.reconcile` is there already\nhint: name a new file: a backup is never written over\n";
    assert!(refused.starts_with(wanted), "{refused}");

    env.database = Some(database());
    let outcome = env.run("restore pbx.reconcile").expect(0);
    assert!(outcome.stdout.starts_with("Restored: 1 tenant, 2 users, as of "), "{}", outcome.text());
    assert!(outcome.stdout.ends_with("\nNo changes.\n"), "{}", outcome.text());
    assert!(rows(&env, "after") == before, "other rows");
    assert_eq!(env.run("secret show ana@example.com").stdout, shown);
    env.run("status --detailed-exitcode").expect(0);
    // Runs go on counting.
    assert!(env.run("apply").expect(0).stdout.ends_with("(run 2).\n"));
    assert!(env.run("restore pbx.reconcile").expect(1).stderr.contains("is not empty"));
}

#[test]
fn a_backup_that_does_not_fit_is_refused_before_anything_is_written() {
    let mut env = office();
    env.run("backup pbx.reconcile").expect(0);
    let text = fs::read_to_string(env.path("work/pbx.reconcile")).unwrap();
    let empty = database();
    env.database = Some(empty.clone());
    let refused = |env: &TestEnv, name: &str, words: &str| {
        let refused = env.run(&format!("restore {name}")).expect(1).stderr;
        assert!(refused.contains(words), "{name}: {refused}");
        let tables = "select count(*) from pg_tables where schemaname = 'public' and tablename = 'tenants'";
        let tables: i64 = env.sql().query_one(tables, &[]).unwrap().get(0);
        assert_eq!(tables, 0, "{name}");
    };
    env.write("cut", &text[..text.len() / 2]);
    refused(&env, "cut", "it is cut short");
    env.write("edited", &text.replace("ana@example.com", "eve@example.com"));
    refused(&env, "edited", "its bytes are not those that were written");
    env.write("forged", &ended(&text.replace("ana@example.com", "eve@example.com"), &text));
    refused(&env, "forged", "this backup was changed by somebody without its key");
    env.write("later", &text.replacen("\"format_version\":1", "\"format_version\":2", 1));
    refused(&env, "later", "it has format version 2, and this program reads 1");
    env.write("early", &ended(&text.replacen("\"schema\":", "\"schema\":-", 1), &text));
    refused(&env, "early", "as the version of its tables, which is none");
    env.write("slug", &ended(&text.replacen("\"slug\":\"acme\"", "\"slug\":\"../acme\"", 1), &text));
    refused(&env, "slug", "holds a tenant that is none");
    env.write("other.yaml", "version: 1\n");
    refused(&env, "other.yaml", "this is no backup that can be restored");
    env.set("RECONCILE_SECRET_KEY", "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMzQ=");
    refused(&env, "pbx.reconcile", "the given key does not open this backup");
    env.unset("RECONCILE_SECRET_KEY");
    // The generated files here are another directory's.
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let files = fs::read_to_string(&path).unwrap();
    let head = files.lines().find(|line| line.starts_with("; directory ")).unwrap();
    fs::write(&path, files.replace(head, "; directory 00000000-0000-0000-0000-000000000007")).unwrap();
    refused(&env, "pbx.reconcile", "was written from another database than this backup");
    fs::write(&path, files).unwrap();
    env.run("restore pbx.reconcile").expect(0);
}

#[test]
fn a_backup_without_a_key_for_every_secret_is_none() {
    let mut env = office();
    let other = "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleTE=";
    env.set("RECONCILE_SECRET_KEY", &format!("{other},{KEY}"));
    env.write("pbx.yaml", &desired(&[ANA, BO, "email: cy@example.com, name: Cy"]));
    env.run("sync --allow boxes=2").expect(0);
    env.set("RECONCILE_SECRET_KEY", other);
    let refused = env.run("backup pbx.reconcile").expect(1).stderr;
    assert!(refused.contains("which is not given: this would be no backup"), "{refused}");
    assert!(!env.path("work/pbx.reconcile").exists());
}

/// Writes the last line anew, as somebody without the key can.
fn ended(changed: &str, text: &str) -> String {
    use sha2::{Digest, Sha256};
    let (body, _) = changed.trim_end().rsplit_once('\n').unwrap();
    let (_, end) = text.trim_end().rsplit_once('\n').unwrap();
    let mut end: serde_json::Value = serde_json::from_str(end).unwrap();
    let hash = Sha256::digest(format!("{body}\n"));
    let hash: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    end["end"]["sha256"] = hash.concat().into();
    format!("{body}\n{end}\n")
}

/// Without a database of its own there is nothing to create, and the key moves into the state folder.
#[test]
fn a_private_database_is_restored_with_its_key() {
    let mut env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    env.run("backup pbx.reconcile").expect(0);
    let state = env.path("state");
    let key = fs::read_to_string(state.join("secret.key")).unwrap();
    let shown = env.run("secret show ana@example.com").expect(0).stdout;
    env.set("RECONCILE_STATE_DIR", env.path("other").to_str().unwrap());
    // The first try without the key makes one.
    let refused = env.run("restore pbx.reconcile").expect(1).stderr;
    assert!(
        refused.contains("hint: give its own key in RECONCILE_SECRET_KEY or RECONCILE_SECRET_KEY_FILE"),
        "{refused}"
    );
    env.set("RECONCILE_SECRET_KEY_FILE", state.join("secret.key").to_str().unwrap());
    env.run("restore pbx.reconcile").expect(0);
    env.unset("RECONCILE_SECRET_KEY_FILE");
    assert_eq!(fs::read_to_string(env.path("other/secret.key")).unwrap(), key);
    assert_eq!(env.run("secret show ana@example.com").expect(0).stdout, shown);
    env.run("apply --no-reload").expect(0);
}

/// Each table must be in the backup, or be left out on purpose.
#[test]
fn every_table_is_backed_up() {
    let env = office();
    env.run("backup pbx.reconcile").expect(0);
    let source = fs::read_to_string("src/directory/bundle.rs").unwrap();
    let rows = env.sql().query("select tablename::text from pg_tables where schemaname = 'public' order by 1", &[]);
    for row in rows.unwrap() {
        let table: String = row.get(0);
        assert!(table == "refinery_schema_history" || source.contains(&format!("\"{table}\",")), "{table}");
    }
}

#[test]
fn what_is_older_than_the_retention_is_forgotten() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[BO]));
    env.run("sync").expect(0);
    let age = |env: &TestEnv| {
        env.sql()
            .batch_execute(
                "update apply_audit_log set started_at = now() - interval '91 days';
                 update former_secrets set left_at = now() - interval '91 days';
                 update desired_states set stored_at = now() - interval '91 days';
                 insert into calls (call_sid, tenant, first_event_at, status, asked_at)
                 values ('old', 'acme', now() - interval '91 days', 'completed', '{}'),
                        ('new', 'acme', now(), 'completed', '{}') on conflict do nothing;",
            )
            .unwrap();
    };
    let count = |env: &TestEnv, table: &str| -> i64 {
        env.sql().query_one(&format!("select count(*) from {table}"), &[]).unwrap().get(0)
    };
    age(&env);
    env.set("RECONCILE_RETENTION", "forever");
    env.run("sync").expect(0);
    assert_eq!((count(&env, "calls"), count(&env, "former_secrets"), count(&env, "desired_states")), (2, 1, 2));
    env.unset("RECONCILE_RETENTION");
    env.run("sync").expect(0);
    // The last run keeps what the file says.
    assert_eq!((count(&env, "calls"), count(&env, "former_secrets"), count(&env, "desired_states")), (1, 0, 1));
    assert_eq!(count(&env, "apply_audit_log where diff <> ''"), 0);
    assert_eq!(count(&env, "apply_audit_log"), 4);
    let gone = env.run("rollback 1 --no-asterisk").expect(1).stderr;
    assert!(gone.contains("what the file said at run 1 is not kept"), "{gone}");
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("+ ana@example.com") && plan.contains("new secret: the phone must be given it"), "{plan}");
    env.run("sync --retention 0d").expect(64);
}

#[test]
fn a_tenant_is_removed_with_all_that_is_recorded_about_it() {
    let env = TestEnv::with_asterisk();
    env.write("other.yaml", "version: 1\ntenant: globex\nextensions: { range: 2000-2999 }\nusers: [ { email: cy@example.com, name: Cy } ]\n");
    env.run("apply -f other.yaml").expect(0);
    let many: Vec<String> = (0..8).map(|n| format!("email: u{n}@example.com, name: U")).collect();
    env.write("pbx.yaml", &desired(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("apply").expect(0);
    env.run("token new portal --scope read").expect(0);
    let stopped = env.run("tenant remove acme").expect(3).stderr;
    assert!(stopped.contains("error[rail-deletes]"), "{stopped}");
    let outcome = env.run("tenant remove acme --allow deletes=8").expect(0);
    let words = "Removed: the files of `acme` on this host are stubs, and nothing is recorded about it any more.\n";
    assert!(outcome.stdout.ends_with(words), "{}", outcome.text());
    assert!(!env.endpoints("acme").contains("@example.com") && env.endpoints("globex").contains("cy@example.com"));
    assert!(env.ask("pjsip show endpoint 1000").contains("Unable to find object 1000"));
    let dump = env.dump();
    assert!(!dump.contains("u0@example.com") && dump.contains("cy@example.com"), "{dump}");
    assert_eq!(dump.matches("acme").count(), 0, "{dump}");
    env.run("status -f other.yaml --detailed-exitcode").expect(0);
    // Its phones do not come back from the files that were kept.
    let nothing = env.run("put-back --tenant acme").expect(1).stderr;
    assert!(nothing.contains("none are kept from before"), "{nothing}");
    assert!(env.ask("pjsip show endpoint 1000").contains("Unable to find object 1000"));
    let none = env.run("tenant remove acme").expect(1).stderr;
    assert!(none.starts_with("error: tenant `acme` is not recorded\n"), "{none}");
}

#[test]
fn rows_stay_until_each_host_has_ended_the_tenant() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let other = env.another_host("pbx-two");
    other.write("pbx.yaml", &desired(&[ANA]));
    other.run("apply").expect(0);
    let outcome = env.run("tenant remove acme").expect(0);
    let words = "Ended on this host. The rows of `acme` stay until the same command has run on: pbx-two\n";
    assert!(outcome.stdout.ends_with(words), "{}", outcome.text());
    assert!(env.run("history --tenant acme").expect(0).stdout.contains("pbx-two"));
    let outcome = other.run("tenant remove acme").expect(0);
    assert!(outcome.stdout.contains("\nRemoved: the files of `acme` on this host are stubs"), "{}", outcome.text());
    assert!(!env.dump().contains("acme"));
}
