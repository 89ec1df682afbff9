//! Internal numbers, and ranges of them.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Code, Invalid, quoted};

/// An internal number: 1 to 8 digits, no leading zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Extension(u32);

impl Extension {
    /// The largest number there is.
    pub const MAX: u32 = 99_999_999;

    /// Returns the number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Extension {
    type Error = Invalid;

    fn try_from(number: u32) -> Result<Self, Invalid> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Invalid::new(
                Code::InvalidExtension,
                format!("{number} is not an extension"),
                "an extension is a whole number from 1 to 99999999",
            ))
        }
    }
}

impl From<Extension> for u32 {
    fn from(extension: Extension) -> Self {
        extension.0
    }
}

impl FromStr for Extension {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain =
            !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|_| plain).map(Self).ok_or_else(|| {
            let hint = match leading_zeros(text) {
                Some(rest) => {
                    format!("an extension has no leading zero: write `{rest}`, which is also what phones dial")
                }
                None => "write plain digits without quotes, sign, dot or leading zero, such as `1010`".to_owned(),
            };
            Invalid::new(Code::InvalidExtension, format!("{} is not an extension", quoted(text)), &hint)
        })
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl JsonSchema for Extension {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extension".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MAX })
    }
}

/// Returns the digits behind leading zeros, if the text is an extension with such zeros before it.
fn leading_zeros(text: &str) -> Option<Extension> {
    text.strip_prefix('0')?.trim_start_matches('0').parse().ok()
}

/// An inclusive range of extensions, written `1000-1999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionRange {
    first: Extension,
    last: Extension,
}

impl ExtensionRange {
    /// Returns the lowest number.
    pub fn first(self) -> Extension {
        self.first
    }

    /// Returns the highest number.
    pub fn last(self) -> Extension {
        self.last
    }

    /// Tells whether a number lies in the range.
    pub fn contains(self, extension: Extension) -> bool {
        (self.first..=self.last).contains(&extension)
    }

    /// Counts the numbers in the range.
    pub fn size(self) -> u32 {
        self.last.0 - self.first.0 + 1
    }

    /// Returns the plain numbers of the range.
    pub fn numbers(self) -> RangeInclusive<u32> {
        self.first.0..=self.last.0
    }

    /// Lists the numbers without those left out as stretches, as long as they can be.
    fn without(self, left_out: &BTreeSet<Extension>) -> Vec<RangeInclusive<u32>> {
        let left_out = left_out.range(self.first..=self.last).map(|number| number.0);
        let starts = std::iter::once(self.first.0).chain(left_out.clone().map(|number| number + 1));
        let ends = left_out.chain([self.last.0 + 1]);
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..=end - 1).collect()
    }

    /// Tells whether two ranges have a number in common.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl FromStr for ExtensionRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |hint: &str| Invalid::new(Code::InvalidRange, format!("{} is not a range", quoted(text)), hint);
        let usual = "write the lowest and the highest number, such as `1000-1999`";
        let Some((first, last)) = text.split_once('-') else {
            let hint = match text.trim().parse::<Extension>() {
                Ok(number) => format!("write a single number as a range: `{number}-{number}`"),
                Err(_) => usual.to_owned(),
            };
            return Err(bad(&hint));
        };
        let end = |part: &str| part.trim().parse::<Extension>();
        let (first, last) = match (end(first), end(last)) {
            (Ok(first), Ok(last)) => (first, last),
            (low, high) => {
                let plain = |end: Result<Extension, _>, part: &str| end.ok().or_else(|| leading_zeros(part.trim()));
                return Err(match (plain(low, first), plain(high, last)) {
                    (Some(low), Some(high)) => bad(&format!(
                        "an extension has no leading zero: write `{low}-{high}`, and have phones dial the numbers so"
                    )),
                    _ => bad(usual),
                });
            }
        };
        if first > last {
            return Err(Invalid::new(
                Code::BackwardsRange,
                format!("the range {} ends before it begins", quoted(text)),
                &format!("write `{last}-{first}`"),
            ));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for ExtensionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The ranges of a tenant's numbers, in the order in which numbers are allocated: at least one, none
/// overlaps another. Written `100-199, 2000-2099`, in settings that are recorded also.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtensionRanges(Vec<ExtensionRange>);

impl ExtensionRanges {
    /// The most ranges that a tenant may have: each statement and each dialled pattern names all of them.
    pub(crate) const MOST: usize = 100;

    /// Takes ranges in the order of their allocation.
    ///
    /// # Errors
    /// If there is none, if there are too many, or if two of them overlap.
    pub fn new(ranges: Vec<ExtensionRange>) -> Result<Self, Invalid> {
        if ranges.is_empty() {
            let hint = "write at least one, such as `1000-1999`, or remove the key, which means the same range";
            return Err(Invalid::new(Code::InvalidRange, "the list of ranges is empty", hint));
        }
        if ranges.len() > Self::MOST {
            let message = format!("{} ranges are too many", ranges.len());
            let hint = format!("write at most {}, and list single numbers in `reserved`", Self::MOST);
            return Err(Invalid::new(Code::InvalidRange, message, &hint));
        }
        if let Some((first, second)) = overlap(&ranges) {
            let (first, second) = (ranges[first], ranges[second]);
            return Err(overlapping(first, second));
        }
        Ok(Self(ranges))
    }

    /// Returns the ranges in the order of their allocation.
    pub(crate) fn in_order(&self) -> &[ExtensionRange] {
        &self.0
    }

    /// Tells whether a number lies in one of the ranges.
    pub fn contains(&self, extension: Extension) -> bool {
        self.0.iter().any(|range| range.contains(extension))
    }

    /// Counts the numbers of all ranges.
    pub fn size(&self) -> u32 {
        self.0.iter().map(|range| range.size()).sum()
    }

    /// Returns the plain numbers in the order of their allocation.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|range| range.numbers())
    }

    /// Lists the numbers without those left out as stretches in ascending order, as long as they can be.
    pub fn without(&self, left_out: &BTreeSet<Extension>) -> Vec<RangeInclusive<u32>> {
        let mut ranges = self.0.clone();
        ranges.sort_unstable_by_key(|range| range.first);
        let mut stretches: Vec<RangeInclusive<u32>> = Vec::new();
        for stretch in ranges.into_iter().flat_map(|range| range.without(left_out)) {
            match stretches.last_mut() {
                Some(before) if before.end() + 1 == *stretch.start() => *before = *before.start()..=*stretch.end(),
                _ => stretches.push(stretch),
            }
        }
        stretches
    }

    /// Lists the numbers without those left out as stretches in the order of their allocation.
    pub(crate) fn in_order_without(&self, left_out: &BTreeSet<Extension>) -> Vec<RangeInclusive<u32>> {
        self.0.iter().flat_map(|range| range.without(left_out)).collect()
    }
}

