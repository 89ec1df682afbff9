//! `reconcile sync` and `reconcile apply`: move rows; move rows, files and Asterisk.

use std::{
    cell::RefCell,
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Exit,
    expect::Expected,
    imported::ImportedArgs,
    new_tenant,
    notify::{self, NotifyArgs},
    plan::{self, refuse_problems},
    printer::{Printer, Progress},
    session,
    settings::{ActorArgs, FileArgs, HostArgs, PlanFormat, RetentionArgs, SecretArgs, StateArgs},
    stop::{self, Stop},
};
use crate::{
    child::{self, Limits},
    deploy::{self, ApplyOutcome, Comparison, Host, Observer, Policy, Request, Survey},
    directory::audit::Outcome,
    error::{Hinted, line_of},
    notify::Receiver,
    plan::{Allowance, Inputs, RailStop},
    report::{Desired, RecordedIn, Report, count, json, name_places},
};

/// Apply the file: record it, write the include files, reload Asterisk, and read back what it runs
///
/// Prints the plan, then applies it. Reloads only the modules whose files changed, and never restarts
/// Asterisk. If Asterisk does not run the new files, puts the last good ones back (exit 6).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile apply -f pbx.yaml\n  \
    reconcile apply --expect p1-5c9e0b7d00112233   # only if it is exactly the reviewed plan")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    /// Write the files, but do not reload Asterisk
    #[arg(long)]
    no_reload: bool,
    /// Make files live again that were put back on this host before
    #[arg(long)]
    again: bool,
    /// Run all checks of an apply and show its plan, but change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Record the file in the database, without changing the generated files or Asterisk
///
/// The next apply updates the generated files and Asterisk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile sync -f pbx.yaml")]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(flatten)]
    imported: ImportedArgs,
    /// Continue only if the plan has this id, or is the JSON plan in this file
    ///
    /// Also accepts the id of an earlier run, if the database still holds exactly what that run recorded. So a job
    /// can run again, and a second host can use the same id.
    #[arg(long, value_name = "ID|FILE")]
    expect: Option<String>,
    /// Let N cases pass a rail (a safety limit), such as `deletes=57`
    #[arg(long, value_name = "NAME=N")]
    allow: Vec<String>,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    format: PlanFormat,
    /// Do not shorten a long plan on a terminal
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    if args.dry_run {
        return dry_run(args, printer);
    }
    let receiver = args.notify.resolve()?;
    carry_out(
        &args.common,
        &args.host,
        Mode::Apply { reload: !args.no_reload, again: args.again },
        receiver.as_ref(),
        printer,
    )
}

pub(crate) fn run_sync(args: &SyncArgs, printer: &mut Printer) -> Result<Exit> {
    carry_out(&args.common, &args.host, Mode::Sync, None, printer)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Sync,
    Apply { reload: bool, again: bool },
}

/// Plans, and stops where an apply would: the folder, the key, Asterisk, `--expect` and the rails.
fn dry_run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let Args { common, host, no_reload, again, .. } = args;
    let mode = Mode::Apply { reload: !no_reload, again: *again };
    let expected = common.expect.as_deref().map(Expected::read).transpose()?;
    let plan = plan::Common {
        file: common.file.clone(),
        state: common.state.clone(),
        host: host.clone(),
        secrets: common.secrets.clone(),
        imported: common.imported.clone(),
        no_asterisk: *no_reload,
        again: *again,
        allow: common.allow.clone(),
        format: common.format,
        full: common.full,
    };
    let planner = plan.resolve()?.expecting(expected.as_ref().map(Expected::id));
    let desired = plan::desired(&common.file, common.format, printer)?;
    need_folder(planner.host())?;
    common.state.need_key()?;
    let comparison = planner.show(&desired, printer)?;
    // Only the JSON of a plan names the database, and no difference does.
    let report = Report {
        desired: &desired,
        comparison: &comparison,
        recorded_in: RecordedIn::Database(""),
        allowance: planner.allowance(),
        // No difference names it.
        arguments: "",
    };
    match hold_back(&report, expected.as_ref(), mode) {
        // The plan has named the rails.
        Err(error) if stop::exit_of(&error) == Exit::Rail => return Ok(Exit::Rail),
        held => held?,
    }
    if let Some(words) = expected.as_ref().and_then(|expected| already(&comparison, expected)) {
        printer.talk(&words);
    }
    let unanswered = plan::unanswered(&comparison);
    if !unanswered.is_empty() {
        let message = format!("an apply would fail, because Asterisk does not answer: {}", unanswered.join("; "));
        return Err(Hinted::new(message, "`apply --no-reload` works without a running Asterisk").into());
    }
    let words = "Dry run: no check stops this apply; nothing was changed.\n";
    if common.format == PlanFormat::Text {
        printer.document(words);
    } else {
        printer.talk(words.trim_end());
    }
    Ok(Exit::Done)
}

