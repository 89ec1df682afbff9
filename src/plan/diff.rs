//! What changes about each user and the settings: the comparison of declared and recorded.

use super::{
    Change, Choice, FieldChange, Inputs, Kind, Plan, PlannedUser, SecretPlan,
    affected::{self, PhoneChange},
};
use crate::{
    desired::DeclaredUser,
    directory::{ManagedBy, RecordedUser},
    model::{EndpointNames, Extension, Identity, PhoneOverride, Place, Settings},
    objects::NumberOwner,
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
        (Some(Ok(_)), _) => SecretPlan::Take,
        (Some(Err(reason)), _) => {
            unresolved.push(format!("{}: {reason}", user.email));
            SecretPlan::Keep
        }
        (None, None) => SecretPlan::Generate,
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
        secret_declared: old.secret_declared,
        secret: SecretPlan::Keep,
        digest: None,
        previous: old.previous.clone(),
        write: false,
    }
}

/// Adds a user to the plan, with a change where there is any.
pub(super) fn add(
    plan: &mut Plan,
    before: &Settings,
    old: Option<&RecordedUser>,
    mut user: PlannedUser,
    choice: Option<Choice>,
    place: Option<Place>,
) {
    let secret_changed = user.secret != SecretPlan::Keep && old.is_some();
    if old.is_none_or(|old| old.applied.is_none()) {
        plan.by_rows.made.insert(user.extension);
    }
    let (kind, fields, relogin) = match old {
        None => (Some(Kind::Create), Vec::new(), false),
        Some(old) => {
            let fields = fields(old, &user);
            let realm = |settings: &Settings, phone: &PhoneOverride| {
                phone.realm.as_ref().unwrap_or(&settings.phones.realm).clone()
            };
            let (realm_before, realm_after) = (realm(before, &old.phone), realm(&plan.settings, &user.phone));
            let renamed = before.endpoint_names != plan.settings.endpoint_names;
            let relogin = secret_changed || renamed || old.extension != user.extension || realm_before != realm_after;
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
                let was = (before, &old.phone, old.name.as_str());
                match affected::phone_change(was, (&plan.settings, &user.phone, user.name.as_str())) {
                    Some(PhoneChange::Moved) => drop(plan.by_rows.moved.insert(user.extension)),
                    Some(PhoneChange::Reread) => drop(plan.by_rows.reread.insert(user.extension)),
                    None => {}
                }
            }
            (kind, fields, relogin)
        }
    };
    if let Some(old) = old.filter(|old| old.extension != user.extension) {
        plan.freed.push((old.extension, NumberOwner::User(user.email.key())));
    }
    if let Some(kind) = kind {
        user.write = true;
        plan.changes.push(Change {
            kind,
            email: user.email.clone(),
            extension: user.extension,
            choice: choice.filter(|_| old.is_none()),
            fields,
            secret_changed,
            relogin,
            place,
        });
    }
    plan.users.insert(user.extension, user);
}

/// Adds a deletion to the plan.
pub(super) fn remove(plan: &mut Plan, old: &RecordedUser) {
    plan.freed.push((old.extension, NumberOwner::User(old.email.key())));
    plan.changes.push(Change {
        kind: Kind::Delete,
        email: old.email.clone(),
        extension: old.extension,
        choice: None,
        fields: Vec::new(),
        secret_changed: false,
        relogin: false,
        place: None,
    });
}

fn fields(old: &RecordedUser, new: &PlannedUser) -> Vec<FieldChange> {
    let phone = |phone: &PhoneOverride| {
        [
            phone.codecs.as_deref().map(list),
            phone.devices.map(|devices| devices.to_string()),
            phone.transport.as_ref().map(ToString::to_string),
            phone.realm.as_ref().map(ToString::to_string),
        ]
    };
    let email = |identity: &Identity| identity.email().map(str::to_owned);
    let phone_id = |identity: &Identity| identity.phone_id().map(str::to_owned);
    let [codecs, devices, transport, realm] = phone(&old.phone);
    let [new_codecs, new_devices, new_transport, new_realm] = phone(&new.phone);
    differing([
        ("email", email(&old.email), email(&new.email)),
        ("id", phone_id(&old.email), phone_id(&new.email)),
        ("name", Some(old.name.to_string()), Some(new.name.to_string())),
        ("extension", Some(old.extension.to_string()), Some(new.extension.to_string())),
        ("protected", Some(old.protected.to_string()), Some(new.protected.to_string())),
        ("phone.codecs", codecs, new_codecs),
        ("phone.devices", devices, new_devices),
        ("phone.transport", transport, new_transport),
        ("phone.realm", realm, new_realm),
    ])
}

/// The keys of the settings, as in the file.
const SETTINGS: [&str; 10] = [
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

/// Compares the settings; a tenant that is not recorded yet changes in nothing.
pub(super) fn settings(old: Option<&Settings>, new: &Settings) -> Vec<FieldChange> {
    let Some(old) = old else { return Vec::new() };
    let pairs = values(old).into_iter().zip(values(new));
    differing(SETTINGS.into_iter().zip(pairs).map(|(key, (old, new))| (key, old, new)))
}

/// Lists the settings of a new tenant that have a value.
pub fn all_settings(settings: &Settings) -> Vec<FieldChange> {
    differing(SETTINGS.into_iter().zip(values(settings)).map(|(key, value)| (key, None, value)))
}

/// Keeps the properties that differ.
pub(super) fn differing(
    fields: impl IntoIterator<Item = (&'static str, Option<String>, Option<String>)>,
) -> Vec<FieldChange> {
    fields
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(field, before, after)| FieldChange { field, before, after })
        .collect()
}

fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
