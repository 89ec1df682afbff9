//! All four stages side by side: the plan, what it does to the files in place, and what Asterisk
//! would have to reload. Pure: what is in place and what runs come in as arguments.

use std::{collections::BTreeMap, fmt::Write};

use super::{files::InPlace, host::Running};
use crate::{
    directory::Recorded,
    model::EmailKey,
    plan::{self, Inputs, Plan, plan_id},
    render::{self, BadValue, Digests, FileDiff, Module, Phonebook},
};

/// A plan together with what it does to files and Asterisk.
#[derive(Debug)]
pub struct Comparison {
    /// The plan, with the rails of the files in place among its stops.
    pub plan: Plan,
    /// The id; none where the plan cannot be applied.
    pub id: Option<String>,
    /// Both files: path, module, difference.
    pub files: Vec<(String, Module, FileDiff)>,
    /// Modules to reload, as far as it is known.
    pub reload: Vec<Module>,
    /// What was not looked at, with the reason.
    pub unchecked: Vec<String>,
}

impl Comparison {
    /// Writes the unified diff of all files.
    pub fn diff(&self) -> String {
        let mut text = String::new();
        for (path, _, diff) in self.files.iter().filter(|(.., diff)| diff.changed) {
            let _ = write!(text, "--- {path}\n+++ {path}\n{}", diff.text);
        }
        text
    }

    /// Tells whether an apply would move anything.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.reload.is_empty() && self.files.iter().all(|(.., diff)| !diff.changed)
    }
}

/// Makes the plan and compares all stages.
///
/// # Errors
/// When a value cannot stand in Asterisk's configuration.
pub fn compare(
    inputs: &Inputs<'_>,
    in_place: &[InPlace; 2],
    running: Option<&Running>,
    unchecked: Vec<String>,
) -> Result<Comparison, BadValue> {
    compare_plan(plan::plan(inputs), inputs.recorded, in_place, running, unchecked)
}

/// Compares the stages behind a plan with what it leads to.
///
/// # Errors
/// When a value cannot stand in Asterisk's configuration.
pub fn compare_plan(
    mut plan: Plan,
    recorded: &Recorded,
    in_place: &[InPlace; 2],
    running: Option<&Running>,
    unchecked: Vec<String>,
) -> Result<Comparison, BadValue> {
    foreign_files(&mut plan, recorded, in_place);
    let book = Phonebook::of(&plan, recorded.directory);
    let masked = book.files(Digests::Masked)?;
    let names: BTreeMap<String, _> = plan
        .users
        .values()
        .filter_map(|user| {
            let name = render::endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
            Some((name, user.digest.as_ref()?))
        })
        .collect();
    // Borrowed by the comparison of files below.
    let same = |name: &str, digest: &str| names.get(name).is_some_and(|prints| prints.is_digest(digest));
    let files: Vec<(String, Module, FileDiff)> = masked
        .iter()
        .zip(in_place)
        .map(|(file, old)| (file.path.clone(), file.module, render::diff(old.as_ref(), &file.text, &same)))
        .collect();
    let pending = in_place[0].iter().flat_map(|file| &file.parsed.phones);
    let pending = pending.filter(|(name, phone)| names.get(*name).is_some_and(|p| !p.is_digest(&phone.digest))).count();
    if pending > 0 {
        let phones = if pending == 1 { "1 phone".to_owned() } else { format!("{pending} phones") };
        plan.notes.push(format!("{phones} must log in again: the recorded secret is newer than the file in place"));
    }
    let live = running.map(|running| [running.endpoints_live, running.routing_live]);
    let reload = files
        .iter()
        .enumerate()
        .filter(|(index, (.., diff))| diff.changed || live.is_some_and(|live| !live[*index]))
        .map(|(_, (_, module, _))| *module)
        .collect();
    let id = (plan.problems.is_empty() && plan.unresolved.is_empty()).then(|| {
        let masked: Vec<(String, String)> = masked.iter().map(|file| (file.path.clone(), file.text.clone())).collect();
        plan_id(&plan, &masked)
    });
    Ok(Comparison { plan, id, files, reload, unchecked })
}

/// The rail that keeps an empty, wrong or restored database from wiping a running system.
fn foreign_files(plan: &mut Plan, recorded: &Recorded, in_place: &[InPlace; 2]) {
    let Some(endpoints) = in_place[0].as_ref().map(|file| &file.parsed) else { return };
    if endpoints.phones.is_empty() {
        return;
    }
    let known = |email: &str| {
        let key = EmailKey::of(email);
        recorded.users.contains_key(&key) || recorded.former.contains(&key)
    };
    let unknown = endpoints.phones.values().filter(|phone| !known(&phone.email)).count();
    let message = if endpoints.directory.is_none() {
        "the endpoint file in place was not written by reconcile".to_owned()
    } else if endpoints.directory != recorded.directory {
        format!("the files in place, with {} users, were written from another directory", endpoints.phones.len())
    } else if unknown > 0 {
        format!("the files in place hold {unknown} users that this directory never knew")
    } else {
        return;
    };
    plan.stops.push(plan::RailStop {
        rail: "foreign-files",
        message,
        hint: "check DATABASE_URL and --state-dir; if this directory is to take over, move the files away first"
            .to_owned(),
    });
}
