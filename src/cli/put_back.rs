//! `reconcile put-back`: the last good files again, without git and without the database.

use anyhow::Result;

use super::{
    Exit,
    printer::Printer,
    settings::{ActorArgs, HostArgs, StateArgs},
    stop::Stop,
};
use crate::{
    deploy::{Host, PutBackError},
    error::Hinted,
    model::Tenant,
    report::count,
};

/// Put the last good generated files back, reload Asterisk, and read them back
///
/// Needs neither git nor the database. The last good files are those that Asterisk was last proven to run. If these are in
/// place, the ones before are put back. Phones stay registered. What is recorded stays as it is, and is ahead of the files:
/// `reconcile plan` shows it. The files that were put away are made live again only by `reconcile apply --again`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile put-back --tenant acme")]
pub(crate) struct Args {
    /// The tenant [default: the only one that has files on this host]
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    actor: ActorArgs,
    /// Only write the files; do not reload Asterisk
    #[arg(long)]
    no_reload: bool,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let host = args.host.resolve(&args.state, !args.no_reload)?;
    let tenant = tenant(args.tenant.as_deref(), &host)?;
    let back = match host.put_back(&tenant, &args.actor.resolve()) {
        Ok(back) => back,
        Err(error @ PutBackError::NotLive(_)) => return Err(stopped(Exit::NotLive, error)),
        Err(error @ PutBackError::Locked(_)) => return Err(stopped(Exit::Locked, error)),
        Err(error) => return Err(error.into()),
    };
    let which = if back.is_earlier { "the files before the last good ones" } else { "the last good files" };
    let reload = if args.no_reload { "Asterisk was not reloaded" } else { "Asterisk runs them" };
    printer.document(&format!("Put back: {which}, {} written; {reload}.\n", count(back.files.len(), "file")));
    printer.talk("note: what is recorded is ahead of these files, and `reconcile plan` shows it");
    Ok(Exit::Done)
}

fn stopped(exit: Exit, error: PutBackError) -> anyhow::Error {
    use crate::model::Hints;

    let hints = error.hints();
    Stop { exit, said: Hinted::with(error, hints) }.into()
}

/// Takes the tenant as told, or the only one on this host.
fn tenant(told: Option<&str>, host: &Host) -> Result<Tenant> {
    if let Some(slug) = told {
        return Ok(slug.parse().map_err(Stop::argument)?);
    }
    let mut tenants = host.tenants()?;
    match (tenants.pop(), tenants.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            Err(Hinted::new("no tenant has generated files on this host", "check --asterisk-config-dir").into())
        }
        (Some(_), false) => {
            Err(Stop::usage("several tenants have files on this host", "name one: --tenant acme").into())
        }
    }
}
