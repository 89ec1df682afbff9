//! Whether the running Asterisk has what the operator owns and our files only name: contexts of
//! `dialplan.include` and `phone.context`, and transports.
//!
//! Asterisk loads a file with a misspelled name and reports success. A missing context then takes
//! dialling out from every phone, emergency calls included, and a missing transport every call to a
//! phone.

use std::{collections::BTreeMap, path::Path};

use super::{
    asterisk::{Answer, Asterisk, AsteriskError, running_modules},
    includes,
    mismatch::has_parameters,
    needs::ask,
};
use crate::{
    asterisk::{ConfigFile, Module, PerFile, lines},
    model::{HostName, nearest, printable},
    render::Phonebook,
};

/// The rail that a missing name stops at.
pub(super) const RAIL: &str = "missing-names";

/// How many existing names a message lists.
const LISTED: usize = 5;

/// Where names are declared, as `file:line`.
pub(crate) type NamePlaces = BTreeMap<HostName, String>;

/// What was found out about the names.
#[derive(Debug, Default)]
pub(super) struct CheckedNames {
    /// Names that Asterisk does not have.
    pub(super) missing: Vec<MissingName>,
    /// Names that could not be checked, each with the reason.
    pub(super) unchecked: Vec<String>,
}

/// A name that the running Asterisk does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingName {
    pub(crate) name: HostName,
    /// The key that names it, such as `dialplan.include`.
    key: String,
    /// The existing name that was probably meant.
    near: Option<String>,
    /// Names of the same kind that exist.
    existing: Vec<String>,
    /// Where the operator's files define it, as `file:line`: Asterisk has not loaded that line.
    defined: Option<String>,
}

