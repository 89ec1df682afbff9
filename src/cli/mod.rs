//! The command line: arguments, settings, one file a command, reports and exit codes.
//!
//! Knows everything below it and is known by nothing. All output goes through [`printer`].

mod apply;
mod backup;
mod calls;
mod check;
mod doctor;
pub mod env;
pub mod exit;
mod expect;
mod export;
mod generate;
mod history;
mod import;
mod imported;
mod init;
mod keys;
mod migrate;
mod new_tenant;
mod notify;
mod numbers;
mod output;
mod plan;
mod printer;
mod put_back;
pub mod rail_table;
mod recorded;
mod rollback;
mod saves;
mod schema;
mod secret;
mod serve;
mod session;
mod settings;
mod status;
mod stop;
mod tenant;
mod token;
mod trace;
mod usage;
mod users;
mod variable;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, builder::Styles};

use crate::{child, error::words, log};
use exit::Exit;
use printer::Printer;

/// GitOps for an Asterisk phone system.
///
/// A YAML file in git declares a company's phones. `reconcile plan` shows what would change.
/// `reconcile apply` records the change in PostgreSQL, writes Asterisk's include files, reloads
/// Asterisk, and reads back what it runs.
#[derive(Debug, Parser)]
#[command(name = "reconcile", version = env!("RECONCILE_VERSION"), styles = Styles::plain(), max_term_width = 100)]
#[command(
    after_help = "Start with `reconcile init`, or with `reconcile import --running` if phones run here already. \
                  `reconcile COMMAND --help` explains a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: output::OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Trace(trace::Args),
    Plan(plan::Args),
    Sync(apply::SyncArgs),
    Apply(apply::Args),
    Watch(watch::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    History(history::Args),
    Rollback(rollback::Args),
    PutBack(put_back::Args),
    Users(users::Args),
    Numbers(numbers::Args),
    Calls(calls::Args),
    Export(export::Args),
    Import(import::Args),
    Secret(secret::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Tenant(tenant::Args),
    Token(token::Args),
    Serve(serve::Args),
    Migrate(migrate::Args),
    Schema(schema::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Runs one command and says how it ended. Can be called again in the same process.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match usage::parse::<Cli>(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; the rest is wrong usage.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            if let Some(hint) = usage::hint::<Cli>(&error, &args) {
                Printer::new(&output::OutputArgs::plain()).talk(&format!("hint: {hint}"));
            }
            return exit.into();
        }
    };
    let mut printer = Printer::new(&cli.output);
    // A server tells of each request; other commands speak through the printer.
    output::log(&cli.output, if matches!(cli.command, Command::Serve(_)) { "info" } else { "warn" });
    if !matches!(cli.command, Command::Serve(_)) {
        child::end_with_us();
    }
    let result = match &cli.command {
        Command::Init(args) => init::run(args, &mut printer),
        Command::Check(args) => check::run(args, &mut printer),
        Command::Trace(args) => trace::run(args, &mut printer),
        Command::Plan(args) => plan::run(args, &mut printer),
        Command::Sync(args) => apply::run_sync(args, &mut printer),
        Command::Apply(args) => apply::run(args, &mut printer),
        Command::Watch(args) => watch::run(args, &mut printer),
        Command::Status(args) => status::run(args, &mut printer),
        Command::Doctor(args) => doctor::run(args, &mut printer),
        Command::History(args) => history::run(args, &mut printer),
        Command::Rollback(args) => rollback::run(args, &mut printer),
        Command::PutBack(args) => put_back::run(args, &mut printer),
        Command::Users(args) => users::run(args, &mut printer),
        Command::Numbers(args) => numbers::run(args, &mut printer),
        Command::Calls(args) => calls::run(args, &mut printer),
        Command::Export(args) => export::run(args, &mut printer),
        Command::Import(args) => import::run(args, &mut printer),
        Command::Secret(args) => secret::run(args, &mut printer),
        Command::Backup(args) => backup::run_backup(args, &mut printer),
        Command::Restore(args) => backup::run_restore(args, &mut printer),
        Command::Tenant(args) => tenant::run(args, &mut printer),
        Command::Token(args) => token::run(args, &mut printer),
        Command::Serve(args) => serve::run(args),
        Command::Migrate(args) => migrate::run(args, &mut printer),
        Command::Schema(args) => schema::run(args, &mut printer),
        Command::Generate(args) => generate::run(args, Cli::command(), &mut printer),
    };
    let exit = match result {
        Ok(Exit::Done) if printer.failed => Exit::Error.into(),
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = stop::exit_of(&error);
            printer.error(&words(&error));
            exit.into()
        }
    };
    log::flush();
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_variable_of_a_flag_is_in_the_table() {
        let mut flags: Vec<String> = Cli::command()
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .chain(Cli::command().get_arguments())
            .filter_map(|arg| arg.get_env().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        flags.sort();
        flags.dedup();
        for name in flags {
            assert!(env::VARIABLES.iter().any(|variable| variable.name == name), "{name} is missing in env.rs");
        }
    }
}
