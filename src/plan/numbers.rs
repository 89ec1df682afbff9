//! How many numbers of a tenant's range are in use, kept back and free.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    directory::{Hold, Recorded, Standing},
    model::Extension,
};

/// The numbers of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Numbers {
    /// How many the range has.
    pub size: u32,
    /// How many users have one.
    pub in_use: u32,
    /// How many are on hold for a former user.
    pub held: u32,
    /// How many are reserved, and nobody's.
    pub reserved: u32,
    /// How many the next users can get.
    pub free: u32,
}

/// Counts the numbers of what is recorded; none before the first sync.
pub fn numbers(recorded: &Recorded, now: Timestamp) -> Option<Numbers> {
    let settings = &recorded.tenant.as_ref()?.settings;
    let within = |number: &Extension| settings.range.contains(*number);
    let in_use: BTreeSet<Extension> = recorded.users.values().map(|user| user.extension).filter(within).collect();
    let idle = |number: &Extension| within(number) && !in_use.contains(number);
    let on_hold = |(number, hold): (&Extension, &Hold)| is_held(hold, settings.hold_days, now).then_some(*number);
    let held: BTreeSet<Extension> = recorded.holds.iter().filter_map(on_hold).filter(idle).collect();
    let reserved = settings.reserved.iter().filter(|number| idle(number) && !held.contains(number)).count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (in_use, held, reserved) = (count(in_use.len()), count(held.len()), count(reserved));
    let size = settings.range.size();
    Some(Numbers { size, in_use, held, reserved, free: size.saturating_sub(in_use + held + reserved) })
}

/// Counts the same from counts.
pub fn count(standing: &Standing, now: Timestamp) -> Numbers {
    let Standing { settings, in_range: in_use, reserved_in_use, holds, .. } = standing;
    let within = |number: &Extension| settings.range.contains(*number);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let on_hold = |(number, hold): &(&Extension, &Hold)| within(number) && is_held(hold, settings.hold_days, now);
    let held: BTreeSet<Extension> = holds.iter().filter(on_hold).map(|(number, _)| *number).collect();
    let reserved = settings.reserved.iter().filter(|number| within(number) && !held.contains(number)).count();
    let (in_use, held, reserved) = (*in_use, count(held.len()), count(reserved).saturating_sub(*reserved_in_use));
    let size = settings.range.size();
    Numbers { size, in_use, held, reserved, free: size.saturating_sub(in_use + held + reserved) }
}

/// Tells whether a freed number is still kept for its former user.
pub(super) fn is_held(hold: &Hold, days: u32, now: Timestamp) -> bool {
    now.duration_since(hold.freed_at) < SignedDuration::from_hours(24 * i64::from(days))
}
