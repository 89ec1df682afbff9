//! The minimal set of dialplan patterns that match exactly the numbers of some ranges.

use std::{collections::BTreeSet, fmt::Write, ops::RangeInclusive};

use crate::model::{Extension, ExtensionRanges};

/// Covers ranges by Asterisk patterns, but for the numbers left out: 1050-1377 becomes `_10[5-9]X`,
/// `_1[1-2]XX`, `_13[0-6]X` and `_137[0-7]`; 100-119 without 112 becomes `_10X` and `_11[0-13-9]`.
///
/// Each pattern is a run of digits, one class of digits, and `X` for any digit. Numbers of different
/// lengths are covered apart. The patterns come in the order of their first numbers.
pub(crate) fn prefix_cover(ranges: &ExtensionRanges, left_out: &BTreeSet<Extension>) -> Vec<String> {
    let stretches = ranges.without(left_out);
    let mut patterns = Vec::new();
    for digits in 0..=Extension::MAX.ilog10() {
        let block = 10_u32.pow(digits);
        let of_length = clip(&stretches, &(block..=block * 9 + (block - 1)));
        cover("", 0, block, &of_length, &mut patterns);
    }
    patterns
}

/// Covers the stretches, all of whose numbers begin with the prefix. The lowest such number is `from`,
/// and each digit that may follow the prefix stands for a block of so many numbers.
fn cover(prefix: &str, from: u32, block: u32, stretches: &[RangeInclusive<u32>], patterns: &mut Vec<String>) {
    if stretches.is_empty() {
        return;
    }
    let blocks = (0..10).map(|digit| from + digit * block).map(|start| start..=start + (block - 1));
    let parts: Vec<_> = blocks.map(|numbers| (clip(stretches, &numbers), numbers)).collect();
    let is_whole =
        |(within, numbers): &(Vec<RangeInclusive<u32>>, RangeInclusive<u32>)| within.first() == Some(numbers);
    let whole: Vec<usize> = (0..parts.len()).filter(|digit| is_whole(&parts[*digit])).collect();
    for (digit, (within, numbers)) in parts.iter().enumerate() {
        if whole.first() == Some(&digit) {
            patterns.push(format!("_{prefix}{}{}", class(&whole), "X".repeat(block.ilog10() as usize)));
        } else if !whole.contains(&digit) {
            cover(&format!("{prefix}{digit}"), *numbers.start(), block / 10, within, patterns);
        }
    }
}

/// Keeps what lies within the bounds.
fn clip(stretches: &[RangeInclusive<u32>], bounds: &RangeInclusive<u32>) -> Vec<RangeInclusive<u32>> {
    let first = stretches.partition_point(|stretch| stretch.end() < bounds.start());
    let within = stretches[first..].iter().take_while(|stretch| stretch.start() <= bounds.end());
    within.map(|stretch| *stretch.start().max(bounds.start())..=*stretch.end().min(bounds.end())).collect()
}

