//! What a conference room brings to the files: how a caller comes in.

use super::Room;
use crate::{
    asterisk::{
        BadValue, Name,
        dialplan::{Expr, Extension, Pattern, Step},
    },
    model::{ObjectName, Tenant},
    objects::render::{Entrance, Parts, RenderContext},
};

/// Names a room to Asterisk, all of whose tenants share one list of rooms. No slug has a `_`: two tenants never name the
/// same room.
///
/// # Errors
/// If the name is none that `check` lets pass.
pub(crate) fn conference_name(tenant: &Tenant, room: &ObjectName) -> Result<Name, BadValue> {
    Name::new(format!("{tenant}_{room}"))
}

/// Stands before the name of a room as an extension: `h`, `i` and others mean something else there. No endpoint of a phone
/// is named so, because no slug has a `_`.
const PREFIX: &str = "room_";

/// Names a room to a provider that sends a call there by SIP.
pub(crate) fn sip_user(room: &ObjectName) -> String {
    format!("{PREFIX}{room}")
}

/// Names the extension of a room, which is the same.
pub(crate) fn entrance(room: &ObjectName) -> Expr {
    Expr::from(PREFIX) + room
}

/// Writes how a caller comes in. The options are set before, not in a file of profiles: a profile that Asterisk does not
/// know ends the call.
pub(super) fn render(
    room: &Room,
    name: &ObjectName,
    cx: &RenderContext<'_>,
    parts: &mut Parts<'_>,
) -> Result<(), BadValue> {
    let conference = conference_name(cx.tenant, name)?;
    let mut steps = Extension::new(Pattern::literal(entrance(name)));
    steps
        .step(Step::SetConference("bridge,max_members", Expr::number(room.max)))
        .step(Step::SetConference("user,music_on_hold_when_empty", "yes".into()))
        .step(Step::ConfBridge(Expr::from(&conference)))
        .step(Step::Hangup(None));
    let title = room.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default();
    parts.rooms.push(Entrance { remark: format!("{name}{title}"), steps });
    Ok(())
}
