//! The routing file: the range as a few patterns, what happens when one is dialled, the mark.
//!
//! It does not grow with the users: adding one reloads `res_pjsip` only. Literal extensions and
//! hints would make a reload quadratic in their number.

use super::{
    BadValue, Digests, GENERATION, Name, Phonebook, RING,
    dialplan::{Context, Dialplan, Expr, Extension, Pattern, Place, Step, Variable},
    head, inbound, mark, mark_context, prefix_cover,
    targets::{UNALLOCATED, UNAVAILABLE},
};

/// Renders the file.
pub(super) fn render(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<String, BadValue> {
    let mut text = head(book, digests);
    dialplan(book, digests)?.print(&mut text);
    text.push('\n');
    let mark = match digests {
        Digests::Masked => Expr::placeholder("generation"),
        Digests::Real { .. } => Expr::text("mark", &mark(&text))?,
    };
    text.push_str(GENERATION);
    let mut generation = Context::bare(&Name::new(mark_context(book.tenant))?);
    generation.one_step(Pattern::literal(mark), Step::NoOp(None));
    generation.print(&mut text);
    Ok(text)
}

/// Builds what stands before the mark.
pub(super) fn dialplan(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<Dialplan, BadValue> {
    let mut plan = Dialplan::default();
    internal(&mut plan, book)?;
    inbound::render(&mut plan, book, digests)?;
    Ok(plan)
}

/// Names the endpoint of the number that an expression holds.
pub(super) fn endpoint(book: &Phonebook<'_>, number: Expr) -> Result<Expr, BadValue> {
    match book.settings.endpoint_names.prefix(book.tenant) {
        prefix if prefix.is_empty() => Ok(number),
        prefix => Ok(Expr::text("endpoint", &prefix)? + number),
    }
}

/// What phones dial.
fn internal(plan: &mut Dialplan, book: &Phonebook<'_>) -> Result<(), BadValue> {
    let context = |kind: &str| Name::new(format!("{}-{kind}", book.tenant));
    let (internal, ring) = (context("internal")?, context("ring")?);
    let mut dialled = Context::new(
        &internal,
        format_args!("What phones may dial: each other ({}), then the operator's contexts.", book.settings.range),
    );
    for pattern in prefix_cover(book.settings.range) {
        let (pattern, number) = Pattern::digits(pattern)?;
        dialled.hint(pattern.clone(), Expr::from("PJSIP/") + endpoint(book, number.clone())?);
        dialled.one_step(pattern, Step::Goto(Place::Context(ring.clone(), number)));
    }
    for include in &book.settings.include {
        dialled.include(Expr::text("include", include.as_str())?);
    }
    plan.push(dialled);

    // Hang-up causes (Q.850): 1 unallocated, answered as 404; 20 not registered, answered as 480. Whether
    // a number is allocated PJSIP itself is asked (40 us, and no warning for what is not there): device
    // states are cached, so that a phone that was registered once would stay there for minutes.
    let mut rings = Context::bare(&ring);
    let (pattern, number) = Pattern::ours("_X!");
    let endpoint = endpoint(book, number)?;
    let context = Expr::sorcery("endpoint", endpoint.clone(), "context");
    let contacts = Expr::dial_contacts(endpoint);
    let mut steps = Extension::new(pattern);
    steps
        .step(Step::goto_if(context.is_not(&internal).calc(), Place::Label("unallocated")))
        .step(Step::goto_if(contacts.clone().is_empty(), Place::Label("unavailable")))
        .step(Step::Dial { to: contacts, seconds: RING, options: Expr::default() })
        .step(Step::goto_if(Expr::var(Variable::DialStatus).is("NOANSWER").calc(), Place::Label("unavailable")))
        .step(Step::Hangup(Some(Expr::var(Variable::HangupCause))))
        .labelled("unavailable", Step::Hangup(Some(Expr::number(UNAVAILABLE))))
        .labelled("unallocated", Step::Hangup(Some(Expr::number(UNALLOCATED))));
    rings.extension(steps);
    plan.push(rings);
    Ok(())
}
