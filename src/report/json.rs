//! The plan for programs: one sorted document, versioned, described by `schema/plan.schema.json`.

use std::{borrow::Cow, collections::BTreeMap};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Desired, Report};
use crate::{
    deploy::{ComparedFile, Comparison},
    desired::{Expectation, Sources},
    model::{Caller, E164, Identity},
    plan::{self, Affected, Change, FieldChange, Plan},
};

/// The version of this document: raised when a reader of the old one would misunderstand it.
const FORMAT_VERSION: u32 = 1;

/// A plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanDocument<'a> {
    /// The version of this document: 1.
    format_version: u32,
    /// The plan's id, for `apply --expect`; null where it cannot be applied.
    id: Option<&'a str>,
    /// The tenant's slug.
    tenant: &'a str,
    /// Whether an apply would move anything.
    has_changes: bool,
    /// How many users change, by kind.
    counts: BTreeMap<&'static str, usize>,
    /// Whom the plan affects, counted.
    affected: AffectedCounts,
    /// Changes of the tenant's settings; of a tenant that is not recorded yet, all of them.
    settings: Vec<Setting<'a>>,
    /// Changes of users, by e-mail or id.
    users: Vec<User<'a>>,
    /// Phones that must log in again though their rows stay: a secret that was recorded and not applied yet, or
    /// a file in place that does not fit the rows.
    relogins: Vec<Relogin<'a>>,
    /// Objects whose secret was recorded and not applied yet, though nothing else of them changes, such as
    /// `trunk carrier`.
    secrets_behind: Vec<String>,
    /// Changes about inbound calls.
    inbound: Vec<Inbound<'a>>,
    /// The declared tests of the routes, by call; all of them hold.
    expectations: Vec<Expected<'a>>,
    /// The generated files.
    files: Vec<File<'a>>,
    /// The Asterisk modules to reload.
    reload: Vec<&'static str>,
    /// Users made through the API, which are left alone.
    api_users: usize,
    /// Rails that stop an apply.
    rails: Vec<Rail<'a>>,
    /// What an administrator should know.
    notes: &'a [String],
    /// What was not compared, with the reason.
    unchecked: Vec<&'a str>,
}

/// Whom the plan affects. A phone counts once, in the first of `ended`, `relogin`, `moved`, `reread`, `dialing` and
/// `left_alone` that is true of it. Phones that are only made by the plan are not counted.
#[derive(Debug, Serialize, JsonSchema)]
struct AffectedCounts {
    /// Phones whose registration ends because their user is gone.
    ended: usize,
    /// Phones that must log in again: their number, realm, endpoint name or secret changes.
    relogin: usize,
    /// Phones that must register over another transport.
    moved: usize,
    /// Phones whose sections are read again. They stay registered.
    reread: usize,
    /// Phones that can dial something else, because `extensions.range` or `dialplan.include` changes.
    dialing: usize,
    /// Phones that stay, of which nothing changes.
    left_alone: usize,
    /// Trunks that change, come or go.
    trunks: usize,
    /// Public numbers whose calls may go another way.
    numbers: usize,
}

/// A change of the tenant's settings.
#[derive(Debug, Serialize, JsonSchema)]
struct Setting<'a> {
    /// The key, as in the file, and its values.
    #[serde(flatten)]
    change: Field<'a>,
    /// How many phones of users who stay the change reaches.
    phones: usize,
}

#[expect(clippy::struct_field_names, reason = "the words of the document")]
/// One property before and after.
#[derive(Debug, Serialize, JsonSchema)]
struct Field<'a> {
    /// The key, as in the file.
    field: &'a str,
    /// The value before; null where there was none.
    before: Option<Cow<'a, str>>,
    /// The value after; null where there will be none.
    after: Option<Cow<'a, str>>,
}

/// One user's change.
#[derive(Debug, Serialize, JsonSchema)]
struct User<'a> {
    /// `create`, `update`, `rename`, `adopt` or `delete`.
    #[schemars(with = "String")]
    action: plan::Kind,
    /// Who, the new one of a renamed user.
    #[serde(flatten)]
    who: Who<'a>,
    /// The number afterwards; of a deleted user the one that is freed.
    extension: u32,
    /// The display name afterwards; null for a deleted user.
    name: Option<&'a str>,
    /// Whether deletion and renumbering are refused afterwards; null for a deleted user.
    protected: Option<bool>,
    /// Whether the secret comes from a variable or a file afterwards, and is not a generated one; null for a deleted
    /// user.
    secret_declared: Option<bool>,
    /// Why a new user gets this number: `pinned`, `held` or `lowest-free`.
    #[schemars(with = "Option<String>")]
    choice: Option<plan::Choice>,
    /// What changes.
    fields: Vec<Field<'a>>,
    /// Whether the secret becomes another one.
    secret_changed: bool,
    /// Whether the phone must log in again.
    relogin: bool,
    /// Where the user is declared, as `file:line`.
    place: Option<String>,
}

