//! `reconcile plan`: what would change? Reads everything, moves nothing.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Exit,
    imported::ImportedArgs,
    new_tenant,
    printer::Printer,
    recorded::{NOTHING_RECORDED, ON_THE_HOST, RecordedFile},
    session,
    settings::{FileArgs, HostArgs, PlanFormat, SecretArgs, StateArgs, has_url},
    stop::Stop,
};
use crate::{
    deploy::{self, Comparison, Host, Policy},
    desired,
    directory::{BadGeneration, Directory, Recorded, Schema},
    error::line_of,
    model::{Tenant, shown},
    plan::{Allowance, Inputs, RailStop},
    report::{Desired, RecordedIn, Report, json, markdown, name_places, text},
};

/// Show what an apply would change, without changing anything
///
/// Compares the file with the database, the generated files on this host and the running Asterisk.
/// Lists as unchecked what cannot be compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile plan -f pbx.yaml\n  \
    reconcile plan --no-asterisk --detailed-exitcode   # on a CI runner: exit 2 means changes\n  \
    reconcile plan --recorded recorded.json            # on a runner that does not reach the database")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Plan against what `reconcile export --recorded` wrote to this file, without any database; `-` reads standard input.
    /// Looks at no generated file and no Asterisk, and reads no declared secret
    #[arg(long, value_name = "FILE")]
    recorded: Option<PathBuf>,
    /// Exit 2 if there are changes, 3 if a rail would stop them
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What a plan is made of and how it is written: for `plan` and `watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) imported: ImportedArgs,
    /// Do not query the running Asterisk
    #[arg(long)]
    pub(crate) no_asterisk: bool,
    /// Whether files that were put back may be made live again: an apply says so.
    #[arg(skip)]
    pub(crate) again: bool,
    /// Let N cases pass a rail (a safety limit), such as `deletes=57`
    #[arg(long, value_name = "NAME=N")]
    pub(crate) allow: Vec<String>,
    /// The output format
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,
    /// Do not shorten a long plan on a terminal
    #[arg(long)]
    pub(crate) full: bool,
}

/// How the lines begin that say that Asterisk did not answer. An apply fails then; a plan goes on.
const NO_ANSWER: &str = "the running Asterisk: ";
const NO_LIST: &str = deploy::NO_LIST;

/// Lists why an apply would fail, of what a plan could not check.
pub(crate) fn unanswered(comparison: &Comparison) -> Vec<&str> {
    let fails = |reason: &&str| reason.starts_with(NO_ANSWER) || reason.starts_with(NO_LIST);
    comparison.unchecked.iter().map(String::as_str).filter(fails).collect()
}

/// Resolved arguments, ready to make and show any number of plans.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    args: &'a Common,
    allowance: Allowance,
    host: Host,
    /// The plan that an apply would be held to, so that the run which did it already is found.
    expect: Option<&'a str>,
    /// What is read in place of the database.
    recorded: Option<&'a RecordedFile>,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let recorded = args.recorded_file()?;
    let planner = Planner { recorded: recorded.as_ref(), ..args.common.resolve()? };
    let desired = desired(&args.common.file, args.common.format, printer)?;
    let comparison = planner.show(&desired, printer)?;
    let exit = if !comparison.stops.is_empty() {
        Exit::Rail
    } else if comparison.is_empty() {
        Exit::Done
    } else {
        Exit::Changes
    };
    Ok(if args.detailed_exitcode { exit } else { Exit::Done })
}

/// Reads and checks the desired state. Markdown says why there is no plan: the comment would be empty otherwise.
pub(crate) fn desired(file: &FileArgs, format: PlanFormat, printer: &mut Printer) -> Result<Desired> {
    printer.phase("reading the desired state");
    let loaded = desired::load(&file.file);
    if loaded.declared.is_none() && format == PlanFormat::Markdown {
        let tenant = loaded.tenant();
        let text = markdown::problems(tenant.as_ref(), &loaded.problems, loaded.unlisted, &loaded.sources);
        printer.document(&text);
    }
    Ok(session::checked(file.name(), loaded, printer)?)
}

impl Args {
    /// Reads the file that stands for the database, if one is given.
    fn recorded_file(&self) -> Result<Option<RecordedFile>> {
        let Some(path) = &self.recorded else { return Ok(None) };
        self.common.state.refuse_beside("--recorded")?;
        if path == Path::new("-") && self.common.file.file == path.as_path() {
            let hint = "give a file for one of `-f` and `--recorded`";
            return Err(Stop::usage("standard input is read once", hint).into());
        }
        RecordedFile::read(path).map(Some)
    }
}

impl Common {
    pub(crate) fn resolve(&self) -> Result<Planner<'_>> {
        let allowance = session::allowance(&self.allow)?;
        let host = self.host.resolve(&self.state, !self.no_asterisk)?;
        Ok(Planner { args: self, allowance, host, expect: None, recorded: None })
    }
}

impl<'a> Planner<'a> {
    /// Holds the plan to an id, as an apply would.
    pub(crate) fn expecting(self, id: Option<&'a str>) -> Self {
        Self { expect: id, ..self }
    }

    /// Makes the plan of a checked desired state and prints it, with the rails it runs into.
    pub(crate) fn show(&self, desired: &Desired, printer: &mut Printer) -> Result<Comparison> {
        let (comparison, document) = self.make(desired, printer)?;
        printer.document(&document);
        for stop in &comparison.stops {
            printer.error(&format!("[rail-{}]: {}\nhint: {}", stop.rail, stop.message, stop.hint));
        }
        Ok(comparison)
    }

    /// Makes the plan of a checked desired state, and writes it.
    pub(crate) fn make(&self, desired: &Desired, printer: &mut Printer) -> Result<(Comparison, String)> {
        let Self { args, allowance, .. } = self;
        if args.full {
            printer.show_all();
        }
        let database;
        let (mut comparison, recorded_in) = if let Some(file) = self.recorded {
            (file.compare(desired, (&args.secrets, &args.imported), allowance, printer)?, file.source())
        } else {
            let comparison;
            (comparison, database) = self.compare(desired, printer)?;
            (comparison, RecordedIn::Database(&database))
        };
        refuse_problems(&comparison, desired, args.format, printer)?;
        if self.recorded.is_none() {
            name_private(&args.state, &mut comparison)?;
        }
        let arguments = arguments(&args.file, &args.imported);
        let report = Report { desired, comparison: &comparison, recorded_in, allowance, arguments: &arguments };
        let document = written(&report, args.format, printer)?;
        Ok((comparison, document))
    }

    /// Compares a desired state with the database, the generated files and the running Asterisk. Also returns the name of
    /// the database.
    fn compare(&self, desired: &Desired, printer: &mut Printer) -> Result<(Comparison, String)> {
        let Self { args, allowance, host, expect, .. } = self;
        printer.phase("reading what is recorded");
        let secrets = session::secrets_with_imported(desired, &args.secrets, &args.imported, printer)?;
        let inbound = session::inbound(desired, &args.secrets);
        let tenant = &desired.declared.tenant;

        let mut directory = args.state.open_to_read(&mut |line| tracing::info!("{line}"))?;
        let (recorded, database, schema_note) = match &mut directory {
            Some(directory) => {
                let mut recorded = directory.read(tenant)?;
                if let Some(id) = expect
                    && directory.schema()? == Schema::Current
                {
                    recorded.expected_runs = directory.runs_of_plan(tenant, id)?;
                }
                (recorded, directory.show(), directory.schema_note()?)
            }
            None => (Recorded::default(), "private".to_owned(), None),
        };
        // Where no Asterisk is looked at, no apply will be either: the key stays on the Asterisk host.
        let missing = host.missing_folder()?;
        let has_folder = missing.is_none();
        let on_the_host = has_folder && !args.no_asterisk;
        let lack = if on_the_host { args.state.lack_of_keys(directory.as_mut())? } else { None };
        let misspelt = match &mut directory {
            Some(directory) if recorded.tenant.is_none() => new_tenant::perhaps_misspelt(directory, &desired.declared)?,
            _ => None,
        };
        let bad = match &mut directory {
            Some(directory) if on_the_host && !args.again => bad_generations(directory, host, tenant),
            _ => Vec::new(),
        };
        drop(directory);
        let inputs = Inputs {
            declared: &desired.declared,
            recorded: &recorded,
            secrets: &secrets,
            inbound: &inbound,
            allowance,
            highest_box: 0,
            now: Timestamp::now(),
        };
        printer.phase("asking Asterisk what it runs");
        let mut comparison = if let Some(missing) = missing {
            let unchecked = format!("the files in place and the running Asterisk: {}", missing.words_here());
            deploy::compare_recorded(&inputs, vec![unchecked, ON_THE_HOST.to_owned()])?
        } else {
            let survey = host.survey(tenant)?;
            let unchecked = match (&survey.running, &survey.silent) {
                (Some(_), _) => None,
                (None, None) => Some("the running Asterisk (--no-asterisk)".to_owned()),
                (None, Some(error)) => Some(format!("{NO_ANSWER}{}", line_of(error))),
            };
            let lack = lack.map(|why| format!("whether the secrets can be opened: {why}"));
            printer.phase("planning");
            let compared = deploy::compare(&inputs, &survey, unchecked.into_iter().chain(lack).collect())?;
            let places = name_places(desired);
            host.complete(compared, &survey, Policy { allowance, places: &places, now: inputs.now })
        };
        comparison.stops.extend(comparison.bad_generation(&bad));
        comparison.notes.extend(schema_note);
        if recorded.directory.is_none() {
            comparison.notes.push(NOTHING_RECORDED.to_owned());
        }
        new_tenant::say(misspelt.as_ref(), &mut comparison);
        Ok((comparison, database))
    }

    /// What the rails let pass.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The host that is compared.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Tells whether all was compared that was to be compared.
    pub(crate) fn is_whole(&self, comparison: &Comparison) -> bool {
        comparison.plan.unresolved.is_empty() && (self.args.no_asterisk || comparison.unchecked.is_empty())
    }
}

/// Lists the generations that were put back on a host. A role that may not read the audit log plans without them.
fn bad_generations(directory: &mut Directory, host: &Host, tenant: &Tenant) -> Vec<BadGeneration> {
    let read = host
        .put_away(tenant)
        .map_err(anyhow::Error::from)
        .and_then(|put_away| Ok(directory.bad_generations(tenant, &host.name, &put_away)?));
    read.unwrap_or_else(|error| {
        tracing::debug!(%error, "which generations were put back is not known");
        Vec::new()
    })
}

/// Says first of a rail at files or phones of another directory that the private database is in use.
pub(crate) fn name_private(state: &StateArgs, comparison: &mut Comparison) -> Result<()> {
    let unexplained = comparison.effects.relogins.difference(&comparison.plan.behind).count() > 0;
    let is_other = |stop: &&mut RailStop| match stop.rail {
        "foreign-files" => true,
        "relogins" => unexplained,
        _ => false,
    };
    if !has_url()
        && let Some(stop) = comparison.stops.iter_mut().find(is_other)
    {
        let folder = shown(&state.dir()?);
        let message = &stop.message;
        stop.message = format!("DATABASE_URL is not set, and the private database in `{folder}` is used: {message}");
    }
    Ok(())
}

/// Says why a plan cannot be made, and ends.
pub(crate) fn refuse_problems(
    comparison: &Comparison,
    desired: &Desired,
    format: PlanFormat,
    printer: &mut Printer,
) -> Result<()> {
    let plan = &comparison.plan;
    let problems = &plan.problems;
    if problems.is_empty() {
        return Ok(());
    }
    if format == PlanFormat::Markdown {
        printer.document(&markdown::problems(Some(&plan.tenant), problems, 0, &desired.sources));
    }
    printer.diagnostics(problems, 0, &desired.sources);
    Err(Stop::new(Exit::Error, "no plan can be made; nothing was changed").into())
}

/// Writes what an apply of a plan needs besides, as a shell takes it: the file, unless the command would find it anyway,
/// and the imported secrets.
pub(crate) fn arguments(file: &FileArgs, imported: &ImportedArgs) -> String {
    let file = file.argument().map(|file| format!(" -f {file}"));
    let secrets = imported.argument().map(|secrets| format!(" --secrets {secrets}"));
    [file, secrets].into_iter().flatten().collect()
}

/// Writes the plan in a format.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn written(report: &Report<'_>, format: PlanFormat, printer: &Printer) -> Result<String> {
    Ok(match format {
        PlanFormat::Text => text::plan(report, printer.color(), printer.is_shortened()),
        PlanFormat::Json => json::plan(report)?,
        PlanFormat::Markdown => markdown::plan(report, markdown::LIMIT),
    })
}
