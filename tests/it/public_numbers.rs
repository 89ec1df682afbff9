//! A public number is one tenant's: nobody could tell whose a call to it is.

use std::thread;

use super::{
    documents,
    support::{Outcome, TestEnv, until},
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
    let told = "error[number-taken]: +15559876543 already belongs to the tenant `acme`\n  --> bolt.yaml:12:5\n";
    assert!(outcome.code == 1 && outcome.stderr.starts_with(told), "{}", outcome.text());
    assert_eq!(outcome.stderr.matches("number-taken").count(), 1, "{}", outcome.text());
    assert!(outcome.stderr.contains("remove it from the file of `acme`, and apply that first; "), "{}", outcome.text());
    let end = "error: no plan can be made; nothing was changed\n";
    assert!(outcome.stdout.is_empty() && outcome.stderr.ends_with(end), "{}", outcome.text());
}

/// Two tenants who have the same number, as an earlier version let them.
fn both_have_it() -> TestEnv {
    let env = two_tenants();
    env.run("apply --no-reload -f acme.yaml").expect(0);
    env.write("bolt.yaml", &file("bolt", &["+15550000002"]));
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    let edits = [
        format!(
            "update applied_routes set applied = replace(applied::text, '+15550000002', '{NUMBER}')::jsonb where tenant = 'bolt'"
        ),
        format!(
            "update objects o set name = replace(name, '+15550000002', '{NUMBER}'),
             body = replace(body::text, '+15550000002', '{NUMBER}')::jsonb
             from tenants t where t.id = o.tenant_id and t.slug = 'bolt'"
        ),
        format!("update public_numbers set number = '{NUMBER}', is_owner = false where tenant = 'bolt'"),
    ];
    for edit in edits {
        assert!(env.sql().execute(&edit, &[]).unwrap() > 0);
    }
    env.write("bolt.yaml", &file("bolt", &[NUMBER]));
    env
}

/// An earlier version let both have it: it stays with the first in the alphabet, and the other one is told. Neither is
/// locked out of its other changes.
#[test]
fn of_two_tenants_with_a_number_one_is_warned_and_neither_has_to_wait() {
    let env = both_have_it();
    for (tenant, other) in [("acme", "bolt"), ("bolt", "acme")] {
        let note = format!(
            "note: {NUMBER} also belongs to the tenant `{other}`, so a call to it is ambiguous: \
             remove it from the file of `{other}`, and apply that first"
        );
        let plan = env.run(&format!("plan --no-asterisk -f {tenant}.yaml")).expect(0);
        assert_eq!(plan.stdout.matches(&note).count(), usize::from(tenant == "bolt"), "{}", plan.text());
        // A phone, and a change of the rules themselves.
        let name = format!("{tenant}.yaml");
        let numbers: &[&str] = if tenant == "acme" { &[NUMBER, "+15550000001"] } else { &[NUMBER] };
        let text = file(tenant, numbers).replace(
            "users: []",
            "endpoint_names: tenant-extension\nusers:\n  - { email: ana@example.com, name: Ana }",
        );
        env.write(&name, &text.replacen("route: [desk]", "route: [desk, ana@example.com]", 1));
        env.run(&format!("apply --no-reload -f {name}")).expect(0);
    }
    // Another number is still refused.
    env.write("bolt.yaml", &file("bolt", &[NUMBER, "+15550000001"]));
    let refused = env.run("apply --no-reload --allow deletes=1 -f bolt.yaml").expect(1).stderr;
    assert!(
        refused.starts_with("error[number-taken]: +15550000001 already belongs to the tenant `acme`\n"),
        "{refused}"
    );
    assert_eq!(refused.matches("number-taken").count(), 1, "{refused}");
}

#[test]
fn of_two_tenants_with_a_number_either_can_give_it_up() {
    let env = both_have_it();
    env.write("bolt.yaml", &file("bolt", &["+15550000002"]));
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    let plan = env.run("plan --no-asterisk -f acme.yaml").expect(0);
    assert!(!plan.stdout.contains("cannot be told"), "{}", plan.text());
    // Who gave it up does not get it back.
    env.write("bolt.yaml", &file("bolt", &[NUMBER]));
    env.run("apply --no-reload -f bolt.yaml").expect(1);
    // What nobody can read of another tenant, as what a later version wrote, is in nobody's way.
    env.sql()
        .execute("update objects set version = 99 where tenant_id = (select id from tenants where slug = 'bolt')", &[])
        .unwrap();
    env.run("plan --no-asterisk -f acme.yaml").expect(0);
}