/// What identifies a user, in any document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Who<'a> {
    /// The e-mail; null for a phone that belongs to nobody.
    email: Option<&'a str>,
    /// The id of a phone that belongs to nobody, as in the file; absent for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_id: Option<&'a str>,
}

impl<'a> Who<'a> {
    pub(crate) fn of(identity: &'a Identity) -> Self {
        Self { email: identity.email(), phone_id: identity.phone_id() }
    }
}

/// A phone that must log in again though its row stays.
#[derive(Debug, Serialize, JsonSchema)]
struct Relogin<'a> {
    /// Who.
    #[serde(flatten)]
    who: Who<'a>,
    /// The number.
    extension: u32,
}

/// One change about inbound calls.
#[derive(Debug, Serialize, JsonSchema)]
struct Inbound<'a> {
    /// `create`, `update` or `delete`.
    #[schemars(with = "String")]
    action: plan::Kind,
    /// `trunk`, `dialer`, `hours`, `route`, `default_route`, `public_sip_host` or `caller_id`.
    object: String,
    /// Its name, or what a route is for; null where there is only one.
    name: Option<&'a str>,
    /// What changes.
    fields: Vec<Field<'a>>,
    /// Whether a trunk's secret becomes another one.
    secret_changed: bool,
    /// Where it is declared, as `file:line`.
    place: Option<String>,
}

/// A test of the routes.
#[derive(Debug, Serialize, JsonSchema)]
struct Expected<'a> {
    /// The call.
    call: ExpectedCall<'a>,
    /// Who gets it first: a dialer, a user's e-mail, a phone's id, `hangup` or `busy`.
    reaches: String,
    /// Where it is declared, as `file:line:column`.
    place: String,
}

/// A call that is thought of.
#[derive(Debug, Serialize, JsonSchema)]
struct ExpectedCall<'a> {
    /// The number that is called.
    to: &'a str,
    /// Whoever calls; null for somebody no rule is for in particular.
    from: Option<&'a str>,
    /// When, in UTC.
    at: String,
}

/// A generated file.
#[derive(Debug, Serialize, JsonSchema)]
struct File<'a> {
    /// Its path below Asterisk's configuration folder.
    path: &'a str,
    /// Whether it must be written; null if that is not known, because a declared value cannot be read.
    changed: Option<bool>,
    /// The SHA-256 of what it shall be, with secrets and marks masked.
    sha256: &'a str,
    /// Lines added.
    added: usize,
    /// Lines removed.
    removed: usize,
    /// The unified diff, secrets masked.
    diff: &'a str,
}

#[expect(clippy::struct_field_names, reason = "the words of the document")]
/// A rail that stops an apply.
#[derive(Debug, Serialize, JsonSchema)]
struct Rail<'a> {
    /// Its name.
    rail: &'a str,
    /// What would happen.
    message: &'a str,
    /// The way out.
    hint: &'a str,
}

/// Writes the plan.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn plan(report: &Report<'_>) -> Result<String> {
    let Report { desired, comparison, .. } = report;
    pretty(&PlanDocument { expectations: expectations(desired), ..document(comparison, &desired.sources) })
}

fn expectations(desired: &Desired) -> Vec<Expected<'_>> {
    let mut declared: Vec<_> = desired.declared.expectations.iter().collect();
    let key = |Expectation { call, reaches, place }: &Expectation| {
        let from = call.from.as_ref().map(|from| from.as_str().to_owned());
        (call.to.clone(), from, call.at, reaches.clone(), *place)
    };
    declared.sort_by_cached_key(|expectation| key(expectation));
    declared.into_iter().map(|expectation| expected(expectation, &desired.sources)).collect()
}

fn expected<'a>(expectation: &'a Expectation, sources: &Sources) -> Expected<'a> {
    let Expectation { call, reaches, place } = expectation;
    let to = call.to.as_ref().map(E164::as_str).unwrap_or_default();
    let call = ExpectedCall { to, from: call.from.as_ref().map(Caller::as_str), at: call.at.to_string() };
    Expected { call, reaches: reaches.to_string(), place: format!("{}:{}", place.show(sources), place.column) }
}

