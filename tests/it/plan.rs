//! `reconcile plan`: what would change, and why it cannot. More of it stands in `tests/scenarios`.

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";

/// The tenant's users with their numbers, as recorded.
fn numbers(env: &TestEnv) -> Vec<(String, i32)> {
    let rows = env.sql().query("select email, number from users join extensions on user_id = users.id order by 1", &[]);
    rows.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
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
fn the_exit_code_shows_changes_only_when_asked() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("plan --no-asterisk").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(2);
    env.run("apply --no-reload").expect(0);
    let outcome = env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    assert!(outcome.stdout.contains("No changes in what was checked."), "{}", outcome.text());
}

#[test]
fn after_its_time_a_number_on_hold_is_given_to_anybody() {
    let env = TestEnv::new();
    let settings = "extensions: { hold: 30d }\nusers:";
    let write = |users: &[&str]| env.write("pbx.yaml", &desired(users).replace("users:", settings));
    write(&[ANA, BO]);
    env.run("sync").expect(0);
    write(&[BO]);
    env.run("sync").expect(0);
    let freed = "update extensions set freed_at = freed_at - interval '31 days' where user_id is null";
    assert_eq!(env.sql().execute(freed, &[]).unwrap(), 1);
    write(&[BO, CLEO]);
    env.run("sync").expect(0);
    assert_eq!(numbers(&env), [("bo@example.com".to_owned(), 1001), ("cleo@example.com".to_owned(), 1000)]);
}

/// A pin takes a freed number even from a hold that begins in the same plan, which was noted twice.
#[test]
fn a_number_that_is_freed_and_handed_on_in_one_plan_is_noted_once() {
    let env = TestEnv::new();
    let bo = "email: bo@example.com, name: Bo";
    let write = |users: &[&str], hold: &str| {
        let settings = format!("extensions: {{ hold: {hold} }}\nusers:");
        env.write("pbx.yaml", &desired(users).replace("users:", &settings));
    };
    write(&[ANA], "0d");
    env.run("sync").expect(0);
    let moved = format!("{ANA}, extension: 1020");
    let pinned = format!("{bo}, extension: 1000");
    let cases = [
        // Ana leaves, and Bo comes.
        (vec![bo], "0d"),
        (vec![&pinned], "0d"),
        (vec![&pinned], "30d"),
        // Ana moves, and Bo gets what she leaves.
        (vec![&moved, bo], "0d"),
        (vec![&moved, &pinned], "0d"),
        (vec![&moved, &pinned], "30d"),
    ];
    for (users, hold) in cases {
        write(&users, hold);
        let plan = env.run("plan --no-asterisk").expect(0).stdout;
        let words = "note: extension 1000 goes to bo@example.com; it belonged to ana@example.com until now, ";
        assert_eq!(plan.matches(words).count(), 1, "{users:?} {hold}: {plan}");
        assert!(!plan.contains("was held for"), "{users:?} {hold}: {plan}");
    }
}

#[test]
fn a_number_of_a_former_user_is_noted_for_thirty_days() {
    let env = TestEnv::new();
    let (ana, bo, cy) =
        ("email: ana@example.com, name: Ana", "email: bo@example.com, name: Bo", "email: cy@example.com, name: Cy");
    env.write("pbx.yaml", &desired(&[ana, bo]));
    env.run("sync").expect(0);
    let words = |until: &str| {
        format!(
            "note: extension 1000 goes to cy@example.com; it belonged to ana@example.com until {until}, and callers may still \
             expect ana@example.com; `hold: 30d` below `extensions` keeps a freed number from others for 30 days\n"
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
    assert!(outcome.stdout.contains("note: 1 user created through the API, not changed"), "{}", outcome.text());
    assert_eq!(numbers(&env).len(), 2);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let outcome = env.run("sync").expect(0);
    let words =
        "& ana@example.com  adopted from the API, keeps extension 1000; removing the line later deletes the user";
    assert!(outcome.stdout.contains(words), "{}", outcome.text());
}

/// The plan of a number that cannot be read said `0 files to write`.
#[test]
fn files_that_are_not_known_are_not_counted() {
    let mut env = TestEnv::new();
    let with = |dialer: &str| {
        format!(
            "{}dialers:\n  desk: {{ {dialer} }}\ninbound:\n  - {{ to: \"+15559876543\", route: [desk] }}\n",
            desired(&[ANA])
        )
    };
    env.write("pbx.yaml", &with("number: \"+4930123456\""));
    env.run("sync").expect(0);
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &with("number: { env: DESK_PHONE_NUMBER }, ring: 20s"));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    let summary = "1 change of inbound calls; which files to write is not known.\n";
    assert!(plan.contains(summary), "{plan}");
    let json: serde_json::Value =
        serde_json::from_str(&env.run("plan --no-asterisk --format json").expect(0).stdout).unwrap();
    assert_eq!(json["files"][0]["changed"], serde_json::Value::Null, "{json}");
    env.set("DESK_PHONE_NUMBER", "+4930123456");
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("1 change of inbound calls; 0 files to write.\n"), "{plan}");
}

/// A line too few ended all voicemail boxes, or all public numbers, and no rail heard of it: those counted users only.
#[test]
fn rails_count_voicemail_boxes_and_public_numbers_that_end() {
    let env = TestEnv::new();
    let company = |users: usize, voicemail: &str, numbers: usize| {
        let users: Vec<String> =
            (0..users).map(|n| format!("  - {{ email: u{n}@example.com, name: User {n} }}\n")).collect();
        let rules: Vec<String> =
            (0..numbers).map(|n| format!("  - {{ to: \"+4930123400{n}\", route: [u0@example.com] }}\n")).collect();
        let inbound = if numbers > 0 { format!("inbound:\n{}", rules.concat()) } else { String::new() };
        let shared = "boxes: { info: { name: Info }, desk: { name: Desk } }";
        let text = format!(
            "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999 }}\nvoicemail: {{ {voicemail}{shared} }}\n\
             public_sip_host: pbx.example.com\n{inbound}users:\n{}",
            users.concat()
        );
        env.write("pbx.yaml", &text);
    };
    company(8, "users: true, ", 8);
    env.run("apply --no-reload").expect(0);
    let stopped = |command: &str, said: &[&str]| {
        let text = env.run(command).expect(3).text();
        assert!(said.iter().all(|said| text.contains(said)), "{text}");
        assert_eq!(text.matches("error[rail-").count(), said.len(), "{text}");
    };
    let boxes = "error[rail-boxes]: 8 of 10 voicemail boxes would end (allowed 2)";
    let numbers = "error[rail-public-numbers]: 3 of 8 public numbers would end (allowed 2)";
    company(8, "", 5);
    stopped("apply --no-reload", &[boxes, numbers]);
    stopped("sync", &[boxes, numbers]);
    stopped("apply --no-reload --allow boxes=8 --allow public-numbers=2", &[numbers]);
    // Two pass, and who deletes a user ends the box.
    company(2, "users: true, ", 6);
    env.run("apply --no-reload --allow deletes=6").expect(0);
    company(2, "", 0);
    stopped("apply --no-reload", &["error[rail-boxes]: 2 of 4 ", "error[rail-public-numbers]: 6 of 6 "]);
    env.run("apply --no-reload --allow boxes=2 --allow public-numbers=6").expect(0);
}
