//! Addresses that are handed on: whoever is renamed keeps the row, whoever gets the address is new.

use proptest::sample::subsequence;

use super::*;

/// The people who are recorded at first, each under the address of the same number.
const RECORDED: usize = 5;
/// Addresses that nobody has at first.
const FREE: usize = 3;

fn yaml(users: &[(usize, Option<usize>)]) -> String {
    let line = |(address, former): &(usize, Option<usize>)| {
        let former = former.map(|former| format!(", previously: u{former}@example.com")).unwrap_or_default();
        format!("  - {{ email: u{address}@example.com, name: Someone{former} }}\n")
    };
    "version: 1\ntenant: acme\nusers:\n".to_owned() + &users.iter().map(line).collect::<String>()
}

/// Applies users; answers with what is recorded then, and the notes of the plan.
fn applied(users: &[(usize, Option<usize>)], before: &Recorded, ids: &mut u128) -> (Recorded, Plan) {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let loaded = desired::load_text("pbx.yaml", &yaml(users));
    let declared = loaded.declared.unwrap_or_else(|| panic!("{:?}", loaded.problems));
    let plan = planned(&declared, &Outside::default(), before, now);
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    (recorded_after(&plan, &Outside::default(), before, ids, now), plan)
}

/// Who ends where: each recorded person's new address, and which addresses new people get.
fn moves() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let addresses = Just((0..RECORDED + FREE).collect::<Vec<_>>()).prop_shuffle();
    (addresses, subsequence((0..RECORDED + FREE).collect::<Vec<_>>(), 0..=RECORDED)).prop_map(|(addresses, new)| {
        let moved = addresses[..RECORDED].to_vec();
        let new = new.into_iter().filter(|address| !moved.contains(address)).collect();
        (moved, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_renamed_user_keeps_the_row_and_the_new_holder_of_the_address_gets_a_new_one((moved, new) in moves(), seed in any::<usize>()) {
        let mut ids = 10;
        let users: Vec<_> = (0..RECORDED).map(|who| (who, None)).collect();
        let (before, _) = applied(&users, &Recorded::default(), &mut ids);
        let mut users: Vec<_> =
            moved.iter().enumerate().map(|(who, to)| (*to, Some(who).filter(|who| who != to))).collect();
        users.extend(new.iter().map(|address| (*address, None)));
        users.sort_by_key(|(address, _)| (address + 1).wrapping_mul(seed | 1).rotate_left(17));
        let (after, plan) = applied(&users, &before, &mut ids);
        for (who, to) in moved.iter().enumerate() {
            let (was, is) = (&before.users[&key(who)], &after.users[&key(*to)]);
            prop_assert_eq!((was.id, was.extension, &was.prints), (is.id, is.extension, &is.prints));
        }
        prop_assert_eq!(plan.counts.create, new.len());
        prop_assert_eq!(plan.counts.delete, 0);
        // The lines may stay: nobody is renamed twice.
        let (_, again) = applied(&users, &after, &mut ids);
        prop_assert!(again.is_empty(), "{:?}", again.changes);
    }
}

#[test]
fn a_line_that_renames_no_user_any_more_is_reported() {
    let mut ids = 10;
    let (before, _) = applied(&[(0, None), (1, None)], &Recorded::default(), &mut ids);
    let (_, plan) = applied(&[(0, Some(1)), (1, None)], &before, &mut ids);
    assert!(plan.is_empty());
    assert!(plan.notes[0].contains("are both recorded already, so no user is renamed"), "{:?}", plan.notes);
}

/// An address was handed on, and is then given back in exchange for the new one. Only the names changed places, because
/// one of the two lines was that of the first rename: numbers and secrets stayed with the addresses.
#[test]
fn an_address_that_was_handed_on_can_be_swapped_back() {
    let mut ids = 10;
    let (first, _) = applied(&[(0, None)], &Recorded::default(), &mut ids);
    let (handed_on, _) = applied(&[(1, Some(0)), (0, None)], &first, &mut ids);
    let swapped = [(0, Some(1)), (1, Some(0))];
    let (after, plan) = applied(&swapped, &handed_on, &mut ids);
    for (was, is) in [(0, 1), (1, 0)] {
        let (was, is) = (&handed_on.users[&key(was)], &after.users[&key(is)]);
        assert_eq!((was.id, was.extension), (is.id, is.extension));
    }
    assert_eq!((plan.counts.rename, plan.counts.create, plan.counts.delete), (2, 0, 0));
    assert!(applied(&swapped, &after, &mut ids).1.is_empty());
}
