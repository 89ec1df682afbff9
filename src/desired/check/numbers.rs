//! The rules about numbers: ranges that do not overlap, pins inside them, each number once, and what
//! becomes of emergency numbers.
//!
//! A range, country or reserved number that was rejected is not held against anything else: pins are
//! compared with ranges that are known, never with a default that stands in for them.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::file, has_lost_key};
use crate::{
    model::{
        At, Code, Country, Diagnostic, Extension, ExtensionRange, ExtensionRanges, Place, Settings, emergency_numbers,
        emergency_numbers_anywhere, overlap, overlapping, runs,
    },
    objects::{NumberOwner, Places, Routes},
};

/// Checks pins one by one, and what they mean for emergency numbers.
pub(super) struct Pins {
    /// The ranges, unless they were rejected.
    ranges: Option<ExtensionRanges>,
    /// Whether the ranges are those of a file that names none.
    default: bool,
    /// The emergency numbers of the country. Empty if the country was rejected.
    emergency: BTreeSet<Extension>,
    /// Where a warning about numbers of any country is shown: at the ranges, else at the operator's contexts that phones
    /// dial out by. Absent if the file names neither, if the country is known, or if something about numbers was rejected.
    elsewhere: Option<Place>,
    /// The pinned numbers, each with its owner and the place of the first pin.
    seen: BTreeMap<Extension, (NumberOwner, Place)>,
}

impl Pins {
    /// Checks ranges and country. `include` is where the operator's contexts are named, if any are.
    pub(super) fn new(
        extensions: Option<&At<file::Extensions>>,
        country: Option<&At<Country>>,
        include: Option<Place>,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let lost = |keys: &[&str]| has_lost_key(problems, keys);
        let whole = extensions.is_none_or(|at| at.whole) && !lost(&["extensions", "range", "reserved"]);
        let no_country = country.is_none() && !lost(&["country"]);
        let written = extensions.and_then(|at| at.value.as_ref()).and_then(|extensions| extensions.range.as_ref());
        let ranges = match written {
            Some(at) => {
                problems.extend(at.value.as_ref().and_then(|ranges| overlaps(ranges, at.place)));
                ranges(at)
            }
            None => whole.then(ExtensionRanges::default),
        };
        let emergency = match country {
            Some(at) => at.value.as_ref().map(|country| emergency_numbers(Some(country))).unwrap_or_default(),
            None if no_country => emergency_numbers(None),
            None => BTreeSet::new(),
        };
        // Where nobody wrote a range, the operator's contexts are what its numbers are taken from.
        let elsewhere = written.map_or(include, |at| Some(at.place));
        let elsewhere = elsewhere.filter(|_| whole && no_country && ranges.is_some());
        Self { ranges, default: written.is_none(), emergency, elsewhere, seen: BTreeMap::new() }
    }

    /// Checks the number in a second entry of a user, who may have it from the first.
    pub(super) fn pin_again(&self, at: &At<file::Digits>, problems: &mut Vec<Diagnostic>) {
        problems.extend(at.value.as_ref().and_then(|digits| self.outside(digits.0, at.place)));
    }

    /// Rejects a number outside of the ranges.
    fn outside(&self, extension: Extension, place: Place) -> Option<Diagnostic> {
        let ranges = self.ranges.as_ref().filter(|ranges| !ranges.contains(extension))?;
        let (message, hint) = if self.default {
            let message = format!("{extension} is outside the range {ranges}, the default");
            (message, "declare the tenant's numbers with `extensions: { range: .. }`, or pin a number inside it")
        } else {
            let message = format!("{extension} is outside the range {ranges}");
            (message, "widen `extensions.range`, or pin a number inside it")
        };
        Some(Diagnostic::error(Code::PinOutsideRange, message, place).hint(hint))
    }

