//! A plan without a database: `plan --recorded` takes what `export --recorded` wrote on a machine that reaches it.

use std::{fmt::Write, fs, io::Write as _, os::unix::fs::PermissionsExt, process::Stdio};

use serde_json::{Value, json};

use super::{
    ci::{self, log},
    github::{GitHub, REPOSITORY},
    support::{Outcome, TestEnv, desired},
    transcript,
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";
const DOOR: &str = "id: door, name: Door, secret: { env: DOOR_SECRET }";

/// All that is declared beside users.
const OBJECTS: &str = r#"country: DE
public_sip_host: sip.example.com
voicemail: { users: true }
trunks:
  carrier: { host: 198.51.100.7, identify: [203.0.113.0/28], username: acme, secret: { env: CARRIER_SECRET } }
dialers:
  desk: { number: { env: DESK_PHONE_NUMBER }, trunk: carrier }
groups:
  sales: { members: [ana@example.com], extension: auto, no_answer: [{ voicemail: ana@example.com }] }
rooms:
  board: { extension: 1900 }
inbound:
  - { to: "+15559876543", route: [sales] }
default_route: [desk, ana@example.com]
"#;

fn file(users: &[&str]) -> String {
    let extensions = "extensions: { range: 1000-1999, hold: 30d }\nusers:";
    desired(users).replace("users:", extensions) + OBJECTS
}

/// A host without Asterisk, and what its declared values are.
fn host() -> TestEnv {
    let mut host = TestEnv::new();
    host.set("CARRIER_SECRET", "canary-of-the-carrier");
    host.set("DESK_PHONE_NUMBER", "+4930123456");
    host
}

/// A machine that has no database, no secret, and the two files.
fn runner(yaml: &str, recorded: &str) -> TestEnv {
    let mut runner = TestEnv::embedded();
    // A variable is no reason to connect.
    runner.set("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    runner.set("DESK_PHONE_NUMBER", "+4930123456");
    runner.set("CI", "true");
    runner.write("pbx.yaml", yaml);
    runner.write("recorded.json", recorded);
    runner
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.text()))
}

/// What the host writes for runners.
fn exported(host: &TestEnv) -> String {
    let outcome = host.run("export --recorded").expect(0);
    // Nobody can try guesses on what is in it, and no row can be found by it.
    let rows = host.sql().query(
        "select id::text, secret_sealed, secret_salt, secret_fingerprint, digest_fingerprint, digest_applied from users
         union all
         select object_id::text, secret_sealed, secret_salt, secret_fingerprint, fingerprint_applied, null from secrets",
        &[],
    );
    for row in rows.unwrap_or_default() {
        let id: String = row.get(0);
        assert!(!outcome.stdout.contains(&id), "{id}");
        for column in 1..6 {
            let Some(bytes) = row.get::<_, Option<Vec<u8>>>(column) else { continue };
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            let list = format!("{bytes:?}").replace(' ', "");
            let text = outcome.stdout.replace([' ', '\n'], "");
            assert!(!text.contains(&hex) && !text.contains(&list), "column {column} of {id}");
        }
    }
    outcome.stdout
}

/// The plan of a runner with the file is that of a runner with the database, and has the id that the host computes.
#[track_caller]
fn agree(host: &TestEnv, yaml: &str) -> Value {
    host.write("pbx.yaml", yaml);
    let runner = runner(yaml, &exported(host));
    let mut seen = json(&runner.run("plan --recorded recorded.json --format json").expect(0));
    assert!(!runner.path("state").exists(), "a plan needs no state folder");
    let words = ["plan", "--no-asterisk", "--format", "json"];
    let output = host.command(&words).env("ASTERISK_CONFIG_DIR", "/nowhere/at/all").output().unwrap();
    let mut reached = json(&host.outcome(output).expect(0));
    let own = json(&host.run("plan --no-asterisk --format json").expect(0));
    assert_eq!(seen["id"], own["id"]);
    assert!(seen["recorded_at"].is_string() && reached["recorded_at"].is_null(), "{seen}");
    for plan in [&mut seen, &mut reached] {
        plan["unchecked"].take();
        plan["recorded_at"].take();
    }
    assert_eq!(seen, reached);
    seen
}

