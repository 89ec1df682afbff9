//! What most commands begin with: the file, its secrets, the plan and how it compares with the
//! files in place and the running Asterisk.

use std::{collections::BTreeMap, io::Read, path::Path};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Exit,
    error::{Hinted, Stop},
    printer::Printer,
    settings::{FileArgs, SecretArgs},
};
use crate::{
    deploy::{InPlace, Running},
    desired::{self, Declared, DeclaredUser, SecretSource, Source},
    directory::Recorded,
    model::{EmailKey, Secret},
    plan::{self, Allowance, Inputs, Plan, plan_id},
    render::{self, Digests, FileDiff, Module, Phonebook},
};

/// A checked desired state with its sources.
#[derive(Debug)]
pub(crate) struct Desired {
    pub(crate) name: String,
    pub(crate) sources: Vec<Source>,
    pub(crate) declared: Declared,
}

/// Reads and checks the desired state; says every problem.
pub(crate) fn desired(args: &FileArgs, printer: &mut Printer) -> Result<Desired> {
    let loaded = desired::load(&args.file);
    printer.diagnostics(&loaded.problems, &loaded.sources);
    let name = args.file.display().to_string();
    let Some(declared) = loaded.declared else {
        let errors = loaded.problems.iter().filter(|p| p.severity == desired::Severity::Error).count();
        let noun = if errors == 1 { "error" } else { "errors" };
        let message = format!("`{name}` has {errors} {noun}; nothing was changed");
        return Err(Stop { exit: Exit::Invalid, message }.into());
    };
    Ok(Desired { name, sources: loaded.sources, declared })
}

/// The declared secrets: each the value, or why it cannot be had. Values are never quoted.
pub(crate) type Secrets = BTreeMap<EmailKey, Result<Secret, String>>;

/// Reads the declared secrets from the environment and the secrets folder.
pub(crate) fn secrets(declared: &Declared, args: &SecretArgs) -> Secrets {
    let read = |user: &DeclaredUser| match user.secret.as_ref()? {
        SecretSource::Env(name) => Some(from_env(name.as_str(), &args.allow_env)),
        SecretSource::File(name) => Some(from_file(name.as_str(), args.secrets_dir.as_deref())),
    };
    declared.users.iter().filter_map(|(key, user)| Some((key.clone(), read(user)?))).collect()
}

fn from_env(name: &str, allowed: &[String]) -> Result<Secret, String> {
    if !allowed.iter().any(|pattern| matches(pattern, name)) {
        return Err(format!("the variable {name} is not allowed (--allow-env {})", allowed.join(" --allow-env ")));
    }
    let value = std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?;
    Secret::new(value.trim_end_matches(['\r', '\n'])).map_err(|error| format!("the variable {name}: {error}"))
}

fn from_file(name: &str, folder: Option<&Path>) -> Result<Secret, String> {
    let folder = folder.ok_or("no --secrets-dir is given")?;
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("the secret file {name}: {error}"));
    let (folder, path) = (real(folder)?, real(&folder.join(name))?);
    if !path.starts_with(&folder) || !path.is_file() {
        return Err(format!("the secret file {name} is no file in --secrets-dir"));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(&path)
        .and_then(|file| file.take(4096).read_to_string(&mut text))
        .map_err(|error| format!("the secret file {name}: {error}"))?;
    Secret::new(text.trim_end_matches(['\r', '\n'])).map_err(|error| format!("the secret file {name}: {error}"))
}

/// Matches a name against a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
        }),
    }
}

/// Parses `--allow NAME=N`.
pub(crate) fn allowance(args: &[String]) -> Result<Allowance> {
    args.iter()
        .map(|arg| {
            let bad = || {
                Hinted::new(
                    format!("`--allow {arg}` is not a rail and a number"),
                    "write for example `--allow deletes=57`; the rails are deletes and relogins",
                )
            };
            let (rail, count) = arg.split_once('=').ok_or_else(bad)?;
            let known = ["deletes", "relogins"].contains(&rail);
            let count = count.parse().ok().filter(|_| known).ok_or_else(bad)?;
            Ok((rail.to_owned(), count))
        })
        .collect()
}

/// A plan together with what it does to files and Asterisk.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) plan: Plan,
    /// The id; none where the plan cannot be applied.
    pub(crate) id: Option<String>,
    /// Both files: path, module, difference.
    pub(crate) files: Vec<(String, Module, FileDiff)>,
    /// Modules to reload, as far as it is known.
    pub(crate) reload: Vec<Module>,
    /// What was not looked at, with the reason.
    pub(crate) unchecked: Vec<String>,
}

impl Comparison {
    /// Tells whether an apply would move anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.reload.is_empty() && self.files.iter().all(|(.., diff)| !diff.changed)
    }
}

/// Makes the plan and compares all stages.
pub(crate) fn compare(
    desired: &Desired,
    recorded: &Recorded,
    secrets: &Secrets,
    allowance: &Allowance,
    in_place: &[InPlace; 2],
    running: Option<&Running>,
    unchecked: Vec<String>,
) -> Result<Comparison> {
    let declared = &desired.declared;
    let inputs = Inputs { declared, recorded, secrets, allowance, now: Timestamp::now() };
    let mut plan = plan::plan(&inputs);
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
    let same = |name: &str, digest: &str| names.get(name).is_some_and(|prints| prints.is_digest(digest));
    let files: Vec<(String, Module, FileDiff)> = masked
        .iter()
        .zip(in_place)
        .map(|(file, old)| (file.path.clone(), file.module, render::diff(old.as_deref(), &file.text, &same)))
        .collect();
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
    let Some(endpoints) = in_place[0].as_deref().map(render::parse) else { return };
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