/// Lists numbers for people, those that follow each other as one: `100-102, 108`.
pub(crate) fn runs(numbers: &BTreeSet<Extension>) -> String {
    let mut stretches: Vec<RangeInclusive<u32>> = Vec::new();
    for Extension(number) in numbers {
        match stretches.last_mut() {
            Some(last) if last.end() + 1 == *number => *last = *last.start()..=*number,
            _ => stretches.push(*number..=*number),
        }
    }
    shown_stretches(&stretches)
}

/// Lists stretches of numbers for people: the first 40, and how many numbers the others have.
pub(crate) fn shown_stretches(stretches: &[RangeInclusive<u32>]) -> String {
    const SHOWN: usize = 40;
    let words = stretches.iter().take(SHOWN).map(|stretch| match (stretch.start(), stretch.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    let text = words.collect::<Vec<_>>().join(", ");
    let more: u32 = stretches.iter().skip(SHOWN).map(|stretch| stretch.end() - stretch.start() + 1).sum();
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// Finds two ranges that overlap, by their positions, the earlier one first.
pub(crate) fn overlap(ranges: &[ExtensionRange]) -> Option<(usize, usize)> {
    let pairs = ranges.iter().enumerate().flat_map(|(second, range)| {
        ranges[..second].iter().enumerate().map(move |(first, before)| ((first, second), before.overlaps(*range)))
    });
    pairs.filter(|(_, overlaps)| *overlaps).map(|(pair, _)| pair).next()
}

/// Rejects two ranges that overlap.
pub(crate) fn overlapping(first: ExtensionRange, second: ExtensionRange) -> Invalid {
    let message = format!("the ranges {first} and {second} overlap");
    Invalid::new(
        Code::OverlappingRanges,
        message,
        "give each number to one range: numbers are allocated range by range",
    )
}

impl Default for ExtensionRanges {
    /// The range of a file that names none: 1000-1999.
    fn default() -> Self {
        Self(vec![ExtensionRange { first: Extension(1000), last: Extension(1999) }])
    }
}

impl FromStr for ExtensionRanges {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>()?)
    }
}

impl TryFrom<String> for ExtensionRanges {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ExtensionRanges> for String {
    fn from(ranges: ExtensionRanges) -> Self {
        ranges.to_string()
    }
}

impl fmt::Display for ExtensionRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
