//! What must not move a number or change a plan's id, and what must.

use std::{cell::Cell, fs, sync::Arc};

use jiff::ToSpan;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

use super::*;
use crate::{
    asterisk::{ConfigFile, PerFile},
    deploy::{InPlace, Running, Survey, compare},
    render::Present,
};

/// The plan's id on a machine that has these files in place and runs them, or does not.
fn id_where(inputs: &Inputs<'_>, in_place: InPlace, running: Option<Running>) -> Option<String> {
    let survey = Survey { in_place, running, ..Survey::default() };
    compare(inputs, &survey, Vec::new()).unwrap().id
}

fn id(plan: &Plan) -> String {
    let files = masked(plan);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    plan_id(plan, &files).unwrap()
}

/// Writes a file split into parts, in folders and under names as `seed` says.
fn split(file: &File, parts: usize, seed: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in 0..parts {
        let name = (part + 1).wrapping_mul(seed | 1);
        let path = folder.path().join(format!("{}/{name}.{}", name % 3, ["yaml", "yml"][seed % 2]));
        let mine = |user: &&User| user.who.wrapping_mul(seed) % parts == part;
        let mine: Vec<User> = file.users.iter().filter(mine).cloned().collect();
        let head = if part == seed % parts { head(file) + &calls_of(file, seed) } else { String::new() };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, head + &list(&mine, seed)).unwrap();
    }
    folder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The order of the list and the split into files carry no meaning.
    #[test]
    fn shuffled_and_split_it_is_the_same_plan(files in files(), last in file(), parts in 1..5_usize, seed in any::<usize>()) {
        let state = State::after(&files);
        let outside = outside(&last);
        let one = planned(&declared(&last, 0).unwrap(), &outside, &state.recorded, state.now);
        let folder = split(&last, parts, seed);
        let loaded = desired::load(folder.path());
        let loaded = loaded.declared.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        for other in [declared(&last, seed).unwrap(), loaded] {
            let other = planned(&other, &outside, &state.recorded, state.now);
            prop_assert_eq!(numbers(&one), numbers(&other));
            prop_assert_eq!(id(&one), id(&other));
        }
    }

    /// Others may leave or come: whoever is recorded keeps the number.
    #[test]
    fn no_number_moves_when_others_leave_or_come(
        files in files(),
        leave in prop::collection::btree_set(0..PEOPLE, 0..PEOPLE),
        come in file(),
    ) {
        let mut state = State::empty();
        let Some(last) = files.iter().filter(|file| state.apply(file)).last() else { return Ok(()) };
        let stayed: Vec<User> = last.users.iter().filter(|user| !leave.contains(&user.who)).cloned().collect();
        let there: BTreeSet<usize> = last.users.iter().map(|user| user.who).collect();
        let mut users = stayed.clone();
        // Newcomers take no number that somebody has.
        users.extend(come.users.into_iter().filter(|user| !there.contains(&user.who)).map(|user| User {
            pin: None,
            formerly: None,
            ..user
        }));
        for user in &mut users {
            user.formerly = None;
        }
        let next = File { users, ..last.clone() };
        let plan = planned(&declared(&next, 1).unwrap(), &outside(&next), &state.recorded, state.now);
        let after = numbers(&plan);
        for user in &stayed {
            prop_assert_eq!(after[&key(user.who)], state.recorded.users[&key(user.who)].extension);
        }
    }

    /// Two machines see one file and one database, and whatever else they have.
    #[test]
    fn two_machines_compute_one_id(
        files in files(),
        last in file(),
        seed in any::<usize>(),
        old in prop::option::of(file()),
        live in any::<[bool; ConfigFile::ALL.len()]>(),
    ) {
        let state = State::after(&files);
        let (outside, allowance) = (outside(&last), BTreeMap::new());
        let here = declared(&last, 0).unwrap();
        let text = format!("# a comment\n\n{}\n# another\n{}{}", list(&last.users, seed), head(&last), calls_of(&last, seed));
        let there = desired::load_text("elsewhere/phones.yml", &text).declared.unwrap();
        let recorded = &state.recorded;
        let Outside { secrets, inbound } = &outside;
        let runner = Inputs { declared: &here, recorded, secrets, inbound, allowance: &allowance, highest_box: 0, now: state.now };
        let later = state.now.checked_add(1.second()).unwrap();
        let allowed = BTreeMap::from([("deletes".to_owned(), 99)]);
        let host = Inputs { declared: &there, recorded, secrets, inbound, allowance: &allowed, highest_box: 0, now: later };
        // What is in place may be of any other time, or written by hand.
        let in_place = if let Some(old) = old.as_ref().map(|old| State::after(std::slice::from_ref(old))) {
            let plan = planned(&here, &outside, &old.recorded, old.now);
            files_of(&plan).map(|file| Some(Present::new(file.text)))
        } else {
            let mut in_place = InPlace::default();
            in_place[ConfigFile::Endpoints] = Some(Present::new("[general]\nby = hand\n".to_owned()));
            in_place
        };
        let running = Running { live: PerFile::from_fn(|file| live[file as usize]) };
        let ours = id_where(&runner, InPlace::default(), None);
        // Only numbers of boxes that the database does not know count, as after the restore of an older dump.
        let highest = in_place[ConfigFile::Voicemail].as_ref().map(|file| file.parsed.highest_box);
        if highest <= recorded.routes.highest_box().or(Some(0)) {
            prop_assert_eq!(&ours, &id_where(&host, in_place, Some(running)));
        }
        let plan = planned(&here, &outside, recorded, state.now);
        prop_assert_eq!(ours.is_some(), plan.problems.is_empty());
    }
}

