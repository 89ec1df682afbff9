//! `reconcile plan`: what would change, and why it cannot.

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";

/// The tenant's users with their numbers, as recorded.
fn numbers(env: &TestEnv) -> Vec<(String, i32)> {
    let rows = env.sql().query("select email, number from users join extensions on user_id = users.id order by 1", &[]);
    rows.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn listed(pairs: &[(&str, i32)]) -> Vec<(String, i32)> {
    pairs.iter().map(|(email, number)| ((*email).to_owned(), *number)).collect()
}

#[test]
fn plan_moves_nothing() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Anna"]));
    let (dump, files) = (env.dump(), env.files());
    let outcome = env.run("plan --detailed-exitcode").expect(2);
    assert!(outcome.stdout.contains("unchecked: the running Asterisk: "), "{}", outcome.text());
    assert_eq!(env.dump(), dump);
    assert_eq!(env.files(), files);
}

#[test]
fn a_plan_on_an_empty_database_without_folder_and_asterisk() {
    let mut env = TestEnv::new();
    env.set("ASTERISK_CONFIG_DIR", "/nowhere/at/all");
    env.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo, extension: 1007"]));
    let dump = env.dump();
    let outcome = env.run("plan").expect(0);
    insta::with_settings!({ filters => vec![(r"postgres://\S+", "[url]")] }, {
        insta::assert_snapshot!(outcome.text());
    });
    assert_eq!(env.dump(), dump, "not even a table was made");
}

#[test]
fn a_plan_as_json() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&["email: anna@example.com, name: Anna, previously: ana@example.com", CLEO]));
    insta::assert_snapshot!(env.run("plan --no-asterisk --format json").expect(0).stdout);
}

#[test]
fn the_exit_code_tells_of_changes_only_when_asked() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("plan --no-asterisk").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(2);
    env.run("apply --no-reload").expect(0);
    let outcome = env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    assert!(outcome.stdout.contains("No changes in what was checked."), "{}", outcome.text());
}

#[test]
fn numbers_are_the_lowest_free_and_nobody_is_moved() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[CLEO, BO]));
    env.run("sync").expect(0);
    assert_eq!(numbers(&env), listed(&[("bo@example.com", 1000), ("cleo@example.com", 1001)]));
    env.write("pbx.yaml", &desired(&[CLEO, ANA, BO]));
    env.run("sync").expect(0);
    let all = [("ana@example.com", 1002), ("bo@example.com", 1000), ("cleo@example.com", 1001)];
    assert_eq!(numbers(&env), listed(&all));
    // Removed and added again: the hole is the lowest free number.
    env.write("pbx.yaml", &desired(&[CLEO, ANA]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&["email: dora@example.com, name: Dora", CLEO, ANA]));
    env.run("sync").expect(0);
    let all = [("ana@example.com", 1002), ("cleo@example.com", 1001), ("dora@example.com", 1000)];
    assert_eq!(numbers(&env), listed(&all));
}

#[test]
fn pins_can_be_swapped_in_one_run() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, extension: 1001"), &format!("{BO}, extension: 1002")]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, extension: 1002"), &format!("{BO}, extension: 1001")]));
    let stopped = env.run("sync").expect(3);
    insta::assert_snapshot!(stopped.stderr);
    env.run("sync --allow relogins=2").expect(0);
    assert_eq!(numbers(&env), listed(&[("ana@example.com", 1002), ("bo@example.com", 1001)]));
}

#[test]
fn an_address_can_pass_from_one_renamed_user_to_another() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    // Ana becomes Anna, and a new Ana comes: she gets a number of her own.
    env.write("pbx.yaml", &desired(&["email: anna@example.com, name: Anna, previously: ana@example.com", BO]));
    env.run("sync").expect(0);
    env.write(
        "pbx.yaml",
        &desired(&["email: anna@example.com, name: Anna", BO, "email: ana@example.com, name: Ana the Second"]),
    );
    env.run("sync").expect(0);
    let all = [("ana@example.com", 1002), ("anna@example.com", 1000), ("bo@example.com", 1001)];
    assert_eq!(numbers(&env), listed(&all));
}

