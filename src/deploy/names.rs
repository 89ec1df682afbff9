//! Whether the running Asterisk has what the operator owns and our files only name: contexts of
//! `dialplan.include` and `phone.context`, extensions that calls are sent to, prompts, and transports.
//!
//! Asterisk loads a file with a misspelled name and reports success. A missing context then takes
//! dialling out from every phone, emergency calls included, a missing transport every call to a
//! phone, and a missing extension ends the calls that are sent to it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use super::{
    asterisk::{Answer, Asterisk, AsteriskError, running_modules},
    includes,
    mismatch::has_parameters,
    needs::ask,
    prompts,
};
use crate::{
    asterisk::{ConfigFile, Module, PerFile, lines},
    model::{ExtensionName, HostName, OperatorsExtension, Prompt, nearest, printable},
    objects::host_names,
    render::{Phone, Phonebook},
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
#[derive(Debug, Clone)]
pub(crate) struct MissingName {
    pub(crate) name: HostName,
    naming: Naming,
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
        let Self { name, naming: Naming { by, .. }, near, existing, defined } = self;
        let place = places.get(name).map(|place| format!(" in {place}")).unwrap_or_default();
        let whose = if matches!(name, HostName::Extension(_)) { "the context" } else { "Asterisk" };
        let exist = match existing.len() {
            0 if matches!(name, HostName::Prompt(_)) => {
                format!("no `{}.wav` is in its folder `sounds`, and no file of another format", name.name())
            }
            0 => format!("{whose} has no {} at all", name.kind()),
            count => {
                let shown: Vec<String> = existing.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
                let more = count.saturating_sub(LISTED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{whose} has {}{more}", shown.join(", "))
            }
        };
        let known = match (defined, near) {
            (Some(place), _) => format!("{place} defines it, but Asterisk has not loaded that line"),
            (None, Some(near)) => format!("did you mean `{near}`? {exist}"),
            (None, None) => exist,
        };
        format!("Asterisk does not have the {name}, which {by} names{place} ({known})")
    }

    /// Says what to do about it.
    pub(crate) fn hint(&self) -> String {
        let Self { name, naming: Naming { harm, .. }, defined, .. } = self;
        match defined {
            Some(_) => {
                let reload = file_of(name).module().reload_command;
                format!("run `asterisk -rx '{reload}'` to load it; until then {harm}")
            }
            None if matches!(name, HostName::Prompt(_)) => {
                format!("put it there, or into the folder of its language, such as `sounds/en`; until then {harm}")
            }
            None => format!("correct the name, or define the {name} in Asterisk; until then {harm}"),
        }
    }
}

/// How something is named.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    /// What names it, in words, such as "`dialplan.include`".
    pub(super) by: String,
    /// What happens while it is missing.
    harm: &'static str,
}

/// What happens while a context is missing in which phones dial.
const NO_WAY_OUT: &str = "phones cannot dial out through it, 112 included";

/// What happens while a transport is missing.
const NO_TRANSPORT: &str = "calls over it fail";

/// What happens while a prompt is missing.
const SILENCE: &str = "callers hear nothing instead";

/// What happens while an extension is missing that calls are sent to.
const CALLS_END: &str = "calls that are sent there end";

/// Lists what the files of a tenant name, each with the first that does.
pub(super) fn named(book: &Phonebook<'_>) -> BTreeMap<HostName, Naming> {
    let mut named: BTreeMap<HostName, Naming> = BTreeMap::new();
    let mut name = |name: HostName, by: String, harm| {
        named.entry(name).or_insert(Naming { by, harm });
    };
    for context in &book.settings.include {
        name(HostName::Context(context.clone()), "`dialplan.include`".to_owned(), NO_WAY_OUT);
    }
    if let Some(transport) = &book.settings.phones.transport {
        name(HostName::Transport(transport.clone()), "`phones.transport`".to_owned(), NO_TRANSPORT);
    }
    for Phone { email, phone, no_answer, .. } in &book.phones {
        let of = |key: &str| format!("`{key}` of `{email}`");
        if let Some(transport) = &phone.transport {
            name(HostName::Transport(transport.clone()), of("phone.transport"), NO_TRANSPORT);
        }
        if let Some(context) = &phone.context {
            name(HostName::Context(context.clone()), of("phone.context"), NO_WAY_OUT);
        }
        for called in host_names(no_answer.unwrap_or_default()) {
            name(called, of("no_answer"), CALLS_END);
        }
    }
    for ((kind, of), object) in book.routes.objects() {
        for needed in object.host_names() {
            let by = if of.is_empty() { format!("`{kind}`") } else { format!("the {kind} `{of}`") };
            let harm = if matches!(needed, HostName::Prompt(_)) { SILENCE } else { CALLS_END };
            name(needed, by, harm);
        }
    }
    named
}

