//! A public number is one tenant's: nobody could tell whose a call to it is.

use std::thread;

use super::{
    phones::until,
    support::{Outcome, TestEnv},
};

const NUMBER: &str = "+15559876543";

/// What a tenant declares who has these numbers, each for two kinds of callers.
fn file(tenant: &str, numbers: &[&str]) -> String {
    let rule = |number: &&str| {
        format!(
            "  - to: \"{number}\"\n    route: [desk]\n  - to: \"{number}\"\n    from: [withheld]\n    route: [hangup]\n"
        )
    };
    let rules: String = numbers.iter().map(rule).collect();
    let inbound = if rules.is_empty() { String::new() } else { format!("inbound:\n{rules}") };
    format!(
        "version: 1\ntenant: {tenant}\nusers: []\ndialers:\n  desk: {{ number: \"+4930555001\" }}\n{inbound}default_route: [desk]\n"
    )
}

/// Two tenants of one database, the first of which has the number.
fn two_tenants() -> TestEnv {
    let env = TestEnv::new();
    env.write("acme.yaml", &file("acme", &[NUMBER, "+15550000001"]));
    env.write("bolt.yaml", &file("bolt", &["+15550000002", NUMBER]));
    env
}

/// Fails unless the number was refused as that of `acme`.
#[track_caller]
fn is_refused(outcome: &Outcome) {
    let told = "error[number-taken]: +15559876543 is a number of the tenant `acme`\n  --> bolt.yaml:12:5\n";
    assert!(outcome.code == 1 && outcome.stderr.starts_with(told), "{}", outcome.text());
    assert_eq!(outcome.stderr.matches("number-taken").count(), 1, "{}", outcome.text());
    assert!(outcome.stderr.contains("remove it from the file of `acme`, and apply that first\n"), "{}", outcome.text());
    let end = "error: no plan can be made; nothing was changed\n";
    assert!(outcome.stdout.is_empty() && outcome.stderr.ends_with(end), "{}", outcome.text());
}

#[test]
fn a_number_that_another_tenant_has_is_refused_before_anything_moves() {
    let env = two_tenants();
    env.run("apply --no-reload -f acme.yaml").expect(0);
    let before = (env.dump(), env.files());
    for command in ["plan", "plan --format json", "plan --no-asterisk", "sync", "apply --no-reload"] {
        is_refused(&env.run(&format!("{command} -f bolt.yaml")));
    }
    assert!((env.dump(), env.files()) == before, "something moved");
    // Its owner has it, and others may have other numbers and the same dialers.
    env.run("apply --no-reload -f acme.yaml").expect(0);
    env.write("bolt.yaml", &file("bolt", &["+15550000002"]));
    env.run("apply --no-reload -f bolt.yaml").expect(0);
}

/// What is recorded comes with the next apply, even one by the API; what was applied, callers reach until then.
#[test]
fn a_number_is_free_once_its_owner_applied_without_it() {
    let env = two_tenants();
    env.run("sync -f acme.yaml").expect(0);
    is_refused(&env.run("apply --no-reload -f bolt.yaml"));
    env.run("apply --no-reload -f acme.yaml").expect(0);
    env.write("acme.yaml", &file("acme", &[]));
    env.run("sync -f acme.yaml").expect(0);
    is_refused(&env.run("apply --no-reload -f bolt.yaml"));
    env.run("apply --no-reload -f acme.yaml").expect(0);
    env.run("apply --no-reload -f bolt.yaml").expect(0);
}

/// An earlier version took both: each may still give the number up.
#[test]
fn of_two_who_have_it_either_can_give_it_up() {
    let env = two_tenants();
    env.run("apply --no-reload -f acme.yaml").expect(0);
    env.write("bolt.yaml", &file("bolt", &["+15550000002"]));
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    let both = [("tenants", "routes", "slug"), ("applied_routes", "applied", "tenant")];
    for (table, column, name) in both {
        let edit = format!(
            "update {table} set {column} = replace({column}::text, '+15550000002', '{NUMBER}')::jsonb where {name} = 'bolt'"
        );
        assert_eq!(env.sql().execute(&edit, &[]).unwrap(), 1);
    }
    let refused = env.run("plan --no-asterisk -f acme.yaml").expect(1).stderr;
    assert!(refused.starts_with("error[number-taken]: +15559876543 is a number of the tenant `bolt`\n"), "{refused}");
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    env.run("apply --no-reload -f acme.yaml").expect(0);
    // What nobody can read of another tenant, as what a later version wrote, is in nobody's way.
    env.sql().execute("update tenants set routes = '[7, {\"rules\": 7}]' where slug = 'bolt'", &[]).unwrap();
    env.run("plan --no-asterisk -f acme.yaml").expect(0);
}

/// The second one planned with a number that was free, and waits for the first one's rows.
#[test]
fn of_two_who_want_it_at_once_one_gets_it() {
    let env = two_tenants();
    env.run("migrate").expect(0);
    let mut sql = env.sql();
    let mut waiting = |locks: i64| {
        let count = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                     where l.locktype = 'advisory' and d.datname = current_database()";
        until("the locks are taken", || sql.query_one(count, &[]).unwrap().get::<_, i64>(0) == locks);
    };
    thread::scope(|scope| {
        let mut first = env.command(&["apply", "--no-reload", "-f", "acme.yaml"]);
        first.env("RECONCILE_FAIL_POINT", "recording=delay");
        let first = scope.spawn(move || first.output().unwrap());
        waiting(2);
        let second = env.run("sync -f bolt.yaml").expect(1);
        let told = "error: +15559876543 is a number of the tenant `acme` since just now; nothing was changed\n\
                    hint: remove it from the file of `acme`, and apply that first\n";
        assert_eq!(second.stderr, told);
        assert!(env.outcome(first.join().unwrap()).code == 0);
    });
    is_refused(&env.run("sync -f bolt.yaml"));
}
