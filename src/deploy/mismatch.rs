//! What Asterisk answers about an object, and how that differs from the files.

use std::{collections::BTreeMap, fmt::Write};

use super::asterisk::Answer;
use crate::asterisk::parameters;

/// Asterisk runs something else than the files say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub(crate) enum Mismatch {
    /// The generation of a file is not there.
    Mark {
        /// The kind of object, such as `endpoint`.
        kind: &'static str,
        /// The file that ought to be loaded.
        file: String,
    },
    /// Objects are missing.
    Missing {
        /// The kind of object.
        kind: &'static str,
        /// Their names.
        names: Vec<String>,
    },
    /// An object has another value.
    Value {
        /// The object's name.
        name: String,
        key: &'static str,
    },
    /// Another entry runs under the number of a voicemail box.
    AnotherBox {
        number: String,
        /// The context that both are in.
        context: String,
    },
    /// An object is there that was removed.
    Left {
        /// The kind of object.
        kind: &'static str,
        name: String,
    },
}

impl Mismatch {
    fn words(&self) -> String {
        let list = |names: &[String]| {
            let mut shown = names.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            if names.len() > 5 {
                let _ = write!(shown, " and {} more", names.len() - 5);
            }
            shown
        };
        match self {
            Self::Mark { kind, file } => format!("the {kind} mark of `{file}` is not in the running Asterisk"),
            Self::Missing { kind, names } => {
                let kinds = match *kind {
                    "identify" => "identifies".to_owned(),
                    "voicemail box" => "voicemail boxes".to_owned(),
                    kind => format!("{kind}s"),
                };
                format!("{kinds} are missing in the running Asterisk: {}", list(names))
            }
            Self::AnotherBox { number, context } => format!(
                "another entry runs as the voicemail box `{number}` in Asterisk: a section `[{context}]` that \
                 `voicemail.conf` has or includes before ours"
            ),
            Self::Left { kind, name } => format!("the {kind} `{name}` is still in the running Asterisk"),
            Self::Value { name, key } => format!("`{key}` of `{name}` has another value in the running Asterisk"),
        }
    }
}

/// The table above the parameters cuts long names; that there are parameters is the proof.
pub(super) fn has_parameters(answer: &Answer) -> bool {
    answer.raw().contains("ParameterName")
}

/// Reads the `key : value` lines of a `pjsip show`.
pub(super) fn values_of(answer: &Answer) -> BTreeMap<String, String> {
    parameters(answer.raw())
}
