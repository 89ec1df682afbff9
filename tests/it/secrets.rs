//! A planted secret never shows: not in any output, log, file, audit row or error message.

use std::fs;

use super::support::{KEY, TestEnv, desired};

/// In every place where a secret can be, one of its own. What is found tells where it came from.
struct Planted {
    variable: &'static str,
    second: &'static str,
    file: &'static str,
    pasted: &'static str,
    database: &'static str,
    elsewhere: &'static str,
    key: &'static str,
    edited: &'static str,
    operator: &'static str,
    plan: &'static str,
}

const PLANTED: Planted = Planted {
    variable: "canary-of-the-variable-1",
    second: "canary-of-the-variable-2",
    file: "canary-of-the-secret-file",
    pasted: "canary-pasted-into-yaml",
    database: "canary-of-the-database",
    elsewhere: "canary-of-another-database",
    key: "canary-of-a-broken-key",
    edited: "canary-of-a-hand-edited-file",
    operator: "canary-of-the-operators-file",
    plan: "canary-in-a-plan",
};

impl Planted {
    fn all(&self) -> [&'static str; 10] {
        let Self { variable, second, file, pasted, database, elsewhere, key, edited, operator, plan } = *self;
        [variable, second, file, pasted, database, elsewhere, key, edited, operator, plan]
    }
}

const BO: &str = "email: bo@example.com, name: Bo, secret: { env: BO_SIP_SECRET }";
const CY: &str = "email: cy@example.com, name: Cy, secret: { file: cy }";

/// A running Asterisk and a database with a password, all secrets planted, all that is said logged;
/// `TestEnv` searches what each command says, and in the end what all of them left.
fn planted() -> TestEnv {
    let mut env = TestEnv::with_asterisk();
    for secret in PLANTED.all() {
        env.plant(secret);
    }
    env.database = env.database.as_ref().map(|url| format!("{url}&password={}", PLANTED.database));
    for folder in ["secrets", "tmp"] {
        fs::create_dir(env.path(folder)).unwrap();
    }
    fs::write(env.path("secrets/cy"), format!("{}\n", PLANTED.file)).unwrap();
    for (name, folder) in [("RECONCILE_SECRETS_DIR", "secrets"), ("TMPDIR", "tmp")] {
        let folder = env.path(folder).display().to_string();
        env.set(name, &folder);
    }
    env.set("BO_SIP_SECRET", PLANTED.variable);
    env.set("RECONCILE_LOG", "trace");
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana", BO, CY]));
    env
}

/// Everything that says something, whatever its exit code.
const TALK: &[&str] = &[
    "check",
    "check --format json",
    "plan",
    "plan --format json",
    "plan --format markdown",
    "plan --no-asterisk",
    "status --registrations",
    "status --format json",
    "users --format json",
    "history",
    "history --format json",
];

/// Lets everything speak, the last run with its diff too.
fn everything_speaks(env: &TestEnv) {
    for args in TALK {
        env.run(args);
    }
    let last: i64 = env.sql().query_one("select coalesce(max(id), 0) from apply_audit_log", &[]).unwrap().get(0);
    env.run(&format!("history {last}"));
    env.run(&format!("history {last} --format json"));
}

#[test]
fn secrets_from_the_environment_and_from_files_are_found_nowhere() {
    let mut env = planted();
    env.run("plan --format markdown").expect(0);
    env.run("apply").expect(0);
    everything_speaks(&env);
    env.run("apply --format json").expect(0);
    // Both change: told as a change, stopped by the rail, applied.
    env.set("BO_SIP_SECRET", PLANTED.second);
    fs::write(env.path("secrets/cy"), PLANTED.plan).unwrap();
    everything_speaks(&env);
    env.run("apply --allow relogins=0").expect(3);
    env.run("apply --allow relogins=9").expect(0);
    env.run("secret rotate ana@example.com").expect(0);
    everything_speaks(&env);
    env.run("apply --format markdown").expect(0);
    // What cannot be had is said without what was had.
    fs::write(env.path("secrets/cy"), format!("{}\u{1b}[31m", PLANTED.file)).unwrap();
    env.run("plan");
    env.run("apply").expect(1);
    fs::write(env.path("secrets/cy"), format!("{}\nsecond line", PLANTED.file)).unwrap();
    env.run("apply").expect(1);
    env.set("RECONCILE_SECRETS_DIR", PLANTED.file);
    fs::write(env.path("secrets/cy"), PLANTED.file).unwrap();
    nothing_is_left(&env);
}

