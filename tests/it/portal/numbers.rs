//! Any sequence of batches and deletions gives the numbers that a simple model says.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, test_runner::TestRunner};
use reconcile::portal::NewUser;

use super::{Desk, env, extension, new};

const PEOPLE: u32 = 8;
const FIRST: u32 = 1000;
const LAST: u32 = 1009;

/// What is done in a sequence.
#[derive(Debug, Clone)]
enum Deed {
    /// Users are made in one batch, some with a number of their own.
    Create(Vec<(u32, Option<u32>)>),
    Delete(u32),
    /// So many hours go by.
    Wait(i64),
}

fn deeds() -> impl Strategy<Value = (Vec<u32>, u32, Vec<Deed>)> {
    let user = (0..PEOPLE, prop::option::weighted(0.25, FIRST - 1..=LAST + 1));
    let deed = prop_oneof![
        3 => prop::collection::vec(user, 1..6).prop_map(Deed::Create),
        3 => (0..PEOPLE).prop_map(Deed::Delete),
        1 => (1..60_i64).prop_map(Deed::Wait),
    ];
    let reserved = prop::collection::vec(FIRST..=LAST, 0..3);
    (reserved, prop::sample::select(vec![0, 2]), prop::collection::vec(deed, 1..14))
}

/// What the store ought to hold: number by number, and step by step.
struct Model {
    reserved: Vec<u32>,
    hold: SignedDuration,
    users: BTreeMap<u32, u32>,
    /// Whose a free number was last, and until when.
    left: BTreeMap<u32, (u32, Timestamp)>,
}

impl Model {
    fn create(&mut self, who: u32, pin: Option<u32>, now: Timestamp) -> Option<u32> {
        let held = |number: u32| {
            let (former, left) = self.left.get(&number)?;
            (now.duration_since(*left) < self.hold).then_some((*left, *former))
        };
        let free = |number: &u32| !self.users.values().any(|taken| taken == number);
        let own = || {
            // A reserved number is only given by a pin, to its former user also.
            let mine = (FIRST..=LAST)
                .filter(|number| !self.reserved.contains(number))
                .filter(|number| held(*number).is_some_and(|(_, former)| former == who));
            mine.filter(free).rev().max_by_key(|number| held(*number))
        };
        let lowest =
            || (FIRST..=LAST).filter(free).find(|number| !self.reserved.contains(number) && held(*number).is_none());
        let number = match pin {
            _ if self.users.contains_key(&who) => None,
            Some(pin) => Some(pin).filter(|pin| (FIRST..=LAST).contains(pin) && free(pin)),
            None => own().or_else(lowest),
        }?;
        self.users.insert(who, number);
        self.left.remove(&number);
        Some(number)
    }

    fn delete(&mut self, who: u32, now: Timestamp) -> bool {
        let number = self.users.remove(&who);
        if let Some(number) = number {
            self.left.insert(number, (who, now));
        }
        number.is_some()
    }
}

#[test]
fn any_sequence_gives_the_lowest_free_numbers() {
    let env = env();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let desk = RefCell::new(Desk::new(&env, "t0"));
    let number = Cell::new(0);
    let result = TestRunner::new(config).run(&deeds(), |(reserved, hold, deeds)| {
        let mut desk = desk.borrow_mut();
        number.set(number.get() + 1);
        desk.tenant = format!("t{}", number.get()).parse().unwrap();
        desk.record(&format!("{FIRST}-{LAST}"), &reserved, hold);
        let hold = SignedDuration::from_hours(24 * i64::from(hold));
        let mut model = Model { reserved, hold, users: BTreeMap::new(), left: BTreeMap::new() };
        for deed in &deeds {
            match deed {
                Deed::Create(batch) => {
                    let users: Vec<NewUser> = batch
                        .iter()
                        .map(|(who, pin)| NewUser {
                            extension: pin.map(extension),
                            ..new(&format!("u{who}@example.com"))
                        })
                        .collect();
                    let given = desk.create(&users);
                    for ((who, pin), given) in batch.iter().zip(given) {
                        let given = given.ok().map(|created| created.user.extension.number());
                        prop_assert_eq!(given, model.create(*who, *pin, desk.now), "u{} {:?}", who, pin);
                    }
                }
                Deed::Delete(who) => {
                    let email = format!("u{who}@example.com");
                    let id = desk.users().into_iter().find(|user| user.email.as_str() == email).map(|user| user.id);
                    let done = id.is_some_and(|id| desk.delete(id).is_ok());
                    prop_assert_eq!(done, model.delete(*who, desk.now));
                }
                Deed::Wait(hours) => desk.now = desk.now.saturating_add(SignedDuration::from_hours(*hours)).unwrap(),
            }
            let listed: Vec<u32> = desk.users().iter().map(|user| user.extension.number()).collect();
            let mut right: Vec<u32> = model.users.values().copied().collect();
            right.sort_unstable();
            prop_assert_eq!(listed, right);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
