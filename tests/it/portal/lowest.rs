//! A new user gets the lowest free number, whoever changed what before: the API, the file, or an operator with SQL.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, test_runner::TestRunner};
use reconcile::{directory::ManagedBy, portal::NewUser};

use super::{super::support::TestEnv, Desk, env, extension, new, pinned};

const PEOPLE: u32 = 6;

/// What the file says.
#[derive(Debug, Clone)]
struct File {
    /// In the order of allocation.
    ranges: Vec<(u32, u32)>,
    reserved: BTreeSet<u32>,
    hold_days: u32,
    /// Of each of the people: whether declared, and with which number.
    users: Vec<(bool, Option<u32>)>,
    /// The groups, each with the number that it asks for. `None` for one that is allocated.
    groups: Vec<Option<u32>>,
}

/// What is done in a sequence.
#[derive(Debug, Clone)]
enum Deed {
    /// Strangers are made in one batch, some with a number of their own.
    Create(Vec<Option<u32>>),
    /// One of the users of the API, whichever, is deleted.
    Delete(usize),
    Sync(File),
    /// An operator's statement; it may be refused.
    Sql(&'static str),
    /// So many hours go by.
    Wait(i64),
}

/// Of the tenant `t`, with its users and their numbers as `u`.
const STATEMENTS: [&str; 7] = [
    "delete from users where id = (select id from u order by number limit 1)",
    "delete from users where id in (select id from u where number % 3 = 0)",
    "delete from extensions where tenant_id = (select id from t) and user_id is null",
    "update extensions set number = number - 1 where user_id in (select id from u order by number limit 1)",
    "update extensions set number = number + 7 where user_id in (select id from u where number % 4 = 0)",
    "update extensions set user_id = null, held_for = 'gone', freed_at = now()
     where user_id = (select id from u order by number limit 1)",
    "update tenants set settings = jsonb_set(settings, '{reserved}', '[]') where id = (select id from t)",
];

fn file() -> impl Strategy<Value = File> {
    let user = (any::<bool>(), prop::option::weighted(0.5, 1000..=1012_u32));
    let range = (prop::sample::select(vec![1000, 1000, 1003, 1005]), prop::sample::select(vec![1020, 1020, 1012]));
    let reserved = prop::collection::btree_set(998..=1012_u32, 0..4);
    let users = prop::collection::vec(user, PEOPLE as usize);
    let groups = prop::collection::vec(prop::option::weighted(0.5, 1000..=1012_u32), 0..3);
    (range, reserved, prop::sample::select(vec![0, 2]), users, groups)
        .prop_flat_map(|(range, reserved, hold_days, users, groups)| {
            // 112 is an emergency number.
            let small = (111, 113);
            let ranges = prop::sample::select(vec![
                vec![range],
                vec![range],
                vec![range],
                vec![range],
                vec![small, range],
                vec![range, small],
            ]);
            (ranges, Just((reserved, hold_days, users, groups)))
        })
        .prop_map(|(ranges, (reserved, hold_days, users, groups))| File { ranges, reserved, hold_days, users, groups })
}

fn deeds() -> impl Strategy<Value = (File, Vec<Deed>)> {
    let deed = prop_oneof![
        5 => prop::collection::vec(prop::option::weighted(0.3, 1000..=1020_u32), 1..4).prop_map(Deed::Create),
        3 => any::<usize>().prop_map(Deed::Delete),
        2 => file().prop_map(Deed::Sync),
        3 => prop::sample::select(STATEMENTS.to_vec()).prop_map(Deed::Sql),
        1 => (1..60_i64).prop_map(Deed::Wait),
    ];
    (file(), prop::collection::vec(deed, 4..16))
}

impl File {
    fn ranges(&self) -> String {
        self.ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(", ")
    }

