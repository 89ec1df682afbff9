//! The steps of a call: who is dialled, in turn, each complete in itself.
//!
//! A step carries all that dialling needs, and the steps that remain travel in the signed URL to which
//! the end of the present one is reported: routes that are applied during a call change nothing for it.

use std::collections::BTreeSet;

use super::{LiveRoutes, Noun};
use crate::{
    model::{
        BoxNumber, Caller, CallerClass, CallerId, Cause, Chain, E164, Leg, Mailbox, Node, NumberSource, OutsideLine,
        Ring, UserKey,
    },
    objects::{PublicSipHost, destination, menu, queue, room},
};

/// What stands for no caller ID in a URL.
const NONE: &str = "-";

/// What stands before a number in a URL that must confirm the call.
const CONFIRM: &str = "confirm:";

/// How many the provider dials at once at most.
const AT_ONCE: usize = 10;

/// How long the steps of a call may be in a URL, in bytes before they are encoded: the provider takes about 4,000.
const LONGEST_URL: usize = 2500;

/// Something that is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Dials one destination.
    Dial {
        /// Who rings, in one word: the name of an object, the user's e-mail, or the phone's id.
        target: String,
        /// How long it rings, in seconds.
        ring: u32,
        /// The number that is shown.
        caller_id: Option<String>,
        /// Who is dialled, all at once.
        nouns: Vec<Noun>,
    },
    /// Ends the call.
    Hangup,
    /// Tells the caller that the line is busy.
    Busy,
}

/// The numbers of a call.
pub(super) struct Numbers<'a> {
    /// The called number, or `None` if it is not in E.164 form.
    pub(super) called: Option<&'a E164>,
    pub(super) caller: &'a Caller,
}

/// What the provider cannot dial of a tenant's routes.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The targets, each with the reason.
    pub targets: BTreeSet<String>,
    /// Whether it can dial nobody at all, so that it ends every call.
    pub all: bool,
}

/// Finds the targets of a tenant's routes that the provider cannot dial; `None` if there are none, or if the
/// tenant's calls come over its trunks alone.
pub(crate) fn left_out(applied: &LiveRoutes) -> Option<LeftOut> {
    let routes = &applied.routes;
    if !routes.use_twilio() {
        return None;
    }
    // Of a caller with a number nothing else is worth a note.
    let numbers = Numbers { called: None, caller: &Caller::new("+4930123456") };
    let (mut targets, mut all) = (BTreeSet::new(), true);
    let chains = routes.rules.iter().flat_map(|rule| [Some(&rule.route), rule.otherwise.as_ref()]).flatten();
    for chain in chains.chain([&routes.default_route.0]) {
        let (steps, notes) = Step::of(applied, &routes.chain(chain), &numbers);
        all &= !steps.iter().any(|step| matches!(step, Step::Dial { .. }));
        targets.extend(notes);
    }
    (!targets.is_empty()).then_some(LeftOut { targets, all })
}

impl Step {
    /// Makes steps of a chain, up to one that ends the call; tells which targets cannot be dialled, or only
    /// without a caller ID that the provider is sure to take.
    pub(super) fn of(applied: &LiveRoutes, chain: &Chain, numbers: &Numbers<'_>) -> (Vec<Self>, Vec<String>) {
        let (mut steps, mut notes, mut length) = (Vec::new(), Vec::new(), 0);
        for node in &chain.0 {
            let (name, user) = match node {
                Node::Ring(ring) => {
                    let Some(step) = Self::ring(ring, applied, numbers, &mut notes) else { continue };
                    length += step.to_text().len();
                    if length > LONGEST_URL {
                        notes.push(format!("{} is left out, with all behind it: a URL cannot name so many", ring.name));
                        break;
                    }
                    steps.push(step);
                    continue;
                }
                Node::Box(Mailbox { name, number }) => {
                    (name.clone(), number.as_ref().map(BoxNumber::sip_user).ok_or("it has no number yet"))
                }
                Node::Room(name) => (name.to_string(), Ok(room::sip_user(name))),
                Node::Menu(name) => (name.to_string(), Ok(menu::sip_user(name))),
                Node::Queue(name) => (name.to_string(), Ok(queue::sip_user(name))),
                Node::Dialplan(at) => (at.to_string(), Ok(destination::sip_user(at))),
                Node::End(cause) => {
                    steps.push(match cause {
                        Cause::Busy => Self::Busy,
                        Cause::Rejected => Self::Hangup,
                    });
                    break;
                }
                Node::Missing(name) => {
                    notes.push(format!("{name} is left out: no object has this name"));
                    continue;
                }
            };
            match user.and_then(|user| at_host(&name, &user, applied, numbers)) {
                Ok(step) => {
                    steps.push(step);
                    break;
                }
                Err(why) => notes.push(format!("{name} is left out: {why}")),
            }
        }
        (steps, notes)
    }

