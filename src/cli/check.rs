//! `reconcile check`: is the desired state valid? Offline: no database, no secrets, no Asterisk.

use super::{
    Exit,
    printer::Printer,
    settings::{FileArgs, Format},
};
use crate::{
    desired,
    model::Severity,
    report::{count, json},
};
use anyhow::Result;

/// Check the desired-state file, and report every problem in one run
///
/// Needs no database, no secrets and no Asterisk, so it runs anywhere, on every pull request.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile check -f pbx.yaml")]
pub(crate) struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(serde::Serialize)]
struct Problem<'a> {
    severity: Severity,
    code: &'a str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    hint: Option<&'a str>,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    printer.phase("reading the desired state");
    let loaded = desired::load(&args.file.file);
    if args.format == Format::Json {
        let problems: Vec<Problem<'_>> = loaded
            .problems
            .iter()
            .map(|problem| Problem {
                severity: problem.severity,
                code: problem.code.as_str(),
                message: &problem.message,
                file: problem.place.and_then(|p| loaded.sources.get(p.file as usize)).map(|s| s.name.as_str()),
                line: problem.place.map(|place| place.line),
                column: problem.place.map(|place| place.column),
                hint: problem.hint.as_deref(),
            })
            .collect();
        printer.document(&json::pretty(&serde_json::json!({
            "format_version": 1,
            "problems": problems,
            "unlisted_errors": loaded.unlisted,
        }))?);
    } else {
        printer.diagnostics(&loaded.problems, loaded.unlisted, &loaded.sources);
    }
    let of = |severity| loaded.problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error) + loaded.unlisted, of(Severity::Warning));
    let name = args.file.name();
    let verdict = match &loaded.declared {
        Some(declared) => format!("{name}: valid, {}", count(declared.users.len(), "user")),
        None => format!("{name}: {}", count(errors, "error")),
    };
    let warnings = if warnings > 0 { format!(", {}", count(warnings, "warning")) } else { String::new() };
    if args.format == Format::Text {
        printer.document(&format!("{verdict}{warnings}\n"));
    }
    Ok(if loaded.declared.is_some() { Exit::Done } else { Exit::Invalid })
}
