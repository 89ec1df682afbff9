//! Steps that note who calls, and show it to whom the call rings.

use crate::{
    asterisk::dialplan::{CallerField, Expr, Extension, Foreign, ForeignVariable, Step},
    model::NamePrefix,
};

/// What may stand in a caller's number: no line break, which a file or a log would take for the end of a line.
const PRINTED: &str = " -~";

/// A caller's name that is shown. A phone may take a carriage return for the end of a header.
const NAME: &str = "^[^[:cntrl:]]*$";

/// Notes the caller as sent, but for control characters: they are taken out of the number, and a name with one is
/// dropped. Who redirected the call is forgotten: a carrier or a group would be told who that is.
pub(super) fn note_sender(steps: &mut Extension) {
    let is_odd = Expr::matches(NAME, Foreign::field(CallerField::Name)) + " != 1";
    steps
        .step(Step::SetField(CallerField::Number, Expr::filter(PRINTED, Foreign::field(CallerField::Number))))
        .step(Step::ExecIf(is_odd.calc(), Box::new(Step::SetField(CallerField::Name, Expr::default()))))
        .step(Step::Copy(ForeignVariable::FromNumber, Foreign::field(CallerField::Number)))
        .step(Step::Copy(ForeignVariable::FromName, Foreign::field(CallerField::Name)))
        .step(Step::Copy(ForeignVariable::FromShown, Foreign::field(CallerField::Presentation)))
        .step(Step::SetField(CallerField::RedirectedFrom, Expr::default()));
}

/// Shows who calls, as it was sent, perhaps with something of our own before the name.
pub(super) fn show_caller(steps: &mut Extension, prefix: Option<&NamePrefix>) {
    let name = Foreign::var(ForeignVariable::FromName);
    let name = match prefix {
        Some(prefix) => name.after(Expr::prefix(prefix)),
        None => name,
    };
    steps
        .step(Step::Show(CallerField::Number, Foreign::var(ForeignVariable::FromNumber)))
        .step(Step::Show(CallerField::Name, name))
        .step(Step::Show(CallerField::Presentation, Foreign::var(ForeignVariable::FromShown)));
}
