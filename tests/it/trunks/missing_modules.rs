//! An Asterisk that lacks what inbound calls need is told so before anything moves: it would take the
//! files without a word, and route calls otherwise than declared.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use reconcile::render::Phonebook;

use super::declared;
use crate::{
    serve::server::{Serve, token},
    support::{Server, TestEnv, say},
};

const FILE: &str = "version: 1\ntenant: acme\n\
    trunks:\n  \
      carrier: { host: \"127.0.0.1:9\", identify: [203.0.113.9], username: acme, secret: { env: CARRIER_SECRET }, realm: carrier.example, register: true }\n\
    dialers:\n  desk: { number: \"+4930555001\", trunk: carrier }\n\
    hours:\n  office: { timezone: Europe/Berlin, open: [\"mon-fri 09:00-18:00\"] }\n\
    inbound:\n  - { to: \"+15559876543\", from: [\"+49*\", withheld], when: office, route: [desk] }\n\
    default_route: [ana@example.com]\n\
    users:\n  - { email: ana@example.com, name: Ana }\n";

/// What inbound calls need and a running Asterisk lets go of.
const MODULES: [&str; 9] = [
    "app_dial",
    "app_exec",
    "app_stack",
    "func_callerid",
    "func_logic",
    "func_sorcery",
    "func_strings",
    "res_pjsip_outbound_authenticator_digest",
    "res_pjsip_outbound_registration",
];

fn company(env: &mut TestEnv) {
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    env.write("pbx.yaml", FILE);
}

/// Fails unless an apply is refused in these words, without a trace.
#[track_caller]
fn is_refused(env: &TestEnv, words: &[&str]) {
    let before = env.files();
    let refused = env.run("apply").expect(3);
    let plan = env.run("plan --detailed-exitcode").expect(3);
    for words in words.iter().chain(&["error[rail-"]) {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.text());
        assert!(plan.stderr.contains(words), "{words}: {}", plan.text());
    }
    assert_eq!(env.files(), before);
}

#[test]
fn a_module_that_is_not_loaded_is_named_before_anything_moves() {
    let mut env = TestEnv::with_asterisk();
    company(&mut env);
    env.run("apply").expect(0);
    for module in MODULES {
        assert!(env.ask(&format!("module unload {module}.so")).contains("Unloaded"), "{module}");
    }
    let named = MODULES.map(|module| format!("{module} ("));
    is_refused(&env, &named.each_ref().map(String::as_str));
    for module in MODULES {
        assert!(env.ask(&format!("module load {module}.so")).contains("Loaded"), "{module}");
    }
    let plan = env.run("plan --detailed-exitcode").expect(0);
    assert!(!plan.stderr.contains("error["), "{}", plan.text());
    env.ask("module unload app_stack.so");
    let plan = env.run("plan").expect(0);
    let stop = "error[rail-missing-modules]: Asterisk has not loaded modules that calls need: \
        app_stack (Gosub, Return)\nhint: add `load = app_stack.so` to `modules.conf`";
    assert!(plan.stderr.contains(stop), "{}", plan.text());
    let token = token(&env, "ci", "apply");
    let dry_run = Serve::start(&env, "--no-webhook").client(&token).apply("?dry_run=true").expect(200);
    assert_eq!(dry_run.json()["rails"][0]["rail"], "missing-modules", "{}", dry_run.text);
    let status = env.run("status --detailed-exitcode").expect(2);
    assert!(status.stdout.contains("Asterisk has not loaded modules that calls need: app_stack"), "{}", status.text());
    // Phones that call each other need less, and are asked about that.
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers:\n  - { email: ana@example.com, name: Ana }\n");
    is_refused(&env, &["app_stack (Gosub, Return)"]);
    env.ask("module load app_stack.so");
    env.ask("module unload func_cut.so");
    env.run("apply").expect(0);
}

#[test]
fn each_word_of_the_dialplan_is_given_by_the_module_that_is_named() {
    let env = TestEnv::bare_with_asterisk();
    let group = "groups:\n  sales: { members: [ana@example.com, \"+4930555002\"], trunk: carrier }\nhours:";
    let declared = declared(&FILE.replace("hours:", group));
    let book = Phonebook {
        tenant: &declared.tenant,
        settings: &declared.settings,
        directory: None,
        phones: Vec::new(),
        routes: &declared.routes,
    };
    let words = book.needs().expect("it can be rendered").words;
    assert!(words.len() > 10, "{words:?}");
    for (word, module) in words {
        let shown = ["application", "function"].map(|kind| env.ask(&format!("core show {kind} {word}"))).concat();
        let given = shown.lines().skip_while(|line| !line.contains("[Provided By]")).nth(1).unwrap_or_default();
        assert!(given.contains(module), "{word}: {shown}");
    }
}

