//! All four stages side by side: the plan, what it does to the files in place, and what Asterisk
//! would have to reload. Pure: what is in place and what runs come in as arguments.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    mem,
};

use super::{
    Survey, callers,
    effects::{FileEffects, ended, foreign_digests, made, other_logins, phone_name, successors},
    few::first_few,
    findings::Findings,
    other_pins,
    survey::{InPlace, kept},
    taken_boxes,
};
use crate::{
    asterisk::{BadValue, ConfigFile, Module, PerFile},
    directory::{BadGeneration, EarlierRun, Recorded, RowChanges, seal::ObjectPrint},
    model::{Extension, Prints, UserKey, hex},
    objects::ObjectId,
    plan::{self, Affected, Allowance, Effects, Inputs, Plan, PlannedUser, RailStop, SecretPlan, plan_id, target_hash},
    render::{self, Digests, File, FileDiff, ParsedPhone, Phonebook, Present},
};
use sha2::{Digest, Sha256};

/// The stages could not be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// A value cannot be rendered into Asterisk's configuration.
    #[error(transparent)]
    Render(#[from] BadValue),
    /// The plan cannot be written as JSON, so that it has no id.
    #[error("the plan has no id: {0}")]
    Id(#[from] serde_json::Error),
}

/// A plan together with what it does to files and Asterisk.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) plan: Plan,
    /// What becomes of phones, trunks and public numbers, as far as it is known here.
    pub(crate) effects: Effects,
    /// Rails that stop the plan from being applied: those of the rows, of the files in place and of the host.
    pub(crate) stops: Vec<RailStop>,
    /// What an administrator should know: the notes of the plan, and those of the later stages.
    pub(crate) notes: Vec<String>,
    /// The id, or `None` if the plan cannot be applied.
    pub(crate) id: Option<String>,
    /// What becomes of the files.
    pub(crate) files: PerFile<ComparedFile>,
    /// Modules to reload, as far as it is known.
    pub(crate) reload: Vec<Module>,
    /// Whether callers still reach something else than what is recorded.
    pub(crate) callers_behind: bool,
    /// What was not looked at, with the reason.
    pub(crate) unchecked: Vec<String>,
    /// The run that recorded the expected plan, if what it recorded is exactly what this plan leads to.
    pub(crate) earlier: Option<EarlierRun>,
    /// What Asterisk does not answer about itself: an apply goes on, and warns.
    pub(crate) unasked: Vec<String>,
}

/// A generated file, and how the one in place differs from it.
#[derive(Debug)]
pub(crate) struct ComparedFile {
    /// Its path below Asterisk's configuration folder.
    pub(crate) path: String,
    /// The difference.
    pub(crate) diff: FileDiff,
    /// The SHA-256 of what it shall be, with secrets and marks masked.
    pub(crate) fingerprint: String,
    /// Whether the tenant uses the file on this host.
    pub(crate) is_kept: bool,
    /// Whether it defines nothing, and other hosts may not have it.
    is_stub: bool,
}

impl Comparison {
    /// Lists the files that the tenant uses on this host.
    pub(crate) fn kept_files(&self) -> impl Iterator<Item = &ComparedFile> {
        self.files.values().filter(|file| file.is_kept)
    }

    /// Lists the files to write.
    pub(crate) fn changed_files(&self) -> impl Iterator<Item = &ComparedFile> {
        self.files.values().filter(|file| file.diff.changed)
    }

    /// Writes the unified diff of all files.
    pub(crate) fn diff(&self) -> String {
        let mut text = String::new();
        for ComparedFile { path, diff, .. } in self.changed_files() {
            let _ = write!(text, "--- {path}\n+++ {path}\n{}", diff.text);
        }
        text
    }

    /// Tells whether an apply would move anything.
    pub(crate) fn is_empty(&self) -> bool {
        let files = self.changed_files().next().is_none();
        let applied = self.plan.is_applied() && self.effects.relogins.is_empty();
        self.plan.is_empty() && applied && self.reload.is_empty() && files && !self.callers_behind
    }

