//! Emergency numbers that the phones of a tenant cannot dial. Asterisk loads such a dialplan without complaint.

use super::{Asterisk, AsteriskError, Comparison, needs::ask};
use crate::asterisk::ConfigFile;

/// Notes each emergency number of the tenant's country that the running dialplan does not have. Notes nothing if no
/// country is declared, or if the dialplan is still to be reloaded.
///
/// # Errors
/// When Asterisk does not run, or stays silent.
pub(super) fn note_unreachable(asterisk: &Asterisk, comparison: &mut Comparison) -> Result<(), AsteriskError> {
    let plan = &comparison.plan;
    if plan.settings.country.is_none()
        || plan.users.is_empty()
        || comparison.reload.contains(&ConfigFile::Routing.module())
    {
        return Ok(());
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
    if !missing.is_empty() {
        comparison.plan.notes.push(format!(
            "phones cannot dial {}: Asterisk finds no such extension in `{context}`, and no context of \
             `dialplan.include` has it",
            missing.join(", ")
        ));
    }
    Ok(())
}
