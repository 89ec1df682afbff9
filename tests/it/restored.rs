//! A database that was restored from an older dump holds secrets that no phone has any more: the files in
//! place tell, and nothing is logged out before an administrator agrees.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::support::{TestEnv, desired, tool};

const USERS: [&str; 3] =
    ["email: ana@example.com, name: Ana", "email: bo@example.com, name: Bo", "email: cleo@example.com, name: Cleo"];

fn plan(env: &TestEnv, args: &str, code: i32) -> Value {
    serde_json::from_str(&env.run(&format!("plan --format json {args}")).expect(code).stdout).unwrap()
}

/// Three phones whose secrets are newer than the dump that the database is restored from.
fn restored() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply").expect(0);
    let dump = pg_dump(&env);
    for user in ["ana", "bo", "cleo"] {
        env.run(&format!("secret rotate {user}@example.com")).expect(0);
    }
    env.run("apply --allow relogins=3").expect(0);
    env.run("plan --detailed-exitcode").expect(0);
    restore(&env, &dump);
    env
}

fn pg_dump(env: &TestEnv) -> Vec<u8> {
    let url = env.database.as_ref().unwrap();
    let dump = Command::new(tool("RECONCILE_PG_BIN").join("pg_dump")).args(["-Fc", url]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

fn restore(env: &TestEnv, dump: &[u8]) {
    let url = env.database.as_ref().unwrap();
    let mut restore = Command::new(tool("RECONCILE_PG_BIN").join("pg_restore"))
        .args(["--clean", "--if-exists", "--exit-on-error", "-d", url])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut restore.stdin.take().unwrap(), dump).unwrap();
    assert!(restore.wait().unwrap().success());
}

#[test]
fn after_a_restore_the_plan_counts_the_phones_and_the_rail_stops_the_apply() {
    let env = restored();
    let files = env.files();
    let planned = plan(&env, "", 0);
    assert_eq!(planned["counts"]["relogin"], 3);
    assert_eq!(planned["relogins"].as_array().unwrap().len(), 3);
    assert_eq!(planned["rails"][0]["rail"], "relogins");
    let shown = env.run("plan").expect(0);
    let row = "  ~ bo@example.com    extension 1001; Asterisk gets the recorded login (phone must log in again)\n";
    assert!(shown.stdout.contains(row), "{}", shown.text());
    assert!(shown.stdout.contains(", an older dump was restored, or the file was edited\n"), "{}", shown.text());
    let stopped = env.run("apply").expect(3);
    assert_eq!(
        stopped.stderr,
        "error[rail-relogins]: 3 phones would have to log in again (allowed 1)\n\
         hint: if this is intended: --allow relogins=3\n"
    );
    // The id that CI computed passes, and the rail still stops: a green check is no permission.
    let stopped = env.run(&format!("apply --expect {}", planned["id"].as_str().unwrap())).expect(3);
    assert!(stopped.stderr.starts_with("error[rail-relogins]: 3 phones "), "{}", stopped.text());
    assert_eq!(env.files(), files);

    env.run("apply --allow relogins=3").expect(0);
    let done = plan(&env, "--detailed-exitcode", 0);
    assert_eq!((&done["counts"]["relogin"], &done["id"]), (&0.into(), &planned["id"]));
}

#[test]
fn a_runner_says_that_it_did_not_compare_digests_and_computes_the_same_id() {
    let env = restored();
    let mut runner = TestEnv::new();
    runner.database.clone_from(&env.database);
    runner.set("ASTERISK_CONFIG_DIR", "/nowhere/at/all");
    runner.write("pbx.yaml", &desired(&USERS));
    let seen = plan(&runner, "--no-asterisk", 0);
    assert_eq!((&seen["id"], &seen["counts"]["relogin"]), (&plan(&env, "", 0)["id"], &0.into()));
    let unchecked = seen["unchecked"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>();
    assert!(
        unchecked.iter().any(|line| line.contains("the digests in its generated files match the database")),
        "{unchecked:?}"
    );
}

/// What was put back is what phones still log in with.
#[test]
fn a_change_that_was_put_back_is_counted_until_it_is_live() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply").expect(0);
    for user in ["ana", "bo"] {
        env.run(&format!("secret rotate {user}@example.com")).expect(0);
    }
    let conf = env.etc("pjsip.conf");
    let operators = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{operators}\n[twice]\ntype = endpoint\n[twice]\ntype = endpoint\n")).unwrap();
    env.run("apply").expect(3);
    env.run("apply --allow relogins=2").expect(6);
    assert_eq!(plan(&env, "", 0)["counts"]["relogin"], 2);
    std::fs::write(&conf, operators).unwrap();
    env.run("apply").expect(3);
    env.run("apply --again --allow relogins=2").expect(0);
    assert_eq!(plan(&env, "", 0)["counts"]["relogin"], 0);
}

/// Rows move by `sync`, phones by the apply after it: each is told.
#[test]
fn a_recorded_renumbering_is_counted_until_it_is_live() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply").expect(0);
    let moved = USERS.iter().zip(1500..).map(|(user, number)| format!("{user}, extension: {number}"));
    let moved: Vec<String> = moved.collect();
    env.write("pbx.yaml", &desired(&moved.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("sync --allow relogins=3").expect(0);
    // A sync logs nobody out: what waits for an apply is no reason to stop it.
    env.run("sync").expect(0);
    env.run("apply").expect(3);
    assert_eq!(plan(&env, "--no-asterisk", 0)["counts"]["relogin"], 3);
    env.run("apply --allow relogins=3").expect(0);
    assert_eq!(plan(&env, "", 0)["counts"]["relogin"], 0);
}

/// The first apply of a new system, of new users and of a host without files logs nobody out.
#[test]
fn phones_that_were_never_live_need_not_log_in_again() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("sync").expect(0);
    for user in ["ana", "bo", "cleo"] {
        env.run(&format!("secret rotate {user}@example.com")).expect(0);
    }
    assert_eq!(plan(&env, "", 0)["counts"]["relogin"], 0);
    env.run("apply").expect(0);
    let other = env.another_host("other");
    other.write("pbx.yaml", &desired(&USERS));
    assert_eq!(plan(&other, "", 0)["counts"]["relogin"], 0);
    other.run("apply").expect(0);
}

/// `DATABASE_URL` is forgotten, and the private database takes over: the hint of the rail once led past all rails.
#[test]
fn a_forgotten_database_is_named_first_and_no_phone_is_counted_as_staying() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply").expect(0);
    let mut forgetful = TestEnv::embedded();
    forgetful.set("ASTERISK_CONFIG_DIR", env.path("asterisk/etc").to_str().unwrap());
    forgetful.set("ASTERISK_COMMAND", env.path("asterisk/bin/asterisk").to_str().unwrap());
    // Two of the users in the other order: other numbers, and the same people.
    forgetful.write("pbx.yaml", &desired(&[USERS[1], USERS[0], USERS[2]]));
    let is_stopped = |rails: &str| {
        let plan = forgetful.run("plan").expect(0);
        let first = "DATABASE_URL is not set, and the private database in `";
        let at = plan.stderr.find("error[rail-").unwrap_or_else(|| panic!("{}", plan.text()));
        let line = plan.stderr[at..].lines().next().unwrap();
        assert!(line.starts_with(rails) && line.contains(first), "{}", plan.text());
        assert!(plan.stdout.contains("Affected: 3 phones must log in again\n"), "{}", plan.text());
        assert!(plan.stdout.contains("; calls in progress and all other registrations are kept\n"), "{}", plan.text());
        let stopped = forgetful.run("apply").expect(3);
        assert!(stopped.stderr.contains("3 phones would have to log in again (allowed 1)"), "{}", stopped.text());
        stopped.stderr
    };
    // Before anything is recorded there, and after.
    let stderr = is_stopped("error[rail-foreign-files]: ");
    let hint = "if this database is to take over: --allow foreign-files=3, and every phone of these files gets a new secret and must log in again\n";
    assert!(stderr.contains(hint), "{stderr}");
    forgetful.run("sync").expect(0);
    is_stopped("error[rail-foreign-files]: ");
    // Whoever moves the files away still runs into the other rail: Asterisk runs these phones.
    for folder in ["pjsip.d/acme", "extensions.d/acme"] {
        std::fs::rename(env.etc(folder), env.path(&folder.replace('/', "-"))).unwrap();
    }
    is_stopped("error[rail-relogins]: ");
    // The right directory gives them their own digests again, and logs nobody out.
    let plan = env.run("plan").expect(0);
    assert!(!plan.stdout.contains("log in again"), "{}", plan.text());
    assert!(
        plan.stdout.contains("is missing, and Asterisk still runs phones from it: 3 of this plan\n"),
        "{}",
        plan.text()
    );
    env.run("apply").expect(0);
}

