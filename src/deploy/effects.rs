//! What a plan does to phones, from a comparison of the generated file with the new one. The rows are not enough: they
//! may have changed before the file, or on another host.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{
    asterisk::{BadValue, ConfigFile, PerFile},
    directory::{ManagedBy, Recorded, RecordedUser},
    model::{E164, Extension, ObjectName, PhoneOverride, UserKey},
    plan::{Effects, Plan, PlannedUser},
    render::{self, File, FileDiff, ParsedPhone, Phonebook, Present, SectionDiff},
};

/// What the files tell about a plan: those that run or are in place, those to come, and what differs.
pub(super) struct FileEffects<'a> {
    pub(super) plan: &'a Plan,
    pub(super) endpoints: Option<&'a Present>,
    pub(super) routing: Option<&'a Present>,
    pub(super) target: &'a PerFile<File>,
    pub(super) differences: &'a PerFile<FileDiff>,
}

impl FileEffects<'_> {
    /// Puts what the files tell in the place of what the rows tell, for each file that runs. What the rows tell stays
    /// beside it where another file may run.
    ///
    /// # Errors
    /// For tenants whose names cannot stand in a configuration line; none that was checked is one.
    pub(super) fn take_into(&self, effects: &mut Effects, runs: PerFile<bool>) -> Result<(), BadValue> {
        if let Some(before) = self.endpoints {
            let (mut moved, mut reread) = self.phones();
            let mut carriers = self.objects(before)?;
            if !runs[ConfigFile::Endpoints] {
                moved.append(&mut effects.moved);
                reread.append(&mut effects.reread);
                carriers.append(&mut effects.carriers);
            }
            (effects.moved, effects.reread, effects.carriers) = (moved, reread, carriers);
        }
        if let Some(before) = self.routing {
            let mut dialing = self.dialing(before)?;
            let mut numbers = self.numbers(before)?;
            if !runs[ConfigFile::Routing] {
                dialing |= effects.dialing;
                numbers.append(&mut effects.numbers);
            }
            (effects.dialing, effects.numbers) = (dialing, numbers);
        }
        Ok(())
    }

    /// Finds the phones that are in both files and register over another transport, and those of which something else
    /// differs.
    fn phones(&self) -> (BTreeSet<Extension>, BTreeSet<Extension>) {
        let differences = &self.differences[ConfigFile::Endpoints].sections;
        let (mut moved, mut reread) = (BTreeSet::new(), BTreeSet::new());
        if differences.is_empty() {
            return (moved, reread);
        }
        let Plan { tenant, settings, .. } = self.plan;
        let names = render::template_names(tenant);
        let shared: Vec<&SectionDiff> = names.iter().filter_map(|name| differences.get(name)).collect();
        let keys: BTreeSet<&str> = shared.iter().flat_map(|difference| difference.keys()).collect();
        // Of two values, the one before: it differs, or it is the one that is to come.
        let before = |differences: &[&SectionDiff], after: Option<&str>| {
            let differing = differences.iter().find(|difference| difference.keys().contains(TRANSPORT));
            differing.map_or_else(|| after.map(str::to_owned), |found| found.values(TRANSPORT)[0].map(str::to_owned))
        };
        let shared_after = settings.phones.transport.as_ref().map(ObjectName::as_str);
        let shared_before = before(&shared, shared_after);
        let none = SectionDiff::default();
        for user in self.plan.users.values() {
            let name = render::endpoint_name(tenant, settings.endpoint_names, user.extension);
            let own = differences.get(&name).unwrap_or(&none);
            let after = user.phone.transport.as_ref().map(ObjectName::as_str);
            let was = before(&[own], after).or_else(|| shared_before.clone());
            let shared_keys = keys.iter().filter(|key| !has_own(&user.phone, key));
            if was.as_deref() != after.or(shared_after) {
                moved.insert(user.extension);
            } else if own.keys().iter().chain(shared_keys).any(|key| *key != TRANSPORT) {
                reread.insert(user.extension);
            }
        }
        (moved, reread)
    }

    /// Names the objects whose sections differ, come or go.
    fn objects(&self, before: &Present) -> Result<BTreeSet<String>, BadValue> {
        let differences = &self.differences[ConfigFile::Endpoints].sections;
        let after = Phonebook::of(self.plan, None).objects()?;
        let before = &before.parsed.objects;
        let is_changed = |section: &&String| {
            let differs = differences.get(*section).is_some_and(|difference| !difference.is_empty());
            differs || !before.contains_key(*section) || !after.contains_key(*section)
        };
        let changed = before.keys().chain(after.keys()).filter(is_changed);
        let name = |section| before.get(section).or_else(|| after.get(section)).map(|object| object.name.clone());
        Ok(changed.filter_map(name).collect())
    }

    /// Tells whether phones can dial other numbers or contexts.
    fn dialing(&self, before: &Present) -> Result<bool, BadValue> {
        let routing = ConfigFile::Routing;
        if self.differences[routing].text.is_empty() {
            return Ok(false);
        }
        render::dialing_differs(&self.plan.tenant, &before.text, &self.target[routing].text)
    }

    /// Finds the public numbers whose calls go another way.
    fn numbers(&self, before: &Present) -> Result<BTreeSet<E164>, BadValue> {
        let routing = ConfigFile::Routing;
        if self.differences[routing].text.is_empty() {
            return Ok(BTreeSet::new());
        }
        render::numbers_between(&self.plan.tenant, &before.text, &self.target[routing].text)
    }
}