#[test]
fn a_secret_pasted_into_the_file_is_found_nowhere() {
    let env = planted();
    let pasted = PLANTED.pasted;
    let user = |rest: &str| format!("email: ana@example.com, name: Ana, {rest}");
    for line in [
        user(&format!("secret: {pasted}")),
        user(&format!("secret: \"{pasted}\"")),
        user(&format!("secret: {{ env: '{pasted} {pasted}' }}")),
        user(&format!("secret: {{ file: '../{pasted}' }}")),
        user(&format!("secret: {{ value: {pasted} }}")),
        user(&format!("secret: {{ {pasted}: env }}")),
        user(&format!("secret: [{pasted}]")),
        user(&format!("secret: !secret {pasted}")),
        user(&format!("password: {pasted}")),
        user(&format!("Pasword: {pasted}")),
        user(&format!("sip_secret: {pasted}")),
        user(&format!("phone: {{ secret: {pasted} }}")),
        user(&format!("phone: {{ realm: asterisk, password: {pasted} }}")),
        user(&format!("secret: {pasted}, secret: {pasted}")),
        user(&format!("secret: \"{pasted}")),
    ] {
        env.write("pbx.yaml", &desired(&[&line]));
        for args in ["check", "check --format json", "plan", "plan --format markdown", "apply"] {
            env.run(args).expect(65);
        }
        env.run("status --detailed-exitcode").expect(65);
    }
    // A name like any other, but none that is allowed: it may be the secret itself.
    env.write("pbx.yaml", &desired(&[&user(&format!("secret: {{ env: {pasted} }}"))]));
    for args in ["check", "plan", "plan --format json", "plan --format markdown"] {
        env.run(args).expect(0);
    }
    env.run("apply").expect(1);
    env.run("status");
    for text in [
        format!("phones: {{ password: {pasted} }}\n"),
        format!("database_password: {pasted}\n"),
        format!("secret: |\n  {pasted}\n"),
    ] {
        env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + &text));
        env.run("check").expect(65);
        env.run("check --format json").expect(65);
    }
    nothing_is_left(&env);
}

#[test]
fn the_passwords_and_keys_of_the_set_up_are_found_nowhere() {
    let mut env = planted();
    env.run("apply").expect(0);
    let url = env.database.clone().unwrap();
    let password = PLANTED.elsewhere;
    for wrong in [
        format!("postgres://pbx:{password}@127.0.0.1:1/pbx"),
        format!("postgres://pbx:{password}@nowhere.invalid/pbx?sslmode=verify-full"),
        format!("postgres://pbx:{password}@127.0.0.1:1,127.0.0.1:2/pbx?target_session_attrs=read-write"),
        format!("postgres://pbx@127.0.0.1:1/pbx?password={password}"),
        format!("host=127.0.0.1 port=1 user=pbx password={password}"),
        format!("postgres://pbx:{password}@127.0.0.1:port/pbx"),
        format!("postgres://pbx:{password}@[::1/pbx"),
        format!("postgres://pbx:{password}@127.0.0.1/pbx?sslmode={password}"),
        format!("postgres://pbx:{password}@127.0.0.1/pbx?{password}=1"),
        format!("pbx:{password}@127.0.0.1/pbx"),
        password.to_owned(),
        url.replace("user=postgres", &format!("user=nobody-{}", std::process::id())),
        url.replace("/t", "/no-such-database-t"),
    ] {
        env.set("DATABASE_URL", &wrong);
        for args in ["plan", "apply", "status", "history", "users", "migrate"] {
            env.run(args).expect(1);
        }
    }
    env.set("DATABASE_URL", &url);

    let key = PLANTED.key;
    let wrong = "//////////////////////////////////////////8=";
    for value in [key.to_owned(), format!("{wrong},{key}"), format!("{key}="), wrong.to_owned()] {
        env.set("RECONCILE_SECRET_KEY", &value);
        env.run("apply").expect(1);
        env.run("secret show ana@example.com").expect(1);
    }
    env.set("RECONCILE_SECRET_KEY", "");
    for text in [key, "", "\u{0}"] {
        fs::write(env.path("home/key"), text).unwrap();
        let path = env.path("home/key").display().to_string();
        env.set("RECONCILE_SECRET_KEY_FILE", &path);
        env.run("apply").expect(1);
    }
    fs::write(env.path("home/key"), KEY).unwrap();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana Silva", BO, CY]));
    env.run("apply").expect(0);
    // A row that was tampered with.
    env.sql()
        .execute("update users set secret_sealed = 'x' || secret_sealed where email = 'ana@example.com'", &[])
        .unwrap();
    env.run("apply").expect(1);
    nothing_is_left(&env);
}

