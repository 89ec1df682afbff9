//! What must hold for any sequence of files, each applied to what the one before left.

mod handed_on;
mod inbound;
mod same;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Choice, InboundValues, Inputs, Kind, Plan, PlannedUser, SecretPlan, plan, plan_id};
use crate::{
    asterisk::PerFile,
    desired::{self, Declared},
    directory::{Hold, ManagedBy, Recorded, RecordedSecret, RecordedTenant, RecordedUser, seal::ObjectPrint},
    model::{Email, Extension, Ha1, NAME_BYTES, Prints, Secret, UserKey},
    objects::{NumberOwner, ObjectId, ObjectKind, Routes},
    render::{self, Digests, Phonebook, endpoint_name},
};

/// One user of a random file.
#[derive(Debug, Clone)]
struct User {
    who: usize,
    name: usize,
    pin: Option<u32>,
    protected: bool,
    formerly: Option<usize>,
    devices: Option<u32>,
    /// The version of the declared secret.
    secret: Option<u32>,
}

/// A random file.
#[derive(Debug, Clone)]
struct File {
    users: Vec<User>,
    reserved: Vec<u32>,
    hold: u32,
    realm: &'static str,
    include: &'static str,
    calls: Option<Calls>,
    groups: Groups,
}

/// The groups of a random file, each with the number that it asks for: `None` for one that is allocated.
type Groups = BTreeMap<u32, Option<u32>>;

/// What a random file says about inbound calls.
#[derive(Debug, Clone)]
struct Calls {
    /// Rules by the last digit of the number, each with whether it is protected.
    rules: BTreeMap<u32, bool>,
    /// The version of the trunk's secret.
    secret: Option<u32>,
    /// The last digit of the dialer's number, which comes from the environment.
    number: u32,
    /// Whether there is a default caller ID.
    caller_id: bool,
    /// Whether users have voicemail boxes.
    voicemail: bool,
}

fn calls() -> impl Strategy<Value = Calls> {
    let rules = prop::collection::btree_map(0..4_u32, prop::bool::weighted(0.1), 0..4);
    let words = (any::<bool>(), any::<bool>());
    (rules, prop::option::of(0..2_u32), 0..2_u32, words).prop_map(|(rules, secret, number, (caller_id, voicemail))| {
        Calls { rules, secret, number, caller_id, voicemail }
    })
}

const PEOPLE: usize = 9;
const FIRST: u32 = 1000;
const LAST: u32 = 1011;

/// The second and third differ only where no phone shows it.
fn name(which: usize) -> String {
    let long = "x".repeat(NAME_BYTES);
    ["Ana".to_owned(), format!("{long}y"), format!("{long}z")][which].clone()
}

fn user(who: usize) -> impl Strategy<Value = User> {
    let pin = prop::option::weighted(0.3, FIRST..=LAST);
    let former = prop::option::weighted(0.2, 0..PEOPLE);
    let (devices, secret) = (prop::option::weighted(0.1, 1..3_u32), prop::option::weighted(0.2, 0..2_u32));
    (0..3_usize, pin, prop::bool::weighted(0.1), former, devices, secret).prop_map(
        move |(name, pin, protected, formerly, devices, secret)| User {
            who,
            name,
            pin,
            protected,
            formerly,
            devices,
            secret,
        },
    )
}

fn file() -> impl Strategy<Value = File> {
    let users = prop::collection::vec(prop::bool::ANY, PEOPLE).prop_flat_map(|there| {
        there.iter().enumerate().filter(|(_, there)| **there).map(|(who, _)| user(who)).collect::<Vec<_>>()
    });
    let reserved = prop::collection::vec(FIRST..=LAST, 0..3);
    let words = (prop::sample::select(vec!["asterisk", "pbx"]), prop::sample::select(vec!["", "outbound"]));
    let groups = prop::collection::btree_map(0..2_u32, prop::option::weighted(0.3, FIRST..=LAST), 0..2);
    (users, reserved, prop::sample::select(vec![0_u32, 0, 2]), words, prop::option::of(calls()), groups).prop_map(
        |(users, reserved, hold, (realm, include), calls, groups)| {
            tidy(File { users, reserved, hold, realm, include, calls, groups })
        },
    )
}

