//! Documents last: what any version of the program wrote is read, what is absent has defaults, and a document that
//! cannot be read stops only what needs it.

mod golden;
mod queues;

use std::{collections::BTreeSet, fs, path::Path};

use reconcile::{calls::LiveRoutes, model::document};
use serde_json::{Value, json};

use super::{
    serve::server::Serve,
    support::{TestEnv, desired},
};
use golden::applied;

const FOLDER: &str = "tests/documents";

pub(crate) fn golden(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// Parses a text that is valid.
fn of<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A database that an earlier program wrote, with the file that was applied to it.
pub(crate) fn recorded() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    env.set("DIALFIRE_PHONE_NUMBER", "+4930123456");
    env.set("TWILIO_PHONE_NUMBER", "+15559876543");
    env.write("pbx.yaml", &golden("directory.0.1.0.yaml"));
    env.sql().batch_execute(&golden("directory.0.1.0.sql")).unwrap();
    env
}

/// Each document of the directory: the table, its column, and which row.
const DOCUMENTS: [(&str, &str, &str); 13] = [
    ("tenants", "settings", "slug = 'acme'"),
    ("objects", "body", "kind = 'default_route'"),
    ("objects", "body", "kind = 'dialer' and name = 'desk'"),
    ("objects", "body", "kind = 'dialer' and name = 'mobile'"),
    ("objects", "body", "kind = 'dialer' and name = 'zendesk_talk'"),
    ("objects", "body", "kind = 'hours' and name = 'office'"),
    ("objects", "body", "kind = 'route' and protected"),
    ("objects", "body", "kind = 'trunk' and name = 'backup'"),
    ("applied_routes", "applied", "tenant = 'acme'"),
    ("users", "phone", "email = 'bo.li@example.com'"),
    ("apply_audit_log", "counts", "id = 8"),
    ("apply_audit_log", "files", "id = 8"),
    ("apply_audit_log", "phases", "id = 8"),
];

fn document_of(env: &TestEnv, (table, column, row): (&str, &str, &str)) -> Value {
    let text = format!("select {column}::text from {table} where {row}");
    serde_json::from_str(env.sql().query_one(&text, &[]).unwrap().get(0)).unwrap()
}

fn put(env: &TestEnv, (table, column, row): (&str, &str, &str), document: &Value) {
    let statement = format!("update {table} set {column} = $1::text::jsonb where {row}");
    assert_eq!(env.sql().execute(&statement, &[&document.to_string()]).unwrap(), 1);
}

#[test]
fn rows_of_an_earlier_program_are_read_and_rewritten_only_where_something_changes() {
    let env = recorded();
    let plan = env.run("plan --no-asterisk --format json").expect(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    for count in ["create", "update", "rename", "adopt", "delete", "relogin"] {
        assert_eq!(plan["counts"][count], 0, "{count}: {plan}");
    }
    assert_eq!(plan["changes"], json!([]), "{plan}");
    env.run("migrate").expect(0);
    let before = DOCUMENTS.map(|place| document_of(&env, place));
    env.run("status --no-asterisk").expect(0);
    assert!(env.run("history").expect(0).stdout.contains("create user"));
    assert!(env.run("users").expect(0).stdout.contains("bo.li@example.com"));
    assert!(env.run("calls").expect(0).stdout.contains("CA00000000000000000000000000000003"));
    env.run("apply --no-reload").expect(0);
    let stays = |at: usize| assert_eq!(document_of(&env, DOCUMENTS[at]), before[at], "{:?}", DOCUMENTS[at]);
    let applied = DOCUMENTS.iter().position(|place| place.0 == "applied_routes").unwrap();
    (0..DOCUMENTS.len()).filter(|at| *at != applied).for_each(stays);

    env.write("pbx.yaml", &golden("directory.0.1.0.yaml").replace("hold: 30d", "hold: 31d"));
    env.run("apply --no-reload").expect(0);
    let settings = document_of(&env, DOCUMENTS[0]);
    assert_eq!((&settings["format_version"], &settings["hold_days"]), (&json!(1), &json!(31)));
    assert_eq!(settings["written_by"], env!("CARGO_PKG_VERSION"));
    (1..DOCUMENTS.len()).filter(|at| *at != applied).for_each(stays);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}

/// Lists every key of a document once, as the JSON pointer to it: of objects and rules that are alike, the first.
fn keys(document: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, form: &str, seen: &mut BTreeSet<String>, keys: &mut Vec<String>) {
        let named = ["/trunks", "/dialers", "/hours", "/users"].iter().any(|map| form.ends_with(map));
        let is_object = value.is_object();
        let parts: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
            _ => return,
        };
        for (key, value) in parts {
            let like = if named || !is_object { "*" } else { key.as_str() };
            let (path, form) = (format!("{path}/{}", key.replace('/', "~1")), format!("{form}/{like}"));
            if seen.insert(form.clone()) && is_object {
                keys.push(path.clone());
            }
            walk(value, &path, &form, seen, keys);
        }
    }
    let mut keys = Vec::new();
    walk(document, "", "", &mut BTreeSet::new(), &mut keys);
    keys
}

