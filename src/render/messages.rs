//! Voicemail messages in the routing file: how a caller leaves one.

use super::{
    Phonebook,
    contexts::{BUSY, Contexts, UNAVAILABLE},
};
use crate::asterisk::{
    BadValue, Name, box_context,
    dialplan::{CallerField, Context, Dialplan, Expr, Extension, Foreign, Pattern, Place, Step, Variable},
};

/// The cause of a call whose message was recorded (Q.850): it ended as calls do.
const RECORDED: u8 = 16;

/// What callers hear if the box has no greeting of its own. Asterisk would read the number of the box.
const NO_GREETING: &str = "vm-nobodyavail";

/// How many seconds the channel that records has to answer.
const AT_MOST: u32 = 30;

/// What may stand in the caller's number in the file about a message.
const NUMBER: &str = "+*0-9A-Za-z._";

/// The characters of a caller's name that may be written there.
const NAME: &str = "^[^[:cntrl:];]*$";

/// How a message is left, one extension for all boxes. It has no extension `a` or `o`: `*` and `0` lead nowhere.
///
/// Asterisk reads the file about a message as one of its configuration files: a line break and `#exec` in it would be run
/// once somebody listens to the message. It writes what the channel says of its caller at that moment, and a caller may
/// send another `Diversion` or be put through to the box meanwhile. So a channel of the dialplan records the message:
/// nothing reaches it but what the caller says, and a new number, which is cleaned on the way.
pub(super) fn render(plan: &mut Dialplan, book: &Phonebook<'_>) -> Result<(), BadValue> {
    let Contexts { voicemail, message, clean, .. } = Contexts::of(book.tenant)?;
    let mut callers =
        Context::new(&voicemail, "A caller leaves a message in the box of this number, which is no extension.");
    let (pattern, number) = Pattern::ours("_X!");
    let answered = Expr::var(Variable::DialStatus).equals("ANSWER").calc();
    let to = Expr::from("Local/") + number + "@" + &message + "/n";
    let mut steps = Extension::new(pattern);
    steps
        .step(Step::Set(Variable::InheritedCause, Expr::var(Variable::Cause)))
        .step(Step::Set(Variable::ConnectedLineSub, Expr::from(&clean) + ",s,1"))
        .step(Step::Dial { to, seconds: Expr::number(AT_MOST), options: "iI".into() })
        .step(Step::goto_if(answered, Place::Label("recorded")))
        .step(Step::Hangup(Some(Expr::number(UNAVAILABLE))))
        .labelled("recorded", Step::Hangup(Some(Expr::number(RECORDED))));
    callers.extension(steps);
    plan.push(callers);

    let mut cleaned = Context::new(&clean, "What is told about the caller of a message while it is recorded.");
    let number = Expr::filter(NUMBER, Foreign::field(CallerField::ConnectedNumber));
    let mut steps = Extension::new(Pattern::literal("s"));
    steps
        .step(Step::SetField(CallerField::ConnectedNumber, number))
        .step(Step::SetField(CallerField::ConnectedName, Expr::default()))
        .step(Step::Return(None));
    cleaned.extension(steps);
    plan.push(cleaned);
    plan.push(recording(&message, &Name::new(box_context(book.tenant))?));
    Ok(())
}

/// How a channel of the dialplan records a message.
fn recording(message: &Name, boxes: &Name) -> Context {
    let mut messages = Context::new(message, "Records a message. Its caller is on the other side of this channel.");
    let (pattern, number) = Pattern::ours("_X!");
    let mailbox = number.clone() + "@" + boxes;
    let greeting = Expr::from("voicemail/") + boxes + "/" + number + "/" + Expr::var(Variable::Greeting) + ".wav";
    let has_greeting = || Expr::is_in_spool(greeting.clone()) + " = 1";
    let is_busy = Expr::from("0") + Expr::var(Variable::Cause) + " = " + Expr::number(BUSY);
    let failed = Expr::var(Variable::VoicemailStatus).equals("FAILED").calc();
    let is_odd = (Expr::matches(NAME, Foreign::field(CallerField::Name)) + " != 1").calc();
    let no_name = Step::SetField(CallerField::Name, Expr::default());
    let filtered = Expr::filter(NUMBER, Foreign::field(CallerField::Number));
    let mut steps = Extension::new(pattern);
    steps
        .step(Step::SetField(CallerField::Number, filtered))
        .step(Step::ExecIf(is_odd, Box::new(no_name)))
        .step(Step::SetField(CallerField::RedirectedFrom, Expr::default()))
        .step(Step::Set(Variable::Greeting, "busy".into()))
        .step(Step::goto_if((is_busy + " & " + has_greeting()).calc(), Place::Label("own")))
        .step(Step::Set(Variable::Greeting, "unavail".into()))
        .step(Step::goto_if(has_greeting().calc(), Place::Label("own")))
        .step(Step::Playback(NO_GREETING))
        .step(Step::VoiceMail(mailbox.clone(), Expr::default()))
        .step(Step::Goto(Place::Label("over")))
        .labelled("own", Step::VoiceMail(mailbox, Expr::start(Variable::Greeting, 1)))
        .labelled("over", Step::goto_if(failed, Place::Label("failed")))
        .step(Step::Hangup(Some(Expr::number(RECORDED))))
        .labelled("failed", Step::Hangup(Some(Expr::number(UNAVAILABLE))));
    messages.extension(steps);
    messages
}
