//! `reconcile schema`: the JSON schemas, for editors and programs.

use anyhow::Result;
use clap::ValueEnum;

use super::{Exit, backup, doctor, numbers, printer::Printer};
use crate::{
    desired,
    report::{json, status},
    serve::openapi,
};

/// Print the JSON schema of the desired-state file, a JSON plan, status, list of numbers report of `doctor` or line of a backup; or the `OpenAPI` document
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
    /// The document of `status --format json`
    Status,
    /// The document of `numbers --format json`
    Numbers,
    /// The document of `doctor --format json`
    Doctor,
    /// A line of the file of `backup`
    Backup,
    /// The portal API, as `OpenAPI`
    Openapi,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    printer.document(&match args.which {
        Which::DesiredState => desired::schema()?,
        Which::Plan => json::schema()?,
        Which::Status => status::schema()?,
        Which::Numbers => numbers::schema()?,
        Which::Doctor => doctor::schema()?,
        Which::Backup => backup::schema()?,
        Which::Openapi => openapi::document()?,
    });
    Ok(Exit::Done)
}
