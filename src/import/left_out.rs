//! The list of what an import does not carry over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// How dangerous it is to overlook something; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A restriction is lost: a phone may be used from more places, heard by others, or do more than before.
    Restriction,
    /// The present system is open to strangers there.
    Open,
    /// Somebody could dial more or less than before.
    Dialling,
    /// A phone or person is not in the file, or the phone must be set up anew.
    Phone,
    /// A feature of the present system is lost.
    Feature,
    /// A setting has another value than before.
    Setting,
    /// Something small.
    Small,
}

impl Rank {
    /// Says what the lines of this rank have in common.
    fn title(self) -> &'static str {
        match self {
            Self::Restriction => "restrictions that are lost",
            Self::Open => "open to strangers",
            Self::Dialling => "who may dial what",
            Self::Phone => "phones that are not imported, or do not work as they are set up",
            Self::Feature => "features that are not carried over",
            Self::Setting => "settings that change",
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
    /// The number, or else the name, of the phone that it is about; `None` if it is about more than one phone.
    pub(crate) phone: Option<String>,
}

impl LeftOut {
    pub(crate) fn new(rank: Rank, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { rank, place: place.into(), what: what.into(), phone: None }
    }

    /// Names the phone that it is about.
    pub(crate) fn of(self, phone: &str) -> Self {
        Self { phone: Some(phone.to_owned()), ..self }
    }
}

/// Counts what is not carried over, and the settings that change.
pub(crate) fn count_things(left_out: &[LeftOut]) -> (usize, usize) {
    let settings = left_out.iter().filter(|left_out| left_out.rank == Rank::Setting);
    let different: BTreeSet<&str> = settings.clone().map(|left_out| left_out.what.as_str()).collect();
    (left_out.len() - settings.count(), different.len())
}

/// How many places of the same thing are named.
const NAMED: usize = 3;

/// Writes the list, the most dangerous first. The same thing at many places is one line.
pub(crate) fn listed(left_out: &[LeftOut]) -> String {
    // In the order in which each thing was found first.
    let mut order: BTreeMap<Rank, Vec<&str>> = BTreeMap::new();
    let mut places: BTreeMap<(Rank, &str), Vec<&str>> = BTreeMap::new();
    for LeftOut { rank, place, what, .. } in left_out {
        let of = places.entry((*rank, what)).or_default();
        if of.is_empty() {
            order.entry(*rank).or_default().push(what);
        }
        of.push(place);
    }
    let mut text = String::new();
    for (rank, things) in order {
        let _ = writeln!(text, "{}:", rank.title());
        // What the same places have stands below them.
        let of = |what| &places[&(rank, what)];
        for together in things.chunk_by(|one, other| of(*one) == of(*other)) {
            let places = of(together[0]);
            let more = places.len().saturating_sub(NAMED);
            let named = places[..places.len() - more].join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            if let [what] = together {
                let _ = writeln!(text, "  {named}{more}: {what}");
            } else {
                let _ = writeln!(text, "  {named}{more}:\n    {}", together.join("\n    "));
            }
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
