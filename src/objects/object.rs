//! What all kinds of objects have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{ExtensionClaim, ObjectKind, Parts, RenderContext, Target};
use crate::{
    asterisk::BadValue,
    model::{
        BoxNumber, Chain, Document, E164, Ha1, HostName, Invalid, ObjectName, Secret, Unreadable, UserKey, document,
    },
};

/// The properties of an object: each key as the file has it, with its value in words, or `None` if it is absent.
/// Objects of one kind have the same keys in the same order.
pub(crate) type Fields = Vec<(&'static str, Option<String>)>;

/// How an object shows its secret in the files. Two equal logins show one secret in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// The user name.
    pub(crate) username: &'a str,
    /// The realm of the digest that the file shows. `None` if it shows the secret itself.
    pub(crate) realm: Option<&'a str>,
}

impl Login<'_> {
    /// Writes what the file shows of a secret.
    pub(crate) fn shown(&self, secret: &Secret) -> Zeroizing<String> {
        Zeroizing::new(match self.realm {
            Some(realm) => Ha1::new(self.username, realm, secret).reveal().to_owned(),
            None => secret.reveal().to_owned(),
        })
    }
}

pub(crate) trait Object {
    /// Lists its properties for a plan. A secret reads `(sensitive)`.
    fn fields(&self) -> Fields;

    /// Describes how a call goes that is sent to it under its name, or `None` if no call can be sent to it.
    fn flow(&self, _name: &ObjectName) -> Option<Chain> {
        None
    }

    /// Lists who gets a call that was sent to it and that was not answered, tried in turn.
    fn unanswered(&self) -> &[Target] {
        &[]
    }

    /// Lists who gets a call that stayed with it, without a choice of the caller: each list is tried in turn.
    fn goes_on(&self) -> Vec<&[Target]> {
        Vec::new()
    }

    /// Writes what it brings to the files of its tenant, and what Asterisk must have for that.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line, or a secret is missing.
    fn render<'a>(&'a self, _name: &str, _cx: &RenderContext<'_>, _parts: &mut Parts<'a>) -> Result<(), BadValue> {
        Ok(())
    }

    /// Says how it shows its secret, or `None` if it has none.
    fn login(&self) -> Option<Login<'_>> {
        None
    }

    /// Returns what makes its PIN, if its secret is one. `None` if the file says where its secret comes from, or it has none.
    fn generates(&self) -> Option<Generate> {
        None
    }

    /// Lists the objects that it names. A user is not an object.
    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        Vec::new()
    }

    /// Lists what the Asterisk host must have for it, which the generated files only name.
    fn host_names(&self) -> Vec<HostName> {
        Vec::new()
    }

    /// Lists the variables whose values it still needs.
    fn variables(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Takes the values of its variables. If one cannot be had, the former value stays for now.
    ///
    /// # Errors
    /// The key whose value cannot be had, and the reason.
    fn resolve(&mut self, _former: Option<&Self>, _values: &ValuesOfVariables<'_>) -> Result<(), (&'static str, String)>
    where
        Self: Sized,
    {
        Ok(())
    }

    /// Lists the public numbers that are the tenant's because of it.
    fn numbers(&self) -> Vec<&E164> {
        Vec::new()
    }

    /// Returns the number of a voicemail box, and the user whose it is; no user for a shared one. `None` if it is no box.
    fn mailbox(&self) -> Option<(&BoxNumber, Option<&UserKey>)> {
        None
    }

    /// Returns what plans call it, or `None` if its kind and name say enough.
    fn title(&self) -> Option<String> {
        None
    }

    /// Returns the internal number under which phones reach it, or `None` if it claims none.
    fn extension(&self) -> Option<ExtensionClaim> {
        None
    }

    /// Takes another internal number, such as the one that was allocated to it.
    fn set_extension(&mut self, _claim: ExtensionClaim) {}

    /// Puts lists whose order means nothing into one order.
    fn tidy(&mut self) {}

    /// Returns whether its removal is refused until it was set otherwise and applied.
    fn is_protected(&self) -> bool {
        false
    }
}