fn numbers(plan: &Plan) -> BTreeMap<UserKey, Extension> {
    plan.users.values().map(|user| (user.email.key(), user.extension)).collect()
}

/// Everything that carrying out a plan writes, and what it takes for granted, without the id's help.
fn effect(plan: &Plan, recorded: &Recorded) -> impl PartialEq + std::fmt::Debug {
    let row = |id: Uuid| recorded.users.values().find(|user| user.id == id);
    let written = plan.users.values().filter(|user| user.write).map(|user| {
        let before = user.id.and_then(row).map(|old| {
            (old.email.clone(), old.name.clone(), old.extension, old.managed_by, old.protected, old.phone.clone())
        });
        let after = (user.email.clone(), user.name.clone(), user.extension, user.managed_by, user.protected);
        (before, after, user.phone.clone(), user.secret_declared, user.secret)
    });
    let deleted = plan.deletes.iter().filter_map(|id| row(*id)).map(|old| (old.email.clone(), old.extension));
    let settings = (recorded.tenant.as_ref().map(|tenant| tenant.settings.clone()), plan.settings.clone());
    let trunks: BTreeSet<_> = recorded.secrets.keys().cloned().collect();
    let inbound = (recorded.routes.clone(), plan.routes.clone(), trunks, plan.secrets.clone());
    let users = (written.collect::<Vec<_>>(), deleted.collect::<BTreeSet<_>>(), plan.freed.clone());
    (settings, users, inbound, masked(plan))
}