/// The desired states that each recorded one is compared with.
fn wanted() -> Vec<String> {
    let renamed = "email: ana.silva@example.com, name: Ana Silva, previously: ana@example.com";
    let with_list = "email: bo@example.com, name: Bo, no_answer: [ana@example.com, { voicemail: bo@example.com }]";
    vec![
        file(&[ANA, BO]),
        file(&[ANA, BO, CLEO]),
        file(&[ANA, with_list]),
        file(&["email: ana@example.com, name: Ana, extension: 1500, protected: true", BO]),
        file(&[ANA, CLEO]),
        file(&[renamed, BO])
            .replace("ana@example.com]", "ana.silva@example.com]")
            .replace("voicemail: ana@example.com", "voicemail: ana.silva@example.com"),
        file(&[ANA, BO]).replace("hold: 30d", "hold: 0d, reserved: [1911]").replace("board: { extension: 1900 }", "{}"),
        desired(&[ANA, BO]),
    ]
}

#[test]
fn a_plan_against_the_file_is_the_one_against_the_database() {
    let mut host = host();
    // Nothing is recorded, not even the tables.
    for yaml in wanted() {
        assert!(agree(&host, &yaml)["changes"].as_array().is_some_and(|changes| !changes.is_empty()));
    }
    let every = |host: &TestEnv| wanted().iter().for_each(|yaml| drop(agree(host, yaml)));
    // Recorded and never applied,
    host.write("pbx.yaml", &file(&[ANA, BO]));
    host.run("sync").expect(0);
    every(&host);
    // applied,
    host.write("pbx.yaml", &file(&[ANA, BO]));
    host.run("apply --no-reload").expect(0);
    assert_eq!(agree(&host, &file(&[ANA, BO]))["has_changes"], json!(false));
    every(&host);
    // with secrets that no apply made live yet,
    host.run("secret rotate bo@example.com").expect(0);
    host.set("CARRIER_SECRET", "another-canary-of-it");
    host.write("pbx.yaml", &file(&[ANA, BO]));
    host.run("sync").expect(0);
    let behind = agree(&host, &file(&[ANA, BO]));
    assert_eq!((&behind["counts"]["relogin"], &behind["secrets_behind"]), (&json!(1), &json!(["trunk carrier"])));
    every(&host);
    // after renames, with a list of who gets the calls of somebody else,
    host.write("pbx.yaml", &wanted()[5]);
    host.run("apply --no-reload --allow relogins=9").expect(0);
    every(&host);
    // with a number on hold, and a user who may come back,
    host.write("pbx.yaml", &wanted()[2]);
    host.run("apply --no-reload --allow deletes=9 --allow boxes=9").expect(0);
    host.write("pbx.yaml", &file(&[ANA]));
    host.run("apply --no-reload --allow deletes=9 --allow boxes=9").expect(0);
    let back = agree(&host, &file(&[ANA, BO]));
    assert!(back.to_string().contains("returned") && back.to_string().contains("\"choice\":\"held\""), "{back}");
    every(&host);
    // whose secret is kept no longer,
    host.sql().execute("delete from former_secrets", &[]).unwrap();
    every(&host);
    // and with users of the API.
    host.sql().execute("update users set managed_by = 'api'", &[]).unwrap();
    assert_eq!(agree(&host, &file(&[ANA, BO]))["counts"]["adopt"], json!(1));
    every(&host);
}

#[test]
fn the_document_fits_its_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../schema/recorded.schema.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("recorded.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("recorded.json", &mut schemas).unwrap();
    let golden: Value = serde_json::from_str(&super::documents::golden("recorded.1.json")).unwrap();
    let nothing: Value =
        serde_json::from_str(&TestEnv::new().run("export --recorded --tenant acme").stdout).unwrap_or_default();
    assert_eq!(nothing, Value::Null, "a slug that is not recorded is probably misspelt");
    let env = host();
    env.write("pbx.yaml", &file(&[ANA]));
    let empty: Value = serde_json::from_str(&exported(&env)).unwrap();
    for document in [&golden, &empty] {
        schemas.validate(document, schema).unwrap_or_else(|error| panic!("{error}"));
    }
    // The check can fail.
    assert!(schemas.validate(&json!({ "tenant": "acme" }), schema).is_err());
}

