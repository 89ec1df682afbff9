//! The comparison of what is recorded and what shall be: settings, users and objects, each by its properties.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use super::{
    Change, Choice, FieldChange, Inputs, Kind, Plan, PlannedUser, SecretPlan, Subject, UserChange, change::Places,
};
use crate::{
    desired::DeclaredUser,
    directory::{ManagedBy, RecordedUser},
    model::{EndpointNames, Extension, Identity, Mode, PhoneOverride, Place, Settings, UserKey},
    objects::{Fields, NumberOwner, Object, ObjectId, Routes, Target, in_turn, with_users},
};

/// Describes a declared user as it shall be recorded.
pub(super) fn wanted(
    user: &DeclaredUser,
    old: Option<&RecordedUser>,
    extension: Extension,
    inputs: &Inputs<'_>,
    unresolved: &mut Vec<String>,
) -> PlannedUser {
    let secret = match (inputs.secrets.get(&user.email.key()), old) {
        (Some(Ok(secret)), Some(old)) if old.prints.is_secret(secret) => SecretPlan::Keep,
        // An imported secret is that of a new user only.
        (Some(Ok(_)), Some(_)) if user.secret.is_none() => SecretPlan::Keep,
        (Some(Ok(_)), _) => SecretPlan::Take,
        (Some(Err(reason)), _) => {
            unresolved.push(format!("{}: {reason}", user.email));
            SecretPlan::Keep
        }
        // It was not read. One that was declared before counts as the recorded one.
        (None, Some(old)) if user.secret.is_some() && !old.secret_declared => SecretPlan::Take,
        (None, None) if user.secret.is_some() => SecretPlan::Take,
        (None, None) => inputs
            .recorded
            .former_secrets
            .get(&user.email.key())
            .map_or(SecretPlan::Generate, |row| SecretPlan::Return(*row)),
        (None, Some(_)) => SecretPlan::Keep,
    };
    PlannedUser {
        id: old.map(|old| old.id),
        email: user.email.clone(),
        name: user.name.clone(),
        extension,
        managed_by: ManagedBy::File,
        protected: user.protected,
        phone: user.phone.clone(),
        pinned: user.extension.is_some(),
        no_answer: user.no_answer.clone(),
        secret_declared: user.secret.is_some(),
        secret,
        digest: None,
        previous: match old {
            Some(old) if old.email.key() == user.email.key() => old.previous.clone(),
            _ => user.previously.as_ref().map(Identity::key),
        },
        write: false,
    }
}

/// Describes a recorded user that the file does not mention.
pub(super) fn unchanged(old: &RecordedUser) -> PlannedUser {
    PlannedUser {
        id: Some(old.id),
        email: old.email.clone(),
        name: old.name.clone(),
        extension: old.extension,
        managed_by: old.managed_by,
        protected: old.protected,
        phone: old.phone.clone(),
        pinned: old.pinned,
        no_answer: old.no_answer.clone(),
        secret_declared: old.secret_declared,
        secret: SecretPlan::Keep,
        digest: None,
        previous: old.previous.clone(),
        write: false,
    }
}

/// What users are compared with.
pub(super) struct Before<'a> {
    /// The settings that are recorded.
    pub(super) settings: &'a Settings,
    /// The present addresses of users that are renamed, by the former ones.
    pub(super) renamed: &'a BTreeMap<UserKey, UserKey>,
    /// New users who were users before, and whose secret was deleted with them.
    pub(super) returning: &'a BTreeSet<UserKey>,
}

impl Before<'_> {
    /// Returns who gets the calls to a user that nobody answers, under their present addresses: a rename of one of them
    /// changes nothing.
    fn no_answer(&self, old: &RecordedUser) -> Option<Box<[Target]>> {
        let present = |user: UserKey| Ok::<_, Infallible>(self.renamed.get(&user).cloned().unwrap_or(user));
        let Ok(targets) = with_users(old.no_answer.as_ref()?.to_vec(), &present);
        Some(targets.into())
    }
}

