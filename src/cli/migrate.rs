//! `reconcile migrate`: bring the database schema up to date.

use anyhow::Result;

use super::{Exit, printer::Printer, settings::StateArgs};

/// Create or update the database tables
///
/// `sync` and `apply` also do this. Use this command to run the migration as a separate step.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://pbx@db/pbx reconcile migrate")]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let (mut directory, _) = args.state.open_to_write(&mut |line| printer.talk(line))?;
    let done = directory.migrate()?;
    for migration in &done {
        printer.document(&format!("migrated: {migration}\n"));
    }
    if done.is_empty() {
        printer.document("The schema is up to date.\n");
    }
    Ok(Exit::Done)
}
