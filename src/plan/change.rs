//! One change: of a setting, a user or an object. Reports, the audit log and `--expect` are written from it.

use std::{collections::BTreeMap, fmt, slice};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Effects, Plan};
use crate::{
    model::{Extension, Identity, Place},
    objects::ObjectId,
};

/// What happens to whatever a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A new row.
    Create,
    /// A changed row.
    Update,
    /// A user's row under a new e-mail.
    Rename,
    /// A user's row of the API that the file takes over.
    Adopt,
    /// No row any more.
    Delete,
}

impl Kind {
    /// Writes it as a sign before what changes.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Rename => ">",
            Self::Adopt => "&",
            Self::Delete => "-",
        }
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happens.
    pub kind: Kind,
    /// What it is about.
    pub(crate) subject: Subject,
    /// What changes, in words; nothing of a user who is created or deleted.
    pub fields: Vec<FieldChange>,
    /// Whether the secret becomes another one. Also true of a new user who was deleted before and gets a generated secret.
    pub(crate) secret_changed: bool,
    /// What an object is called, if its kind and name say little.
    pub called: Option<String>,
    /// Where the subject is declared.
    pub place: Option<Place>,
}

/// What a change is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A setting, by its key in the file.
    Setting(&'static str),
    /// A user.
    User(UserChange),
    /// An object.
    Object(ObjectId),
}

/// What a change says about a user besides.
#[derive(Debug, Clone)]
pub struct UserChange {
    /// The user, under the new e-mail or id.
    pub email: Identity,
    /// The number afterwards; of a deleted user the one that is freed.
    pub extension: Extension,
    /// Why a new user gets this number.
    pub choice: Option<Choice>,
    /// Whether the phone must log in again.
    pub relogin: bool,
}

/// Why a new user gets a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The file says so.
    Pinned,
    /// The user had it before, and it was held.
    Held,
    /// The lowest free one.
    LowestFree,
}

/// One property before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldChange {
    /// The key, as in the file.
    pub field: &'static str,
    /// The value before; null where there was none.
    pub before: Option<String>,
    /// The value after; null where there will be none.
    pub after: Option<String>,
}

impl FieldChange {
    /// Writes both values.
    fn values(&self) -> String {
        format!("{} -> {}", shown(self.before.as_ref()), shown(self.after.as_ref()))
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.values())
    }
}

/// Writes a value that may be missing.
fn shown(value: Option<&String>) -> &str {
    value.map_or("(none)", String::as_str)
}

impl Change {
    /// Returns what it says about a user.
    pub fn user(&self) -> Option<&UserChange> {
        match &self.subject {
            Subject::User(user) => Some(user),
            Subject::Setting(_) | Subject::Object(_) => None,
        }
    }

    /// Returns the object that it is about.
    pub fn object(&self) -> Option<&ObjectId> {
        match &self.subject {
            Subject::Object(id) => Some(id),
            Subject::Setting(_) | Subject::User(_) => None,
        }
    }

