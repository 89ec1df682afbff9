//! Where each stage stands, for people and for programs.

mod text;

use std::{collections::BTreeMap, fmt::Write};

use anstyle::AnsiColor;
use anyhow::Result;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use text::text;

use super::{Desired, count, json::pretty, name_places, paint};
use crate::{
    asterisk::{ConfigFile, Facts},
    deploy::{
        Comparison, FileState, Generation, HostStatus, MissingFolder, MissingNeed, Override, Probed, TrunkRegistration,
    },
    directory::{Recorded, RecordedUser, UnreadableDocument, audit::Entry},
    model::Tenant,
    objects::Counts,
    plan::{Numbers, Plan},
    render::endpoint_name,
};

/// What the report is about.
#[derive(Debug)]
pub(crate) struct Status<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) host: &'a str,
    /// The database, without its password.
    pub(crate) database: &'a str,
    /// The file, or `None` if it is not compared.
    pub(crate) file: Option<&'a Desired>,
    /// Whether the file is not compared because it is invalid.
    pub(crate) is_file_invalid: bool,
    /// What the directory lacks of the file.
    pub(crate) behind: Option<&'a Plan>,
    pub(crate) recorded: &'a Recorded,
    pub(crate) numbers: Option<Numbers>,
    /// What the files lack of the directory; none before the first sync.
    pub(crate) comparison: Option<&'a Comparison>,
    pub(crate) here: Option<&'a HostStatus>,
    /// Why Asterisk was not asked.
    pub(crate) unasked: Option<&'a str>,
    /// Whether it was asked and did not answer.
    pub(crate) silent: bool,
    /// Asterisk's configuration folder, if this machine has none.
    pub(crate) no_folder: Option<&'a MissingFolder>,
    /// Whether to list the contacts of every user.
    pub(crate) registrations: bool,
    /// The last apply on each host.
    pub(crate) applies: &'a [Entry],
    /// When the rows last changed.
    pub(crate) changed_at: Option<Timestamp>,
}

/// One stage in words: whether it is in step with the one before it, and what is not.
#[derive(Debug, Serialize, JsonSchema)]
struct Stage {
    /// Whether it is in step; null where it was not compared.
    in_step: Option<bool>,
    /// What was found, a line each.
    findings: Vec<String>,
    /// What an administrator should know besides, a line each; it takes nothing from being in step.
    notes: Vec<String>,
}

impl Stage {
    fn of(findings: Vec<String>) -> Self {
        Self { in_step: Some(findings.is_empty()), findings, notes: Vec::new() }
    }

    fn unknown(why: &str) -> Self {
        Self { in_step: None, findings: vec![why.to_owned()], notes: Vec::new() }
    }

    /// Makes a stage of which something could not be compared: it may be in step or not.
    fn in_part(findings: Vec<String>, unknown: impl IntoIterator<Item = String>) -> Self {
        let in_step = if findings.is_empty() { None } else { Some(false) };
        Self { in_step, findings: findings.into_iter().chain(unknown).collect(), notes: Vec::new() }
    }

    fn with_notes(self, notes: impl IntoIterator<Item = String>) -> Self {
        Self { notes: notes.into_iter().collect(), ..self }
    }
}

/// The last apply on a host.
#[derive(Debug, Serialize, JsonSchema)]
struct LastApply<'a> {
    /// The host.
    host: &'a str,
    /// The run, for `reconcile history N`.
    run: i64,
    /// How it ended.
    outcome: &'a str,
    /// When it started, in UTC.
    started_at: String,
    /// Who ran it.
    actor: &'a str,
    /// The commit of the desired state.
    git_commit: Option<&'a str>,
    /// Whether that host runs less than what is recorded.
    behind: bool,
}