/// Tells of a new user where the secret comes from if it is neither declared nor generated: an import, or the time before
/// the user was deleted.
fn source(user: &PlannedUser) -> Vec<FieldChange> {
    let from = match user.secret {
        SecretPlan::Take if !user.secret_declared => "imported",
        SecretPlan::Return(_) => "returned",
        _ => return Vec::new(),
    };
    vec![FieldChange { field: "secret", before: None, after: Some(from.to_owned()) }]
}

/// What changes of a phone that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PhoneChange {
    /// Its transport.
    Moved,
    /// Its name, codecs, devices, context or voicemail box.
    Reread,
}

/// Compares what Asterisk reads about a phone that keeps its login, before and after.
fn phone_change(
    (before, phone_before, name_before): (&Settings, &PhoneOverride, &str),
    (after, phone_after, name_after): (&Settings, &PhoneOverride, &str),
) -> Option<PhoneChange> {
    let transport = |settings: &Settings, phone: &PhoneOverride| {
        phone.transport.clone().or_else(|| settings.phones.transport.clone())
    };
    if transport(before, phone_before) != transport(after, phone_after) {
        return Some(PhoneChange::Moved);
    }
    let devices = |settings: &Settings, phone: &PhoneOverride| phone.devices.unwrap_or(settings.phones.devices);
    let codecs_before = phone_before.codecs.as_ref().unwrap_or(&before.phones.codecs);
    let codecs_after = phone_after.codecs.as_ref().unwrap_or(&after.phones.codecs);
    let own = |phone: &PhoneOverride| (phone.context.clone(), phone.mailbox.clone());
    let same = name_before == name_after
        && own(phone_before) == own(phone_after)
        && codecs_before == codecs_after
        && devices(before, phone_before) == devices(after, phone_after);
    (!same).then_some(PhoneChange::Reread)
}

/// Adds a user to the plan. Returns the change, if there is any.
pub(super) fn add(
    plan: &mut Plan,
    before: &Before<'_>,
    old: Option<&RecordedUser>,
    mut user: PlannedUser,
    choice: Option<Choice>,
    place: Option<Place>,
) -> Option<Change> {
    let secret_changed = match old {
        Some(_) => user.secret != SecretPlan::Keep,
        None => user.secret == SecretPlan::Generate && before.returning.contains(&user.email.key()),
    };
    if old.is_none_or(|old| old.applied.is_none()) {
        plan.by_rows.made.insert(user.extension);
    }
    let (kind, fields, relogin) = match old {
        None => (Some(Kind::Create), source(&user), false),
        Some(old) => {
            let no_answer = before.no_answer(old);
            let is_other_list = no_answer != user.no_answer;
            let fields = fields(old, &user, no_answer.as_deref());
            let before = before.settings;
            let realm = |settings: &Settings, phone: &PhoneOverride| {
                phone.realm.as_ref().unwrap_or(&settings.phones.realm).clone()
            };
            let (realm_before, realm_after) = (realm(before, &old.phone), realm(&plan.settings, &user.phone));
            let renamed = before.endpoint_names != plan.settings.endpoint_names;
            let relogin = secret_changed
                || renamed
                || old.extension != user.extension
                || realm_before != realm_after
                || old.phone.login != user.phone.login;
            let kind = if old.managed_by != user.managed_by {
                Some(Kind::Adopt)
            } else if old.email.key() != user.email.key() {
                Some(Kind::Rename)
            } else if !fields.is_empty() || relogin || old.secret_declared != user.secret_declared {
                Some(Kind::Update)
            } else {
                None
            };
            if !relogin {
                user.digest = Some(old.prints.clone());
                if old.is_behind() {
                    plan.behind.insert(user.extension);
                }
                let was = (before, &*old.phone, old.name.as_str());
                match phone_change(was, (&plan.settings, &*user.phone, user.name.as_str())) {
                    Some(PhoneChange::Moved) => drop(plan.by_rows.moved.insert(user.extension)),
                    Some(PhoneChange::Reread) => drop(plan.by_rows.reread.insert(user.extension)),
                    None if is_other_list => drop(plan.by_rows.reread.insert(user.extension)),
                    None => {}
                }
            }
            (kind, fields, relogin)
        }
    };
    if let Some(old) = old.filter(|old| old.extension != user.extension) {
        plan.freed.push((old.extension, NumberOwner::User(user.email.key())));
    }
    let (email, extension) = (user.email.clone(), user.extension);
    let choice = choice.filter(|_| old.is_none());
    let change = kind.map(|kind| Change {
        kind,
        subject: Subject::User(UserChange { email, extension, choice, relogin }),
        fields,
        secret_changed,
        called: None,
        place,
    });
    user.write = change.is_some();
    plan.users.insert(user.extension, user);
    change
}

