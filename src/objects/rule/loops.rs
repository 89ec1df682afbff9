//! Calls that come back to us: dialers that dial one of our own numbers.

use std::collections::BTreeMap;

use crate::{
    model::{NumberSource, ObjectName, OutsideLine},
    objects::{Called, Dialer, Routes, without_port},
};

/// Finds the dialers that dial a number which a rule is for: each the index of the first such rule, and the
/// dialer.
///
/// A number that is not known yet is nobody's.
pub(crate) fn loops(routes: &Routes) -> Vec<(usize, &ObjectName)> {
    let ours = routes.public_sip_host.as_ref().map(|host| host.0.as_str());
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, rule) in routes.rules.iter().enumerate() {
        if let Called::Did(number) = &rule.to {
            rules.entry(number.as_str()).or_insert(index);
        }
    }
    let dials = |(name, dialer)| Some((*rules.get(number(dialer, ours)?)?, name));
    routes.dialers.iter().filter_map(dials).collect()
}

/// The public number that a dialer dials; in a SIP address only where its host is ours.
fn number<'a>(dialer: &'a Dialer, ours: Option<&str>) -> Option<&'a str> {
    match &dialer.target {
        OutsideLine::Number(NumberSource::Given(number)) => Some(number.as_str()),
        OutsideLine::Number(NumberSource::Env(_)) => None,
        OutsideLine::Sip(address) => {
            let (user, host) = address.split_once(':')?.1.split_once('@')?;
            // Whatever its ports, they are of one machine.
            without_port(host).eq_ignore_ascii_case(without_port(ours?)).then_some(user)
        }
    }
}
