//! From what is found to a plan that may be carried out: shown while nothing is locked, and made again from the rows
//! under the tenant's lock. What is carried out is what was shown, by its id.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    ApplyError, Comparison, Host, Observer, Request, Survey, audit_row,
    clock::Clock,
    compare::target_of,
    few::first_few,
    findings::Findings,
    rows::{Prepared, prepare},
};
use crate::{
    asterisk::ConfigFile,
    directory::{Directory, DirectoryError, Recorded, Writer, audit::Run},
    model::Extension,
    plan::{Change, Effects, FieldChange, Plan, RailStop, Subject},
};

/// How often a plan is made and shown before the rows that move meanwhile are a reason to give up.
pub(super) const ROUNDS: usize = 3;

/// A plan that was shown while nothing was locked.
pub(super) struct ShownPlan {
    /// The rows it was made from, and all stages side by side. Taken once it is decided what to carry out.
    made: Option<(Recorded, Comparison)>,
    id: Option<String>,
    stops: Vec<RailStop>,
    changes: DeclaredChanges,
    /// What the host has or lacks for the plan. It holds for every plan with the same id.
    findings: Findings,
    /// Whether the endpoint file changes, so that registrations may end.
    pub(super) changes_endpoints: bool,
}

/// Makes the plan from a snapshot and shows it. `earlier` is the plan that was shown before.
///
/// # Errors
/// If the plan must not be applied, or changes what `earlier` does not, or if Asterisk or the directory fails.
pub(super) fn show(
    request: &Request<'_>,
    directory: &mut Directory,
    host: Option<&Host>,
    survey: &Survey,
    earlier: Option<&ShownPlan>,
    (clock, observer): (&mut Clock, &mut dyn Observer),
) -> Result<ShownPlan, ApplyError> {
    let mut recorded = directory.read(request.tenant)?;
    if let Some(id) = request.expect {
        recorded.expected_runs = directory.runs_of_plan(request.tenant, id)?;
    }
    let comparison = (request.compare)(&recorded, survey)?;
    let findings = match host {
        Some(host) => host.findings(&comparison, survey, request.policy)?,
        None => Findings::default(),
    };
    let mut findings = findings;
    if let Some(host) = host.filter(|_| !request.again) {
        let bad = directory.bad_generations(request.tenant, &host.name, &host.put_away(request.tenant)?)?;
        findings.stops.extend(comparison.bad_generation(&bad));
    }
    let mut comparison = comparison.with(findings.clone());
    let mut shown = ShownPlan {
        made: None,
        id: comparison.id.clone(),
        stops: comparison.stops.clone(),
        changes: DeclaredChanges::of(&comparison.plan),
        findings,
        changes_endpoints: comparison.files[ConfigFile::Endpoints].diff.changed,
    };
    if let Some(earlier) = earlier.filter(|_| request.expect.is_none()) {
        shown.changes.are_in(&earlier.changes)?;
    }
    // What was shown is not shown again.
    let is_known = |earlier: &ShownPlan| earlier.id.is_some() && earlier.id == shown.id && earlier.stops == shown.stops;
    if !earlier.is_some_and(is_known) {
        // A person may read for an hour.
        clock.stop();
        (request.show)(&mut comparison)?;
        clock.start("check", observer);
    }
    shown.made = Some((recorded, comparison));
    Ok(shown)
}

/// A plan with everything that carrying it out needs.
pub(super) struct Decided {
    pub(super) plan: Plan,
    pub(super) effects: Effects,
    id: Option<String>,
    /// What changes in the settings and about inbound calls, and in the files.
    pub(super) diff: String,
    /// The hash of what it leads to.
    target: String,
    /// The hash of the files that it leads to, secrets and marks masked.
    generation: String,
    pub(super) recorded: Recorded,
    pub(super) prepared: Prepared,
    /// What Asterisk does not answer about itself.
    pub(super) unasked: Vec<String>,
    /// Names that could not be checked before the files were written.
    pub(super) unchecked: Vec<String>,
    /// The phones that run from a file of the operator's which no longer defines them.
    pub(super) taken_over: Vec<String>,
}