/// Refuses a machine without Asterisk's configuration folder.
fn need_folder(host: &Host) -> Result<()> {
    match host.missing_folder()? {
        None => Ok(()),
        Some(missing) => Err(Hinted::new(&missing, missing.hint()).into()),
    }
}

/// Moves the stages, then notifies.
fn carry_out(
    args: &Common,
    host: &HostArgs,
    mode: Mode,
    receiver: Option<&Receiver>,
    printer: &mut Printer,
) -> Result<Exit> {
    let allowance = session::allowance(&args.allow)?;
    let expected = args.expect.as_deref().map(Expected::read).transpose()?;
    let desired = plan::desired(&args.file, args.format, printer)?;
    let host = host.resolve(&args.state, matches!(mode, Mode::Apply { reload: true, .. }))?;
    if mode != Mode::Sync {
        need_folder(&host)?;
    }
    let done = move_stages(args, (&desired, &host, mode), &allowance, expected.as_ref(), printer);
    // No lock is held any more: nothing waits for the receiver.
    if let Some(receiver) = receiver {
        let subject = (&desired.declared.tenant, &host);
        notify::tell(receiver, ("apply", ""), subject, notify::problems_of_apply(&done), printer);
    }
    done
}

fn move_stages(
    args: &Common,
    (desired, host, mode): (&Desired, &Host, Mode),
    allowance: &Allowance,
    expected: Option<&Expected>,
    printer: &mut Printer,
) -> Result<Exit> {
    let secrets = session::secrets_with_imported(desired, &args.secrets, &args.imported, printer)?;
    let inbound = session::inbound(desired, &args.secrets);
    if args.full {
        printer.show_all();
    }
    let (mut directory, keys) = args.state.open_to_write(&mut |line| printer.talk(line))?;
    for migration in directory.migrate()? {
        tracing::info!("migrated: {migration}");
    }
    let misspelt = new_tenant::perhaps_misspelt(&mut directory, &desired.declared)?;
    let database = directory.show();
    let now = Timestamp::now();
    let printer = RefCell::new(printer);
    let compare = |recorded: &_, survey: &Survey| {
        let left_alone = survey.running.is_none().then(|| "the running Asterisk, which is left alone".to_owned());
        let inputs = Inputs {
            declared: &desired.declared,
            recorded,
            secrets: &secrets,
            inbound: &inbound,
            allowance,
            highest_box: 0,
            now,
        };
        Ok(deploy::compare(&inputs, survey, left_alone.into_iter().collect())?)
    };
    let last_shown = RefCell::new(None);
    let show = |comparison: &mut Comparison| {
        let mut printer = printer.borrow_mut();
        new_tenant::say(misspelt.as_ref(), comparison);
        refuse_problems(comparison, desired, args.format, &mut printer)?;
        plan::name_private(&args.state, comparison)?;
        let arguments = plan::arguments(&args.file, &args.imported);
        let recorded_in = RecordedIn::Database(&database);
        let report = Report { desired, comparison, recorded_in, allowance, arguments: &arguments };
        let document = plan::written(&report, args.format, &printer)?;
        let mut last = last_shown.borrow_mut();
        if last.as_ref() != Some(&document) {
            if last.is_some() {
                printer.talk("another process changed the database in the meantime; planning again");
            }
            printer.document(&document);
            *last = Some(document);
        }
        hold_back(&report, expected, mode)?;
        if let Some(words) = expected.and_then(|expected| already(comparison, expected)) {
            printer.talk(&words);
        }
        Ok(())
    };
    let places = name_places(desired);
    let request = Request {
        tenant: &desired.declared.tenant,
        secrets: &secrets,
        object_secrets: &inbound.secrets,
        keys: &keys,
        compare: &compare,
        show: &show,
        policy: Policy { allowance, places: &places, now },
        expect: expected.map(Expected::id),
        again: matches!(mode, Mode::Apply { again: true, .. }),
        desired: desired.sources.iter().map(|source| (source.name.clone(), source.text.clone())).collect(),
        actor: args.actor.resolve(),
        git_commit: git_commit(desired, &args.file.file),
    };
    let mut observer = Log(printer.borrow().progress());
    let applied = match mode {
        Mode::Sync => deploy::sync(&request, &mut directory, host, &mut observer)?,
        Mode::Apply { .. } => deploy::apply(&request, &mut directory, host, &mut observer)?,
    };
    let mut printer = printer.borrow_mut();
    if let Err(error) = directory.forget(args.retention.retention) {
        printer.talk(&format!("warning: what is older than the retention is still there: {}", line_of(&error)));
    }
    for warning in &applied.warnings {
        printer.talk(&format!("warning: {warning}"));
    }
    let words = done(&applied, mode);
    if args.format == PlanFormat::Text {
        printer.document(&words);
    } else {
        printer.talk(words.trim_end());
    }
    Ok(Exit::Done)
}

