//! The document in a user's row.

use serde::{Deserialize, Serialize};

use super::TargetsOfRow;
use crate::model::{Document, PhoneOverride};

/// What few users have: what the phone has differently, whether the number is pinned, and who gets the calls that nobody answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDocument {
    /// What the phone has differently.
    #[serde(flatten)]
    pub phone: PhoneOverride,
    /// Whether the file gave the number that the user has when the row was written last. Absent in rows of earlier
    /// versions, which did not record it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Who gets the calls that nobody answers, tried in turn. `None` for the user's own voicemail box, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<TargetsOfRow>,
}

impl Document for UserDocument {}
