//! Expectations: who gets a call that is thought of.

use super::super::{Expectation, file};
use crate::{
    calls::{Call, Decider},
    model::{At, Caller, Code, Diagnostic},
    objects::{Names, Routes, Target, target},
};

/// Runs the expectations; where the routes have errors themselves, what they decide means nothing.
pub(super) fn check(
    list: Option<At<Vec<At<file::Expectation>>>>,
    routes: Option<&Routes>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    let decider = routes.map(Decider::new);
    for At { place, value, .. } in list.and_then(|at| at.value).unwrap_or_default() {
        let Some(expectation) = value else { continue };
        let expected = target(&expectation.reaches, names, problems);
        let expected = expected.filter(|(_, declared)| *declared).map(|(target, _)| target);
        let Some(call) = expectation.call.value else { continue };
        let (Some(expected), Some(to), Some(at)) = (expected, call.to.value, call.at.value) else { continue };
        let from = call.from.and_then(|at| at.value).map(|text| Caller::new(&text));
        let call = Call { to: Some(to), from, at: at.0 };
        let Some(decider) = &decider else { continue };
        let decision = decider.decide(&call);
        let reached = decision.targets.first().unwrap_or(&Target::Hangup);
        if *reached != expected {
            let message = format!("this call reaches `{reached}`, not `{expected}`");
            let hint = "run `reconcile trace` with the same numbers and time to see why";
            problems.push(Diagnostic::error(Code::FailedExpectation, message, place).hint(hint));
        }
        expectations.push(Expectation { call, reaches: expected, place });
    }
    expectations
}
