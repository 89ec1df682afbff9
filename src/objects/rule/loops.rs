//! Calls that come back to us: dialers that dial one of our own numbers.

use std::collections::BTreeMap;

use crate::{
    model::{Code, Diagnostic, E164, NumberSource, ObjectName, OutsideLine},
    objects::{Called, Dialer, ObjectKind, Places, Routes, without_port},
};

/// Finds the dialers that dial a number which a rule is for: each the index of the first such rule, and the
/// dialer.
///
/// A number that is not known yet belongs to no rule.
pub(super) fn loops(routes: &Routes) -> Vec<(usize, &ObjectName)> {
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

/// Reports the dialers whose number comes from a variable and is one that a rule is for. It is not quoted.
pub(crate) fn loops_by_variables(
    routes: &Routes,
    places: &Places,
    value: impl Fn(&str) -> Option<E164>,
) -> Vec<Diagnostic> {
    let mut routes = routes.clone();
    let mut variables: BTreeMap<ObjectName, String> = BTreeMap::new();
    for (name, dialer) in &mut routes.dialers {
        let OutsideLine::Number(NumberSource::Env(variable)) = &dialer.target else { continue };
        let Some(number) = value(variable) else { continue };
        variables.insert(name.clone(), variable.clone());
        dialer.target = OutsideLine::Number(NumberSource::Given(number));
    }
    let found = loops(&routes).into_iter().filter_map(|(rule, dialer)| {
        let number = format!("the number in {}", variables.get(dialer)?);
        Some(route_loop(dialer, &number, rule, places))
    });
    found.collect()
}

/// Refuses a dialer whose calls come back to a rule; `number` is what it dials, in words.
pub(super) fn route_loop(dialer: &ObjectName, number: &str, rule: usize, places: &Places) -> Diagnostic {
    let message = format!("the dialer `{dialer}` dials {number}, whose calls are routed back to this rule");
    let problem = Diagnostic::error(Code::RouteLoop, message, places.rule(rule).copied());
    let problem = problem.hint("give the dialer the number of the service that it names");
    match places.get(&(ObjectKind::Dialer, dialer.to_string())) {
        Some(place) => problem.also(*place, "the dialer"),
        None => problem,
    }
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
