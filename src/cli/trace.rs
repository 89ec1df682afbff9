//! `reconcile trace`: who would get a call, and why? Reads the file alone.

use std::fmt::Write;

use anyhow::Result;
use jiff::{Timestamp, Zoned, civil};

use super::{
    Exit,
    printer::Printer,
    session,
    settings::{FileArgs, Format},
    stop::Stop,
};
use crate::{
    calls::{Call, Considered, Decision, Fit, decide, walk},
    desired::{self, Declared},
    model::{Caller, CallerClass, Chain, E164, Extension, Invalid, Node, printable, shown},
    objects::{NumberOwner, Target},
    render,
    report::{Desired, json},
};

/// Show who would get a call according to the file, and why
///
/// Lists the rules for the called number, the most specific one first, up to the rule that decides.
/// An `expect` entry that fails is only a warning here. A call to an extension is traced as a call from a phone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile trace --to +15559876543 --from +4930123456 --at 2026-12-24T22:00+01:00")]
pub(crate) struct Args {
    /// The number that is called: a public number, or what a phone dials, such as an extension, 112 or `*97`
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// The caller's number, or `withheld` [default: a caller that no `from` matches]
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// The time of the call, with the offset from UTC [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    file: FileArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let at = match &args.at {
        None => Timestamp::now(),
        Some(text) => text.parse().map_err(|_| not_a_moment(text))?,
    };
    if let Ok(number) = args.to.parse() {
        return inside(args, number, at, printer);
    }
    if let Some(plays) = render::code_in_words(&args.to) {
        let desired = from_phone(args, printer)?;
        let words = if desired.declared.routes.have_boxes() { plays.to_owned() } else { left_to_operator(&desired) };
        return of_operator(args, at, &words, printer);
    }
    let to: E164 = args.to.parse().map_err(|invalid: Invalid| {
        let hint = "write it in E.164 form: `+`, country code and number without spaces, such as `--to +15559876543`; \
                    or write an extension, such as `--to 1500`";
        Stop::usage(invalid.message, hint)
    })?;
    let desired = session::checked(shown(&args.file.file), desired::load_to_trace(&args.file.file), printer)?;
    if from_digits(args.from.as_deref()) {
        printer
            .talk("note: the caller's number is not in E.164 form, `+` and country code: no `from` prefix matches it");
    }
    let from = args.from.as_deref().map(Caller::new);
    let call = Call { to: Some(to), from, at };
    let decision = decide(&desired.declared.routes, &call);
    printer.document(&match args.format {
        Format::Text => text(&args.at.clone().unwrap_or_else(|| local(at)), &call, &decision, &desired),
        Format::Json => json(&call, &decision, &desired)?,
    });
    Ok(Exit::Done)
}

/// Reads the file for a call that a phone makes.
fn from_phone(args: &Args, printer: &mut Printer) -> Result<Desired> {
    if args.from.is_some() {
        let message = "`--from` is for calls from outside";
        return Err(Stop::usage(message, "leave it out: a call to an extension comes from a phone").into());
    }
    Ok(session::checked(shown(&args.file.file), desired::load_to_trace(&args.file.file), printer)?)
}

/// Says where the dialplan leaves numbers to that it does not answer itself.
fn left_to_operator(desired: &Desired) -> String {
    match desired.declared.settings.include.as_slice() {
        [] => "is in no context: there is no `dialplan.include`, and the call ends".to_owned(),
        contexts => {
            let contexts: Vec<String> = contexts.iter().map(|context| format!("`{context}`")).collect();
            format!("is left to your own contexts: {}", contexts.join(", then "))
        }
    }
}

/// Says what becomes of a number that no user of the file has.
fn unowned(number: Extension, desired: &Desired) -> String {
    let settings = &desired.declared.settings;
    let left = left_to_operator(desired);
    if settings.emergency_numbers().contains(&number) {
        format!("is an emergency number, and {left}")
    } else if settings.reserved.contains(&number) {
        format!("is reserved, and {left}")
    } else if settings.range.contains(number) {
        "is pinned to nobody in the file: it rings the user who was given it, as `reconcile numbers` shows; if there is none, \
         the caller hears that it is not allocated"
            .to_owned()
    } else {
        format!("is outside the range {}, and {left}", settings.range)
    }
}

/// Shows a call that no user and no object of the file gets.
fn of_operator(args: &Args, at: Timestamp, words: &str, printer: &mut Printer) -> Result<Exit> {
    let to = &args.to;
    printer.document(&match args.format {
        Format::Text => format!("A call from a phone to {to}\n  {to} {words}\n"),
        Format::Json => json::pretty(&serde_json::json!({
            "format_version": 1,
            "call": { "to": to, "from": null, "from_class": null, "at": at.to_string() },
            "considered": [],
            "default_route": false,
            "steps": [],
            "targets": [],
            "because": words,
        }))?,
    });
    Ok(Exit::Done)
}