/// Asterisk quotes digests in its log, and operators write passwords into their files.
#[test]
fn output_of_asterisk_and_edits_of_operators_are_shown_without_secrets() {
    let mut env = planted();
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    let (secret, hash) = (PLANTED.operator, "0123456789abcdef0123456789abcdef");
    env.plant(hash);
    let auth = |line: &str| format!("[x]\ntype = auth\nusername = x\n{line}\n");
    let twice = "[twice]\ntype = endpoint\n[twice]\ntype = endpoint\n";
    for (number, mistake) in [
        auth(&format!("password = {secret}")) + twice,
        auth(&format!("auth_type = digest\npassword_digest = MD5:{secret}")) + twice,
        auth(&format!("auth_type = digest\npassword_digest = SHA-1:{hash}")) + twice,
        auth(&format!("auth_type = {hash}\nmd5_cred = {secret}")) + twice,
        format!("[x]\ntype = aor\nmax_contacts = {hash}\n{twice}"),
        format!("[y](password={secret})\n"),
        format!("#include password={secret}.conf\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let head = format!("{mistake}\n{operators}");
        fs::write(&conf, head).unwrap();
        env.set("BO_SIP_SECRET", &format!("canary-of-round-{number}"));
        let failed = env.run("apply --allow relogins=9");
        assert!(failed.code == 6 && failed.stderr.contains("  its log: "), "{mistake}: {}", failed.text());
        everything_speaks(&env);
        fs::write(&conf, &operators).unwrap();
        env.run("apply --again --allow relogins=9").expect(0);
    }
    let log = fs::read_to_string(env.path("asterisk/log/full")).unwrap();
    for word in [secret, hash] {
        assert!(log.contains(word), "Asterisk never quoted {word}");
    }
    nothing_is_left(&env);
}

#[test]
fn edits_of_our_files_and_plans_are_shown_without_secrets() {
    let env = planted();
    let plan = env.run("plan --format json").expect(0).stdout;
    env.run("apply").expect(0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let good = env.endpoints("acme");
    let (secret, mine) = (PLANTED.edited, good.lines().find(|line| line.starts_with("password_digest")).unwrap());
    for edit in [
        format!("[x]\ntype = auth\nPassword => {secret}\nmd5_cred = {secret}\n"),
        format!(";password = {secret}\n"),
        format!("; the password: {secret}\n"),
        format!(";{mine}\n"),
        format!("set_var = SIP_PASSWORD={secret}\n"),
        format!("  {mine}\n"),
        format!("refresh_token = {secret}\n"),
    ] {
        for text in [good.clone() + &edit, good.replacen("\n; ana@", &format!("\n{edit}; ana@"), 1)] {
            fs::write(&path, &text).unwrap();
            everything_speaks(&env);
            env.run("apply").expect(0);
            everything_speaks(&env);
        }
    }
    // A plan that is no longer true, and files that are no plans.
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana Silva", BO, CY]));
    let note = format!("{{ \"password\": \"{}\", \"format_version\"", PLANTED.plan);
    for text in [
        plan.replacen("{ \"format_version\"", &note, 1).replacen("{\n  \"format_version\"", &note, 1),
        format!("{{ \"format_version\": 1, \"id\": \"p1-0\", \"secret\": \"{}\" }}", PLANTED.plan),
        format!("password: {}\n", PLANTED.plan),
        PLANTED.plan.to_owned(),
    ] {
        env.write("plan.json", &text);
        assert_ne!(env.run("apply --expect plan.json").code, 0);
    }
    nothing_is_left(&env);
}

/// Nothing of a test lies in the folder for temporary files, nor in the one that commands ran in.
fn nothing_is_left(env: &TestEnv) {
    assert_eq!(fs::read_dir(env.path("tmp")).unwrap().count(), 0);
}

/// The search itself is no fake: each place in which it looks is one in which it finds.
mod the_search {
    use super::*;

    fn applied() -> TestEnv {
        let mut env = TestEnv::new();
        env.set("RECONCILE_ACTOR", "canary-actor");
        env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
        env.run("apply --no-reload").expect(0);
        env
    }

    #[test]
    #[should_panic(expected = "`users` shows a secret")]
    fn finds_it_in_what_a_command_says() {
        let env = applied();
        env.plant("ana@example.com");
        env.run("users");
    }

    #[test]
    #[should_panic(expected = "the audit log holds a secret")]
    fn finds_it_in_the_audit_log() {
        applied().plant("canary-actor");
    }

    #[test]
    #[should_panic(expected = "a plain secret stands in")]
    fn finds_it_in_the_notes() {
        let env = applied();
        env.plant("canary-note");
        fs::write(env.path("state/note"), "canary-note").unwrap();
    }

    #[test]
    #[should_panic(expected = "a digest stands in")]
    fn finds_digests_outside_the_last_good_files() {
        let env = applied();
        fs::write(env.path("state/note"), env.endpoints("acme")).unwrap();
    }

    #[test]
    #[should_panic(expected = "temporary files were left")]
    fn finds_temporary_files() {
        let env = applied();
        fs::write(env.etc("pjsip.d/acme/.reconcile-x"), "").unwrap();
    }

    #[test]
    #[should_panic(expected = "the output holds a secret")]
    fn finds_digests_in_what_was_said() {
        let env = applied();
        env.hear("a command", env.endpoints("acme").lines().find(|line| line.contains("MD5:")).unwrap());
    }
}

#[test]
fn only_secret_show_shows_a_secret() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("sync").expect(0);
    let shown = env.run("secret show ana@example.com --format json").expect(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["username"], "1000");
    assert_eq!(shown["realm"], "asterisk");
    let secret = shown["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 24, "a generated secret has 120 bits");
    for args in ["users", "users --format json", "plan --no-asterisk --format json", "check --format json"] {
        assert!(!env.run(args).text().contains(secret), "{args}");
    }
    let unknown = env.run("secret show nobody@example.com").expect(1);
    assert_eq!(
        unknown.stderr,
        "error: `nobody@example.com` is not recorded\nhint: `reconcile users` lists who is recorded\n"
    );
}
