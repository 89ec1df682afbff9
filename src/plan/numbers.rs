//! How many numbers of a tenant's range are in use, kept back and free.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    directory::{Hold, Recorded, Standing},
    model::{Extension, Settings},
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
    let in_use =
        || recorded.users.values().map(|user| user.extension).filter(|number| settings.range.contains(*number));
    let reserved_in_use = in_use().filter(|number| settings.reserved.contains(number)).count();
    Some(tally(settings, (whole(in_use().count()), whole(reserved_in_use)), &recorded.holds, now))
}

/// Counts the same from counts.
pub fn count(standing: &Standing, now: Timestamp) -> Numbers {
    tally(&standing.settings, (standing.in_range, standing.reserved_in_use), &standing.holds, now)
}

/// Counts from how many numbers of the range are in use, and how many of those are reserved. A
/// number is a user's or on hold, never both.
fn tally(
    settings: &Settings,
    (in_use, reserved_in_use): (u32, u32),
    holds: &BTreeMap<Extension, Hold>,
    now: Timestamp,
) -> Numbers {
    let within = |number: &Extension| settings.range.contains(*number);
    let is_on_hold = |number: &Extension| holds.get(number).is_some_and(|hold| is_held(hold, settings.hold_days, now));
    let held = whole(holds.keys().filter(|number| within(number) && is_on_hold(number)).count());
    let kept = settings.reserved.iter().filter(|number| within(number) && !is_on_hold(number)).count();
    let (size, reserved) = (settings.range.size(), whole(kept).saturating_sub(reserved_in_use));
    Numbers { size, in_use, held, reserved, free: size.saturating_sub(in_use + held + reserved) }
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Tells whether a freed number is still kept for its former user.
pub(super) fn is_held(hold: &Hold, days: u32, now: Timestamp) -> bool {
    now.duration_since(hold.freed_at) < SignedDuration::from_hours(24 * i64::from(days))
}
