//! How a destination is written.

use crate::model::{Email, Invalid, ObjectName, quoted, text_type};

text_type! {
    /// Who gets a call, by name: a dialer, a user's e-mail, `hangup` or `busy`.
    TargetName,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<ObjectName>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                "invalid-target",
                format!("{} names nobody who gets calls", quoted(text)),
                "name a dialer, a user by e-mail, `hangup` or `busy`",
            ))
        }
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// Describes [`TargetName`].
pub(crate) type TargetText = TargetName;