#[test]
fn a_renamed_user_keeps_row_number_and_secret() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    let before = env.run("secret show ana@example.com").expect(0).stdout;
    env.write("pbx.yaml", &desired(&["email: anna@example.com, name: Anna, previously: ana@example.com"]));
    let outcome = env.run("sync").expect(0);
    assert!(
        outcome.stdout.contains("> anna@example.com  was ana@example.com; keeps extension 1000"),
        "{}",
        outcome.text()
    );
    let after = env.run("secret show anna@example.com").expect(0).stdout;
    assert_eq!(before.replace("ana@", "anna@"), after);
    env.run("plan --no-asterisk").expect(0);
    // The line may stay.
    assert!(env.run("sync").expect(0).stdout.contains("0 to rename") || env.run("sync").stdout.contains("Recorded"));
}

#[test]
fn a_rename_onto_a_recorded_user_is_refused() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo, previously: ana@example.com"]));
    insta::assert_snapshot!(env.run("plan --no-asterisk").expect(1).stderr);
}

#[test]
fn a_pin_on_somebody_elses_number_is_refused() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo, extension: 1000"]));
    insta::assert_snapshot!(env.run("sync").expect(1).stderr);
    assert_eq!(numbers(&env), listed(&[("ana@example.com", 1000)]));
}

#[test]
fn an_exhausted_range_says_how_many_are_missing() {
    let env = TestEnv::new();
    let text =
        desired(&[ANA, BO, CLEO]).replace("users:", "extensions: { range: 1000-1002, reserved: [1001] }\nusers:");
    env.write("pbx.yaml", &text);
    insta::assert_snapshot!(env.run("sync").expect(1).stderr);
    assert!(env.sql().query("select 1 from users", &[]).unwrap().is_empty());
}

#[test]
fn a_reserved_number_is_only_given_by_a_pin() {
    let env = TestEnv::new();
    let settings = "extensions: { reserved: [1000, 1002] }\nusers:";
    env.write("pbx.yaml", &desired(&[ANA, &format!("{BO}, extension: 1002")]).replace("users:", settings));
    env.run("sync").expect(0);
    assert_eq!(numbers(&env), listed(&[("ana@example.com", 1001), ("bo@example.com", 1002)]));
}

#[test]
fn a_number_on_hold_goes_back_to_its_former_user_only() {
    let env = TestEnv::new();
    let settings = "extensions: { hold: 30d }\nusers:";
    let write = |users: &[&str]| env.write("pbx.yaml", &desired(users).replace("users:", settings));
    write(&[ANA, BO]);
    env.run("sync").expect(0);
    write(&[BO]);
    env.run("sync").expect(0);
    write(&[BO, CLEO]);
    env.run("sync").expect(0);
    assert_eq!(numbers(&env), listed(&[("bo@example.com", 1001), ("cleo@example.com", 1002)]));
    write(&[ANA, BO, CLEO]);
    let outcome = env.run("sync").expect(0);
    assert!(outcome.stdout.contains("extension 1000 (held since it was freed)"), "{}", outcome.text());
    // After its time the number is anybody's.
    write(&[BO, CLEO]);
    env.run("sync").expect(0);
    env.sql()
        .execute("update extensions set freed_at = freed_at - interval '31 days' where user_id is null", &[])
        .unwrap();
    write(&[BO, CLEO, "email: dora@example.com, name: Dora"]);
    env.run("sync").expect(0);
    assert!(numbers(&env).contains(&("dora@example.com".to_owned(), 1000)));
}

/// A pin that moves somebody leaves a number behind, and that one is on hold, too.
#[test]
fn a_number_left_for_a_pin_is_on_hold() {
    let env = TestEnv::new();
    let settings = "extensions: { hold: 30d }\nusers:";
    let write = |users: &[&str]| env.write("pbx.yaml", &desired(users).replace("users:", settings));
    write(&[ANA]);
    env.run("sync").expect(0);
    write(&[&format!("{ANA}, extension: 1010"), BO]);
    env.run("sync").expect(0);
    assert_eq!(numbers(&env), listed(&[("ana@example.com", 1010), ("bo@example.com", 1001)]));
    write(&[&format!("{ANA}, extension: 1010"), BO, &format!("{CLEO}, extension: 1000")]);
    let outcome = env.run("sync").expect(0);
    let note = "note: cleo@example.com: 1000 was on hold for `ana@example.com`; the pin ends that\n";
    assert!(outcome.stdout.contains(note), "{}", outcome.text());
}

