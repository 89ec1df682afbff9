//! The routing file: the range as a few patterns, what happens when one is dialled, the mark.
//!
//! It does not grow with the users: adding one reloads `res_pjsip` only. Literal extensions and
//! hints would make a reload quadratic in their number, so that only objects with a number have one.

use super::{
    Digests, GENERATION, Phonebook, calls_of_phones,
    contexts::{Contexts, RANG, UNALLOCATED, UNAVAILABLE, endpoint},
    head, inbound, mark, messages, numbered,
};
use crate::{
    asterisk::{
        BadValue, Name, box_context,
        dialplan::{Context, Dialplan, Expr, Extension, Foreign, ForeignVariable, Pattern, Place, Step, Variable},
        mark_context,
    },
    objects::Routes,
};

/// Renders the file.
pub(super) fn render(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<String, BadValue> {
    let mut text = head(book, digests);
    dialplan(book, digests)?.print(&mut text);
    text.push('\n');
    let mark = match digests {
        Digests::Masked => Expr::placeholder("generation")?,
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
    devices(&mut plan, book)?;
    if book.routes.have_boxes() {
        messages::render(&mut plan, book)?;
    }
    inbound::render(&mut plan, book, digests)?;
    Ok(plan)
}

/// What phones dial.
fn internal(plan: &mut Dialplan, book: &Phonebook<'_>) -> Result<(), BadValue> {
    let Contexts { internal, count, ring, leg, unanswered: lists, voicemail, .. } = Contexts::of(book.tenant)?;
    let mut dialled = Context::new(
        &internal,
        format_args!("What phones may dial: each other ({}), then the operator's contexts.", book.settings.range),
    );
    numbered::dialled(&mut dialled, book)?;
    for pattern in book.patterns() {
        let (pattern, number) = Pattern::digits(pattern)?;
        dialled.hint(pattern.clone(), Expr::from("PJSIP/") + endpoint(book, number.clone())?);
        let mut steps = Extension::new(pattern);
        steps.step(calls_of_phones::count(&count));
        steps.step(Step::Goto(Place::Context(ring.clone(), number)));
        dialled.extension(steps);
    }
    if book.routes.have_boxes() {
        own_box(&mut dialled, book, &count)?;
    }
    for include in &book.settings.include {
        dialled.include(Expr::text("include", include.as_str())?);
    }
    plan.push(dialled);
    calls_of_phones::render(plan, &count);

    // Hang-up causes (Q.850): 1 unallocated, answered as 404; 20 not registered, answered as 480.
    let mut rings = Context::bare(&ring);
    let (pattern, number) = Pattern::ours("_X!");
    let result = |result| Expr::var(Variable::GosubRetval).equals(result).calc();
    let unanswered =
        Expr::var(Variable::DialStatus).equals("NOANSWER") + " | " + Expr::var(Variable::HangupCause).equals("0");
    let of_user = |field: &'static str| -> Result<Expr, BadValue> {
        Ok(Expr::sorcery("endpoint", endpoint(book, number.clone())?, field))
    };
    let (has_lists, have_boxes) = (!book.lists().is_empty(), book.routes.have_boxes());
    let mut steps = Extension::new(pattern);
    // A call that rings while the dialplan is reloaded goes on at the fourth step: it decides about the answer.
    steps
        .step(Step::GosubWith(leg, number.clone(), Expr::from(",") + Expr::number(Routes::PHONE_RING)))
        .step(Step::goto_if(result(NOBODY), Place::Label("unallocated")))
        .step(Step::goto_if(result(AWAY), Place::Label("unavailable")))
        .step(Step::goto_if(unanswered.calc(), Place::Label("unavailable")));
    if has_lists || have_boxes {
        // Nobody answered, or whoever did not want to: those of the user's list do, or else the user's own box.
        let status = || Expr::var(Variable::DialStatus);
        let refused = status().differs_from("ANSWER") + " & " + status().differs_from("CANCEL");
        steps
            .step(Step::goto_if(refused.calc(), Place::Label("refused")))
            .step(Step::Hangup(Some(Expr::var(Variable::HangupCause))))
            .labelled("refused", Step::Set(Variable::Cause, Expr::var(Variable::HangupCause)))
            .step(Step::Goto(Place::Label(if has_lists { "list" } else { "box" })))
            .labelled("unavailable", Step::Set(Variable::Cause, Expr::number(UNAVAILABLE)));
        if has_lists {
            let list = || Expr::var(Variable::NoAnswer);
            let none = Place::Label(if have_boxes { "box" } else { "over" });
            steps
                .labelled("list", Step::Set(Variable::NoAnswer, of_user("@no_answer")?))
                .step(Step::goto_if(list().blank(), none))
                .step(Step::Goto(Place::Context(lists, list())));
        }
        if have_boxes {
            let own = || Expr::var(Variable::Mailbox);
            steps
                .labelled("box", Step::Set(Variable::Mailbox, of_user("@box")?))
                .step(Step::goto_if(own().blank(), Place::Label("over")))
                .step(Step::Goto(Place::Context(voicemail, own())));
        }
        steps.labelled("over", Step::Hangup(Some(Expr::var(Variable::Cause))));
    } else {
        steps
            .step(Step::Hangup(Some(Expr::var(Variable::HangupCause))))
            .labelled("unavailable", Step::Hangup(Some(Expr::number(UNAVAILABLE))));
    }
    steps.labelled("unallocated", Step::Hangup(Some(Expr::number(UNALLOCATED))));
    rings.extension(steps);
    plan.push(rings);
    Ok(())
}

/// What a phone dials to hear the messages of its own box.
pub(super) const OWN_BOX: &str = "*97";

/// What a phone dials to hear the messages of any box whose PIN the caller knows.
const ANY_BOX: &str = "*98";

/// Says what a phone that dials one of these codes hears, or `None` for any other text.
pub(crate) fn code_in_words(dialled: &str) -> Option<&'static str> {
    match dialled {
        OWN_BOX => Some("plays the messages of the phone's own voicemail box, and asks for no PIN"),
        ANY_BOX => Some("asks for the number of a voicemail box and for its PIN, and plays the messages of that box"),
        _ => None,
    }
}

