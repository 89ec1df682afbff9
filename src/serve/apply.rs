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
    extract::{Object, OptionalObject, Parameters, reject_unknown_fields},
    pool::panicked,
};
use crate::{
    deploy::{self, ApplyError, ApplyOutcome, Comparison, NamePlaces, Observer, Policy, Request, Survey},
    directory::{DesiredFiles, Directory, Recorded},
    model::Tenant,
    plan::{self, Allowance},
    report::json,
};

/// The fields of [`ApplyOptions`].
const OPTIONS: [&str; 2] = ["dry_run", "expect"];

/// The options of an apply, which may be given in the query.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplyQuery {
    /// Answer with the plan, and move nothing.
    dry_run: Option<bool>,
    /// Go on only if the plan has this id, as a dry run returned it.
    expect: Option<String>,
}

/// The same options in the body. An option that is given in both places must have the same value there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the body is read field by field, so that every mistake is reported at once")]
pub(super) struct ApplyOptions {
    /// Answer with the plan, and move nothing.
    #[serde(default)]
    #[schema(required = false)]
    dry_run: bool,
    /// Go on only if the plan has this id, as a dry run returned it, or if a run with this id recorded exactly what
    /// would be applied now.
    #[schema(nullable = false)]
    expect: Option<String>,
}

/// How to apply: the options of query and body together.
struct ApplyRequest {
    dry_run: bool,
    expect: Option<String>,
}

impl ApplyRequest {
    /// Joins query and body.
    ///
    /// # Errors
    /// When the body has unknown fields or values of another type, or when the two contradict each other:
    /// the client must not believe in a dry run that is none.
    fn join(query: ApplyQuery, body: &Object) -> Result<Self, Failure> {
        let mut details = Vec::new();
        reject_unknown_fields(body, &OPTIONS, &mut details);
        let dry_run = option("dry_run", "`true` or `false`", query.dry_run, Value::as_bool, body, &mut details);
        let as_text = |value: &Value| value.as_str().map(str::to_owned);
        let expect = option("expect", "the id of a plan", query.expect, as_text, body, &mut details);
        if details.is_empty() {
            return Ok(Self { dry_run: dry_run.unwrap_or_default(), expect });
        }
        Err(Failure::invalid(details))
    }
}

