//! The query for unused numbers finds what a naive search finds.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, test_runner::TestRunner};
use reconcile::portal::NewUser;
use uuid::Uuid;

use super::{super::support::TestEnv, Desk, env, extension, new};

/// What is recorded about a tenant with numbers on hold for two days.
#[derive(Debug, Clone)]
struct Rows {
    /// The ranges in the order of allocation. 112 is an emergency number of one of them.
    ranges: Vec<(u32, u32)>,
    reserved: BTreeSet<u32>,
    /// Numbers of users.
    users: BTreeSet<u32>,
    /// Numbers of objects, unless a user has them.
    objects: BTreeSet<u32>,
    /// Stretches of numbers on hold, unless somebody has them: the first one, how many, and for how many hours.
    holds: Vec<(u32, u32, i64)>,
    /// How many new users there are.
    newcomers: usize,
}

fn rows() -> impl Strategy<Value = Rows> {
    let numbers = || prop_oneof![105..=125_u32, 1000..=1100_u32, 990..=6000_u32];
    let range = prop::sample::select(vec![(1000, 1010), (1000, 1063), (1000, 3100), (1000, 4999)]);
    let ranges = range.prop_flat_map(|range| {
        prop::sample::select(vec![
            vec![range],
            vec![range, (110, 120)],
            vec![(5000, 5300), range, (110, 113)],
            vec![(111, 113), (5000, 5000), range],
        ])
    });
    let few = || prop::collection::btree_set(numbers(), 0..40);
    let stretch = (numbers(), prop_oneof![3 => 1..40_u32, 2 => 900..1200_u32, 1 => 2000..4200_u32], 0..96_i64);
    let holds = prop::collection::vec(stretch, 0..5);
    let reserved = prop::collection::btree_set(numbers(), 0..12);
    (ranges, reserved, few(), few(), holds, prop_oneof![3 => 1..4_usize, 1 => 1..300_usize]).prop_map(
        |(ranges, reserved, users, objects, holds, newcomers)| Rows {
            ranges,
            reserved,
            users,
            objects,
            holds,
            newcomers,
        },
    )
}

/// The numbers without a row that are not given by pins only, in the order of allocation; and those that newcomers get.
fn naive(rows: &Rows) -> (Vec<u32>, Vec<u32>) {
    let Rows { ranges, reserved, users, objects, holds, .. } = rows;
    let owned = |number: &u32| users.contains(number) || objects.contains(number);
    // The first stretch that names a number is the one that is recorded.
    let held = |number: &u32| holds.iter().find(|(first, count, _)| (*first..first + count).contains(number));
    let given = || {
        let numbers = ranges.iter().flat_map(|(first, last)| *first..=*last);
        numbers.filter(|number| *number != 112 && !reserved.contains(number) && !owned(number))
    };
    let unused = given().filter(|number| held(number).is_none()).collect();
    (unused, given().filter(|number| held(number).is_none_or(|(_, _, hours)| *hours >= 48)).collect())
}

/// Writes the rows by SQL.
fn write(env: &TestEnv, tenant: &str, rows: &Rows, now: Timestamp) {
    let mut sql = env.sql();
    let mut sql = sql.transaction().unwrap();
    let id: Uuid = sql.query_one("select id from tenants where slug = $1", &[&tenant]).unwrap().get(0);
    let numbers = |set: &BTreeSet<u32>| set.iter().map(|number| number.cast_signed()).collect::<Vec<i32>>();
    sql.execute(
        "with made as (
            insert into users (id, tenant_id, email, email_key, name, managed_by, secret_sealed, secret_declared,
                               secret_salt, secret_fingerprint, digest_fingerprint)
            select gen_random_uuid(), $1, n || '@example.com', n || '@example.com', 'Somebody', 'api', '', false, '', '', ''
            from unnest($2::integer[]) as n returning id, email_key)
         insert into extensions (tenant_id, number, user_id) select $1, split_part(email_key, '@', 1)::integer, id from made",
        &[&id, &numbers(&rows.users)],
    )
    .unwrap();
    let objects: BTreeSet<u32> = rows.objects.difference(&rows.users).copied().collect();
    sql.execute(
        "with made as (
            insert into objects (tenant_id, kind, name, version, body)
            select $1, 'group', n, 1, '{}' from unnest($2::integer[]) as n returning id, name)
         insert into extensions (tenant_id, number, object_id) select $1, name::integer, id from made",
        &[&id, &numbers(&objects)],
    )
    .unwrap();
    for (first, count, hours) in &rows.holds {
        sql.execute(
            "insert into extensions (tenant_id, number, held_for, freed_at)
             select $1, n, 'former@example.com', $4 from generate_series($2::integer, $3::integer) as n
             on conflict do nothing",
            &[
                &id,
                &first.cast_signed(),
                &(first + count - 1).cast_signed(),
                &(now - SignedDuration::from_hours(*hours)),
            ],
        )
        .unwrap();
    }
    sql.commit().unwrap();
}

#[test]
fn unused_numbers_are_those_of_a_naive_search() {
    let env = env();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let mut first = Desk::new(&env, "t0");
    first.record("1000-1999", &[], 0);
    // The keys must open some secret of the directory: what this test writes by SQL is sealed with none.
    first.number(new("ana@example.com")).unwrap();
    let desk = RefCell::new(first);
    let (number, exhausted, filled) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = TestRunner::new(config).run(&rows(), |rows| {
        let mut desk = desk.borrow_mut();
        number.set(number.get() + 1);
        let tenant = format!("t{}", number.get());
        desk.tenant = tenant.parse().unwrap();
        let ranges: Vec<String> = rows.ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let reserved: Vec<u32> = rows.reserved.iter().copied().collect();
        desk.record(&ranges.join(", "), &reserved, 2);
        write(&env, &tenant, &rows, desk.now);
        let (unused, free) = naive(&rows);

        let Desk { directory, keys, .. } = &mut *desk;
        let mut writer = directory.write(&tenant.parse().unwrap()).unwrap();
        let recorded =
            writer.load_new_user_context(&tenant.parse().unwrap(), std::iter::empty(), &[], keys).unwrap().unwrap();
        let found = writer.load_unused_numbers(&recorded.tenant, rows.newcomers).unwrap();
        let expected: Vec<_> = unused.iter().take(rows.newcomers).copied().map(extension).collect();
        prop_assert_eq!(found, expected);
        drop(writer);

        let newcomers: Vec<NewUser> = (0..rows.newcomers).map(|n| new(&format!("new{n}@example.com"))).collect();
        let given: Vec<u32> =
            desk.create(&newcomers).into_iter().flatten().map(|made| made.user.extension.number()).collect();
        let expected: Vec<u32> = free.iter().take(rows.newcomers).copied().collect();
        prop_assert_eq!(given, expected);
        exhausted.set(exhausted.get() + u32::from(free.len() < rows.newcomers));
        filled.set(filled.get() + u32::from(unused.first() != free.first()));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // It was all tried, however the cases fell.
    for (what, times) in [("exhausted", exhausted.get()), ("an ended hold was the lowest", filled.get())] {
        assert!(times > 0, "{what} never in {} cases", number.get());
    }
}