/// The option that says which way a phone registers.
const TRANSPORT: &str = "transport";

/// Tells whether a phone has its own value of an option, whatever the shared one is.
fn has_own(phone: &PhoneOverride, option: &str) -> bool {
    match option {
        TRANSPORT => phone.transport.is_some(),
        "max_contacts" => phone.devices.is_some(),
        "allow" | "disallow" => phone.codecs.is_some(),
        "realm" => phone.realm.is_some(),
        _ => false,
    }
}

/// Names the phone of a user once the plan was carried out.
pub(super) fn phone_name(plan: &Plan, user: &PlannedUser) -> String {
    render::endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension)
}

/// Tells whether a phone of the file in place keeps its name and its digest.
pub(super) type Keeps<'a> = dyn Fn(&str, &ParsedPhone) -> bool + 'a;

/// Counts the phones in the file in place whose users are gone once the plan was carried out, and how many of them a
/// desired-state file lets go: not those that the API let go one by one, nor those whom the directory never knew, which
/// are a rail of their own.
pub(super) fn ended(plan: &Plan, recorded: &Recorded, file: &Present, keeps: &Keeps<'_>) -> (usize, usize) {
    let stay: BTreeSet<Uuid> = plan.users.values().filter_map(|user| user.id).collect();
    let names: BTreeMap<UserKey, String> =
        plan.users.values().map(|user| (user.email.key(), phone_name(plan, user))).collect();
    let in_file: BTreeSet<UserKey> = file.parsed.phones.values().map(|phone| UserKey::of(&phone.email)).collect();
    // Who was renamed since, and has no phone under the present address yet, has that of the former one.
    let rows = recorded.users.iter().filter(|(key, row)| stay.contains(&row.id) && !in_file.contains(*key));
    let renamed: BTreeSet<&UserKey> = rows.filter_map(|(_, row)| row.previous.as_ref()).collect();
    let stays = |name: &str, key: &UserKey| match recorded.users.get(key) {
        // Whoever was deleted and is a user again has another phone, if it is not of the same name.
        Some(row) if row.applied.is_none() && recorded.former.contains_key(key) => {
            names.get(key).is_some_and(|kept| kept == name)
        }
        Some(row) => stay.contains(&row.id),
        None => names.contains_key(key) || renamed.contains(key),
    };
    let phones = file.parsed.phones.iter().map(|(name, phone)| (name, phone, UserKey::of(&phone.email)));
    let ends = phones.filter(|(name, phone, key)| !stays(name, key) && !keeps(name, phone));
    let ends: Vec<UserKey> = ends.map(|(_, _, key)| key).collect();
    let is_of_file = |key: &&UserKey| match recorded.former.get(*key) {
        Some(by) => *by == ManagedBy::File,
        None => recorded.users.contains_key(*key),
    };
    (ends.len(), ends.iter().filter(is_of_file).count())
}

