//! Looks at a host: the files in place, and what its Asterisk answers about itself and about a plan.
//!
//! All commands take the same survey. It is taken while no transaction and no lock of the database is open: Asterisk
//! may take its time, and other writers do not wait for it.

use jiff::Timestamp;

use super::{
    ApplyError, Asterisk, AsteriskError, Comparison, FileError, Host, InPlace, NamePlaces, Running, StatusError,
    Survey,
    at_once::both,
    emergency,
    findings::Findings,
    listing::Listing,
    names::{self, MissingName},
    needs::MissingNeed,
    readable::Unreadable,
    requirements::Requirements,
};
use crate::{
    asterisk::{ConfigFile, mark_name},
    fs,
    model::Tenant,
    plan::{Allowance, RailStop},
    render::{Phonebook, Present},
};

/// How the line begins that says that Asterisk did not answer about a plan. An apply fails then; a plan goes on.
pub(crate) const NO_LIST: &str = "what the running Asterisk has loaded: ";

/// What no plan can tell that was made without asking Asterisk.
const ONLY_ASTERISK: &str = "what only the running Asterisk knows: whether it has the contexts and transports that the \
    file names, and includes and can read the generated files. An apply checks this, and may still stop at a rail";

/// What of a plan depends on the command: what the rails let pass, where the names are declared, and the present.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// What rails let pass this once.
    pub(crate) allowance: &'a Allowance,
    /// Where the names are declared that the host must have.
    pub(crate) places: &'a NamePlaces,
    /// The present.
    pub(crate) now: Timestamp,
}

impl Host {
    /// Takes the survey for a command that can do without Asterisk.
    ///
    /// # Errors
    /// If a file is in place but cannot be read.
    pub(crate) fn survey(&self, tenant: &Tenant) -> Result<Survey, FileError> {
        let in_place = self.in_place(tenant)?;
        Ok(match self.running(tenant, &in_place) {
            Ok((running, marks)) => self.surveyed(tenant, in_place, running, marks),
            Err(error) => Survey { in_place, silent: Some(error), ..Survey::default() },
        })
    }

    /// Takes the survey for an apply, which needs an answer of an Asterisk that has finished starting.
    ///
    /// # Errors
    /// If a file cannot be read, or Asterisk does not answer.
    pub(super) fn look(&self, tenant: &Tenant) -> Result<Survey, ApplyError> {
        let in_place = self.in_place(tenant)?;
        let (running, marks) = self.running(tenant, &in_place)?;
        Ok(self.surveyed(tenant, in_place, running, marks))
    }

    /// Completes a survey. If the operator removed, emptied or cut the endpoint file, its phones still run.
    fn surveyed(&self, tenant: &Tenant, in_place: InPlace, running: Option<Running>, marks: Vec<String>) -> Survey {
        let file = ConfigFile::Endpoints;
        let is_running = |mark: &str| marks.iter().any(|running| running == mark);
        // A file that was edited may have been reloaded, with the mark that it had.
        let carries = |file: &Present| file.parsed.written.as_deref().is_some_and(is_running);
        let is_there = marks.is_empty() || in_place[file].as_ref().is_some_and(carries);
        let kept = if is_there { Ok(None) } else { fs::read(&self.note(tenant, &file.last_good_note())) };
        let kept = kept.unwrap_or_else(|error| {
            tracing::debug!(%error, "the last good file is not known");
            None
        });
        let runs = kept.map(Present::new).filter(|kept| is_running(&kept.parsed.mark));
        Survey { in_place, running, silent: None, marks, runs }
    }

    /// Asks Asterisk whether it runs the files in place, and if it does not, what else. Waits until it has finished
    /// starting.
    fn running(&self, tenant: &Tenant, in_place: &InPlace) -> Result<(Option<Running>, Vec<String>), AsteriskError> {
        let Some(asterisk) = &self.asterisk else { return Ok((None, Vec::new())) };
        let runs_all = |running: &Running| running.live.values().all(|live| *live);
        // A mark that runs is proof at any time. That it does not is none while Asterisk starts: it is asked again.
        let early = || {
            let is_whole = in_place.iter().all(|(file, present)| present.is_some() || file.facts().is_optional);
            is_whole.then(|| Self::marks_of(asterisk, tenant, in_place).ok()).flatten().filter(runs_all)
        };
        let (booted, early) = both(|| asterisk.wait_until_booted(), early);
        booted?;
        let running = early.map_or_else(|| Self::marks_of(asterisk, tenant, in_place), Ok)?;
        let marks = if running.live[ConfigFile::Endpoints] { Vec::new() } else { running_marks(asterisk, tenant)? };
        Ok((Some(running), marks))
    }