/// The rest, kept out by `modules.conf`.
#[test]
fn modules_that_were_never_loaded_are_named_together() {
    let mut env = TestEnv::new();
    company(&mut env);
    let never = ["func_cut", "res_pjsip_caller_id", "res_pjsip_endpoint_identifier_ip"];
    let lines = never.map(|module| format!("noload = {module}.so\n")).concat();
    fs::write(env.etc("modules.conf"), format!("[modules]\nautoload = yes\n{lines}")).expect("a file");
    env.start_asterisk();
    let words = "func_cut (CUT), res_pjsip_caller_id (the endpoint of trunks), \
        res_pjsip_endpoint_identifier_ip (the identify of trunks)";
    is_refused(&env, &[words]);
    let users: i64 = env.sql().query_one("select count(*) from users", &[]).expect("a row").get(0);
    assert_eq!(users, 0, "nothing is recorded");
    for module in never {
        assert!(env.ask(&format!("module load {module}.so")).contains("Loaded"), "{module}");
    }
    env.run("apply").expect(0);
}

/// A zone that Asterisk does not know is UTC to it, and it says nothing.
#[test]
fn a_time_zone_that_the_host_does_not_know_is_reported_before_anything_moves() {
    const BARE: [&str; 4] = ["unshare", "-m", "sh", "-c"];
    const HIDE: &str = "mount -t tmpfs none /usr/share/zoneinfo && exec \"$@\"";
    let may = Command::new(BARE[0]).args(&BARE[1..]).args([HIDE, "sh", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        say("skipped: no mount namespaces here");
        return;
    }
    let mut env = TestEnv::new();
    company(&mut env);
    let by: Vec<&str> = BARE.into_iter().chain([HIDE, "sh"]).collect();
    let server = Server::start_by(&by, "asterisk", &env.path("asterisk"), &[]);
    env.keep_asterisk(server);
    is_refused(
        &env,
        &["time zone `Europe/Berlin`: at 2", "T12:00 and reconcile shows 2", "install or update `tzdata`"],
    );
    let plan = env.run("plan").expect(0);
    assert_eq!(plan.stderr.matches("error[rail-clocks]").count(), 1, "{}", plan.text());
    // What is the same everywhere needs no data, and the time zones of nobody's hours are not asked for.
    env.write("pbx.yaml", &FILE.replace("Europe/Berlin", "Etc/UTC"));
    env.run("apply").expect(0);
}

/// An operator may allow us what an apply itself asks and nothing more: `forbids` is what the client does with
/// the rest.
fn is_applied_without_asking(forbids: &str, unasked: &str) {
    let mut env = TestEnv::with_asterisk();
    company(&mut env);
    let client = env.path("narrow");
    let real = env.path("asterisk/bin/asterisk");
    let script = format!(
        "#!/bin/sh\ncase $2 in 'core show applications'|'core show functions'|'module show like '*|'dialplan eval '*) {forbids};; esac\nexec {} \"$@\"\n",
        real.display()
    );
    fs::write(&client, script).expect("a file");
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).expect("a mode");
    env.set("ASTERISK_COMMAND", client.to_str().expect("a path"));
    let words =
        format!("the check for the modules that calls need is incomplete: Asterisk does not answer {unasked}\n");
    let plan = env.run("plan --detailed-exitcode").expect(2);
    assert!(plan.stdout.contains(&format!("note: {words}")), "{}", plan.text());
    assert!(!plan.stderr.contains("error["), "{}", plan.text());
    let applied = env.run("apply").expect(0);
    assert!(applied.stderr.contains(&format!("warning: {words}")), "{}", applied.text());
    env.run("status --detailed-exitcode").expect(0);
    let report = token(&env, "ci", "apply");
    let applied = Serve::start(&env, "--no-webhook").client(&report).apply("").expect(200).json();
    assert_eq!(applied["outcome"], "live", "{applied}");
}

#[test]
fn what_asterisk_may_not_be_asked_is_no_error() {
    let all =
        "`core show applications`, `core show functions`, `dialplan eval function`, `module show like res_pjsip_`";
    is_applied_without_asking("echo \"You do not have permissions to run '$2' command\"; exit 0", all);
    is_applied_without_asking("echo 'sudo: a password is required' >&2; exit 1", all);
}
