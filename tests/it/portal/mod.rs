//! Users made one by one on the store, as the portal API makes them: numbers, refusals, answers
//! given again, pages, and peace with the file.

mod lowest;
mod numbers;
mod unused;
mod upgrade;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use jiff::{SignedDuration, Timestamp, ToSpan};
use reconcile::{
    directory::{Directory, IdempotencyKey, ManagedBy, ObjectChanges, RowChanges, Url, User, seal::Keyring},
    model::{Extension, ExtensionRanges, Hints, Settings, Tenant},
    portal::{self, Created, DeleteError, NewUser, Portal, Refused},
};
use uuid::Uuid;

use super::support::{KEY, TestEnv, desired};

/// A tenant with its own connection.
pub(crate) struct Desk {
    tenant: Tenant,
    keys: Keyring,
    directory: Directory,
    now: Timestamp,
}

impl Desk {
    pub(crate) fn new(env: &TestEnv, tenant: &str) -> Self {
        let url = Url::parse(env.database.as_ref().unwrap()).unwrap();
        let directory = Directory::connect(url).unwrap();
        let now = Timestamp::now();
        Self { tenant: tenant.parse().unwrap(), keys: Keyring::parse(KEY).unwrap(), directory, now }
    }

    /// Records the tenant, as the first sync of its file does.
    fn record(&mut self, range: &str, reserved: &[u32], hold_days: u32) {
        let reserved: BTreeSet<u32> = reserved.iter().copied().collect();
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "range": range, "reserved": reserved, "hold_days": hold_days, "endpoint_names": "extension", "include": [],
            "phones": { "codecs": ["alaw"], "devices": 1, "transport": null, "realm": "asterisk" },
        }))
        .unwrap();
        let mut writer = self.directory.write(&self.tenant).unwrap();
        let tenant = writer.read(&self.tenant).unwrap().tenant.map_or_else(|| Uuid::from_u128(random()), |row| row.id);
        let changes = RowChanges {
            tenant,
            slug: self.tenant.clone(),
            settings: Some(settings),
            by: ManagedBy::File,
            deletes: Vec::new(),
            freed: Vec::new(),
            hold: false,
            created: Vec::new(),
            changed: Vec::new(),
            objects: ObjectChanges::default(),
            now: self.now,
        };
        writer.change(&changes).unwrap();
        writer.commit().unwrap();
    }

    pub(crate) fn create(&mut self, users: &[NewUser]) -> Vec<Result<Created, Refused>> {
        let Self { tenant, keys, directory, now } = self;
        portal::create(&Portal { tenant, keys, host: "pbx-test", now: *now }, users, directory).unwrap()
    }

    pub(crate) fn number(&mut self, user: NewUser) -> Result<u32, Refused> {
        self.create(&[user]).remove(0).map(|created| created.user.extension.number())
    }

    pub(crate) fn delete(&mut self, id: Uuid) -> Result<User, DeleteError> {
        let Self { tenant, keys, directory, now } = self;
        portal::delete(&Portal { tenant, keys, host: "pbx-test", now: *now }, id, "token desk", directory)
    }

    fn users(&mut self) -> Vec<User> {
        self.directory.users(&self.tenant, None, None).unwrap()
    }
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    u128::from_le_bytes(bytes)
}

pub(crate) fn new(email: &str) -> NewUser {
    NewUser {
        email: email.parse().unwrap(),
        name: "Somebody".parse().unwrap(),
        extension: None,
        actor: "token desk".to_owned(),
        once: None,
    }
}

pub(crate) fn pinned(email: &str, number: u32) -> NewUser {
    NewUser { extension: Some(number.try_into().unwrap()), ..new(email) }
}

fn extension(number: u32) -> Extension {
    number.try_into().unwrap()
}

/// A migrated database.
fn env() -> TestEnv {
    let env = TestEnv::new();
    env.run("migrate").expect(0);
    env
}