/// Rails, `--expect` and missing secrets: reasons not to go on, after the plan was shown.
fn hold_back(report: &Report<'_>, expected: Option<&Expected>, mode: Mode) -> Result<()> {
    let comparison = report.comparison;
    let plan = &comparison.plan;
    if !plan.unresolved.is_empty() {
        let reasons = plan.unresolved.join("\n  ");
        return Err(Hinted::new(
            format!("declared secrets or numbers cannot be read; nothing was changed\n  {reasons}"),
            "give these variables and files to this command; `--allow-env` and `--secrets-dir` say which it may read",
        )
        .into());
    }
    if let Some(expected) = expected
        && !comparison.is_expected(expected.id())
    {
        let (found, wanted) = (comparison.id.as_deref().unwrap_or("none"), expected.id());
        let (difference, hints) = expected.difference(&json::plan(report)?);
        let message = format!("the plan is {found}, not the expected {wanted}; nothing was changed{difference}");
        return Err(Stop { exit: Exit::Stale, said: Hinted::with(message, hints) }.into());
    }
    let stops: Vec<&RailStop> =
        if mode == Mode::Sync { comparison.stops_of_rows().collect() } else { comparison.stops.iter().collect() };
    let words: Vec<String> = stops.into_iter().map(RailStop::to_string).collect();
    if words.is_empty() { Ok(()) } else { Err(Stop::new(Exit::Rail, words.join("\n")).into()) }
}

/// Says that an earlier run recorded the expected plan, if the present one has another id.
fn already(comparison: &Comparison, expected: &Expected) -> Option<String> {
    let id = expected.id();
    let run = comparison.earlier.as_ref().filter(|_| comparison.id.as_deref() != Some(id))?;
    let (number, host) = (run.run, &run.host);
    Some(if comparison.is_empty() {
        format!("plan {id} is already recorded by run {number} on {host}, and nothing has changed since")
    } else {
        format!(
            "run {number} on {host} recorded plan {id}, and the database has not changed since: applying it on this host"
        )
    })
}

/// Logs what happens while it happens, and names what takes long to a person who waits.
struct Log(Progress);