/// Who owns the number, and who else has it.
fn owners(env: &TestEnv) -> Vec<(String, bool)> {
    let rows = env
        .sql()
        .query("select tenant, is_owner from public_numbers where number = $1 order by tenant", &[&NUMBER])
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// A third tenant could take it before the second one's next apply.
#[test]
fn of_two_tenants_with_a_number_the_second_gets_it_once_the_first_gives_it_up() {
    let env = both_have_it();
    env.write("acme.yaml", &file("acme", &["+15550000001"]));
    env.write("cobb.yaml", &file("cobb", &[NUMBER]));
    // What is only recorded reaches no caller yet: the number is still that of the first one.
    env.run("sync -f acme.yaml").expect(0);
    let refused = |other: &str| {
        for command in ["sync", "apply --no-reload"] {
            let outcome = env.run(&format!("{command} -f cobb.yaml")).expect(1);
            let told = format!("error[number-taken]: {NUMBER} already belongs to the tenant `{other}`\n");
            assert!(outcome.stderr.starts_with(&told), "{}", outcome.text());
        }
    };
    refused("acme");
    env.run("apply --no-reload -f acme.yaml").expect(0);
    assert_eq!(owners(&env), [("bolt".to_owned(), true)]);
    refused("bolt");
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    assert_eq!(owners(&env), [("bolt".to_owned(), true)]);
    env.write("bolt.yaml", &file("bolt", &[]));
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    env.run("apply --no-reload -f cobb.yaml").expect(0);
    assert_eq!(owners(&env), [("cobb".to_owned(), true)]);
}

/// The one that does not own it may give it up first, and gets nothing back.
#[test]
fn of_two_tenants_with_a_number_the_second_is_forgotten_if_it_gives_it_up_first() {
    let env = both_have_it();
    assert_eq!(owners(&env), [("acme".to_owned(), true), ("bolt".to_owned(), false)]);
    env.write("bolt.yaml", &file("bolt", &["+15550000002"]));
    env.run("apply --no-reload -f bolt.yaml").expect(0);
    assert_eq!(owners(&env), [("acme".to_owned(), true)]);
    env.write("acme.yaml", &file("acme", &[]));
    env.run("apply --no-reload -f acme.yaml --allow public-numbers=2").expect(0);
    assert_eq!(owners(&env), []);
}

#[test]
fn of_two_tenants_with_a_number_in_an_earlier_database_both_are_remembered() {
    let env = documents::recorded();
    let routes = format!(r#"{{"rules": [{{"to": {{"did": "{NUMBER}"}}, "route": ["hangup"]}}]}}"#);
    for tenant in ["zeta", "bolt"] {
        let insert = "insert into tenants (id, slug, settings, routes)
                      values (gen_random_uuid(), $1, '{}', $2::text::jsonb)";
        env.sql().execute(insert, &[&tenant, &routes]).unwrap();
    }
    env.run("migrate").expect(0);
    let others = ["bolt", "zeta"].map(|tenant| (tenant.to_owned(), false));
    assert_eq!(owners(&env), [vec![("acme".to_owned(), true)], others.to_vec()].concat());
}

/// On one host the old one's phones have the names of the new one's, so that it ends first.
#[test]
fn a_renamed_tenant_with_phones_on_the_same_host_ends_the_old_one_first() {
    let env = TestEnv::new();
    let with_ana = |tenant: &str| {
        file(tenant, &[NUMBER]).replace("users: []", "users:\n  - { email: ana@example.com, name: Ana }")
    };
    env.write("acme.yaml", &with_ana("acme"));
    env.write("acme2.yaml", &with_ana("acme2"));
    env.run("apply --no-reload -f acme.yaml").expect(0);
    env.run("apply --no-reload -f acme2.yaml").expect(1);
    env.write("acme.yaml", "version: 1\ntenant: acme\nusers: []\n");
    env.run("apply --no-reload --allow deletes=1 -f acme.yaml").expect(0);
    env.run("apply --no-reload -f acme2.yaml").expect(0);
}

/// The second one planned with a number that was free, and waits for the first one's rows.
#[test]
fn of_two_tenants_that_claim_a_number_at_once_one_gets_it() {
    let env = two_tenants();
    env.run("migrate").expect(0);
    let mut sql = env.sql();
    let mut wants = || {
        let count = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                     where l.relation = 'public_numbers'::regclass and l.mode = 'RowExclusiveLock'
                       and d.datname = current_database()";
        until("the number is wanted", || sql.query_one(count, &[]).unwrap().get::<_, i64>(0) > 0);
    };
    thread::scope(|scope| {
        let mut first = env.command(&["apply", "--no-reload", "-f", "acme.yaml"]);
        first.env("RECONCILE_FAIL_POINT", "recording=delay");
        let first = scope.spawn(move || first.output().unwrap());
        wants();
        let second = env.run("sync -f bolt.yaml").expect(1);
        let told = "error: tenant `acme` has just claimed +15559876543; nothing was changed\n\
                    hint: remove it from the file of `acme`, and apply that first; ";
        assert!(second.stderr.starts_with(told), "{}", second.text());
        assert!(env.outcome(first.join().unwrap()).code == 0);
    });
    is_refused(&env.run("sync -f bolt.yaml"));
}
