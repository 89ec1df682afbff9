//! Rules: who gets which inbound call.

pub(super) mod check;
pub(crate) mod file;
mod loops;
mod outcome;
mod overlaps;

pub(crate) use loops::loops_by_variables;
pub(crate) use outcome::Outcome;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    ObjectKind, Target,
    destination::{host_names, in_turn, refs, with_users},
    object::{Fields, Object, RowsOfUsers, Store, Stored, UserOfRow, UsersOfRows},
};
use crate::model::{Document, E164, HostName, Invalid, ObjectName, Prefix, Unreadable, UserKey};

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

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule<User = UserKey> {
    /// The called numbers it is for.
    pub to: Called,
    /// The callers it is for; empty for all.
    #[serde(default)]
    pub from: Vec<CallerMatch>,
    /// The hours it is for.
    pub when: Option<ObjectName>,
    /// Who gets the call, tried in turn.
    pub route: Vec<Target<User>>,
    /// Who gets it outside those hours; without it, the next rule has its say.
    pub otherwise: Option<Vec<Target<User>>>,
    /// Whether its removal is refused.
    #[serde(default)]
    pub protected: bool,
}

/// One rule for one kind of caller.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub(super) rules: &'a [Rule],
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

/// The order of entries; entries that are equal in it contradict each other.
pub(super) fn key<'a>(
    entry: &Entry<'a>,
) -> (&'a Called, u8, usize, Option<&'a CallerMatch>, bool, Option<&'a ObjectName>) {
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

impl Object for Rule {
    fn fields(&self) -> Fields {
        vec![
            ("route", Some(in_turn(&self.route))),
            ("otherwise", self.otherwise.as_deref().map(in_turn)),
            ("protected", Some(self.protected.to_string())),
        ]
    }

    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        let otherwise = self.otherwise.iter().flat_map(|targets| refs(targets));
        refs(&self.route).chain(otherwise).chain(self.when.iter().map(|when| (ObjectKind::Hours, when))).collect()
    }

    fn host_names(&self) -> Vec<HostName> {
        host_names(&self.route).chain(self.otherwise.iter().flat_map(|targets| host_names(targets))).collect()
    }

    fn numbers(&self) -> Vec<&E164> {
        match &self.to {
            Called::Did(number) => vec![number],
            Called::Default => Vec::new(),
        }
    }

    fn tidy(&mut self) {
        self.from.sort();
        self.from.dedup();
    }

    fn is_protected(&self) -> bool {
        self.protected
    }
}

impl Store for Vec<Rule> {
    type Item = Rule;

    fn items(&self) -> Vec<(String, &Rule)> {
        names(self).into_iter().zip(self).collect()
    }

    fn items_mut(&mut self) -> Vec<(String, &mut Rule)> {
        names(self).into_iter().zip(self).collect()
    }

    fn put(&mut self, _: &str, item: Rule) -> Result<(), Invalid> {
        self.push(item);
        Ok(())
    }
}

impl Document for Rule<UserOfRow> {}

impl Stored for Rule {
    type Body = Rule<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Rule<UserOfRow>, serde_json::Error> {
        self.clone().with_users(|user| rows(&user))
    }

    fn of_body(body: Rule<UserOfRow>, users: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        body.with_users(|row| users(&row))
    }
}

impl<U> Rule<U> {
    /// Names its users in another way.
    fn with_users<V, E>(self, user: impl Fn(U) -> Result<V, E>) -> Result<Rule<V>, E> {
        let Self { to, from, when, route, otherwise, protected } = self;
        let (route, otherwise) = (with_users(route, &user)?, otherwise.map(|targets| with_users(targets, &user)));
        Ok(Rule { to, from, when, route, otherwise: otherwise.transpose()?, protected })
    }
}

/// The order in which rules are recorded. The file's carries no meaning.
pub(super) fn order(rule: &Rule) -> impl Ord + use<> {
    (rule.to.clone(), rule.to_string(), format!("{:?}", rule.fields()))
}

/// Names rules by what they are for; hours in which nobody is ever there may have several for the same.
pub(super) fn names(rules: &[Rule]) -> Vec<String> {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = |rule: &Rule| {
        let name = rule.to_string();
        let count = known.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 { name } else { format!("{name} ({count})") }
    };
    rules.iter().map(&mut name).collect()
}