/// Changes one thing in what is declared or recorded.
fn change(file: &mut File, recorded: &mut Recorded, what: usize, who: usize) {
    let other = |number: u32| FIRST + (number - FIRST + 1) % (LAST - FIRST + 1);
    let declared = file.users.len();
    if what == 24 {
        let pin = file.groups.remove(&0);
        file.groups.insert(0, pin.flatten().map_or(Some(FIRST + 8), |pin| Some(other(pin))));
    } else if what >= 19 {
        let Some(calls) = &mut file.calls else { return };
        match what {
            19 => calls.number += 1,
            20 => calls.caller_id = !calls.caller_id,
            21 => calls.secret = calls.secret.map_or(Some(0), |version| version.checked_sub(1)),
            22 => calls.rules.values_mut().for_each(|protected| *protected = !*protected),
            _ => drop(calls.rules.pop_first()),
        }
    } else if what < 8 && declared > 0 {
        let user = &mut file.users[who % declared];
        match what {
            0 => user.name = (user.name + 1) % 3,
            1 => user.pin = user.pin.map_or(Some(FIRST + 7), |pin| Some(other(pin))),
            2 => user.protected = !user.protected,
            3 => user.devices = user.devices.map_or(Some(1), |_| None),
            4 => user.secret = user.secret.map_or(Some(1), |_| None),
            5 => user.secret = Some(user.secret.map_or(0, |version| version + 1)),
            6 => user.formerly = None,
            _ => drop(file.users.remove(who % declared)),
        }
    } else if what < 12 {
        match what {
            8 => file.reserved.push(LAST),
            9 => file.hold += 1,
            10 => file.realm = if file.realm == "pbx" { "asterisk" } else { "pbx" },
            _ => file.include = if file.include.is_empty() { "outbound" } else { "" },
        }
    } else if let Some(key) = recorded.users.keys().nth(who % recorded.users.len().max(1)).cloned() {
        let taken: BTreeSet<Extension> = recorded.users.values().map(|user| user.extension).collect();
        let user = recorded.users.get_mut(&key).unwrap();
        match what {
            12 => user.name = if user.name.as_str() == "Ana" { "Anna" } else { "Ana" }.parse().unwrap(),
            13 => {
                let free = (FIRST..=LAST).filter_map(|number| Extension::try_from(number).ok());
                user.extension = free.rev().find(|number| !taken.contains(number)).unwrap();
            }
            14 => user.protected = !user.protected,
            15 => Arc::make_mut(&mut user.phone).devices = user.phone.devices.map_or(Some(7), |_| None),
            16 => Arc::make_mut(&mut user.prints).secret = vec![0],
            17 => user.managed_by = if user.managed_by == ManagedBy::Api { ManagedBy::File } else { ManagedBy::Api },
            _ => drop(recorded.users.remove(&key)),
        }
    }
}

/// Two plans with one id write the same rows over the same rows, with the same numbers, and the
/// same files: who approved one approved the other.
#[test]
fn another_outcome_is_another_id() {
    let cases = 500;
    let persistence = FileFailurePersistence::SourceParallel("proptest-regressions");
    let config =
        ProptestConfig { failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::with_cases(cases) };
    let differing = Cell::new(0);
    let config = ProptestConfig { source_file: Some(file!()), ..config };
    let inputs = (files(), file(), 0..25_usize, 0..PEOPLE);
    let result = TestRunner::new(config).run(&inputs, |(files, last, what, who)| {
        let state = State::after(&files);
        let (mut other_file, mut other_recorded) = (last.clone(), state.recorded.clone());
        change(&mut other_file, &mut other_recorded, what, who);
        let make = |file: &File, recorded: &Recorded| {
            let declared = declared(&tidy(file.clone()), 0).unwrap();
            planned(&declared, &outside(file), recorded, state.now)
        };
        let (one, other) = (make(&last, &state.recorded), make(&other_file, &other_recorded));
        if one.problems.is_empty() && other.problems.is_empty() {
            let same = effect(&one, &state.recorded) == effect(&other, &other_recorded);
            differing.set(differing.get() + u32::from(!same));
            prop_assert!(same || id(&one) != id(&other), "one id, {:?} and {:?}", one.changes, other.changes);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // Somewhat more than half of them do.
    assert!(differing.get() > cases / 4, "only {} of {cases} pairs differ", differing.get());
}

/// Phones are shown 79 bytes of a name; the row holds all of it, and once had another id only when
/// the files differed.
#[test]
fn a_name_that_differs_where_no_phone_shows_it_is_another_plan() {
    let of = |name| {
        let user = User { who: 1, name, pin: None, protected: false, formerly: None, devices: None, secret: None };
        let file = File {
            users: vec![user],
            reserved: Vec::new(),
            hold: 0,
            realm: "asterisk",
            include: "",
            calls: None,
            groups: Groups::new(),
        };
        let State { recorded, now, .. } = State::empty();
        planned(&declared(&file, 0).unwrap(), &Outside::default(), &recorded, now)
    };
    assert_eq!(masked(&of(1)), masked(&of(2)));
    assert_ne!(id(&of(1)), id(&of(2)));
}
