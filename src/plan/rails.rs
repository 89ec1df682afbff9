//! Rails: what an apply refuses to do without `--allow`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;
use uuid::Uuid;

use super::{Change, Inputs, Kind, Plan, UserChange, inbound};
use crate::{
    desired::Rails,
    model::{Mode, RailLimit, UserKey},
};

/// What `--allow NAME=N` lets pass this once.
pub type Allowance = BTreeMap<String, usize>;

/// A rail that stops an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RailStop {
    /// The rail, such as `deletes`.
    pub rail: &'static str,
    /// What would happen.
    pub message: String,
    /// The way out.
    pub hint: String,
    /// The number with which `--allow` lets it pass; `None` if nothing does.
    #[serde(skip)]
    pub allow: Option<usize>,
}

impl fmt::Display for RailStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rail, message, hint, allow: _ } = self;
        write!(f, "error[rail-{rail}]: {message}\nhint: {hint}")
    }
}

/// Finds the rails at protected rows, boxes and public numbers. [`Plan::phone_stops`] finds `deletes` and `relogins`.
pub(super) fn stops(plan: &Plan, inputs: &Inputs<'_>) -> Vec<RailStop> {
    let mut stops = Vec::new();
    let protected_rows: BTreeSet<Uuid> =
        inputs.recorded.users.values().filter(|user| user.protected).map(|user| user.id).collect();
    let protected: Vec<String> = plan
        .changes
        .of_users()
        .filter(|(change, user)| {
            (change.kind == Kind::Delete || change.changes("extension"))
                && was_protected(change.kind, user, plan, inputs, &protected_rows)
        })
        .map(|(_, user)| format!("`{}`", user.email))
        .collect();
    if !protected.is_empty() {
        stops.push(RailStop {
            rail: "protected",
            message: format!("protected users would be deleted or renumbered: {}", some_of(&protected)),
            hint: "set `protected: false`, apply that, and only then make this change".to_owned(),
            allow: None,
        });
    }
    let protected = inbound::protected(inputs.recorded);
    let undone = plan.changes.of_objects().filter(|(change, id)| is_undone(change) && protected.contains(*id));
    let routes: Vec<String> = undone.map(|(_, (_, name))| format!("`{name}`")).collect();
    if !routes.is_empty() {
        stops.push(RailStop {
            rail: "protected",
            message: format!("protected routes would be changed or deleted: {}", some_of(&routes)),
            hint: "set `protected: false`, apply that, and only then make this change".to_owned(),
            allow: None,
        });
    }
    stops.extend(ended(plan, inputs));
    stops
}

/// The rail at an apply of a tenant that is only observed.
pub(crate) const OBSERVED: &str = "observed";

/// Finds that rail.
pub(crate) fn observed(plan: &Plan) -> Option<RailStop> {
    (plan.settings.mode == Mode::Observe).then(|| RailStop {
        rail: OBSERVED,
        message: format!("the tenant `{}` has `mode: observe`: nothing is applied", plan.tenant),
        hint: "remove `mode: observe` from the file once Asterisk shall run what the plan shows".to_owned(),
        allow: None,
    })
}

/// The rail at too many voicemail boxes that end.
pub(super) const BOXES: &str = "boxes";

/// The rail at too many public numbers that end.
pub(super) const PUBLIC_NUMBERS: &str = "public-numbers";