    /// Adds what the host has or lacks for the plan.
    pub(super) fn with(mut self, found: Findings) -> Self {
        let Findings { stops, notes, unasked, unchecked, without_file, taken_over: _, other_logins } = found;
        self.stops.extend(stops);
        self.notes.extend(notes);
        self.unasked.extend(unasked);
        self.unchecked.extend(unchecked);
        let is_counted_again = without_file.is_some() || !other_logins.is_empty();
        let without_file = without_file.unwrap_or_default();
        self.effects.made.retain(|phone| !without_file.running.contains(phone) && !other_logins.contains(phone));
        self.effects.relogins.extend(without_file.others);
        self.effects.relogins.extend(other_logins);
        if is_counted_again {
            self.stops.retain(|stop| ![plan::OBSERVED, plan::DELETES, plan::RELOGINS].contains(&stop.rail));
            add_phone_stops(&mut self.stops, &self.plan, &self.effects);
        }
        self
    }

    /// Counts whom the plan affects.
    pub(crate) fn affected(&self) -> Affected {
        self.plan.affected(&self.effects)
    }

    /// Computes the hash of the files that the plan leads to, secrets and marks masked.
    pub(crate) fn generation(&self) -> String {
        let parts = serde_json::json!(["reconcile generation 1", self.plan.tenant, fingerprints(&self.files)]);
        hex(&Sha256::digest(parts.to_string())[..16])
    }

    /// Finds the rail at files that were put back and are the same again.
    pub(crate) fn bad_generation(&self, bad: &[BadGeneration]) -> Option<RailStop> {
        let generation = self.generation();
        let found = bad.iter().find(|bad| bad.generation == generation)?;
        let run = found.run;
        Some(RailStop {
            rail: "bad-generation",
            message: format!("these are the files of run {run}, which were put back on this host"),
            hint: format!("`reconcile history {run}` says why; once the cause is gone: reconcile apply --again"),
            allow: None,
        })
    }

    /// Lists the rails that stop the rows from being recorded.
    pub(crate) fn stops_of_rows(&self) -> impl Iterator<Item = &RailStop> {
        self.stops.iter().filter(|stop| self.plan.stops_rows(stop))
    }

    /// Tells whether this is the plan with an id, or leads to exactly what a run with that id recorded.
    pub(crate) fn is_expected(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id) || self.earlier.is_some()
    }
}

/// Makes the plan and compares all stages.
///
/// # Errors
/// If a value cannot be rendered, or the plan has no id.
pub(crate) fn compare(
    inputs: &Inputs<'_>,
    survey: &Survey,
    unchecked: Vec<String>,
) -> Result<Comparison, CompareError> {
    let plan = plan::plan(&Inputs { highest_box: survey.highest_box(), ..*inputs });
    compare_plan(plan, inputs.recorded, survey, inputs.allowance, unchecked)
}

