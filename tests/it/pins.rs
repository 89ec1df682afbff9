//! Five digits are soon tried: nothing that the database holds, or that a command prints, tells whether a PIN is right.

use std::{collections::HashSet, fmt::Write, fs};

use hmac::{Hmac, KeyInit, Mac};
use reconcile::directory::seal::{Keyring, Owner};
use reconcile::model::Secret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::support::{KEY, TestEnv};

const COMPANY: &str = "version: 1\ntenant: acme\nextensions: { range: 1000-1999 }\n\
    voicemail: { users: true, boxes: { info: { name: Info desk } } }\nusers:\n  - { email: ana@example.com, name: Ana }\n";

const WHOSE: [&str; 2] = ["ana@example.com", "info"];

fn file(env: &TestEnv) -> String {
    fs::read_to_string(env.etc("voicemail.d/acme/generated_voicemail.conf")).expect("the voicemail file")
}

fn pins(env: &TestEnv) -> [String; 2] {
    WHOSE.map(|whose| {
        let shown = env.run(&format!("secret show {whose}")).expect(0).stdout;
        let (_, pin) = shown.split_once("pin       ").expect("a PIN");
        pin.trim_end().to_owned()
    })
}

/// Everything that the database holds.
fn database(env: &TestEnv) -> String {
    let mut sql = env.sql();
    let tables = sql.query("select table_name::text from information_schema.tables where table_schema = 'public'", &[]);
    let rows = tables.expect("tables").into_iter().flat_map(|row| {
        let rows = sql.query(&format!("select t::text from \"{}\" t", row.get::<_, &str>(0)), &[]).expect("rows");
        rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect::<Vec<_>>()
    });
    rows.collect()
}

