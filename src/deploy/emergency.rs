//! Emergency numbers that the phones of a tenant cannot dial. Asterisk loads such a dialplan without complaint.

use super::{Asterisk, AsteriskError, needs::ask};
use crate::{model::emergency_calls, plan::Plan};

/// Says which emergency numbers of the tenant's country no phone can dial: no user of the plan has them, and no
/// context of `dialplan.include` does. `None` if there are none, if no country is declared, or if the plan itself
/// says that phones cannot dial out.
///
/// The operator's contexts are asked, and not ours, which may not run yet.
///
/// # Errors
/// When Asterisk does not run, or stays silent.
pub(super) fn unreachable(asterisk: &Asterisk, plan: &Plan) -> Result<Option<String>, AsteriskError> {
    let Some(country) = plan.settings.country.as_ref().filter(|_| !plan.users.is_empty()) else { return Ok(None) };
    let has_user = |number: &str| number.parse().is_ok_and(|number| plan.users.contains_key(&number));
    let numbers: Vec<&str> = emergency_calls(country).filter(|number| !has_user(number)).collect();
    let contexts = &plan.settings.include;
    if contexts.is_empty() {
        let why = "there is no `dialplan.include`";
        return Ok((plan.is_empty() && !numbers.is_empty()).then(|| words(&numbers, why)));
    }
    let commands: Vec<String> = numbers
        .iter()
        .flat_map(|number| contexts.iter().map(move |context| format!("dialplan show {number}@{context}")))
        .collect();
    let answers = ask(asterisk, &commands)?;
    // A context that is missing as a whole is told as that.
    let lacks = |number: &str, answer: &str| answer.contains(&format!("no existence of {number}@"));
    let missing: Vec<&str> = numbers
        .into_iter()
        .zip(answers.chunks(contexts.len()))
        .filter(|(number, answers)| {
            answers.iter().all(|answer| answer.as_ref().is_some_and(|answer| lacks(number, answer.raw())))
        })
        .map(|(number, _)| number)
        .collect();
    Ok((!missing.is_empty()).then(|| words(&missing, "no context of `dialplan.include` matches")))
}

fn words(numbers: &[&str], why: &str) -> String {
    let numbers: Vec<String> = numbers.iter().map(|number| format!("`{number}`")).collect();
    format!("phones cannot dial {}: {why}", numbers.join(", "))
}