#[test]
fn too_many_deletions_are_stopped_by_a_rail() {
    let env = TestEnv::new();
    let users: Vec<String> = (0..61).map(|n| format!("email: u{n}@example.com, name: User {n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    env.write("pbx.yaml", &desired(&users));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&users[..4]));
    let outcome = env.run("sync").expect(3);
    assert_eq!(
        outcome.stderr,
        "error[rail-deletes]: 57 of 61 users would be deleted (allowed 5)\nhint: if this is meant: --allow deletes=57\n"
    );
    assert_eq!(numbers(&env).len(), 61);
    env.run("sync --allow deletes=56").expect(3);
    env.run("sync --allow deletes=57").expect(0);
    assert_eq!(numbers(&env).len(), 4);
}

#[test]
fn a_protected_user_is_neither_deleted_nor_renumbered_until_that_was_applied() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, protected: true"), BO]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[BO]));
    insta::assert_snapshot!(env.run("sync").expect(3).stderr);
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, protected: false, extension: 1500"), BO]));
    env.run("sync").expect(3);
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, protected: false"), BO]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[BO]));
    env.run("sync").expect(0);
}

#[test]
fn the_id_depends_on_what_happens_and_not_on_where() {
    let id = |env: &TestEnv, args: &str| -> String {
        let document: serde_json::Value = serde_json::from_str(&env.run(args).expect(0).stdout).unwrap();
        document["id"].as_str().unwrap().to_owned()
    };
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO, CLEO]));
    env.write("shuffled.yaml", &format!("# a comment\n{}", desired(&[CLEO, ANA, BO])));
    env.write("split/a.yaml", &desired(&[CLEO]));
    env.write("split/b.yaml", &format!("users:\n  - {{ {ANA} }}\n  - {{ {BO} }}\n"));
    env.write("other.yaml", &desired(&[ANA, BO]));
    let here = id(&env, "plan --format json");
    for file in ["shuffled.yaml", "split"] {
        assert_eq!(id(&env, &format!("plan --no-asterisk --format json -f {file}")), here, "{file}");
    }
    assert_ne!(id(&env, "plan --format json -f other.yaml"), here);
    // A machine without folder, Asterisk and state computes the same.
    let mut elsewhere = TestEnv::new();
    elsewhere.database.clone_from(&env.database);
    elsewhere.set("ASTERISK_CONFIG_DIR", "/nowhere");
    elsewhere.write("pbx.yaml", &desired(&[BO, ANA, CLEO]));
    assert_eq!(id(&elsewhere, "plan --format json"), here);
    // What a file says of a user is in it, though no number differs.
    for keys in ["protected: true", "secret: { env: ANA_SECRET }", "extension: 1000"] {
        env.write("said.yaml", &desired(&[&format!("{ANA}, {keys}"), BO, CLEO]));
        let mut command = env.command(&["plan", "--no-asterisk", "--format", "json", "-f", "said.yaml"]);
        let output = command.env("ANA_SECRET", "a-secret-of-hers").output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_ne!(document["id"].as_str().unwrap(), here, "{keys}");
    }
    env.run(&format!("apply --no-reload --expect {here}")).expect(0);
    assert_ne!(id(&env, "plan --no-asterisk --format json"), here, "what happened does not happen again");
}

#[test]
fn a_stale_plan_is_not_applied() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.write("plan.json", &env.run("plan --no-asterisk --format json").expect(0).stdout);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let outcome = env.run("apply --no-reload --expect plan.json").expect(4);
    insta::assert_snapshot!(outcome.stderr);
    assert!(env.sql().query("select 1 from users", &[]).unwrap().is_empty());
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload --expect plan.json").expect(0);
}

