//! What must hold for any sequence of files, each applied to what the one before left.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Choice, Inputs, Kind, Plan, plan, plan_id};
use crate::{
    desired::{self, Declared},
    directory::{Hold, ManagedBy, Recorded, RecordedTenant, RecordedUser, seal::Prints},
    model::{EmailKey, Extension},
    render::{Digests, Phonebook},
};

/// One user of a random file: who, pinned to what, protected, formerly whom.
#[derive(Debug, Clone)]
struct User {
    who: usize,
    pin: Option<u32>,
    protected: bool,
    formerly: Option<usize>,
}

/// A random file: users, reserved numbers, days of hold.
type File = (Vec<User>, Vec<u32>, u32);

const PEOPLE: usize = 9;
const FIRST: u32 = 1000;
const LAST: u32 = 1011;

fn files() -> impl Strategy<Value = Vec<File>> {
    let pin = prop::option::weighted(0.3, FIRST..=LAST);
    let keys = (pin, prop::bool::weighted(0.1), prop::option::weighted(0.1, 0..PEOPLE));
    let users = prop::collection::btree_map(0..PEOPLE, keys, 0..PEOPLE).prop_map(|users| {
        let user = |(who, (pin, protected, formerly))| User { who, pin, protected, formerly };
        users.into_iter().map(user).collect()
    });
    let reserved = prop::collection::vec(FIRST..=LAST, 0..3);
    let file = (users, reserved, prop::sample::select(vec![0_u32, 0, 2]));
    prop::collection::vec(file, 1..8)
}

fn yaml((users, reserved, hold): &File, reverse: bool) -> String {
    let mut text = format!(
        "version: 1\ntenant: acme\nextensions: {{ range: {FIRST}-{LAST}, reserved: {reserved:?}, hold: {hold}d }}\nusers:\n"
    );
    let mut lines: Vec<String> = users
        .iter()
        .map(|user| {
            let pin = user.pin.map(|pin| format!(", extension: {pin}")).unwrap_or_default();
            let formerly = user.formerly.map(|who| format!(", previously: u{who}@example.com")).unwrap_or_default();
            format!(
                "  - {{ email: u{0}@example.com, name: User {0}, protected: {1}{pin}{formerly} }}\n",
                user.who, user.protected
            )
        })
        .collect();
    if reverse {
        lines.reverse();
    }
    if lines.is_empty() {
        text = text.replace("users:\n", "users: []\n");
    }
    text + &lines.concat()
}

fn declared(file: &File, reverse: bool) -> Option<Declared> {
    desired::load_text("pbx.yaml", &yaml(file, reverse)).declared
}

/// Plans with every rail let pass.
fn planned(declared: &Declared, recorded: &Recorded, now: Timestamp) -> Plan {
    let allowance = ["deletes", "relogins"].map(|rail| (rail.to_owned(), usize::MAX)).into();
    plan(&Inputs { declared, recorded, secrets: &BTreeMap::new(), allowance: &allowance, now })
}

/// Does to what is recorded what the directory does.
fn recorded_after(plan: &Plan, before: &Recorded, ids: &mut u128, now: Timestamp) -> Recorded {
    let mut after = Recorded {
        directory: Some(Uuid::from_u128(1)),
        tenant: Some(RecordedTenant { id: Uuid::from_u128(2), settings: plan.settings.clone() }),
        users: BTreeMap::new(),
        holds: before.holds.clone(),
        former: BTreeSet::new(),
    };
    for user in plan.users.values() {
        let id = user.id.unwrap_or_else(|| {
            *ids += 1;
            Uuid::from_u128(*ids)
        });
        let prints = Prints { salt: Vec::new(), secret: Vec::new(), digest: Vec::new() };
        after.holds.remove(&user.extension);
        after.users.insert(
            user.email.key(),
            RecordedUser {
                id,
                email: user.email.clone(),
                name: user.name.clone(),
                managed_by: user.managed_by,
                protected: user.protected,
                phone: user.phone.clone(),
                extension: user.extension,
                secret_declared: user.secret_declared,
                prints,
            },
        );
    }
    for (number, email) in &plan.holds {
        if !plan.users.contains_key(number) {
            after.holds.entry(*number).or_insert(Hold { email: email.clone(), freed_at: now });
        }
    }
    after
}

