//! `reconcile schema`: the JSON schemas, for editors and programs.

use clap::ValueEnum;

use super::{Exit, printer::Printer, report::json};
use crate::desired;

/// Print the JSON schema of the desired-state file, or of a JSON plan
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile schema > desired-state.schema.json")]
pub(crate) struct Args {
    /// Which schema
    #[arg(value_enum, default_value_t = Which::DesiredState)]
    which: Which,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// The desired-state file
    DesiredState,
    /// The document of `plan --format json`
    Plan,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Exit {
    printer.document(&match args.which {
        Which::DesiredState => desired::schema(),
        Which::Plan => json::schema(),
    });
    Exit::Done
}
