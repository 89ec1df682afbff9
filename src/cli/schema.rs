//! `reconcile schema`: the JSON schemas, for editors and programs.

use anyhow::Result;
use clap::ValueEnum;

use super::{Exit, backup, doctor, import, numbers, printer::Printer, recorded};
use crate::{
    desired,
    report::{json, status},
    serve::openapi,
};

/// Print the JSON schema of the desired-state file, a JSON plan, status, list of numbers, import, report of `doctor`, line of a
/// backup or what `export --recorded` writes; or the `OpenAPI` document
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile schema > desired-state.schema.json")]
pub(crate) struct Args {
    /// Which schema
    #[arg(value_enum, default_value_t = SchemaName::DesiredState)]
    which: SchemaName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaName {
    /// The desired-state file
    DesiredState,
    /// The document of `plan --format json`
    Plan,
    /// The document of `status --format json`
    Status,
    /// The document of `numbers --format json`
    Numbers,
    /// The document of `import --format json`
    Import,
    /// The document of `doctor --format json`
    Doctor,
    /// A line of the file of `backup`
    Backup,
    /// The document of `export --recorded`
    Recorded,
    /// The portal API, as `OpenAPI`
    Openapi,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    printer.document(&match args.which {
        SchemaName::DesiredState => desired::schema()?,
        SchemaName::Plan => json::schema()?,
        SchemaName::Status => status::schema()?,
        SchemaName::Numbers => numbers::schema()?,
        SchemaName::Import => import::schema()?,
        SchemaName::Openapi => openapi::document()?,
        SchemaName::Doctor => doctor::schema()?,
        SchemaName::Backup => backup::schema()?,
        SchemaName::Recorded => recorded::schema()?,
    });
    Ok(Exit::Done)
}
