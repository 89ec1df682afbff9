//! `reconcile calls`: which calls came, what was decided about them, and what became of them.

use std::{fmt::Write, time::Duration};

use anyhow::Result;
use jiff::Timestamp;

use super::{Exit, printer::Printer, settings::Format, usage, users::TenantArgs};
use crate::{
    directory::{CallEntry, CallScope, CallStep, DirectoryError},
    error::Hinted,
    model::printable,
    report::{json, table},
};

/// Show inbound calls: the caller, the routing decision with its reason, and the result
///
/// Lists the newest calls. With the id of a call at Twilio, shows that call with its decision chain, whichever tenant it
/// belongs to. Numbers are shown in full. Calls without a tenant are also listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile calls -f pbx.yaml --limit 50\n  \
    reconcile calls CA1a2b3c4d5e6f708192a3b4c5d6e7f809")]
pub(crate) struct Args {
    /// The id of the call at Twilio (`CallSid`) to show in full
    call_sid: Option<String>,
    #[command(flatten)]
    which: TenantArgs,
    /// How many calls are listed
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = usage::count)]
    limit: u32,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    // A call's id says whose it is: no file is needed.
    let tenant = if args.call_sid.is_none() { Some(args.which.tenant(printer)?) } else { None };
    let directory = args.which.state.open_to_list(printer)?;
    let mut directory = directory.ok_or(DirectoryError::Empty)?;
    directory.require_current()?;
    let document = match (&args.call_sid, tenant) {
        (Some(sid), _) => {
            let found = directory.call(&CallScope::All, sid)?.ok_or_else(|| {
                let message = format!("no call `{}` is recorded", printable(sid));
                Hinted::new(
                    message,
                    "`reconcile calls` lists the newest calls; a call appears once a server has recorded it",
                )
            })?;
            match args.format {
                Format::Text => whole(&found.0, &found.1),
                Format::Json => {
                    json::pretty(&serde_json::json!({ "format_version": 1, "call": found.0, "steps": found.1 }))?
                }
            }
        }
        (None, Some(tenant)) => {
            let calls = directory.calls(&CallScope::TenantOrUnassigned(tenant.clone()), None, args.limit)?;
            // Calls stay when their tenant is not recorded, as in another database.
            let has_calls = calls.iter().any(|call| call.tenant.is_some());
            args.which.require(&tenant, has_calls || directory.knows(&tenant)?)?;
            match args.format {
                Format::Text => list(&calls),
                Format::Json => json::pretty(
                    &serde_json::json!({ "format_version": 1, "tenant": tenant.as_str(), "calls": calls }),
                )?,
            }
        }
        (None, None) => String::new(),
    };
    printer.document(&document);
    Ok(Exit::Done)
}

/// A text that a caller may have made up, or a dash where there is none.
fn shown(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(|| "-".to_owned(), printable)
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn list(calls: &[CallEntry]) -> String {
    let lines: Vec<[String; 7]> = calls
        .iter()
        .map(|call| {
            [
                moment(call.received_at),
                printable(&call.call_sid),
                shown(call.from.as_deref()),
                shown(call.to.as_deref()),
                shown(call.routed_dialer.as_deref()),
                call.status.clone(),
                milliseconds(call.response_ms),
            ]
        })
        .collect();
    table(["RECEIVED", "CALL SID", "FROM", "TO", "DIALER", "STATUS", "RESPONSE"], &lines)
}

fn whole(call: &CallEntry, steps: &[CallStep]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| line(&mut text, name, value);
    line("call", &printable(&call.call_sid));
    line("tenant", &shown(call.tenant.as_deref()));
    line("status", &call.status);
    let class = call.caller_class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
    line("from", &format!("{}{class}", shown(call.from.as_deref())));
    let direction = call.direction.as_deref().map(|direction| format!(" ({})", printable(direction)));
    line("to", &format!("{}{}", shown(call.to.as_deref()), direction.unwrap_or_default()));
    line("received", &moment(call.received_at));
    let response = call
        .received_at
        .zip(call.response_ms)
        .and_then(|(at, ms)| at.checked_add(Duration::try_from_secs_f64(ms / 1000.0).ok()?).ok());
    let response = format!("{}  in {}", moment(response), milliseconds(call.response_ms));
    if call.fallback_at.is_some() {
        let lost = call.fallback_step == Some(1) && call.fallback_at != call.received_at;
        line("response", &format!("{response}{}", if lost { "; Twilio did not receive it" } else { "" }));
        line("fallback", &moment(call.fallback_at));
    }
    if let Some(degraded) = &call.degraded {
        line("degraded", &printable(degraded));
    }
    let rule = call.rule.as_deref().or(call.routed_at.and(Some("default route")));
    line("routed", &format!("{}  {}", moment(call.routed_at), shown(rule)));
    line("because", &shown(call.reason.as_deref()));
    let targets: Vec<String> = call.targets.iter().map(|target| printable(target)).collect();
    line("targets", &shown(Some(&targets.join(", then "))));
    if call.fallback_at.is_none() {
        line("response", &response);
    }
    text.push_str(&chain(call, steps));
    if call.answered_at.is_some() {
        self::line(&mut text, "answered", &moment(call.answered_at));
    }
    if let Some(duration) = call.duration {
        self::line(&mut text, "duration", &format!("{duration} s"));
    }
    if call.retries > 0 {
        self::line(&mut text, "retries", &call.retries.to_string());
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<9} {value}");
}

/// Tells each step: whom it dialled and how it ended, or what is known instead.
fn chain(call: &CallEntry, steps: &[CallStep]) -> String {
    let mut text = String::new();
    let last = steps.last().map(|step| step.step);
    for step in steps {
        let dialer = shown(step.dialer.as_deref());
        let is_lost = step.ended_at.is_none() && call.fallback_step == Some(step.step.saturating_add(1));
        let dialled =
            if is_lost { "not dialled: Twilio did not receive the response with this step" } else { "dialled" };
        let begun = format!("{}  {dialer} {dialled}", moment(step.started_at));
        line(&mut text, &format!("step {}", i64::from(step.step) + 1), &begun);
        if step.ended_at.is_some() {
            line(&mut text, "", &format!("{}  {}", moment(step.ended_at), end(step)));
        } else if !is_lost && (is_over(call) || Some(step.step) != last) {
            line(&mut text, "", "-                         its result was not reported");
        }
    }
    text
}

/// Tells whether nothing more comes of a call.
fn is_over(call: &CallEntry) -> bool {
    ["canceled", "no-answer", "busy", "failed", "completed"].contains(&call.status.as_str())
}

/// Says how a step ended.
fn end(step: &CallStep) -> String {
    let mut text = shown(step.outcome.as_deref());
    if let Some(seconds) = step.duration {
        let _ = write!(text, ", {seconds} s");
    }
    if let Some(code) = step.sip_code {
        let _ = write!(text, ", SIP {code}");
    }
    text
}
