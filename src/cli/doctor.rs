//! `reconcile doctor`: what needs an act on this host. Moves nothing.

use std::{
    env,
    fmt::Write,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Exit,
    printer::Printer,
    settings::{self, Format, HostArgs, SecretArgs, StateArgs},
    variable::variable_path,
};
use crate::{
    deploy::Host,
    directory::{Directory, Recorded},
    doctor::{
        Check, Finding, Group, Report,
        asterisk::{AsteriskFacts, WIZARD},
        ci::CiFacts,
        database::DatabaseFacts,
        operator::{self, OperatorFacts},
        ours, rights,
        secrets::{self, SecretFacts},
    },
    error::{line_of, words},
    model::Tenant,
    plan,
    report::{count, json},
};

/// The version of the document: raised when a reader of the old one would misunderstand it.
const FORMAT_VERSION: u32 = 1;

/// How long the database may take, its start included if it is the private one.
const DATABASE: Duration = Duration::from_millis(1500);

/// Variables that name files which nobody else may read.
const SECRET_FILES: [&str; 5] =
    ["RECONCILE_SECRET_KEY_FILE", "DATABASE_URL_FILE", "TWILIO_AUTH_TOKEN_FILE", "RECONCILE_TLS_KEY", "PGPASSFILE"];

/// List what needs an act on this host, each with the fact and the fix
///
/// Looks at Asterisk, your own configuration files, the generated files, rights, the database, keys, and the CI recipe.
/// Changes nothing, and takes less than two seconds. `docs/reference/checks.md` explains each check.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  reconcile doctor\n  reconcile doctor --strict   # exit 1 if anything needs an act"
)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Exit 1 if anything needs an act, or could not be checked
    #[arg(long)]
    strict: bool,
    /// List the checks that found nothing, too
    #[arg(short, long)]
    verbose: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let report = look(args)?;
    printer.document(&match args.format {
        Format::Text => text(&report, args.verbose),
        Format::Json => json::pretty(&document(&report))?,
    });
    let is_clean = report.findings().is_empty() && report.unchecked().is_empty();
    Ok(if args.strict && !is_clean { Exit::Error } else { Exit::Done })
}

/// What the database holds that the checks need.
#[derive(Debug, Default)]
struct Known {
    facts: DatabaseFacts,
    directory: Option<Uuid>,
    tenants: Vec<(Tenant, Recorded)>,
    lack_of_keys: Option<String>,
}

/// Makes all checks.
fn look(args: &Args) -> Result<Report> {
    let mut report = Report::default();
    let mut host = args.host.resolve(&args.state, true)?;
    let begun = Instant::now();
    let answer = begin_to_read(&args.state);
    let asterisk = host.asterisk.as_ref().map(AsteriskFacts::ask).unwrap_or_default();
    report.add(asterisk.check());
    if asterisk.silent.is_some() {
        host.asterisk = None;
        report.skip(Group::Operator, "what only the running Asterisk knows: whether it has the names and modules");
    }
    let known = answer.recv_timeout(DATABASE.saturating_sub(begun.elapsed())).unwrap_or_else(|_| {
        let fact = format!("the database did not answer within {:.1} s", DATABASE.as_secs_f64());
        let away = Some((fact, "check DATABASE_URL, and that the server runs".to_owned()));
        Known { facts: DatabaseFacts { away, ..DatabaseFacts::default() }, ..Known::default() }
    });
    if known.facts.away.is_some() {
        report.skip(Group::Operator, "what the tenants need: the database cannot be read");
    }
    if let Some(missing) = host.missing_folder()? {
        report.add([operator::no_folder(&missing)]);
        for group in [Group::Operator, Group::Files, Group::Rights] {
            report.skip(group, missing.to_string());
        }
    } else {
        look_at_files(&host, asterisk.runs(WIZARD), &known, &mut report);
        for (tenant, recorded) in &known.tenants {
            look_at_tenant(&host, tenant, recorded, &mut report);
        }
        report.add(rights::check(&rights::look(&host.config_dir, &host.state_dir)));
    }
    report.add(known.facts.check());
    report.add(secrets(args, &host, known.lack_of_keys).check());
    let here = env::current_dir().unwrap_or_default();
    report.add(CiFacts::look(&here, args.state.is_empty_in_ci()).check(env!("CARGO_PKG_VERSION")));
    Ok(report)
}

/// Reads the database on a thread of its own: one that does not answer is not waited for.
fn begin_to_read(state: &StateArgs) -> mpsc::Receiver<Known> {
    let (sender, answer) = mpsc::channel();
    let state = state.clone();
    thread::spawn(move || {
        // Nobody waits any more if that fails.
        let _ = sender.send(read(&state));
    });
    answer
}

fn read(state: &StateArgs) -> Known {
    let mut known = Known::default();
    // That there is none in CI is a finding of its own.
    if state.is_empty_in_ci() {
        return known;
    }
    let away = |error: &anyhow::Error| {
        let words = words(error);
        let (fact, fix) = words.split_once("\nhint: ").unwrap_or((&words, "check DATABASE_URL"));
        Some((fact.to_owned(), fix.replace("\nhint: ", ", or ")))
    };
    match settings::url() {
        Ok(Some(url)) => {
            known.facts.url = Some(url.show());
            known.facts.is_unchecked = url.is_unchecked();
        }
        Ok(None) => {}
        Err(error) => {
            known.facts.away = away(&error);
            return known;
        }
    }
    let read = state.open_to_read(&mut |line| tracing::info!("{line}")).and_then(|directory| {
        let Some(mut directory) = directory else { return Ok(()) };
        known.read(&mut directory)?;
        known.lack_of_keys = state.lack_of_keys(Some(&mut directory))?;
        Ok(())
    });
    if let Err(error) = read {
        known.facts.away = away(&error);
    }
    known
}