/// How phones hear their messages. The own box is that of the endpoint, never that of the caller's number, which a phone
/// may send as it likes. A phone of another tenant has none here: its box may have the same number.
fn own_box(dialled: &mut Context, book: &Phonebook<'_>, count: &Name) -> Result<(), BadValue> {
    let boxes = Name::new(box_context(book.tenant))?;
    let of_phone = |field: &'static str| Expr::sorcery("endpoint", Expr::calling_endpoint(), field);
    let stranger = || Step::goto_if(of_phone("@tenant").differs_from(book.tenant).calc(), Place::Label("none"));
    let mut own = Extension::new(Pattern::literal(OWN_BOX));
    own.step(calls_of_phones::count(count))
        .step(stranger())
        .step(Step::Set(Variable::Mailbox, of_phone("@box")))
        .step(Step::goto_if(Expr::var(Variable::Mailbox).blank(), Place::Label("none")))
        .step(Step::VoiceMailMain(Expr::var(Variable::Mailbox) + "@" + &boxes, "s"))
        .step(Step::Hangup(None))
        .labelled("none", Step::Hangup(Some(Expr::number(UNALLOCATED))));
    dialled.comment("a phone's own voicemail box, and any box by its number and PIN");
    dialled.extension(own);
    let mut any = Extension::new(Pattern::literal(ANY_BOX));
    any.step(calls_of_phones::count(count))
        .step(stranger())
        .step(Step::VoiceMailMain(Expr::from("@") + &boxes, ""))
        .step(Step::Hangup(None))
        .labelled("none", Step::Hangup(Some(Expr::number(UNALLOCATED))));
    dialled.extension(any);
    Ok(())
}

/// The result of a leg whose number belongs to no user of the tenant.
const NOBODY: &str = "nobody";

/// The result of a leg none of whose devices can be reached.
const AWAY: &str = "away";

/// How the devices of a user are reached. Their contacts are read one by one, because each is text that a phone
/// sent; a device that does not answer Asterisk's questions is left out. `i`: what a phone forwards a call to is not
/// followed. The first argument holds further options, the second one how long they ring, in seconds.
fn devices(plan: &mut Dialplan, book: &Phonebook<'_>) -> Result<(), BadValue> {
    let mut context = Context::new(
        &Contexts::of(book.tenant)?.leg,
        "All devices of a number. A contact that is no plain SIP address is left out.",
    );
    let (pattern, number) = Pattern::ours("_X!");
    let endpoint = endpoint(book, number.clone())?;
    // PJSIP itself is asked whose a number is (40 us, and no warning if it is unknown): device states are cached, so
    // that a phone that was registered once would stay there for minutes.
    let tenant = Expr::sorcery("endpoint", endpoint.clone(), "@tenant");
    let id = || Expr::var(Variable::ContactId);
    let unreachable = Expr::contact_status(id()).equals("Unreachable").calc();
    let mut steps = Extension::new(pattern);
    steps
        .step(Step::goto_if(tenant.differs_from(book.tenant).calc(), Place::Label("nobody")))
        .step(Step::Set(Variable::ContactIds, Expr::contact_ids(endpoint.clone())))
        .step(Step::Set(Variable::Line, Expr::default()))
        .labelled("next", Step::Set(Variable::ContactId, Expr::shift(Variable::ContactIds)))
        .step(Step::goto_if(id().blank(), Place::Label("dial")))
        .step(Step::goto_if(unreachable, Place::Label("next")))
        .step(Step::Copy(ForeignVariable::Contact, Foreign::contact(id())))
        .add_device(endpoint, "odd")
        .step(Step::Goto(Place::Label("next")))
        .labelled("odd", Step::Log(Expr::from("a contact of ") + number + " is no plain SIP address and does not ring"))
        .step(Step::Goto(Place::Label("next")))
        .labelled("dial", Step::goto_if(Expr::var(Variable::Line).blank(), Place::Label("away")))
        .step(Step::Dial {
            to: Expr::rest(Variable::Line),
            seconds: Expr::var(Variable::SecondArgument),
            options: Expr::from("i") + Expr::var(Variable::Argument),
        })
        .step(Step::Return(Some(RANG.into())))
        .labelled("away", Step::Return(Some(AWAY.into())))
        .labelled("nobody", Step::Return(Some(NOBODY.into())));
    context.extension(steps);
    plan.push(context);
    Ok(())
}
