//! `reconcile history`: who applied what, when, and how it ended.

use std::fmt::Write;

use anyhow::Result;

use super::{Exit, printer::Printer, settings::Format, usage, users::TenantArgs};
use crate::{
    directory::{DirectoryError, audit::Entry},
    error::Hinted,
    report::{json, status::seconds, table},
};

/// Show who applied what, when, and how it ended
///
/// Lists the latest runs. With a run number, shows what that run changed in the files, with secrets masked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile history -f pbx.yaml\n  reconcile history 12")]
pub(crate) struct Args {
    /// The number of the run to show in full
    #[arg(value_parser = usage::run)]
    run: Option<i64>,
    #[command(flatten)]
    which: TenantArgs,
    /// How many runs are listed
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = usage::count)]
    limit: u32,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let tenant = args.which.tenant(printer)?;
    let directory = args.which.state.open_to_list(printer)?;
    let mut directory = directory.ok_or(DirectoryError::Empty)?;
    directory.require_current()?;
    let document = match args.run {
        None => {
            let entries = directory.history(&tenant, args.limit)?;
            args.which.require(&tenant, !entries.is_empty() || directory.knows(&tenant)?)?;
            match args.format {
                Format::Text => list(&entries),
                Format::Json => json::pretty(
                    &serde_json::json!({ "format_version": 1, "tenant": tenant.as_str(), "runs": entries }),
                )?,
            }
        }
        Some(run) => {
            let entry = directory.run(&tenant, run)?.ok_or_else(|| {
                Hinted::new(format!("tenant `{tenant}` has no run {run}"), "`reconcile history` lists its runs")
            })?;
            match args.format {
                Format::Text => whole(&entry),
                Format::Json => {
                    json::pretty(&serde_json::json!({ "format_version": 1, "tenant": tenant.as_str(), "run": entry }))?
                }
            }
        }
    };
    printer.document(&document);
    Ok(Exit::Done)
}

fn list(entries: &[Entry]) -> String {
    let lines: Vec<[String; 7]> = entries
        .iter()
        .map(|entry| {
            [
                entry.run.to_string(),
                seconds(entry.started_at),
                entry.host.clone(),
                entry.command.clone(),
                entry.outcome.clone(),
                all_changes(entry),
                entry.actor.clone(),
            ]
        })
        .collect();
    table(["RUN", "STARTED", "HOST", "COMMAND", "OUTCOME", "CHANGES", "ACTOR"], &lines)
}

/// The word for no change.
const NONE: &str = "none";

/// Says how many rows changed: `+2 ~1 -1`.
fn changes(entry: &Entry) -> String {
    let signs = [("create", "+"), ("update", "~"), ("rename", ">"), ("adopt", "&"), ("delete", "-")];
    let count = |kind: &str| entry.counts.get(kind).copied().unwrap_or(0);
    let parts: Vec<String> =
        signs.iter().filter(|(kind, _)| count(kind) > 0).map(|(kind, sign)| format!("{sign}{}", count(kind))).collect();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(" ") }
}

/// Says what changed of everything: users, settings and inbound calls; `none` if nothing did.
fn all_changes(entry: &Entry) -> String {
    let users = Some(changes(entry)).filter(|users| users != NONE);
    let parts: Vec<String> = [users, settings(entry), inbound(entry)].into_iter().flatten().collect();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(", ") }
}

/// Says how many settings changed, and how many phones read them again or register again.
fn settings(entry: &Entry) -> Option<String> {
    let count = |key: &str| entry.counts.get(key).copied().filter(|count| *count > 0);
    let settings = count("settings")?;
    let noun = if settings == 1 { "setting" } else { "settings" };
    let reached: u64 = ["relogin", "moved", "reread"].into_iter().filter_map(count).sum();
    let phones = match reached {
        0 => String::new(),
        1 => " (1 phone)".to_owned(),
        phones => format!(" ({phones} phones)"),
    };
    Some(format!("{settings} {noun}{phones}"))
}

/// Says how much changed about inbound calls.
fn inbound(entry: &Entry) -> Option<String> {
    entry.counts.get("inbound").filter(|count| **count > 0).map(|count| format!("{count} inbound"))
}

fn whole(entry: &Entry) -> String {
    let mut text = format!("run      {}: {} on {}\n", entry.run, entry.command, entry.host);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<8} {value}");
    };
    line("started", &seconds(entry.started_at));
    if let Some(finished) = entry.finished_at {
        line("ended", &seconds(finished));
    }
    line("actor", &entry.actor);
    if let Some(commit) = &entry.git_commit {
        line("commit", commit);
    }
    if let Some(plan) = &entry.plan_id {
        line("plan", plan);
    }
    line("users", &changes(entry));
    if let Some(settings) = settings(entry) {
        line("settings", &settings);
    }
    if let Some(inbound) = inbound(entry) {
        line("calls", &inbound);
    }
    line("outcome", &entry.outcome);
    if let Some(message) = &entry.message {
        line("message", message);
    }
    if !entry.phases.is_empty() {
        let phases: Vec<String> = entry.phases.iter().map(|(name, millis)| format!("{name} {millis} ms")).collect();
        line("phases", &phases.join(", "));
    }
    for (path, hash) in &entry.files {
        line("file", &format!("{path} sha256 {hash}"));
    }
    text.push_str(entry.diff.as_deref().unwrap_or_default());
    text
}