/// Makes a PIN out of random bytes: a secret so short that it needs a tag.
pub(crate) type Generate = fn(&[u8; 24]) -> Secret;

/// Finds the value of a variable, or the reason why it cannot be had.
pub(crate) type ValuesOfVariables<'a> = dyn Fn(&str) -> Result<E164, String> + 'a;

/// An object as a row of the directory holds it: users by their rows, so that a renamed user changes no object.
pub(crate) trait Stored: Sized {
    /// The document in the row.
    type Body: Document;

    /// Writes the document.
    ///
    /// # Errors
    /// If a user of the object has no row.
    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Self::Body, serde_json::Error>;

    /// Reads the document.
    ///
    /// # Errors
    /// If it names a row that is no user's.
    fn of_body(body: Self::Body, users: &UsersOfRows<'_>) -> Result<Self, Unreadable>;
}

/// How the row of an object names a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserOfRow {
    /// By the user's row.
    Row(Uuid),
    /// By the address or the id: an earlier version recorded a user whom it did not know. The next apply records what
    /// the file declares.
    Former {
        /// The address or the id.
        former: UserKey,
    },
}

/// Finds a user's row.
pub(crate) type RowsOfUsers<'a> = dyn Fn(&UserKey) -> Result<UserOfRow, serde_json::Error> + 'a;

/// Finds the user of a row.
pub(crate) type UsersOfRows<'a> = dyn Fn(&UserOfRow) -> Result<UserKey, Unreadable> + 'a;

/// Objects that name no user: a row holds them as they are.
macro_rules! without_users {
    ($($object:ty),*) => {
        $(
            impl $crate::model::Document for $object {}

            impl $crate::objects::object::Stored for $object {
                type Body = Self;

                fn body(&self, _: &$crate::objects::object::RowsOfUsers<'_>) -> Result<Self, ::serde_json::Error> {
                    Ok(self.clone())
                }

                fn of_body(
                    body: Self,
                    _: &$crate::objects::object::UsersOfRows<'_>,
                ) -> Result<Self, $crate::model::Unreadable> {
                    Ok(body)
                }
            }
        )*
    };
}

pub(super) use without_users;

impl ObjectKind {
    /// Tells whether each object of the kind has an endpoint at Asterisk, whose calls and registrations end if it changes.
    pub(crate) fn has_endpoint(self) -> bool {
        self == Self::Trunk
    }

    /// Tells whether a call that is sent to an object of the kind stays with it, at Asterisk: a provider sends such a call
    /// there by SIP, and nothing behind it is tried.
    pub(super) fn keeps_calls(self) -> bool {
        matches!(self, Self::Box | Self::Room | Self::Menu | Self::Queue)
    }

    /// Tells whether each object of the kind is an entry of a file, not a section.
    pub(super) fn has_entry(self) -> bool {
        self == Self::Box
    }
}

/// What identifies an object among all of a tenant: its kind, and its name or what a rule is for. The name is empty if
/// there is only one of the kind.
pub type ObjectId = (ObjectKind, String);

/// A row of the directory that holds an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name, or what a rule is for. Empty if there is only one of the kind.
    pub name: String,
    /// The version of the document.
    pub version: u16,
    /// Whether its removal is refused.
    pub protected: bool,
    /// The document, as JSON.
    pub body: String,
}

/// How the objects of a kind are kept.
pub(crate) trait Store {
    type Item: Object + Stored;

    /// Lists the objects, each with its name, or what a rule is for. The name is empty if there is only one of the kind.
    fn items(&self) -> Vec<(String, &Self::Item)>;

    /// Lists them to change them.
    fn items_mut(&mut self) -> Vec<(String, &mut Self::Item)>;

    /// Finds the object of the same name as another one. Kinds without names have none.
    fn find(&self, _name: &str) -> Option<&Self::Item> {
        None
    }

    /// Puts lists whose order means nothing into one order.
    fn tidy(&mut self) {
        self.items_mut().into_iter().for_each(|(_, item)| item.tidy());
    }