    /// Returns the setting that it is about.
    pub(crate) fn setting(&self) -> Option<&'static str> {
        match &self.subject {
            Subject::Setting(key) => Some(key),
            Subject::User(_) | Subject::Object(_) => None,
        }
    }

    /// Tells whether a property changes.
    pub fn changes(&self, field: &str) -> bool {
        self.fields.iter().any(|change| change.field == field)
    }

    /// Names what it is about.
    pub fn title(&self) -> String {
        match &self.subject {
            Subject::Setting(key) => (*key).to_owned(),
            Subject::User(user) => user.email.to_string(),
            Subject::Object((kind, name)) => {
                self.called.clone().unwrap_or_else(|| format!("{kind} {name}").trim_end().to_owned())
            }
        }
    }

    /// Says what changes, and of a setting how many phones it reaches.
    pub fn words(&self, plan: &Plan, effects: &Effects) -> String {
        match &self.subject {
            Subject::Setting(key) => self.setting_words(key, plan.touched_by(key, effects)),
            Subject::User(user) => self.user_words(user),
            Subject::Object((_, name)) => self.object_words(name.is_empty()),
        }
    }

    fn setting_words(&self, key: &str, phones: usize) -> String {
        let values: Vec<String> = self.fields.iter().map(FieldChange::values).collect();
        let values = values.join("; ");
        let counted = if phones == 1 { "1 phone".to_owned() } else { format!("{phones} phones") };
        let reaches = match (phones, key) {
            (0, _) => return values,
            (_, "phones.realm" | "endpoint_names") => format!("{counted} must log in again"),
            (_, "phones.transport") => format!("{counted} must register over it"),
            (_, "dialplan.include" | "extensions.range") => format!("changes what {counted} can dial"),
            _ => format!("reloads {counted}"),
        };
        format!("{values} ({reaches})")
    }

    fn user_words(&self, user: &UserChange) -> String {
        let number = user.extension;
        let mut parts: Vec<String> = Vec::new();
        let mut fields: Vec<&FieldChange> = self.fields.iter().collect();
        let renumbered = self.changes("extension");
        match self.kind {
            Kind::Create => {
                let why = match user.choice {
                    Some(Choice::Pinned) => "pinned",
                    Some(Choice::Held) => "held from before",
                    Some(Choice::LowestFree) | None => "lowest free",
                };
                let source = self.fields.iter().find(|field| field.field == "secret");
                let secret = match source.and_then(|field| field.after.as_deref()) {
                    Some(source) => format!("; secret {source}"),
                    None if self.secret_changed => "; new secret: the phone must be given it".to_owned(),
                    None => String::new(),
                };
                return format!("extension {number} ({why}){secret}");
            }
            Kind::Delete => return format!("frees extension {number}"),
            Kind::Rename => {
                let is_identity = |field: &&FieldChange| ["email", "id"].contains(&field.field);
                let former = fields.iter().copied().filter(is_identity).find_map(|field| field.before.as_deref());
                parts.push(format!("was {}", former.unwrap_or("another address")));
                fields.retain(|field| !is_identity(field));
                if !renumbered && !self.changes("pinned") {
                    parts.push(format!("keeps extension {number}"));
                }
            }
            Kind::Adopt => parts.push(format!(
                "adopted from the API{}; removing the line later deletes the user",
                if renumbered || self.changes("pinned") {
                    String::new()
                } else {
                    format!(", keeps extension {number}")
                }
            )),
            Kind::Update => {}
        }
        parts.extend(fields.iter().map(|field| match (field.field, field.before.as_ref(), field.after.as_ref()) {
            ("name", Some(before), Some(after)) => format!("name {} -> {}", in_quotes(before), in_quotes(after)),
            // Without a pin, nobody is moved.
            ("pinned", ..) => format!("no longer pinned; keeps extension {number}"),
            _ => field.to_string(),
        }));
        if self.secret_changed {
            parts.push("secret changed".to_owned());
        }
        if parts.is_empty() {
            parts.push(if user.relogin { "digest changed" } else { "the secret's source changed" }.to_owned());
        }
        let relogin = if user.relogin { " (phone must log in again)" } else { "" };
        format!("{}{relogin}", parts.join("; "))
    }

    /// `is_single` if there is only one object of its kind.
    fn object_words(&self, is_single: bool) -> String {
        // The title names the user whose it is.
        let fields = self.fields.iter().filter(|change| self.called.is_none() || change.field != "user");
        let parts = fields.map(|change| match (self.kind, &change.before, &change.after) {
            // What is so unless it is said.
            (Kind::Create, _, Some(value)) if value == "false" => None,
            (Kind::Create, _, Some(value)) if is_single || change.field == "route" => Some(format!("-> {value}")),
            (Kind::Create, _, Some(value)) if value == "true" => Some(change.field.to_owned()),
            (Kind::Create, _, value) => Some(format!("{} {}", change.field, shown(value.as_ref()))),
            (Kind::Delete, value, _) if is_single || change.field == "route" => {
                Some(format!("was {}", shown(value.as_ref())))
            }
            (Kind::Delete, ..) => None,
            _ if is_single => Some(change.values()),
            _ => Some(change.to_string()),
        });
        let secret = self.secret_changed.then(|| "secret changed".to_owned());
        parts.flatten().chain(secret).collect::<Vec<_>>().join("; ")
    }
}

fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The changes of a plan: of settings in the order of the reference page, of users by e-mail or id, and of objects by
/// kind and name.
#[derive(Debug, Clone, Default)]
pub struct Changes(Vec<Change>);

impl FromIterator<Change> for Changes {
    fn from_iter<T: IntoIterator<Item = Change>>(changes: T) -> Self {
        Self(changes.into_iter().collect())
    }
}

impl Changes {
    /// Tells whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lists all.
    pub fn iter(&self) -> slice::Iter<'_, Change> {
        self.0.iter()
    }

    /// Lists those of users.
    pub(crate) fn of_users(&self) -> impl Iterator<Item = (&Change, &UserChange)> {
        self.0.iter().filter_map(|change| Some((change, change.user()?)))
    }

    /// Lists those of objects.
    pub(crate) fn of_objects(&self) -> impl Iterator<Item = (&Change, &ObjectId)> {
        self.0.iter().filter_map(|change| Some((change, change.object()?)))
    }

    /// Lists the settings that change.
    pub(crate) fn of_settings(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(Change::setting)
    }

    /// Lists the phones whose change makes them log in again.
    pub fn relogins(&self) -> impl Iterator<Item = Extension> {
        self.of_users().filter(|(_, user)| user.relogin).map(|(_, user)| user.extension)
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Where each thing that can change is declared.
pub(super) type Places = BTreeMap<ObjectId, Place>;