/// Takes away what a check would refuse: files that are not valid are no test of a plan.
fn tidy(mut file: File) -> File {
    let there: BTreeSet<usize> = file.users.iter().map(|user| user.who).collect();
    let (mut pins, mut former) = (BTreeSet::new(), BTreeSet::new());
    for user in &mut file.users {
        user.pin = user.pin.filter(|pin| pins.insert(*pin));
        user.formerly = user.formerly.filter(|who| !there.contains(who) && former.insert(*who));
    }
    file.groups.retain(|_, pin| pin.is_none_or(|pin| pins.insert(pin)));
    file
}

fn files() -> impl Strategy<Value = Vec<File>> {
    prop::collection::vec(file(), 1..8)
}

fn head(file: &File) -> String {
    let File { reserved, hold, realm, include, .. } = file;
    format!(
        "version: 1\ntenant: acme\nphones: {{ realm: {realm} }}\ndialplan: {{ include: [{include}] }}\n\
         extensions: {{ range: {FIRST}-{LAST}, reserved: {reserved:?}, hold: {hold}d }}\n"
    )
}

/// Writes the users, in an order of their own for each seed.
fn list(users: &[User], seed: usize) -> String {
    let mut users: Vec<&User> = users.iter().collect();
    users.sort_by_key(|user| (user.who + 1).wrapping_mul(seed | 1).rotate_left(17));
    if users.is_empty() {
        return "users: []\n".to_owned();
    }
    let line = |user: &&User| {
        let key = |key: &str, value: Option<String>| value.map(|v| format!(", {key}: {v}")).unwrap_or_default();
        format!(
            "  - {{ email: u{0}@example.com, name: {1}, protected: {2}{3}{4}{5}{6} }}\n",
            user.who,
            name(user.name),
            user.protected,
            key("extension", user.pin.map(|pin| pin.to_string())),
            key("previously", user.formerly.map(|who| format!("u{who}@example.com"))),
            key("phone", user.devices.map(|devices| format!("{{ devices: {devices} }}"))),
            key("secret", user.secret.map(|_| format!("{{ env: U{}_SECRET }}", user.who))),
        )
    };
    "users:\n".to_owned() + &users.iter().map(line).collect::<String>()
}

/// Writes what the file says about inbound calls, in an order of its own for each seed.
fn calls_of(file: &File, seed: usize) -> String {
    let group = |(name, pin): (&u32, &Option<u32>)| {
        let number = pin.map_or_else(|| "auto".to_owned(), |pin| pin.to_string());
        format!("g{name}: {{ members: [\"+491701234567\"], extension: {number} }}")
    };
    let groups = format!("groups: {{ {} }}\n", file.groups.iter().map(group).collect::<Vec<_>>().join(", "));
    let Some(Calls { rules, secret, voicemail, .. }) = &file.calls else { return groups };
    let voicemail = if *voicemail { "voicemail: { users: true, boxes: { info: { name: Info desk } } }\n" } else { "" };
    let login = ", username: acme, secret: { env: CARRIER_SECRET }";
    let secret = if secret.is_some() { login } else { "" };
    let turned = |mut items: Vec<String>| {
        if seed % 2 == 1 {
            items.reverse();
        }
        items.join(", ")
    };
    let networks = turned(vec!["203.0.113.0/28".to_owned(), "192.0.2.1".to_owned()]);
    let callers = turned(vec!["\"+49*\"".to_owned(), "withheld".to_owned()]);
    let rule = |(digit, protected): (&u32, &bool)| {
        format!("{{ to: \"+1555987654{digit}\", from: [{callers}], route: [desk, busy], protected: {protected} }}")
    };
    let rules = turned(rules.iter().map(rule).collect());
    format!(
        "trunks: {{ carrier: {{ host: 198.51.100.7, identify: [{networks}]{secret} }} }}\n\
         dialers: {{ desk: {{ number: {{ env: DESK_PHONE_NUMBER }}, trunk: carrier }} }}\n\
         inbound: [{rules}]\ndefault_route: [desk]\n{groups}{voicemail}"
    )
}

