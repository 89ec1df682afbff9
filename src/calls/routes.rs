//! What is declared about inbound calls, checked: dialers, hours and rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{
    Hours,
    number::{E164, Prefix},
};
use crate::model::{Document, EmailKey, ObjectName};

/// All that is declared about a tenant's inbound calls, without secrets. Absent keys declare nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routes {
    /// The SIP carriers, by name.
    pub trunks: BTreeMap<ObjectName, Trunk>,
    /// Where calls can be sent to, by name.
    pub dialers: BTreeMap<ObjectName, Dialer>,
    /// Opening hours, by name.
    pub hours: BTreeMap<ObjectName, Hours>,
    /// The rules; their order carries no meaning.
    pub rules: Vec<Rule>,
    /// Who gets a call that no rule is for, tried in turn.
    pub default_route: Vec<Target>,
    /// The host at which users' phones are reached from outside, for Twilio calls.
    pub public_sip_host: Option<String>,
    /// The caller ID that dialers see by default; none for the called number.
    pub caller_id: Option<E164>,
}

/// A SIP carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    /// Where the carrier is reached: a name or an address, perhaps with a port.
    pub host: String,
    /// The addresses and networks its calls come from; none for those of the host.
    #[serde(default)]
    pub identify: Vec<String>,
    /// The user name at the carrier.
    pub username: Option<ObjectName>,
    /// The carrier's digest realm; with it, Asterisk's file holds no plain secret.
    pub realm: Option<ObjectName>,
    /// Whether to register at the carrier.
    #[serde(default)]
    pub register: bool,
}

impl Trunk {
    /// Lists the addresses that its calls come from: those declared, or that of a host given as an
    /// address. Names are never resolved: a resolver that hangs would hang Asterisk's reload.
    pub fn addresses(&self) -> Vec<String> {
        if !self.identify.is_empty() {
            return self.identify.clone();
        }
        let host = without_port(&self.host).trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().map(|address| address.to_string()).into_iter().collect()
    }
}

/// The host alone; an IPv6 address has a port only where it stands in brackets.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') || name.ends_with(']') => name,
        _ => host,
    }
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
    #[serde(default)]
    pub caller_id: CallerId,
    /// How long it rings, in seconds.
    #[serde(default = "Dialer::default_ring")]
    pub ring: u32,
    /// The trunk over which Asterisk reaches it.
    pub trunk: Option<ObjectName>,
}

impl Dialer {
    /// How long a dialer rings whose file does not say so, in seconds.
    pub(crate) const DEFAULT_RING: u32 = 30;

    fn default_ring() -> u32 {
        Self::DEFAULT_RING
    }
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
    #[serde(default)]
    pub from: Vec<CallerMatch>,
    /// The hours it is for.
    pub when: Option<ObjectName>,
    /// Who gets the call, tried in turn.
    pub route: Vec<Target>,
    /// Who gets it outside those hours; without it, the next rule has its say.
    pub otherwise: Option<Vec<Target>>,
    /// Whether its removal is refused.
    #[serde(default)]
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

impl Document for Routes {}

impl Routes {
    /// Tells whether nothing is declared about inbound calls.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether any call could be routed.
    pub fn take_calls(&self) -> bool {
        !self.rules.is_empty() || !self.default_route.is_empty()
    }

    /// Takes the numbers that come from variables from there, and the default caller ID: what is
    /// recorded holds numbers only, so that every host and server uses the same. Where a number cannot
    /// be had, its name and reason are listed.
    ///
    /// # Errors
    /// The dialers whose number cannot be had, each with the reason.
    pub fn resolved(
        &self,
        caller_id: Option<E164>,
        variable: impl Fn(&str) -> Result<E164, String>,
    ) -> Result<Self, Vec<String>> {
        let mut routes = Self { caller_id, ..self.clone() };
        let mut missing = Vec::new();
        for (name, dialer) in &mut routes.dialers {
            if let DialerTarget::Number(NumberSource::Env(from)) = &dialer.target {
                match variable(from) {
                    Ok(number) => dialer.target = DialerTarget::Number(NumberSource::Given(number)),
                    Err(reason) => missing.push(format!("the number of the dialer `{name}`: {reason}")),
                }
            }
        }
        if missing.is_empty() { Ok(routes) } else { Err(missing) }
    }

    /// Lists our numbers that have rules of their own.
    pub fn numbers(&self) -> BTreeSet<&E164> {
        let numbers = self.rules.iter().filter_map(|rule| match &rule.to {
            Called::Did(number) => Some(number),
            Called::Default => None,
        });
        numbers.collect()
    }

    /// Lists the users who may get a call.
    pub fn users(&self) -> BTreeSet<&EmailKey> {
        let rules = self.rules.iter().flat_map(|rule| rule.route.iter().chain(rule.otherwise.iter().flatten()));
        let users = rules.chain(&self.default_route).filter_map(|target| match target {
            Target::User(email) => Some(email),
            _ => None,
        });
        users.collect()
    }

    /// Lists the rules for each kind of caller, the most specific first: one of our numbers before the
    /// default, a longer beginning of the caller's number before a shorter, hours before none.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        self.entries_of(|_| true)
    }

    /// Lists as [`Self::entries`] does, of the rules for some numbers alone.
    pub(super) fn entries_of(&self, is_called: impl Fn(&Called) -> bool) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| is_called(&rule.to))
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

/// Names a rule by what it is for, as the file says it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Called::Did(number) => write!(f, "to {number}")?,
            Called::Default => f.write_str("to default")?,
        }
        for (index, from) in self.from.iter().enumerate() {
            write!(f, "{}{from}", if index == 0 { " from " } else { ", " })?;
        }
        self.when.as_ref().map_or(Ok(()), |when| write!(f, " when {when}"))
    }
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