fn without(document: &Value, path: &str) -> Value {
    let mut document = document.clone();
    let (parent, key) = path.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&key.replace("~1", "/")).unwrap();
    document
}

/// Takes each key out of a document in turn, and runs the commands. Returns the keys that nothing stands in for.
fn taken_out(place: (&str, &str, &str)) -> Vec<String> {
    const APPLY: &str = "apply --no-reload --allow relogins=9 --allow deletes=9 --allow foreign-files=9";
    let env = recorded();
    env.run("apply --no-reload").expect(0);
    let whole = document_of(&env, place);
    let mut required = Vec::new();
    for path in keys(&whole) {
        let what = format!("{place:?} without {path}");
        put(&env, place, &without(&whole, &path));
        let status = env.run("status --no-asterisk");
        assert_eq!(status.code, 0, "{what}: {}", status.text());
        let plan = env.run("plan --no-asterisk");
        if plan.code == 1 {
            assert!(plan.stderr.contains(" cannot be read: "), "{what}: {}", plan.text());
            assert!(status.stdout.contains(" cannot be read: "), "{what}: {}", status.text());
            for reads in ["history", "users"] {
                env.run(reads).expect(0);
            }
            assert_eq!(env.run(APPLY).expect(1).stderr, plan.stderr);
            let (_, statement) = plan.stderr.split_once("take it out with `").expect("a way out");
            env.sql().batch_execute(statement.split_once('`').unwrap().0).unwrap();
            required.push(path);
        } else {
            assert_eq!(plan.code, 0, "{what}: {}", plan.text());
        }
        let mut healed = env.run(APPLY);
        if healed.code == 3 {
            // A protected rule that became another one is not changed without a word.
            assert!(
                what.contains("protected") && healed.stderr.contains("[rail-protected]"),
                "{what}: {}",
                healed.text()
            );
            put(&env, place, &whole);
            healed = env.run(APPLY);
        }
        assert_eq!(healed.code, 0, "{what}: {}", healed.text());
    }
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    required
}

/// One missing key locked a tenant out.
#[test]
fn a_key_taken_out_of_the_settings_has_the_default_of_the_file() {
    assert_eq!(taken_out(DOCUMENTS[0]), [""; 0]);
}

/// What the file must say has no default, and neither has a choice of one: that is named, with the way out.
#[test]
fn a_key_taken_out_of_an_object_has_the_default_of_the_file_or_is_named() {
    let objects = DOCUMENTS.iter().filter(|place| place.0 == "objects");
    let required: Vec<Vec<String>> = objects.map(|place| taken_out(*place)).collect();
    assert_eq!(
        required,
        [
            vec!["/0/dialer", "/2/user"],
            vec!["/target", "/target/number", "/target/number/given"],
            vec!["/caller_id/number", "/target", "/target/number", "/target/number/given"],
            vec!["/target", "/target/sip"],
            vec!["/open", "/timezone"],
            vec!["/from/0/prefix", "/otherwise/0/user", "/route", "/route/0/dialer", "/route/2/user", "/to", "/to/did"],
            vec!["/host"],
        ]
    );
}

/// Callers stay with what they reached before, rather than reach what was guessed.
#[test]
fn a_key_taken_out_of_what_was_applied_is_named() {
    let required = taken_out(*DOCUMENTS.iter().find(|place| place.0 == "applied_routes").unwrap());
    for key in ["/routes", "/run", "/tenant", "/users", "/routes/dialers/desk/target"] {
        assert!(required.iter().any(|path| path == key), "{key}: {required:?}");
    }
    assert!(!required.iter().any(|path| path == "/routes/hours" || path == "/routes/rules/0/from"), "{required:?}");
}

#[test]
fn a_key_taken_out_of_a_phone_or_of_the_audit_log_is_not_missed() {
    for place in DOCUMENTS.iter().filter(|place| ["users", "apply_audit_log"].contains(&place.0)) {
        assert_eq!(taken_out(*place), [""; 0]);
    }
}