#[test]
fn a_secret_that_cannot_be_read_gives_no_id_and_no_apply() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, &format!("{BO}, secret: {{ env: BO_SIP_SECRET }}")]));
    let outcome = env.run("plan --no-asterisk").expect(0);
    assert!(
        outcome.stdout.contains("unchecked: bo@example.com: the variable BO_SIP_SECRET is not set (pbx.yaml:5)\n"),
        "{}",
        outcome.text()
    );
    assert!(outcome.stdout.ends_with("This plan has no id: a declared secret or number cannot be read here.\n"));
    insta::assert_snapshot!(env.run("sync").expect(1).stderr);
    env.set("BO_SIP_SECRET", "canary-of-bo");
    let outcome = env.run("sync").expect(0);
    assert!(!outcome.text().contains("canary"));
    let shown = env.run("secret show bo@example.com").expect(0).stdout;
    assert!(shown.ends_with("secret    canary-of-bo\n"), "{shown}");
    // Another value shows as a change; the same one does not.
    assert!(env.run("plan --no-asterisk --format json").stdout.contains("\"users\": []"));
    env.set("BO_SIP_SECRET", "another-canary");
    let outcome = env.run("plan --no-asterisk").expect(0);
    assert!(
        outcome.stdout.contains("~ bo@example.com  secret changed (phone must log in again)"),
        "{}",
        outcome.text()
    );
    assert!(!outcome.text().contains("canary"));
}

#[test]
fn a_pull_request_cannot_read_the_runners_environment_or_disk() {
    let mut env = TestEnv::new();
    env.set("DEPLOY_TOKEN", "canary-token");
    env.write("secrets/bo", "canary-of-bo\n");
    env.write("outside", "canary-outside\n");
    std::os::unix::fs::symlink("../outside", env.path("work/secrets/link")).unwrap();
    env.set("RECONCILE_SECRETS_DIR", env.path("work/secrets").to_str().unwrap());
    for source in ["env: DEPLOY_TOKEN", "file: link"] {
        env.write("pbx.yaml", &desired(&[&format!("{BO}, secret: {{ {source} }}")]));
        let outcome = env.run("sync").expect(1);
        assert!(!outcome.text().contains("canary"), "{}", outcome.text());
    }
    env.write("pbx.yaml", &desired(&[&format!("{BO}, secret: {{ file: ../outside }}")]));
    env.run("sync").expect(65);
    env.write("pbx.yaml", &desired(&[&format!("{BO}, secret: {{ file: bo }}")]));
    env.run("sync").expect(0);
}

#[test]
fn users_of_the_api_are_left_alone_until_the_file_adopts_them() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    env.sql().execute("update users set managed_by = 'api' where email = 'ana@example.com'", &[]).unwrap();
    env.write("pbx.yaml", &desired(&[BO]));
    let outcome = env.run("sync").expect(0);
    assert!(outcome.stdout.contains("note: 1 user made through the API left alone"), "{}", outcome.text());
    assert_eq!(numbers(&env).len(), 2);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let outcome = env.run("sync").expect(0);
    let words =
        "& ana@example.com  adopted from the API, keeps extension 1000; removing the line later deletes the user";
    assert!(outcome.stdout.contains(words), "{}", outcome.text());
}

/// A pull request can loosen the rails that shall stop it: whoever reviews the plan must see that.
#[test]
fn rails_that_the_file_loosens_are_noted_in_every_form() {
    let env = TestEnv::new();
    let rails = "rails: { deletes: { max: 10000, percent: 100 }, relogins: { max: 3 } }\nusers:";
    env.write("pbx.yaml", &desired(&[ANA]).replace("users:", rails));
    let note = "rails.deletes is max 10000, 100 %: looser than the default of 5, 20 %";
    let plan = |format: &str| env.run(&format!("plan --no-asterisk --format {format}")).expect(0).stdout;
    assert!(plan("text").contains(&format!("\nnote: {note}\n")), "{}", plan("text"));
    let json: serde_json::Value = serde_json::from_str(&plan("json")).unwrap();
    assert_eq!(json["notes"][0], note);
    assert!(!json.to_string().contains("rails.relogins"), "{json}");
    assert!(plan("markdown").contains(note), "{}", plan("markdown"));
    // As long as they stand there, with nothing else to do, too.
    env.run("sync").expect(0);
    assert!(plan("text").contains(note), "{}", plan("text"));
}
