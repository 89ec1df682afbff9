//! Old phones let go, whatever way their login ended; who logged in anew stays. With SIPp as the
//! phones, on a running Asterisk 22. What an apply lets go at once is in `phones.rs`.

use std::{process::Stdio, thread, time::Duration};

use super::{
    phones::{apply, nothing_in_the_log, pbx, registered, write},
    sipp::Phone,
    support::{TestEnv, until},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";
const BO_DECLARED: &str = "email: bo@example.com, name: Bo, secret: { env: BO_SIP_SECRET }";

/// Two users whose phones are registered.
fn two_phones() -> (TestEnv, Phone) {
    let env = pbx(&[ANA, BO]);
    let (ana, bo) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "bo@example.com"));
    ana.registers();
    bo.registers();
    (env, bo)
}

#[test]
fn a_number_reused_in_the_same_apply_is_the_new_users_alone() {
    let (env, bo) = two_phones();
    apply(&env, &[ANA, CLEO], "");
    assert_eq!(registered(&env), ["1000"]);
    bo.is_refused();
    let cleo = Phone::of(&env, "cleo@example.com");
    assert_eq!((cleo.username.as_str(), cleo.secret == bo.secret), ("1001", false));
    cleo.registers();
    assert_eq!(registered(&env), ["1000", "1001"]);
    nothing_in_the_log(&env);
}

/// How many users have phones in the tests of many.
const MANY: usize = 300;

/// Registers a phone for each of the numbers from `first` on, behind Asterisk's back.
fn register_many(env: &TestEnv, first: usize, count: usize) {
    let last = first + count - 1;
    let done = env.ask(&format!(
        "database query \"WITH RECURSIVE n(x) AS (SELECT {first} UNION ALL SELECT x+1 FROM n WHERE x<{last}) \
         INSERT INTO astdb SELECT '/registrar/contact/'||x||';@0123456789abcdef0123456789abcdef', \
         '{{\\\"uri\\\":\\\"sip:'||x||'@127.0.0.1:9\\\",\\\"expiration_time\\\":\\\"4000000000\\\",\
         \\\"endpoint\\\":\\\"'||x||'\\\"}}' FROM n\""
    ));
    assert!(!done.contains("Error"), "{done}");
    assert!(recorded(env).len() >= count, "{done}");
}

/// Lists the numbers with a registration in Asterisk's database, those of nobody's phone as well.
fn recorded(env: &TestEnv) -> Vec<String> {
    let answer = env.ask("database show registrar/contact");
    let number = |line: &str| Some(line.strip_prefix("/registrar/contact/")?.split_once(";@")?.0.to_owned());
    answer.lines().filter_map(number).collect()
}

/// Declares many users, with this realm.
fn declare_many(env: &TestEnv, users: usize, realm: &str) {
    let line = |n| format!("  - {{ email: u{n}@example.com, name: User {n} }}\n");
    let users: String = (0..users).map(line).collect();
    env.write("pbx.yaml", &format!("version: 1\ntenant: acme\nphones: {{ realm: {realm} }}\nusers:\n{users}"));
}

/// Asks Asterisk through a client that notes each command, and refuses those with `refused` in them.
fn note_commands(env: &mut TestEnv, refused: &str) -> std::path::PathBuf {
    let (client, noted) = (env.path("client"), env.path("commands"));
    let script = format!(
        "printf '%s\\n' \"$2\" >>{}\ncase $2 in {refused}) echo \"No such command '$2'\"; exit;; esac\nexec {} \"$@\"\n",
        noted.display(),
        env.path("asterisk/bin/asterisk").display()
    );
    std::fs::write(&client, script).unwrap();
    env.set("ASTERISK_COMMAND", &format!("sh {}", client.display()));
    noted
}