/// Shows how a call goes from a phone to an extension.
fn inside(args: &Args, number: Extension, at: Timestamp, printer: &mut Printer) -> Result<Exit> {
    let desired = from_phone(args, printer)?;
    let Declared { routes, users, .. } = &desired.declared;
    let of_object = routes.numbered().into_iter().find(|numbered| numbered.number == number);
    let of_object = of_object.map(|found| (Target::Object(found.name), NumberOwner::Object(found.object)));
    let of_user = || users.iter().find(|(_, user)| user.extension == Some(number));
    let of_user = || of_user().map(|(key, _)| (Target::User(key.clone()), NumberOwner::User(key.clone())));
    let Some((target, owner)) = of_object.or_else(of_user) else {
        return of_operator(args, at, &unowned(number, &desired), printer);
    };
    // A phone that dials a user comes to the user's own list.
    let no_answer = match &owner {
        NumberOwner::User(user) => users.get(user).and_then(|user| user.no_answer.as_deref()).unwrap_or_default(),
        NumberOwner::Object(_) => &[],
    };
    let chain = routes.chain(&[std::slice::from_ref(&target), no_answer].concat());
    printer.document(&match args.format {
        Format::Text => {
            let owner = owner.titled();
            format!(
                "A call from a phone to {number}\n  {number} is the extension of {owner}\nReaches {target}.\n{}",
                steps(&chain)
            )
        }
        Format::Json => json::pretty(&serde_json::json!({
            "format_version": 1,
            "call": { "to": number.to_string(), "from": null, "from_class": null, "at": at.to_string() },
            "considered": [],
            "default_route": false,
            "steps": walk(&chain),
            "targets": [target.to_string()],
        }))?,
    });
    Ok(Exit::Done)
}

/// Says why a text is not a date and time.
fn not_a_moment(text: &str) -> Stop {
    let (text, has_no_offset) = (printable(text), text.parse::<civil::DateTime>().is_ok());
    if has_no_offset {
        let hint = "write date, time and the offset, such as `--at 2026-12-24T22:00+01:00`; `Z` is UTC";
        return Stop::usage(format!("`{text}` has no offset from UTC"), hint);
    }
    Stop::usage(
        format!("`{text}` is not a date and time"),
        "write date, time and the offset from UTC, such as `--at 2026-12-24T22:00+01:00`",
    )
}

/// Tells whether a caller was probably meant to be a number, but is none that prefixes are for.
fn from_digits(from: Option<&str>) -> bool {
    from.is_some_and(|from| {
        let digits = from.chars().all(|c| c.is_ascii_digit() || "+ -()/".contains(c));
        digits && Caller::new(from).class() == CallerClass::Irregular
    })
}

fn text(at: &str, call: &Call, decision: &Decision<'_>, desired: &Desired) -> String {
    let from = call.from.as_ref().map(|from| format!(" from {}", from.as_str())).unwrap_or_default();
    let to = call.to.as_ref().map(E164::as_str).unwrap_or_default();
    let mut text = format!("A call to {to}{from} at {at}\n");
    for considered in &decision.considered {
        let place = place(considered, desired);
        let _ = writeln!(text, "  {place}  {considered}: {}", considered.because());
    }
    if decision.rule().is_none() {
        let default = if decision.targets.is_empty() { "there is no default route" } else { "the default route does" };
        let _ = writeln!(text, "  no rule decides: {default}");
    }
    let targets: Vec<String> = decision.targets.iter().map(ToString::to_string).collect();
    let _ = match targets.as_slice() {
        [] => writeln!(text, "No target gets the call: it ends."),
        [only] => writeln!(text, "Reaches {only}."),
        targets => writeln!(text, "Reaches {}, in turn until one answers.", targets.join(", then ")),
    };
    text + &steps(&desired.declared.routes.chain(decision.targets))
}

/// Lists the steps of a call, unless each target rings alone, which says it all.
fn steps(chain: &Chain) -> String {
    let mut text = String::new();
    let says_more = |node: &Node| match node {
        Node::Ring(ring) => ring.who.are_members(),
        Node::Box(_) | Node::Room(_) | Node::Menu(_) | Node::Queue(_) | Node::Dialplan(_) => true,
        Node::End(_) | Node::Missing(_) => false,
    };
    if chain.0.iter().any(says_more) {
        for (step, walked) in (1..).zip(walk(chain)) {
            let _ = writeln!(text, "  {step}. {}", walked.words());
        }
    }
    text
}

fn place(considered: &Considered<'_>, desired: &Desired) -> String {
    let place = desired.declared.places.rule(considered.entry.index);
    place.map(|place| place.show(&desired.sources)).unwrap_or_default()
}

fn json(call: &Call, decision: &Decision<'_>, desired: &Desired) -> Result<String> {
    let considered: Vec<_> = decision
        .considered
        .iter()
        .map(|considered| {
            let rule = considered.entry.rule();
            serde_json::json!({
                "place": place(considered, desired),
                "to": rule.to.to_string(),
                "from": considered.entry.from.map(ToString::to_string),
                "when": rule.when,
                "decides": matches!(considered.fit, Fit::Decides(_)),
                "because": considered.because(),
            })
        })
        .collect();
    json::pretty(&serde_json::json!({
        "format_version": 1,
        "call": {
            "to": call.to,
            "from": call.from.as_ref().map(Caller::as_str),
            "from_class": call.from.as_ref().map(|from| from.class().word()),
            "at": call.at.to_string(),
        },
        "considered": considered,
        "default_route": decision.rule().is_none(),
        "steps": walk(&desired.declared.routes.chain(decision.targets)),
        "targets": decision.targets.iter().map(Target::to_string).collect::<Vec<_>>(),
    }))
}

/// Writes a moment by this machine's clock, with its offset.
fn local(at: Timestamp) -> String {
    Zoned::new(at, jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M %:z").to_string()
}
