//! What all kinds of objects have in common.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ObjectKind, Parts, RenderContext, Target};
use crate::{
    asterisk::BadValue,
    model::{Chain, Document, Invalid, ObjectName, Unreadable, UserKey, document},
};

/// The properties of an object: each key as the file has it, with its value in words, or `None` if it is absent.
/// Objects of one kind have the same keys in the same order.
pub(crate) type Fields = Vec<(&'static str, Option<String>)>;

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

    /// Lists the objects that it names. A user is not an object.
    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        Vec::new()
    }

    /// Returns whether its removal is refused until it was set otherwise and applied.
    fn is_protected(&self) -> bool {
        false
    }
}

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

/// Finds a user's row.
pub(crate) type RowsOfUsers<'a> = dyn Fn(&UserKey) -> Result<Uuid, serde_json::Error> + 'a;

/// Finds the user of a row.
pub(crate) type UsersOfRows<'a> = dyn Fn(&Uuid) -> Result<UserKey, Unreadable> + 'a;

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
/// it, the field of [`super::Routes`] that keeps its objects, and, if a file declares them, the key, its documentation
/// and the type of its value.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])* $kind:ident = $word:literal in $field:ident
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
                f.write_str(match self {
                    $(Self::$kind => $word,)*
                })
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