/// Makes the plan again from the rows, which no other process changes now. `None` if it is another one than was shown.
///
/// A plan depends on nothing that moves but the rows: from those that it was shown for, it is the one that was shown.
///
/// In the last round, rows that the file does not declare may differ, such as those that the portal makes all the
/// time: the declared changes and their numbers are those that were shown.
pub(super) fn decide(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    survey: &Survey,
    shown: &mut ShownPlan,
    is_last: bool,
) -> Result<Option<Decided>, ApplyError> {
    writer.require_keys(request.keys)?;
    let (recorded, sealed) = read(request, writer)?;
    let same = shown.made.take().filter(|(rows, _)| *rows == recorded);
    let comparison = if let Some((_, comparison)) = same {
        comparison
    } else {
        let comparison = (request.compare)(&recorded, survey)?.with(shown.findings.clone());
        let is_shown = comparison.id == shown.id
            || is_last && request.expect.is_none() && DeclaredChanges::of(&comparison.plan) == shown.changes;
        if !is_shown || comparison.stops != shown.stops {
            return Ok(None);
        }
        comparison
    };
    if comparison.id.is_none() || request.expect.is_some_and(|id| !comparison.is_expected(id)) {
        return Ok(None);
    }
    let diff = audit_row::bounded(audit_row::rows(&comparison.plan, &comparison.effects) + &comparison.diff());
    let Request { secrets, object_secrets, keys, policy, .. } = *request;
    let prepared = prepare(&comparison.plan, &recorded, secrets, object_secrets, &sealed, keys, policy.now)?;
    let target = target_of(&comparison, &prepared.rows);
    let generation = comparison.generation();
    let Comparison { plan, effects, id, unasked, unchecked, .. } = comparison;
    let taken_over = shown.findings.taken_over.clone();
    Ok(Some(Decided {
        plan,
        effects,
        id,
        diff,
        target,
        generation,
        recorded,
        prepared,
        unasked,
        unchecked,
        taken_over,
    }))
}

/// What is recorded, with the sealed secrets.
type Read = (Recorded, BTreeMap<Uuid, Vec<u8>>);

fn read(request: &Request<'_>, writer: &mut Writer<'_>) -> Result<Read, DirectoryError> {
    let mut recorded = writer.read(request.tenant)?;
    if let Some(id) = request.expect {
        recorded.expected_runs = writer.runs_of_plan(request.tenant, id)?;
    }
    let sealed = match &recorded.tenant {
        Some(tenant) => writer.sealed(tenant.id)?,
        None => BTreeMap::new(),
    };
    Ok((recorded, sealed))
}

impl Decided {
    /// Writes the audit row of the run that carries it out.
    pub(super) fn run(&self, request: &Request<'_>, host: &Host, command: &'static str, diff: &str) -> Run {
        Run {
            tenant: request.tenant.clone(),
            host: host.name.clone(),
            command,
            actor: request.actor.clone(),
            git_commit: request.git_commit.clone(),
            plan_id: self.id.clone(),
            counts: audit_row::counts(&self.plan, &self.effects),
            diff: diff.to_owned(),
            target: Some(self.target.clone()),
            desired: request.desired.clone(),
            generation: Some(self.generation.clone()),
        }
    }
}

/// Says that the rows moved each time while the plan was shown.
pub(super) fn never_still() -> ApplyError {
    ApplyError::Stale(format!("the database changed {ROUNDS} times while the plan was shown"))
}

/// What a plan changes because the file declares it, with the numbers that users and objects get.
#[derive(Debug, PartialEq, Eq)]
struct DeclaredChanges(BTreeMap<DeclaredChange, Option<Extension>>);

/// One of them: what is changed, and what it becomes. A number is allocated, so that it is not part of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DeclaredChange {
    what: String,
    becomes: Vec<String>,
}

impl DeclaredChanges {
    fn of(plan: &Plan) -> Self {
        let numbers = plan.routes.extensions();
        let changes = plan.changes.iter().map(|change| {
            let what = format!("{} {}", change.kind.sign(), change.title());
            let number = match &change.subject {
                Subject::Setting(_) => None,
                Subject::User(user) => Some(user.extension),
                Subject::Object(id) => numbers.get(id).copied(),
            };
            (DeclaredChange { what, becomes: becomes(change) }, number)
        });
        Self(changes.collect())
    }

    /// Makes sure that a plan which was made again changes nothing that the one which was shown does not.
    fn are_in(&self, shown: &Self) -> Result<(), ApplyError> {
        let new: BTreeSet<&str> =
            self.0.keys().filter(|change| !shown.0.contains_key(change)).map(|change| change.what.as_str()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let count = if new.len() == 1 { "1 change".to_owned() } else { format!("{} changes", new.len()) };
        Err(ApplyError::Stale(format!(
            "another process changed the database in the meantime, and there would now be {count} that the plan above does not show: {}",
            first_few(new.iter())
        )))
    }
}

fn becomes(change: &Change) -> Vec<String> {
    let words = |field: &FieldChange| match (field.field, &field.after) {
        ("extension", _) | (_, None) => field.field.to_owned(),
        (name, Some(after)) => format!("{name} {after}"),
    };
    change.fields.iter().map(words).chain(change.secret_changed.then(|| "secret".to_owned())).collect()
}
