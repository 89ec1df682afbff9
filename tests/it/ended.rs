//! Phones that end because their users were let go before the apply: by `sync`, as on the second host of a database.

use super::support::{TestEnv, desired};

/// Declares users by address and number, and takes them into rows.
fn declare(env: &TestEnv, users: &[(String, u32)], command: &str) {
    let users: Vec<String> =
        users.iter().map(|(name, pin)| format!("email: {name}@example.com, name: {name}, extension: {pin}")).collect();
    env.write("pbx.yaml", &desired(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run(command).expect(0);
}

fn named(head: &str, from: u32, count: u32) -> Vec<(String, u32)> {
    (0..count).map(|n| (format!("{head}{n}"), from + n)).collect()
}

/// The limit is of the users that there were before.
#[test]
fn what_sync_may_delete_an_apply_may_end() {
    for (users, gone) in [(6, 2), (25, 5)] {
        let env = TestEnv::new();
        declare(&env, &named("u", 1000, users), "apply --no-reload");
        declare(&env, &named("u", 1000, users - gone), "sync");
        env.run("apply --no-reload").expect(0);
    }
}

#[test]
fn a_user_deleted_and_made_again_with_another_number_has_a_phone_that_ends() {
    let env = TestEnv::new();
    declare(&env, &named("u", 1000, 8), "apply --no-reload");
    declare(&env, &[], "sync --allow deletes=8");
    declare(&env, &named("u", 1100, 8), "sync");
    let stopped = env.run("apply --no-reload").expect(3);
    assert!(stopped.stdout.contains("Affected: 8 phones are removed\n"), "{}", stopped.text());
    let rail = "error[rail-deletes]: 8 phones of deleted users would be removed (allowed 4)\n";
    assert!(stopped.stderr.contains(rail), "{}", stopped.text());
    env.run("apply --no-reload --allow deletes=8").expect(0);
}

/// Each of them logs in again, and nobody was deleted.
#[test]
fn a_user_renamed_and_renumbered_by_sync_logs_in_again() {
    let env = TestEnv::new();
    declare(&env, &named("u", 1000, 8), "apply --no-reload");
    let users: Vec<String> = (0..8)
        .map(|n| format!("email: v{n}@example.com, name: V, previously: u{n}@example.com, extension: {}", 1100 + n))
        .collect();
    env.write("pbx.yaml", &desired(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("sync --allow relogins=8").expect(0);
    let applied = env.run("apply --no-reload --allow relogins=8").expect(0).stdout;
    assert!(applied.contains("Affected: 8 phones must log in again\n"), "{applied}");
}