/// Makes the document of a plan, with places in these sources and without a file's expectations.
pub(crate) fn document<'a>(comparison: &'a Comparison, sources: &Sources) -> PlanDocument<'a> {
    let Comparison { plan, effects, .. } = comparison;
    PlanDocument {
        format_version: FORMAT_VERSION,
        id: comparison.id.as_deref(),
        tenant: plan.tenant.as_str(),
        has_changes: !comparison.is_empty(),
        counts: plan.counts.by_kind().into_iter().chain([("relogin", plan.count_relogins(effects))]).collect(),
        affected: affected(comparison.affected()),
        settings: settings(comparison),
        users: plan.changes.iter().map(|change| user(plan, change, sources)).collect(),
        relogins: effects
            .relogins
            .iter()
            .filter_map(|number| plan.users.get(number))
            .map(|user| Relogin { who: Who::of(&user.email), extension: user.extension.number() })
            .collect(),
        secrets_behind: plan.secrets_behind.iter().map(|(kind, name)| format!("{kind} {name}")).collect(),
        inbound: plan
            .inbound
            .iter()
            .map(|change| Inbound {
                action: change.kind,
                object: change.object.to_string(),
                name: Some(change.name.as_str()).filter(|name| !name.is_empty()),
                fields: fields(&change.fields),
                secret_changed: change.secret_changed,
                place: change.place.map(|place| place.show(sources)),
            })
            .collect(),
        expectations: Vec::new(),
        files: comparison
            .kept_files()
            .map(|ComparedFile { path, diff, fingerprint, .. }| File {
                path,
                changed: (diff.changed || plan.unresolved.is_empty()).then_some(diff.changed),
                sha256: fingerprint,
                added: diff.added,
                removed: diff.removed,
                diff: &diff.text,
            })
            .collect(),
        reload: comparison.reload.iter().map(|module| module.name).collect(),
        api_users: plan.api_users,
        rails: comparison
            .stops
            .iter()
            .map(|stop| Rail { rail: stop.rail, message: &stop.message, hint: &stop.hint })
            .collect(),
        notes: &comparison.notes,
        unchecked: plan.unresolved.iter().chain(&comparison.unchecked).map(String::as_str).collect(),
    }
}

/// Lists what changes in the settings; of a new tenant all that are set.
fn settings(comparison: &Comparison) -> Vec<Setting<'_>> {
    let Comparison { plan, effects, .. } = comparison;
    if plan.is_new {
        let all = plan::all_settings(&plan.settings).into_iter();
        let all = all.map(|FieldChange { field, before, after }| Field {
            field,
            before: before.map(Cow::Owned),
            after: after.map(Cow::Owned),
        });
        return all.map(|change| Setting { change, phones: 0 }).collect();
    }
    let changes = plan.settings_changes.iter();
    changes.map(|change| Setting { change: field(change), phones: plan.touched_by(change, effects) }).collect()
}

fn user<'a>(plan: &'a Plan, change: &'a Change, sources: &Sources) -> User<'a> {
    let after = plan.user_after(change);
    User {
        action: change.kind,
        who: Who::of(&change.email),
        extension: change.extension.number(),
        name: after.map(|user| user.name.as_str()),
        protected: after.map(|user| user.protected),
        secret_declared: after.map(|user| user.secret_declared),
        choice: change.choice,
        fields: fields(&change.fields),
        secret_changed: change.secret_changed,
        relogin: change.relogin,
        place: change.place.map(|place| place.show(sources)),
    }
}

/// Writes any document.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn pretty(document: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(document).context("cannot write the JSON document")?;
    text.push('\n');
    Ok(text)
}

/// Writes the JSON schema of the plan document.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn schema() -> Result<String> {
    pretty(&schemars::schema_for!(PlanDocument<'static>))
}

fn fields(changes: &[FieldChange]) -> Vec<Field<'_>> {
    changes.iter().map(field).collect()
}

fn field(change: &FieldChange) -> Field<'_> {
    let FieldChange { field, before, after } = change;
    Field { field, before: before.as_deref().map(Cow::Borrowed), after: after.as_deref().map(Cow::Borrowed) }
}

fn affected(counts: Affected) -> AffectedCounts {
    let Affected { ended, relogin, moved, reread, dialing, left_alone, carriers, numbers } = counts;
    AffectedCounts { ended, relogin, moved, reread, dialing, left_alone, trunks: carriers, numbers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_as_json_is_an_error_and_no_empty_document() {
        let unwritable = BTreeMap::from([((1, 2), 3)]);
        let error = pretty(&unwritable).unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot write the JSON document: key must be a string");
    }
}