/// A dump from before two users were made: who is lost is named, and every phone is counted once.
#[test]
fn users_lost_by_a_restored_database_are_named_and_counted() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&USERS[..1]));
    env.run("apply").expect(0);
    let dump = pg_dump(&env);
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply").expect(0);
    restore(&env, &dump);
    let stopped = env.run("apply --allow relogins=2").expect(3);
    let words = "error[rail-foreign-files]: the generated files on this host hold 2 users that this database never had: \
                 `bo@example.com`, `cleo@example.com`\n\
                 hint: restore a dump of the database that has them; or continue without them: --allow foreign-files=2. Their phones are then removed, or get a new secret and must log in again if the file declares them\n";
    assert_eq!(stopped.stderr, words);
    let affected = "Affected: 2 phones must log in again, 1 phone is unaffected\n";
    assert!(stopped.stdout.contains(affected), "{}", stopped.text());
    let plan = env.run("plan").expect(0).stdout;
    let status = env.run("status").expect(0).stdout;
    assert!(
        status.contains("differs from the database; `reconcile apply` would stop at rail-foreign-files"),
        "{status}"
    );
    // What the plan says to run is what passes.
    let command = plan.lines().find_map(|line| line.strip_prefix("Apply exactly this: reconcile ")).unwrap();
    assert!(command.ends_with(" --allow foreign-files=2 --allow relogins=2"), "{command}");
    env.run(command).expect(0);
}

