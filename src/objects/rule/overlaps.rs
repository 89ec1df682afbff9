//! Which rules for the same calls can contradict each other, without a look at every pair: a thousand
//! rules for one number by the hour would be half a million pairs.

use std::collections::BTreeMap;

use crate::objects::{Hours, OpenRange};

/// The rules for the same calls that were looked at, in their order.
#[derive(Default)]
pub(super) struct Earlier<'a> {
    count: usize,
    /// Those that decide at all times, by their `otherwise`.
    always: Vec<usize>,
    /// Those without hours.
    without_hours: Vec<usize>,
    /// Those with hours that overlap with earlier ones.
    loose: Vec<usize>,
    /// The hours of the others, which do not overlap: the end of each range by its day and beginning.
    week: BTreeMap<(u8, u16), u16>,
    /// The first rule's hours, whose time zone is that of all until another one comes.
    zone: Option<&'a Hours>,
    /// Whether hours of different time zones came, which are taken to overlap.
    mixed: bool,
}

impl<'a> Earlier<'a> {
    /// Returns the earlier rules that may contradict this one, in their order, and takes note of it.
    ///
    /// Those left out certainly do not; of the others, the rules themselves are compared.
    pub(super) fn candidates(&mut self, hours: Option<&'a Hours>, otherwise: bool) -> Vec<usize> {
        let at = self.count;
        self.count += 1;
        let Some(hours) = hours else {
            let mut candidates = [self.always.as_slice(), &self.without_hours].concat();
            candidates.sort_unstable();
            self.without_hours.push(at);
            return candidates;
        };
        self.mixed |= self.zone.is_some_and(|zone| zone.timezone != hours.timezone);
        self.zone = self.zone.or(Some(hours));
        let ranges: Vec<_> = hours.open.iter().flat_map(OpenRange::parts).collect();
        let overlaps = self.mixed || ranges.iter().any(|range| self.is_taken(*range));
        let candidates = if overlaps {
            self.loose.push(at);
            (0..at).collect()
        } else {
            // Ranges of the same hours may overlap each other.
            for (day, from, to) in ranges {
                let end = self.week.entry((day, from)).or_insert(to);
                *end = to.max(*end);
            }
            let mut candidates = [self.always.as_slice(), &self.loose].concat();
            candidates.sort_unstable();
            candidates.dedup();
            candidates
        };
        if otherwise {
            self.always.push(at);
        }
        candidates
    }

    /// Tells whether a range overlaps with one in the week.
    fn is_taken(&self, (day, from, to): (u8, u16, u16)) -> bool {
        self.week.range((day, 0)..(day, to)).any(|((..), end)| *end > from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain comparison of every pair.
    fn contradict(first: &(Option<Hours>, bool), second: &(Option<Hours>, bool)) -> bool {
        match (&first.0, &second.0) {
            (Some(_), _) if first.1 => true,
            (Some(one), Some(other)) => one.may_overlap(other),
            (None, None) => true,
            _ => false,
        }
    }

    fn hours() -> impl Strategy<Value = Hours> {
        let days = prop::sample::select(vec!["mon", "tue", "sat-mon", "mon-fri"]);
        let range = (days, 0_u8..24, 0_u8..24).prop_filter_map("a range", |(days, from, to)| {
            format!("{days} {from:02}:00-{to:02}:00").parse::<OpenRange>().ok()
        });
        let zone =
            prop::sample::select(vec!["Europe/Berlin"; 19].into_iter().chain(["Asia/Tokyo"]).collect::<Vec<_>>());
        (zone, prop::collection::vec(range, 0..3)).prop_map(|(zone, open)| Hours {
            timezone: zone.to_owned().try_into().unwrap(),
            open,
            closed: std::collections::BTreeSet::new(),
        })
    }

    proptest! {
        #[test]
        fn no_pair_that_contradicts_is_left_out(
            rules in prop::collection::vec((prop::option::weighted(0.9, hours()), prop::bool::weighted(0.1)), 0..12),
        ) {
            let mut earlier = Earlier::default();
            for (at, rule) in rules.iter().enumerate() {
                let candidates = earlier.candidates(rule.0.as_ref(), rule.1);
                let found: Vec<usize> = candidates.into_iter().filter(|first| contradict(&rules[*first], rule)).collect();
                let plain: Vec<usize> = (0..at).filter(|first| contradict(&rules[*first], rule)).collect();
                prop_assert_eq!(found, plain);
            }
        }
    }

    #[test]
    fn rules_by_the_hour_are_not_compared_in_pairs() {
        let slot = |minute: u16| {
            let (hour, rest) = (minute / 60, minute % 60);
            let open = format!("mon {hour:02}:{rest:02}-{hour:02}:{:02}", rest + 1).parse().unwrap();
            Hours {
                timezone: "Europe/Berlin".to_owned().try_into().unwrap(),
                open: vec![open],
                closed: std::collections::BTreeSet::new(),
            }
        };
        let all: Vec<Hours> = (0..1440).filter(|minute| minute % 60 < 59).map(slot).collect();
        let mut earlier = Earlier::default();
        assert_eq!(all.iter().map(|hours| earlier.candidates(Some(hours), false).len()).sum::<usize>(), 0);
    }
}
