//! Where a declared secret comes from. The secret itself never stands in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Code, Invalid};

/// Where a declared secret is read from at the time of `sync` or `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// An environment variable, whose name `--allow-env` must match.
    Env(SourceName),
    /// A file below `--secrets-dir`.
    File(SourceName),
}

/// The name of an environment variable or a file that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct SourceName(String);

impl SourceName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Rejects a value without quoting it, because it may be the secret itself.
    pub(crate) fn refusal() -> Invalid {
        Invalid::new(
            Code::InvalidSource,
            "this does not name the source of a secret",
            "write `{ env: BO_SIP_SECRET }` or `{ file: bo }`; this file never contains the secret itself",
        )
    }
}

impl TryFrom<String> for SourceName {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
        let steps_up = name.split('/').any(|part| part == ".." || part.is_empty());
        if (1..=200).contains(&name.len()) && name.bytes().all(plain) && !steps_up {
            Ok(Self(name))
        } else {
            Err(Self::refusal())
        }
    }
}
