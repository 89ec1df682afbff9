//! How many calls to numbers of ours each phone has up.

use super::contexts::BUSY;
use crate::asterisk::{
    Name,
    dialplan::{Context, Counter, Dialplan, Expr, Extension, Pattern, Place, Step},
};

/// How many calls to numbers of ours one phone may have up. One whose credentials were stolen could otherwise fill
/// Asterisk until nobody can dial 112. A gateway with many lines may be one phone.
const CALLS_OF_PHONE: u32 = 30;

/// Where the calls of phones are counted.
const COUNT: &str = "s";

/// Counts the call of a phone, and ends it if the phone has too many up.
pub(super) fn count(context: &Name) -> Step {
    Step::Gosub(context.clone(), COUNT.into())
}

/// Counts the calls of each phone. A call of a trunk that a phone transferred to us is none of a phone: the endpoint of a
/// trunk has no tenant.
pub(super) fn render(plan: &mut Dialplan, context: &Name) {
    let calls = Counter::new(context.clone(), Expr::calling_endpoint());
    let is_phone = Expr::sorcery("endpoint", Expr::calling_endpoint(), "@tenant").differs_from("");
    let mut steps = Extension::new(Pattern::literal(COUNT));
    steps
        .step(Step::goto_if(Expr::technology().differs_from("PJSIP").calc(), Place::Label("counted")))
        .step(calls.count())
        .step(Step::ExecIf(
            (calls.is_above(CALLS_OF_PHONE) + " & " + is_phone).calc(),
            Box::new(Step::Hangup(Some(Expr::number(BUSY)))),
        ))
        .labelled("counted", Step::Return(None));
    let mut counted = Context::new(context, "Each phone may have so many calls to numbers of ours at a time.");
    counted.extension(steps);
    plan.push(counted);
}
