//! The list of kinds, from which the enum of kinds and the dispatch to them are made.

/// Lists the kinds of objects. A kind is a row: its name in the program, the name that plans and documents have for
/// it, the field of [`super::Routes`] that keeps its objects, if calls can be sent to them what messages call one of them, if
/// reports count them the word for several and what it means, and, if a file declares them, the key, its documentation
/// and the type of its value.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])* $kind:ident = $word:literal in $field:ident
        $(, called $called:literal)?
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

        impl Keys {
            /// Lists what the keys name, kind by kind. `is_lost` says whether a key may be there though it is missing.
            pub(super) fn names(&self, is_lost: bool) -> Vec<$crate::objects::keys::NamesOfKind> {
                use $crate::objects::keys::NamesOfKind;
                vec![$($(NamesOfKind::of(ObjectKind::$kind, self.$key.as_ref(), is_lost),)?)*]
            }
        }

        /// The kinds whose objects calls can be sent to: each with what messages call one of them.
        pub(super) const CALLED: &[(ObjectKind, &str)] = &[$($((ObjectKind::$kind, $called),)?)*];

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

            /// Lists the internal numbers that objects claim.
            pub(crate) fn extension_claims(
                &self,
            ) -> ::std::collections::BTreeMap<$crate::objects::ObjectId, $crate::objects::ExtensionClaim> {
                let mut claims = ::std::collections::BTreeMap::new();
                $(
                    for (name, claim) in $crate::objects::object::Store::extensions(&self.$field) {
                        claims.insert((ObjectKind::$kind, name), claim);
                    }
                )*
                claims
            }

            /// Gives objects other internal numbers; `None` leaves what an object claims.
            pub(crate) fn set_extensions(
                &mut self,
                number: impl Fn(
                    &$crate::objects::ObjectId,
                    Option<$crate::objects::ExtensionClaim>,
                ) -> Option<$crate::objects::ExtensionClaim>,
            ) {
                $(
                    let of_kind = |name: String, claim| number(&(ObjectKind::$kind, name), claim);
                    $crate::objects::object::Store::set_extensions(&mut self.$field, &of_kind);
                )*
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
