//! The steps of a call: who is dialled, in turn, each complete in itself.
//!
//! A step carries all that dialling needs, and the steps that remain travel in the signed URL to which
//! the end of the present one is told: routes that are applied during a call change nothing for it.

use std::collections::BTreeSet;

use super::{Applied, Noun};
use crate::{
    model::{Caller, CallerClass, E164},
    objects::{Called, CallerId, DialerTarget, NumberSource, Target},
};

/// How long a user's phone rings, in seconds; as dialers do by default.
const RING: u32 = 30;

/// What stands for no caller ID in a URL.
const NONE: &str = "-";

/// Something that is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Dials somebody.
    Dial {
        /// The dialer, or the user's e-mail.
        target: String,
        /// How long it rings, in seconds.
        ring: u32,
        /// The number that is shown.
        caller_id: Option<String>,
        /// Who is dialled.
        noun: Noun,
    },
    /// Ends the call.
    Hangup,
    /// Tells the caller that the line is busy.
    Busy,
}

/// The numbers of a call.
pub(super) struct Numbers<'a> {
    /// The one that was called; none where it is none of any form.
    pub(super) called: Option<&'a E164>,
    /// Whoever calls.
    pub(super) caller: &'a Caller,
}

/// Lists the targets of a tenant's routes that the provider cannot dial, each with the reason.
pub fn left_out(applied: &Applied) -> BTreeSet<String> {
    let routes = &applied.routes;
    let chains = routes.rules.iter().flat_map(|rule| [Some(&rule.route), rule.otherwise.as_ref()]).flatten();
    // Of a caller with a number nothing else is worth a note.
    let numbers = Numbers { called: None, caller: &Caller::new("+4930123456") };
    chains.chain([&routes.default_route]).flat_map(|chain| Step::of(applied, chain, &numbers).1).collect()
}

impl Step {
    /// Makes steps of targets, up to one that ends the call; tells which targets cannot be dialled, or
    /// only without a caller ID that the provider is sure to take.
    pub(super) fn of(applied: &Applied, targets: &[Target], numbers: &Numbers<'_>) -> (Vec<Self>, Vec<String>) {
        let (mut steps, mut notes) = (Vec::new(), Vec::new());
        for target in targets {
            let step = match target {
                Target::Hangup => Ok(Self::Hangup),
                Target::Busy => Ok(Self::Busy),
                Target::Dialer(name) => match applied.routes.dialers.get(name) {
                    Some(dialer) => noun(&dialer.target).map(|noun| Self::Dial {
                        target: name.to_string(),
                        ring: dialer.ring,
                        caller_id: caller_id(&dialer.caller_id, applied, numbers),
                        noun,
                    }),
                    None => Err("there is no such dialer"),
                },
                Target::User(email) => match (applied.users.get(email), &applied.routes.public_sip_host) {
                    (None, _) => Err("there is no such user"),
                    (_, None) => Err("there is no `public_sip_host`"),
                    (Some(name), Some(host)) => Ok(Self::Dial {
                        target: email.to_string(),
                        ring: RING,
                        caller_id: caller_id(&CallerId::Caller, applied, numbers),
                        noun: Noun::Sip(format!("sip:{name}@{host}")),
                    }),
                },
            };
            match step {
                Ok(Self::Dial { ref caller_id, .. }) => {
                    // Without one the provider shows the caller's own.
                    if caller_id.is_none() && numbers.caller.class() != CallerClass::E164 {
                        notes.push(format!("{target} is dialled without a caller ID: no number of ours is known"));
                    }
                    steps.extend(step);
                }
                Ok(end) => {
                    steps.push(end);
                    break;
                }
                Err(why) => notes.push(format!("{target} is left out: {why}")),
            }
        }
        (steps, notes)
    }

    /// Writes it for a URL; nothing in it holds a blank.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Dial { target, ring, caller_id, noun: Noun::Number(to) | Noun::Sip(to) } => {
                format!("{target} {ring} {} {to}", caller_id.as_deref().unwrap_or(NONE))
            }
            Self::Hangup => "hangup".to_owned(),
            Self::Busy => "busy".to_owned(),
        }
    }

    /// Reads it back; none from anything else.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        match parts[..] {
            ["hangup"] => Some(Self::Hangup),
            ["busy"] => Some(Self::Busy),
            [target, ring, caller_id, to] => Some(Self::Dial {
                target: target.to_owned(),
                ring: ring.parse().ok()?,
                caller_id: (caller_id != NONE).then(|| caller_id.to_owned()),
                noun: if to.starts_with("sip") { Noun::Sip(to.to_owned()) } else { Noun::Number(to.to_owned()) },
            }),
            _ => None,
        }
    }
}

fn noun(target: &DialerTarget) -> Result<Noun, &'static str> {
    match target {
        DialerTarget::Number(NumberSource::Given(number)) => Ok(Noun::Number(number.to_string())),
        DialerTarget::Number(NumberSource::Env(_)) => Err("its number was not resolved"),
        DialerTarget::Sip(address) => Ok(Noun::Sip(address.clone())),
    }
}

/// Chooses a caller ID that the provider takes: the caller's own only where it is a public number,
/// otherwise one of ours.
fn caller_id(wanted: &CallerId, applied: &Applied, numbers: &Numbers<'_>) -> Option<String> {
    // Where none of ours was called, as by a client, one of those that rules are for is shown.
    let declared = || {
        applied.routes.rules.iter().find_map(|rule| match &rule.to {
            Called::Did(number) => Some(number),
            Called::Default => None,
        })
    };
    let default = applied.routes.caller_id.as_ref();
    let ours = match wanted {
        CallerId::Number(number) => Some(number),
        CallerId::Caller if numbers.caller.class() == CallerClass::E164 => {
            return Some(numbers.caller.as_str().to_owned());
        }
        CallerId::Caller | CallerId::Called => numbers.called.or(default).or_else(declared),
        CallerId::Default => default.or(numbers.called).or_else(declared),
    };
    ours.map(ToString::to_string)
}
