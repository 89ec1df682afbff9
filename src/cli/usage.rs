//! How arguments are parsed: an empty environment variable counts as absent, and what is wrong is said in plain words.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    str::FromStr,
};

use clap::{
    Arg, Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::model;

/// Parses the arguments, the program's name first.
///
/// # Errors
/// If they are wrong, or ask for help or the version.
pub(super) fn parse<T: Parser>(args: &[OsString]) -> Result<T, clap::Error> {
    let mut command = without_empty_variables(T::command());
    let mut matches = command.try_get_matches_from_mut(args)?;
    T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// CI sets variables that have no value to the empty text.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// Says what to do about wrong usage, if its message does not.
pub(super) fn hint<T: Parser>(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    match error.kind() {
        ErrorKind::UnknownArgument => hint_of_unknown(argument),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return None };
            let mut command = T::command();
            command.build();
            let variable = variable_of(&command, argument, value, args)?;
            Some(format!("the value comes from the environment variable {variable}"))
        }
        _ => None,
    }
}

/// Says how an argument is written that is no argument here, but of many other programs.
fn hint_of_unknown(argument: &str) -> Option<String> {
    let is_file = [".yaml", ".yml"].iter().any(|end| argument.ends_with(end)) && !argument.starts_with('-');
    match argument {
        "--json" => Some("write `--format json`".to_owned()),
        file if is_file => Some(format!("name the file with `-f {}`", model::printable(file))),
        _ => None,
    }
}

/// Returns the variable that a wrong value of an argument came from; `None` if it was given as an argument.
fn variable_of(command: &Command, argument: &str, value: &str, args: &[OsString]) -> Option<String> {
    let arguments = command.get_arguments().filter(|arg| arg.to_string() == argument);
    let is_given = |arg: &Arg| {
        let flag = arg.get_long().map(|long| format!("--{long}"));
        flag.is_some_and(|flag| args.iter().any(|given| given.to_string_lossy().split('=').next() == Some(&flag)))
    };
    let named = arguments.filter(|arg| !is_given(arg)).find_map(|arg| {
        let variable = arg.get_env()?;
        let holds = std::env::var_os(variable).is_some_and(|held| holds(&held, value));
        holds.then(|| variable.to_string_lossy().into_owned())
    });
    named.or_else(|| command.get_subcommands().find_map(|command| variable_of(command, argument, value, args)))
}

/// Tells whether a variable holds a value, by itself or in a list.
fn holds(held: &OsStr, value: &str) -> bool {
    let held = held.to_string_lossy();
    held == value || held.split(',').any(|held| held == value)
}

/// Reads how many things are listed.
pub(super) fn count(text: &str) -> Result<u32, String> {
    parsed(text, "write a whole number from 1 on, such as `20`").and_then(|count| match count {
        0 => Err("write a whole number from 1 on, such as `20`".to_owned()),
        count => Ok(count),
    })
}

/// Reads the number of a run.
pub(super) fn run(text: &str) -> Result<i64, String> {
    parsed(text, "write the number of a run, such as `12`; without it, `reconcile history` lists the runs")
}

/// Reads where a server listens.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    parsed(text, "write an IP address and a port, such as `127.0.0.1:8000` or `[::1]:8000`")
}

/// Reads what is logged. A word that is no level would be the name of a module, and silence everything else.
pub(super) fn level(text: &str) -> Result<String, String> {
    const FORM: &str = "write one of `off`, `error`, `warn`, `info`, `debug` and `trace`, or a level for one module, such as \
                        `reconcile::deploy=debug`";
    let is_known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if text.split(',').all(is_known) && EnvFilter::try_new(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(FORM.to_owned())
    }
}

fn parsed<T: FromStr>(text: &str, form: &str) -> Result<T, String> {
    text.parse().map_err(|_| form.to_owned())
}
