//! What all kinds of objects have in common.

use super::ObjectKind;
use crate::model::ObjectName;

/// The properties of an object: each key as the file has it, with its value in words, or `None` if it is absent.
/// Objects of one kind have the same keys in the same order.
pub(crate) type Fields = Vec<(&'static str, Option<String>)>;

/// An object.
pub(crate) trait Object {
    /// Lists its properties for a plan. A secret reads `(sensitive)`.
    fn fields(&self) -> Fields;

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
}

/// Objects that have names.
impl<T: Object> Store for std::collections::BTreeMap<ObjectName, T> {
    fn list(&self) -> Vec<Listed<'_>> {
        self.iter().map(|(name, object)| Listed { name: name.to_string(), object }).collect()
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
        }
    };
}

pub(super) use kinds;
