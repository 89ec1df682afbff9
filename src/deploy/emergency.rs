//! Emergency numbers that the phones of a tenant cannot dial. Asterisk loads such a dialplan without complaint.

use std::collections::BTreeSet;

use super::{Asterisk, AsteriskError, asterisk::Answer, needs::ask};
use crate::{
    model::{Country, ObjectName, emergency_calls},
    plan::Plan,
};

/// Emergency numbers that some phones cannot dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreachable {
    /// Which phones and numbers, and why, in words.
    pub(crate) fact: String,
    /// What helps.
    pub(crate) fix: String,
}

/// Finds the emergency numbers of the tenant's country that phones cannot dial. Empty if no country is declared.
///
/// A phone dials in the contexts of `dialplan.include`, or in that of its own `phone.context`. Asterisk is asked about
/// the operator's contexts, and not about ours, which may not run yet.
///
/// # Errors
/// When Asterisk does not run, or stays silent.
pub(super) fn unreachable(asterisk: &Asterisk, plan: &Plan) -> Result<Vec<Unreachable>, AsteriskError> {
    let Some(country) = &plan.settings.country else { return Ok(Vec::new()) };
    let mut found: Vec<Unreachable> = over_includes(asterisk, plan, country)?.into_iter().collect();
    found.extend(in_own_contexts(asterisk, plan, country)?);
    Ok(found)
}

/// Finds the numbers that no user of the plan has, and no context of `dialplan.include`. `None` if there are none, or
/// if the plan itself says that phones cannot dial out.
fn over_includes(asterisk: &Asterisk, plan: &Plan, country: &Country) -> Result<Option<Unreachable>, AsteriskError> {
    if plan.users.values().all(|user| user.phone.context.is_some()) {
        return Ok(None);
    }
    let found = |numbers: &[&str], why: &str| {
        (!numbers.is_empty()).then(|| Unreachable {
            fact: format!("phones cannot dial {}: {why}", in_words(numbers)),
            fix: "add them to a context, and name it in `dialplan.include`".to_owned(),
        })
    };
    let has_user = |number: &str| number.parse().is_ok_and(|number| plan.users.contains_key(&number));
    let numbers: Vec<&str> = emergency_calls(country).filter(|number| !has_user(number)).collect();
    let contexts: Vec<&ObjectName> = plan.settings.include.iter().collect();
    if contexts.is_empty() {
        let why = "there is no `dialplan.include`";
        return Ok(plan.is_empty().then(|| found(&numbers, why)).flatten());
    }
    let answers = ask(asterisk, &questions(&numbers, &contexts))?;
    let missing: Vec<&str> = numbers
        .into_iter()
        .zip(answers.chunks(contexts.len()))
        .filter(|(number, answers)| answers.iter().all(|answer| lacks(answer.as_ref(), number)))
        .map(|(number, _)| number)
        .collect();
    Ok(found(&missing, "no context of `dialplan.include` matches"))
}

/// Finds the numbers that a context lacks in which `phone.context` lets phones dial. Such phones do not reach our own
/// context, so that a user who has the number does not count.
fn in_own_contexts(asterisk: &Asterisk, plan: &Plan, country: &Country) -> Result<Vec<Unreachable>, AsteriskError> {
    let contexts: BTreeSet<&ObjectName> = plan.users.values().filter_map(|user| user.phone.context.as_ref()).collect();
    let numbers: Vec<&str> = emergency_calls(country).collect();
    let mut found = Vec::new();
    for context in contexts {
        let answers = ask(asterisk, &questions(&numbers, &[context]))?;
        let missing: Vec<&str> = numbers
            .iter()
            .zip(&answers)
            .filter(|(number, answer)| lacks(answer.as_ref(), number))
            .map(|(n, _)| *n)
            .collect();
        if !missing.is_empty() {
            found.push(Unreachable {
                fact: format!("phones with `phone.context: {context}` cannot dial {}", in_words(&missing)),
                fix: format!("add them to the context `{context}`, or remove `phone.context`"),
            });
        }
    }
    Ok(found)
}

/// The questions whether Asterisk knows each number in each context, number by number.
fn questions(numbers: &[&str], contexts: &[&ObjectName]) -> Vec<String> {
    let of_number = |number: &&str| {
        let number = (*number).to_owned();
        contexts.iter().map(move |context| format!("dialplan show {number}@{context}"))
    };
    numbers.iter().flat_map(of_number).collect()
}

/// Tells whether a context lacks a number. A context that is missing as a whole is reported as that.
fn lacks(answer: Option<&Answer>, number: &str) -> bool {
    answer.is_some_and(|answer| answer.raw().contains(&format!("no existence of {number}@")))
}

fn in_words(numbers: &[&str]) -> String {
    let numbers: Vec<String> = numbers.iter().map(|number| format!("`{number}`")).collect();
    numbers.join(", ")
}
