//! `reconcile doctor` on a real host: what is in order, and what is not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";

/// The ids of the findings, without those that hold for every machine of the tests.
fn ids(env: &TestEnv, args: &str) -> Vec<String> {
    let begun = Instant::now();
    let outcome = env.run(&format!("doctor --format json {args}")).expect(0);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}: {}", begun.elapsed(), outcome.text());
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../schema/doctor.schema.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("doctor.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("doctor.json", &mut schemas).unwrap();
    schemas.validate(&document, schema).unwrap_or_else(|error| panic!("{error}\n{document:#}"));
    let ids = document["findings"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap().to_owned());
    ids.filter(|id| !["resolver-unbound", "database-role"].contains(&id.as_str())).collect()
}

/// A host with one phone that is applied.
fn office() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env
}

#[test]
fn a_host_in_order_needs_no_act() {
    let env = office();
    let (dump, files) = (env.dump(), env.files());
    assert_eq!(ids(&env, ""), [""; 0]);
    assert_eq!((env.dump(), env.files()), (dump, files));
    let text = env.run("doctor -v").expect(0).stdout;
    assert!(
        text.contains("\nok, looked for and not found:\n  asterisk-silent: Asterisk does not run, does not"),
        "{text}"
    );
    // The lab loads no resolver, and its database has one role.
    assert_eq!(
        env.run("doctor").expect(0).stdout,
        "resolver-unbound: Asterisk has not loaded `res_resolver_unbound`, so one phone can hold up the requests of all\n  \
         fix: add `load = res_resolver_unbound.so` to `modules.conf` and restart Asterisk; without the module, set \
         `taskprocessor_overload_trigger = pjsip_only` in `[global]` of `pjsip.conf`\n\
         database-role: the role of [url] is a superuser\n  \
         fix: make a role of its own, with `docs/database.md`, and name it in DATABASE_URL\n\
         2 findings; 40 checks found nothing.\n"
            .replace("[url]", &shown_url(&env))
    );
    env.run("doctor --strict").expect(1);
}

fn shown_url(env: &TestEnv) -> String {
    let line = env.run("doctor").stdout;
    let (_, rest) = line.split_once("database-role: the role of ").expect("a superuser");
    rest.split_once(" is a superuser").unwrap().0.to_owned()
}

#[test]
fn a_host_without_anything_applied_has_no_finding_about_tenants() {
    let env = TestEnv::new();
    let found = ids(&env, "");
    assert_eq!(found, ["asterisk-silent"]);
}

/// The operator's mistakes, each of which an apply or the next start of Asterisk would meet.
#[test]
fn mistakes_in_the_operators_files_are_found_with_their_lines() {
    let env = office();
    let conf = env.etc("pjsip.conf");
    let good = fs::read_to_string(&conf).unwrap();
    let lines = good.lines().count();
    let bad = format!(
        "{good}\n[1000](+)\ncontext = elsewhere\n[1000]\ntype = aor\n[anonymous]\ntype = endpoint\n\
         [global]\ntype = global\ndefault_realm = pbx\n#include gone.conf\n"
    );
    fs::write(&conf, bad).unwrap();
    let found = ["broken-include", "changes-ours", "duplicate-name", "anonymous", "realm"];
    assert_eq!(ids(&env, ""), found);
    let text = env.run("doctor").expect(0).stdout;
    let place = format!("pjsip.conf:{}", lines + 4);
    assert!(text.contains(&format!("duplicate-name: {place} defines the aor `1000`, which")), "{text}");
    fs::write(&conf, good.replace("#tryinclude pjsip.d", ";tryinclude pjsip.d")).unwrap();
    assert_eq!(ids(&env, ""), ["missing-include"]);
    fs::write(&conf, good).unwrap();
    assert_eq!(ids(&env, ""), [""; 0]);
}

