//! `reconcile status`: is each stage in step with the one before it? Moves nothing.

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Exit,
    notify::{self, NotifyArgs},
    printer::Printer,
    session,
    settings::{FileArgs, Format, HostArgs, SecretArgs, StateArgs},
    stop::Stop,
};
use crate::{
    deploy,
    directory::{Directory, Recorded, Schema},
    error::{Hinted, line_of},
    model::Tenant,
    notify::{Problem, problems_of},
    plan::{self, Inputs},
    report::status::{self, Status},
};

/// Show whether file, database, generated files and Asterisk are in step
///
/// Compares the file with the database, the database with the generated files on this host, and these
/// files with the running Asterisk. Reports drift, the last apply on each host, and the numbers in use.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile status -f pbx.yaml\n  \
    reconcile status --detailed-exitcode   # each night: exit 2 means that something is out of step")]
pub(crate) struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// The tenant; no file is compared then [default: the tenant in the file]
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    /// Do not query the running Asterisk
    #[arg(long)]
    no_asterisk: bool,
    /// List the registered contacts of every user
    #[arg(long)]
    registrations: bool,
    /// Exit 2 if a stage is out of step or a trunk is not registered, 65 if the file is invalid
    #[arg(long)]
    detailed_exitcode: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let (tenant, desired) = match &args.tenant {
        Some(slug) => (slug.parse().map_err(Stop::argument)?, None),
        None => match session::desired_or_tenant(&args.file, printer)? {
            Ok(desired) => (desired.declared.tenant.clone(), Some(desired)),
            Err(tenant) => (tenant, None),
        },
    };
    let receiver = args.notify.resolve()?;
    let is_broken = args.tenant.is_none() && desired.is_none();
    let host = args.host.resolve(&args.state, !args.no_asterisk)?;
    let now = Timestamp::now();

    printer.phase("reading what is recorded");
    let directory = args.state.open_to_read(&mut |line| tracing::info!("{line}"))?;
    let known = read(directory, &tenant)?;
    if args.tenant.is_some() && known.recorded.tenant.is_none() {
        let message = format!("tenant `{tenant}` is not recorded");
        let hint = "check the spelling and DATABASE_URL; without --tenant, the file is compared, recorded or not";
        return Err(Hinted::new(message, hint).into());
    }
    let is_readable = known.recorded.unreadable.is_empty();
    printer.phase("asking Asterisk what it runs");
    let survey = host.survey(&tenant)?;
    let behind = match &desired {
        Some(desired) if is_readable => {
            let secrets = session::secrets(desired, &args.secrets);
            let inbound = session::inbound(desired, &args.secrets);
            let allowance = plan::Allowance::new();
            let inputs = Inputs {
                declared: &desired.declared,
                recorded: &known.recorded,
                secrets: &secrets,
                inbound: &inbound,
                allowance: &allowance,
                highest_box: survey.highest_box(),
                now,
            };
            Some(plan::plan(&inputs))
        }
        _ => None,
    };
    let no_folder = host.missing_folder()?;
    let mut comparison = None;
    let mut here = None;
    let mut unasked = args.no_asterisk.then(|| "not asked (--no-asterisk)".to_owned());
    if let Some(plan) = plan::as_recorded(&tenant, &known.recorded).filter(|_| is_readable) {
        let compared = deploy::compare_plan(plan, &known.recorded, &survey, &plan::Allowance::new(), Vec::new())?;
        let (status, silent) = deploy::status(&host, &tenant, survey, &compared, now);
        unasked = silent.map(|error| line_of(&error)).or(unasked);
        here = Some(status);
        comparison = Some(compared);
    }
    let status = Status {
        tenant: &tenant,
        host: &host.name,
        database: &known.database,
        file: desired.as_ref(),
        is_file_invalid: is_broken,
        behind: behind.as_ref(),
        recorded: &known.recorded,
        numbers: plan::numbers(&known.recorded, now).filter(|_| is_readable),
        comparison: comparison.as_ref(),
        here: here.as_ref(),
        unasked: unasked.as_deref(),
        silent: unasked.is_some() && !args.no_asterisk,
        no_folder: no_folder.as_ref(),
        registrations: args.registrations,
        applies: &known.applies,
        changed_at: known.changed_at,
    };
    let document = match args.format {
        Format::Text => status::text(&status, printer.color()),
        Format::Json => status::json(&status)?,
    };
    printer.document(&document);
    if let Some(receiver) = receiver {
        let scope = match (args.tenant.is_some(), args.no_asterisk) {
            (false, false) => "",
            (false, true) => "without Asterisk",
            (true, false) => "without a file",
            (true, true) => "without Asterisk and a file",
        };
        notify::tell(&receiver, ("status", scope), (&tenant, &host), problems(&status), printer);
    }
    if args.detailed_exitcode && is_broken {
        return Ok(Exit::Invalid);
    }
    Ok(if args.detailed_exitcode && !status.in_step() { Exit::Changes } else { Exit::Done })
}

/// Lists what is wrong, for a notification.
fn problems(status: &Status<'_>) -> Vec<Problem> {
    let behind = status.comparison.is_some_and(|comparison| comparison.callers_behind);
    let mut problems = status.here.map(|here| problems_of(here, !status.silent, behind)).unwrap_or_default();
    if status.is_file_invalid {
        problems.push(Problem::new("recorded", "the desired-state file is invalid"));
    } else if status.behind.is_some_and(|plan| !plan.is_empty()) {
        problems.push(Problem::new("recorded", "the database does not hold what the desired-state file declares"));
    }
    if !status.recorded.unreadable.is_empty() {
        problems.push(Problem::new("recorded", "the database holds documents that cannot be read"));
    }
    problems
}

/// What the directory knows.
struct RecordedStatus {
    database: String,
    recorded: Recorded,
    applies: Vec<crate::directory::audit::Entry>,
    changed_at: Option<Timestamp>,
}

fn read(directory: Option<Directory>, tenant: &Tenant) -> Result<RecordedStatus> {
    let mut known = RecordedStatus {
        database: "private".to_owned(),
        recorded: Recorded::default(),
        applies: Vec::new(),
        changed_at: None,
    };
    let Some(mut directory) = directory else { return Ok(known) };
    known.database = directory.show();
    known.recorded = directory.read_readable(tenant)?;
    if directory.schema()? != Schema::Absent {
        (known.applies, known.changed_at) = directory.last_applies(tenant)?;
    }
    Ok(known)
}