    /// Lists the internal numbers that they claim, by name. Kinds without names have none.
    fn extensions(&self) -> Vec<(String, ExtensionClaim)> {
        Vec::new()
    }

    /// Gives them other internal numbers.
    fn set_extensions(&mut self, _number: &dyn Fn(String, Option<ExtensionClaim>) -> Option<ExtensionClaim>) {}

    /// Takes the values of variables. Adds what cannot be had to `missing`: there the former value stays for now.
    fn resolve(&mut self, kind: ObjectKind, former: &Self, values: &ValuesOfVariables<'_>, missing: &mut Vec<String>) {
        for (name, item) in self.items_mut() {
            if let Err((key, reason)) = item.resolve(former.find(&name), values) {
                missing.push(format!("the {key} of the {kind} `{name}`: {reason}"));
            }
        }
    }

    /// Adds an object that was recorded.
    ///
    /// # Errors
    /// If no object can have this name.
    fn put(&mut self, name: &str, item: Self::Item) -> Result<(), Invalid>;

    /// Finds the object of a name. Only objects of kinds that have names are found.
    fn named(&self, _name: &ObjectName) -> Option<&dyn Object> {
        None
    }

    /// Writes the rows.
    ///
    /// # Errors
    /// If a document cannot be written.
    fn rows(&self, kind: ObjectKind, of_users: &RowsOfUsers<'_>) -> Result<Vec<ObjectRow>, serde_json::Error> {
        let row = |(name, item): (String, &Self::Item)| {
            let body = document::body(&item.body(of_users)?)?;
            let version = <Self::Item as Stored>::Body::VERSION;
            Ok(ObjectRow { kind, name, version, protected: item.is_protected(), body })
        };
        self.items().into_iter().map(row).collect()
    }

    /// Adds the object of a row.
    ///
    /// # Errors
    /// If the document cannot be read.
    fn take(&mut self, row: &ObjectRow, users: &UsersOfRows<'_>) -> Result<(), Unreadable> {
        let item = Stored::of_body(document::read_body(row.version, &row.body)?, users)?;
        self.put(&row.name, item).map_err(|invalid| Unreadable::Damaged(invalid.message))
    }
}

/// Objects that have names.
impl<T: Object + Stored> Store for BTreeMap<ObjectName, T> {
    type Item = T;

    fn items(&self) -> Vec<(String, &T)> {
        self.iter().map(|(name, object)| (name.to_string(), object)).collect()
    }

    fn items_mut(&mut self) -> Vec<(String, &mut T)> {
        self.iter_mut().map(|(name, object)| (name.to_string(), object)).collect()
    }

    fn find(&self, name: &str) -> Option<&T> {
        self.get(&name.parse().ok()?)
    }

    fn extensions(&self) -> Vec<(String, ExtensionClaim)> {
        self.iter().filter_map(|(name, object)| Some((name.to_string(), object.extension()?))).collect()
    }

    fn set_extensions(&mut self, number: &dyn Fn(String, Option<ExtensionClaim>) -> Option<ExtensionClaim>) {
        for (name, object) in self {
            if let Some(claim) = number(name.to_string(), object.extension()) {
                object.set_extension(claim);
            }
        }
    }

    fn put(&mut self, name: &str, item: T) -> Result<(), Invalid> {
        self.insert(name.parse()?, item);
        Ok(())
    }

    fn named(&self, name: &ObjectName) -> Option<&dyn Object> {
        self.get(name).map(|object| object as &dyn Object)
    }
}

/// An object of which there is one at most.
impl<T: Object + Stored> Store for Option<T> {
    type Item = T;

    fn items(&self) -> Vec<(String, &T)> {
        self.iter().map(|object| (String::new(), object)).collect()
    }

    fn items_mut(&mut self) -> Vec<(String, &mut T)> {
        self.iter_mut().map(|object| (String::new(), object)).collect()
    }

    fn find(&self, _: &str) -> Option<&T> {
        self.as_ref()
    }

    fn put(&mut self, _: &str, item: T) -> Result<(), Invalid> {
        *self = Some(item);
        Ok(())
    }
}

/// Returns a text, or `None` if it is empty.
pub(crate) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