/// A company in which every user has a voicemail box.
fn with_boxes(users: &[&str]) -> String {
    desired(users).replacen("users:", "voicemail: { users: true }\nusers:", 1)
}

const DORA: &str = "email: dora@example.com, name: Dora";

/// The dump knows Ana's box alone. Bo has another one since, and Cleo had one that is gone.
fn with_former_boxes() -> TestEnv {
    let env = TestEnv::new();
    let apply = |users: &[&str]| {
        env.write("pbx.yaml", &with_boxes(users));
        env.run("apply --no-reload").expect(0);
    };
    apply(&USERS[..1]);
    let dump = pg_dump(&env);
    apply(&USERS);
    apply(&USERS[..2]);
    restore(&env, &dump);
    env
}

fn boxes(env: &TestEnv) -> Vec<String> {
    let file = fs::read_to_string(env.etc("voicemail.d/acme/generated_voicemail.conf")).unwrap();
    let lines = file.lines().filter_map(|line| Some((line.split_once(" => ")?.0, line.split(',').nth(2)?)));
    lines.filter(|(_, mail)| !mail.is_empty()).map(|(number, mail)| format!("{number} {mail}")).collect()
}

/// Messages belong to the number: the next user heard those of the one whom the dump does not know.
#[test]
fn numbers_of_boxes_in_place_are_not_given_again() {
    let env = with_former_boxes();
    assert_eq!(boxes(&env), ["1 ana@example.com", "2 bo@example.com"]);
    env.write("pbx.yaml", &with_boxes(&[USERS[0], DORA]));
    let args = "--allow foreign-files=1";
    let shown = env.run(&format!("plan --no-asterisk {args}")).expect(0).stdout;
    assert!(shown.contains("number 4") && !shown.contains("rail-"), "{shown}");
    env.run(&format!("apply --no-reload {args}")).expect(0);
    assert_eq!(boxes(&env), ["1 ana@example.com", "4 dora@example.com"]);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    // The directory knows it from then on.
    env.write("pbx.yaml", &with_boxes(&[USERS[0], DORA, USERS[1]]));
    env.run("sync").expect(0);
    env.run("apply --no-reload").expect(0);
    assert_eq!(boxes(&env), ["1 ana@example.com", "4 dora@example.com", "5 bo@example.com"]);
}