/// Compares the stages behind a plan with what it leads to.
///
/// # Errors
/// If a value cannot be rendered, or the plan has no id.
pub(crate) fn compare_plan(
    plan: Plan,
    recorded: &Recorded,
    survey: &Survey,
    allowance: &Allowance,
    unchecked: Vec<String>,
) -> Result<Comparison, CompareError> {
    let Survey { in_place, running, runs, .. } = survey;
    let allowed = allowance.get(FOREIGN_FILES).copied().unwrap_or(0);
    let mut stops: Vec<RailStop> = foreign_files(recorded, in_place, allowed).into_iter().collect();
    let target = target(&plan, recorded)?;
    let (names, trunks) = (kept_digests(&plan), kept_secrets(&plan));
    // Phones whose digest in place is that of the recorded secret, and those with another one.
    let (fitting, others) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeSet::new()));
    let same = |name: &str, digest: &str| {
        if let Some(print) = trunks.get(name) {
            return print.is_shown(digest);
        }
        let Some((extension, prints)) = names.get(name) else { return false };
        let same = prints.is_digest(digest);
        if same { &fitting } else { &others }.borrow_mut().insert(*extension);
        same
    };
    let kept = kept(&target, in_place);
    let compared = |file: ConfigFile, before: Option<&Present>| {
        if kept[file] { render::diff(file, before, &target[file].text, &same) } else { FileDiff::default() }
    };
    // What runs tells whom the plan affects, and what is in place what is written.
    let running_differences = PerFile::from_fn(|file| match (file, runs) {
        (ConfigFile::Endpoints, Some(runs)) => compared(file, Some(runs)),
        _ => compared(file, in_place[file].as_ref()),
    });
    let (mut relogins, fitting) = (others.take(), fitting.take());
    let differences = runs.as_ref().map(|_| PerFile::from_fn(|file| compared(file, in_place[file].as_ref())));
    let endpoints = runs.as_ref().or(in_place[ConfigFile::Endpoints].as_ref());
    // Of renamed users the file in place has the former addresses: a phone that keeps name and digest is the same one.
    let keeps =
        |name: &str, phone: &ParsedPhone| names.get(name).is_some_and(|(_, kept)| kept.is_digest(&phone.digest));
    let successors = endpoints.map(|file| successors(&plan, recorded, file, &keeps)).unwrap_or_default();
    relogins.retain(|extension| !successors.contains(extension));
    let mut notes: Vec<String> = foreign_digests(&plan, recorded, &relogins).into_iter().collect();
    let bare = in_place[ConfigFile::Voicemail].as_ref().is_some_and(|file| render::has_bare_pins(&file.text));
    notes.extend(new_tags(&plan, recorded, bare));
    // A PIN without a tag is compared with no fingerprint.
    notes.extend(other_pins::note(&plan, recorded, in_place).filter(|_| !bare));
    let mut effects = Effects { made: made(&plan, endpoints, successors), ..plan.by_rows.clone() };
    // A file in place that fits and runs is right, whatever was remembered of the last apply.
    let live = PerFile::from_fn(|file| {
        let is_kept = file == ConfigFile::Endpoints && runs.is_some();
        is_kept || running.as_ref().is_some_and(|running| running.live[file])
    });
    let fitting = if live[ConfigFile::Endpoints] { fitting } else { BTreeSet::new() };
    if let Some(file) = endpoints {
        let (gone, deleted) = ended(&plan, recorded, file, &keeps);
        effects.deleted = deleted;
        effects.ended = if live[ConfigFile::Endpoints] { gone } else { gone.max(effects.ended) };
        relogins.extend(other_logins(&plan, recorded, file, &keeps));
    }
    relogins.extend(plan.behind.difference(&fitting));
    effects.relogins = relogins;
    FileEffects {
        plan: &plan,
        endpoints,
        routing: in_place[ConfigFile::Routing].as_ref(),
        target: &target,
        differences: &running_differences,
    }
    .take_into(&mut effects, live)?;
    let differences = differences.unwrap_or(running_differences);
    effects.numbers.extend(callers::numbers(&plan, recorded));
    stops.extend(plan.stops.iter().cloned());
    let is_same = |place: &str, secret: &str| trunks.get(place).is_some_and(|print| print.is_shown(secret));
    let before = || plan::as_recorded(&plan.tenant, recorded).map(|plan| self::target(&plan, recorded)).transpose();
    stops.extend(taken_boxes::stop(in_place, &target, &is_same, &before, allowance)?);
    add_phone_stops(&mut stops, &plan, &effects);
    let live = running.as_ref().map_or(PerFile::all(true), |running| running.live);
    drop((names, trunks));
    side_by_side(plan, (effects, stops, notes), recorded, (&target, kept), differences, live, unchecked)
}

/// Makes the plan where there are no files to look at: what is recorded stands for them.
///
/// # Errors
/// If a value cannot be rendered, or the plan has no id.
pub(crate) fn compare_recorded(inputs: &Inputs<'_>, unchecked: Vec<String>) -> Result<Comparison, CompareError> {
    let recorded = inputs.recorded;
    let plan = plan::plan(inputs);
    let target = target(&plan, recorded)?;
    let before = match plan::as_recorded(&plan.tenant, recorded) {
        Some(before) => self::target(&before, recorded)?.map(|file| (!file.is_stub).then(|| Present::new(file.text))),
        None => InPlace::default(),
    };
    let (names, trunks) = (kept_digests(&plan), kept_secrets(&plan));
    let same = |name: &str, _: &str| names.contains_key(name) || trunks.contains_key(name);
    let kept = kept(&target, &before);
    let differences = PerFile::from_fn(|file| {
        if !kept[file] {
            return FileDiff::default();
        }
        let diff = render::diff(file, before[file].as_ref(), &target[file].text, &same);
        // Masked marks vouch for nothing.
        FileDiff { changed: diff.added + diff.removed > 0, ..diff }
    });
    let (mut effects, mut stops) = (plan.by_rows.clone(), plan.stops.clone());
    FileEffects {
        plan: &plan,
        endpoints: before[ConfigFile::Endpoints].as_ref(),
        routing: before[ConfigFile::Routing].as_ref(),
        target: &target,
        differences: &differences,
    }
    .take_into(&mut effects, PerFile::all(false))?;
    add_phone_stops(&mut stops, &plan, &effects);
    let live = PerFile::all(true);
    let notes = new_tags(&plan, recorded, false).into_iter().collect();
    side_by_side(plan, (effects, stops, notes), recorded, (&target, kept), differences, live, unchecked)
}

