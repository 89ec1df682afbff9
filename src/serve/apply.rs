//! `POST /apply`: what is recorded is rendered and made live, by the protocol and the locks of the
//! command. There is no file here: rows that the file declares move by the command alone.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use anyhow::Result;
use axum::{Json, extract::State as Shared};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Instrument;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use super::{
    State,
    auth::{Apply, Caller},
    error::{Detail, ErrorType, Failure},
    extract::Parameters,
    pool::panicked,
};
use crate::{
    cli::report::json,
    deploy::{self, Applied, ApplyError, Comparison, InPlace, Observer, Request, Running},
    directory::{Directory, Recorded},
    model::Tenant,
    plan::{self, Allowance},
};

/// How to apply.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Answer with the plan, and move nothing.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// Go on only if the plan has this id, as a dry run told it.
    expect: Option<String>,
}

/// What became of an apply, or what would.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Report {
    /// What an apply would move.
    Plan(Planned),
    /// What an apply moved.
    Applied(Run),
}

/// The plan, as `schema/plan.schema.json` describes it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Planned(Value);

impl ToSchema for Planned {}

impl PartialSchema for Planned {
    /// Names what tells a plan from an [`Run`]; the rest is in the plan's own schema.
    fn schema() -> RefOr<Schema> {
        let version = ObjectBuilder::new().schema_type(Type::Integer).description(Some("the version of the document"));
        ObjectBuilder::new()
            .description(Some("The plan, as `schema/plan.schema.json` describes it."))
            .property("format_version", version)
            .required("format_version")
            .into()
    }
}

#[expect(clippy::struct_field_names, reason = "the words of the document")]
/// An apply that Asterisk took.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Run {
    /// The number of the run, for `reconcile history`.
    run: i64,
    /// How it ended: `live`, which is read back from the running Asterisk.
    outcome: &'static str,
    /// The id of the plan that was applied.
    plan_id: Option<String>,
    /// How many of what.
    counts: Counts,
    /// The generated files as they now stand.
    files: Vec<GeneratedFile>,
    /// The unified diff of the files, secrets masked.
    diff: String,
    /// The Asterisk modules that were reloaded.
    reloaded: Vec<&'static str>,
    /// How long each phase took, in milliseconds.
    phases_ms: BTreeMap<&'static str, u64>,
    /// What did not work out, and is left to the next apply.
    warnings: Vec<String>,
}

/// How many of what.
#[derive(Debug, Serialize, ToSchema)]
struct Counts {
    /// Users whose phones are rendered.
    users: usize,
    /// Files that were written.
    files_written: usize,
    /// Objects of changed phones.
    objects_changed: usize,
    /// How many of them were looked at one by one in the running Asterisk.
    objects_checked: usize,
    /// Registrations of old phones that were deleted.
    registrations_deleted: usize,
}

/// A generated file.
#[derive(Debug, Serialize, ToSchema)]
struct GeneratedFile {
    /// Its path below Asterisk's configuration folder.
    path: String,
    /// The SHA-256 of what stands there.
    sha256: String,
    /// Whether it was written by this run.
    written: bool,
}

/// Applies what is recorded
///
/// Renders the files, writes those that changed, reloads just the modules concerned and reads back
/// from Asterisk that it took; otherwise puts the last good files back. A client that goes away does
/// not cancel it.
#[utoipa::path(
    post, path = "/apply", tag = "apply", params(How),
    responses((status = 200, description = "the plan of a dry run, or what was applied", body = Report)),
    security(("token" = ["apply"]))
)]
pub(super) async fn apply(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<Apply>,
    Parameters(how): Parameters<How>,
) -> Result<Json<Report>, Failure> {
    let actor = caller.actor();
    let tenant = caller.0.tenant;
    let (pool, applies) = (Arc::clone(&state.pool), state.applies.clone());
    let work = pool.run_long(move |directory| {
        let report = if how.dry_run {
            plan(&state, &tenant, &how, directory)
        } else {
            carry_out(&state, &tenant, &how, actor, directory)
        };
        // Whoever asked may be gone.
        report.map_err(Failure::logged)
    });
    // From here on it waits and runs by itself.
    let work = applies.spawn(work.in_current_span());
    work.await.unwrap_or_else(|error| Err(panicked(&error))).map(Json)
}

fn plan(state: &State, tenant: &Tenant, how: &How, directory: &mut Directory) -> Result<Report, Failure> {
    let recorded = directory.read(tenant)?;
    let in_place = state.host.in_place(tenant).map_err(ApplyError::from)?;
    let (running, unchecked) = match state.host.wait().and_then(|()| state.host.running(tenant, &in_place)) {
        Ok(running) => (running, None),
        Err(error) => (None, Some(format!("the running Asterisk: {error}"))),
    };
    let mut comparison = compare(tenant, &recorded, &in_place, running.as_ref(), unchecked.into_iter().collect())
        .map_err(ApplyError::from)?;
    if running.is_some() {
        state.host.note_lacks(&mut comparison, Timestamp::now());
    }
    if let Some(failure) = stale(&comparison, how) {
        return Err(failure);
    }
    let document =
        document(&comparison).ok_or_else(|| Failure::internal("the plan cannot be written as JSON".to_owned()))?;
    Ok(Report::Plan(Planned(document)))
}