#[test]
fn a_generated_file_that_was_touched_is_found() {
    let env = office();
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let good = env.endpoints("acme");
    fs::write(&path, good.replace("\"Ana\"", "\"Mallory\"")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ids(&env, ""), ["edited-file", "open-file"]);
    fs::write(&path, good).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Another database has the same file in place.
    let mut env = env;
    let other = TestEnv::new();
    other.run("migrate").expect(0);
    env.database.clone_from(&other.database);
    assert_eq!(ids(&env, ""), ["foreign-file", "foreign-file"]);
}

/// Neither may hold it up: two seconds are all it takes.
#[test]
fn an_asterisk_and_a_database_that_hang_are_findings() {
    let mut env = office();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    env.database = Some(format!("postgres://pbx@127.0.0.1:{port}/pbx"));
    fs::write(env.path("hangs"), "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(env.path("hangs"), fs::Permissions::from_mode(0o755)).unwrap();
    let hangs = env.path("hangs").display().to_string();
    env.set("ASTERISK_COMMAND", &hangs);
    assert_eq!(ids(&env, ""), ["asterisk-silent", "database-away"]);
    let text = env.run("doctor").expect(0).stdout;
    assert!(text.contains("unchecked (operator): what the tenants need: the database cannot be read\n"), "{text}");
}

#[test]
fn a_key_that_does_not_fit_and_files_with_secrets_are_found() {
    let mut env = office();
    env.write("acme.secrets", "ana@example.com\tcanary-of-the-import\n");
    env.plant("canary-of-the-import");
    fs::write(env.path("twilio"), "canary-of-twilio").unwrap();
    fs::set_permissions(env.path("twilio"), fs::Permissions::from_mode(0o644)).unwrap();
    let twilio = env.path("twilio").display().to_string();
    env.set("TWILIO_AUTH_TOKEN_FILE", &twilio);
    env.set("RECONCILE_SECRET_KEY", "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMzQ=");
    assert_eq!(ids(&env, ""), ["key", "open-secret-file", "import-file-left"]);
}

/// A wrong folder looked like a host in order: nothing in it could be wrong.
#[test]
fn a_configuration_folder_that_is_missing_is_found_and_asterisk_names_its_own() {
    let mut env = office();
    let args = "--asterisk-config-dir /nonexistent";
    let found = "missing-folder: there is no folder `/nonexistent`\n  fix: the running Asterisk reads another one: \
                 `--asterisk-config-dir [test]/asterisk/etc`\n";
    let text = env.run(&format!("doctor {args}")).expect(0).stdout;
    assert!(text.contains(found) && text.contains("unchecked (files): there is no folder `/nonexistent`\n"), "{text}");
    // The same words wherever it is needed.
    let words = "there is no folder `/nonexistent`";
    let own = "the running Asterisk reads another one: `--asterisk-config-dir [test]/asterisk/etc`";
    for command in ["import --running --tenant other --patch x.patch", "apply"] {
        let refused = env.run(&format!("{command} {args}")).expect(1);
        assert_eq!(refused.stderr.replace("connecting", ""), format!("error: {words}\nhint: {own}\n"), "{command}");
    }
    let status = env.run(&format!("status {args}")).expect(0).stdout;
    assert!(status.contains(&format!("{words}: {own}")), "{status}");
    let plan = env.run(&format!("plan {args}")).expect(0);
    assert!(plan.text().contains(&format!("the running Asterisk: {words} here; {own}\n")), "{}", plan.text());
    let init = env.run(&format!("init --tenant other --dry-run {args}")).expect(0).stdout;
    let told = format!("in the file, because {words}.\nhint: {own}\n");
    assert!(init.contains(&told) && !init.contains("Add this line"), "{init}");
    env.stop_asterisk();
    let text = env.run(&format!("doctor {args}")).expect(0).stdout;
    assert!(text.contains("  fix: name Asterisk's configuration folder with `--asterisk-config-dir`\n"), "{text}");
}