/// Renders what the plan leads to, secrets and marks masked.
fn target(plan: &Plan, recorded: &Recorded) -> Result<PerFile<File>, BadValue> {
    Phonebook::of(plan, recorded.directory).files(Digests::Masked)
}

/// Says why the lines of voicemail boxes change although their PINs stay: PINs of an earlier version get their tags.
fn new_tags(plan: &Plan, recorded: &Recorded, bare: bool) -> Option<String> {
    let is_bare = |id: &ObjectId| recorded.secrets.get(id).is_some_and(|row| row.print.is_none());
    let mut kept = plan.secrets.iter().filter(|(_, planned)| planned.secret == SecretPlan::Keep);
    (bare || kept.any(|(id, _)| is_bare(id))).then(|| {
        "each PIN of a voicemail box gets a random tag beside it, so that whoever reads the database cannot find it: the \
         lines of all boxes change, their PINs stay"
            .to_owned()
    })
}

/// Adds the rails at a tenant that is observed, and at too many users that are deleted and phones that must log in again, in
/// their place.
fn add_phone_stops(stops: &mut Vec<RailStop>, plan: &Plan, effects: &Effects) {
    let place = stops.iter().take_while(|stop| stop.rail == FOREIGN_FILES).count();
    stops.splice(place..place, plan::observed(plan).into_iter().chain(plan.phone_stops(effects)));
}

/// Finds the digests that stay, by the endpoint's name.
fn kept_digests(plan: &Plan) -> BTreeMap<String, (Extension, &Prints)> {
    plan.users
        .values()
        .filter_map(|user| Some((phone_name(plan, user), (user.extension, user.digest.as_deref()?))))
        .collect()
}

/// Finds the secrets of objects that the file goes on showing, by the name of their sections.
fn kept_secrets(plan: &Plan) -> BTreeMap<String, &ObjectPrint> {
    let logins = plan.routes.logins();
    let kept = plan.secrets.iter().filter_map(|(id, planned)| Some((id, planned.print.as_ref()?)));
    kept.filter_map(|(id, print)| Some((logins.get(id)?.place(&plan.tenant, id), print))).collect()
}

fn side_by_side(
    plan: Plan,
    (effects, stops, found): (Effects, Vec<RailStop>, Vec<String>),
    recorded: &Recorded,
    (target, kept): (&PerFile<File>, PerFile<bool>),
    mut differences: PerFile<FileDiff>,
    live: PerFile<bool>,
    unchecked: Vec<String>,
) -> Result<Comparison, CompareError> {
    let reload = differences.iter().filter(|(file, diff)| kept[*file] && (diff.changed || !live[*file]));
    let reload = reload.flat_map(|(file, _)| modules(file, &kept)).collect();
    let id = if plan.problems.is_empty() && plan.unresolved.is_empty() {
        let texts: Vec<(&str, &str)> =
            target.values().filter(|file| !file.is_stub).map(|file| (file.path.as_str(), file.text.as_str())).collect();
        Some(plan_id(&plan, &texts)?)
    } else {
        None
    };
    let files = PerFile::from_fn(|file| ComparedFile {
        path: target[file].path.clone(),
        diff: mem::take(&mut differences[file]),
        fingerprint: hex(&Sha256::digest(target[file].text.as_bytes())),
        is_kept: kept[file],
        is_stub: target[file].is_stub,
    });
    let behind = callers::behind(&plan.tenant, recorded);
    let callers_behind = behind.is_some();
    let notes = plan.notes.iter().cloned().chain(found).chain(behind).collect();
    let earlier = earlier_run(&plan, recorded, &files);
    Ok(Comparison {
        plan,
        effects,
        stops,
        notes,
        id,
        files,
        reload,
        callers_behind,
        unchecked,
        earlier,
        unasked: Vec::new(),
    })
}

