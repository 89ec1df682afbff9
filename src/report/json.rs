//! The plan for programs: one sorted document, versioned, described by `schema/plan.schema.json`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Desired, Report};
use crate::{
    deploy::{ComparedFile, Comparison},
    desired::{Expectation, Sources},
    model::{Caller, E164, Identity},
    plan::{self, Affected, Change, FieldChange, Plan, Subject, UserChange},
};

/// The version of this document: raised when a reader of the old one would misunderstand it.
const FORMAT_VERSION: u32 = 2;

/// A plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanDocument<'a> {
    /// The version of this document: 2.
    format_version: u32,
    /// The plan's id, for `apply --expect`; null where it cannot be applied.
    id: Option<&'a str>,
    /// The tenant's slug.
    tenant: &'a str,
    /// When the file of `--recorded` was written that the plan was made against, in UTC; null if the database was read.
    recorded_at: Option<String>,
    /// Whether an apply would move anything.
    has_changes: bool,
    /// How many users change, by kind.
    counts: BTreeMap<&'static str, usize>,
    /// Whom the plan affects, counted.
    affected: AffectedCounts,
    /// What changes: settings, users by e-mail or id, and objects by kind and name. Of a tenant that is not recorded yet,
    /// all settings that have a value.
    changes: Vec<ChangeEntry<'a>>,
    /// Phones that must log in again though their rows stay: a secret that was recorded and not applied yet, or
    /// a file in place that does not fit the rows.
    relogins: Vec<Relogin<'a>>,
    /// Objects whose secret was recorded and not applied yet, though nothing else of them changes, such as
    /// `trunk carrier`.
    secrets_behind: Vec<String>,
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
    /// Phones that can dial other numbers or contexts, because `extensions.range` or `dialplan.include` changes.
    dialing: usize,
    /// Phones that stay, of which nothing changes.
    left_alone: usize,
    /// Trunks that change, come or go.
    trunks: usize,
    /// Public numbers whose calls may go another way.
    numbers: usize,
}

/// One change.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangeEntry<'a> {
    /// `create`, `update` or `delete`; of a user also `rename` or `adopt`.
    #[schemars(with = "String")]
    action: plan::Kind,
    /// What it is about: `setting`, `user`, or the kind of an object, such as `trunk`.
    object: String,
    /// The key of a setting, the e-mail or id of a user, the name of an object, or what a route is for; null where there
    /// is only one.
    name: Option<String>,
    /// What is said of a user besides; null of all others.
    user: Option<User<'a>>,
    /// What changes.
    fields: Vec<FieldChange>,
    /// Whether the secret becomes another one. Also true of a new user who was deleted before and gets a generated secret.
    secret_changed: bool,
    /// How many phones of users who stay a setting reaches; null of all others.
    phones: Option<usize>,
    /// Where it is declared, as `file:line`.
    place: Option<String>,
}

/// A user who changes.
#[derive(Debug, Serialize, JsonSchema)]
struct User<'a> {
    /// Who, the new one of a renamed user.
    #[serde(flatten)]
    who: UserIdentity<'a>,
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
    /// Whether the phone must log in again.
    relogin: bool,
}

/// What identifies a user, in any document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UserIdentity<'a> {
    /// The e-mail; null for a phone that belongs to nobody.
    email: Option<&'a str>,
    /// The id of a phone that belongs to nobody, as in the file; absent for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_id: Option<&'a str>,
}

impl<'a> UserIdentity<'a> {
    pub(crate) fn of(identity: &'a Identity) -> Self {
        Self { email: identity.email(), phone_id: identity.phone_id() }
    }
}

/// A phone that must log in again though its row stays.
#[derive(Debug, Serialize, JsonSchema)]
struct Relogin<'a> {
    /// Who.
    #[serde(flatten)]
    who: UserIdentity<'a>,
    /// The number.
    extension: u32,
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
    let Report { desired, comparison, recorded_in, .. } = report;
    pretty(&PlanDocument {
        recorded_at: recorded_in.written_at().map(|time| time.to_string()),
        expectations: expectations(desired),
        ..document(comparison, &desired.sources)
    })
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
        recorded_at: None,
        has_changes: !comparison.is_empty(),
        counts: plan.counts.by_kind().into_iter().chain([("relogin", plan.count_relogins(effects))]).collect(),
        affected: affected(comparison.affected()),
        changes: changes(comparison, sources),
        relogins: effects
            .relogins
            .iter()
            .filter_map(|number| plan.users.get(number))
            .map(|user| Relogin { who: UserIdentity::of(&user.email), extension: user.extension.number() })
            .collect(),
        secrets_behind: plan.secrets_behind.iter().map(|(kind, name)| format!("{kind} {name}")).collect(),
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

/// Lists all changes; of a new tenant also all settings.
fn changes<'a>(comparison: &'a Comparison, sources: &Sources) -> Vec<ChangeEntry<'a>> {
    let Comparison { plan, effects, .. } = comparison;
    let new = plan.is_new.then(|| plan::all_settings(&plan.settings)).into_iter().flatten();
    let new = new.map(|change| entry(&change, None, Some(0), sources));
    let entries = plan.changes.iter().map(|change| {
        let phones = change.setting().map(|key| plan.touched_by(key, effects));
        entry(change, change.user().map(|user| of_user(plan, change.kind, user)), phones, sources)
    });
    new.chain(entries).collect()
}

fn entry<'a>(change: &Change, user: Option<User<'a>>, phones: Option<usize>, sources: &Sources) -> ChangeEntry<'a> {
    let (object, name) = match &change.subject {
        Subject::Setting(key) => ("setting".to_owned(), (*key).to_owned()),
        Subject::User(user) => ("user".to_owned(), user.email.to_string()),
        Subject::Object((kind, name)) => (kind.to_string(), name.clone()),
    };
    ChangeEntry {
        action: change.kind,
        object,
        name: Some(name).filter(|name| !name.is_empty()),
        user,
        fields: change.fields.clone(),
        secret_changed: change.secret_changed,
        phones,
        place: change.place.map(|place| place.show(sources)),
    }
}

fn of_user<'a>(plan: &'a Plan, kind: plan::Kind, user: &'a UserChange) -> User<'a> {
    let after = plan.user_after(kind, user);
    User {
        who: UserIdentity::of(&user.email),
        extension: user.extension.number(),
        name: after.map(|user| user.name.as_str()),
        protected: after.map(|user| user.protected),
        secret_declared: after.map(|user| user.secret_declared),
        choice: user.choice,
        relogin: user.relogin,
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