/// A changed realm of 10,000 phones took minutes under the host's lock, four commands a phone.
#[test]
fn many_registrations_are_ended_together_and_no_others() {
    let mut env = TestEnv::with_asterisk();
    declare_many(&env, MANY, "asterisk");
    env.run("apply").expect(0);
    register_many(&env, 1000, MANY);
    register_many(&env, 5000, 20); // another file's
    let noted = note_commands(&mut env, "nothing");
    declare_many(&env, MANY, "other");
    let applied = env.run("apply --allow relogins=300").expect(0).stdout;
    assert!(applied.contains("300 registrations of old phones deleted"), "{applied}");
    assert_eq!(recorded(&env), (5000..5020).map(|number| number.to_string()).collect::<Vec<_>>());
    let commands = std::fs::read_to_string(&noted).unwrap();
    // The read-back looks at some AORs one by one, as always.
    assert!(commands.lines().filter(|line| line.contains("database ")).count() < 20, "{commands}");

    // Phones whose AOR is gone as well.
    register_many(&env, 1000, MANY);
    declare_many(&env, 10, "other");
    std::fs::remove_file(&noted).unwrap();
    let applied = env.run("apply --allow deletes=290").expect(0).stdout;
    assert!(applied.contains("290 registrations of old phones deleted"), "{applied}");
    assert_eq!(recorded(&env).len(), 10 + 20);
    let commands = std::fs::read_to_string(&noted).unwrap();
    assert!(commands.lines().filter(|line| line.contains("database ")).count() < 20, "{commands}");
    nothing_in_the_log(&env);
}

#[test]
fn many_registrations_are_ended_one_by_one_if_the_operator_forbids_queries() {
    let mut env = TestEnv::with_asterisk();
    declare_many(&env, 20, "asterisk");
    env.run("apply").expect(0);
    register_many(&env, 1000, 20);
    note_commands(&mut env, "*'database query'*");
    declare_many(&env, 20, "other");
    let applied = env.run("apply --allow relogins=20").expect(0).stdout;
    assert!(applied.contains("20 registrations of old phones deleted"), "{applied}");
    assert_eq!(recorded(&env), [""; 0]);
}

#[test]
fn a_renamed_user_keeps_the_registration() {
    let (env, bo) = two_phones();
    apply(&env, &[ANA, "email: robert@example.com, name: Robert, previously: bo@example.com"], "");
    assert_eq!(registered(&env), ["1000", "1001"]);
    bo.registers();
    nothing_in_the_log(&env);
}

#[test]
fn a_rotated_secret_ends_the_old_registration_with_the_next_apply() {
    let (env, old) = two_phones();
    env.run("secret rotate bo@example.com").expect(0);
    old.registers();
    let new = Phone::of(&env, "bo@example.com");
    new.is_refused();
    apply(&env, &[ANA, BO], "");
    assert_eq!(registered(&env), ["1000"]);
    old.is_refused();
    new.registers();
    assert_eq!(registered(&env), ["1000", "1001"]);
    nothing_in_the_log(&env);
}

#[test]
fn phones_deleted_by_a_sync_expire_with_the_next_apply() {
    let (env, bo) = two_phones();
    write(&env, &[ANA]);
    env.run("sync").expect(0);
    assert_eq!(registered(&env), ["1000", "1001"]);
    bo.registers();
    env.run("apply").expect(0);
    assert_eq!(registered(&env), ["1000"]);
    bo.is_refused();
    nothing_in_the_log(&env);
}

#[test]
fn an_apply_killed_between_reload_and_purge_is_finished_by_the_next() {
    for point in ["reloaded", "read-back", "proven", "let-go"] {
        let (mut env, bo) = two_phones();
        write(&env, &[ANA]);
        env.set("RECONCILE_FAIL_POINT", &format!("{point}=kill"));
        let killed = env.command(&["apply"]).stdout(Stdio::null()).status().expect("reconcile runs");
        assert_eq!(killed.code(), None, "{point}");
        bo.is_refused();
        env.set("RECONCILE_FAIL_POINT", "");
        env.run("apply").expect(0);
        assert_eq!(registered(&env), ["1000"], "{point}");
        nothing_in_the_log(&env);
    }
}

