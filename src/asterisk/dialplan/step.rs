//! The steps of an extension, one type each.

use super::{
    super::Name,
    expr::{CallerField, Expr, Foreign, ForeignVariable, Variable, Words},
};
use crate::model::OperatorsExtension;

/// Where a call goes on.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A labelled step of this extension.
    Label(&'static str),
    /// A labelled step of another extension of this context.
    LabelOf(&'static str, &'static str),
    /// The first step of another extension of this context.
    Extension(Expr),
    /// The first step of an extension of another context.
    Context(Name, Expr),
    /// The first step of an extension of the operator's own dialplan.
    Operators(OperatorsExtension),
}

impl Place {
    fn write(&self) -> Expr {
        match self {
            Self::Label(label) => Expr::from(*label),
            Self::LabelOf(extension, label) => Expr::from(*extension) + "," + *label,
            Self::Extension(extension) => extension.clone() + ",1",
            Self::Context(context, extension) => Expr::from(context) + "," + extension.clone() + ",1",
            Self::Operators(at) => Expr::from(&at.context) + "," + &at.extension + ",1",
        }
    }
}

/// One step. Asterisk's core provides those without a module.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Copies foreign text into a variable, which stays foreign.
    Copy(ForeignVariable, Foreign),
    /// Counts the channel in a category, under a key: [`super::Counter`].
    Count(Expr, Expr),
    /// Calls, for so many seconds at most.
    Dial { to: Expr, seconds: Expr, options: Expr },
    /// Runs a step if the condition holds.
    ExecIf(Expr, Box<Step>),
    /// Runs another extension and comes back.
    Gosub(Name, Expr),
    /// Runs another extension with arguments, which have commas between them, and comes back.
    GosubWith(Name, Expr, Expr),
    /// Goes on elsewhere.
    Goto(Place),
    /// Goes on elsewhere if the condition holds, and perhaps in another place if it does not.
    GotoIf(Expr, Place, Option<Place>),
    /// Goes on elsewhere if the condition does not hold.
    GotoUnless(Expr, Place),
    /// Goes on elsewhere in these times: `HH:MM-HH:MM,days,*,*,zone`.
    GotoIfTime(Expr, Place),
    /// Ends the call, with a cause (Q.850) if there is one.
    Hangup(Option<Expr>),
    /// Writes a line of Asterisk's log, of level `NOTICE`.
    Log(Expr),
    /// Does nothing.
    NoOp(Option<Expr>),
    /// Hands a variable of our own to the channels that are called: one of these is a channel of the dialplan.
    Pass(Variable),
    /// Plays prompts, with `&` between them, and reads one digit. Plays them twice if none comes within 5 seconds.
    Read(Variable, &'static str),
    /// Plays a sound of Asterisk's own. Answers the call if it was not answered.
    Playback(&'static str),
    /// Plays a prompt, and goes on at the extension of a key that the caller presses meanwhile. Answers the call if it was
    /// not answered.
    Background(Expr),
    /// Waits for a key for so many seconds.
    WaitExten(Expr),
    /// Records a message for a voicemail box, such as `17@acme-boxes`. The options are `u` or `b` to play the box's own
    /// greeting for unavailable or busy, or nothing.
    VoiceMail(Expr, Expr),
    /// Lets the caller hear the messages of a voicemail box: `17@acme-boxes`, or `@acme-boxes` to ask which. With `s` it
    /// asks for no PIN.
    VoiceMailMain(Expr, &'static str),
    /// Sets an option of the conference that the channel joins next: `user,music_on_hold_when_empty`.
    SetConference(&'static str, Expr),
    /// Joins a conference, until the caller leaves it. Answers the call if it was not answered.
    ConfBridge(Expr),
    /// Answers the call.
    Answer,
    /// Lets the caller wait in a queue, for so many seconds at most if that is said. It answers nothing itself.
    Queue(Expr, Option<Expr>),
    /// Comes back from a `Gosub`, with a result if there is one.
    Return(Option<Expr>),
    /// Sets a variable of our own.
    Set(Variable, Expr),
    /// Sets a field of the channel to text of our own.
    SetField(CallerField, Expr),
    /// Sets a field of the channel to a caller's text: the one place where that text is passed on.
    Show(CallerField, Foreign),
}

impl Step {
    /// Sets a variable of our own if the condition holds.
    pub(crate) fn set_if(condition: Expr, variable: Variable, value: impl Into<Expr>) -> Self {
        Self::ExecIf(condition, Box::new(Self::Set(variable, value.into())))
    }

    /// Goes on elsewhere if the condition holds.
    pub(crate) fn goto_if(condition: Expr, place: Place) -> Self {
        Self::GotoIf(condition, place, None)
    }

    /// Writes the application with its arguments, and collects what it needs.
    pub(super) fn write(&self, words: &mut Words) -> String {
        let (application, module, arguments) = match self {
            Self::Copy(variable, text) => {
                words.extend(text.words());
                return format!("Set({}={text})", variable.name());
            }
            Self::Show(field, text) => {
                words.extend(text.words());
                words.extend(field.words());
                return format!("Set({}={text})", field.name());
            }
            Self::ExecIf(condition, step) => {
                let step = step.write(words);
                words.extend(condition.words());
                words.insert("ExecIf", "app_exec");
                return format!("ExecIf({condition}?{step})");
            }
            Self::Count(category, key) => {
                words.insert("GROUP", "func_groupcount");
                ("Set", None, Expr::from("GROUP(") + category.clone() + ")=" + key.clone())
            }
            Self::Dial { to, seconds, options } => {
                let line = to.clone() + "," + seconds.clone();
                let options = options.clone();
                let line = if options.as_str().is_empty() { line } else { line + "," + options };
                ("Dial", Some("app_dial"), line)
            }
            Self::Gosub(context, extension) => {
                ("Gosub", Some("app_stack"), Place::Context(context.clone(), extension.clone()).write())
            }
            Self::GosubWith(context, extension, arguments) => {
                let place = Place::Context(context.clone(), extension.clone()).write();
                ("Gosub", Some("app_stack"), place + "(" + arguments.clone() + ")")
            }
            Self::Goto(place) => ("Goto", None, place.write()),
            Self::GotoIf(condition, place, None) => ("GotoIf", None, condition.clone() + "?" + place.write()),
            Self::GotoIf(condition, place, Some(other)) => {
                ("GotoIf", None, condition.clone() + "?" + place.write() + ":" + other.write())
            }
            Self::GotoUnless(condition, place) => ("GotoIf", None, condition.clone() + "?:" + place.write()),
            Self::GotoIfTime(times, place) => ("GotoIfTime", None, times.clone() + "?" + place.write()),
            Self::Hangup(cause) => ("Hangup", None, cause.clone().unwrap_or_default()),
            Self::Log(text) => ("Log", Some("app_verbose"), Expr::from("NOTICE,") + text.clone()),
            Self::NoOp(text) => ("NoOp", None, text.clone().unwrap_or_default()),
            Self::Pass(variable) => ("Set", None, Expr::from("_") + variable.name() + "=" + Expr::var(*variable)),
            Self::Read(variable, prompts) => {
                ("Read", Some("app_read"), Expr::from(variable.name()) + "," + *prompts + ",1,,2,5")
            }
            Self::Playback(sound) => ("Playback", Some("app_playback"), Expr::from(*sound)),
            Self::Background(prompt) => ("Background", None, prompt.clone()),
            Self::WaitExten(seconds) => ("WaitExten", None, seconds.clone()),
            Self::VoiceMail(mailbox, options) => {
                let options =
                    if options.as_str().is_empty() { Expr::default() } else { Expr::from(",") + options.clone() };
                ("VoiceMail", Some("app_voicemail"), mailbox.clone() + options)
            }
            Self::VoiceMailMain(mailbox, options) => {
                let options = if options.is_empty() { Expr::default() } else { Expr::from(",") + *options };
                ("VoiceMailMain", Some("app_voicemail"), mailbox.clone() + options)
            }
            Self::SetConference(option, value) => {
                words.insert("CONFBRIDGE", "app_confbridge");
                ("Set", None, Expr::from("CONFBRIDGE(") + *option + ")=" + value.clone())
            }
            Self::ConfBridge(name) => ("ConfBridge", Some("app_confbridge"), name.clone()),
            Self::Answer => ("Answer", None, Expr::default()),
            // `i`: what a member forwards a call to is not followed. `C`: a phone that rang in vain is told that another one
            // answered, and lists no missed call.
            Self::Queue(name, seconds) => {
                let seconds = seconds.clone().map(|seconds| Expr::from(",,,") + seconds).unwrap_or_default();
                ("Queue", Some("app_queue"), name.clone() + ",iC" + seconds)
            }
            Self::Return(result) => ("Return", Some("app_stack"), result.clone().unwrap_or_default()),
            Self::Set(variable, value) => ("Set", None, Expr::from(variable.name()) + "=" + value.clone()),
            Self::SetField(field, value) => {
                words.extend(field.words());
                ("Set", None, Expr::from(field.name()) + "=" + value.clone())
            }
        };
        words.extend(arguments.words());
        words.extend(module.map(|module| (application, module)));
        format!("{application}({arguments})")
    }
}