#[test]
fn a_rail_stops_rows_that_give_the_number_of_a_box_in_place_to_another_user() {
    let mut env = with_former_boxes();
    env.write("pbx.yaml", &with_boxes(&[USERS[0], DORA]));
    // A runner sees no files.
    let folder = env.etc("").display().to_string();
    env.set("ASTERISK_CONFIG_DIR", &env.path("nowhere").display().to_string());
    env.run("sync").expect(0);
    env.set("ASTERISK_CONFIG_DIR", &folder);
    let before = env.files();
    let plan = env.run("plan --no-asterisk --allow foreign-files=1").expect(0).text();
    let stop = "error[rail-taken-boxes]: the number of 1 voicemail box of the file in place would pass to others: \
                2 of `bo@example.com` would be that of `dora@example.com`";
    assert!(plan.contains(stop) && plan.contains("--allow taken-boxes=1"), "{plan}");
    let stopped = env.run("apply --no-reload --allow foreign-files=1").expect(3);
    assert!(stopped.text().contains("rail-taken-boxes"), "{}", stopped.text());
    assert_eq!(env.files(), before);
    env.run("apply --no-reload --allow foreign-files=1 --allow taken-boxes=1").expect(0);
    assert_eq!(boxes(&env), ["1 ana@example.com", "2 dora@example.com"]);
}

/// The number of a box stays with a user who is renamed and has another PIN.
#[test]
fn a_renamed_user_with_another_pin_is_the_owner_of_the_box() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &with_boxes(&USERS));
    env.run("apply --no-reload").expect(0);
    env.run("secret rotate ana@example.com --pin").expect(0);
    env.write("pbx.yaml", &with_boxes(&["email: a.silva@example.com, previously: ana@example.com, name: Silva"]));
    env.run("apply --no-reload --allow deletes=2").expect(0);
    assert_eq!(boxes(&env), ["1 a.silva@example.com"]);
}

#[test]
fn a_plan_that_a_rail_stops_for_good_names_no_command() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana, protected: true", USERS[1]]));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &desired(&USERS[1..2]));
    let plan = env.run("plan --no-asterisk").expect(0);
    assert!(plan.stderr.starts_with("error[rail-protected]: "), "{}", plan.text());
    assert!(!plan.stdout.contains("Apply exactly this"), "{}", plan.text());
    let markdown = env.run("plan --no-asterisk --format markdown").expect(0).stdout;
    assert!(markdown.contains("Plan id `p1-") && !markdown.contains("applies exactly this"), "{markdown}");
}

#[test]
fn a_rotated_secret_is_in_the_summary() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&USERS));
    env.run("apply --no-reload").expect(0);
    env.run("secret rotate bo@example.com").expect(0);
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    let summary =
        "Plan: 0 to create, 0 to update, 0 to rename, 0 to delete, 1 phone to log in again; 1 file to write.\n";
    assert!(plan.contains(summary), "{plan}");
}

/// A PIN that was renewed because somebody knew it became valid again without a word.
#[test]
fn after_a_restore_the_plan_names_the_pins_that_become_valid_again() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &format!("{}voicemail: {{ users: true }}\n", desired(&USERS)));
    env.run("apply --no-reload").expect(0);
    let dump = pg_dump(&env);
    env.run("secret rotate bo@example.com --pin").expect(0);
    env.run("apply --no-reload").expect(0);
    let note = "different PINs for 1 voicemail box, though nothing was recorded since the last apply";
    assert!(!env.run("plan --no-asterisk").expect(0).stdout.contains(note));
    restore(&env, &dump);
    let planned = env.run("plan --no-asterisk").expect(0);
    assert!(planned.stdout.contains(note), "{}", planned.text());
}
