//! What most commands begin with: the checked file, its secrets, and the rails let pass.

use std::{collections::BTreeMap, io::Read, path::Path};

use anyhow::Result;

use super::{
    Exit,
    error::Stop,
    printer::Printer,
    settings::{FileArgs, SecretArgs},
};
use crate::{
    desired::{self, Declared, DeclaredUser, Loaded, SecretSource, Source},
    model::{EmailKey, Secret, shown},
    plan::Allowance,
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
    checked(shown(&args.file), desired::load(&args.file), printer)
}

/// Takes what was read, or says every problem of it.
pub(crate) fn checked(name: String, loaded: Loaded, printer: &mut Printer) -> Result<Desired> {
    printer.diagnostics(&loaded.problems, &loaded.sources);
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
        // The name is not quoted: somebody may have put the secret itself there.
        return Err(format!("the variable it names is not allowed (--allow-env {})", allowed.join(" --allow-env ")));
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
                Stop::usage(
                    format!("`--allow {arg}` is not a rail and a number"),
                    "write for example `--allow deletes=57`; the rails are deletes, relogins and foreign-files",
                )
            };
            let (rail, count) = arg.split_once('=').ok_or_else(bad)?;
            let known = ["deletes", "relogins", "foreign-files"].contains(&rail);
            let count = count.parse().ok().filter(|_| known).ok_or_else(bad)?;
            Ok((rail.to_owned(), count))
        })
        .collect()
}