#[test]
fn a_batch_is_judged_one_by_one() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    let nobody = desk.create(&[new("ana@example.com")]);
    assert_eq!(nobody, [Err(Refused::NoTenant("acme".parse().unwrap()))]);
    desk.record("1000-1005", &[1001, 1005], 0);
    let results = desk.create(&[
        new("ana@example.com"),
        new("ANA@example.com"),
        pinned("bo@example.com", 1005),
        pinned("cleo@example.com", 1000),
        pinned("cleo@example.com", 2000),
        pinned("cleo@example.com", 1002),
        new("dora@example.com"),
        new("eve@example.com"),
        new("fay@example.com"),
        pinned("fay@example.com", 1001),
    ]);
    let range: ExtensionRanges = "1000-1005".parse().unwrap();
    let numbers: Vec<_> =
        results.iter().map(|result| result.as_ref().map(|created| created.user.extension.number())).collect();
    assert_eq!(
        numbers,
        [
            Ok(1000),
            Err(&Refused::EmailTaken("ANA@example.com".parse().unwrap())),
            Ok(1005),
            Err(&Refused::NumberTaken(extension(1000))),
            Err(&Refused::OutsideRange { number: extension(2000), range: range.clone() }),
            Ok(1002),
            Ok(1003),
            Ok(1004),
            Err(&Refused::RangeExhausted(range.clone())),
            Ok(1001),
        ]
    );
    assert_eq!(Refused::RangeExhausted(range).to_string(), "the range 1000-1005 (6 numbers) has no free number");
    // What was answered is what is recorded.
    let created: BTreeMap<_, _> = results.iter().flatten().map(|made| (made.user.extension, &made.user)).collect();
    let listed = desk.users();
    assert_eq!(listed.iter().collect::<Vec<_>>(), created.values().copied().collect::<Vec<_>>());
    assert_eq!(desk.number(new("ana@Example.com")), Err(Refused::EmailTaken("ana@Example.com".parse().unwrap())));
}

/// The file warns of such a pin; here nobody would see a warning.
#[test]
fn an_emergency_number_is_neither_given_nor_pinned() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    desk.record("111-113", &[], 0);
    let results = desk.create(&[
        pinned("ana@example.com", 112),
        new("bo@example.com"),
        new("cleo@example.com"),
        new("dora@example.com"),
    ]);
    let numbers: Vec<_> =
        results.iter().map(|result| result.as_ref().map(|created| created.user.extension.number())).collect();
    let range = "111-113".parse().unwrap();
    let exhausted = Refused::RangeExhausted(range);
    assert_eq!(numbers, [Err(&Refused::EmergencyNumber(extension(112))), Ok(111), Ok(113), Err(&exhausted)]);
}

#[test]
fn what_is_answered_is_what_the_phone_logs_in_with() {
    let env = env();
    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + "endpoint_names: tenant-extension\n"));
    env.run("sync").expect(0);
    let mut desk = Desk::new(&env, "acme");
    let made = desk.create(&[new("bo@example.com")]).remove(0).unwrap();
    assert_eq!((made.username.as_str(), made.realm.as_str()), ("acme-1001", "asterisk"));
    assert_eq!(made.user.managed_by, ManagedBy::Api);
    let shown = env.run("secret show bo@example.com --format json").expect(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["secret"], made.secret.reveal());
    assert_eq!(shown["username"], "acme-1001");
    assert!(!format!("{made:?}").contains(made.secret.reveal()));
    // The next apply of the file renders the user, and leaves the row alone.
    env.run("apply --no-reload").expect(0);
    assert!(env.endpoints("acme").contains("\n; bo@example.com\n[acme-1001]"), "{}", env.endpoints("acme"));
    let status = env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    assert!(status.stdout.contains("No changes"), "{}", status.text());
    let history = env.run("history --format json").expect(0);
    let runs: serde_json::Value = serde_json::from_str(&history.stdout).unwrap();
    let run = &runs["runs"][1];
    assert_eq!((&run["command"], &run["actor"]), (&"create user".into(), &"token desk".into()));
    assert_eq!((&run["outcome"], &run["counts"]), (&"recorded".into(), &serde_json::json!({ "create": 1 })));
    let told = env.run(&format!("history {}", run["run"])).expect(0);
    assert!(told.stdout.ends_with("\n+ bo@example.com  extension 1001\n"), "{}", told.text());
}