/// Whether Asterisk has a name; `None` if its answer does not tell.
fn exists(name: &HostName, answer: Option<&Answer>) -> Option<bool> {
    let answer = answer?;
    let text = answer.raw();
    match name {
        HostName::Prompt(_) => None,
        HostName::Context(_) | HostName::Extension(_) if text.contains("no existence of") => Some(false),
        HostName::Context(name) => text.contains(&format!("Context '{name}'")).then_some(true),
        HostName::Transport(_) if text.contains("Unable to find") => Some(false),
        HostName::Transport(_) => has_parameters(answer).then_some(true),
        // It may be in a context that this one includes.
        HostName::Extension(_) => text.contains("Context '").then(|| !called(text).is_empty()),
    }
}

/// Lists the extensions that a call can be sent to, of a listing of a dialplan: those with a first step. A hint is none.
fn called(listing: &str) -> Vec<&str> {
    let (mut found, mut extension) = (Vec::new(), "");
    for line in listing.lines().map(str::trim_start) {
        let begins = line.strip_prefix('\'').and_then(|line| line.split_once("' =>"));
        let step = begins.map_or(line, |(_, step)| step.trim_start());
        extension = begins.map_or(extension, |(name, _)| name);
        let labelled = step.strip_prefix('[').and_then(|step| step.split_once(']'));
        if labelled.map_or(step, |(_, step)| step.trim_start()).starts_with("1. ") {
            found.push(extension);
        }
    }
    found
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
    let mut checked = CheckedNames::default();
    check_prompts(asterisk, &named, &mut checked)?;
    let asked: Vec<(&HostName, &Naming, String)> =
        named.iter().filter_map(|(name, naming)| Some((name, naming, command(name)?))).collect();
    if asked.is_empty() {
        return Ok(checked);
    }
    let shown = ConfigFile::ALL.map(|file| format!("module show like {}", file.module().object));
    let commands: Vec<String> = shown.into_iter().chain(asked.iter().map(|(_, _, command)| command.clone())).collect();
    let mut answers = ask(asterisk, &commands)?.into_iter();
    let modules = PerFile::from_fn(|_| answers.next().flatten());
    let mut existing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((name, naming, command), answer) in asked.into_iter().zip(answers) {
        let file = file_of(name);
        let module = file.module();
        let mut unchecked = |why: String| checked.unchecked.push(format!("whether the {name} exists: {why}"));
        match exists(name, answer.as_ref()) {
            Some(true) => {}
            _ if is_stopped(module, modules[file].as_ref()) => {
                unchecked(format!("Asterisk has not loaded {}; `reconcile apply` loads it", module.object));
            }
            None => unchecked(format!("Asterisk does not answer `{command}`")),
            Some(false) => {
                let name = match name {
                    HostName::Extension(at) if lacks_context(at, answer.as_ref()) => {
                        &HostName::Context(at.context.clone())
                    }
                    name => name,
                };
                if checked.missing.iter().any(|missing| missing.name == *name) {
                    continue;
                }
                let existing = match existing.entry(listing(name)) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(unknown) => unknown.insert(list(asterisk, name, book)?).clone(),
                };
                // Without its file, res_pjsip starts all the same, and knows nothing.
                let rejected = if existing.is_empty() { rejected(config_dir, file) } else { None };
                if let Some(why) = rejected {
                    unchecked(why);
                    continue;
                }
                let (near, defined) = (near(name, &existing), defined(config_dir, name));
                let (name, naming) = (name.clone(), naming.clone());
                checked.missing.push(MissingName { name, naming, near, existing, defined });
            }
        }
    }
    Ok(checked)
}