#[test]
fn a_document_of_a_later_version_is_left_alone_and_stops_only_what_needs_it() {
    let env = recorded();
    env.run("apply --no-reload").expect(0);
    env.write("bolt.yaml", "version: 1\ntenant: bolt\nendpoint_names: tenant-extension\nusers: []\n");
    for place in DOCUMENTS {
        let whole = document_of(&env, place);
        let is_object = place.0 == "objects";
        if is_object {
            // Its version stands beside it.
            env.sql().execute(&format!("update objects set version = 99 where {}", place.2), &[]).unwrap();
        } else {
            let mut later = whole.clone();
            later["format_version"] = json!(99);
            later["written_by"] = json!("9.1.0");
            put(&env, place, &later);
        }
        let before = (env.dump(), env.files());
        for reads in ["users", "history", "plan --no-asterisk -f bolt.yaml", "export --users"] {
            let outcome = env.run(reads);
            assert_eq!(outcome.code, 0, "{place:?}: {}", outcome.text());
        }
        let said = concat!(
            "cannot be read: it has format version 99, and reconcile ",
            env!("CARGO_PKG_VERSION"),
            " reads up to 1"
        );
        if place.0 == "apply_audit_log" {
            assert!(env.run("history 8").expect(0).stdout.contains(said), "{place:?}");
            env.run("plan --no-asterisk").expect(0);
        } else {
            let status = env.run("status --no-asterisk --detailed-exitcode").expect(2);
            assert!(status.stdout.contains(said), "{place:?}: {}", status.text());
            for needs in ["plan --no-asterisk", "apply --no-reload", "sync"] {
                let refused = env.run(needs).expect(1).stderr;
                let version = if is_object {
                    "the later version of reconcile that wrote it"
                } else {
                    "reconcile `9.1.0` or a later version"
                };
                let hint = format!(
                    "\nhint: use {version}; the document, the files and the running Asterisk stay as they are\n"
                );
                assert!(refused.starts_with("error: the ") && refused.contains(said), "{place:?}: {refused}");
                assert!(refused.ends_with(&hint), "{place:?}: {refused}");
            }
        }
        assert!((env.dump(), env.files()) == before, "{place:?}: something moved");
        put(&env, place, &whole);
        env.sql().execute("update objects set version = 1", &[]).unwrap();
    }
}

#[test]
fn a_note_of_a_later_version_stops_the_apply_and_stays() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("apply --no-reload").expect(0);
    let hosts = fs::read_dir(env.path("state/hosts")).unwrap().flatten().next().unwrap().path();
    let note = hosts.join("acme/generations.json");
    let mut later: Value = serde_json::from_str(&fs::read_to_string(&note).unwrap()).unwrap();
    assert_eq!(later["format_version"], 2);
    later["format_version"] = json!(3);
    later["written_by"] = json!("9.1.0");
    fs::write(&note, later.to_string()).unwrap();
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo"]));
    let before = env.files();
    let refused = env.run("apply --no-reload").expect(1).stderr;
    assert!(
        refused.contains("it has format version 3, and reconcile ") && refused.contains(" reads up to 2"),
        "{refused}"
    );
    assert!(
        refused.contains("\nhint: use reconcile `9.1.0` or a later version; the file stays as it is\n"),
        "{refused}"
    );
    assert_eq!(fs::read_to_string(&note).unwrap(), later.to_string());
    assert!(env.files() == before, "a file moved");
    fs::write(&note, golden("generations.1.json")).unwrap();
    env.run("apply --no-reload").expect(0);
}

/// A server that is put back to an earlier version keeps what it cannot read.
#[test]
fn a_snapshot_of_a_later_version_is_kept() {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    let path = env.path("state/serve/applied-routes.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut kept: Value = serde_json::from_str(&golden("snapshot.1.json")).unwrap();
    kept["bolt"] = json!({ "format_version": 7, "written_by": "9.1.0" });
    fs::write(&path, kept.to_string()).unwrap();
    let statement = "insert into applied_routes (tenant, run, applied) values ('other', 3, $1::text::jsonb)";
    let other = LiveRoutes { tenant: of("other"), ..applied(3) };
    env.sql().execute(statement, &[&document::write(&other).unwrap()]).unwrap();
    let mut serve = Serve::start(&env, "--no-webhook");
    serve.says("those of the tenant `bolt`, use reconcile `9.1.0` or a later version: it has format version 7");
    serve.says(r#""run":3,"#);
    let after: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((&after["bolt"], &after["acme"]["run"], &after["other"]["run"]), (&kept["bolt"], &json!(6), &json!(3)));
    drop(serve);

    kept["format_version"] = json!(99);
    fs::write(&path, kept.to_string()).unwrap();
    Serve::start(&env, "--no-webhook").says("it is set aside in");
    let aside = fs::read_to_string(path.with_extension("unreadable.json")).unwrap();
    assert_eq!(aside, kept.to_string());
}