/// Adds a deletion to the plan. Returns the change.
pub(super) fn remove(plan: &mut Plan, old: &RecordedUser) -> Change {
    plan.freed.push((old.extension, NumberOwner::User(old.email.key())));
    let (email, extension) = (old.email.clone(), old.extension);
    Change {
        kind: Kind::Delete,
        subject: Subject::User(UserChange { email, extension, choice: None, relogin: false }),
        fields: Vec::new(),
        secret_changed: false,
        called: None,
        place: None,
    }
}

fn fields(old: &RecordedUser, new: &PlannedUser, no_answer: Option<&[Target]>) -> Vec<FieldChange> {
    let phone = |phone: &PhoneOverride| {
        [
            phone.codecs.as_deref().map(list),
            phone.devices.map(|devices| devices.to_string()),
            phone.transport.as_ref().map(ToString::to_string),
            phone.realm.as_ref().map(ToString::to_string),
            phone.context.as_ref().map(ToString::to_string),
            phone.login.as_ref().map(ToString::to_string),
            phone.mailbox.as_ref().map(ToString::to_string),
        ]
    };
    let email = |identity: &Identity| identity.email().map(str::to_owned);
    let phone_id = |identity: &Identity| identity.phone_id().map(str::to_owned);
    let [codecs, devices, transport, realm, context, login, mailbox] = phone(&old.phone);
    let [new_codecs, new_devices, new_transport, new_realm, new_context, new_login, new_mailbox] = phone(&new.phone);
    // A new pin changes nothing if it asks for the number that the user has. Rows of earlier versions do not hold their pins.
    let unpinned = old.pinned && !new.pinned;
    differing([
        ("email", email(&old.email), email(&new.email)),
        ("id", phone_id(&old.email), phone_id(&new.email)),
        ("name", Some(old.name.to_string()), Some(new.name.to_string())),
        ("extension", Some(old.extension.to_string()), Some(new.extension.to_string())),
        ("pinned", unpinned.then(|| "true".to_owned()), unpinned.then(|| "false".to_owned())),
        ("protected", Some(old.protected.to_string()), Some(new.protected.to_string())),
        ("no_answer", no_answer.map(chain), new.no_answer.as_deref().map(chain)),
        ("phone.codecs", codecs, new_codecs),
        ("phone.devices", devices, new_devices),
        ("phone.transport", transport, new_transport),
        ("phone.realm", realm, new_realm),
        ("phone.context", context, new_context),
        ("phone.login", login, new_login),
        ("phone.mailbox", mailbox, new_mailbox),
    ])
}

/// The keys of the settings, as in the file.
const SETTINGS: [&str; 11] = [
    "mode",
    "country",
    "extensions.range",
    "extensions.reserved",
    "extensions.hold",
    "endpoint_names",
    "phones.codecs",
    "phones.devices",
    "phones.transport",
    "phones.realm",
    "dialplan.include",
];