impl Observer for Log {
    fn phase(&mut self, name: &'static str) {
        tracing::info!("{name}");
        self.0.phase(name);
    }
}

fn done(applied: &ApplyOutcome, mode: Mode) -> String {
    let mut parts = Vec::new();
    if mode != Mode::Sync {
        parts.push(match applied.written.len() {
            0 => "no file changed".to_owned(),
            number => format!("{} written", count(number, "file")),
        });
    }
    match applied.outcome {
        Outcome::Live => {
            let names: Vec<&str> = applied.reloaded.iter().map(|module| module.name).collect();
            parts.push(if names.is_empty() {
                "nothing reloaded".to_owned()
            } else {
                format!("{} reloaded", in_words(&names))
            });
            let (looked_at, of) = applied.looked_at;
            parts.push(match (looked_at, of) {
                (_, 0) => "read back".to_owned(),
                (all, of) if all == of => format!("read back, {} one by one", count(of, "changed object")),
                (some, of) => {
                    let left = of - some;
                    format!("read back: all {of} changed objects are there, {some} compared one by one and {left} not")
                }
            });
            if applied.expired > 0 {
                parts.push(format!("{} of old phones deleted", count(applied.expired, "registration")));
            }
        }
        Outcome::Rendered => {
            parts.push("Asterisk was not reloaded (--no-reload): it still runs what it ran before".to_owned());
        }
        _ => parts.push("files and Asterisk are unchanged: run `reconcile apply`".to_owned()),
    }
    let word = match applied.outcome {
        Outcome::Live => "Live",
        Outcome::Rendered => "Rendered",
        _ => "Recorded",
    };
    format!("{word}: {} (run {}).\n", parts.join("; "), applied.run)
}

/// Lists names in a sentence.
fn in_words(names: &[&str]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}

/// How long git may take, and how much it may print: it names only files with changes.
const GIT_LIMITS: Limits = Limits { deadline: Duration::from_secs(10), output: 1024 * 1024 };

/// The variables that tell git where a repository is and whom to trust.
const GIT_VARIABLES: [&str; 9] = [
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_WORK_TREE",
    "SUDO_UID",
    "XDG_CONFIG_HOME",
];

/// Stands behind the commit of a desired state with changes that are not committed.
pub(crate) const DIRTY: &str = "-dirty";

/// What git must not do: take a folder of the checkout for a repository, or run a program that a repository names.
/// A commit can hold whatever makes a folder look like a repository with a configuration, except a `.git`.
const GIT_RESTRICTIONS: [&str; 6] =
    ["-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];

/// Finds the commit of the desired state; one with uncommitted changes is marked.
fn git_commit(desired: &Desired, file: &Path) -> Option<String> {
    if file == Path::new("-") {
        return None;
    }
    let path: PathBuf = desired.sources.first().map_or_else(|| file.to_owned(), |source| source.path.clone());
    let path = std::path::absolute(&path).ok()?;
    // Whoever sets GIT_DIR says which repository it is.
    let is_checkout = |folder: &&Path| folder.join(".git").exists() || env::var_os("GIT_DIR").is_some();
    let checkout = path.ancestors().skip(1).find(is_checkout)?;
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(GIT_RESTRICTIONS).arg("-C").arg(checkout).args(args);
        let done = child::output(child::clean_environment(&mut git, &GIT_VARIABLES), GIT_LIMITS);
        let done = done.inspect_err(|error| tracing::debug!(%error, "cannot ask git for the commit")).ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let names: Vec<String> =
        desired.sources.iter().filter_map(|s| std::path::absolute(&s.path).ok()?.to_str().map(str::to_owned)).collect();
    let mut status = vec!["status", "--porcelain", "--ignore-submodules=all", "--"];
    status.extend(names.iter().map(String::as_str));
    let dirty = git(&status).is_none_or(|changes| !changes.is_empty());
    Some(if dirty { commit + DIRTY } else { commit })
}