/// Returns the command that shows a name; `None` for a prompt, which is a file.
fn command(name: &HostName) -> Option<String> {
    match name {
        HostName::Context(name) => Some(format!("dialplan show {name}")),
        HostName::Transport(name) => Some(format!("pjsip show transport {name}")),
        HostName::Extension(at) => Some(format!("dialplan show {}@{}", at.extension, at.context)),
        HostName::Prompt(_) => None,
    }
}

/// Checks that the host has the prompts.
fn check_prompts(
    asterisk: &Asterisk,
    named: &BTreeMap<HostName, Naming>,
    checked: &mut CheckedNames,
) -> Result<(), AsteriskError> {
    let prompts: Vec<(&HostName, &Prompt, &Naming)> = named
        .iter()
        .filter_map(|(name, naming)| match name {
            HostName::Prompt(prompt) => Some((name, prompt, naming)),
            HostName::Context(_) | HostName::Transport(_) | HostName::Extension(_) => None,
        })
        .collect();
    let found = prompts::exist(asterisk, &prompts.iter().map(|(_, prompt, _)| *prompt).collect::<Vec<_>>())?;
    for ((name, _, naming), found) in prompts.into_iter().zip(found) {
        match found {
            Some(true) => {}
            Some(false) => {
                let (name, naming) = (name.clone(), naming.clone());
                checked.missing.push(MissingName { name, naming, near: None, existing: Vec::new(), defined: None });
            }
            None => {
                let why = "Asterisk does not evaluate `EVAL`, `SET` and `STAT`";
                checked.unchecked.push(format!("whether the {name} exists: {why}"));
            }
        }
    }
    Ok(())
}

/// Finds the existing name that was probably meant. Extensions of one or two signs are all near each other.
fn near(name: &HostName, existing: &[String]) -> Option<String> {
    let is_short = matches!(name, HostName::Extension(_)) && name.name().len() < 3;
    let names = existing.iter().map(String::as_str).filter(|name| !is_short && !name.starts_with('_'));
    nearest(name.name(), names).map(str::to_owned)
}

