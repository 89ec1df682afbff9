//! Destinations: who gets a call.

pub(super) mod check;
pub(crate) mod file;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::object::{Fields, Object, RowsOfUsers, Store, Stored, UserOfRow, UsersOfRows};
use super::{CALLED, ObjectKind};
use crate::{
    asterisk::dialplan::Hash,
    model::{Document, HostName, Invalid, ObjectName, OperatorsExtension, Unreadable, UserKey},
};

/// Who gets a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target<User = UserKey> {
    /// An object that takes calls. Rows have the word of the kind that was the first of them.
    #[serde(rename = "dialer")]
    Object(ObjectName),
    /// A user's phone, or one that belongs to nobody.
    User(User),
    /// A user's voicemail box.
    Voicemail(User),
    /// An extension of the operator's own dialplan.
    Dialplan(OperatorsExtension),
    /// The call ends.
    Hangup,
    /// The caller hears that the line is busy.
    Busy,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(name) => write!(f, "{name}"),
            Self::User(email) => write!(f, "{email}"),
            Self::Voicemail(email) => write!(f, "voicemail:{email}"),
            Self::Dialplan(at) => write!(f, "{at}"),
            Self::Hangup => f.write_str("hangup"),
            Self::Busy => f.write_str("busy"),
        }
    }
}

/// Writes who gets a call: `dialfire, then zendesk_talk`.
pub(crate) fn in_turn(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

/// Lists the objects that may be meant: a name belongs to one object among those that calls can be sent to, of whatever
/// kind it is.
pub(super) fn refs(targets: &[Target]) -> impl Iterator<Item = (ObjectKind, &ObjectName)> {
    let names = targets.iter().filter_map(|target| match target {
        Target::Object(name) => Some(name),
        Target::User(_) | Target::Voicemail(_) | Target::Dialplan(_) | Target::Hangup | Target::Busy => None,
    });
    names.flat_map(|name| CALLED.iter().map(move |(kind, _)| (*kind, name)))
}

/// Lists what the Asterisk host must have for these destinations.
pub(crate) fn host_names<User>(targets: &[Target<User>]) -> impl Iterator<Item = HostName> {
    targets.iter().filter_map(|target| match target {
        Target::Dialplan(at) => Some(HostName::Extension(at.clone())),
        Target::Object(_) | Target::User(_) | Target::Voicemail(_) | Target::Hangup | Target::Busy => None,
    })
}

/// Names an extension of the operator's own dialplan to a provider that sends a call there by SIP. It is a hash, because
/// Asterisk ignores hyphens in an extension, and an address has no `#`. No endpoint of a phone is named so, because no slug
/// has a `_`.
pub(crate) fn sip_user(at: &OperatorsExtension) -> String {
    format!("dialplan_{}", Hash::of(&at.to_string()))
}

impl<User> Target<User> {
    /// Returns the user whose phone or box it is, to change it.
    pub(super) fn user_mut(&mut self) -> Option<&mut User> {
        match self {
            Self::User(user) | Self::Voicemail(user) => Some(user),
            Self::Object(_) | Self::Dialplan(_) | Self::Hangup | Self::Busy => None,
        }
    }
}

/// Who gets a call that no rule is for, tried in turn. There is no default route if it is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefaultRoute<User = UserKey>(pub Vec<Target<User>>);

impl DefaultRoute {
    /// No default route.
    pub const NONE: Self = Self(Vec::new());
}

impl Default for DefaultRoute {
    fn default() -> Self {
        Self::NONE
    }
}

impl Object for DefaultRoute {
    fn fields(&self) -> Fields {
        vec![("default_route", Some(in_turn(&self.0)))]
    }

    fn host_names(&self) -> Vec<HostName> {
        host_names(&self.0).collect()
    }
}

impl Store for DefaultRoute {
    type Item = Self;

    fn items(&self) -> Vec<(String, &Self)> {
        let one = (!self.0.is_empty()).then(|| (String::new(), self));
        one.into_iter().collect()
    }

    fn items_mut(&mut self) -> Vec<(String, &mut Self)> {
        let one = (!self.0.is_empty()).then(|| (String::new(), self));
        one.into_iter().collect()
    }

    fn put(&mut self, _: &str, item: Self) -> Result<(), Invalid> {
        *self = item;
        Ok(())
    }
}

impl Document for DefaultRoute<UserOfRow> {}

impl Stored for DefaultRoute {
    type Body = DefaultRoute<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Self::Body, serde_json::Error> {
        with_users(self.0.clone(), &|user| rows(&user)).map(DefaultRoute)
    }

    fn of_body(body: Self::Body, users: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        with_users(body.0, &|row| users(&row)).map(Self)
    }
}

/// Destinations as a row of the directory holds them.
pub type TargetsOfRow = Vec<Target<UserOfRow>>;

/// Names the users of destinations in another way.
///
/// # Errors
/// If a user cannot be named so.
pub(crate) fn with_users<U, V, E>(
    targets: Vec<Target<U>>,
    user: &impl Fn(U) -> Result<V, E>,
) -> Result<Vec<Target<V>>, E> {
    let one = |target| {
        Ok(match target {
            Target::User(named) => Target::User(user(named)?),
            Target::Voicemail(named) => Target::Voicemail(user(named)?),
            Target::Object(name) => Target::Object(name),
            Target::Dialplan(at) => Target::Dialplan(at),
            Target::Hangup => Target::Hangup,
            Target::Busy => Target::Busy,
        })
    };
    targets.into_iter().map(one).collect()
}