/// Writes the values of these keys.
fn values(settings: &Settings) -> [Option<String>; SETTINGS.len()] {
    [
        (settings.mode != Mode::Apply).then(|| settings.mode.as_str().to_owned()),
        settings.country.as_ref().map(ToString::to_string),
        Some(settings.range.to_string()),
        some(&list(&settings.reserved)),
        Some(format!("{}d", settings.hold_days)),
        Some(match settings.endpoint_names {
            EndpointNames::Extension => "extension".to_owned(),
            EndpointNames::TenantExtension => "tenant-extension".to_owned(),
        }),
        Some(list(&settings.phones.codecs)),
        Some(settings.phones.devices.to_string()),
        settings.phones.transport.as_ref().map(ToString::to_string),
        Some(settings.phones.realm.to_string()),
        some(&list(&settings.include)),
    ]
}

/// Compares the settings.
pub(super) fn settings(old: &Settings, new: &Settings) -> impl Iterator<Item = Change> {
    let pairs = values(old).into_iter().zip(values(new));
    let pairs = SETTINGS.into_iter().zip(pairs).map(|(key, (old, new))| (key, old, new));
    differing(pairs).into_iter().map(|field| setting(Kind::Update, field))
}

/// Lists the settings of a new tenant that have a value.
pub(crate) fn all_settings(settings: &Settings) -> impl Iterator<Item = Change> {
    let values = SETTINGS.into_iter().zip(values(settings)).map(|(key, value)| (key, None, value));
    differing(values).into_iter().map(|field| setting(Kind::Create, field))
}

fn setting(kind: Kind, field: FieldChange) -> Change {
    let subject = Subject::Setting(field.field);
    Change { kind, subject, fields: vec![field], secret_changed: false, called: None, place: None }
}

/// Compares all objects; `renewed` names those whose secret becomes another one.
pub(super) fn objects(before: &Routes, after: &Routes, places: &Places, renewed: &BTreeSet<ObjectId>) -> Vec<Change> {
    let (mut old, new) = (before.objects(), after.objects());
    let mut changes = Vec::new();
    for (id, declared) in new {
        let known = old.remove(&id);
        let kind = if known.is_some() { Kind::Update } else { Kind::Create };
        let fields = object_fields(known, Some(declared));
        let secret_changed = renewed.contains(&id);
        if kind == Kind::Create || secret_changed || !fields.is_empty() {
            let place = places.get(&id).copied();
            let (subject, called) = (Subject::Object(id), declared.title());
            changes.push(Change { kind, subject, fields, secret_changed, called, place });
        }
    }
    changes.extend(old.into_iter().map(|(id, known)| {
        let (kind, subject, fields) = (Kind::Delete, Subject::Object(id), object_fields(Some(known), None));
        Change { kind, subject, fields, secret_changed: false, called: known.title(), place: None }
    }));
    changes.sort_by(|a, b| a.object().cmp(&b.object()));
    changes
}

/// Compares the properties of an object before and after. Both have the same keys.
fn object_fields(before: Option<&dyn Object>, after: Option<&dyn Object>) -> Vec<FieldChange> {
    let [before, after] = [before, after].map(|object| object.map(Object::fields));
    let none = |of: &Fields| of.iter().map(|(key, _)| (*key, None)).collect::<Fields>();
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (Some(before), None) => {
            let after = none(&before);
            (before, after)
        }
        (None, Some(after)) => (none(&after), after),
        (None, None) => return Vec::new(),
    };
    differing(before.into_iter().zip(after).map(|((key, old), (_, new))| (key, old, new)))
}

/// Keeps the properties that differ.
fn differing(fields: impl IntoIterator<Item = (&'static str, Option<String>, Option<String>)>) -> Vec<FieldChange> {
    fields
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(field, before, after)| FieldChange { field, before, after })
        .collect()
}

/// Writes a list of destinations. An empty one ends the call.
fn chain(targets: &[Target]) -> String {
    if targets.is_empty() { "[]".to_owned() } else { in_turn(targets) }
}

fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
