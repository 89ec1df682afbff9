//! The way back: the desired state of an earlier run, users who return, the last good files, and generations that were
//! put back.

use std::fs;

use super::{
    sipp::Phone,
    support::{TestEnv, desired},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

fn file(env: &TestEnv) -> String {
    fs::read_to_string(env.path("work/pbx.yaml")).unwrap()
}

#[test]
fn a_deleted_user_comes_back_with_number_and_secret() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let phone = Phone::of(&env, "ana@example.com");
    phone.registers();
    let endpoints = env.endpoints("acme");
    env.write("pbx.yaml", &desired(&[BO]));
    env.run("apply").expect(0);
    phone.is_refused();
    // Somebody else would get the lowest number; who comes back gets the own one.
    let before = file(&env);
    let outcome = env.run("rollback 1 -o back.yaml").expect(0);
    assert_eq!(fs::read_to_string(env.path("work/back.yaml")).unwrap(), desired(&[ANA, BO]));
    let back = "  + ana@example.com  extension 1000 (held from before); secret returned";
    assert!(outcome.stdout.contains(back), "{}", outcome.text());
    let end = "Nothing was changed. To go back, commit `back.yaml` and apply it.\n";
    assert!(outcome.stdout.ends_with(end), "{}", outcome.text());
    assert_eq!((file(&env), env.run("users").stdout.contains("ana@")), (before, false));
    env.run("apply -f back.yaml").expect(0);
    assert_eq!(env.endpoints("acme"), endpoints);
    phone.registers();
    let left: i64 = env.sql().query_one("select count(*) from former_secrets", &[]).unwrap().get(0);
    assert_eq!(left, 0);
}

#[test]
fn without_an_output_the_file_is_the_document() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &(desired(&[ANA]) + "# a remark\n"));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    let outcome = env.run("rollback 1 --no-asterisk").expect(0);
    assert_eq!(outcome.stdout, desired(&[ANA]) + "# a remark\n");
    assert!(outcome.stderr.contains("  - bo@example.com"), "{}", outcome.text());
    // A state is kept once, however often it is applied.
    env.run("sync").expect(0);
    let kept: i64 = env.sql().query_one("select count(*) from desired_states", &[]).unwrap().get(0);
    assert_eq!(kept, 2);
    let nosuch = env.run("rollback 99 --no-asterisk").expect(1).stderr;
    assert_eq!(nosuch, "error: tenant `acme` has no run 99\nhint: `reconcile history` lists its runs\n");
    env.run("secret rotate ana@example.com").expect(0);
    let none = env.run("rollback 4 --no-asterisk").expect(1).stderr;
    assert!(none.starts_with("error: what the file said at run 4 is not kept\nhint: choose another run"), "{none}");
}

#[test]
fn several_files_come_back_as_a_folder() {
    let env = TestEnv::new();
    env.write("phones/a.yaml", "version: 1\ntenant: acme\n");
    env.write("phones/b.yaml", "users:\n  - { email: ana@example.com, name: Ana }\n");
    env.run("sync -f phones").expect(0);
    env.run("rollback 1 --tenant acme --no-asterisk -o back").expect(0);
    for name in ["a.yaml", "b.yaml"] {
        let read = |folder: &str| fs::read_to_string(env.path("work").join(folder).join(name)).unwrap();
        assert_eq!(read("back"), read("phones"), "{name}");
    }
    env.run("check -f back").expect(0);
    // What is there is never written over.
    env.run("rollback 1 --tenant acme --no-asterisk -o back").expect(1);
    // A file that is no longer valid is named as it was applied, and no temporary path is.
    let edited = "update desired_states set files = replace(files::text, 'name: Ana', 'nom: Ana')::jsonb";
    env.sql().execute(edited, &[]).unwrap();
    let refused = env.run("rollback 1 --tenant acme --no-asterisk").expect(65);
    assert!(refused.stderr.contains("--> run 1: phones/b.yaml:2:5"), "{}", refused.text());
}

