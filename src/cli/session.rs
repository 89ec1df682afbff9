//! What most commands begin with: the checked file, its secrets, and the rails let pass.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use zeroize::Zeroizing;

use super::{
    Exit,
    imported::ImportedArgs,
    printer::Printer,
    rail_table::{ALLOWED, RAILS},
    settings::{FileArgs, SecretArgs},
    stop::Stop,
};
use crate::{
    desired::{self, Declared, DeclaredUser, Loaded},
    error::Hinted,
    input::{Folder, Refused},
    model::{E164, Place, Secret, SecretSource, Severity, Tenant, UserKey, nearest, printable},
    objects::{CALLER_ID, ObjectId},
    plan::{Allowance, InboundValues},
    report::Desired,
};

/// Takes what was read, or says every problem of it.
pub(crate) fn checked(name: String, loaded: Loaded, printer: &mut Printer) -> Result<Desired, Stop> {
    printer.diagnostics(&loaded.problems, loaded.unlisted, &loaded.sources);
    let Some(declared) = loaded.declared else {
        let errors = loaded.problems.iter().filter(|p| p.severity == Severity::Error).count();
        let errors = errors + loaded.unlisted;
        let noun = if errors == 1 { "error" } else { "errors" };
        let message = format!("`{name}` has {errors} {noun}; nothing was changed");
        return Err(Stop::new(Exit::Invalid, message));
    };
    Ok(Desired { name, sources: loaded.sources, declared })
}

/// Finds the tenant of a file for a command that needs nothing else of it, and says no warning about the rest.
pub(crate) fn tenant(args: &FileArgs, printer: &mut Printer) -> Result<Tenant> {
    let loaded = desired::load(&args.file);
    if let Some(declared) = loaded.declared {
        return Ok(declared.tenant);
    }
    Ok(match loaded_or_tenant(loaded, args, printer)? {
        Ok(desired) => desired.declared.tenant,
        Err(tenant) => tenant,
    })
}

/// Reads the desired state for a command that can do without it, but for its tenant. Of a file that is broken
/// elsewhere, that is used, and a warning says so.
pub(crate) fn desired_or_tenant(args: &FileArgs, printer: &mut Printer) -> Result<Result<Desired, Tenant>> {
    loaded_or_tenant(desired::load(&args.file), args, printer)
}

fn loaded_or_tenant(loaded: Loaded, args: &FileArgs, printer: &mut Printer) -> Result<Result<Desired, Tenant>> {
    let name = args.name();
    if loaded.declared.is_none()
        && let Some(tenant) = loaded.tenant()
    {
        printer.talk(&format!(
            "warning: `{name}` is invalid, and only its tenant `{tenant}` is used; `reconcile check` says what is wrong"
        ));
        return Ok(Err(tenant));
    }
    let checked = checked(name, loaded, printer);
    let no_tenant = |Stop { exit, said }| {
        let hint = "name it with `--tenant`, or correct the file";
        Stop { exit, said: Hinted::new(format!("no tenant is known: {said}"), hint) }
    };
    Ok(Ok(checked.map_err(no_tenant)?))
}

/// The declared secrets: each the value, or why it cannot be had. Values are never quoted.
pub(crate) type Secrets = BTreeMap<UserKey, Result<Secret, String>>;

/// Reads the declared secrets from the environment and the secrets folder.
pub(crate) fn secrets(desired: &Desired, args: &SecretArgs) -> Secrets {
    let read = |user: &DeclaredUser| Some(placed(secret(user.secret.as_ref()?, args), Some(&user.place), desired));
    desired.declared.users.iter().filter_map(|(key, user)| Some((key.clone(), read(user)?))).collect()
}

/// Reads the declared secrets, and those of an import for users who declare none.
pub(crate) fn secrets_with_imported(
    desired: &Desired,
    args: &SecretArgs,
    imported: &ImportedArgs,
    printer: &mut Printer,
) -> Result<Secrets> {
    let mut secrets = self::imported(desired, imported, printer)?;
    secrets.extend(self::secrets(desired, args));
    Ok(secrets)
}

/// Reads the secrets of an import, for users who declare none.
pub(crate) fn imported(desired: &Desired, imported: &ImportedArgs, printer: &mut Printer) -> Result<Secrets> {
    let users = &desired.declared.users;
    let mut secrets = imported.read(&desired.declared, printer)?;
    secrets.retain(|key, _| users.get(key).is_none_or(|user| user.secret.is_none()));
    Ok(secrets.into_iter().map(|(key, secret)| (key, Ok(secret))).collect())
}

/// Reads what the declared inbound calls need from the environment and the secrets folder.
pub(crate) fn inbound(desired: &Desired, args: &SecretArgs) -> InboundValues {
    let Declared { object_secrets, places, .. } = &desired.declared;
    let secrets =
        object_secrets.iter().map(|(id, source)| (id.clone(), placed(secret(source, args), places.get(id), desired)));
    InboundValues { secrets: secrets.collect(), ..inbound_without_secrets(desired, args) }
}