/// Finds the value of an option, which the query may have and the body.
fn option<T: PartialEq>(
    field: &'static str,
    what: &str,
    in_query: Option<T>,
    parse: impl Fn(&Value) -> Option<T>,
    body: &Object,
    details: &mut Vec<Detail>,
) -> Option<T> {
    let Some(value) = body.fields.get(field) else { return in_query };
    let in_body = parse(value);
    if in_body.is_none() {
        details.push(Detail::of(field, format!("write {what}")));
    } else if in_query.is_some() && in_query != in_body {
        details.push(Detail::of(field, "the query and the body contradict each other"));
    }
    in_body
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
/// not cancel it. The options are given in the query, in a JSON body, or in both alike.
#[utoipa::path(
    post, path = "/apply", tag = "apply", params(ApplyQuery), request_body = ApplyOptions,
    responses((status = 200, description = "the plan of a dry run, or what was applied", body = Report)),
    security(("token" = ["apply"]))
)]
pub(super) async fn apply(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<Apply>,
    Parameters(query): Parameters<ApplyQuery>,
    OptionalObject(body): OptionalObject,
) -> Result<Json<Report>, Failure> {
    let how = ApplyRequest::join(query, &body)?;
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

fn plan(state: &State, tenant: &Tenant, how: &ApplyRequest, directory: &mut Directory) -> Result<Report, Failure> {
    let mut recorded = directory.read(tenant)?;
    if let Some(id) = &how.expect {
        recorded.expected_runs = directory.runs_of_plan(tenant, id)?;
    }
    let survey = state.host.survey(tenant).map_err(ApplyError::from)?;
    let unchecked = survey.silent.as_ref().map(|error| format!("the running Asterisk: {error}"));
    let comparison = compare(tenant, &recorded, &survey, unchecked.into_iter().collect()).map_err(ApplyError::from)?;
    let (allowance, places) = (Allowance::new(), NamePlaces::new());
    let comparison = state.host.complete(comparison, &survey, policy(&allowance, &places));
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
    how: &ApplyRequest,
    actor: String,
    directory: &mut Directory,
) -> Result<Report, Failure> {
    let decided = RefCell::new(None);
    let compare = |recorded: &Recorded, survey: &Survey| {
        let comparison = compare(tenant, recorded, survey, Vec::new())?;
        *decided.borrow_mut() = Some((comparison.id.clone(), comparison.plan.users.len(), comparison.diff()));
        Ok(comparison)
    };
    let show = |comparison: &mut Comparison| match stale(comparison, how).or_else(|| stopped(comparison)) {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    };
    let (allowance, places) = (Allowance::new(), NamePlaces::new());
    let (secrets, object_secrets) = (BTreeMap::new(), BTreeMap::new());
    let request = Request {
        tenant,
        secrets: &secrets,
        object_secrets: &object_secrets,
        keys: &state.keys,
        compare: &compare,
        show: &show,
        policy: policy(&allowance, &places),
        expect: how.expect.as_deref(),
        again: false,
        desired: DesiredFiles::new(),
        actor,
        git_commit: None,
    };
    let applied = deploy::apply(&request, directory, &state.host, &mut Log)?;
    let (plan_id, users, diff) = decided.take().unwrap_or_default();
    Ok(Report::Applied(run(applied, plan_id, users, diff)))
}

fn run(applied: ApplyOutcome, plan_id: Option<String>, users: usize, diff: String) -> Run {
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
            registrations_deleted: applied.expired,
        },
        files: applied
            .files
            .iter()
            .map(|(path, sha256)| GeneratedFile { written: written(path), path: path.clone(), sha256: sha256.clone() })
            .collect(),
        diff,
        reloaded: applied.reloaded.iter().map(|module| module.name).collect(),
        phases_ms: applied.phases,
        warnings: applied.warnings,
    }
}

/// Compares what is recorded with the files in place and what runs.
fn compare(tenant: &Tenant, recorded: &Recorded, survey: &Survey, unchecked: Vec<String>) -> Result<Comparison> {
    let plan = plan::as_recorded(tenant, recorded).ok_or_else(|| {
        let message = format!("the tenant `{tenant}` is not recorded yet");
        let hint = "run `reconcile sync` or `reconcile apply` with its file once".to_owned();
        let detail = Detail { message: message.clone(), hint: Some(hint), ..Detail::default() };
        Failure::new(ErrorType::TenantNotRecorded, message).with(vec![detail])
    })?;
    Ok(deploy::compare_plan(plan, recorded, survey, &Allowance::new(), unchecked)?)
}

/// Lets no rail pass. The places of names are in the file, which is not here.
fn policy<'a>(allowance: &'a Allowance, places: &'a NamePlaces) -> Policy<'a> {
    Policy { allowance, places, now: Timestamp::now() }
}

fn document(comparison: &Comparison) -> Option<Value> {
    let document = serde_json::to_value(json::document(comparison, &[]));
    document.inspect_err(|error| tracing::error!(%error, "the plan cannot be written as JSON")).ok()
}

fn stale(comparison: &Comparison, how: &ApplyRequest) -> Option<Failure> {
    let expected = how.expect.as_deref()?;
    (!comparison.is_expected(expected)).then(|| {
        let found = comparison.id.as_deref().unwrap_or("none");
        let message = format!("the plan is {found}, not the expected one; nothing was changed");
        let detail = Detail { plan: document(comparison), ..Detail::of("expect", "this is another plan") };
        Failure::new(ErrorType::PlanStale, message).with(vec![detail])
    })
}

fn stopped(comparison: &Comparison) -> Option<Failure> {
    let stops = &comparison.stops;
    (!stops.is_empty()).then(|| {
        let message = "the plan that was not applied".to_owned();
        Failure::stopped(stops).and(Detail { message, plan: document(comparison), ..Detail::default() })
    })
}

/// Logs what happens while it happens.
struct Log;

impl Observer for Log {
    fn phase(&mut self, name: &'static str) {
        tracing::info!(phase = name, "apply");
    }
}
