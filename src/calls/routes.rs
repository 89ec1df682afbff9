//! What is declared about inbound calls, checked: dialers, hours and rules.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Hours,
    number::{E164, Prefix},
};
use crate::model::{EmailKey, ObjectName};

/// All routes of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// Where calls can be sent to, by name.
    pub dialers: BTreeMap<ObjectName, Dialer>,
    /// Opening hours, by name.
    pub hours: BTreeMap<ObjectName, Hours>,
    /// The rules; their order carries no meaning.
    pub rules: Vec<Rule>,
    /// Who gets a call that no rule is for, tried in turn.
    pub default_route: Vec<Target>,
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

/// What a dialer dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DialerTarget {
    /// A public number.
    Number(NumberSource),
    /// A SIP address.
    Sip(String),
}

/// Which number the dialer sees as the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerId {
    /// The one that was called.
    Called,
    /// The caller's own, where it is a number; otherwise the one that was called.
    Caller,
    /// This one.
    Number(E164),
}

/// Somewhere calls can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialer {
    /// What it dials.
    pub target: DialerTarget,
    /// The caller ID it shows.
    pub caller_id: CallerId,
    /// How long it rings, in seconds.
    pub ring: u32,
    /// The trunk over which Asterisk reaches it.
    pub trunk: Option<ObjectName>,
}

/// Which called numbers a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Called {
    /// One of ours.
    Did(E164),
    /// Every other number.
    Default,
}

/// Which callers a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerMatch {
    /// Numbers that begin like this.
    Prefix(Prefix),
    /// Callers who do not show a number.
    Withheld,
}

/// Who gets a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A dialer.
    Dialer(ObjectName),
    /// A user's phone.
    User(EmailKey),
    /// Nobody: the call ends.
    Hangup,
    /// Nobody: the caller hears that the line is busy.
    Busy,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The called numbers it is for.
    pub to: Called,
    /// The callers it is for; empty for all.
    pub from: Vec<CallerMatch>,
    /// The hours it is for.
    pub when: Option<ObjectName>,
    /// Who gets the call, tried in turn.
    pub route: Vec<Target>,
    /// Who gets it outside those hours; without it, the next rule has its say.
    pub otherwise: Option<Vec<Target>>,
    /// Whether its removal is refused.
    pub protected: bool,
}

/// One rule for one kind of caller.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    rules: &'a [Rule],
    /// Which of the rules.
    pub index: usize,
    /// The callers; none for all.
    pub from: Option<&'a CallerMatch>,
}

impl<'a> Entry<'a> {
    /// Returns the rule.
    pub fn rule(&self) -> &'a Rule {
        &self.rules[self.index]
    }
}

impl Routes {
    /// Lists the rules for each kind of caller, the most specific first: one of our numbers before the
    /// default, a longer beginning of the caller's number before a shorter, hours before none.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self
            .rules
            .iter()
            .enumerate()
            .flat_map(|(index, rule)| {
                let entry = move |from| Entry { rules: &self.rules, index, from };
                let all = rule.from.is_empty().then_some(entry(None));
                rule.from.iter().map(move |from| entry(Some(from))).chain(all)
            })
            .collect();
        entries.sort_by(|a, b| key(a).cmp(&key(b)));
        entries
    }
}

/// The order of entries; entries that are equal in it contradict each other.
fn key<'a>(entry: &Entry<'a>) -> (&'a Called, u8, usize, Option<&'a CallerMatch>, bool, Option<&'a ObjectName>) {
    let (rank, length) = match entry.from {
        Some(CallerMatch::Prefix(prefix)) => (0, usize::MAX - prefix.start().len()),
        Some(CallerMatch::Withheld) => (1, 0),
        None => (2, 0),
    };
    let when = entry.rule().when.as_ref();
    (&entry.rule().to, rank, length, entry.from, when.is_none(), when)
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Did(number) => write!(f, "{number}"),
            Self::Default => f.write_str("any other number"),
        }
    }
}

impl fmt::Display for CallerMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::Withheld => f.write_str("withheld"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialer(name) => write!(f, "{name}"),
            Self::User(email) => write!(f, "{email}"),
            Self::Hangup => f.write_str("hangup"),
            Self::Busy => f.write_str("busy"),
        }
    }
}