/// Reads the numbers that the declared inbound calls need from the environment.
pub(crate) fn inbound_without_secrets(desired: &Desired, args: &SecretArgs) -> InboundValues {
    let Declared { routes, places, .. } = &desired.declared;
    let objects = routes.objects();
    let variables = objects.iter().flat_map(|(id, object)| object.variables().into_iter().map(move |name| (id, name)));
    let number = |(id, variable): (&ObjectId, &str)| {
        let number = allowed(variable, &args.allow_env).and_then(|value| number(variable, &value));
        (variable.to_owned(), placed(number, places.get(id), desired))
    };
    let caller_id = std::env::var(CALLER_ID).map_or_else(|_| String::new(), |value| value.trim().to_owned());
    InboundValues {
        numbers: variables.map(number).collect(),
        caller_id: (!caller_id.is_empty()).then(|| self::number(CALLER_ID, &caller_id)),
        secrets: BTreeMap::new(),
    }
}

/// Adds where a value is declared to the reason why it cannot be had.
fn placed<T>(value: Result<T, String>, place: Option<&Place>, desired: &Desired) -> Result<T, String> {
    value.map_err(|reason| match place {
        Some(place) => format!("{reason} ({})", place.show(&desired.sources)),
        None => reason,
    })
}

/// Reads a number of ours; another value is not quoted.
fn number(variable: &str, value: &str) -> Result<E164, String> {
    let form = "a public number in E.164 form, such as +15559876543";
    value.trim().parse().map_err(|_| format!("the variable {variable} does not hold {form}"))
}

fn secret(source: &SecretSource, args: &SecretArgs) -> Result<Secret, String> {
    match source {
        SecretSource::Env(name) => from_env(name.as_str(), &args.allow_env),
        SecretSource::File(name) => from_file(name.as_str(), args.secrets_dir.as_deref()),
    }
}

fn from_env(name: &str, patterns: &[String]) -> Result<Secret, String> {
    let value = allowed(name, patterns)?;
    Secret::new(value.trim_end_matches(['\r', '\n'])).map_err(|error| format!("the variable {name}: {error}"))
}

/// Reads a variable that the file names, if that is allowed.
fn allowed(name: &str, allowed: &[String]) -> Result<Zeroizing<String>, String> {
    if !allowed.iter().any(|pattern| matches(pattern, name)) {
        // The name is not quoted: somebody may have put the secret itself there.
        let patterns = allowed.join(", ");
        return Err(format!("the name of its variable matches none of the patterns of `--allow-env`: {patterns}"));
    }
    std::env::var(name).map(Zeroizing::new).map_err(|_| format!("the variable {name} is not set"))
}

/// The largest secret file, in bytes; a secret has at most 128 characters.
const MAX_SECRET_FILE: u64 = 4096;

fn from_file(name: &str, folder: Option<&Path>) -> Result<Secret, String> {
    let folder = folder.ok_or("no --secrets-dir is given")?;
    let refused = |refused: Refused| match refused {
        Refused::LeadsOut => format!("the secret file {name} is a link that leads out of --secrets-dir"),
        other => format!("the secret file {name}: {other}"),
    };
    let folder = Folder::open_any(folder).map_err(|error| format!("--secrets-dir: {error}"))?;
    let bytes = Zeroizing::new(folder.read(Path::new(name), MAX_SECRET_FILE).map_err(refused)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("the secret file {name} is not UTF-8 text"))?;
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
    let parsed = args.iter().map(|arg| {
        let (rail, count) = arg.split_once('=').unwrap_or((arg, ""));
        if !ALLOWED.contains(&rail) {
            return Err(not_allowed(arg, rail));
        }
        let count = count.parse().map_err(|_| {
            let hint = format!("give the number from the message of the rail, such as `--allow {rail}=57`");
            Stop::usage(format!("`--allow {}` has no number", printable(arg)), &hint)
        })?;
        Ok((rail.to_owned(), count))
    });
    Ok(parsed.collect::<Result<_, Stop>>()?)
}

/// Says why a name is none that `--allow` takes: it is misspelt, or of a rail that nothing lets pass.
fn not_allowed(arg: &str, rail: &str) -> Stop {
    let name = rail.strip_prefix("rail-").unwrap_or(rail);
    if let Some((_, _, way)) = RAILS.iter().find(|(known, ..)| *known == name && !ALLOWED.contains(known)) {
        return Stop::usage(format!("`--allow` does not work for the rail `{name}`"), way);
    }
    let hint = match nearest(name, ALLOWED.into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write for example `--allow deletes=57`; the rails are {}", ALLOWED.join(", ")),
    };
    Stop::usage(format!("`--allow {}` names no rail", printable(arg)), &hint)
}