    /// Dials who rings, unless the provider can dial none of them.
    fn ring(ring: &Ring, applied: &LiveRoutes, numbers: &Numbers<'_>, notes: &mut Vec<String>) -> Option<Self> {
        let nouns = nouns(ring, applied, notes);
        if nouns.is_empty() {
            return None;
        }
        // One number is shown to all: that of whoever is outside, who may not be shown any other.
        let wanted = ring.who.legs().iter().find_map(|leg| match leg {
            Leg::Outside(outside) => Some(&outside.caller_id),
            Leg::Phone(_) => None,
        });
        let caller_id = caller_id(wanted.unwrap_or(&CallerId::Caller), applied, numbers);
        // Without one the provider shows the caller's own.
        if caller_id.is_none() && numbers.caller.class() != CallerClass::E164 {
            notes.push(format!("{} is dialled without a caller ID: no number of ours is known", ring.name));
        }
        Some(Self::Dial { target: ring.name.clone(), ring: ring.seconds, caller_id, nouns })
    }

    /// Writes it for a URL; nothing in it holds a blank.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Dial { target, ring, caller_id, nouns } => {
                let mut text = format!("{target} {ring} {}", caller_id.as_deref().unwrap_or(NONE));
                for noun in nouns {
                    match noun {
                        Noun::Number(to) | Noun::Sip(to) => text.extend([" ", to]),
                        Noun::Confirmed(to) => text.extend([" ", CONFIRM, to]),
                    }
                }
                text
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
            [target, ring, caller_id, ref nouns @ ..] if !nouns.is_empty() => Some(Self::Dial {
                target: target.to_owned(),
                ring: ring.parse().ok()?,
                caller_id: (caller_id != NONE).then(|| caller_id.to_owned()),
                nouns: nouns.iter().take(AT_ONCE).map(|to| noun_of(to)).collect(),
            }),
            _ => None,
        }
    }
}

/// Reads a noun back from a URL.
fn noun_of(to: &str) -> Noun {
    match to.strip_prefix(CONFIRM) {
        Some(number) => Noun::Confirmed(number.to_owned()),
        None if to.starts_with("sip") => Noun::Sip(to.to_owned()),
        None => Noun::Number(to.to_owned()),
    }
}

/// Lists whom the provider dials at once; notes who is left out, and why.
fn nouns(ring: &Ring, applied: &LiveRoutes, notes: &mut Vec<String>) -> Vec<Noun> {
    let mut nouns = Vec::new();
    for leg in ring.who.legs() {
        let (noun, whom) = match leg {
            Leg::Outside(outside) => (noun(&outside.line), None),
            Leg::Phone(user) => (phone(user, applied), Some(user.as_str())),
        };
        // Alone it is what the ring is called after.
        let whom = whom.filter(|_| ring.who.are_members()).map(|user| format!("{user} of ")).unwrap_or_default();
        match noun {
            Err(why) => notes.push(format!("{whom}{} is left out: {why}", ring.name)),
            Ok(Noun::Number(number)) if ring.who.are_members() => nouns.push(Noun::Confirmed(number)),
            Ok(noun) => nouns.push(noun),
        }
    }
    if nouns.len() > AT_ONCE {
        notes.push(format!("{} is dialled in part: the provider dials {AT_ONCE} at once", ring.name));
        nouns.truncate(AT_ONCE);
    }
    nouns
}

fn phone(email: &UserKey, applied: &LiveRoutes) -> Result<Noun, &'static str> {
    match (applied.users.get(email), &applied.routes.public_sip_host) {
        (None, _) => Err("there is no such user"),
        (_, None) => Err("there is no `public_sip_host`"),
        (Some(name), Some(PublicSipHost(host))) => Ok(Noun::Sip(format!("sip:{name}@{host}"))),
    }
}

/// How long the provider waits for what Asterisk answers at once, in seconds: a voicemail box, a room, a menu, a
/// queue, or an extension of the operator's own dialplan.
const ANSWERS_WITHIN: u32 = 10;

/// Dials a voicemail box, a room, a menu, a queue or an extension of the operator's under its SIP user, at the host at which
/// phones are reached.
fn at_host(name: &str, user: &str, applied: &LiveRoutes, numbers: &Numbers<'_>) -> Result<Step, &'static str> {
    let PublicSipHost(host) = applied.routes.public_sip_host.as_ref().ok_or("there is no `public_sip_host`")?;
    Ok(Step::Dial {
        target: name.to_owned(),
        ring: ANSWERS_WITHIN,
        caller_id: caller_id(&CallerId::Caller, applied, numbers),
        nouns: vec![Noun::Sip(format!("sip:{user}@{host}"))],
    })
}

fn noun(target: &OutsideLine) -> Result<Noun, &'static str> {
    match target {
        OutsideLine::Number(NumberSource::Given(number)) => Ok(Noun::Number(number.to_string())),
        OutsideLine::Number(NumberSource::Env(_)) => Err("its number was not resolved"),
        OutsideLine::Sip(address) => Ok(Noun::Sip(address.clone())),
    }
}

/// Chooses a caller ID that the provider takes: the caller's own only where it is a public number,
/// otherwise one of ours.
fn caller_id(wanted: &CallerId, applied: &LiveRoutes, numbers: &Numbers<'_>) -> Option<String> {
    // Where none of ours was called, as by a client, one of those that rules are for is shown.
    let declared = || applied.routes.first_number();
    let default = applied.routes.caller_id.as_ref().map(|shown| &shown.0);
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
