//! A database of schema version 11, in which triggers kept where the search for a free number begins, and functions added
//! users.

use std::fs;

use jiff::Timestamp;
use reconcile::{directory::IdempotencyKey, portal::NewUser};

use super::{
    super::{documents::golden, support::TestEnv},
    Desk, new,
};

/// The secrets in the files that the last apply before the migration rendered.
const SECRETS: [&str; 5] = [
    "password_digest = MD5:455cce68d74caec5dd025221719acd82",
    "password_digest = MD5:65f3298c717e4204b59c9eaeb5156716",
    "password_digest = MD5:30333b2b7374dae5e48b45f9a39ba6f9",
    "password_digest = MD5:ef19367569fd66304e15300d5016fa85",
    "password = canary-of-the-carrier",
];

/// The request that was answered before the migration.
fn answered(env: &TestEnv) -> (NewUser, Timestamp) {
    let row = env.sql().query_one("select token, key, request, created_at from idempotency_keys", &[]).unwrap();
    let request = row.get::<_, &[u8]>(2).try_into().unwrap();
    let once = IdempotencyKey { token: row.get(0), key: row.get(1), request };
    (NewUser { once: Some(once), ..new("portal@example.com") }, row.get(3))
}

#[test]
fn a_database_of_schema_11_is_migrated_and_the_next_user_gets_the_lowest_free_number() {
    let mut env = TestEnv::new();
    env.set("CY_SECRET", "canary-of-cy-1234");
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    env.write("pbx.yaml", &golden("directory.11.yaml"));
    env.go_back_to_schema(11);
    let mut sql = env.sql();
    sql.batch_execute("delete from directory").unwrap();
    sql.batch_execute(&golden("directory.11.sql")).unwrap();
    let plan = || env.run("plan --no-asterisk --format json").expect(0).stdout;
    let rows = |plan: &str| {
        let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
        (plan["counts"].clone(), plan["changes"].clone())
    };
    let before = rows(&plan());
    env.run("migrate").expect(0);
    assert_eq!(rows(&plan()), before);
    env.run("apply --no-reload").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    let endpoints = env.endpoints("acme");
    let secrets: Vec<&str> = endpoints.lines().filter(|line| line.starts_with("password")).collect();
    // The last one is that of the generation mark.
    assert_eq!(secrets[..secrets.len() - 1], SECRETS);
    let boxes = fs::read_to_string(env.etc("voicemail.d/acme/generated_voicemail.conf")).unwrap();
    assert!(boxes.contains("\n1 => -88381,Info desk,"), "{boxes}");

    // 110 and 112 are emergency numbers, 1000 belongs to a group, 1003 is reserved and was pinned; 114 and 115 are on hold.
    let mut desk = Desk::new(&env, "acme");
    let (again, answered_at) = answered(&env);
    desk.now = answered_at;
    assert_eq!(desk.number(again), Ok(1001), "the answer is given again");
    let names = ["next", "former", "after"].map(|name| new(&format!("{name}@example.com")));
    let given = desk.create(&names).into_iter().map(|made| made.unwrap().user.extension.number());
    assert_eq!(given.collect::<Vec<_>>(), [1002, 114, 1004]);
    env.run("apply --no-reload").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}