#[test]
fn users_are_listed_by_extension_a_page_at_a_time() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    assert_eq!(desk.users(), []);
    desk.record("1000-1999", &[], 0);
    Desk::new(&env, "other").record("1000-1999", &[], 0);
    let made: Vec<User> = desk
        .create(&[pinned("z@example.com", 1500), new("y@example.com"), new("x@example.com")])
        .into_iter()
        .map(|result| result.unwrap().user)
        .collect();
    let mut page = |after: Option<u32>, limit| {
        let users = desk.directory.users(&desk.tenant, after.map(extension), limit).unwrap();
        users.iter().map(|user| user.extension.number()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, None), [1000, 1001, 1500]);
    assert_eq!(page(None, Some(2)), [1000, 1001]);
    assert_eq!(page(Some(1001), Some(2)), [1500]);
    assert!(page(Some(1500), Some(2)).is_empty());
    assert_eq!(desk.directory.user(&desk.tenant, made[1].id).unwrap().as_ref(), Some(&made[1]));
    let other = "other".parse().unwrap();
    assert_eq!(desk.directory.user(&other, made[1].id).unwrap(), None, "each tenant sees its own");
    assert_eq!(desk.directory.users(&other, None, None).unwrap(), []);
}

#[test]
fn a_deleted_user_frees_the_number_for_the_time_it_is_held() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    desk.record("1000-1009", &[], 2);
    let ana = desk.create(&[new("ana@example.com")]).remove(0).unwrap().user;
    assert_eq!(desk.delete(ana.id).unwrap(), ana);
    assert!(matches!(desk.delete(ana.id), Err(DeleteError::Unknown(id)) if id == ana.id));
    assert_eq!(desk.number(new("bo@example.com")), Ok(1001), "1000 is held");
    assert_eq!(desk.number(new("Ana@example.com")), Ok(1000), "for her");
    let ana = desk.users()[0].id;
    desk.delete(ana).unwrap();
    desk.now = desk.now.saturating_add(SignedDuration::from_hours(48)).unwrap();
    assert_eq!(desk.number(new("cleo@example.com")), Ok(1000), "until it is not");
    let former = "select email_key from former_users";
    assert_eq!(env.sql().query_one(former, &[]).unwrap().get::<_, String>(0), "ana@example.com");
}

#[test]
fn the_portal_does_not_delete_a_declared_user() {
    let env = env();
    let protected = "email: bo@example.com, name: Bo, protected: true";
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana", protected]));
    env.run("sync").expect(0);
    let mut desk = Desk::new(&env, "acme");
    let [ana, bo] = [0, 1].map(|at| desk.users()[at].id);
    let refused = desk.delete(ana).unwrap_err();
    assert!(matches!(refused, DeleteError::Declared { .. }));
    assert_eq!(refused.to_string(), "`ana@example.com` is declared in the desired state");
    let hint = "remove the lines of `ana@example.com` from `users:` in the file of the tenant `acme`, and run `reconcile \
                apply` with it";
    assert_eq!(refused.hints(), [hint]);
    assert!(matches!(desk.delete(bo), Err(DeleteError::Protected(_))));
    let mut other = Desk::new(&env, "other");
    other.record("1000-1999", &[], 0);
    assert!(matches!(other.delete(ana), Err(DeleteError::Unknown(_))), "another tenant's user is unknown");
    assert_eq!(desk.users().len(), 2);
}

fn once(user: NewUser, token: i64, key: &str, request: u8) -> NewUser {
    NewUser { once: Some(IdempotencyKey { token, key: key.to_owned(), request: [request; 32] }), ..user }
}

#[test]
fn a_request_sent_again_creates_no_user_and_gets_the_same_answer() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    desk.record("1000-1999", &[], 0);
    env.sql()
        .batch_execute(
            "insert into api_tokens (id, tenant, name, hash, scopes)
             values (7, 'acme', 'a', 'x', '{write}'), (8, 'acme', 'b', 'y', '{write}')",
        )
        .unwrap();
    let ana = || once(new("ana@example.com"), 7, "k1", 1);
    // Together, and again: one user.
    let results = desk.create(&[ana(), ana(), once(new("bo@example.com"), 7, "k1", 2)]);
    let made = results[0].clone().unwrap();
    assert_eq!(results[1], Ok(made.clone()));
    assert_eq!(results[2], Err(Refused::KeyReused));
    assert_eq!(desk.create(&[ana()]), [Ok(made.clone())]);
    assert_eq!(desk.number(once(new("bo@example.com"), 7, "k1", 2)), Err(Refused::KeyReused));
    // Another token's key is another key, and what was refused may be tried again.
    assert!(matches!(desk.number(once(new("ana@example.com"), 8, "k1", 1)), Err(Refused::EmailTaken(_))));
    desk.delete(made.user.id).unwrap();
    assert_eq!(desk.create(&[ana()]), [Ok(made.clone())], "the answer stands, whatever came after");
    assert_eq!(desk.number(once(new("ana@example.com"), 8, "k1", 1)), Ok(1000));
    assert!(!env.dump().contains(made.secret.reveal()), "answers are sealed");
    // A day later the key is free.
    desk.now = desk.now.checked_add(24.hours()).unwrap();
    assert_eq!(desk.number(once(new("bo@example.com"), 7, "k1", 2)), Ok(1001));
    let kept: i64 = env.sql().query_one("select count(*) from idempotency_keys", &[]).unwrap().get(0);
    assert_eq!(kept, 1);
}