fn masked(plan: &Plan) -> Vec<(String, String)> {
    let files = Phonebook::of(plan, None).files(Digests::Masked).unwrap();
    files.into_iter().map(|file| (file.path, file.text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_sequence_of_files(files in files(), api in prop::collection::btree_set(0..PEOPLE, 0..3)) {
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut recorded = Recorded::default();
        let mut ids = 10;
        for file in &files {
            now = now.checked_add(24.hours()).unwrap();
            let Some(declared) = declared(file, false) else { continue };
            let plan = planned(&declared, &recorded, now);

            // The order of the list carries no meaning.
            let shuffled = planned(&self::declared(file, true).unwrap(), &recorded, now);
            prop_assert_eq!(plan_id(&plan, &masked(&plan)), plan_id(&shuffled, &masked(&shuffled)));

            if !plan.problems.is_empty() {
                prop_assert!(plan.problems.iter().all(|problem| problem.hint.is_some()));
                continue;
            }
            check_plan(&plan, &declared, &recorded);
            if !plan.stops.is_empty() {
                continue;
            }
            let after = recorded_after(&plan, &recorded, &mut ids, now);
            let again = planned(&declared, &after, now);
            prop_assert!(again.is_empty(), "{:?}", again.changes);
            prop_assert!(again.problems.is_empty());
            recorded = after;
            for who in &api {
                let key = format!("u{who}@example.com").parse::<crate::model::Email>().unwrap().key();
                if let Some(user) = recorded.users.get_mut(&key) {
                    user.managed_by = ManagedBy::Api;
                }
            }
        }
    }
}

/// What must hold for a plan that can be made.
fn check_plan(plan: &Plan, declared: &Declared, recorded: &Recorded) {
    // Everybody has a number, nobody shares one.
    let emails: BTreeSet<EmailKey> = plan.users.values().map(|user| user.email.key()).collect();
    assert_eq!(emails.len(), plan.users.len());
    assert!(declared.users.keys().all(|key| emails.contains(key)));
    let rows: BTreeSet<Uuid> = plan.users.values().filter_map(|user| user.id).collect();
    assert_eq!(rows.len(), plan.users.values().filter(|user| user.id.is_some()).count());

    let before: BTreeMap<Uuid, &RecordedUser> = recorded.users.values().map(|user| (user.id, user)).collect();
    let mut free: Vec<Extension> = Vec::new();
    for user in plan.users.values() {
        let pin = declared.users.get(&user.email.key()).and_then(|user| user.extension);
        if let Some(pin) = pin {
            assert_eq!(user.extension, pin, "a pin is honoured");
        } else if let Some(old) = user.id.and_then(|id| before.get(&id)) {
            assert_eq!(user.extension, old.extension, "nobody is moved");
        } else {
            free.push(user.extension);
        }
    }
    // A number given to a new user was nobody's, reserved for none and held for nobody else.
    for change in plan.changes.iter().filter(|change| change.kind == Kind::Create) {
        match change.choice {
            Some(Choice::LowestFree) => assert!(!plan.settings.reserved.contains(&change.extension)),
            Some(Choice::Held) => assert_eq!(recorded.holds[&change.extension].email, change.email.key()),
            Some(Choice::Pinned) => {}
            None => panic!("a new user has a reason for its number"),
        }
    }
    // The lowest free: no smaller number was left over.
    if let Some(highest) =
        plan.changes.iter().filter(|c| c.choice == Some(Choice::LowestFree)).map(|c| c.extension).max()
    {
        let freed_now = |number: &Extension| plan.holds.iter().any(|(held, _)| held == number);
        for number in plan.settings.range.numbers().take_while(|number| *number < highest.number()) {
            let number = Extension::try_from(number).unwrap();
            let explained = plan.users.contains_key(&number)
                || plan.settings.reserved.contains(&number)
                || recorded.holds.contains_key(&number)
                || freed_now(&number);
            assert!(explained, "{number} was left over");
        }
    }
    // Who is deleted was managed by the file and is declared no more.
    for id in &plan.deletes {
        assert_eq!(before[id].managed_by, ManagedBy::File);
        assert!(!rows.contains(id));
    }
    let api = before.values().filter(|user| user.managed_by == ManagedBy::Api);
    assert!(api.clone().all(|user| rows.contains(&user.id)), "a user of the API is never deleted");
}
