//! Opening hours: weekly ranges in a time zone, and dates that are closed all day.

pub(super) mod check;
pub(crate) mod file;
mod render;

use std::{collections::BTreeSet, fmt, str::FromStr, sync::LazyLock};

use jiff::{
    Timestamp,
    civil::{Date, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};

use super::{
    object::{Fields, Object, some, without_users},
    render::{Parts, RenderContext},
};
use crate::{
    asterisk::BadValue,
    model::{Code, Invalid, quoted},
};

/// The time zones that are built in.
static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A time zone by its IANA name, such as `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timezone(TimeZone, String);

impl Timezone {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.1
    }

    /// Writes what its clocks show at an instant, to the minute.
    pub fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.0.clone()).strftime("%Y-%m-%dT%H:%M").to_string()
    }
}

impl TryFrom<String> for Timezone {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        // The bundled table, so that every machine decides alike; the name as Asterisk must have it.
        let zone = BUNDLED.get(&name).ok().and_then(|zone| Some((zone.iana_name()?.to_owned(), zone)));
        match zone {
            Some((name, zone)) => Ok(Self(zone, name)),
            None => Err(Invalid::new(
                Code::UnknownTimezone,
                format!("{} is not a time zone", quoted(&name)),
                "write its IANA name, such as `Europe/Berlin`",
            )),
        }
    }
}

impl From<Timezone> for String {
    fn from(zone: Timezone) -> Self {
        zone.1
    }
}

/// A weekly range, such as `mon-fri 09:00-18:00`: the end is exclusive, and may lie on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpenRange {
    text: String,
    /// The days it begins on, from 0 for Monday.
    days: BTreeSet<u8>,
    /// The first minute of the day.
    from: u16,
    /// The first minute after it, of the same day or, where it is not later, of the next.
    to: u16,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl OpenRange {
    /// Splits the range at midnight: day (from 0 for Monday), first minute, first minute after it.
    pub fn parts(&self) -> impl Iterator<Item = (u8, u16, u16)> {
        self.days.iter().flat_map(|day| {
            let next = (day + 1) % 7;
            let parts = if self.to > self.from {
                [Some((*day, self.from, self.to)), None]
            } else {
                [Some((*day, self.from, DAY)), (self.to > 0).then_some((next, 0, self.to))]
            };
            parts.into_iter().flatten()
        })
    }
}

impl FromStr for OpenRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(
                Code::InvalidHours,
                format!("{} is not a weekly range", quoted(text)),
                "write days and times, such as `mon-fri 09:00-18:00` or `sat,sun 22:00-06:00`; 24:00 ends a day",
            )
        };
        let (days, times) = text.trim().split_once(' ').ok_or_else(bad)?;
        let (from, to) = times.trim().split_once('-').ok_or_else(bad)?;
        let (from, to) = (minute(from).filter(|from| *from < DAY), minute(to));
        let (Some(from), Some(to), Some(days)) = (from, to, self::days(days)) else { return Err(bad()) };
        if from == to {
            return Err(bad());
        }
        Ok(Self { text: text.trim().to_owned(), days, from, to })
    }
}

impl TryFrom<String> for OpenRange {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<OpenRange> for String {
    fn from(range: OpenRange) -> Self {
        range.text
    }
}

impl fmt::Display for OpenRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads `mon-fri`, `sat,sun` or `fri-mon`.
fn days(text: &str) -> Option<BTreeSet<u8>> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name).and_then(|day| u8::try_from(day).ok());
    let mut days = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days.insert(at);
        while at != last {
            at = (at + 1) % 7;
            days.insert(at);
        }
    }
    Some(days)
}

/// Reads `09:00`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok())?;
    let minute = two(hours)? * 60 + two(minutes).filter(|minutes| *minutes < 60)?;
    (minute <= DAY).then_some(minute)
}

/// The opening hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Where the clock stands.
    pub timezone: Timezone,
    /// The weekly ranges.
    pub open: Vec<OpenRange>,
    /// Dates that are closed from midnight to midnight.
    #[serde(default)]
    pub closed: BTreeSet<Date>,
}

impl Hours {
    /// Tells whether an instant lies in the hours.
    pub(crate) fn is_open(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.timezone.0.clone());
        if self.closed.contains(&local.date()) {
            return false;
        }
        let day = weekday(local.weekday());
        let minute = u16::try_from(local.hour()).unwrap_or(0) * 60 + u16::try_from(local.minute()).unwrap_or(0);
        let within = |(on, from, to): (u8, u16, u16)| on == day && (from..to).contains(&minute);
        self.open.iter().flat_map(OpenRange::parts).any(within)
    }
}

fn weekday(day: Weekday) -> u8 {
    u8::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

impl Object for Hours {
    fn fields(&self) -> Fields {
        let list = |texts: Vec<String>, between: &str| some(texts.join(between));
        vec![
            ("timezone", Some(self.timezone.name().to_owned())),
            // A range may hold commas itself.
            ("open", list(self.open.iter().map(ToString::to_string).collect(), " and ")),
            ("closed", list(self.closed.iter().map(ToString::to_string).collect(), ",")),
        ]
    }

    fn tidy(&mut self) {
        self.open.sort_by_cached_key(ToString::to_string);
        self.open.dedup();
    }

    fn render<'a>(&'a self, name: &str, _cx: &RenderContext<'_>, parts: &mut Parts<'a>) -> Result<(), BadValue> {
        render::render(self, name, parts)
    }
}

without_users!(Hours);
