//! The document in a user's row.

use serde::{Deserialize, Serialize};

use super::TargetsOfRow;
use crate::model::{Document, PhoneOverride};

/// What few users have: what the phone has differently, and who gets the calls that nobody answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDocument {
    /// What the phone has differently.
    #[serde(flatten)]
    pub phone: PhoneOverride,
    /// Who gets the calls that nobody answers, tried in turn. `None` for the user's own voicemail box, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<TargetsOfRow>,
}

impl Document for UserDocument {}