/// Finds the stops at voicemail boxes and public numbers that end. The limit is that of users who are deleted.
fn ended(plan: &Plan, inputs: &Inputs<'_>) -> impl Iterator<Item = RailStop> {
    let Inputs { declared, recorded, allowance, .. } = inputs;
    let deleted = plan.changes.of_users().filter(|(change, _)| change.kind == Kind::Delete);
    let deleted: BTreeSet<UserKey> = deleted.map(|(_, user)| user.email.key()).collect();
    let (before, after) = (recorded.routes.numbers(), plan.routes.numbers());
    let (boxes, of_boxes) = plan.routes.ended_boxes(&recorded.routes, &deleted);
    let counted = [
        (BOXES, boxes, of_boxes, "voicemail boxes"),
        (PUBLIC_NUMBERS, before.difference(&after).count(), before.len(), "public numbers"),
    ];
    counted.into_iter().filter_map(|(rail, count, all, what)| {
        let allowed = allowed(declared.rails.deletes, all);
        let told = allowance.get(rail).copied().unwrap_or(0);
        (count > allowed.max(told)).then(|| RailStop {
            rail,
            message: format!("{count} of {all} {what} would end (allowed {allowed})"),
            hint: format!("if this is intended: --allow {rail}={count}"),
            allow: Some(count),
        })
    })
}

/// The most that a rail names.
const NAMED: usize = 20;

/// Joins names; so many, the rest is counted.
fn some_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let joined = names[..names.len() - more].join(", ");
    if more > 0 { format!("{joined} and {more} more") } else { joined }
}

/// Tells whether a change takes something from a protected route.
fn is_undone(change: &Change) -> bool {
    change.kind == Kind::Delete || change.fields.iter().any(|field| field.field != "protected")
}

/// Says which rails of the file are looser than they are by themselves: a file can bring its own.
pub(super) fn notes(rails: &Rails) -> impl Iterator<Item = String> {
    let default = RailLimit::default();
    let looser = move |limit: &RailLimit| limit.max > default.max || limit.percent > default.percent;
    let rails = [("deletes", rails.deletes), ("relogins", rails.relogins)];
    rails.into_iter().filter(move |(_, limit)| looser(limit)).map(move |(rail, RailLimit { max, percent })| {
        let RailLimit { max: usual, percent: share } = default;
        format!("rails.{rail} is max {max}, {percent} %: looser than the default of {usual}, {share} %")
    })
}

/// Tells whether the row that a change is about is recorded as protected: the row, not the address, which may
/// be handed on in the same plan.
fn was_protected(kind: Kind, user: &UserChange, plan: &Plan, inputs: &Inputs<'_>, protected: &BTreeSet<Uuid>) -> bool {
    let row = match kind {
        Kind::Delete => inputs.recorded.users.get(&user.email.key()).map(|user| user.id),
        _ => plan.users.get(&user.extension).and_then(|user| user.id),
    };
    row.is_some_and(|row| protected.contains(&row))
}

/// How many changes pass: the smaller of both limits, and never less than one.
pub(super) fn allowed(limit: RailLimit, users: usize) -> usize {
    let share = (users * usize::from(limit.percent)).div_ceil(100);
    share.min(limit.max as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rail_that_is_looser_than_the_default_is_reported() {
        let limit = |max, percent| RailLimit { max, percent };
        let told = |deletes, relogins| notes(&Rails { deletes, relogins }).collect::<Vec<_>>();
        assert_eq!(told(limit(5, 20), limit(0, 20)), Vec::<String>::new());
        assert_eq!(
            told(limit(10_000, 100), limit(5, 21)),
            [
                "rails.deletes is max 10000, 100 %: looser than the default of 5, 20 %",
                "rails.relogins is max 5, 21 %: looser than the default of 5, 20 %"
            ]
        );
    }

    #[test]
    fn the_allowed_number_is_the_smaller_limit_and_never_below_one() {
        let allowed = |users, max, percent| allowed(RailLimit { max, percent }, users);
        assert_eq!(allowed(0, 5, 20), 1);
        assert_eq!(allowed(1, 5, 20), 1);
        assert_eq!(allowed(6, 5, 20), 2, "20 % of 6 is rounded up");
        assert_eq!(allowed(61, 5, 20), 5);
        assert_eq!(allowed(10_000, 5, 20), 5);
        assert_eq!(allowed(10_000, 0, 20), 1);
        assert_eq!(allowed(10_000, 50_000, 1), 100);
    }
}
