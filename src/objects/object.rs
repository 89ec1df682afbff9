//! What all kinds of objects have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{ObjectKind, Parts, RenderContext, Target};
use crate::{
    asterisk::BadValue,
    model::{Chain, Document, E164, Ha1, Invalid, ObjectName, Secret, Unreadable, UserKey, document},
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

/// An object.
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

    /// Returns what makes its secret. `None` if the file says where its secret comes from, or it has none.
    fn generates(&self) -> Option<Generate> {
        None
    }

    /// Lists the objects that it names. A user is not an object.
    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
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

    /// Puts lists whose order means nothing into one order.
    fn tidy(&mut self) {}

    /// Returns whether its removal is refused until it was set otherwise and applied.
    fn is_protected(&self) -> bool {
        false
    }
}

/// Makes a secret out of random bytes.
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
    /// The objects.
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

/// Lists the kinds of objects. A kind is a row: its name in the program, the name that plans and documents have for
/// it, the field of [`super::Routes`] that keeps its objects, if reports count them the word for several and what it
/// means, and, if a file declares them, the key, its documentation and the type of its value.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])* $kind:ident = $word:literal in $field:ident
        $(, counted $plural:literal as $meaning:literal)?
        $(, from $(#[$of_key:meta])* $key:ident: $file:ty)?;
    )*) => {
        /// What a file says about objects: the keys of all kinds.
        #[derive(Debug, Default, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Keys {
            $($($(#[$of_key])* #[serde(default)] pub(crate) $key: Option<$crate::model::At<$file>>,)?)*
        }

        /// A kind of object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ::serde::Serialize)]
        pub enum ObjectKind {
            $($(#[$doc])* #[serde(rename = $word)] $kind,)*
        }

        impl ObjectKind {
            /// Returns the word in plans, documents and rows.
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }

            /// Finds the kind that a word stands for.
            pub(crate) fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }

        impl ::std::fmt::Display for ObjectKind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl ::std::str::FromStr for ObjectKind {
            type Err = $crate::model::Unreadable;

            fn from_str(word: &str) -> Result<Self, $crate::model::Unreadable> {
                match word {
                    $($word => Ok(Self::$kind),)*
                    _ => Err($crate::model::Unreadable::Damaged(format!("there is no kind `{word}`"))),
                }
            }
        }

        /// The kinds that reports count: each with the word for several and what it means.
        pub(super) const COUNTED: &[(ObjectKind, &str, &str)] = &[$($((ObjectKind::$kind, $plural, $meaning),)?)*];

        impl $crate::objects::Routes {
            /// Writes the rows of all objects, by kind and name.
            ///
            /// # Errors
            /// If a document cannot be written.
            pub(crate) fn rows(
                &self,
                of_users: &$crate::objects::object::RowsOfUsers<'_>,
            ) -> Result<Vec<$crate::objects::ObjectRow>, ::serde_json::Error> {
                let mut rows = Vec::new();
                $(
                    rows.extend($crate::objects::object::Store::rows(&self.$field, ObjectKind::$kind, of_users)?);
                )*
                Ok(rows)
            }

            /// Adds the object of a row.
            ///
            /// # Errors
            /// If the document cannot be read.
            pub(crate) fn take(
                &mut self,
                row: &$crate::objects::ObjectRow,
                users: &$crate::objects::object::UsersOfRows<'_>,
            ) -> Result<(), $crate::model::Unreadable> {
                match row.kind {
                    $(ObjectKind::$kind => $crate::objects::object::Store::take(&mut self.$field, row, users),)*
                }
            }

            /// Puts lists whose order means nothing into one order.
            pub(super) fn tidy(&mut self) {
                $($crate::objects::object::Store::tidy(&mut self.$field);)*
            }

            /// Takes the values of variables: what is recorded holds values only, so that every host and server uses
            /// the same. If one cannot be had, the former value of the same object stays for now. Returns what cannot
            /// be had, each with the reason.
            pub(crate) fn resolve(
                &mut self,
                former: &Self,
                values: &$crate::objects::object::ValuesOfVariables<'_>,
            ) -> Vec<String> {
                let mut missing = Vec::new();
                $(
                    $crate::objects::object::Store::resolve(
                        &mut self.$field, ObjectKind::$kind, &former.$field, values, &mut missing,
                    );
                )*
                missing
            }

            /// Lists all objects by kind and name.
            pub(crate) fn objects(&self) -> ::std::collections::BTreeMap<(ObjectKind, String), &dyn $crate::objects::Object> {
                let mut all = ::std::collections::BTreeMap::new();
                $(
                    for (name, object) in $crate::objects::object::Store::items(&self.$field) {
                        all.insert((ObjectKind::$kind, name), object as &dyn $crate::objects::Object);
                    }
                )*
                all
            }

            /// Counts the objects of a kind.
            fn count(&self, kind: ObjectKind) -> usize {
                match kind {
                    $(ObjectKind::$kind => $crate::objects::object::Store::items(&self.$field).len(),)*
                }
            }

            /// Finds the object of a name that calls can be sent to, and how they go.
            pub(crate) fn called(
                &self,
                name: &$crate::model::ObjectName,
            ) -> Option<(&dyn $crate::objects::Object, $crate::model::Chain)> {
                let mut found = None;
                $(
                    let object = $crate::objects::object::Store::named(&self.$field, name);
                    found = found.or_else(|| object.and_then(|object| Some((object, object.flow(name)?))));
                )*
                found
            }
        }
    };
}

pub(super) use kinds;
