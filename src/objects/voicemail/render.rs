//! What a box brings to the files: its entry, and whose phones show its messages.

use super::{BoxOwner, Mailing, VoicemailBox};
use crate::{
    asterisk::BadValue,
    model::{Email, Pin},
    objects::{
        ObjectKind,
        render::{BoxEntry, Parts, RenderContext},
    },
};

/// The shortest message that is kept, in seconds.
const SHORTEST: u32 = 1;

/// Writes what a box brings.
pub(super) fn render<'a>(
    one: &'a VoicemailBox,
    name: &str,
    cx: &RenderContext<'_>,
    parts: &mut Parts<'a>,
) -> Result<(), BadValue> {
    let Some(number) = &one.number else {
        return Err(BadValue { what: "the number of a voicemail box", reason: "it is missing" });
    };
    // A PIN with `-` before it cannot be changed by phone: Asterisk would rewrite the file, or forget the change at its
    // next reload.
    let pin = cx.secret(ObjectKind::Box, name, |pin| format!("-{}", Pin::of(pin).digits))?;
    let tag = cx.secret(ObjectKind::Box, name, |pin| Pin::of(pin).tag.unwrap_or_default().to_owned())?;
    let number = number.as_str();
    let (user, title, address, mails_user) = match &one.whose {
        BoxOwner::User { user, mail } => {
            parts.phone_boxes.entry(user).or_default().own = Some(number);
            (Some(user), "", None, *mail)
        }
        BoxOwner::Shared { title, mail, lamps } => {
            for user in lamps {
                parts.phone_boxes.entry(user).or_default().shared.push(number);
            }
            (None, title.shown(), mail.as_ref().map(Email::as_str), false)
        }
    };
    let Mailing { attach, delete, seconds } = one.mailing;
    let attach = if attach { "yes" } else { "no" };
    let options = format!("attach={attach}|minsecs={SHORTEST}|maxsecs={seconds}");
    parts.boxes.push(BoxEntry { number, pin, tag, user, title, address, mails_user, deletes: delete, options });
    Ok(())
}