/// Everything that commands print about the tenant, `secret show` excepted.
fn said(env: &TestEnv) -> String {
    let mut said = String::new();
    for format in ["text", "json", "markdown"] {
        said += &env.run(&format!("plan --no-asterisk --format {format}")).expect(0).text();
    }
    for command in ["status --no-asterisk", "history", "users"] {
        for format in ["text", "json"] {
            said += &env.run(&format!("{command} --format {format}")).expect(0).text();
        }
    }
    let runs: i64 = env.sql().query_one("select max(id) from apply_audit_log", &[]).expect("runs").get(0);
    (1..=runs).for_each(|run| said += &env.run(&format!("history {run} --format json")).expect(0).text());
    said
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The fingerprint of a box's secret, as the program takes it.
fn fingerprint(salt: &[u8], secret: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(salt).expect("a key");
    mac.update(format!("box:{secret}").as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The lines of a voicemail file without the tags.
fn without_tags(file: &str) -> String {
    let line = |line: &str| match line.split_once(" ; ") {
        Some((line, _)) if line.contains(" => -") => line.to_owned() + "\n",
        _ => line.to_owned(),
    };
    file.split_inclusive('\n').map(line).collect()
}

/// Who holds a text, and what each file is but for one PIN, tries all PINs on every hash in it.
fn found(env: &TestEnv, text: &str) -> Vec<String> {
    let hashes: HashSet<&str> = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 32).collect();
    let salts: Vec<Vec<u8>> =
        env.sql().query("select secret_salt from secrets", &[]).expect("salts").iter().map(|row| row.get(0)).collect();
    let (whole, pins) = (without_tags(&file(env)), pins(env));
    let (body, _) = whole.split_once("; generation\n").expect("a mark");
    let mut found = Vec::new();
    for guess in (0..100_000).map(|pin| format!("{pin:05}")) {
        let mut tried = vec![hex(&Sha256::digest(&guess)), hex(&Sha256::digest(format!("-{guess}")))];
        tried.extend(salts.iter().map(|salt| hex(&fingerprint(salt, &guess))));
        for pin in &pins {
            let as_guessed = |text: &str| hex(&Sha256::digest(text.replace(pin, &guess)));
            let body = as_guessed(body);
            tried.extend([as_guessed(&whole), body[..32].to_owned(), body]);
        }
        if tried.iter().any(|hash| hashes.contains(hash.as_str())) {
            found.push(guess);
        }
    }
    found
}

#[test]
fn no_pin_is_found_by_trying_all_of_them() {
    let env = TestEnv::new();
    env.write("pbx.yaml", COMPANY);
    let mut said = env.run("apply --no-reload --format json").expect(0).text();
    let first = pins(&env);
    said += &self::said(&env);
    // One is rotated and live, the other not yet.
    said += &env.run("secret rotate info --pin").expect(0).text();
    said += &env.run("apply --no-reload").expect(0).text();
    said += &env.run("secret rotate ana@example.com --pin").expect(0).text();
    said += &self::said(&env);
    let text = database(&env) + &said;
    assert_eq!(found(&env, &text), Vec::<String>::new());
    assert!([first, pins(&env)].iter().flatten().all(|pin| !said.contains(&format!("-{pin}"))));

    // The hashes are those of the program: with the tag, which only the file has, each is there.
    let file = file(&env);
    assert!(text.contains(&hex(&Sha256::digest(&file))), "{text}");
    let tag = |pin: &str| {
        let line = file.lines().find(|line| line.contains(&format!("-{pin},"))).expect("a line");
        line.split_once(" ; ").expect("a tag").1.to_owned()
    };
    let [_, info] = pins(&env);
    let row = "select secret_salt, secret_fingerprint from secrets join objects on id = object_id where name = 'info'";
    let row = env.sql().query_one(row, &[]).expect("a row");
    let secret = format!("{info}-{}", tag(&info));
    assert_eq!(fingerprint(row.get(0), &secret), row.get::<_, Vec<u8>>(1));
}

/// Makes the rows and the file those of a version that knew no tags.
fn take_tags_away(env: &TestEnv) {
    let (mut sql, ring) = (env.sql(), Keyring::parse(KEY).expect("keys"));
    sql.batch_execute(
        "delete from refinery_schema_history where version >= 13; drop table former_secrets, desired_states;
         alter table apply_audit_log drop column desired, drop column generation, drop column is_bad",
    )
    .expect("an older schema");
    let of = |name: &str| format!("select id, tenant_id from objects where kind = 'box' and name = '{name}'");
    for (pin, name) in pins(env).iter().zip(["1", "info"]) {
        let row = sql.query_one(&of(name), &[]).expect("a row");
        let (id, tenant): (Uuid, Uuid) = (row.get(0), row.get(1));
        let pin_of_then = Secret::new(pin).expect("a secret");
        let sealed = ring.seal(&pin_of_then, Owner { tenant, user: id }, &[7; 24]).expect("a seal");
        let print = fingerprint(b"salt of then", pin);
        let changed = sql.execute(
            "update secrets set secret_sealed = $2, secret_salt = 'salt of then', secret_fingerprint = $3,
             fingerprint_applied = $3 where object_id = $1",
            &[&id, &sealed, &print],
        );
        assert_eq!(changed.expect("an update"), 1);
    }
    sql.batch_execute("alter table secrets alter column secret_fingerprint set not null").expect("an older schema");
    let bare = without_tags(&file(env));
    let (body, tail) = bare.split_once("; generation\n").expect("a mark");
    let (before, marks) = (reconcile::render::parse(&file(env)).mark, reconcile::render::parse(&bare).mark);
    let bare = format!("{body}; generation\n{}", tail.replace(&before, &marks));
    fs::write(env.etc("voicemail.d/acme/generated_voicemail.conf"), &bare).expect("a file");
    let hash = hex(&Sha256::digest(&bare));
    let audited = sql.execute(
        "update apply_audit_log set target = 'of then', files = files
         || jsonb_build_object('voicemail.d/acme/generated_voicemail.conf', $1::text)",
        &[&hash],
    );
    assert!(audited.expect("an update") > 0);
}

#[test]
fn the_pins_of_an_earlier_version_stay_and_are_found_no_more() {
    let env = TestEnv::new();
    env.write("pbx.yaml", COMPANY);
    env.run("apply --no-reload").expect(0);
    let before = pins(&env);
    take_tags_away(&env);
    assert_eq!(pins(&env), before);
    let mut sorted = before.clone();
    sorted.sort();
    assert_eq!(found(&env, &database(&env)), sorted, "this is how they were found");

    let plan = env.run("plan --no-asterisk --detailed-exitcode").expect(2);
    let note = "each PIN of a voicemail box gets a random tag beside it";
    assert!(plan.stdout.contains(note) && plan.stdout.contains("their PINs stay"), "{}", plan.stdout);
    let (_, id) = plan.stdout.split_once("--expect ").expect("an id");
    let id = id.split_whitespace().next().expect("an id");
    env.run(&format!("apply --no-reload --expect {id}")).expect(0);
    assert_eq!(pins(&env), before);
    assert_eq!(found(&env, &(database(&env) + &said(&env))), Vec::<String>::new());
    let tags = file(&env).lines().filter(|line| line.contains(" ; ")).count();
    assert_eq!(tags, 2, "{}", file(&env));
    let plan = env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    assert!(!plan.stdout.contains(note), "{}", plan.stdout);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}
