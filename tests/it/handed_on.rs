//! Addresses and numbers that pass from one person to another, in one plan.

use super::support::{TestEnv, desired};

fn secret(env: &TestEnv, email: &str) -> String {
    let shown = env.run(&format!("secret show {email}")).expect(0).stdout;
    shown.lines().find(|line| line.contains("secret")).unwrap().to_owned()
}

fn users(env: &TestEnv) -> String {
    env.run("users").expect(0).stdout
}

#[test]
fn an_address_that_is_handed_on_leaves_number_and_secret_with_the_person() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: jane@example.com, name: Jane Old"]));
    env.run("apply --no-reload").expect(0);
    let before = secret(&env, "jane@example.com");
    let after = desired(&[
        "email: jane.old@example.com, previously: jane@example.com, name: Jane Old",
        "email: jane@example.com, name: Jane New",
    ]);
    env.write("pbx.yaml", &after);
    env.run("check").expect(0);
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains("> jane.old@example.com  was jane@example.com; keeps extension 1000"), "{plan}");
    assert!(plan.contains("+ jane@example.com      extension 1001 (lowest free)"), "{plan}");
    assert!(
        plan.contains("note: jane@example.com: the user of this address is renamed, so this is a new user"),
        "{plan}"
    );
    assert!(plan.contains("Plan: 1 to create, 0 to update, 1 to rename, 0 to delete;"), "{plan}");
    env.run("apply --no-reload").expect(0);
    let listed = users(&env);
    assert!(
        listed.contains("1000       jane.old@example.com") && listed.contains("1001       jane@example.com"),
        "{listed}"
    );
    assert_eq!(secret(&env, "jane.old@example.com"), before);
    assert_ne!(secret(&env, "jane@example.com"), before);
    // The line may stay, and the new Jane may leave again.
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    env.write("pbx.yaml", &desired(&["email: jane.old@example.com, previously: jane@example.com, name: Jane Old"]));
    env.run("apply --no-reload").expect(0);
    assert_eq!(secret(&env, "jane.old@example.com"), before);
}

#[test]
fn two_people_swap_their_addresses_in_one_plan_and_only_once() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: a@example.com, name: Ana", "email: b@example.com, name: Bo"]));
    env.run("apply --no-reload").expect(0);
    let secrets = [secret(&env, "a@example.com"), secret(&env, "b@example.com")];
    env.write(
        "pbx.yaml",
        &desired(&[
            "email: b@example.com, previously: a@example.com, name: Ana",
            "email: a@example.com, previously: b@example.com, name: Bo",
        ]),
    );
    let planned = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(planned.contains("Plan: 0 to create, 0 to update, 2 to rename, 0 to delete;"), "{planned}");
    env.run("apply --no-reload --allow relogins=0").expect(0);
    for _ in 0..2 {
        let listed = users(&env);
        assert!(listed.contains("1000       b@example.com  file        Ana"), "{listed}");
        assert!(listed.contains("1001       a@example.com  file        Bo"), "{listed}");
        assert_eq!([secret(&env, "b@example.com"), secret(&env, "a@example.com")], secrets);
        env.run("plan --no-asterisk --detailed-exitcode").expect(0);
        env.run("apply --no-reload").expect(0);
    }
}

#[test]
fn a_protected_user_who_hands_an_address_on_stays_protected() {
    let env = TestEnv::new();
    let jane = "email: jane@example.com, name: Jane, protected: true";
    env.write("pbx.yaml", &desired(&[jane]));
    env.run("sync").expect(0);
    env.write(
        "pbx.yaml",
        &desired(&[
            "email: jane.old@example.com, previously: jane@example.com, name: Jane, protected: true, extension: 1005",
            "email: jane@example.com, name: Jane New, extension: 1000",
        ]),
    );
    let stopped = env.run("sync").expect(3).stderr;
    assert!(
        stopped
            .contains("error[rail-protected]: protected users would be deleted or renumbered: `jane.old@example.com`"),
        "{stopped}"
    );
}