/// What is recorded about inbound calls, and whether callers reach it.
#[derive(Debug, Serialize, JsonSchema)]
struct Inbound {
    /// Whether calls use the recorded routes: its routes were applied, and no carrier rejects a trunk.
    in_step: bool,
    /// The apply whose routes callers reach; null before the first one.
    applied_run: Option<i64>,
    #[serde(flatten)]
    counts: Counts,
    /// How the trunks that register stand at their carriers, in Asterisk's words, by trunk: `Registered`,
    /// `Unregistered` (not answered yet), `Rejected`, `Stopped` or `Absent`; null if Asterisk was not asked.
    registrations: Option<BTreeMap<String, String>>,
}

/// The status of a tenant on one host.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusDocument<'a> {
    /// The version of this document: 1.
    format_version: u32,
    /// The tenant's slug.
    tenant: &'a str,
    /// The Asterisk host that was looked at.
    host: &'a str,
    /// Whether every stage that was compared is in step with the one before it.
    in_step: bool,
    /// The directory beside the file.
    recorded: Stage,
    /// The generated files beside the directory.
    rendered: Stage,
    /// The running Asterisk beside the generated files.
    running: Stage,
    /// What somebody else changed in the files: unified diff towards what is recorded, secrets masked.
    edits: BTreeMap<&'a str, &'a str>,
    /// Users with a registered phone; null where Asterisk was not asked.
    registered: Option<usize>,
    /// Users among them whose phones do not answer Asterisk's probes; null where Asterisk was not asked.
    unreachable: Option<usize>,
    /// Users among them whose phones Asterisk has not probed yet; null where Asterisk was not asked.
    unprobed: Option<usize>,
    /// Registered contacts by e-mail or id; null unless asked for.
    registrations: Option<BTreeMap<&'a str, usize>>,
    /// The numbers of the range; null before the first sync.
    numbers: Option<Numbers>,
    /// Inbound calls; null where there never were any.
    inbound: Option<Inbound>,
    /// The last apply on each host, by host.
    last_applies: Vec<LastApply<'a>>,
}

