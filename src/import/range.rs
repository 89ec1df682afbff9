//! The range of extensions: that of the imported phones, rounded so that there is room for new users.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::model::{Extension, emergency_numbers_anywhere};

/// How many numbers are free in a rounded range, if there is room: this many, or a quarter of the phones.
const FREE: usize = 20;

/// Numbers that no user of the file has.
#[derive(Debug, Default, Clone)]
pub(crate) struct Elsewhere {
    /// Numbers that something else answers in the contexts that phones dial in: reserved in the range.
    pub(crate) answered: BTreeSet<Extension>,
    /// Further numbers of the operator's dialplan, and of phones that are not imported.
    pub(crate) in_use: BTreeSet<Extension>,
    /// Patterns of the operator's dialplan that match numbers of one length, such as `_115X`.
    pub(crate) patterns: BTreeSet<String>,
}

/// A range, and what is written of it.
struct Range {
    first: u32,
    last: u32,
    /// Whether it was rounded, or was too small for that.
    has_room: bool,
}

/// Writes the ranges that hold all numbers, one for each length, and what nobody may be given in them. `wanted` is how many
/// users have no number yet. The second text says which range is full.
pub(super) fn extensions(taken: &BTreeSet<u32>, wanted: usize, elsewhere: &Elsewhere) -> (String, Option<String>) {
    let mut spans: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for number in taken {
        let span = spans.entry(number.ilog10()).or_insert((*number, *number));
        *span = (span.0.min(*number), span.1.max(*number));
    }
    let rounded = |(_, (first, last)): (u32, (u32, u32))| rounded(first, last, taken, elsewhere);
    let mut ranges: Vec<Range> = spans.into_iter().map(rounded).collect();
    let Some(longest) = ranges.len().checked_sub(1) else { return (String::new(), None) };
    let mut in_use: BTreeSet<u32> = elsewhere.answered.iter().chain(&elsewhere.in_use).map(|n| n.number()).collect();
    in_use.extend(taken);
    // Who has no number yet must get one.
    let free = |range: &Range| (range.last - range.first + 1) as usize - in_use.range(range.first..=range.last).count();
    let mut room: usize = ranges.iter().map(free).sum();
    let range = &mut ranges[longest];
    while room < wanted && range.last < Extension::MAX {
        range.last += 1;
        room += usize::from(!in_use.contains(&range.last));
    }
    let written: Vec<String> = ranges.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
    let mut text = match &written[..] {
        [range] => format!("extensions:\n  range: {range}\n"),
        ranges => format!("extensions:\n  range: [{}]\n", ranges.join(", ")),
    };
    let within = |number: &&Extension| {
        let number = number.number();
        !taken.contains(&number) && ranges.iter().any(|range| (range.first..=range.last).contains(&number))
    };
    let reserved: Vec<String> = elsewhere.answered.iter().filter(within).map(Extension::to_string).collect();
    if !reserved.is_empty() {
        let _ = writeln!(text, "  reserved: [{}]", reserved.join(", "));
    }
    let narrow = ranges.iter().zip(written).find(|(range, _)| !range.has_room);
    (text, narrow.map(|(_, written)| written))
}

/// Rounds a range to whole tens, hundreds or thousands. None of the numbers that this adds is in use elsewhere, or a
/// short emergency number of any country: the file does not name its country yet.
fn rounded(first: u32, last: u32, taken: &BTreeSet<u32>, elsewhere: &Elsewhere) -> Range {
    let phones = taken.range(first..=last).count();
    let mut emergency = emergency_numbers_anywhere();
    emergency.retain(|number| number.number() < 1000);
    let of_operator = |number: u32| {
        let written = number.to_string();
        let matches = |pattern: &&String| matches(pattern, &written);
        // A pattern that also matches an imported phone is how phones are called.
        let dials =
            |pattern: &String| taken.range(first..=last).any(|phone| self::matches(pattern, &phone.to_string()));
        Extension::try_from(number).is_ok_and(|number| {
            [&elsewhere.answered, &elsewhere.in_use, &emergency].iter().any(|numbers| numbers.contains(&number))
        }) || elsewhere.patterns.iter().filter(matches).any(|pattern| !dials(pattern))
    };
    let smallest = 10_u32.pow(first.ilog10());
    let mut range = Range { first, last, has_room: smallest == 1 };
    for step in [10, 100, 1000].into_iter().filter(|step| *step <= smallest) {
        let (begin, end) = ((first / step * step).max(smallest), (last / step * step + step - 1).min(Extension::MAX));
        if (begin..first).chain(last + 1..=end).any(of_operator) {
            break;
        }
        let free = (end - begin + 1) as usize - phones;
        range = Range { first: begin, last: end, has_room: free > 0 };
        if free >= FREE.max(phones / 4) {
            break;
        }
    }
    range
}

