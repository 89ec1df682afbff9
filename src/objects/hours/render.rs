//! Hours in the dialplan: whether it is open, by the hours' own clock.

use std::collections::{BTreeMap, BTreeSet};

use super::{DAYS, Hours, OpenRange};
use crate::{
    asterisk::{
        BadValue,
        dialplan::{Expr, Place, Step, Variable},
    },
    objects::render::Parts,
};

/// Writes the condition, and the time zone that Asterisk must have for it.
///
/// # Errors
/// Never for hours that were checked.
pub(super) fn render<'a>(hours: &'a Hours, name: &str, parts: &mut Parts<'a>) -> Result<(), BadValue> {
    let zone = Expr::text("timezone", hours.timezone.name())?;
    let today = Expr::strftime(Expr::var(Variable::TestTime), zone.clone(), "%Y-%m-%d");
    let steps = parts.condition(name);
    steps.step(Step::Set(Variable::Today, today));
    for date in &hours.closed {
        let date = Expr::text("closed", &date.to_string())?;
        steps.step(Step::goto_if(Expr::var(Variable::Today).equals(date).calc(), Place::Label("closed")));
    }
    for ((from, to), days) in weekly(hours) {
        let times = Expr::text("open", &format!("{}-{}", clock(from), clock(to - 1)))?;
        let times = times + "," + named(&days) + ",*,*," + zone.clone();
        steps.step(Step::GotoIfTime(times, Place::Label("open")));
    }
    steps
        .labelled("closed", Step::Return(Some(Expr::number(0_u8))))
        .labelled("open", Step::Return(Some(Expr::number(1_u8))));
    parts.zones.insert(hours.timezone.name(), &hours.timezone);
    Ok(())
}

/// Sorts the hours of a week by clock time: first minute, first minute after it, and the days.
fn weekly(hours: &Hours) -> BTreeMap<(u16, u16), BTreeSet<u8>> {
    let mut weekly: BTreeMap<(u16, u16), BTreeSet<u8>> = BTreeMap::new();
    for (day, from, to) in hours.open.iter().flat_map(OpenRange::parts) {
        weekly.entry((from, to)).or_default().insert(day);
    }
    weekly
}

/// Lists days as `GotoIfTime` reads them. It names them as we do.
fn named(days: &BTreeSet<u8>) -> Expr {
    let mut list = Expr::default();
    for (index, day) in days.iter().enumerate() {
        list = list + (if index == 0 { "" } else { "&" }) + DAYS[usize::from(*day) % 7];
    }
    list
}

/// Writes a minute of the day.
fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
