//! The minimal set of dialplan patterns that match exactly the numbers of a range.

use crate::model::ExtensionRange;

/// Covers a range by Asterisk patterns: `1050-1377` becomes `_105X` ... `_137[0-7]`.
///
/// Each pattern is a run of digits, one digit class, and `X` for any digit; numbers of different
/// lengths are covered apart. The patterns come in the order of the numbers.
pub fn prefix_cover(range: ExtensionRange) -> Vec<String> {
    let (mut first, last) = (u64::from(range.first().number()), u64::from(range.last().number()));
    let mut patterns = Vec::new();
    while first <= last {
        // The largest block of 10^k numbers that starts here and fits, widened to a digit class.
        let length_end = 10_u64.pow(first.ilog10() + 1) - 1;
        let end = last.min(length_end);
        let mut block = 1;
        while first % (block * 10) == 0 && first + block * 10 - 1 <= end && block * 10 <= length_end.div_ceil(10) {
            block *= 10;
        }
        let digit = first / block % 10;
        let fitting = (end - first + 1) / block - 1;
        let highest = digit + fitting.min(9 - digit);
        let prefix = first / block / 10;
        let prefix = if prefix == 0 { String::new() } else { prefix.to_string() };
        let class = match (digit, highest) {
            (0, 9) => "X".to_owned(),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("[{low}-{high}]"),
        };
        patterns.push(format!("_{prefix}{class}{}", "X".repeat(block.ilog10() as usize)));
        first += (highest - digit + 1) * block;
    }
    patterns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cover(range: &str) -> Vec<String> {
        prefix_cover(range.parse().unwrap())
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
                    let low = pattern.next().unwrap();
                    assert_eq!(pattern.next(), Some('-'));
                    let high = pattern.next().unwrap();
                    assert_eq!(pattern.next(), Some(']'));
                    if !(low..=high).contains(&digit) {
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
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn every_number_in_the_range_matches_once_and_none_around_it(first in 1_u32..20_000, size in 0_u32..3_000) {
            let last = first + size;
            let patterns = cover(&format!("{first}-{last}"));
            for number in first.saturating_sub(150).max(1)..last + 150 {
                let hits = patterns.iter().filter(|pattern| matches(pattern, &number.to_string())).count();
                prop_assert_eq!(hits, usize::from((first..=last).contains(&number)), "{} {:?}", number, patterns);
            }
            prop_assert!(patterns.len() <= 2 * 5 * 2, "{:?}", patterns);
        }
    }
}