/// Lists what is reloaded for a file: its module, and those that watch what the files define whose users it names.
pub(super) fn modules(file: ConfigFile, kept: &PerFile<bool>) -> impl Iterator<Item = Module> {
    let files = ConfigFile::ALL.into_iter().filter(|other| file == ConfigFile::Endpoints && kept[*other]);
    let watchers = files.flat_map(|other| other.facts().watchers.iter().copied());
    [file.module()].into_iter().chain(watchers.collect::<Vec<_>>())
}

/// Finds the run of the expected plan that recorded exactly what this plan leads to.
fn earlier_run(plan: &Plan, recorded: &Recorded, files: &PerFile<ComparedFile>) -> Option<EarlierRun> {
    if recorded.expected_runs.is_empty() || !plan.is_empty() {
        return None;
    }
    let object = |id: &ObjectId| plan.secrets.get(id)?.print.as_ref();
    let target = target_hash(plan, &fingerprints(files), &|user| user.digest.as_deref(), &object);
    recorded.expected_runs.iter().find(|run| run.target == target).cloned()
}

fn fingerprints(files: &PerFile<ComparedFile>) -> Vec<&str> {
    files.values().filter(|file| !file.is_stub).map(|file| file.fingerprint.as_str()).collect()
}

/// Computes the hash of what a plan leads to, with the rows that carry it out.
pub(super) fn target_of<'a>(comparison: &'a Comparison, rows: &'a RowChanges) -> String {
    let Comparison { plan, files, .. } = comparison;
    let written: BTreeMap<Extension, &Prints> = rows.users().map(|row| (row.extension, &row.prints)).collect();
    let secrets: BTreeMap<&ObjectId, &ObjectPrint> =
        rows.objects.secrets.iter().map(|row| (&row.object, &row.print)).collect();
    let prints = |user: &'a PlannedUser| written.get(&user.extension).copied().or(user.digest.as_deref());
    let object = |id: &'a ObjectId| secrets.get(id).copied().or(plan.secrets.get(id)?.print.as_ref());
    target_hash(plan, &fingerprints(files), &prints, &object)
}

fn users(count: usize) -> String {
    if count == 1 { "1 user".to_owned() } else { format!("{count} users") }
}

/// The rail at files that the directory does not know.
const FOREIGN_FILES: &str = "foreign-files";

/// The rail that keeps an empty, wrong or restored database from wiping a running system.
fn foreign_files(recorded: &Recorded, in_place: &InPlace, allowed: usize) -> Option<RailStop> {
    let endpoints = in_place[ConfigFile::Endpoints].as_ref().map(|file| &file.parsed)?;
    let known = |email: &str| {
        let key = UserKey::of(email);
        recorded.users.contains_key(&key) || recorded.former.contains_key(&key)
    };
    let is_elsewhere = endpoints.directory.is_none() || endpoints.directory != recorded.directory;
    let unknown = endpoints.phones.values().filter(|phone| is_elsewhere || !known(&phone.email));
    let unknown: Vec<&str> = unknown.map(|phone| phone.email.as_str()).collect();
    let count = unknown.len();
    if count <= allowed {
        return None;
    }
    let (message, hint) = if is_elsewhere {
        let message = match endpoints.directory {
            None => "the endpoint file on this host was not written by reconcile".to_owned(),
            Some(_) => {
                format!("the generated files on this host, with {}, were written from another database", users(count))
            }
        };
        let hint = format!(
            "check DATABASE_URL and --state-dir; if this database is to take over: --allow foreign-files={count}, and \
             every phone of these files gets a new secret and must log in again"
        );
        (message, hint)
    } else {
        let names = unknown.iter().map(|email| format!("`{}`", crate::model::printable(email)));
        let message = format!(
            "the generated files on this host hold {} that this database never had: {}",
            users(count),
            first_few(names)
        );
        let hint = format!(
            "restore a dump of the database that has them; or continue without them: --allow foreign-files={count}. \
             Their phones are then removed, or get a new secret and must log in again if the file declares them"
        );
        (message, hint)
    };
    Some(RailStop { rail: FOREIGN_FILES, message, hint, allow: Some(count) })
}