fn carry_out(
    state: &State,
    tenant: &Tenant,
    how: &How,
    actor: String,
    directory: &mut Directory,
) -> Result<Report, Failure> {
    let decided = RefCell::new(None);
    let decide = |recorded: &Recorded, in_place: &[InPlace; 2], running: Option<&Running>| {
        let comparison = compare(tenant, recorded, in_place, running, Vec::new())?;
        if let Some(failure) = stale(&comparison, how).or_else(|| stopped(&comparison)) {
            return Err(failure.into());
        }
        *decided.borrow_mut() = Some((comparison.id.clone(), comparison.plan.users.len(), comparison.diff()));
        Ok(comparison)
    };
    let (secrets, trunk_secrets) = (BTreeMap::new(), BTreeMap::new());
    let request = Request {
        tenant,
        secrets: &secrets,
        trunk_secrets: &trunk_secrets,
        keys: &state.keys,
        decide: &decide,
        actor,
        git_commit: None,
        now: Timestamp::now(),
    };
    let applied = deploy::apply(&request, directory, &state.host, &mut Log)?;
    let (plan_id, users, diff) = decided.take().unwrap_or_default();
    Ok(Report::Applied(run(applied, plan_id, users, diff)))
}

fn run(applied: Applied, plan_id: Option<String>, users: usize, diff: String) -> Run {
    let (objects_checked, objects_changed) = applied.looked_at;
    let written = |path: &String| applied.written.contains(path);
    Run {
        run: applied.run,
        outcome: applied.outcome.word(),
        plan_id,
        counts: Counts {
            users,
            files_written: applied.written.len(),
            objects_changed,
            objects_checked,
            registrations_deleted: applied.let_go,
        },
        files: applied
            .files
            .iter()
            .map(|(path, sha256)| GeneratedFile { written: written(path), path: path.clone(), sha256: sha256.clone() })
            .collect(),
        diff,
        reloaded: applied.reloaded.iter().map(|module| module.name()).collect(),
        phases_ms: applied.phases,
        warnings: applied.warnings,
    }
}

/// Compares what is recorded with the files in place and what runs.
fn compare(
    tenant: &Tenant,
    recorded: &Recorded,
    in_place: &[InPlace; 2],
    running: Option<&Running>,
    unchecked: Vec<String>,
) -> Result<Comparison> {
    let plan = plan::as_recorded(tenant, recorded).ok_or_else(|| {
        let message = format!("the tenant `{tenant}` is not recorded yet");
        let hint = "run `reconcile sync` or `reconcile apply` with its file once".to_owned();
        let detail = Detail { message: message.clone(), hint: Some(hint), ..Detail::default() };
        Failure::new(ErrorType::TenantNotRecorded, message).with(vec![detail])
    })?;
    Ok(deploy::compare_plan(plan, recorded, in_place, running, &Allowance::new(), unchecked)?)
}

fn document(comparison: &Comparison) -> Option<Value> {
    let document = serde_json::to_value(json::document(comparison, &[]));
    document.inspect_err(|error| tracing::error!(%error, "the plan cannot be written as JSON")).ok()
}

fn stale(comparison: &Comparison, how: &How) -> Option<Failure> {
    let expected = how.expect.as_deref()?;
    let found = comparison.id.as_deref();
    (found != Some(expected)).then(|| {
        let found = found.unwrap_or("none");
        let message = format!("the plan is {found}, not the expected one; nothing was changed");
        let detail = Detail { plan: document(comparison), ..Detail::of("expect", "this is another plan") };
        Failure::new(ErrorType::PlanStale, message).with(vec![detail])
    })
}

fn stopped(comparison: &Comparison) -> Option<Failure> {
    let stops = &comparison.plan.stops;
    let first = stops.first()?;
    let mut details: Vec<Detail> = stops
        .iter()
        .map(|stop| Detail {
            rail: Some(stop.rail),
            message: stop.message.clone(),
            hint: Some(stop.hint.clone()),
            ..Detail::default()
        })
        .collect();
    details.push(Detail {
        message: "the plan that was not applied".to_owned(),
        plan: document(comparison),
        ..Detail::default()
    });
    Some(Failure::new(ErrorType::RailStopped, format!("{}; nothing was changed", first.message)).with(details))
}

/// Logs what happens while it happens.
struct Log;

impl Observer for Log {
    fn phase(&mut self, name: &'static str) {
        tracing::info!(phase = name, "apply");
    }
}
