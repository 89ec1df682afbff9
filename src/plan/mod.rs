//! What must change: the diff of declared against recorded, numbers, rails and the plan id.
//!
//! Pure and total: no clock, environment or database. The plan makes every choice; who carries it
//! out makes none. Files and the running Asterisk are compared in `render` and `deploy`.

mod advice;
mod affected;
mod allocate;
mod change;
mod diff;
mod effects;
mod id;
mod inbound;
mod number_pool;
mod numbers;
mod phone_rails;
mod rails;
mod renames;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

pub(crate) use affected::numbers_between;
pub use change::{Change, Changes, Choice, FieldChange, Kind, Subject, UserChange};
pub(crate) use diff::all_settings;
pub use effects::{Affected, Effects};
pub(crate) use id::{plan_id, target_hash};
pub use inbound::InboundValues;
pub use number_pool::{Allocator, NoNumber};
pub use numbers::{Numbers, count, numbers};
pub use phone_rails::PhoneRails;
pub(crate) use phone_rails::{DELETES, RELOGINS, rotation_stop};
pub use rails::{Allowance, RailStop};
pub(crate) use rails::{OBSERVED, observed};

use diff::Before;

use crate::{
    desired::Declared,
    directory::{ManagedBy, Recorded, seal::ObjectPrint},
    model::{
        Diagnostic, DisplayName, Extension, Identity, PhoneOverride, Prints, Secret, Settings, Tenant, UserKey, packed,
    },
    objects::{NumberOwner, ObjectId, Routes, Target},
};

/// Everything a plan is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The checked file.
    pub declared: &'a Declared,
    /// What the directory holds.
    pub recorded: &'a Recorded,
    /// The declared secrets by user: the value, or why it cannot be had. A declared one without an entry was not read,
    /// because what is recorded has no fingerprint to compare it with.
    pub secrets: &'a BTreeMap<UserKey, Result<Secret, String>>,
    /// What inbound calls need besides.
    pub inbound: &'a InboundValues,
    /// What rails let pass this once.
    pub allowance: &'a Allowance,
    /// The highest number of a voicemail box that the files in place know. 0 if they know none, or are not looked at: a
    /// directory that gave the numbers itself knows them, too.
    pub highest_box: u32,
    /// The present, for numbers on hold.
    pub now: Timestamp,
}

/// What must change in the directory, and what will be recorded afterwards.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tenant.
    pub tenant: Tenant,
    /// Whether the tenant is not recorded yet.
    pub(crate) is_new: bool,
    /// The settings afterwards.
    pub settings: Settings,
    /// What changes.
    pub changes: Changes,
    /// All users afterwards, by number: those of the API too.
    pub users: BTreeMap<Extension, PlannedUser>,
    /// Users to delete.
    pub deletes: Vec<Uuid>,
    /// Numbers that users and objects leave.
    pub freed: Vec<(Extension, NumberOwner)>,
    /// Users of the API that are left alone.
    pub(crate) api_users: usize,
    /// The inbound calls afterwards, with every number resolved.
    pub routes: Routes,
    /// What happens to the secrets of objects.
    pub secrets: BTreeMap<ObjectId, PlannedSecret>,
    /// Phones whose recorded digest is another one than the last apply made live, though their rows stay:
    /// a rotated secret, or a change that was recorded and never applied. Part of the id.
    pub behind: BTreeSet<Extension>,
    /// The same for the secrets of objects.
    pub(crate) secrets_behind: BTreeSet<ObjectId>,
    /// What becomes of phones, carriers and public numbers, by the rows alone.
    pub(crate) by_rows: Effects,
    /// How many users may be deleted, and how many phones may have to log in again.
    pub(crate) phone_rails: PhoneRails,
    /// How many changes of each kind.
    pub counts: Counts,
    /// Why the plan cannot be made, if anything stands here.
    pub problems: Vec<Diagnostic>,
    /// Rails that protected rows run into. Those that depend on more are in the comparison with the host.
    pub stops: Vec<RailStop>,
    /// What an administrator should know.
    pub notes: Vec<String>,
    /// Declared secrets and numbers that cannot be had, each with the reason: no id, nothing to apply.
    pub(crate) unresolved: Vec<String>,
}