fn declared(file: &File, seed: usize) -> Option<Declared> {
    desired::load_text("pbx.yaml", &(head(file) + &calls_of(file, seed) + &list(&file.users, seed))).declared
}

fn key(who: usize) -> UserKey {
    format!("u{who}@example.com").parse::<Email>().unwrap().key()
}

/// The trunk that has a secret.
fn carrier() -> ObjectId {
    (ObjectKind::Trunk, "carrier".to_owned())
}

/// What comes from outside of a file.
#[derive(Default)]
struct Outside {
    secrets: BTreeMap<UserKey, Result<Secret, String>>,
    inbound: InboundValues,
}

fn outside(file: &File) -> Outside {
    let value = |user: &User| Some(Secret::new(&format!("secret-{}-{}", user.who, user.secret?)));
    let of = |user: &User| Some((key(user.who), Ok(value(user)?.unwrap())));
    let mut inbound = InboundValues::default();
    if let Some(calls) = &file.calls {
        let number = format!("+4930123456{}", calls.number).parse().unwrap();
        inbound.numbers.insert("DESK_PHONE_NUMBER".to_owned(), Ok(number));
        inbound.caller_id = calls.caller_id.then(|| Ok("+15550001111".parse().unwrap()));
        let secret = calls.secret.map(|version| Secret::new(&format!("carrier-{version}")).unwrap());
        inbound.secrets = secret.map(|secret| (carrier(), Ok(secret))).into_iter().collect();
    }
    Outside { secrets: file.users.iter().filter_map(of).collect(), inbound }
}

/// Plans with every rail let pass.
fn planned(declared: &Declared, outside: &Outside, recorded: &Recorded, now: Timestamp) -> Plan {
    let allowance = ["deletes", "boxes", "public-numbers", "relogins"].map(|rail| (rail.to_owned(), usize::MAX)).into();
    let Outside { secrets, inbound } = outside;
    plan(&Inputs { declared, recorded, secrets, inbound, allowance: &allowance, highest_box: 0, now })
}

fn prints(plan: &Plan, user: &PlannedUser, secret: &Secret) -> Prints {
    let realm = user.phone.realm.as_ref().unwrap_or(&plan.settings.phones.realm);
    let name = endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
    Prints::new(&[7; 16], secret, &Ha1::new(&name, realm.as_str(), secret))
}

/// Does to what is recorded what the directory does.
fn recorded_after(plan: &Plan, outside: &Outside, before: &Recorded, ids: &mut u128, now: Timestamp) -> Recorded {
    let mut after = Recorded {
        unreadable: Vec::new(),
        directory: Some(Uuid::from_u128(1)),
        tenant: Some(RecordedTenant { id: Uuid::from_u128(2), settings: plan.settings.clone() }),
        users: BTreeMap::new(),
        holds: before.holds.clone(),
        former: BTreeMap::new(),
        former_secrets: BTreeMap::new(),
        freed: BTreeMap::new(),
        routes: plan.routes.clone(),
        secrets: BTreeMap::new(),
        applied: None,
        object_rows: BTreeMap::new(),
        own_numbers: before.own_numbers.clone(),
        numbers_elsewhere: before.numbers_elsewhere.clone(),
        expected_runs: Vec::new(),
    };
    for (object, planned) in &plan.secrets {
        let pin = Secret::new("27182").unwrap();
        let secret = match planned.secret {
            SecretPlan::Generate => Some(&pin),
            _ => outside.inbound.secrets.get(object).and_then(|secret| secret.as_ref().ok()),
        };
        let row = match (&planned.print, secret) {
            (None, Some(secret)) => {
                let print = ObjectPrint::new(object.0, &[7; 16], &plan.routes.logins()[object], secret);
                RecordedSecret { id: Uuid::from_u128(3), print: Some(print), applied: None }
            }
            _ => before.secrets[object].clone(),
        };
        after.secrets.insert(object.clone(), row);
    }
    for user in plan.users.values() {
        let id = user.id.unwrap_or_else(|| {
            *ids += 1;
            Uuid::from_u128(*ids)
        });
        let old = before.users.values().find(|old| old.id == id);
        let prints = match (user.secret, old) {
            (SecretPlan::Keep, Some(old)) => old.prints.clone(),
            (SecretPlan::Take, _) => prints(plan, user, outside.secrets[&user.email.key()].as_ref().unwrap()).into(),
            _ => prints(plan, user, &Secret::new(&format!("generated-{id}")).unwrap()).into(),
        };
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
                pinned: user.pinned,
                no_answer: user.no_answer.clone(),
                extension: user.extension,
                secret_declared: user.secret_declared,
                prints,
                applied: None,
                previous: user.previous.clone(),
            },
        );
    }
    let of_objects: BTreeSet<Extension> = plan.routes.extensions().into_values().collect();
    after.holds.retain(|number, _| !of_objects.contains(number));
    for (number, owner) in plan.freed.iter().filter(|_| plan.settings.hold_days > 0) {
        if !plan.users.contains_key(number) && !of_objects.contains(number) {
            after.holds.entry(*number).or_insert(Hold { owner: owner.clone(), freed_at: now });
        }
    }
    after
}

