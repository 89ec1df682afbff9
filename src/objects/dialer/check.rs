//! Dialers: where calls can be sent to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::check::{Known, named, refer},
    file,
};
use crate::{
    model::{At, Diagnostic, Named, ObjectName},
    objects::{CallerId, Dialer, DialerTarget},
};

/// Checks the dialers; names those that no trunk leads to.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Dialer>>>,
    trunks: &Known<ObjectName>,
    problems: &mut Vec<Diagnostic>,
) -> (BTreeMap<ObjectName, Dialer>, BTreeSet<ObjectName>) {
    let (mut dialers, mut without_trunk) = (BTreeMap::new(), BTreeSet::new());
    for (place, name, dialer) in named(keys, problems) {
        if ["hangup", "busy", "default"].contains(&name.as_str()) {
            let message = format!("a dialer cannot be called `{name}`");
            problems.push(Diagnostic::error("reserved-name", message, place).hint("choose another name"));
        }
        let target = match (dialer.number, dialer.sip) {
            (Some(number), None) => number.value.map(|number| DialerTarget::Number(number.0)),
            (None, Some(sip)) => sip.value.map(|sip| DialerTarget::Sip(sip.into())),
            _ => {
                let message = format!("the dialer `{name}` needs either a number or a SIP address");
                problems.push(Diagnostic::error("incomplete-dialer", message, place).hint("write `number:` or `sip:`"));
                None
            }
        };
        if dialer.trunk.is_none() {
            without_trunk.insert(name.clone());
        }
        let trunk = dialer.trunk.and_then(|at| refer("trunk", &at, trunks, problems));
        let Some(target) = target else { continue };
        let caller_id = match dialer.caller_id.and_then(|at| at.value) {
            None => CallerId::Default,
            Some(text) if text.as_str() == "called" => CallerId::Called,
            Some(text) if text.as_str() == "caller" => CallerId::Caller,
            Some(text) => text.as_str().parse().map_or(CallerId::Default, CallerId::Number),
        };
        let ring = dialer.ring.and_then(|at| at.value).map_or(Dialer::DEFAULT_RING, |ring| ring.0);
        dialers.insert(name, Dialer { target, caller_id, ring, trunk });
    }
    (dialers, without_trunk)
}