impl Plan {
    /// The plan for a tenant without users.
    fn new(tenant: Tenant, settings: Settings) -> Self {
        Self {
            tenant,
            is_new: false,
            settings,
            changes: Changes::default(),
            users: BTreeMap::new(),
            deletes: Vec::new(),
            freed: Vec::new(),
            api_users: 0,
            routes: Routes::default(),
            secrets: BTreeMap::new(),
            behind: BTreeSet::new(),
            secrets_behind: BTreeSet::new(),
            by_rows: Effects::default(),
            phone_rails: PhoneRails::default(),
            counts: Counts::default(),
            problems: Vec::new(),
            stops: Vec::new(),
            notes: Vec::new(),
            unresolved: Vec::new(),
        }
    }

    /// Returns the user of a change as recorded afterwards; `None` for a deleted one.
    pub(crate) fn user_after(&self, kind: Kind, change: &UserChange) -> Option<&PlannedUser> {
        self.users.get(&change.extension).filter(|user| user.email == change.email && kind != Kind::Delete)
    }

    /// Tells whether the directory already is as declared.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Tells whether the last apply made everything live that stays recorded.
    pub(crate) fn is_applied(&self) -> bool {
        self.behind.is_empty() && self.secrets_behind.is_empty()
    }
}

/// How many users change, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// New users.
    pub create: usize,
    /// Changed users.
    pub update: usize,
    /// Users with a new e-mail.
    pub rename: usize,
    /// Users of the API that the file takes over.
    pub adopt: usize,
    /// Deleted users.
    pub delete: usize,
}

impl Counts {
    /// Counts the changes by the word for their kind.
    pub(crate) fn by_kind(&self) -> BTreeMap<&'static str, usize> {
        let Self { create, update, rename, adopt, delete } = *self;
        BTreeMap::from([
            ("create", create),
            ("update", update),
            ("rename", rename),
            ("adopt", adopt),
            ("delete", delete),
        ])
    }
}

/// A user as recorded after the plan.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the row")]
#[derive(Debug, Clone)]
pub struct PlannedUser {
    /// The row; none for a new user.
    pub id: Option<Uuid>,
    /// The address or the id.
    pub email: Identity,
    /// The display name.
    pub name: DisplayName,
    /// The number.
    pub extension: Extension,
    /// Who changes the row.
    pub managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// What this user's phone has differently.
    pub phone: Arc<PhoneOverride>,
    /// Whether the file pins the number.
    pub pinned: bool,
    /// Who gets the calls that nobody answers, tried in turn. `None` for the user's own voicemail box, if there is one.
    pub no_answer: Option<Box<[Target]>>,
    /// Whether the secret is a declared one.
    pub secret_declared: bool,
    /// What happens to the secret.
    pub secret: SecretPlan,
    /// The recorded fingerprints, where the digest stays the one they are of.
    pub digest: Option<Arc<Prints>>,
    /// The `previously` that makes the row what it is.
    pub(crate) previous: Option<UserKey>,
    /// Whether the row must be written.
    pub write: bool,
}

/// What happens to the secret of a user or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlan {
    /// The recorded one stays.
    Keep,
    /// A new one is made.
    Generate,
    /// The declared one is taken.
    Take,
    /// The user was deleted, and comes back with this row and its secret.
    Return(Uuid),
}

/// The secret of an object as recorded after the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSecret {
    /// What happens to it.
    pub secret: SecretPlan,
    /// The recorded fingerprint, where the file goes on showing what it is of.
    pub print: Option<ObjectPrint>,
}

/// Makes the plan that changes nothing: all users as they are recorded; none before the first sync.
pub(crate) fn as_recorded(tenant: &Tenant, recorded: &Recorded) -> Option<Plan> {
    let settings = &recorded.tenant.as_ref()?.settings;
    let mut plan = Plan::new(tenant.clone(), settings.clone());
    for user in recorded.users.values() {
        let before = Before { settings, renamed: &BTreeMap::new(), returning: &BTreeSet::new() };
        let change = diff::add(&mut plan, &before, Some(user), diff::unchanged(user), None, None);
        debug_assert!(change.is_none(), "{change:?}");
    }
    inbound::keep(&mut plan, recorded);
    affected::complete(&mut plan, recorded);
    plan.phone_rails = PhoneRails::of_recorded(recorded);
    Some(plan)
}

