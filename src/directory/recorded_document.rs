//! What is recorded about a tenant as a document: another source of [`Recorded`], for a plan on a machine that does not
//! reach the database.
//!
//! It holds no secret, and no digest, PIN or fingerprint of one, so that nobody can try guesses on it. Of other tenants it
//! holds the public numbers that are taken, and not by whom. Rows have no ids in it: users are named by address or id.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Hold, ManagedBy, Recorded, RecordedSecret, RecordedTenant, RecordedUser, latest, seal::ObjectPrint};
use crate::{
    calls::LiveRoutes,
    model::{
        DisplayName, Document, E164, Extension, Identity, PhoneOverride, Prints, Settings, Tenant, Unreadable, UserKey,
        document, first_unprintable, packed, quoted,
    },
    objects::{NumberOwner, ObjectId, Routes, UserDocument, UserOfRow, with_users},
};

/// What is recorded about a tenant.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordedDocument {
    /// When the database was read, in UTC.
    #[schemars(with = "String")]
    pub(crate) written_at: Timestamp,
    /// The tenant's slug.
    pub(crate) tenant: Tenant,
    /// The version of the tables; null if the database has none.
    pub(crate) schema: Option<i32>,
    /// The id of the directory, which is in the head of each generated file; null if the database has no tables.
    #[schemars(with = "Option<String>")]
    directory: Option<Uuid>,
    /// What all users share, as the database holds it; null before the first `sync` or `apply` of the tenant.
    #[schemars(with = "Option<Map<String, Value>>")]
    settings: Option<Value>,
    /// The users, those of the API too.
    users: Vec<UserEntry>,
    /// Freed numbers that are on hold.
    held: Vec<FreedNumber>,
    /// Who had a number before it was freed last, in the last 30 days.
    freed: Vec<FreedNumber>,
    /// Users who were deleted or renamed.
    former_users: Vec<FormerUser>,
    /// Deleted users whose secret is kept, by address or id.
    kept_secrets: BTreeSet<String>,
    /// All objects, with every number resolved, as the database holds them.
    #[schemars(with = "Map<String, Value>")]
    routes: Value,
    /// What callers reach; null before the first apply.
    #[schemars(with = "Option<Map<String, Value>>")]
    applied_routes: Option<Value>,
    /// Which objects have a secret.
    object_secrets: Vec<ObjectSecret>,
    /// Public numbers that other tenants have.
    numbers_of_others: BTreeSet<E164>,
}

impl Document for RecordedDocument {}

/// A user.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct UserEntry {
    /// The e-mail address, or the id of a phone that belongs to nobody.
    user: Identity,
    /// The display name.
    name: DisplayName,
    /// The number.
    extension: Extension,
    /// Who changes the row: `file` or `api`.
    managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    protected: bool,
    /// Whether the secret comes from where the file says, and was not generated.
    secret_declared: bool,
    /// Which secret the last apply made live.
    live: Live,
    /// The former address or id that the file declared when the user was created or renamed last.
    previously: Option<String>,
    /// What few users have: keys of `phone`, `pinned` and `no_answer`, as the database holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    own: Option<Value>,
}

/// Which secret the last apply made live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Live {
    /// None yet.
    Never,
    /// The recorded one.
    Recorded,
    /// An earlier one.
    Earlier,
}

/// A freed number.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct FreedNumber {
    /// The number.
    extension: Extension,
    /// Whose it was: an address or an id, or the kind and the name of an object.
    owner: String,
    /// When it was freed, in UTC.
    #[schemars(with = "String")]
    freed_at: Timestamp,
}

/// Somebody who was a user once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct FormerUser {
    /// The address or the id.
    user: String,
    /// Who let the user go: `file` or `api`.
    by: ManagedBy,
}

/// An object that has a secret.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ObjectSecret {
    /// The kind and the name, such as `trunk carrier`.
    object: String,
    /// Which secret the last apply made live.
    live: Live,
    /// Whether it is a PIN of an earlier version, which the next apply gives a tag.
    bare: bool,
}

impl Live {
    fn of(applied: Option<&Vec<u8>>, is_behind: bool) -> Self {
        match applied {
            None => Self::Never,
            Some(_) if is_behind => Self::Earlier,
            Some(_) => Self::Recorded,
        }
    }

    /// Returns a stand-in for the fingerprint of the secret that the last apply made live. No secret has it.
    fn stand_in(self) -> Option<Vec<u8>> {
        match self {
            Self::Never => None,
            Self::Recorded => Some(RECORDED.to_vec()),
            Self::Earlier => Some(Vec::new()),
        }
    }
}

/// The stand-in for the fingerprint of any recorded secret.
const RECORDED: &[u8] = b"recorded";