impl MissingName {
    /// Says what is missing, where it is named, and what exists.
    pub(crate) fn words(&self, places: &NamePlaces) -> String {
        let Self { name, key, near, existing, defined } = self;
        let place = places.get(name).map(|place| format!(" in {place}")).unwrap_or_default();
        let exist = match existing.len() {
            0 => format!("Asterisk has no {} at all", name.kind()),
            count => {
                let shown: Vec<String> = existing.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
                let more = count.saturating_sub(LISTED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("Asterisk has {}{more}", shown.join(", "))
            }
        };
        let known = match (defined, near) {
            (Some(place), _) => format!("{place} defines it, but Asterisk has not loaded that line"),
            (None, Some(near)) => format!("did you mean `{near}`? {exist}"),
            (None, None) => exist,
        };
        format!("Asterisk does not have the {name}, which `{key}` names{place} ({known})")
    }

    /// Says what to do about it.
    pub(crate) fn hint(&self) -> String {
        let harm = match self.name {
            HostName::Context(_) => "phones cannot dial out through it, 112 included",
            HostName::Transport(_) => "calls over it fail",
        };
        let Self { name, defined, .. } = self;
        match defined {
            Some(_) => {
                let reload = file_of(name).module().reload_command;
                format!("run `asterisk -rx '{reload}'` to load it; until then {harm}")
            }
            None => format!("correct the name, or define the {name} in Asterisk; until then {harm}"),
        }
    }
}

/// Lists what the files of a tenant name, each with the first key that does.
fn named(book: &Phonebook<'_>) -> BTreeMap<HostName, String> {
    let contexts = book.settings.include.iter();
    let contexts = contexts.map(|name| (HostName::Context(name.clone()), "dialplan.include".to_owned()));
    let shared = book.settings.phones.transport.iter();
    let shared = shared.map(|name| (HostName::Transport(name.clone()), "phones.transport".to_owned()));
    let own = book.phones.iter().flat_map(|phone| {
        let transport = phone.phone.transport.clone().map(|name| (HostName::Transport(name), "transport"));
        let context = phone.phone.context.clone().map(|name| (HostName::Context(name), "context"));
        let named = transport.into_iter().chain(context);
        named.map(|(name, key)| (name, format!("phone.{key}` of `{}", phone.email)))
    });
    let mut named = BTreeMap::new();
    for (name, key) in contexts.chain(shared).chain(own) {
        named.entry(name).or_insert(key);
    }
    named
}

/// Whether Asterisk has a name; `None` if its answer does not tell.
fn exists(name: &HostName, answer: Option<&Answer>) -> Option<bool> {
    let answer = answer?;
    let text = answer.raw();
    match name {
        HostName::Context(_) if text.contains("no existence of") => Some(false),
        HostName::Context(name) => text.contains(&format!("Context '{name}'")).then_some(true),
        HostName::Transport(_) if text.contains("Unable to find") => Some(false),
        HostName::Transport(_) => has_parameters(answer).then_some(true),
    }
}

/// Checks that the running Asterisk has the names.
///
/// # Errors
/// When it does not run, or stays silent.
pub(super) fn check(
    asterisk: &Asterisk,
    config_dir: &Path,
    book: &Phonebook<'_>,
) -> Result<CheckedNames, AsteriskError> {
    let named = named(book);
    if named.is_empty() {
        return Ok(CheckedNames::default());
    }
    let command = |name: &HostName| match name {
        HostName::Context(name) => format!("dialplan show {name}"),
        HostName::Transport(name) => format!("pjsip show transport {name}"),
    };
    let shown = ConfigFile::ALL.map(|file| format!("module show like {}", file.module().object));
    let commands: Vec<String> = shown.into_iter().chain(named.keys().map(command)).collect();
    let mut answers = ask(asterisk, &commands)?.into_iter();
    let modules = PerFile::from_fn(|_| answers.next().flatten());
    let mut checked = CheckedNames::default();
    let mut existing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((name, key), answer) in named.iter().zip(answers) {
        let file = file_of(name);
        let module = file.module();
        let mut unchecked = |why: String| checked.unchecked.push(format!("whether the {name} exists: {why}"));
        match exists(name, answer.as_ref()) {
            Some(true) => {}
            _ if is_stopped(module, modules[file].as_ref()) => {
                unchecked(format!("Asterisk has not loaded {}; `reconcile apply` loads it", module.object));
            }
            None => unchecked(format!("Asterisk does not answer `{}`", command(name))),
            Some(false) => {
                if !existing.contains_key(name.kind()) {
                    existing.insert(name.kind(), list(asterisk, name, book)?);
                }
                let existing = existing.get(name.kind()).cloned().unwrap_or_default();
                // Without its file, res_pjsip starts all the same, and knows nothing.
                let rejected = if existing.is_empty() { rejected(config_dir, file) } else { None };
                if let Some(why) = rejected {
                    unchecked(why);
                    continue;
                }
                let near = nearest(name.name(), existing.iter().map(String::as_str)).map(str::to_owned);
                let defined = defined(config_dir, name);
                checked.missing.push(MissingName { name: name.clone(), key: key.clone(), near, existing, defined });
            }
        }
    }
    Ok(checked)
}

/// Returns the file whose module knows names of this kind, and whose includer defines them.
fn file_of(name: &HostName) -> ConfigFile {
    match name {
        HostName::Context(_) => ConfigFile::Routing,
        HostName::Transport(_) => ConfigFile::Endpoints,
    }
}

/// Tells whether Asterisk says that it does not run a module.
fn is_stopped(module: Module, shown: Option<&Answer>) -> bool {
    shown.is_some_and(|answer| answer.raw().contains(" loaded") && !running_modules(answer).contains(&module.object))
}

/// Says why Asterisk rejects the operator's file as a whole, if it does.
fn rejected(config_dir: &Path, file: ConfigFile) -> Option<String> {
    let file = file.facts().includer;
    let includes::BrokenInclude { place, name } = includes::broken(config_dir, &config_dir.join(file))?;
    let name = printable(&name);
    Some(format!("Asterisk rejects the whole of {file}, because `#include {name}` in {place} matches no file"))
}

/// Lists the names of a kind that Asterisk has, without our own and Asterisk's internal ones.
fn list(asterisk: &Asterisk, name: &HostName, book: &Phonebook<'_>) -> Result<Vec<String>, AsteriskError> {
    let ours = format!("{}-", book.tenant);
    let (command, read): (_, fn(&str) -> Option<&str>) = match name {
        HostName::Context(_) => ("dialplan show", |line| line.strip_prefix("[ Context '")?.split('\'').next()),
        HostName::Transport(_) => {
            ("pjsip show transports", |line| line.trim_start().strip_prefix("Transport:")?.split_whitespace().next())
        }
    };
    let answer = asterisk.ask(command)?;
    let names = answer.raw().lines().filter_map(read);
    let names = names.filter(|name| !name.starts_with(['<', '_']) && !name.starts_with(&ours));
    let mut names: Vec<String> = names.map(printable).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Finds where the operator's files define a name.
fn defined(config_dir: &Path, name: &HostName) -> Option<String> {
    let file = file_of(name).facts().includer;
    let section = format!("[{}]", name.name());
    includes::read(config_dir, &config_dir.join(file)).ok()?.iter().find_map(|file| {
        let (line, _) = lines(&file.text).find(|(_, line)| line.starts_with(&section))?;
        Some(format!("{}:{line}", includes::below(config_dir, &file.path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_exists_is_missing_or_is_unknown() {
        let context = HostName::Context("outbound".parse().unwrap());
        let transport = HostName::Transport("transport-udp".parse().unwrap());
        for (name, answer, known) in [
            (&context, "[ Context 'outbound' created by 'pbx_config' ]\n  '112' => 1. Answer()\n", Some(true)),
            (&context, "[ Context 'outbound' (overridden) created by 'pbx_config' ]\n", Some(true)),
            (&context, "There is no existence of 'outbound' context\nCommand failed.\n", Some(false)),
            (&context, "You do not have permissions to run 'dialplan show outbound' command\n", None),
            (&transport, " ParameterName  : ParameterValue\n allow_reload : false\n", Some(true)),
            (&transport, "Unable to find object transport-udp.\n", Some(false)),
            (&transport, "No such command 'pjsip show transport' (type ..)\n", None),
        ] {
            assert_eq!(exists(name, Some(&Answer::of(answer))), known, "{answer}");
        }
        assert_eq!(exists(&context, None), None);
    }

    #[test]
    fn a_missing_name_is_reported_with_its_line_and_what_exists() {
        let name = HostName::Context("outbond".parse().unwrap());
        let places = NamePlaces::from([(name.clone(), "pbx.yaml:3".to_owned())]);
        let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let missing = |near: Option<&str>, existing: &[&str], defined: Option<&str>| {
            let (near, defined) = (near.map(str::to_owned), defined.map(str::to_owned));
            let key = "dialplan.include".to_owned();
            MissingName { name: name.clone(), key, near, existing: some(existing), defined }.words(&places)
        };
        let head = "Asterisk does not have the context `outbond`, which `dialplan.include` names in pbx.yaml:3";
        assert_eq!(
            missing(Some("outbound"), &["outbound", "parkedcalls"], None),
            format!("{head} (did you mean `outbound`? Asterisk has `outbound`, `parkedcalls`)")
        );
        assert_eq!(missing(None, &[], None), format!("{head} (Asterisk has no context at all)"));
        assert_eq!(
            missing(None, &["a", "b", "c", "d", "e", "f", "g"], None),
            format!("{head} (Asterisk has `a`, `b`, `c`, `d`, `e` and 2 more)")
        );
        assert_eq!(
            missing(None, &["a"], Some("extensions.conf:7")),
            format!("{head} (extensions.conf:7 defines it, but Asterisk has not loaded that line)")
        );
    }
}