/// Makes the plan. Problems and rails are part of it, so that all of it can be shown.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let Inputs { declared, recorded, .. } = inputs;
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let matched = renames::matched(declared, recorded, &mut problems, &mut notes);
    let survivors: BTreeSet<&UserKey> = matched.values().copied().collect();
    let (leaving, staying): (Vec<_>, Vec<_>) = recorded
        .users
        .iter()
        .filter(|(key, _)| !survivors.contains(key))
        .map(|(_, user)| user)
        .partition(|user| user.managed_by == ManagedBy::File);

    let (claims, of_objects) = (declared.routes.extension_claims(), recorded.routes.extensions());
    let numbers = allocate::Allocation {
        inputs,
        matched: &matched,
        leaving: &leaving,
        staying: &staying,
        claims: &claims,
        of_objects: &of_objects,
        problems: &mut problems,
        notes: &mut notes,
    }
    .numbers();
    let mut plan = Plan {
        is_new: recorded.tenant.is_none(),
        deletes: leaving.iter().map(|user| user.id).collect(),
        api_users: staying.len(),
        problems,
        notes,
        ..Plan::new(declared.tenant.clone(), declared.settings.clone())
    };
    let renamed = matched.iter().filter(|(present, former)| present != former);
    let renamed = renamed.map(|(present, former)| ((*former).clone(), (*present).clone())).collect();
    let settings = recorded.tenant.as_ref().map_or(&declared.settings, |tenant| &tenant.settings);
    let returning = renames::returning(declared, recorded, &matched);
    let before = Before { settings, renamed: &renamed, returning: &returning };
    let mut changes = Vec::new();
    for (key, user) in &declared.users {
        let Some((extension, choice)) = numbers.get(&NumberOwner::User(key)).copied() else { continue };
        let old = matched.get(key).and_then(|old| recorded.users.get(*old));
        let wanted = diff::wanted(user, old, extension, inputs, &mut plan.unresolved);
        changes.extend(diff::add(&mut plan, &before, old, wanted, choice, Some(user.place)));
    }
    for old in &staying {
        let same = diff::unchanged(old);
        changes.extend(diff::add(&mut plan, &before, Some(old), same, None, None));
    }
    changes.extend(leaving.iter().map(|old| diff::remove(&mut plan, old)));
    changes.sort_by_cached_key(|change| (change.user().map(|user| user.email.key()), change.kind));
    plan.users = packed(mem::take(&mut plan.users));
    let numbers = numbers.into_iter().filter_map(|(owner, (number, _))| match owner {
        NumberOwner::Object(id) => Some((id.clone(), number)),
        NumberOwner::User(_) => None,
    });
    changes.extend(inbound::add(&mut plan, inputs, &numbers.collect()));
    plan.changes = diff::settings(settings, &declared.settings).chain(changes).collect();
    plan.notes.extend(advice::perhaps_renamed(&plan, &leaving));
    plan.notes.extend(advice::perhaps_renamed_objects(&plan, recorded));
    plan.notes.extend(advice::reused_numbers(&plan, inputs));
    plan.notes.extend(advice::other_imported(inputs));
    for (change, _) in plan.changes.of_users() {
        let count = match change.kind {
            Kind::Create => &mut plan.counts.create,
            Kind::Update => &mut plan.counts.update,
            Kind::Rename => &mut plan.counts.rename,
            Kind::Adopt => &mut plan.counts.adopt,
            Kind::Delete => &mut plan.counts.delete,
        };
        *count += 1;
    }
    affected::complete(&mut plan, recorded);
    plan.phone_rails = PhoneRails::of_file(inputs);
    plan.notes.extend(numbers::dialled(&plan, recorded));
    plan.stops = rails::stops(&plan, inputs);
    plan.notes.extend(rails::notes(&declared.rails));
    plan.notes.extend(no_way_out(&plan, recorded));
    plan
}

/// Says that phones cannot dial out, if a change leaves them so.
fn no_way_out(plan: &Plan, recorded: &Recorded) -> Option<String> {
    if plan.is_empty() || plan.users.is_empty() || !plan.settings.include.is_empty() {
        return None;
    }
    let had = recorded.tenant.as_ref().is_some_and(|tenant| !tenant.settings.include.is_empty());
    let cause = if had { "the last `dialplan.include` is removed" } else { "there is no `dialplan.include`" };
    Some(format!("{cause}: phones can only call each other, and dial no outside or emergency number (112)"))
}