/// A client that did not wait for its answer, on several replicas.
#[test]
fn a_request_sent_several_times_at_once_makes_one_user() {
    let env = env();
    Desk::new(&env, "acme").record("1000-1999", &[], 0);
    let token = "insert into api_tokens (id, tenant, name, hash, scopes) values (7, 'acme', 'a', 'x', '{write}')";
    env.sql().execute(token, &[]).unwrap();
    let made: Vec<Created> = thread::scope(|scope| {
        let request = || Desk::new(&env, "acme").create(&[once(new("ana@example.com"), 7, "k1", 1)]).remove(0).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(request)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(made.iter().all(|one| *one == made[0]));
    assert_eq!(Desk::new(&env, "acme").users(), [made[0].user.clone()]);
}

#[test]
fn sixty_four_at_once_get_the_lowest_numbers() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    desk.record("1000-1999", &[1003, 1040], 0);
    desk.create(&[pinned("ana@example.com", 1010)]).remove(0).unwrap();
    let numbers: Vec<u32> = thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|n| {
                let env = &env;
                scope.spawn(move || Desk::new(env, "acme").number(new(&format!("u{n}@example.com"))))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    let got: BTreeSet<u32> = numbers.iter().copied().collect();
    let lowest: BTreeSet<u32> = (1000..).filter(|number| ![1003, 1010, 1040].contains(number)).take(64).collect();
    assert_eq!(got, lowest);
    assert_eq!(numbers.len(), 64);
}

/// The file and the portal write at the same time, and nobody's number is given twice.
#[test]
fn a_file_that_is_applied_meanwhile_is_no_trouble() {
    let env = env();
    let base = "email: ana@example.com, name: Ana";
    env.write("pbx.yaml", &desired(&[base]));
    env.run("apply --no-reload").expect(0);
    thread::scope(|scope| {
        for n in 0..4 {
            let env = &env;
            scope.spawn(move || {
                let mut desk = Desk::new(env, "acme");
                for m in 0..25 {
                    let created = desk.create(&[new(&format!("u{n}-{m}@example.com"))]).remove(0).unwrap();
                    if m % 3 == 0 {
                        desk.delete(created.user.id).unwrap();
                    }
                }
            });
        }
        let users: Vec<String> = (0..9).map(|n| format!("email: f{n}@example.com, name: F{n}")).collect();
        for round in 0..6 {
            let mut list = vec![base];
            list.extend(users.iter().skip(round % 3).step_by(round % 2 + 1).map(String::as_str));
            env.write("pbx.yaml", &desired(&list));
            // New users of the file may lose their numbers to the portal's while the plan is shown. Then nothing moves.
            let apply = || env.run("apply --no-reload --allow deletes=9");
            let mut outcome = apply();
            while outcome.code == 4 {
                outcome = apply();
            }
            outcome.expect(0);
        }
    });
    let mut desk = Desk::new(&env, "acme");
    let users = desk.users();
    assert_eq!(users.iter().filter(|user| user.managed_by == ManagedBy::Api).count(), 4 * 16);
    let numbers: BTreeSet<Extension> = users.iter().map(|user| user.extension).collect();
    assert_eq!(numbers.len(), users.len());
    env.run("apply --no-reload").expect(0);
    assert!(env.run("plan --no-asterisk").expect(0).stdout.contains("No changes"));
}

/// Numbers that change hands between two applies: the former phones end, and nobody is logged out.
#[test]
fn people_who_take_over_numbers_between_two_applies_stop_at_no_rail() {
    let env = env();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("apply --no-reload").expect(0);
    let mut desk = Desk::new(&env, "acme");
    let mut make = |name: &str| desk.create(&[new(&format!("{name}@example.com"))]).remove(0).unwrap().user.id;
    let former: Vec<_> = (0..4).map(|n| make(&format!("former{n}"))).collect();
    env.run("apply --no-reload").expect(0);
    for id in former {
        desk.delete(id).unwrap();
    }
    for n in 0..4 {
        desk.create(&[new(&format!("next{n}@example.com"))]).remove(0).unwrap();
    }
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("\nAffected: 4 phones are removed, ") && !plan.contains("log in again"), "{plan}");
    env.run("apply --no-reload").expect(0);
}

/// They were the portal's once; the file let them go.
#[test]
fn users_adopted_by_the_file_under_another_address_and_dropped_stop_at_the_rail() {
    let env = env();
    env.write("pbx.yaml", &desired(&[]));
    env.run("apply --no-reload").expect(0);
    let mut desk = Desk::new(&env, "acme");
    for n in 0..8 {
        desk.create(&[new(&format!("p{n}@example.com"))]).remove(0).unwrap();
    }
    env.run("apply --no-reload").expect(0);
    let users: Vec<String> =
        (0..8).map(|n| format!("email: q{n}@example.com, name: Q, previously: p{n}@example.com")).collect();
    env.write("pbx.yaml", &desired(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("sync --allow relogins=8").expect(0);
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync --allow deletes=8").expect(0);
    let stopped = env.run("apply --no-reload").expect(3).stderr;
    assert!(stopped.contains("8 phones of deleted users would be removed"), "{stopped}");
}

/// What the portal made passes to the file, and nobody is moved.
#[test]
fn exported_users_are_adopted_as_they_are() {
    let env = env();
    env.write("pbx.yaml", "version: 1\ntenant: acme\nextensions: { reserved: [1000] }\nusers: []\n");
    env.run("apply --no-reload").expect(0);
    let none = env.run("export --users").expect(0);
    assert_eq!(none.stdout, "  # 0 users of acme, made through the API; with these lines the file takes over\n");
    let mut desk = Desk::new(&env, "acme");
    let named = |email: &str, name: &str| NewUser { name: name.parse().unwrap(), ..new(email) };
    let hostile = r#"Zoë "Zo" O'Neil: #1 \ {x} 日本 🎧"#;
    let gone = desk.create(&[named("gone@example.com", "Gone")]).remove(0).unwrap().user.id;
    let made = desk.create(&[
        named("ana.silva@example.com", "Ana Silva"),
        named("#o'brien{}@example.com", hostile),
        NewUser { extension: Some(extension(1000)), ..named("null@example.com", "null") },
    ]);
    desk.delete(gone).unwrap();
    let export = env.run("export --users").expect(0);
    insta::assert_snapshot!(export.stdout, @r##"
      # 3 users of acme, made through the API; with these lines the file takes over
      - email: null@example.com
        name: "null"
        extension: 1000
      - email: ana.silva@example.com
        name: Ana Silva
        extension: 1002
      - email: "#o'brien{}@example.com"
        name: "Zoë \"Zo\" O'Neil: #1 \\ {x} 日本 🎧"
        extension: 1003
    "##);
    env.run("apply --no-reload").expect(0);
    let before = env.endpoints("acme");
    env.write(
        "pbx.yaml",
        &format!("version: 1\ntenant: acme\nextensions: {{ reserved: [1000] }}\nusers:\n{}", export.stdout),
    );
    let plan = env.run("plan --no-asterisk --format json").expect(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let changes = plan["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 3);
    for change in changes {
        assert_eq!((&change["action"], &change["user"]["relogin"]), (&"adopt".into(), &false.into()), "{change}");
        assert_eq!(change["fields"], serde_json::json!([]), "{change}");
    }
    assert_eq!(plan["has_changes"], true);
    env.run("apply --no-reload").expect(0);
    assert_eq!(env.endpoints("acme"), before, "the same numbers and digests");
    for made in made.into_iter().flatten() {
        let Created { user, secret, .. } = made;
        let now = desk.directory.user(&desk.tenant, user.id).unwrap().unwrap();
        assert_eq!(now, User { managed_by: ManagedBy::File, ..user });
        let shown = env.command(&["secret", "show", now.email.as_str()]).output().unwrap();
        assert!(String::from_utf8(shown.stdout).unwrap().contains(&format!("secret    {}\n", secret.reveal())));
    }
    assert!(env.run("export --users").expect(0).stdout.starts_with("  # 0 users"));
}