/// Finds the numbers of users who were never live, and whose number belongs to somebody else in the file in
/// place: the former phone ends, and no phone must log in again.
pub(super) fn successors(plan: &Plan, recorded: &Recorded, file: &Present, keeps: &Keeps<'_>) -> BTreeSet<Extension> {
    let rows: BTreeMap<Uuid, &RecordedUser> = recorded.users.values().map(|row| (row.id, row)).collect();
    let is_successor = |user: &&PlannedUser| {
        let Some(row) = user.id.and_then(|id| rows.get(&id)) else { return false };
        let name = phone_name(plan, user);
        let holder = file.parsed.phones.get(&name);
        let is_others = |phone: &ParsedPhone| UserKey::of(&phone.email) != row.email.key() && !keeps(&name, phone);
        // The first host of a database may have made the row live, while this one still has the former phone.
        let is_gone = |phone: &ParsedPhone| {
            let key = UserKey::of(&phone.email);
            recorded.former.contains_key(&key) && !recorded.users.contains_key(&key) && row.previous != Some(key)
        };
        holder.is_some_and(|phone| is_others(phone) && (row.applied.is_none() || is_gone(phone)))
    };
    plan.users.values().filter(is_successor).map(|user| user.extension).collect()
}

/// Finds the phones that the file in place lacks, or has for another user.
pub(super) fn made(plan: &Plan, file: Option<&Present>, mut successors: BTreeSet<Extension>) -> BTreeSet<Extension> {
    let has = |user: &PlannedUser| file.is_some_and(|file| file.parsed.phones.contains_key(&phone_name(plan, user)));
    let made = plan.users.values().filter(|user| user.id.is_none() || !has(user));
    successors.extend(made.map(|user| user.extension));
    successors
}

/// Finds the users whose phone in the file in place has another login than the one to come, though no change of a
/// row says so: the directory lacks their row, or it is another directory, with other numbers and secrets.
pub(super) fn other_logins(plan: &Plan, recorded: &Recorded, file: &Present, keeps: &Keeps<'_>) -> BTreeSet<Extension> {
    let is_foreign = file.parsed.directory != recorded.directory;
    let by_id: BTreeMap<Uuid, &PlannedUser> = plan.users.values().filter_map(|user| Some((user.id?, user))).collect();
    let by_email: BTreeMap<UserKey, &PlannedUser> = plan.users.values().map(|user| (user.email.key(), user)).collect();
    let changed: BTreeSet<Extension> = plan.changes.relogins().collect();
    let moves = file.parsed.phones.iter().filter_map(|(name, phone)| {
        let key = UserKey::of(&phone.email);
        let user = match recorded.users.get(&key) {
            // A row that was never live has inherited the address of the phone's user.
            Some(row) if row.applied.is_none() && !is_foreign => return None,
            Some(row) => by_id.get(&row.id)?,
            None => by_email.get(&key)?,
        };
        let is_same = phone_name(plan, user) == *name;
        ((!is_same || user.digest.is_none()) && !keeps(name, phone)).then_some(user.extension)
    });
    moves.filter(|phone| !changed.contains(phone)).collect()
}

/// Notes the phones whose digest in place is another one though the rows do not explain it: an older dump
/// was restored, or the operator edited the file.
pub(super) fn foreign_digests(plan: &Plan, recorded: &Recorded, phones: &BTreeSet<Extension>) -> Option<String> {
    // A row that was never live is one that the directory made since.
    let new = recorded.users.values().filter(|row| row.applied.is_none()).map(|row| row.extension);
    let explained: BTreeSet<Extension> = plan.behind.iter().copied().chain(new).collect();
    let unexplained = phones.difference(&explained).count();
    let phones = if unexplained == 1 { "1 phone".to_owned() } else { format!("{unexplained} phones") };
    (unexplained > 0).then(|| {
        format!(
            "the generated file and the database have different digests for {phones}, though nothing was recorded since the \
             last apply: another host of this database applied the change, an older dump was restored, or the file was edited"
        )
    })
}