/// Returns the file whose module knows names of this kind, and whose includer defines them.
fn file_of(name: &HostName) -> ConfigFile {
    match name {
        HostName::Context(_) | HostName::Extension(_) | HostName::Prompt(_) => ConfigFile::Routing,
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

/// Tells whether Asterisk has no extension because it lacks the context.
fn lacks_context(at: &OperatorsExtension, answer: Option<&Answer>) -> bool {
    answer.is_some_and(|answer| answer.raw().contains(&format!("no existence of '{}' context", at.context)))
}

/// Returns the command that lists what Asterisk has of a kind, or in the same context.
fn listing(name: &HostName) -> String {
    match name {
        HostName::Context(_) => "dialplan show".to_owned(),
        HostName::Transport(_) => "pjsip show transports".to_owned(),
        HostName::Extension(at) => format!("dialplan show {}", at.context),
        HostName::Prompt(_) => String::new(),
    }
}

/// Lists what Asterisk has of a kind, or in the same context, without our own names and Asterisk's internal ones.
fn list(asterisk: &Asterisk, name: &HostName, book: &Phonebook<'_>) -> Result<Vec<String>, AsteriskError> {
    let ours = format!("{}-", book.tenant);
    let answer = asterisk.ask(&listing(name))?;
    let lines = answer.raw().lines();
    let is_other = |name: &&str| !name.starts_with(['<', '_']) && !name.starts_with(&ours);
    let names: Vec<&str> = match name {
        HostName::Context(_) => {
            lines.filter_map(|line| line.strip_prefix("[ Context '")?.split('\'').next()).filter(is_other).collect()
        }
        HostName::Transport(_) => {
            let shown = lines.filter_map(|line| line.trim_start().strip_prefix("Transport:"));
            shown.filter_map(|line| line.split_whitespace().next()).filter(is_other).collect()
        }
        HostName::Extension(_) => called(answer.raw()),
        HostName::Prompt(_) => Vec::new(),
    };
    let mut names: Vec<String> = names.into_iter().map(printable).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Finds where the operator's files define a name.
fn defined(config_dir: &Path, name: &HostName) -> Option<String> {
    let file = file_of(name).facts().includer;
    let section = match name {
        HostName::Context(name) | HostName::Transport(name) => format!("[{name}]"),
        HostName::Extension(at) => format!("[{}]", at.context),
        HostName::Prompt(_) => return None,
    };
    includes::read(config_dir, &config_dir.join(file)).ok()?.iter().find_map(|file| {
        let mut found = lines(&file.text).skip_while(|(_, line)| !line.starts_with(&section));
        let (line, _) = match name {
            HostName::Context(_) | HostName::Transport(_) | HostName::Prompt(_) => found.next(),
            HostName::Extension(at) => {
                let mut of_context = found.skip(1).take_while(|(_, line)| !line.starts_with('['));
                of_context.find(|(_, line)| is_first_step(line, &at.extension))
            }
        }?;
        Some(format!("{}:{line}", includes::below(config_dir, &file.path)))
    })
}

/// Tells whether a line of `extensions.conf` is the first step of an extension.
fn is_first_step(line: &str, extension: &ExtensionName) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let mut parts = value.trim_start_matches('>').split(',').map(str::trim);
    key.trim_end() == "exten" && parts.next() == Some(extension.as_str()) && parts.next() == Some("1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_exists_is_missing_or_is_unknown() {
        let context = HostName::Context("outbound".parse().unwrap());
        let transport = HostName::Transport("transport-udp".parse().unwrap());
        let at = OperatorsExtension { context: "ivr".parse().unwrap(), extension: "s".parse().unwrap() };
        let extension = HostName::Extension(at);
        for (name, answer, known) in [
            (&context, "[ Context 'outbound' created by 'pbx_config' ]\n  '112' => 1. Answer()\n", Some(true)),
            (&context, "[ Context 'outbound' (overridden) created by 'pbx_config' ]\n", Some(true)),
            (&context, "There is no existence of 'outbound' context\nCommand failed.\n", Some(false)),
            (&context, "You do not have permissions to run 'dialplan show outbound' command\n", None),
            (&transport, " ParameterName  : ParameterValue\n allow_reload : false\n", Some(true)),
            (&transport, "Unable to find object transport-udp.\n", Some(false)),
            (&transport, "No such command 'pjsip show transport' (type ..)\n", None),
            (&extension, "[ Context 'ivr' created by 'pbx_config' ]\n  's' =>            1. Answer()\n", Some(true)),
            (&extension, "[ Context 'more' created by 'pbx_config' ]\n  '_[s]' =>  1. Answer()\n", Some(true)),
            (&extension, "[ Context 'ivr' created by 'pbx_config' ]\n  's' =>  hint: SIP/1\n", Some(false)),
            (&extension, "[ Context 'ivr' created by 'pbx_config' ]\n  's' =>  2. Answer()\n", Some(false)),
            (
                &extension,
                "[ Context 'ivr' created by 'pbx_config' ]\n  's' =>  hint: SIP/1\n     [go]  1. Answer()\n",
                Some(true),
            ),
            (&extension, "There is no existence of s@ivr extension\nCommand failed.\n", Some(false)),
            (&extension, "There is no existence of 'ivr' context\nCommand failed.\n", Some(false)),
            (&extension, "You do not have permissions to run 'dialplan show s@ivr' command\n", None),
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
            let naming = Naming { by: "`dialplan.include`".to_owned(), harm: NO_WAY_OUT };
            MissingName { name: name.clone(), naming, near, existing: some(existing), defined }.words(&places)
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

    #[test]
    fn the_first_step_of_an_extension_is_found_in_a_file() {
        let name: ExtensionName = "s".parse().unwrap();
        for line in ["exten => s,1,Answer()", "exten=s,1,Answer()", "exten = s , 1 ,Answer()"] {
            assert!(is_first_step(line, &name), "{line}");
        }
        for line in [
            "exten => s,2,Answer()",
            "exten => s,hint,SIP/1",
            "exten => ss,1,NoOp()",
            "include => s",
            "same => n,NoOp()",
        ] {
            assert!(!is_first_step(line, &name), "{line}");
        }
    }
}
