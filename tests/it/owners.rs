//! Internal numbers belong to users and to objects alike: one rule gives, keeps, holds and frees them.

use std::thread;

use super::{
    portal::{Desk, new, pinned},
    support::TestEnv,
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// A company with these users, and a group with this number.
fn company(users: &[&str], group: Option<&str>, hold: &str) -> String {
    let users: Vec<String> = users.iter().map(|user| format!("  - {{ {user} }}\n")).collect();
    let users = users.concat();
    let group = group.map(|number| {
        format!(
            "public_sip_host: sip.example.com\ninbound: [{{ to: \"+15559876543\", route: [sales] }}]\n\
             groups: {{ sales: {{ members: [ana@example.com], extension: {number} }} }}\n"
        )
    });
    format!(
        "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999, hold: {hold} }}\nusers:\n{users}{}",
        group.unwrap_or_default()
    )
}

/// Who has which number, or had it.
fn numbers(env: &TestEnv) -> Vec<String> {
    let rows = env.sql().query(
        "select number || ' ' || coalesce(u.email, o.kind || ' ' || o.name, 'held for ' || held_for)
         from extensions e left join users u on u.id = e.user_id left join objects o on o.id = e.object_id order by 1",
        &[],
    );
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_number_passes_between_a_user_and_a_group_in_one_plan() {
    for hold in ["0d", "30d"] {
        let env = TestEnv::new();
        let ana = |number: u32| format!("{ANA}, extension: {number}");
        let apply = |file: String| {
            env.write("pbx.yaml", &file);
            let plan = env.run("plan --no-asterisk").expect(0).stdout;
            env.run("apply --no-reload").expect(0);
            env.run("plan --no-asterisk --detailed-exitcode").expect(0);
            plan
        };
        let plan = apply(company(&[&ana(1000)], Some("1500"), hold));
        assert!(plan.contains("+ group sales") && plan.contains("extension 1500; members ana@example.com"), "{plan}");
        assert_eq!(numbers(&env), ["1000 ana@example.com", "1500 group sales"]);
        // They swap.
        let plan = apply(company(&[&ana(1500)], Some("1000"), hold));
        assert!(plan.contains("~ group sales") && plan.contains("extension 1500 -> 1000"), "{plan}");
        let noted = "note: extension 1500 goes to ana@example.com; it belonged to group sales until now, ";
        assert!(plan.contains(noted), "{plan}");
        let noted = "note: extension 1000 goes to group sales; it belonged to ana@example.com until now, ";
        assert!(plan.contains(noted), "{plan}");
        assert_eq!(numbers(&env), ["1000 group sales", "1500 ana@example.com"]);
        let plan = apply(company(&[&ana(1500)], Some("1700"), hold));
        assert!(plan.contains("~ group sales") && !plan.contains("public number"), "as before for outside: {plan}");
        assert_eq!(numbers(&env).last().unwrap(), "1700 group sales");
        apply(company(&[&ana(1500)], Some("1000"), hold));
        // A user takes it from a group that goes, and the group takes it back from a user who goes.
        apply(company(&[&ana(1000)], None, hold));
        assert_eq!(numbers(&env)[0], "1000 ana@example.com");
        assert_eq!(numbers(&env).contains(&"1500 held for ana@example.com".to_owned()), hold == "30d");
        env.write("pbx.yaml", &company(&[BO], Some("1000"), hold).replace("[ana@", "[bo@"));
        env.run("apply --no-reload").expect(0);
        assert!(numbers(&env).contains(&"1000 group sales".to_owned()), "{:?}", numbers(&env));
    }
}

#[test]
fn the_number_of_a_group_is_given_to_no_user() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &company(&[ANA], Some("auto"), "0d"));
    env.run("apply --no-reload").expect(0);
    assert_eq!(numbers(&env), ["1000 ana@example.com", "1001 group sales"], "the lowest free one");
    let mut desk = Desk::new(&env, "acme");
    assert_eq!(desk.number(pinned("eve@example.com", 1001)).unwrap_err().to_string(), "the extension 1001 is taken");
    assert_eq!(desk.number(new("eve@example.com")), Ok(1002));
    let pins = format!("{BO}, extension: 1001");
    env.write("pbx.yaml", &company(&[ANA, &pins], Some("auto"), "0d"));
    let plan = env.run("plan --no-asterisk").expect(1);
    assert!(plan.stderr.contains("error[pin-taken]: 1001 belongs to the group `sales`"), "{}", plan.text());
    env.write("pbx.yaml", &company(&[ANA, &pins], Some("1001"), "0d"));
    let check = env.run("check").expect(65).stderr;
    assert!(check.contains("error[duplicate-pin]: `bo@example.com` has the number 1001 already"), "{check}");
    env.write("pbx.yaml", &company(&[ANA, BO], Some("auto"), "0d"));
    env.run("apply --no-reload").expect(0);
    assert!(numbers(&env).contains(&"1001 group sales".to_owned()), "it keeps its number");
    assert!(numbers(&env).contains(&"1003 bo@example.com".to_owned()), "{:?}", numbers(&env));
    let status = env.run("status --no-asterisk --format json").expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["numbers"]["in_use"], &status["numbers"]["free"]), (&4.into(), &996.into()), "{status}");
}