impl Status<'_> {
    /// Tells whether every stage that was compared is in step with the one before it.
    pub(crate) fn in_step(&self) -> bool {
        let stages = [self.recorded(), self.rendered(), self.running()];
        stages.iter().all(|stage| stage.in_step != Some(false)) && self.inbound().is_none_or(|inbound| inbound.in_step)
    }

    fn inbound(&self) -> Option<Inbound> {
        let Recorded { routes, applied, unreadable, .. } = self.recorded;
        (unreadable.is_empty() && (!routes.is_empty() || applied.is_some())).then(|| Inbound {
            in_step: self.comparison.is_none_or(|comparison| !comparison.callers_behind)
                && (!routes.have_endpoints() || !(self.silent || self.lacks_dialplan()))
                && self.at_carriers().is_none_or(|carriers| carriers.values().all(TrunkRegistration::may_arrive)),
            applied_run: applied.as_ref().map(|applied| applied.run),
            counts: routes.counts(),
            registrations: self
                .at_carriers()
                .map(|trunks| trunks.iter().map(|(name, trunk)| (name.clone(), trunk.word().to_owned())).collect()),
        })
    }

    /// How trunks stand at their carriers; `None` if Asterisk was not asked.
    fn at_carriers(&self) -> Option<&BTreeMap<String, TrunkRegistration>> {
        Some(&self.here?.running.as_ref()?.carriers)
    }

    fn recorded(&self) -> Stage {
        if !self.recorded.unreadable.is_empty() {
            return Stage::of(self.recorded.unreadable.iter().take(LISTED).map(unreadable).collect());
        }
        let Some(plan) = self.behind else {
            return Stage::unknown(if self.is_file_invalid {
                "not compared with the file, which is invalid; `reconcile check` says what is wrong"
            } else {
                "not compared with a file (--tenant)"
            });
        };
        let mut findings: Vec<String> = plan.problems.iter().map(|problem| problem.message.clone()).collect();
        if !plan.is_empty() {
            let counts = &plan.counts;
            let kinds = [
                (counts.create, "to create"),
                (counts.update, "to update"),
                (counts.rename, "to rename"),
                (counts.adopt, "to adopt"),
                (counts.delete, "to delete"),
                (plan.changes.of_settings().count(), "of the settings to change"),
                (plan.changes.of_objects().count(), "of inbound calls to change"),
            ];
            let words = kinds.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
            findings.push(format!("behind the file: {}; see `reconcile plan`", words.collect::<Vec<_>>().join(", ")));
        }
        if plan.unresolved.is_empty() {
            return Stage::of(findings);
        }
        let values = count(plan.unresolved.len(), "declared value");
        let reasons = plan.unresolved.join("; ");
        Stage::in_part(findings, [format!("{values} cannot be read here, not compared: {reasons}")])
    }

    /// Says why the host was not looked at.
    fn why_not_here(&self) -> &'static str {
        if self.recorded.unreadable.is_empty() {
            "nothing is recorded yet"
        } else {
            "not compared: what is recorded cannot be read"
        }
    }

    fn rendered(&self) -> Stage {
        let (Some(here), Some(comparison)) = (self.here, self.comparison) else {
            return Stage::unknown(self.why_not_here());
        };
        if let Some(folder) = self.no_folder {
            return Stage::of(vec![format!("{folder}: {}", folder.hint())]);
        }
        let mut findings: Vec<String> = comparison.stops.iter().map(|stop| stop.message.clone()).collect();
        for (state, path) in here.files.iter().map(|(file, state)| (state, &comparison.files[file].path)) {
            findings.extend(match state {
                None | Some(FileState::InStep) => None,
                Some(FileState::Missing) => Some(format!("{path} is missing; {}", self.remedy("writes"))),
                Some(FileState::Behind) => Some(format!("{path} differs from the database; {}", self.remedy("renews"))),
                Some(FileState::Edited) => {
                    Some(format!("{path} was edited by hand or cut short; {}", self.remedy("repairs")))
                }
            });
        }
        Stage::of(findings)
    }

    /// Says what an apply does to a file: it does nothing if a rail stops it.
    fn remedy(&self, verb: &str) -> String {
        let stops = self.comparison.map(|comparison| comparison.stops.as_slice()).unwrap_or_default();
        let rails: Vec<String> = stops.iter().map(|stop| format!("rail-{}", stop.rail)).collect();
        if rails.is_empty() {
            format!("`reconcile apply` {verb} it")
        } else {
            format!("`reconcile apply` would stop at {}", rails.join(" and "))
        }
    }

    fn running(&self) -> Stage {
        let mut findings = Vec::new();
        if let Some(why) = self.unasked.filter(|_| self.silent) {
            findings.push(why.to_owned());
        }
        let Some(here) = self.here else {
            return if findings.is_empty() { Stage::unknown(self.why_not_here()) } else { Stage::of(findings) };
        };
        findings.extend(
            here.missing_includes
                .iter()
                .map(|line| format!("Asterisk does not include the generated file: add {line}")),
        );
        findings.extend(here.included_twice.iter().map(|stop| format!("{}: {}", stop.message, stop.hint)));
        findings.extend(overrides(&here.overrides));
        let Some(running) = &here.running else {
            return match self.unasked {
                Some(why) if findings.is_empty() => Stage::unknown(why),
                _ => Stage::of(findings),
            };
        };
        for (file, generation) in running.generations.iter() {
            let Facts { reader, noun, .. } = file.facts();
            findings.extend(match generation {
                Generation::InPlace => None,
                Generation::Applied => Some(format!(
                    "cannot tell whether {reader} runs the {noun} as applied or as edited: both have the same \
                         generation mark"
                )),
                Generation::Another(mark) => Some(format!("{reader} runs another generation of the {noun} ({mark})")),
                Generation::Absent => Some(format!("{reader} runs no generation of the {noun}")),
                Generation::NotInPlace => Some(format!("{reader} runs another generation of the {noun}, or none")),
            });
        }
        findings.extend(running.missing.iter().map(ToString::to_string));
        findings.extend(running.lacks.iter().map(MissingNeed::words));
        let places = self.file.map(name_places).unwrap_or_default();
        let names = running.missing_names.iter();
        findings.extend(names.map(|missing| format!("{}: {}", missing.words(&places), missing.hint())));
        let unread =
            here.unread.iter().map(|error| format!("what the operator's own files include and change: {error}"));
        let unchecked: Vec<String> = running.unchecked_names.iter().cloned().chain(unread).collect();
        let stage = if unchecked.is_empty() {
            Stage::of(findings)
        } else {
            Stage::in_part(findings, unchecked.iter().map(|name| format!("not checked: {name}")))
        };
        stage.with_notes(running.notes.iter().cloned())
    }

    /// Says which trunks are not registered at their carriers.
    fn carriers(&self) -> Vec<(AnsiColor, String)> {
        let trunks = self.at_carriers().into_iter().flatten().filter(|(_, trunk)| !trunk.is_registered());
        let words = trunks.map(|(name, trunk)| {
            if trunk.is_pending() {
                let words = "its carrier has not answered the registration yet";
                return (AnsiColor::Yellow, format!("trunk `{name}` is {}: {words}", trunk.word()));
            }
            let words = "calls to its numbers do not arrive; see its `host`, `username` and `secret`";
            (AnsiColor::Red, format!("trunk `{name}` is {}: {words}", trunk.word()))
        });
        words.collect()
    }

    /// Writes for people what is recorded about inbound calls, and whether callers reach it.
    fn inbound_lines(&self, color: bool) -> String {
        let mut text = String::new();
        let Some(inbound) = self.inbound() else { return text };
        let Inbound { applied_run, counts, .. } = inbound;
        let counts: Vec<String> = counts.iter().map(|(kind, number)| count(number, kind.word())).collect();
        let counts = counts.join(", ");
        let has_endpoints = self.recorded.routes.have_endpoints();
        let behind = self.comparison.is_some_and(|comparison| comparison.callers_behind);
        let carriers = self.carriers();
        let (tone, words) = match (behind, applied_run) {
            (false, _) if has_endpoints && self.silent => {
                (AnsiColor::Red, "calls over trunks do not arrive while Asterisk does not answer".to_owned())
            }
            (false, _) if has_endpoints && self.lacks_dialplan() => {
                (AnsiColor::Red, "calls over trunks do not arrive on this host yet; run `reconcile apply`".to_owned())
            }
            (false, _) if carriers.iter().any(|(tone, _)| *tone == AnsiColor::Red) => {
                (AnsiColor::Red, "some calls over trunks do not arrive".to_owned())
            }
            (false, _) => (AnsiColor::Green, "calls use the recorded routes".to_owned()),
            (true, Some(run)) => {
                (AnsiColor::Red, format!("calls still use the routes of run {run}; run `reconcile apply`"))
            }
            (true, None) => {
                (AnsiColor::Red, "the recorded routes are not in use yet; run `reconcile apply`".to_owned())
            }
        };
        let _ = writeln!(text, "inbound     {counts}: {}", paint(color, tone, &words));
        if has_endpoints && !self.silent && self.at_carriers().is_none() {
            let _ = writeln!(text, "            the registrations of trunks were not checked");
        }
        for (tone, words) in carriers {
            let _ = writeln!(text, "            {}", paint(color, tone, &words));
        }
        text
    }

    /// Tells whether Asterisk runs no dialplan of ours.
    fn lacks_dialplan(&self) -> bool {
        let running = self.here.and_then(|here| here.running.as_ref());
        running.is_some_and(|running| {
            matches!(running.generations[ConfigFile::Routing], Generation::Absent | Generation::NotInPlace)
        })
    }

    fn edits(&self) -> BTreeMap<&str, &str> {
        let (Some(here), Some(comparison)) = (self.here, self.comparison) else { return BTreeMap::new() };
        let edited = here.files.iter().filter(|(_, state)| **state == Some(FileState::Edited));
        let edited = edited.map(|(file, _)| &comparison.files[file]);
        edited.map(|file| (file.path.as_str(), file.diff.text.as_str())).collect()
    }

    /// What Asterisk's probes found out; `None` if Asterisk was not asked.
    fn probed(&self) -> Option<&Probed> {
        Some(&self.here?.running.as_ref()?.probed)
    }

    /// Counts the contacts of every user, by number.
    fn contacts(&self) -> Option<Vec<(&RecordedUser, usize)>> {
        let running = self.here?.running.as_ref()?;
        let names = self.recorded.tenant.as_ref()?.settings.endpoint_names;
        let count = |user: &RecordedUser| {
            running.registrations.get(&endpoint_name(self.tenant, names, user.extension)).copied().unwrap_or(0)
        };
        let mut users: Vec<_> = self.recorded.users.values().map(|user| (user, count(user))).collect();
        users.sort_by_key(|(user, _)| user.extension);
        Some(users)
    }

    fn last_applies(&self) -> Vec<LastApply<'_>> {
        let stale = |entry: &Entry| self.changed_at.is_some_and(|changed| changed > entry.started_at);
        let applies = self.applies.iter().map(|entry| LastApply {
            host: &entry.host,
            run: entry.run,
            outcome: &entry.outcome,
            started_at: seconds(entry.started_at),
            actor: &entry.actor,
            git_commit: entry.git_commit.as_deref(),
            behind: !["live", "rendered"].contains(&entry.outcome.as_str()) || stale(entry),
        });
        applies.collect()
    }
}

