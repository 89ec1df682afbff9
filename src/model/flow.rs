//! How a call goes: one closed model. Each kind of object that calls can be sent to makes it. The dialplan, `TwiML` and
//! `trace` walk it, and none of them knows a kind.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    BoxNumber, Code, E164, Invalid, ObjectName, OperatorsExtension, UserKey, first_unprintable, quoted, text_type,
};

text_type! {
    /// What stands before a caller's name: letters, digits, blanks and `. : - _ / +`, which mean nothing in a dialplan.
    NamePrefix,
    |text| {
        let plain = |c: char| c.is_alphanumeric() || " .:-_/+".contains(c);
        let seen = first_unprintable(text).is_none();
        if (1..=20).contains(&text.chars().count()) && text.chars().all(plain) && !text.starts_with(' ') && seen {
            return Ok(text.to_owned());
        }
        let hint = "use 1 to 20 letters, digits, spaces and `. : - _ / +`, such as \"Sales: \"";
        Err(Invalid::new(Code::InvalidCallerName, format!("{} cannot be put before a caller's name", quoted(text)), hint))
    },
    { "type": "string", "minLength": 1, "maxLength": 20 }
}

/// Destinations that are tried in turn until one answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain(pub Vec<Node>);

impl Chain {
    /// Lists the users whose phones may ring.
    pub(crate) fn users(&self) -> BTreeSet<&UserKey> {
        let legs = self.0.iter().filter_map(Node::ring).flat_map(|ring| ring.who.legs());
        legs.filter_map(|leg| match leg {
            Leg::Phone(user) => Some(user),
            Leg::Outside(_) => None,
        })
        .collect()
    }

    /// Tells whether the phone of one user alone may ring.
    pub(crate) fn rings_one_phone(&self) -> bool {
        self.0.iter().any(|node| matches!(node, Node::Ring(Ring { who: Who::One(Leg::Phone(_)), .. })))
    }
}

/// One step of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Rings phones.
    Ring(Ring),
    /// Records a message. What stands behind it is never tried.
    Box(Mailbox),
    /// Lets the caller into the conference room of this name. What stands behind it is never tried.
    Room(ObjectName),
    /// Lets the caller choose in the menu of this name. What stands behind it is never tried.
    Menu(ObjectName),
    /// Lets the caller wait in the queue of this name. What stands behind it is never tried.
    Queue(ObjectName),
    /// The call goes on in the operator's own dialplan. What stands behind it is never tried.
    Dialplan(OperatorsExtension),
    /// Ends the call. What stands behind it is never tried.
    End(Cause),
    /// The object of this name is not declared. The next destination is tried.
    Missing(ObjectName),
}

impl Node {
    /// Returns what rings, or `None` if nothing does.
    pub(crate) fn ring(&self) -> Option<&Ring> {
        match self {
            Self::Ring(ring) => Some(ring),
            Self::Box(_)
            | Self::Room(_)
            | Self::Menu(_)
            | Self::Queue(_)
            | Self::Dialplan(_)
            | Self::End(_)
            | Self::Missing(_) => None,
        }
    }

    /// Tells whether what stands behind it is never tried.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Box(_) | Self::Room(_) | Self::Menu(_) | Self::Queue(_) | Self::Dialplan(_) | Self::End(_) => true,
            Self::Ring(_) | Self::Missing(_) => false,
        }
    }
}

/// A voicemail box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// In one word without blanks: the name of a shared box, or `voicemail:` and the user's e-mail.
    pub name: String,
    /// Its number. `None` until the directory gives it one.
    pub number: Option<BoxNumber>,
}

/// Phones and outside numbers that ring at once. The first to answer gets the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// Who rings, in one word without blanks: the name of the object, the user's e-mail, or the phone's id. An object
    /// that rings several times in turn numbers them: `sales/1`.
    pub name: String,
    /// Who rings.
    pub who: Who,
    /// How long, in seconds.
    pub seconds: u32,
}

/// Who rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// One destination.
    One(Leg),
    /// The members of a group. The phone that makes the call does not ring. At a number outside, the person who answers
    /// confirms the call, because a mailbox would take it otherwise.
    Members {
        /// The members.
        legs: Vec<Leg>,
        /// What stands before the caller's name on their phones.
        prefix: Option<NamePrefix>,
    },
}

impl Who {
    /// Lists all who ring.
    pub(crate) fn legs(&self) -> &[Leg] {
        match self {
            Self::One(leg) => std::slice::from_ref(leg),
            Self::Members { legs, .. } => legs,
        }
    }

    /// Tells whether they are members of a group.
    pub(crate) fn are_members(&self) -> bool {
        matches!(self, Self::Members { .. })
    }
}

/// One who rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leg {
    /// All devices of a user.
    Phone(UserKey),
    /// A number or an address outside.
    Outside(Outside),
}

impl Leg {
    /// Tells whether only Twilio reaches it.
    pub(crate) fn has_no_trunk(&self) -> bool {
        matches!(self, Self::Outside(Outside { trunk: None, .. }))
    }
}

/// A number or an address outside, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Whom the call goes to.
    pub line: OutsideLine,
    /// The trunk over which Asterisk reaches it. Without one, only Twilio does.
    pub trunk: Option<ObjectName>,
    /// Which number is shown as the caller's.
    pub caller_id: CallerId,
}

/// Names who rings: the user's e-mail, the phone's id, the number or the address.
impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(user) => write!(f, "{user}"),
            Self::Outside(Outside { line: OutsideLine::Number(NumberSource::Given(number)), .. }) => {
                write!(f, "{number}")
            }
            Self::Outside(Outside { line: OutsideLine::Number(NumberSource::Env(variable)), .. }) => {
                write!(f, "({variable})")
            }
            Self::Outside(Outside { line: OutsideLine::Sip(address), .. }) => f.write_str(address),
        }
    }
}

/// How a call ends that reaches no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The caller hears that the line is busy.
    Busy,
    /// The call is rejected.
    Rejected,
}

/// A number that stands in the file, or in a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberSource {
    /// The number itself.
    Given(E164),
    /// The variable.
    Env(String),
}

/// Whom a call outside goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutsideLine {
    /// A public number.
    Number(NumberSource),
    /// A SIP address.
    Sip(String),
}

/// Which number is shown as the caller's.
///
/// What is recorded as `called` has always meant the default; the called number has a word of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerId {
    /// The default caller ID where there is one; otherwise the one that was called.
    #[default]
    #[serde(rename = "called")]
    Default,
    /// The one that was called.
    #[serde(rename = "always-called")]
    Called,
    /// The caller's own number, or the called one if the caller has none.
    Caller,
    /// This one.
    Number(E164),
}

impl CallerId {
    /// Returns it as the file has it, or `None` for the default.
    pub(crate) fn word(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Called => Some("called".to_owned()),
            Self::Caller => Some("caller".to_owned()),
            Self::Number(number) => Some(number.to_string()),
        }
    }
}