impl Known {
    fn read(&mut self, directory: &mut Directory) -> Result<()> {
        self.facts.schema = Some(directory.schema()?);
        self.facts.probe = Some(directory.probe()?);
        self.directory = directory.id()?;
        for tenant in directory.tenants()? {
            let recorded = directory.read_readable(&tenant)?;
            self.facts.unreadable.extend(recorded.unreadable.iter().map(ToString::to_string));
            self.tenants.push((tenant, recorded));
        }
        Ok(())
    }
}

/// Looks at the operator's files and at the generated ones.
fn look_at_files(host: &Host, has_wizard: bool, known: &Known, report: &mut Report) {
    let generated = match ours::look(&host.config_dir) {
        Ok(files) => files,
        Err(error) => return report.skip(Group::Files, line_of(&error)),
    };
    for (_, file) in &generated {
        report.add(file.check(known.directory));
    }
    match OperatorFacts::read(&host.config_dir, has_wizard) {
        Ok(mut facts) => {
            ours::endpoints(&generated).for_each(|file| facts.add_ours(file));
            let settings = |(tenant, recorded): &(Tenant, Recorded)| {
                Some((tenant.clone(), recorded.tenant.as_ref()?.settings.clone()))
            };
            facts.tenants = known.tenants.iter().filter_map(settings).collect();
            report.add(facts.check());
        }
        Err(error) => report.skip(Group::Operator, line_of(&error)),
    }
}

/// Finds out what this host lacks for a tenant.
fn look_at_tenant(host: &Host, tenant: &Tenant, recorded: &Recorded, report: &mut Report) {
    let Some(plan) = plan::as_recorded(tenant, recorded).filter(|_| recorded.unreadable.is_empty()) else { return };
    match host.examine(plan, recorded, Timestamp::now()) {
        Ok(mut found) => {
            for unasked in found.unasked.drain(..) {
                report.skip(Group::Operator, unasked);
            }
            report.add(operator::examined(tenant, found));
        }
        Err(error) => report.skip(Group::Operator, line_of(error.as_ref())),
    }
}

/// Looks at keys, and at files and folders with secrets.
fn secrets(args: &Args, host: &Host, lack_of_keys: Option<String>) -> SecretFacts {
    let with_mode = |path: std::path::PathBuf| Some((path.clone(), secrets::mode_of(&path)?));
    let mut facts = SecretFacts {
        lack_of_keys,
        secrets_dir: args.secrets.secrets_dir.clone().and_then(with_mode),
        state_dir: with_mode(host.state_dir.clone()),
        ..SecretFacts::default()
    };
    for name in SECRET_FILES {
        if let Some(path) = variable_path(name) {
            facts.add_file(name, path);
        }
    }
    facts.add_file("the key of the private database", host.state_dir.join("secret.key"));
    let mut folders = vec![env::current_dir().unwrap_or_default(), host.state_dir.clone()];
    folders.extend(variable_path("HOME"));
    folders.sort();
    folders.dedup();
    facts.left = folders.iter().flat_map(|folder| secrets::left_by_import(folder)).collect();
    facts
}

fn text(report: &Report, verbose: bool) -> String {
    let mut text = String::new();
    for Finding { check, fact, fix } in report.findings() {
        let _ = writeln!(text, "{check}: {fact}\n  fix: {fix}");
    }
    for (group, why) in report.unchecked() {
        let _ = writeln!(text, "unchecked ({}): {why}", group.word());
    }
    let passed: Vec<Check> = report.passed().collect();
    if verbose && !passed.is_empty() {
        text.push_str("ok, looked for and not found:\n");
        for check in &passed {
            let _ = writeln!(text, "  {check}: {}", check.about());
        }
    }
    let found = report.findings().len();
    let found = if found == 0 { "Nothing needs an act".to_owned() } else { count(found, "finding") };
    let _ = writeln!(text, "{found}; {} found nothing.", count(passed.len(), "check"));
    text
}

/// What needs an act on a host.
#[derive(Debug, Serialize, JsonSchema)]
struct DoctorDocument<'a> {
    /// The version of this document: 1.
    format_version: u32,
    /// What needs an act, by group.
    findings: Vec<FindingDocument<'a>>,
    /// The ids of the checks that found nothing.
    passed: Vec<&'a str>,
    /// What could not be checked.
    unchecked: Vec<Unchecked<'a>>,
}

/// Something that needs an act.
#[derive(Debug, Serialize, JsonSchema)]
struct FindingDocument<'a> {
    /// The id of the check.
    id: &'a str,
    /// What the check looks at.
    group: Group,
    /// What was found.
    fact: &'a str,
    /// What to do about it.
    fix: &'a str,
}

impl<'a> From<&'a Finding> for FindingDocument<'a> {
    fn from(Finding { check, fact, fix }: &'a Finding) -> Self {
        Self { id: check.id(), group: check.group(), fact, fix }
    }
}

/// Something that could not be checked.
#[derive(Debug, Serialize, JsonSchema)]
struct Unchecked<'a> {
    /// The group of the checks.
    group: Group,
    /// Why they were not made.
    reason: &'a str,
}

fn document(report: &Report) -> DoctorDocument<'_> {
    DoctorDocument {
        format_version: FORMAT_VERSION,
        findings: report.findings().iter().map(FindingDocument::from).collect(),
        passed: report.passed().map(Check::id).collect(),
        unchecked: report.unchecked().iter().map(|(group, reason)| Unchecked { group: *group, reason }).collect(),
    }
}

/// Writes the JSON schema of the document.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn schema() -> Result<String> {
    json::pretty(&schemars::schema_for!(DoctorDocument<'static>))
}
