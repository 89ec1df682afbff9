//! Renames that the file does not declare: a plan offers the line to write.

use super::support::{TestEnv, desired};

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
    let note = "note: ana.silva@example.com is created and ana.costa@example.com is deleted, and the deleted user once had the address of the new one: if this is one person, write `previously: ana.costa@example.com` below \
                `email: ana.silva@example.com`, which keeps extension 1000 and the secret\n";
    assert_eq!(plan.matches(note).count(), 1, "{plan}");
    // As the note says.
    env.write("pbx.yaml", &desired(&[&format!("{before}, previously: ana.costa@example.com"), bo]));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("was ana.costa@example.com; keeps extension 1000"), "{plan}");
    assert!(!plan.contains("if this is one person"), "{plan}");
    env.run("sync").expect(0);
}