#[test]
fn a_freed_number_of_a_group_is_held_for_it() {
    let env = TestEnv::new();
    let apply = |users: &[&str], group: Option<&str>| {
        env.write("pbx.yaml", &company(users, group, "30d"));
        env.run("apply --no-reload").expect(0);
    };
    apply(&[ANA], Some("auto"));
    apply(&[ANA], None);
    assert_eq!(numbers(&env), ["1000 ana@example.com", "1001 held for group sales"]);
    apply(&[ANA, BO], None);
    assert_eq!(Desk::new(&env, "acme").number(new("eve@example.com")), Ok(1003));
    apply(&[ANA, BO], Some("auto"));
    assert_eq!(
        numbers(&env),
        ["1000 ana@example.com", "1001 group sales", "1002 bo@example.com", "1003 eve@example.com"]
    );
    // A pin ends a hold.
    apply(&[ANA, BO], None);
    let pins = format!("{BO}, extension: 1001");
    env.write("pbx.yaml", &company(&[ANA, &pins], None, "30d"));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("bo@example.com: 1001 was held for the group `sales`; the pin takes it over"), "{plan}");
}

/// The document of the group still named the number, and another owner could get it meanwhile.
#[test]
fn a_number_whose_row_was_deleted_by_hand_is_given_again_by_the_next_apply() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &company(&[ANA], Some("auto"), "0d"));
    env.run("apply --no-reload").expect(0);
    env.sql().execute("delete from extensions where object_id is not null", &[]).unwrap();
    assert_eq!(Desk::new(&env, "acme").number(new("eve@example.com")), Ok(1001));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("extension auto -> 1002"), "{plan}");
    env.run("apply --no-reload").expect(0);
    assert_eq!(numbers(&env), ["1000 ana@example.com", "1001 eve@example.com", "1002 group sales"]);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}

#[test]
fn groups_get_numbers_while_the_portal_makes_users() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &company(&[ANA], None, "0d"));
    env.run("apply --no-reload").expect(0);
    thread::scope(|scope| {
        for n in 0..3 {
            let env = &env;
            scope.spawn(move || {
                let mut desk = Desk::new(env, "acme");
                for m in 0..15 {
                    let made = desk.create(&[new(&format!("u{n}-{m}@example.com"))]).remove(0).unwrap();
                    if m % 3 == 0 {
                        desk.delete(made.user.id).unwrap();
                    }
                }
            });
        }
        for round in 0..6 {
            env.write("pbx.yaml", &company(&[ANA], (round % 2 == 0).then_some("auto"), "0d"));
            // The number that was shown may be lost to the portal. Then nothing moves.
            while env.run("apply --no-reload").code == 4 {}
        }
    });
    env.write("pbx.yaml", &company(&[ANA], Some("auto"), "0d"));
    env.run("apply --no-reload").expect(0);
    let numbers = numbers(&env);
    assert_eq!(numbers.len(), 1 + 3 * 10 + 1, "{numbers:?}");
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}

#[test]
fn a_plan_reads_the_objects_of_a_schema_in_which_none_has_a_number() {
    let env = TestEnv::new();
    env.go_back_to_schema(10);
    env.sql()
        .batch_execute(
            "insert into tenants (id, slug, settings) values (gen_random_uuid(), 'acme', '{}');
             insert into objects (tenant_id, kind, name, version, body)
             select id, 'group', 'sales', 1, '{\"members\": [{\"number\": \"+491701234567\"}]}' from tenants",
        )
        .unwrap();
    env.write("pbx.yaml", &company(&[ANA], Some("auto"), "0d"));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("~ group sales") && plan.contains("extension (none) -> 1001"), "{plan}");
    env.run("apply --no-reload").expect(0);
    assert_eq!(numbers(&env), ["1000 ana@example.com", "1001 group sales"]);
}
