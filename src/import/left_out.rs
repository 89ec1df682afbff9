//! The list of what an import does not carry over.

use std::{collections::BTreeMap, fmt::Write};

/// How dangerous it is to overlook something; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The present system is open to strangers there.
    Open,
    /// Somebody could dial more or less than before.
    Dialling,
    /// A phone or person is not in the file, or the phone must be set up anew.
    Phone,
    /// A feature of the present system is lost.
    Feature,
    /// Something small.
    Small,
}

impl Rank {
    /// Says what the lines of this rank have in common.
    fn title(self) -> &'static str {
        match self {
            Self::Open => "open to strangers",
            Self::Dialling => "who may dial what",
            Self::Phone => "phones that are not carried over, or must be set up anew",
            Self::Feature => "features that are not carried over",
            Self::Small => "left out",
        }
    }
}

/// Something that is not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// How dangerous it is.
    pub(crate) rank: Rank,
    /// Where it stands.
    pub(crate) place: String,
    /// What it is; never a secret.
    pub(crate) what: String,
}

impl LeftOut {
    pub(crate) fn new(rank: Rank, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { rank, place: place.into(), what: what.into() }
    }
}

/// How many places of the same thing are named.
const NAMED: usize = 3;

/// Writes the list, the most dangerous first. The same thing at many places is one line.
pub(crate) fn listed(left_out: &[LeftOut]) -> String {
    // In the order in which each thing was found first.
    let mut order: BTreeMap<Rank, Vec<&str>> = BTreeMap::new();
    let mut places: BTreeMap<(Rank, &str), Vec<&str>> = BTreeMap::new();
    for LeftOut { rank, place, what } in left_out {
        let of = places.entry((*rank, what)).or_default();
        if of.is_empty() {
            order.entry(*rank).or_default().push(what);
        }
        of.push(place);
    }
    let mut text = String::new();
    for (rank, things) in order {
        let _ = writeln!(text, "{}:", rank.title());
        for what in things {
            let places = &places[&(rank, what)];
            let more = places.len().saturating_sub(NAMED);
            let named = places[..places.len() - more].join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(text, "  {named}{more}: {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_dangerous_comes_first_and_the_same_thing_is_said_once() {
        let mailboxes = (1..=5).map(|n| LeftOut::new(Rank::Feature, format!("users.csv:{n}"), "voicemail"));
        let mut left_out: Vec<LeftOut> = mailboxes.collect();
        left_out.push(LeftOut::new(Rank::Open, "endpoint 1003", "it has no password"));
        assert_eq!(
            listed(&left_out),
            "open to strangers:\n  endpoint 1003: it has no password\n\
             features that are not carried over:\n  users.csv:1, users.csv:2, users.csv:3 and 2 more: voicemail\n"
        );
    }
}