/// How many overrides and unreadable documents are listed.
const LISTED: usize = 5;

/// Says which document cannot be read, and what to do about it.
fn unreadable(document: &UnreadableDocument) -> String {
    document.hint().map_or_else(|| document.to_string(), |hint| format!("{document}: {hint}"))
}

/// Says which sections of other files change ours.
fn overrides(overrides: &[Override]) -> Vec<String> {
    let mut words: Vec<String> =
        overrides.iter().take(LISTED).map(|found| format!("{}: remove that section", found.words())).collect();
    let more = overrides.len().saturating_sub(LISTED);
    if more > 0 {
        words.push(format!("{} more of other files change what reconcile generates", count(more, "section")));
    }
    words
}

/// Writes a time to the second.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes the status for programs.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn json(status: &Status<'_>) -> Result<String> {
    let contacts = status.contacts();
    let by_email = |contacts: &Vec<(&RecordedUser, usize)>| {
        contacts.iter().map(|(user, count)| (user.email.as_str().to_owned(), *count)).collect::<BTreeMap<_, _>>()
    };
    let registrations = contacts.as_ref().filter(|_| status.registrations).map(by_email);
    pretty(&StatusDocument {
        format_version: 1,
        tenant: status.tenant.as_str(),
        host: status.host,
        in_step: status.in_step(),
        recorded: status.recorded(),
        rendered: status.rendered(),
        running: status.running(),
        edits: status.edits(),
        registered: contacts.as_ref().map(|users| users.iter().filter(|(_, count)| *count > 0).count()),
        unreachable: status.probed().map(|probed| probed.unreachable.len()),
        unprobed: status.probed().map(|probed| probed.unprobed.len()),
        registrations: registrations
            .as_ref()
            .map(|counts| counts.iter().map(|(email, count)| (email.as_str(), *count)).collect()),
        numbers: status.numbers,
        inbound: status.inbound(),
        last_applies: status.last_applies(),
    })
}

/// Writes the JSON schema of the status.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn schema() -> Result<String> {
    pretty(&schemars::schema_for!(StatusDocument<'static>))
}