/// A state that a sequence of files led to.
struct State {
    recorded: Recorded,
    ids: u128,
    now: Timestamp,
}

impl State {
    fn empty() -> Self {
        Self { recorded: Recorded::default(), ids: 10, now: "2026-01-01T00:00:00Z".parse().unwrap() }
    }

    /// Applies a file, a day after the last one; tells whether it could be.
    fn apply(&mut self, file: &File) -> bool {
        self.now = self.now.checked_add(24.hours()).unwrap();
        let Some(declared) = declared(file, 0) else { return false };
        let outside = outside(file);
        let plan = planned(&declared, &outside, &self.recorded, self.now);
        if !plan.problems.is_empty() || !plan.stops.is_empty() {
            return false;
        }
        self.recorded = recorded_after(&plan, &outside, &self.recorded, &mut self.ids, self.now);
        true
    }

    fn after(files: &[File]) -> Self {
        let mut state = Self::empty();
        for file in files {
            state.apply(file);
        }
        state
    }
}

fn files_of(plan: &Plan) -> PerFile<render::File> {
    Phonebook::of(plan, None).files(Digests::Masked).unwrap()
}

fn masked(plan: &Plan) -> Vec<(String, String)> {
    files_of(plan).into_iter().map(|(_, file)| (file.path, file.text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_sequence_of_files(files in files(), api in prop::collection::btree_set(0..PEOPLE, 0..3)) {
        let mut state = State::empty();
        for file in &files {
            let before = state.recorded.clone();
            let applied = state.apply(file);
            let (declared, outside) = (declared(file, 0).unwrap(), outside(file));
            let plan = planned(&declared, &outside, &before, state.now);
            if !plan.problems.is_empty() {
                prop_assert!(plan.problems.iter().all(|problem| problem.hint.is_some()));
                continue;
            }
            check_plan(&plan, &declared, &before);
            if !applied {
                continue;
            }
            let again = planned(&declared, &outside, &state.recorded, state.now);
            prop_assert!(again.is_empty(), "{:?}", again.changes);
            prop_assert!(again.problems.is_empty());
            for who in &api {
                if let Some(user) = state.recorded.users.get_mut(&key(*who)) {
                    user.managed_by = ManagedBy::Api;
                }
            }
        }
    }
}

/// Lists the voicemail boxes, each with its number and its user.
fn boxes(routes: &Routes) -> BTreeMap<u32, Option<UserKey>> {
    let boxes = routes.objects().into_iter().filter(|((kind, _), _)| *kind == ObjectKind::Box);
    let numbered = boxes.map(|(_, object)| {
        let fields: BTreeMap<_, _> = object.fields().into_iter().collect();
        (fields["number"].as_ref().unwrap().parse().unwrap(), fields["user"].as_deref().map(UserKey::of))
    });
    numbered.collect()
}

/// A user keeps the box, and no box gets the number of another one.
fn check_boxes(plan: &Plan, recorded: &Recorded) {
    let had = recorded.routes.last_box.clone().unwrap_or_default();
    let before = boxes(&recorded.routes);
    for (number, user) in boxes(&plan.routes) {
        let Some(known) = before.get(&number) else {
            let of_user = |email: &UserKey| {
                let id = plan.users.values().find(|user| user.email.key() == *email).and_then(|user| user.id);
                had.users
                    .iter()
                    .any(|(former, kept)| recorded.users.get(former).map(|row| row.id) == id && *kept == number)
            };
            let is_again = user.as_ref().map_or_else(|| had.shared.values().any(|kept| *kept == number), of_user);
            assert!(number > had.last || is_again, "the number {number} was another box's");
            continue;
        };
        let row = |email: &UserKey| recorded.users[email].id;
        let user = user.and_then(|email| plan.users.values().find(|user| user.email.key() == email)?.id);
        assert_eq!(user, known.as_ref().map(row), "the box {number} stays with its user");
    }
}

/// What must hold for a plan that can be made.
fn check_plan(plan: &Plan, declared: &Declared, recorded: &Recorded) {
    // Everybody has a number, nobody shares one.
    let emails: BTreeSet<UserKey> = plan.users.values().map(|user| user.email.key()).collect();
    assert_eq!(emails.len(), plan.users.len());
    assert!(declared.users.keys().all(|key| emails.contains(key)));
    let rows: BTreeSet<Uuid> = plan.users.values().filter_map(|user| user.id).collect();
    assert_eq!(rows.len(), plan.users.values().filter(|user| user.id.is_some()).count());

    let (had, of_objects) = (recorded.routes.extensions(), plan.routes.extensions());
    let distinct: BTreeSet<&Extension> = of_objects.values().chain(plan.users.keys()).collect();
    assert_eq!(distinct.len(), of_objects.len() + plan.users.len(), "a number has one owner");
    for (id, claim) in declared.routes.extension_claims() {
        match (claim.given(), had.get(&id)) {
            (Some(pin), _) => assert_eq!(of_objects[&id], pin, "a pin is honoured"),
            (None, Some(number)) => assert_eq!(of_objects[&id], *number, "no object is moved"),
            (None, None) => assert!(!plan.settings.reserved.contains(&of_objects[&id])),
        }
    }

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
    for (_, change) in plan.changes.of_users().filter(|(change, _)| change.kind == Kind::Create) {
        match change.choice {
            Some(Choice::LowestFree) => assert!(!plan.settings.reserved.contains(&change.extension)),
            Some(Choice::Held) => {
                assert_eq!(recorded.holds[&change.extension].owner, NumberOwner::User(change.email.key()));
            }
            Some(Choice::Pinned) => {}
            None => panic!("a new user has a reason for its number"),
        }
    }
    // The lowest free: no smaller number was left over.
    if let Some(highest) =
        plan.changes.of_users().filter(|(_, c)| c.choice == Some(Choice::LowestFree)).map(|(_, c)| c.extension).max()
    {
        let holds = plan.settings.hold_days > 0;
        let freed_now = |number: &Extension| holds && plan.freed.iter().any(|(freed, _)| freed == number);
        for number in plan.settings.range.numbers().take_while(|number| *number < highest.number()) {
            let number = Extension::try_from(number).unwrap();
            let explained = distinct.contains(&number)
                || plan.settings.reserved.contains(&number)
                || recorded.holds.contains_key(&number)
                || freed_now(&number);
            assert!(explained, "{number} was left over");
        }
    }
    check_boxes(plan, recorded);
    // Who is deleted was managed by the file and is declared no more.
    for id in &plan.deletes {
        assert_eq!(before[id].managed_by, ManagedBy::File);
        assert!(!rows.contains(id));
    }
    let api = before.values().filter(|user| user.managed_by == ManagedBy::Api);
    assert!(api.clone().all(|user| rows.contains(&user.id)), "a user of the API is never deleted");
}
