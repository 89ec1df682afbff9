//! How many numbers of a tenant's range are in use, kept back and free.

use std::{collections::BTreeMap, ops::RangeInclusive};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Plan;
use crate::{
    directory::{Hold, Recorded, TenantCounts},
    model::{Extension, Settings, shown_stretches},
    objects::Routes,
};

/// The numbers of a tenant's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Numbers {
    /// How many the ranges have.
    pub size: u32,
    /// How many a user or an object has.
    pub(crate) in_use: u32,
    /// How many are on hold for a former owner.
    pub held: u32,
    /// How many are left to the operator: reserved numbers and emergency numbers that nobody has.
    pub reserved: u32,
    /// How many the next users can get.
    pub free: u32,
}

/// Counts the numbers of what is recorded; none before the first sync.
pub fn numbers(recorded: &Recorded, now: Timestamp) -> Option<Numbers> {
    let settings = &recorded.tenant.as_ref()?.settings;
    let of_objects = recorded.routes.extensions();
    let all = || recorded.users.values().map(|user| user.extension).chain(of_objects.values().copied());
    let in_use = || all().filter(|number| settings.range.contains(*number));
    let pinned_only = settings.pinned_only();
    let reserved_in_use = in_use().filter(|number| pinned_only.contains(number)).count();
    Some(tally(settings, (whole(in_use().count()), whole(reserved_in_use)), &recorded.holds, now))
}

/// Counts the same from counts.
pub fn count(tenant_counts: &TenantCounts, now: Timestamp) -> Numbers {
    tally(&tenant_counts.settings, (tenant_counts.in_range, tenant_counts.reserved_in_use), &tenant_counts.holds, now)
}

/// Counts from how many numbers of the ranges are in use, and how many of those only a pin gives. A
/// number has an owner or is on hold, never both.
fn tally(
    settings: &Settings,
    (in_use, reserved_in_use): (u32, u32),
    holds: &BTreeMap<Extension, Hold>,
    now: Timestamp,
) -> Numbers {
    let within = |number: &Extension| settings.range.contains(*number);
    let is_on_hold = |number: &Extension| holds.get(number).is_some_and(|hold| is_held(hold, settings.hold_days, now));
    let held = whole(holds.keys().filter(|number| within(number) && is_on_hold(number)).count());
    let kept = settings.pinned_only().iter().filter(|number| within(number) && !is_on_hold(number)).count();
    let (size, reserved) = (settings.range.size(), whole(kept).saturating_sub(reserved_in_use));
    Numbers { size, in_use, held, reserved, free: size.saturating_sub(in_use + held + reserved) }
}

/// Says which numbers phones reach in another way than before: those that enter the dialplan, and those
/// that leave it to the operator's contexts.
pub(super) fn dialled(plan: &Plan, recorded: &Recorded) -> Vec<String> {
    let Some(tenant) = &recorded.tenant else { return Vec::new() };
    let [of_objects_before, of_objects] = [&recorded.routes, &plan.routes].map(Routes::extensions);
    let users_before = recorded.users.values().map(|user| user.extension);
    let before = stretches(&tenant.settings, users_before.chain(of_objects_before.into_values()));
    let after = stretches(&plan.settings, plan.users.keys().copied().chain(of_objects.into_values()));
    let changes = [
        (minus(&after, &before), ["enters", "enter"], "no longer reach"),
        (minus(&before, &after), ["leaves", "leave"], "reach"),
    ];
    changes
        .into_iter()
        .filter(|(numbers, ..)| !numbers.is_empty())
        .map(|(numbers, [one, many], reach)| {
            let single = matches!(&numbers[..], [numbers] if numbers.start() == numbers.end());
            let (verb, it) = if single { (one, "it") } else { (many, "them") };
            let numbers = shown_stretches(&numbers);
            format!("{numbers} {verb} the dialplan: phones that dial {it} {reach} the operator's contexts")
        })
        .collect()
}

/// Lists the numbers in the dialplan of a tenant whose users and objects have these ones.
fn stretches(settings: &Settings, held: impl Iterator<Item = Extension>) -> Vec<RangeInclusive<u32>> {
    let mut left_out = settings.pinned_only();
    for number in held {
        left_out.remove(&number);
    }
    settings.range.without(&left_out)
}

/// Takes the numbers of the second stretches out of the first; both are in ascending order.
fn minus(from: &[RangeInclusive<u32>], others: &[RangeInclusive<u32>]) -> Vec<RangeInclusive<u32>> {
    let mut left = Vec::new();
    for stretch in from {
        let mut next = *stretch.start();
        let first = others.partition_point(|other| other.end() < stretch.start());
        for other in others[first..].iter().take_while(|other| other.start() <= stretch.end()) {
            if next < *other.start() {
                left.push(next..=other.start() - 1);
            }
            next = other.end() + 1;
        }
        if next <= *stretch.end() {
            left.push(next..=*stretch.end());
        }
    }
    left
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Tells whether a freed number is still kept for its former user.
pub(super) fn is_held(hold: &Hold, days: u32, now: Timestamp) -> bool {
    now.duration_since(hold.freed_at) < SignedDuration::from_hours(24 * i64::from(days))
}