impl RecordedDocument {
    /// Describes what is recorded about a tenant. `schema` is the version of the tables.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub(crate) fn of(
        tenant: &Tenant,
        recorded: &Recorded,
        schema: Option<i32>,
        written_at: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        let freed = |numbers: &BTreeMap<Extension, Hold>| {
            let entries = numbers.iter().map(|(extension, hold)| FreedNumber {
                extension: *extension,
                owner: hold.owner.to_string(),
                freed_at: hold.freed_at,
            });
            entries.collect()
        };
        let secret = |((kind, name), row): (&ObjectId, &RecordedSecret)| ObjectSecret {
            object: format!("{kind} {name}"),
            live: Live::of(row.applied.as_ref(), row.is_behind()),
            bare: row.print.is_none(),
        };
        Ok(Self {
            written_at,
            tenant: tenant.clone(),
            schema,
            directory: recorded.directory,
            settings: recorded.tenant.as_ref().map(|row| document::to_value(&row.settings)).transpose()?,
            users: recorded.users.values().map(UserEntry::of).collect::<Result<_, _>>()?,
            held: freed(&recorded.holds),
            freed: freed(&recorded.freed),
            former_users: recorded
                .former
                .iter()
                .map(|(user, by)| FormerUser { user: user.to_string(), by: *by })
                .collect(),
            kept_secrets: recorded.former_secrets.keys().map(ToString::to_string).collect(),
            routes: document::to_value(&recorded.routes)?,
            applied_routes: recorded.applied.as_ref().map(document::to_value).transpose()?,
            object_secrets: recorded.secrets.iter().map(secret).collect(),
            numbers_of_others: recorded.numbers_elsewhere.keys().cloned().collect(),
        })
    }

    /// Writes the document.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub(crate) fn write(&self) -> Result<String, serde_json::Error> {
        Ok(document::write_pretty(self)? + "\n")
    }

    /// Reads a document that anybody may have written.
    ///
    /// # Errors
    /// If a later version of the program wrote it, or if it is damaged.
    pub(crate) fn read(text: &str) -> Result<Self, Unreadable> {
        let value: Value = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if value.get("written_at").is_none() {
            // Another document of ours has versions of its own.
            return Err(damaged("it has no `written_at`"));
        }
        require_printable(&value)?;
        document::from_value(value)
    }

    /// Returns what is recorded, as far as a plan asks for it: rows have other ids, and each fingerprint is a stand-in.
    ///
    /// # Errors
    /// If a document in it cannot be read, or the parts contradict each other.
    pub(crate) fn into_recorded(self) -> Result<Recorded, Unreadable> {
        let others = self.numbers_of_others.into_iter().map(|number| (number, None));
        let mut recorded =
            Recorded { directory: self.directory, numbers_elsewhere: others.collect(), ..Recorded::default() };
        let Some(settings) = self.settings else {
            return if self.users.is_empty() { Ok(recorded) } else { Err(damaged("it has `users` and no `settings`")) };
        };
        let settings = within("settings", document::from_value::<Settings>(settings))?;
        recorded.tenant = Some(RecordedTenant { id: Uuid::nil(), settings });
        recorded.routes = within("routes", document::from_value::<Routes>(self.routes))?;
        recorded.routes.sort();
        let applied = self.applied_routes.map(document::from_value::<LiveRoutes>).transpose();
        recorded.applied = within("applied_routes", applied)?;
        let mut numbers: BTreeSet<Extension> = BTreeSet::new();
        let mut take = |number: Extension| {
            if numbers.insert(number) { Ok(()) } else { Err(damaged(format!("extension {number} is given twice"))) }
        };
        recorded.routes.extensions().into_values().try_for_each(&mut take)?;
        for (id, user) in (1..).zip(self.users) {
            take(user.extension)?;
            let (key, name) = (user.user.key(), quoted(user.user.as_str()));
            let user = within(&name, user.row(Uuid::from_u128(id)))?;
            if recorded.users.insert(key, user).is_some() {
                return Err(damaged(format!("{name} is given twice")));
            }
        }
        recorded.users = packed(recorded.users);
        recorded.holds = numbers_of(&self.held);
        recorded.freed = numbers_of(&self.freed);
        recorded.former = self.former_users.into_iter().map(|former| (UserKey::of(&former.user), former.by)).collect();
        recorded.former_secrets = self.kept_secrets.iter().map(|user| (UserKey::of(user), Uuid::nil())).collect();
        recorded.secrets = self.object_secrets.into_iter().map(ObjectSecret::row).collect::<Result<_, _>>()?;
        Ok(recorded)
    }
}

impl UserEntry {
    fn of(user: &RecordedUser) -> Result<Self, serde_json::Error> {
        let by_name = |user: UserKey| Ok::<_, Infallible>(UserOfRow::Former { former: user });
        let no_answer = user.no_answer.as_ref().map(|targets| {
            let Ok(targets) = with_users(targets.to_vec(), &by_name);
            targets
        });
        let own = UserDocument { phone: PhoneOverride::clone(&user.phone), pinned: user.pinned, no_answer };
        let has_own = own != UserDocument::default();
        Ok(Self {
            user: user.email.clone(),
            name: user.name.clone(),
            extension: user.extension,
            managed_by: user.managed_by,
            protected: user.protected,
            secret_declared: user.secret_declared,
            live: Live::of(user.applied.as_ref(), user.is_behind()),
            previously: user.previous.as_ref().map(ToString::to_string),
            own: has_own.then(|| document::to_value(&own)).transpose()?,
        })
    }