    /// Checks the number that a user or an object is pinned to.
    pub(super) fn pin(
        &mut self,
        extension: Extension,
        place: Place,
        owner: &NumberOwner,
        problems: &mut Vec<Diagnostic>,
    ) {
        problems.extend(self.outside(extension, place));
        let first = self.seen.entry(extension).or_insert_with(|| (owner.clone(), place));
        if first.0 != *owner {
            let (message, hint) = match (&first.0, owner) {
                (NumberOwner::User(_), NumberOwner::User(_)) => (
                    format!("two users are pinned to {extension}"),
                    "give one of them another number, or remove the key to have one allocated",
                ),
                (first, _) => (
                    format!("{} has the number {extension} already", first.titled()),
                    "give one of them another number",
                ),
            };
            let problem = Diagnostic::error(Code::DuplicatePin, message, place);
            problems.push(problem.also(first.1, "first pinned here").hint(hint));
        } else if self.emergency.contains(&extension) {
            let message = format!("{extension} is an emergency number: phones that dial it reach {}", owner.titled());
            problems.push(
                Diagnostic::warning(Code::EmergencyNumber, message, place)
                    .hint("pin another number; then the operator's contexts get these calls"),
            );
        }
    }

    /// Checks the numbers that objects are pinned to.
    pub(super) fn pin_objects(&mut self, routes: &Routes, places: &Places, problems: &mut Vec<Diagnostic>) {
        for (id, extension) in routes.extensions() {
            if let Some(place) = places.extensions().get(&id) {
                self.pin(extension, *place, &NumberOwner::Object(id), problems);
            }
        }
    }

    /// Warns of numbers that are emergency numbers somewhere, if it is not known where the phones are.
    pub(super) fn check(&self, settings: &Settings, problems: &mut Vec<Diagnostic>) {
        let Some(place) = self.elsewhere else { return };
        let mut caught = emergency_numbers_anywhere();
        caught.retain(|number| {
            let left_out = settings.reserved.contains(number) && !self.seen.contains_key(number);
            settings.range.contains(*number) && !self.emergency.contains(number) && !left_out
        });
        if caught.is_empty() {
            return;
        }
        let range = &settings.range;
        let range = if self.default { format!("{range}, the default,") } else { range.to_string() };
        let message = format!("the range {range} covers emergency numbers of some countries: {}", runs(&caught));
        problems.push(Diagnostic::warning(Code::EmergencyNumber, message, place).hint(
            "declare where the phones are, such as `country: DE`: the emergency numbers of that country are then left \
             to the operator's contexts; without it, 112 and 911 are",
        ));
    }
}

/// Reads the ranges, unless something about them was rejected.
pub(super) fn ranges(at: &At<file::Ranges>) -> Option<ExtensionRanges> {
    ExtensionRanges::new(listed(at.value.as_ref()?)?.into_iter().map(|(range, _)| range).collect()).ok()
}

/// Lists the ranges with their places, where each has its own; `None` if one was rejected.
fn listed(ranges: &file::Ranges) -> Option<Vec<(ExtensionRange, Option<Place>)>> {
    match ranges {
        file::Ranges::Text(ranges) => Some(ranges.iter().map(|range| (*range, None)).collect()),
        file::Ranges::List(ranges) => ranges.iter().map(|at| Some((at.value?, Some(at.place)))).collect(),
    }
}

/// Rejects ranges that are each right, but not together.
fn overlaps(ranges: &file::Ranges, place: Place) -> Option<Diagnostic> {
    let listed = listed(ranges)?;
    let ranges: Vec<ExtensionRange> = listed.iter().map(|(range, _)| *range).collect();
    // Comparing all pairs takes minutes if a file has 40,000 ranges: the count is rejected below.
    if ranges.len() <= ExtensionRanges::MOST
        && let Some((first, second)) = overlap(&ranges)
    {
        let invalid = overlapping(ranges[first], ranges[second]);
        let problem = Diagnostic::invalid(invalid, listed[second].1.unwrap_or(place));
        return Some(match listed[first].1 {
            Some(first) => problem.also(first, "the other range"),
            None => problem,
        });
    }
    ExtensionRanges::new(ranges).err().map(|invalid| Diagnostic::invalid(invalid, place))
}