/// Tells whether a pattern of one length, such as `_1[1-3]NX`, matches a number.
fn matches(pattern: &str, number: &str) -> bool {
    let (mut rest, mut digits) = (pattern.trim_start_matches('_'), number.chars());
    while let Some(sign) = rest.chars().next() {
        let Some(digit) = digits.next() else { return false };
        rest = &rest[sign.len_utf8()..];
        let is_one = match sign.to_ascii_uppercase() {
            'X' => true,
            'Z' => digit >= '1',
            'N' => digit >= '2',
            '[' => {
                let (set, behind) = rest.split_once(']').unwrap_or((rest, ""));
                rest = behind;
                let set: Vec<char> = set.chars().collect();
                set.contains(&digit) || set.windows(3).any(|of| of[1] == '-' && (of[0]..=of[2]).contains(&digit))
            }
            sign => sign == digit,
        };
        if !is_one {
            return false;
        }
    }
    digits.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[u32]) -> BTreeSet<Extension> {
        numbers.iter().map(|number| Extension::try_from(*number).unwrap()).collect()
    }

    fn ranges(taken: &[u32], elsewhere: &Elsewhere) -> (String, Option<String>) {
        let (text, narrow) = extensions(&taken.iter().copied().collect(), 0, elsewhere);
        (text.trim_start_matches("extensions:\n  range: ").trim_end().replace("\n  ", " "), narrow)
    }

    #[test]
    fn a_range_is_rounded_as_far_as_nobody_has_the_numbers() {
        let none = Elsewhere::default();
        let hundred: Vec<u32> = (1100..1200).collect();
        for (taken, written) in [
            (&[1101, 1102][..], "1100-1199"),
            (&[1101, 1250], "1100-1259"),
            (&hundred, "1000-1999"),
            (&[21, 22], "20-29"),
            (&[7], "7-7"),
            (&[201, 1101], "[200-209, 1100-1199]"),
            (&[10_000_001, 99_999_999], "10000000-99999999"),
        ] {
            assert_eq!(ranges(taken, &none), (written.to_owned(), None), "{taken:?}");
        }
        // 130 calls for help somewhere.
        assert_eq!(ranges(&[131, 132], &none), ("131-132".to_owned(), Some("131-132".to_owned())));
    }

    #[test]
    fn a_number_of_somebody_else_limits_the_rounding() {
        let phones = [1101, 1103];
        for (in_use, patterns, written, is_narrow) in [
            (&[1150][..], &[][..], "1100-1109", false),
            (&[1100], &[], "1101-1103", true),
            (&[], &["_115X"], "1100-1109", false),
            (&[], &["_1[1-3]XX"], "1100-1199", false),
            (&[], &["_110[4-6]"], "1101-1103", true),
        ] {
            let patterns = patterns.iter().map(|pattern: &&str| (*pattern).to_owned()).collect();
            let elsewhere = Elsewhere { in_use: numbers(in_use), patterns, ..Elsewhere::default() };
            let narrow = is_narrow.then(|| written.to_owned());
            assert_eq!(ranges(&phones, &elsewhere), (written.to_owned(), narrow), "{in_use:?} {elsewhere:?}");
        }
        let answered = Elsewhere { answered: numbers(&[1102]), ..Elsewhere::default() };
        assert_eq!(ranges(&phones, &answered), ("1100-1199 reserved: [1102]".to_owned(), None));
    }
}
