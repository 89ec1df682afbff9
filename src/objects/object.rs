//! What all kinds of objects have in common.

use super::{ObjectKind, Parts, RenderContext};
use crate::{
    asterisk::BadValue,
    model::{Chain, ObjectName},
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

/// An object with what identifies it among those of its kind.
pub(crate) struct Listed<'a> {
    /// Its name, or what a rule is for. Empty if there is only one of the kind.
    pub(crate) name: String,
    pub(crate) object: &'a dyn Object,
}

/// How the objects of a kind are kept.
pub(crate) trait Store {
    /// Lists the objects.
    fn list(&self) -> Vec<Listed<'_>>;

    /// Finds the object of a name. Only objects of kinds that have names are found.
    fn named(&self, _name: &ObjectName) -> Option<&dyn Object> {
        None
    }
}

/// Objects that have names.
impl<T: Object> Store for std::collections::BTreeMap<ObjectName, T> {
    fn list(&self) -> Vec<Listed<'_>> {
        self.iter().map(|(name, object)| Listed { name: name.to_string(), object }).collect()
    }

    fn named(&self, name: &ObjectName) -> Option<&dyn Object> {
        self.get(name).map(|object| object as &dyn Object)
    }
}

/// An object of which there is one at most.
impl<T: Object> Store for Option<T> {
    fn list(&self) -> Vec<Listed<'_>> {
        self.iter().map(|object| Listed { name: String::new(), object }).collect()
    }
}

/// Returns a text, or `None` if it is empty.
pub(crate) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Lists the kinds of objects. A kind is a row: its name in the program, the name that plans and documents have for
/// it, and the field of [`super::Routes`] that keeps its objects.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal in $field:ident;)*) => {
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

        impl $crate::objects::Routes {
            /// Lists all objects by kind and name.
            pub(crate) fn objects(&self) -> ::std::collections::BTreeMap<(ObjectKind, String), &dyn $crate::objects::Object> {
                let mut all = ::std::collections::BTreeMap::new();
                $(
                    let listed = $crate::objects::object::Store::list(&self.$field);
                    all.extend(listed.into_iter().map(|one| ((ObjectKind::$kind, one.name), one.object)));
                )*
                all
            }

            /// Describes how a call goes that is sent to the object of a name, or `None` if there is none that takes
            /// calls.
            pub(crate) fn flow_of(&self, name: &$crate::model::ObjectName) -> Option<$crate::model::Chain> {
                let mut found = None;
                $(
                    let object = $crate::objects::object::Store::named(&self.$field, name);
                    found = found.or_else(|| object.and_then(|object| object.flow(name)));
                )*
                found
            }
        }
    };
}

pub(super) use kinds;
