//! The one decision: who gets a call, and why.

use std::fmt;

use jiff::Timestamp;

use crate::{
    model::{Caller, CallerClass, E164, ObjectName},
    objects::{Called, CallerMatch, Entry, Routes, Rule, Target},
};

/// A call that comes in.
#[derive(Debug, Clone)]
pub struct Call {
    /// The called number, or `None` if it is not in E.164 form.
    pub to: Option<E164>,
    /// The caller, or `None` if that is left open: rules for certain callers then do not match.
    pub from: Option<Caller>,
    /// When.
    pub at: Timestamp,
}

/// How a rule stands to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The caller is another one.
    OtherCaller,
    /// It is outside of its hours, and it says nothing about that.
    Closed,
    /// It decides.
    Decides(Branch),
}

/// Which part of a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// `route`, at any time.
    Route,
    /// `route`, as its hours hold.
    Open,
    /// `otherwise`, as its hours do not hold.
    Otherwise,
}

/// A rule that was looked at.
#[derive(Debug, Clone)]
pub struct Considered<'a> {
    /// The rule, for the callers in question.
    pub entry: Entry<'a>,
    /// What came of it.
    pub(crate) fit: Fit,
}

impl Considered<'_> {
    /// Says in words what came of it, behind the name of the rule.
    pub fn because(&self) -> String {
        let hours = self.entry.rule().when.as_ref().map(ObjectName::as_str).unwrap_or_default();
        match self.fit {
            Fit::OtherCaller => "is for other callers".to_owned(),
            Fit::Closed => format!("is not for now, as `{hours}` is closed"),
            Fit::Decides(Branch::Route) => "decides".to_owned(),
            Fit::Decides(Branch::Open) => format!("decides, as `{hours}` is open"),
            Fit::Decides(Branch::Otherwise) => format!("decides by `otherwise`, as `{hours}` is closed"),
        }
    }
}

/// Names the rule, for the callers in question.
impl fmt::Display for Considered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.entry.rule();
        write!(f, "to {}", rule.to)?;
        self.entry.from.map_or(Ok(()), |from| write!(f, " from {from}"))?;
        rule.when.as_ref().map_or(Ok(()), |when| write!(f, " when {when}"))
    }
}

/// Who gets a call, and why.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// The rules for the called number, in order, up to the one that decides.
    pub(crate) considered: Vec<Considered<'a>>,
    /// Who gets the call, tried in turn. Empty if the call ends.
    pub targets: &'a [Target],
}

impl<'a> Decision<'a> {
    /// The rule that decided, or `None` if the default route did.
    pub fn rule(&self) -> Option<&'a Rule> {
        self.considered.last().filter(|last| matches!(last.fit, Fit::Decides(_))).map(|last| last.entry.rule())
    }
}

/// Decides who gets a call. Rules are looked at from the most specific one on; the first that is for
/// the call decides, otherwise the default route.
pub fn decide<'a>(routes: &'a Routes, call: &Call) -> Decision<'a> {
    decide_among(routes, routes.entries_of(|to| is_called(to, call)), call)
}

/// Decides about many calls: the rules are sorted once, and those for a number are found without a look at
/// the others.
#[derive(Debug)]
pub struct Decider<'a> {
    routes: &'a Routes,
    /// In order: for our numbers, then for every other one.
    entries: Vec<Entry<'a>>,
}

impl<'a> Decider<'a> {
    /// Sorts the rules.
    pub fn new(routes: &'a Routes) -> Self {
        Self { routes, entries: routes.entries() }
    }

    /// Decides as [`decide`] does.
    pub fn decide(&self, call: &Call) -> Decision<'a> {
        let own = call.to.as_ref().map(|number| self.range(&Called::Did(number.clone()))).unwrap_or_default();
        let entries = own.iter().chain(self.range(&Called::Default)).copied();
        decide_among(self.routes, entries, call)
    }

    fn range(&self, to: &Called) -> &[Entry<'a>] {
        let from = self.entries.partition_point(|entry| entry.rule().to < *to);
        let end = self.entries.partition_point(|entry| entry.rule().to <= *to);
        &self.entries[from..end]
    }
}

fn decide_among<'a>(routes: &'a Routes, entries: impl IntoIterator<Item = Entry<'a>>, call: &Call) -> Decision<'a> {
    let mut considered = Vec::new();
    for entry in entries {
        let rule = entry.rule();
        let fit = fit(routes, &entry, call);
        considered.push(Considered { entry, fit });
        match fit {
            Fit::Decides(Branch::Otherwise) => {
                return Decision { considered, targets: rule.otherwise.as_deref().unwrap_or_default() };
            }
            Fit::Decides(_) => return Decision { considered, targets: &rule.route },
            Fit::OtherCaller | Fit::Closed => {}
        }
    }
    Decision { considered, targets: &routes.default_route.0 }
}

fn is_called(to: &Called, call: &Call) -> bool {
    match to {
        Called::Did(number) => call.to.as_ref() == Some(number),
        Called::Default => true,
    }
}

fn fit(routes: &Routes, entry: &Entry<'_>, call: &Call) -> Fit {
    if !entry.from.is_none_or(|from| is_from(from, call.from.as_ref())) {
        return Fit::OtherCaller;
    }
    let Some(hours) = entry.rule().when.as_ref().and_then(|name| routes.hours.get(name)) else {
        return Fit::Decides(Branch::Route);
    };
    if hours.is_open(call.at) {
        Fit::Decides(Branch::Open)
    } else if entry.rule().otherwise.is_some() {
        Fit::Decides(Branch::Otherwise)
    } else {
        Fit::Closed
    }
}

fn is_from(from: &CallerMatch, caller: Option<&Caller>) -> bool {
    let Some(caller) = caller else { return false };
    match from {
        CallerMatch::Withheld => caller.class() == CallerClass::Withheld,
        CallerMatch::Prefix(prefix) => {
            caller.class() == CallerClass::E164 && caller.as_str().starts_with(prefix.start())
        }
    }
}