    fn row(self, id: Uuid) -> Result<RecordedUser, Unreadable> {
        let own = self.own.map(document::from_value::<UserDocument>).transpose()?.unwrap_or_default();
        let UserDocument { phone, pinned, no_answer } = own;
        let by_name = |user: UserOfRow| match user {
            UserOfRow::Former { former } => Ok(former),
            UserOfRow::Row(row) => Err(damaged(format!("`{row}` is no address and no id"))),
        };
        let no_answer = no_answer.map(|targets| with_users(targets, &by_name)).transpose()?;
        Ok(RecordedUser {
            id,
            email: self.user,
            name: self.name,
            managed_by: self.managed_by,
            protected: self.protected,
            phone: phone.shared(),
            pinned,
            no_answer: no_answer.map(Into::into),
            extension: self.extension,
            secret_declared: self.secret_declared,
            prints: Arc::new(Prints { salt: Vec::new(), secret: Vec::new(), digest: RECORDED.to_vec() }),
            applied: self.live.stand_in(),
            previous: self.previously.as_deref().map(UserKey::of),
        })
    }
}

impl ObjectSecret {
    fn row(self) -> Result<(ObjectId, RecordedSecret), Unreadable> {
        let NumberOwner::Object(object) = NumberOwner::of(&self.object) else {
            return Err(damaged(format!("{} is no kind and name", quoted(&self.object))));
        };
        let print = ObjectPrint { kind: object.0, salt: Vec::new(), shown: RECORDED.to_vec() };
        let print = (!self.bare).then_some(print);
        Ok((object, RecordedSecret { id: Uuid::nil(), print, applied: self.live.stand_in() }))
    }
}

fn numbers_of(freed: &[FreedNumber]) -> BTreeMap<Extension, Hold> {
    let hold = |entry: &FreedNumber| Hold { owner: NumberOwner::of(&entry.owner), freed_at: entry.freed_at };
    freed.iter().map(|entry| (entry.extension, hold(entry))).collect()
}

fn damaged(reason: impl Into<String>) -> Unreadable {
    Unreadable::Damaged(reason.into())
}

/// Names the part of the document that cannot be read.
fn within<T>(part: &str, read: Result<T, Unreadable>) -> Result<T, Unreadable> {
    read.map_err(|error| match error {
        Unreadable::Damaged(reason) => damaged(format!("in {part}: {reason}")),
        later @ Unreadable::Later { .. } => later,
    })
}

/// Makes sure that every text can be shown. No text that is recorded holds anything else.
fn require_printable(value: &Value) -> Result<(), Unreadable> {
    let text = |text: &str| match first_unprintable(text) {
        Some(bad) => Err(damaged(format!("a text holds the character U+{:04X}", u32::from(bad)))),
        None => Ok(()),
    };
    match value {
        Value::String(value) => text(value),
        Value::Array(values) => values.iter().try_for_each(require_printable),
        Value::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            text(key)?;
            require_printable(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Says what the next command that writes makes of tables of an earlier version.
pub(crate) fn note_of_schema(found: i32) -> Option<String> {
    let known = latest();
    (found < known).then(|| format!("the database has schema version {found}; an apply brings it to {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/documents/recorded.1.json");

    /// Nothing is lost on the way.
    #[test]
    fn what_is_read_is_written_as_it_was() {
        let document = RecordedDocument::read(GOLDEN).unwrap();
        let (tenant, schema, written_at) = (document.tenant.clone(), document.schema, document.written_at);
        let recorded = document.into_recorded().unwrap();
        let again = RecordedDocument::of(&tenant, &recorded, schema, written_at).unwrap().write().unwrap();
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&again), value(GOLDEN));
        // A user whose secret waits for an apply, one whose secret is live, and one whom no apply made live.
        let live = recorded.users.values().map(|user| (user.is_behind(), user.applied.is_some()));
        assert_eq!(live.collect::<Vec<_>>(), [(false, true), (true, true), (false, false)]);
    }

    #[test]
    fn no_secret_is_taken_for_the_recorded_one() {
        let recorded = RecordedDocument::read(GOLDEN).unwrap().into_recorded().unwrap();
        let secret = crate::model::Secret::new("recorded").unwrap();
        for user in recorded.users.values() {
            assert!(!user.prints.is_secret(&secret) && !user.prints.is_digest("recorded"), "{}", user.email);
        }
        assert!(
            recorded.secrets.values().filter_map(|row| row.print.as_ref()).all(|print| !print.is_shown("recorded"))
        );
    }
}