/// Writes digits as an element of a pattern: `X` for all, one alone as it is, several as a class.
fn class(digits: &[usize]) -> String {
    match digits {
        [digit] => return digit.to_string(),
        _ if digits.len() == 10 => return "X".to_owned(),
        _ => {}
    }
    let runs = digits.chunk_by(|before, digit| before + 1 == *digit);
    let mut class = String::from("[");
    for run in runs {
        let _ = match run {
            [first, .., last] => write!(class, "{first}-{last}"),
            _ => write!(class, "{}", run[0]),
        };
    }
    class + "]"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<Extension> {
        numbers.into_iter().map(|number| Extension::try_from(number).unwrap()).collect()
    }

    fn without(ranges: &str, left_out: &[u32]) -> Vec<String> {
        prefix_cover(&ranges.parse().unwrap(), &set(left_out.iter().copied()))
    }

    fn cover(ranges: &str) -> Vec<String> {
        without(ranges, &[])
    }

    /// Matches as Asterisk does, for the few elements we render.
    fn matches(pattern: &str, number: &str) -> bool {
        let mut pattern = pattern.strip_prefix('_').unwrap().chars();
        let mut number = number.chars();
        loop {
            match (pattern.next(), number.next()) {
                (None, None) => return true,
                (Some('X'), Some('0'..='9')) => {}
                (Some('['), Some(digit)) => {
                    let class: Vec<char> = pattern.by_ref().take_while(|c| *c != ']').collect();
                    let mut class = &class[..];
                    let mut hit = false;
                    while let [low, rest @ ..] = class {
                        let (high, rest) = if let ['-', high, rest @ ..] = rest { (high, rest) } else { (low, rest) };
                        hit |= (low..=high).contains(&&digit);
                        class = rest;
                    }
                    if !hit {
                        return false;
                    }
                }
                (Some(same), Some(digit)) if same == digit => {}
                _ => return false,
            }
        }
    }

    #[test]
    fn well_known_ranges() {
        assert_eq!(cover("1000-1999"), ["_1XXX"]);
        assert_eq!(cover("1000-2999"), ["_[1-2]XXX"]);
        assert_eq!(cover("1000-9999"), ["_[1-9]XXX"]);
        assert_eq!(cover("1050-1377"), ["_10[5-9]X", "_1[1-2]XX", "_13[0-6]X", "_137[0-7]"]);
        assert_eq!(cover("1001-1001"), ["_1001"]);
        assert_eq!(cover("98-1001"), ["_9[8-9]", "_[1-9]XX", "_100[0-1]"]);
        assert_eq!(cover("100000-299999"), ["_[1-2]XXXXX"]);
        assert_eq!(cover("1-99999999").len(), 8);
    }

    #[test]
    fn several_ranges_and_numbers_left_out() {
        assert_eq!(cover("2000-2099, 100-199"), ["_1XX", "_20XX"]);
        assert_eq!(cover("100-149, 150-199"), ["_1XX"], "ranges side by side are one");
        assert_eq!(without("100-199", &[110, 112, 190]), ["_1[02-8]X", "_11[13-9]", "_19[1-9]",]);
        assert_eq!(without("1000-1999", &[]), ["_1XXX"]);
        assert_eq!(without("112-112", &[112]), Vec::<String>::new());
        assert_eq!(without("1000-1999", &[112, 911, 2000]), ["_1XXX"], "others change nothing");
    }

    /// 100 numbers left out of 1,000 stay few lines.
    #[test]
    fn many_numbers_left_out_stay_few_patterns() {
        let left_out: Vec<u32> = (0..100).map(|n| 1000 + (n * 379) % 1000).collect();
        let patterns = without("1000-1999", &left_out);
        assert!(patterns.len() <= 110, "{}", patterns.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn every_number_in_and_around_the_ranges_matches_once_if_it_is_in_one_and_not_left_out(
            steps in prop::collection::vec((1_u32..3_000, 0_u32..1_500), 1..4),
            left_out in prop::collection::vec(0.0..1.0_f64, 0..40),
        ) {
            let mut next = 0;
            let ranges: Vec<(u32, u32)> = steps
                .iter()
                .map(|(gap, size)| {
                    let first = next + gap;
                    next = first + size + 1;
                    (first, first + size)
                })
                .collect();
            let text = ranges.iter().rev().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small number")]
            let left_out = set(left_out.iter().map(|share| 1 + (share * f64::from(next)) as u32));
            let patterns = prefix_cover(&text.parse().unwrap(), &left_out);
            for number in 1..next + 150 {
                let hits = patterns.iter().filter(|pattern| matches(pattern, &number.to_string())).count();
                let within = ranges.iter().any(|(first, last)| (first..=last).contains(&&number));
                let wanted = within && !left_out.contains(&Extension::try_from(number).unwrap());
                prop_assert_eq!(hits, usize::from(wanted), "{} {:?}", number, patterns);
            }
            prop_assert!(patterns.len() <= 20 * ranges.len() + 2 * left_out.len() * 4, "{:?}", patterns);
        }
    }
}
