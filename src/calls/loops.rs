//! Calls that come back to us: dialers that dial one of our own numbers.

use super::{Called, Dialer, DialerTarget, NumberSource, Routes, routes::without_port};
use crate::model::ObjectName;

/// Finds the dialers that dial a number which a rule is for: each the index of the rule, and the dialer.
///
/// A number that is not known yet is nobody's.
pub fn loops(routes: &Routes) -> Vec<(usize, &ObjectName)> {
    let ours = routes.public_sip_host.as_deref();
    let ruled = routes.rules.iter().enumerate().filter_map(|(index, rule)| match &rule.to {
        Called::Did(number) => Some((index, number.as_str())),
        Called::Default => None,
    });
    let dialled: Vec<(&ObjectName, &str)> =
        routes.dialers.iter().filter_map(|(name, dialer)| Some((name, number(dialer, ours)?))).collect();
    let same =
        |(index, to)| dialled.iter().filter(move |(_, number)| *number == to).map(move |(name, _)| (index, *name));
    ruled.flat_map(same).collect()
}

/// The public number that a dialer dials; in a SIP address only where its host is ours.
fn number<'a>(dialer: &'a Dialer, ours: Option<&str>) -> Option<&'a str> {
    match &dialer.target {
        DialerTarget::Number(NumberSource::Given(number)) => Some(number.as_str()),
        DialerTarget::Number(NumberSource::Env(_)) => None,
        DialerTarget::Sip(address) => {
            let (user, host) = address.split_once(':')?.1.split_once('@')?;
            // Whatever its ports, they are of one machine.
            without_port(host).eq_ignore_ascii_case(without_port(ours?)).then_some(user)
        }
    }
}