/// A schema of an earlier version, as before the first apply of a new one.
#[test]
fn a_plan_against_tables_of_an_earlier_version_is_the_same() {
    let host = super::documents::recorded();
    let yaml = fs::read_to_string(host.path("work/pbx.yaml")).unwrap();
    let mut runner = runner(&yaml, &host.run("export --recorded").expect(0).stdout);
    runner.set("DIALFIRE_PHONE_NUMBER", "+4930123456");
    runner.set("TWILIO_PHONE_NUMBER", "+15559876543");
    let seen = json(&runner.run("plan --recorded recorded.json --format json").expect(0));
    let own = json(&host.run("plan --no-asterisk --format json").expect(0));
    assert_eq!((&seen["id"], &seen["changes"]), (&own["id"], &json!([])));
    let note = |plan: &Value| {
        plan["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("an apply brings it to"))
    };
    assert!(note(&seen) && note(&own), "{seen}");
}

#[test]
fn declared_secrets_are_not_compared_and_a_changed_one_is_another_plan() {
    let mut host = host();
    host.set("DOOR_SECRET", "canary-of-the-door");
    host.write("pbx.yaml", &file(&[ANA, BO, DOOR]));
    host.run("apply --no-reload").expect(0);
    // The same ones, one of a new user, and one in place of a generated secret.
    host.set("NEW_SECRET", "canary-of-the-new");
    let new = "id: lift, name: Lift, secret: { env: NEW_SECRET }";
    let declared = "email: bo@example.com, name: Bo, secret: { env: NEW_SECRET }";
    agree(&host, &file(&[ANA, BO, DOOR]));
    agree(&host, &file(&[ANA, BO, DOOR, new]));
    assert_eq!(agree(&host, &file(&[ANA, declared, DOOR]))["counts"]["relogin"], json!(1));
    let yaml = file(&[ANA, BO, DOOR]).replace("Ana", "Anna");
    host.write("pbx.yaml", &yaml);
    let runner = runner(&yaml, &exported(&host));
    let plan = runner.run("plan --recorded recorded.json --format json").expect(0);
    let unchecked = "2 declared secrets, because the file of `--recorded` has no fingerprint to compare a secret with: one \
                     that was declared before counts as unchanged, any other as new. If the host finds another secret, its \
                     plan has another id";
    assert_eq!(json(&plan)["unchecked"][2], json!(unchecked));
    host.write("plan.json", &plan.stdout);
    host.set("DOOR_SECRET", "other-canary-of-the-door");
    let stale = host.run("apply --no-reload --expect plan.json").expect(4);
    assert!(stale.stderr.contains("door"), "{}", stale.text());
    host.set("DOOR_SECRET", "canary-of-the-door");
    host.run("apply --no-reload --expect plan.json").expect(0);
}

#[test]
fn a_stale_file_is_caught_by_the_apply() {
    let host = host();
    host.write("pbx.yaml", &file(&[ANA]));
    host.run("apply --no-reload").expect(0);
    let recorded = exported(&host);
    // Another merge was faster.
    host.write("pbx.yaml", &file(&[ANA, BO]));
    host.run("apply --no-reload").expect(0);
    let yaml = file(&[ANA, BO, CLEO]);
    let plan = runner(&yaml, &recorded).run("plan --recorded recorded.json --format json").expect(0).stdout;
    host.write("pbx.yaml", &yaml);
    host.write("plan.json", &plan);
    let dump = host.dump();
    let stale = host.run("apply --no-reload --expect plan.json").expect(4);
    assert!(stale.stderr.contains("\n  only expected: + bo@example.com extension 1002, name Bo\n"), "{}", stale.text());
    assert_eq!(host.dump(), dump);
    let plan = runner(&yaml, &exported(&host)).run("plan --recorded recorded.json --format json").expect(0).stdout;
    host.write("plan.json", &plan);
    host.run("apply --no-reload --expect plan.json").expect(0);
}

/// Of another tenant a runner learns which public numbers are taken, and nothing else.
#[test]
fn of_other_tenants_only_the_public_numbers_are_told() {
    let host = host();
    let bolt = file(&["email: secretary@bolt.example, name: Dora"]).replace("tenant: acme", "tenant: bolt");
    let bolt = bolt.replace("ana@example.com", "secretary@bolt.example");
    host.write("bolt.yaml", &bolt);
    host.run("sync -f bolt.yaml").expect(0);
    let yaml = file(&[ANA]).replace("+15559876543", "+15559870000");
    host.write("pbx.yaml", &yaml);
    host.run("apply --no-reload").expect(0);
    let recorded = exported(&host);
    assert!(recorded.contains("\"numbers_of_others\": [\n    \"+15559876543\"\n  ]"), "{recorded}");
    assert!(!recorded.contains("bolt") && !recorded.contains("Dora"), "{recorded}");
    let runner = runner(&file(&[ANA]), &recorded);
    let refused = runner.run("plan --recorded recorded.json").expect(1).stderr;
    assert!(refused.starts_with("error[number-taken]: +15559876543 already belongs to another tenant\n"), "{refused}");
    assert!(refused.contains("hint: a plan on the Asterisk host names the tenant"), "{refused}");
    runner.write("pbx.yaml", &yaml);
    assert_eq!(json(&runner.run("plan --recorded recorded.json --format json").expect(0))["changes"], json!([]));
}

#[test]
fn the_plan_names_the_file_and_when_it_was_written() {
    let host = host();
    host.write("pbx.yaml", &file(&[ANA]));
    host.run("apply --no-reload").expect(0);
    let said = host.run("export --recorded -o recorded.json").expect(0);
    let path = host.path("work/recorded.json");
    let text = fs::read_to_string(&path).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let time = written["written_at"].as_str().unwrap();
    assert_eq!(said.stdout, format!("Recorded at {time}: 1 user of `acme`, in `recorded.json`. No secret is in it.\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // An earlier one is replaced, and nothing else is.
    host.run("export --recorded -o recorded.json").expect(0);
    let refused = host.run("export --recorded -o /dev/stdout").expect(1).stderr;
    assert!(refused.starts_with("error: cannot write `/dev/stdout`: it is no regular file\n"), "{refused}");

    let runner = runner(&file(&[ANA, BO]), &text);
    let plan = runner.run("plan --recorded recorded.json --detailed-exitcode").expect(2).stdout;
    let (head, rest) = plan.split_once('\n').unwrap();
    assert_eq!(head, format!("acme  pbx.yaml  2 users  recorded at {time} in recorded.json"));
    assert!(rest.contains("\nunchecked: the files in place and the running Asterisk (--recorded)\n"), "{plan}");
    let markdown = runner.run("plan --recorded recorded.json --format markdown").expect(0).stdout;
    assert!(markdown.contains(&format!("\nPlanned against what was recorded at {time}.\n")), "{markdown}");
    // The time is not in the id.
    let id = |plan: &str| plan.lines().find(|line| line.starts_with("Apply exactly this:")).unwrap().to_owned();
    runner.write("recorded.json", &text.replacen(time, "2020-01-01T00:00:00Z", 1));
    let earlier = runner.run("plan --recorded recorded.json").expect(0).stdout;
    assert!(earlier.starts_with("acme  pbx.yaml  2 users  recorded at 2020-01-01T00:00:00Z in recorded.json\n"));
    assert_eq!(id(&earlier), id(&plan));

    runner.write("pbx.yaml", &file(&[ANA]));
    let same = runner.run("plan --recorded recorded.json --detailed-exitcode").expect(0).stdout;
    assert!(same.ends_with("\nNo changes in what was checked.\n"), "{same}");

    // Standard input, and a pipe.
    runner.write("pbx.yaml", &file(&[ANA, BO]));
    let mut command = runner.command(&["plan", "--recorded", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let piped = runner.outcome(child.wait_with_output().unwrap()).expect(0).stdout;
    assert_eq!(piped, plan.replacen("in recorded.json", "in stdin", 1));
    let command = "reconcile plan --recorded <(cat recorded.json) | tail -n +2".to_owned();
    let printed = transcript::run(&runner, &[command], &[]).remove(0);
    assert_eq!((printed.status, printed.text.as_str()), (0, rest));
}

#[test]
fn what_cannot_be_planned_against_is_rejected() {
    let host = host();
    host.write("pbx.yaml", &file(&[ANA, BO]));
    host.run("apply --no-reload").expect(0);
    let text = exported(&host);
    let plan = host.run("plan --no-asterisk --format json").expect(0).stdout;
    let runner = runner(&file(&[ANA, BO]), &text);
    let mut said = String::new();
    let mut refused = |name: &str, args: &str, code: i32| {
        let outcome = runner.run(&format!("plan {args}")).expect(code);
        let _ = write!(said, "# {name}\n{}", outcome.stderr);
    };
    for (name, text) in [
        ("cut", text[..text.len() / 2].to_owned()),
        ("later", text.replacen("\"format_version\": 1", "\"format_version\": 2", 1)),
        ("empty", String::new()),
        ("a-plan", plan),
        ("a-list", "[]".to_owned()),
        ("twice", text.replacen("\"extension\": 1001", "\"extension\": 1000", 1)),
        ("same-user", text.replacen("\"user\": \"bo@example.com\"", "\"user\": \"Ana@example.com\"", 1)),
        ("no-number", text.replacen("\"extension\": 1001", "\"extension\": 0", 1)),
        ("escape", text.replacen("\"name\": \"Bo\"", "\"name\": \"Bo\\u001b[2J\"", 1)),
        ("later-tables", text.replacen("\"schema\": ", "\"schema\": 9", 1)),
        ("nested", "[".repeat(100_000)),
    ] {
        runner.write(name, &text);
        refused(name, &format!("--recorded {name}"), 1);
    }
    fs::write(runner.path("work/bytes"), [0xff, 0xfe]).unwrap();
    fs::File::create(runner.path("work/large")).unwrap().set_len(256 * 1024 * 1024 + 1).unwrap();
    fs::create_dir(runner.path("work/folder")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", runner.path("work/link")).unwrap();
    runner.write("bolt.yaml", &file(&[ANA, BO]).replace("tenant: acme", "tenant: bolt"));
    for (name, code) in [("bytes", 1), ("large", 1), ("folder", 1), ("link", 1), ("missing", 1), ("/dev/zero", 1)] {
        refused(name, &format!("--recorded {name}"), code);
    }
    refused("another tenant", "--recorded recorded.json -f bolt.yaml", 1);
    refused("a database beside it", "--recorded recorded.json --state-dir state", 64);
    refused("a kind of database beside it", "--recorded recorded.json --database external", 64);
    refused("standard input twice", "--recorded - -f -", 64);
    let filters = vec![
        (r"line \d+ column \d+", "line [n] column [n]"),
        (r"up to \d+", "up to [n]"),
        (r"version 9\d+", "version 9[n]"),
    ];
    insta::with_settings!({ filters => filters }, { insta::assert_snapshot!(said) });
    runner.write("none.yaml", &desired(&[]));
    let stopped = runner.run("plan --recorded recorded.json -f none.yaml --detailed-exitcode").expect(3).stderr;
    assert!(stopped.contains("error[rail-deletes]: 2 of 2 users would be deleted (allowed 1)\n"), "{stopped}");
    for command in ["status", "apply", "sync", "watch"] {
        runner.run(&format!("{command} --recorded recorded.json")).expect(64);
    }
    for args in ["", "--users --recorded", "--users -o users.txt"] {
        host.run(&format!("export {args}")).expect(64);
    }
}

/// Hosted runners do not reach the database: what the PBX host has left last stands for it.
#[test]
fn without_a_way_to_the_database_a_plan_is_made_against_what_the_host_recorded() {
    let env = ci::host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    github.commit("first", &desired(&[ANA, BO]));
    // Nothing is left without the variable,
    assert!(github.record("08:00")["recorded"].is_none());
    fs::write(github.files.join("artefacts.json"), "[]").unwrap();
    github.recorded = true;
    let nothing = github.pull_request(1, "first", REPOSITORY);
    let said = log(&nothing, "plan", 1);
    assert!(said.contains("::error::the PBX host has left nothing to plan against: run the workflow"), "{said}");
    // and what another branch or a fork has left is not taken.
    log(&github.record("09:00"), "recorded", 0);
    let recorded = fs::read_to_string(github.artefact("reconcile-recorded").join("recorded.json")).unwrap();
    env.hear("export --recorded", &recorded);
    for (branch, repository) in [("evil", 1), ("main", 2)] {
        let run = json!({ "id": 666, "head_branch": branch, "repository_id": 1, "head_repository_id": repository });
        github.keep(
            "artefacts.json",
            json!({ "name": "reconcile-recorded", "expired": false,
            "created_at": "2026-01-01T23:00:00Z", "workflow_run": run }),
        );
    }
    github.commit("first", &(desired(&[ANA, BO]) + "# again\n"));
    let jobs = github.pull_request(2, "first", REPOSITORY);
    for job in ["check", "plan", "comment"] {
        log(&jobs, job, 0);
    }
    let comments = github.kept("comments.json");
    let body = comments.last().unwrap()["body"].as_str().unwrap();
    assert!(body.contains("\n+ bo@example.com  extension 1001 (lowest free)  pbx.yaml:5\n"), "{body}");
    assert!(body.contains("\nPlanned against what was recorded at "), "{body}");

    // The apply is held to it, on the database itself.
    github.commit("second", &desired(&[CLEO, ANA]));
    log(&github.pull_request(3, "second", REPOSITORY), "plan", 0);
    log(&github.merge(2, "first", REPOSITORY), "apply", 0);
    let (dump, files) = (env.dump(), env.files());
    let said = log(&github.merge(3, "second", REPOSITORY), "apply", 4).to_owned();
    assert!(said.contains("::error::nothing was applied, because the reviewed plan is no longer"), "{said}");
    assert_eq!((env.dump(), env.files()), (dump, files));
    log(&github.record("19:00"), "recorded", 0);
    github.commit("third", &(desired(&[CLEO, ANA, BO]) + "# thrice\n"));
    log(&github.pull_request(4, "third", REPOSITORY), "plan", 0);
    log(&github.merge(4, "third", REPOSITORY), "apply", 0);
}