    fn text(&self, tenant: &str) -> String {
        let Self { ranges, reserved, hold_days, users, groups } = self;
        let reserved: Vec<&u32> = reserved.iter().collect();
        let declared = users.iter().enumerate().filter(|(_, (declared, _))| *declared);
        let within = |pin: &u32| ranges.iter().any(|(first, last)| (first..=last).contains(&pin));
        let group = |(name, pin): (usize, &Option<u32>)| {
            let number = pin.filter(within).map_or_else(|| "auto".to_owned(), |pin| pin.to_string());
            format!("g{name}: {{ members: [\"+491701234567\"], extension: {number} }}")
        };
        let groups: Vec<String> = groups.iter().enumerate().map(group).collect();
        let lines: Vec<String> = declared
            .map(|(n, (_, pin))| {
                let pin = pin.filter(within).map(|pin| format!(", extension: {pin}"));
                format!("  - {{ email: f{n}@example.com, name: Somebody{} }}", pin.unwrap_or_default())
            })
            .collect();
        let users = if lines.is_empty() { "  []".to_owned() } else { lines.join("\n") };
        format!(
            "version: 1\ntenant: {tenant}\n\
             extensions: {{ range: [{}], reserved: {reserved:?}, hold: {hold_days}d }}\n\
             groups: {{ {} }}\nusers:\n{users}\n",
            self.ranges(),
            groups.join(", ")
        )
    }
}

fn operate(env: &TestEnv, tenant: &str, statement: &str) {
    let scope = format!(
        "with t as (select id from tenants where slug = '{tenant}'),
              u as (select u.id, e.number from users u join extensions e on e.user_id = u.id where u.tenant_id in (table t))
         {statement}"
    );
    // Two numbers may collide.
    let _ = env.sql().execute(&scope, &[]);
}

/// Reads everything, and finds the lowest number that anybody may get.
fn lowest(env: &TestEnv, tenant: &str, now: Timestamp) -> Option<u32> {
    let mut sql = env.sql();
    let row = sql.query_one("select id, settings::text from tenants where slug = $1", &[&tenant]).unwrap();
    let id: uuid::Uuid = row.get(0);
    let settings: reconcile::model::Settings = serde_json::from_str(row.get(1)).unwrap();
    let hold = SignedDuration::from_hours(24 * i64::from(settings.hold_days));
    let rows = sql.query("select number, freed_at from extensions where tenant_id = $1", &[&id]).unwrap();
    let recorded = |number: u32| rows.iter().find(|row| row.get::<_, i32>(0) == i32::try_from(number).unwrap());
    let reserved = |number: u32| number == 112 || settings.reserved.contains(&extension(number));
    settings.range.numbers().filter(|number| !reserved(*number)).find(|number| {
        recorded(*number).is_none_or(|row| {
            row.get::<_, Option<Timestamp>>(1).is_some_and(|freed_at| now.duration_since(freed_at) >= hold)
        })
    })
}

#[test]
fn the_next_user_gets_the_lowest_free_number_whatever_changed() {
    let env = env();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let desk = RefCell::new(Desk::new(&env, "t0"));
    let (number, synced, given) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = TestRunner::new(config).run(&deeds(), |(file, deeds)| {
        let mut desk = desk.borrow_mut();
        number.set(number.get() + 1);
        let tenant = format!("t{}", number.get());
        desk.tenant = tenant.parse().unwrap();
        desk.now = Timestamp::now();
        desk.record(&file.ranges(), &[], file.hold_days);
        let mut strangers = 0;
        let mut stranger = |pin: Option<u32>| {
            strangers += 1;
            NewUser { extension: pin.map(extension), ..new(&format!("s{strangers}@example.com")) }
        };
        for deed in [Deed::Sync(file)].into_iter().chain(deeds) {
            match &deed {
                Deed::Create(pins) => {
                    desk.create(&pins.iter().map(|pin| stranger(*pin)).collect::<Vec<_>>());
                }
                Deed::Delete(which) => {
                    let users = desk.users();
                    let api: Vec<_> = users.iter().filter(|user| user.managed_by == ManagedBy::Api).collect();
                    if !api.is_empty() {
                        desk.delete(api[which % api.len()].id).unwrap();
                    }
                }
                Deed::Sync(file) => {
                    env.write("pbx.yaml", &file.text(&tenant));
                    let run = env.run("sync --allow deletes=99 --allow relogins=99");
                    synced.set(synced.get() + i32::from(run.code == 0));
                }
                Deed::Sql(statement) => operate(&env, &tenant, statement),
                Deed::Wait(hours) => desk.now = desk.now.saturating_add(SignedDuration::from_hours(*hours)).unwrap(),
            }
            // Looked at each time, but added only now and then, or the range would always be full.
            let expected = lowest(&env, &tenant, desk.now);
            if matches!(deed, Deed::Sql(_) | Deed::Delete(_) | Deed::Sync(_)) {
                let got = desk.number(stranger(None)).ok();
                prop_assert_eq!(got, expected, "after {:?}", deed);
                given.set(given.get() + i32::from(got.is_some()));
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // It was all tried, however the cases fell.
    for (what, times) in [("synced", synced.get()), ("given", given.get())] {
        assert!(times > 0, "{what} never in {} cases", number.get());
    }
}

#[test]
fn a_gap_is_found_behind_many_users() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    desk.record("1000-9999", &[1500, 5000], 2);
    let strangers: Vec<NewUser> = (0..4000).map(|n| new(&format!("u{n}@example.com"))).collect();
    desk.create(&strangers).into_iter().for_each(|made| drop(made.unwrap()));
    assert_eq!(desk.number(new("again@example.com")), Ok(5002), "1500 and 5000 are reserved");
    let held = desk.users()[40].clone();
    desk.delete(held.id).unwrap();
    assert_eq!(desk.number(pinned("pin@example.com", 5004)), Ok(5004));
    assert_eq!(desk.number(new("next@example.com")), Ok(5003));
    assert_eq!(desk.number(new("after@example.com")), Ok(5005), "5004 was pinned");
    desk.now = desk.now.saturating_add(SignedDuration::from_hours(48)).unwrap();
    assert_eq!(desk.number(new("late@example.com")), Ok(held.extension.number()), "the hold ended");
    env.sql().execute("delete from users where email_key = 'u7@example.com'", &[]).unwrap();
    assert_eq!(desk.number(new("eighth@example.com")), Ok(1007));
    env.sql().batch_execute("truncate extensions").unwrap();
    assert_eq!(desk.number(new("first@example.com")), Ok(1000));
}

#[test]
fn an_operator_who_has_not_committed_yet_is_heeded() {
    let env = env();
    let mut desk = Desk::new(&env, "acme");
    desk.record("1000-1999", &[], 0);
    desk.create(&[new("ana@example.com"), new("bo@example.com"), new("cleo@example.com")]);
    let mut sql = env.sql();
    let mut operator = sql.transaction().unwrap();
    operator.execute("delete from users where email_key = 'ana@example.com'", &[]).unwrap();
    assert_eq!(desk.number(new("dora@example.com")), Ok(1003), "nobody waits for the operator");
    operator.commit().unwrap();
    assert_eq!(desk.number(new("eve@example.com")), Ok(1000));
}