#[test]
fn another_address_under_the_same_name_is_offered_as_a_rename() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana Silva", "email: bo@example.com, name: Bo"]));
    env.run("sync").expect(0);
    env.write(
        "pbx.yaml",
        &desired(&["email: ana.silva@example.com, name: Ana Silva", "email: bo@example.com, name: Bo"]),
    );
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    let note = "note: ana.silva@example.com is created and ana@example.com is deleted, and both have the same name: if \
                this is one person, write `previously: ana@example.com` below `email: ana.silva@example.com`, which \
                keeps extension 1000 and the secret\n";
    assert!(plan.contains(note), "{plan}");
    // As the note says.
    let renamed = "email: ana.silva@example.com, previously: ana@example.com, name: Ana Silva";
    env.write("pbx.yaml", &desired(&[renamed, "email: bo@example.com, name: Bo"]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("was ana@example.com; keeps extension 1000") && !plan.contains("same name"), "{plan}");
}

/// After `git revert` of a rename nothing was said if the name changed with the address: the phone got another number.
#[test]
fn the_revert_of_a_rename_is_offered_as_a_rename() {
    let env = TestEnv::new();
    let (before, bo) = ("email: ana.silva@example.com, name: Ana Silva", "email: bo@example.com, name: Bo");
    env.write("pbx.yaml", &desired(&[before, bo]));
    env.run("sync").expect(0);
    let renamed = "email: ana.costa@example.com, previously: ana.silva@example.com, name: Ana Costa";
    env.write("pbx.yaml", &desired(&[renamed, bo]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[before, bo]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    let note = "note: ana.silva@example.com is created and ana.costa@example.com is deleted, and the second one had the \
                first address before: if this is one person, write `previously: ana.costa@example.com` below \
                `email: ana.silva@example.com`, which keeps extension 1000 and the secret\n";
    assert_eq!(plan.matches(note).count(), 1, "{plan}");
    // As the note says.
    env.write("pbx.yaml", &desired(&[&format!("{before}, previously: ana.costa@example.com"), bo]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("was ana.costa@example.com; keeps extension 1000"), "{plan}");
    assert!(!plan.contains("if this is one person"), "{plan}");
    env.run("sync").expect(0);
}

#[test]
fn a_number_that_was_somebody_elses_is_told_for_thirty_days() {
    let env = TestEnv::new();
    let (ana, bo, cy) =
        ("email: ana@example.com, name: Ana", "email: bo@example.com, name: Bo", "email: cy@example.com, name: Cy");
    env.write("pbx.yaml", &desired(&[ana, bo]));
    env.run("sync").expect(0);
    let words = |until: &str| {
        format!(
            "note: extension 1000 goes to cy@example.com and was that of ana@example.com until {until}: callers may still \
             mean them; `hold: 30d` below `extensions` keeps a freed number from others for 30 days\n"
        )
    };
    // In the same plan,
    env.write("pbx.yaml", &desired(&[bo, cy]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains(&words("now")), "{plan}");
    // in a later one,
    env.write("pbx.yaml", &desired(&[bo]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[bo, cy]));
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains(&words(&today)), "{plan}");
    assert!(plan.contains("+ cy@example.com  extension 1000 (lowest free)"), "{plan}");
    // not to the one who had it,
    env.write("pbx.yaml", &desired(&[bo, ana]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("+ ana@example.com  extension 1000") && !plan.contains("note: extension"), "{plan}");
    // and not after thirty days, when it is forgotten as soon as something else is written.
    env.write("pbx.yaml", &desired(&[bo, cy]));
    env.sql().execute("update freed_numbers set freed_at = now() - interval '30 days'", &[]).unwrap();
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(!plan.contains("note: extension"), "{plan}");
    env.write("pbx.yaml", &desired(&[bo, "email: ana@example.com, name: Ana, extension: 1500"]));
    env.run("sync").expect(0);
    assert_eq!(env.sql().query("select from freed_numbers", &[]).unwrap().len(), 0);
}
