//! Emergency numbers that the phones of a tenant cannot dial. Asterisk loads such a dialplan without complaint.

use super::{Asterisk, AsteriskError, Comparison, needs::ask};
use crate::asterisk::ConfigFile;

/// Says which emergency numbers of the tenant's country the running dialplan does not have. `None` if it has all, if no
/// country is declared, or if the dialplan is still to be reloaded.
///
/// # Errors
/// When Asterisk does not run, or stays silent.
pub(super) fn unreachable(asterisk: &Asterisk, comparison: &Comparison) -> Result<Option<String>, AsteriskError> {
    let plan = &comparison.plan;
    if plan.settings.country.is_none()
        || plan.users.is_empty()
        || comparison.reload.contains(&ConfigFile::Routing.module())
    {
        return Ok(None);
    }
    let context = format!("{}-internal", plan.tenant);
    let numbers = plan.settings.emergency_numbers();
    let commands: Vec<String> = numbers.iter().map(|number| format!("dialplan show {number}@{context}")).collect();
    let answers = ask(asterisk, &commands)?;
    let is_missing = |number: &str, answer: &str| answer.contains(&format!("no existence of {number}@{context}"));
    let missing = numbers.iter().zip(answers).filter_map(|(number, answer)| {
        let number = number.to_string();
        is_missing(&number, answer?.raw()).then_some(format!("`{number}`"))
    });
    let missing: Vec<String> = missing.collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "phones cannot dial {}: Asterisk finds no such extension in `{context}`, and no context of \
             `dialplan.include` has it",
            missing.join(", ")
        )
    }))
}
