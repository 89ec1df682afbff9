//! Which rule contradicts an earlier one for the same calls, without a comparison of every pair: a thousand
//! rules for one number by the hour would be half a million pairs, and a thousand equal ones as many problems.

use std::collections::BTreeMap;

use crate::objects::{Hours, OpenRange, Timezone};

/// A range of minutes within a day of the week, as [`OpenRange::parts`] returns it.
type Range = (u8, u16, u16);

/// The earlier rules for the same calls.
#[derive(Default)]
pub(super) struct Earlier<'a> {
    count: usize,
    /// The first rule that decides at all times, by its `otherwise`.
    always: Option<usize>,
    /// The first rule without hours.
    without_hours: Option<usize>,
    /// The first rule with hours, and their time zone.
    zone: Option<(usize, &'a Timezone)>,
    /// The first rule with hours of another time zone: they count as overlapping.
    other_zone: Option<usize>,
    /// The hours of the rules in one time zone, by day and first minute: the first minute after the range, and a
    /// rule with these hours. The ranges do not overlap.
    week: BTreeMap<(u8, u16), (u16, usize)>,
}

impl<'a> Earlier<'a> {
    /// Adds a rule, and returns an earlier one that it contradicts.
    pub(super) fn contradicted_by(&mut self, hours: Option<&'a Hours>, otherwise: bool) -> Option<usize> {
        let at = self.count;
        self.count += 1;
        let Some(hours) = hours else {
            let first = self.always.into_iter().chain(self.without_hours).min();
            self.without_hours.get_or_insert(at);
            return first;
        };
        let first = self.always.into_iter().chain(self.overlapping(hours)).min();
        self.add(at, hours);
        if otherwise {
            self.always.get_or_insert(at);
        }
        first
    }

    /// Returns a rule whose hours overlap with these.
    fn overlapping(&self, hours: &Hours) -> Option<usize> {
        let (first, zone) = self.zone?;
        if *zone != hours.timezone {
            return Some(first);
        }
        let in_range = |(day, from, to): Range| {
            // Of ranges that do not overlap, the last one to begin is the last one to end.
            let (_, (end, rule)) = self.week.range((day, 0)..(day, to)).next_back()?;
            (*end > from).then_some(*rule)
        };
        self.other_zone.or_else(|| hours.open.iter().flat_map(OpenRange::parts).filter_map(in_range).min())
    }

    fn add(&mut self, rule: usize, hours: &'a Hours) {
        let (_, zone) = *self.zone.get_or_insert((rule, &hours.timezone));
        if *zone != hours.timezone {
            // From here on, every rule contradicts an earlier one, whatever its hours.
            self.other_zone.get_or_insert(rule);
            return;
        }
        for range in hours.open.iter().flat_map(OpenRange::parts) {
            self.cover(range, rule);
        }
    }

    /// Puts a range in place of the parts that it covers. Each range adds two parts at most, so that the work
    /// is linear in all of them.
    fn cover(&mut self, (day, from, to): Range, rule: usize) {
        let parts = self.week.range((day, 0)..(day, to)).rev().take_while(|(_, (end, _))| *end > from);
        let parts: Vec<(u16, u16, usize)> = parts.map(|((_, start), (end, rule))| (*start, *end, *rule)).collect();
        if parts.iter().any(|(start, end, _)| *start <= from && *end >= to) {
            return;
        }
        for (start, end, other) in parts {
            self.week.remove(&(day, start));
            if start < from {
                self.week.insert((day, start), (from, other));
            }
            if end > to {
                self.week.insert((day, to), (end, other));
            }
        }
        self.week.insert((day, from), (to, rule));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tells whether both may hold at the same time. Those of different time zones may.
    fn may_overlap(one: &Hours, other: &Hours) -> bool {
        let parts = |hours: &Hours| hours.open.iter().flat_map(OpenRange::parts).collect::<Vec<_>>();
        let (one_parts, other_parts) = (parts(one), parts(other));
        one.timezone != other.timezone
            || one_parts.iter().any(|(day, from, to)| {
                other_parts.iter().any(|(on, begins, ends)| on == day && begins < to && from < ends)
            })
    }

    /// The plain comparison of every pair.
    fn contradict(first: &(Option<Hours>, bool), second: &(Option<Hours>, bool)) -> bool {
        match (&first.0, &second.0) {
            (Some(_), _) if first.1 => true,
            (Some(one), Some(other)) => may_overlap(one, other),
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
        fn a_rule_is_reported_if_it_contradicts_any_earlier_one(
            rules in prop::collection::vec((prop::option::weighted(0.9, hours()), prop::bool::weighted(0.1)), 0..12),
        ) {
            let mut earlier = Earlier::default();
            for (at, rule) in rules.iter().enumerate() {
                let found = earlier.contradicted_by(rule.0.as_ref(), rule.1);
                prop_assert_eq!(found.is_some(), rules[..at].iter().any(|first| contradict(first, rule)));
                prop_assert!(found.is_none_or(|first| first < at && contradict(&rules[first], rule)));
            }
        }
    }

    #[test]
    fn rules_by_the_minute_do_not_contradict_each_other() {
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
        assert!(all.iter().all(|hours| earlier.contradicted_by(Some(hours), false).is_none()));
        let all_day = Hours { open: vec!["mon 00:00-24:00".parse().unwrap()], ..all[0].clone() };
        assert!(earlier.contradicted_by(Some(&all_day), false).is_some());
        assert_eq!(earlier.week.len(), 1, "the day covers its minutes");
    }
}
