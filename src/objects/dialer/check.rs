//! Dialers: where calls can be sent to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        check::{KnownNames, named, refer},
        namespace::reserved,
    },
    file,
};
use crate::{
    model::{At, CallerId, Code, Diagnostic, Named, ObjectName, OutsideLine},
    objects::Dialer,
};

/// Reads which number is shown as the caller's.
pub(in crate::objects) fn caller_id(key: Option<At<file::CallerIdText>>) -> CallerId {
    match key.and_then(|at| at.value) {
        None => CallerId::Default,
        Some(text) if text.as_str() == "called" => CallerId::Called,
        Some(text) if text.as_str() == "caller" => CallerId::Caller,
        Some(text) => text.as_str().parse().map_or(CallerId::Default, CallerId::Number),
    }
}

/// Checks the dialers; names those that no trunk leads to.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Dialer>>>,
    trunks: &KnownNames<ObjectName>,
    problems: &mut Vec<Diagnostic>,
) -> (BTreeMap<ObjectName, Dialer>, BTreeSet<ObjectName>) {
    let (mut dialers, mut without_trunk) = (BTreeMap::new(), BTreeSet::new());
    for (place, name, dialer, meant) in named(keys, problems) {
        problems.extend(reserved("dialer", name.as_str(), place));
        let target = match (dialer.number, dialer.sip) {
            (Some(number), None) => number.value.map(|number| OutsideLine::Number(number.0)),
            (None, Some(sip)) => sip.value.map(|sip| OutsideLine::Sip(sip.into())),
            (None, None) if meant.may_be("number") || meant.may_be("sip") => None,
            (number, _) => {
                let (has, hint) = if number.is_some() {
                    ("has both a number and a SIP address", "remove one of them")
                } else {
                    ("has neither a number nor a SIP address", "write `number:` or `sip:`")
                };
                let message = format!("the dialer `{name}` {has}");
                problems.push(Diagnostic::error(Code::IncompleteDialer, message, place).hint(hint));
                None
            }
        };
        if dialer.trunk.is_none() && !meant.may_be("trunk") {
            without_trunk.insert(name.clone());
        }
        let trunk = dialer.trunk.and_then(|at| refer("trunk", &at, trunks, problems));
        let Some(target) = target else { continue };
        let caller_id = caller_id(dialer.caller_id);
        let ring = dialer.ring.and_then(|at| at.value).map_or(Dialer::DEFAULT_RING, |ring| ring.0);
        dialers.insert(name, Dialer { target, caller_id, ring, trunk });
    }
    (dialers, without_trunk)
}