/// The way back ends what the step was to end, not what the generation gone back to had left.
#[test]
fn registrations_left_by_a_killed_apply_expire_even_if_the_next_one_was_put_back() {
    let (mut env, bo) = two_phones();
    write(&env, &[ANA]);
    env.set("RECONCILE_FAIL_POINT", "proven=kill");
    env.command(&["apply"]).stdout(Stdio::null()).status().expect("reconcile runs");
    write(&env, &["email: ana@example.com, name: Ana Silva"]);
    env.set("RECONCILE_FAIL_POINT", "read-back=error");
    env.run("apply").expect(6);
    env.set("RECONCILE_FAIL_POINT", "");
    env.run("apply --again").expect(0);
    assert_eq!(registered(&env), ["1000"]);
    bo.is_refused();
    nothing_in_the_log(&env);
}

/// Whoever reloads after `--no-reload`, the phones that went with it are let go by the next apply.
#[test]
fn a_reload_by_another_program_keeps_no_old_registration() {
    let (env, _bo) = two_phones();
    apply(&env, &[ANA], "--no-reload");
    env.ask("module reload res_pjsip.so");
    assert_eq!(registered(&env), ["1000", "1001"]);
    // At once, ...
    env.run("apply").expect(0);
    assert_eq!(registered(&env), ["1000"]);

    // ... and also where somebody else gets the number meanwhile.
    let (env, _bo) = two_phones();
    apply(&env, &[ANA], "--no-reload");
    env.ask("module reload res_pjsip.so");
    apply(&env, &[ANA, CLEO], "");
    assert_eq!(registered(&env), ["1000"]);
    nothing_in_the_log(&env);
}

/// What runs is told from the generations rendered since the last proof, not from the last proof.
#[test]
fn a_registration_after_a_reload_by_another_program_stays() {
    let (env, _old) = two_phones();
    env.run("secret rotate bo@example.com").expect(0);
    apply(&env, &[ANA, BO], "--no-reload");
    env.ask("module reload res_pjsip.so");
    let new = Phone::of(&env, "bo@example.com");
    new.registers();
    let renamed = [&format!("{ANA} Silva"), BO];
    apply(&env, &renamed, "--no-reload");
    apply(&env, &renamed, "");
    assert_eq!(registered(&env), ["1000", "1001"]);
    nothing_in_the_log(&env);
}

#[test]
fn a_new_registration_before_the_purge_stays() {
    let mut env = TestEnv::with_asterisk();
    env.set("BO_SIP_SECRET", "the-first-one-of-bo-7");
    apply(&env, &[ANA, BO_DECLARED], "");
    let mut phone = Phone::of(&env, "bo@example.com");
    phone.registers();

    thread::sleep(Duration::from_millis(1100)); // Asterisk counts a registration's life in seconds

    let before = env.ask("pjsip show auth 1001");
    env.set("BO_SIP_SECRET", "the-second-one-of-bo-8");
    "the-second-one-of-bo-8".clone_into(&mut phone.secret);
    env.set("RECONCILE_FAIL_POINT", "proven=delay");
    let mut apply = env.command(&["apply"]).stdout(Stdio::null()).spawn().expect("reconcile runs");
    until("the new secret holds", || env.ask("pjsip show auth 1001") != before);
    phone.registers();
    assert_eq!(apply.try_wait().expect("a child"), None, "the purge is still to come");
    assert!(apply.wait().expect("a child").success());
    assert_eq!(registered(&env), ["1001"]);
    env.set("RECONCILE_FAIL_POINT", "");
    env.run("apply").expect(0);
    assert_eq!(registered(&env), ["1001"], "nor does the next apply take it for an old one");
    nothing_in_the_log(&env);
}