    /// Tells whether a survey still holds, for a command that has the host's lock: the files are the same, and
    /// Asterisk runs the same of them.
    ///
    /// # Errors
    /// If a file cannot be read, or Asterisk does not answer.
    pub(super) fn still_has(&self, tenant: &Tenant, survey: &Survey) -> Result<bool, ApplyError> {
        for (file, before) in survey.in_place.iter() {
            if self.target(&file.path(tenant)).read()?.as_deref() != before.as_ref().map(|file| file.text.as_str()) {
                return Ok(false);
            }
        }
        let Some(asterisk) = &self.asterisk else { return Ok(true) };
        let running = Self::marks_of(asterisk, tenant, &survey.in_place)?;
        Ok(survey.running.is_some_and(|before| before.live == running.live))
    }

    /// Adds to a comparison what this host has or lacks for its plan. What cannot be found out is listed as unchecked.
    pub(crate) fn complete(&self, comparison: Comparison, survey: &Survey, policy: Policy<'_>) -> Comparison {
        let mut found = Findings::default();
        if survey.running.is_some()
            && let Err(error) = self.ask_about(&comparison, policy, &mut found)
        {
            found.unchecked.push(format!("{NO_LIST}{error}"));
        }
        if survey.running.is_none() {
            found.unchecked.push(ONLY_ASTERISK.to_owned());
        }
        match self.taken_names(&comparison.plan, survey) {
            Ok(taken) => found.add(taken),
            Err(error) => found.unchecked.push(format!("names that other files on this host define: {error}")),
        }
        comparison.with(found)
    }

    /// Finds out what this host has or lacks for a plan that is to be applied.
    ///
    /// # Errors
    /// If Asterisk does not answer, or a file cannot be read.
    pub(super) fn findings(
        &self,
        comparison: &Comparison,
        survey: &Survey,
        policy: Policy<'_>,
    ) -> Result<Findings, ApplyError> {
        let mut found = Findings::default();
        let (taken, asked) = both(
            || self.taken_names(&comparison.plan, survey),
            || survey.running.map_or(Ok(()), |_| self.ask_about(comparison, policy, &mut found)),
        );
        asked?;
        found.add(taken?);
        Ok(found)
    }

    /// Asks Asterisk what a plan depends on: its files, and the modules, time zones and names that it does not have.
    fn ask_about(&self, comparison: &Comparison, policy: Policy<'_>, found: &mut Findings) -> Result<(), StatusError> {
        let plan = &comparison.plan;
        let (requirements, asked) = both(
            || self.requirements(&Phonebook::of(plan, None), policy.now),
            || self.ask_about_files(comparison, policy, found),
        );
        asked?;
        let Requirements { lacks, missing_names, unasked, unchecked_names } = requirements?;
        let lacking =
            lacks.into_iter().map(|MissingNeed { rail, message, hint }| RailStop { rail, message, hint, allow: None });
        found.stops.extend(lacking);
        let allowed = policy.allowance.get(names::RAIL).copied().unwrap_or(0);
        if missing_names.len() > allowed {
            found.stops.push(missing_names_stop(&missing_names, policy.places));
        } else {
            let words = |missing: &MissingName| format!("{}: {}", missing.words(policy.places), missing.hint());
            found.notes.extend(missing_names.iter().map(words));
        }
        found.notes.extend(unasked.clone());
        found.unasked.extend(unasked);
        found.unchecked.extend(unchecked_names);
        Ok(())
    }

    /// Asks Asterisk what the files of a plan depend on: whether it may read and includes them, which phones run
    /// without one, and emergency numbers that nobody can dial.
    fn ask_about_files(
        &self,
        comparison: &Comparison,
        policy: Policy<'_>,
        found: &mut Findings,
    ) -> Result<(), StatusError> {
        let plan = &comparison.plan;
        if let Some(Unreadable { message, hint }) = self.unreadable(comparison)? {
            found.stops.push(RailStop { rail: "unreadable-files", message, hint, allow: None });
        }
        if let Some(asterisk) = &self.asterisk {
            self.find_missing_includes(asterisk, comparison, policy.allowance, found)?;
            self.find_phones_without_file(asterisk, plan, found)?;
            found.notes.extend(emergency::unreachable(asterisk, plan)?.into_iter().map(|found| found.fact));
            found.notes.extend(self.search_contexts(plan)?);
        }
        Ok(())
    }
}

/// Lists the generations of a tenant's endpoint file that run, by their marks.
fn running_marks(asterisk: &Asterisk, tenant: &Tenant) -> Result<Vec<String>, AsteriskError> {
    let prefix = mark_name(tenant, "");
    let listing = Listing::of_marks(asterisk, &prefix)?;
    Ok(listing.endpoints().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
}

/// Makes one stop of all missing names.
fn missing_names_stop(missing: &[MissingName], places: &NamePlaces) -> RailStop {
    let words: Vec<String> = missing.iter().map(|missing| missing.words(places)).collect();
    let mut hints: Vec<String> = missing.iter().map(MissingName::hint).collect();
    hints.push(format!("if this is intended: --allow {}={}", names::RAIL, missing.len()));
    RailStop { rail: names::RAIL, message: words.join("; "), hint: hints.join("; "), allow: Some(missing.len()) }
}