#[test]
fn files_that_were_put_back_go_live_again_only_on_purpose() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    // A mistake of the operator's own that our reload activates.
    let conf = env.etc("pjsip.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, good.replace("#tryinclude", "[twice]\ntype=aor\n[twice]\ntype=aor\n#tryinclude")).unwrap();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let outcome = env.run("apply").expect(6);
    fs::write(&conf, good).unwrap();
    let rail = "error[rail-bad-generation]: these are the files of run 2, which were put back on this host\n\
                hint: `reconcile history 2` says why; once the cause is gone: reconcile apply --again\n";
    for command in ["apply", "plan --detailed-exitcode"] {
        let stopped = env.run(command).expect(3);
        assert!(stopped.stderr.contains(rail), "{} after {}", stopped.text(), outcome.text());
    }
    // Another generation is not meant.
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bob"]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(3);
    env.run("apply --again").expect(0);
    // Once live, it is a good one.
    env.run("apply").expect(0);
}

/// The night in which neither git nor the database is there.
#[test]
fn the_last_good_files_are_put_back_without_a_database() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let first = env.endpoints("acme");
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let second = env.endpoints("acme");
    let database = env.database.replace("postgres://pbx@127.0.0.1:1/pbx".to_owned());

    // Somebody edited the file: the last good one is the second.
    fs::write(env.etc("pjsip.d/acme/generated_endpoints.conf"), "; gone\n").unwrap();
    let back = env.run("put-back").expect(0);
    assert_eq!(back.stdout, "Put back: the last good files, 1 file written; Asterisk runs them.\n");
    assert_eq!(env.endpoints("acme"), second);

    let none = env.run("put-back").expect(1).stderr;
    assert!(
        none.starts_with("error: the files in place are the last good ones of `acme`, and none are kept"),
        "{none}"
    );
    // The second generation itself is what is wrong.
    env.database.clone_from(&database);
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let third = env.endpoints("acme");
    env.database = Some("postgres://pbx@127.0.0.1:1/pbx".to_owned());
    let back = env.run("put-back --tenant acme").expect(0);
    assert_eq!(back.stdout, "Put back: the files before the last good ones, 1 file written; Asterisk runs them.\n");
    assert_ne!(env.endpoints("acme"), third);
    assert_eq!(env.endpoints("acme"), first);
    assert!(env.ask("pjsip show endpoint 1001").contains("Unable to find object 1001"));
    env.run("put-back").expect(1);

    // The next apply knows what was put away.
    env.database = database;
    let stopped = env.run("apply").expect(3).stderr;
    assert!(stopped.contains("error[rail-bad-generation]: these are the files of run 4, which"), "{stopped}");
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(3);
    env.run("apply --again").expect(0);
}

#[test]
fn an_asterisk_that_does_not_run_stops_a_put_back_before_anything_moves() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let files = env.files();
    env.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    let stopped = env.run("put-back").expect(1).stderr;
    assert!(stopped.contains("cannot run `/nowhere/asterisk`") && stopped.contains("nothing was changed"), "{stopped}");
    assert_eq!(env.files(), files);
    let back = env.run("put-back --no-reload").expect(0).stdout;
    assert_eq!(back, "Put back: the files before the last good ones, 1 file written; Asterisk was not reloaded.\n");
}

/// A key that is retired must not take the secrets of deleted users with it.
#[test]
fn kept_secrets_are_sealed_anew_with_the_others() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    let shown = env.run("secret show ana@example.com").stdout;
    env.write("pbx.yaml", &desired(&[BO]));
    env.run("sync").expect(0);
    let new = "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleTE=";
    let old = super::support::KEY;
    env.set("RECONCILE_SECRET_KEY", &format!("{new},{old}"));
    env.run("secret reseal").expect(0);
    env.unset("RECONCILE_SECRET_KEY");
    env.set("RECONCILE_SECRET_KEY", new);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    assert_eq!(env.run("secret show ana@example.com").stdout, shown);
}
