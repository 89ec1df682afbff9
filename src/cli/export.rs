//! `reconcile export`: what the portal made, as lines for the file.

use std::fmt::Write;

use anyhow::Result;

use super::{Exit, printer::Printer, users::TenantArgs};
use crate::{
    desired::scalar,
    directory::{ManagedBy, Recorded, RecordedUser},
};

/// Print users created through the API as YAML lines, ready to paste under `users:`
///
/// Each user has the present extension. Once the lines are in the file, `reconcile plan` shows the users
/// as adopted: they keep number and secret. From then on, removing the lines deletes the user.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, whose lines belong under `users:` of the file:\n  reconcile export --users > users.txt"
)]
pub(crate) struct Args {
    /// Export the users
    #[arg(long, required = true)]
    users: bool,
    #[command(flatten)]
    which: TenantArgs,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let tenant = args.which.tenant(printer)?;
    let recorded = match args.which.state.open_to_list(printer)? {
        Some(mut directory) => directory.read_readable(&tenant)?,
        None => Recorded::default(),
    };
    args.which.require(&tenant, recorded.tenant.is_some())?;
    let mut users: Vec<&RecordedUser> =
        recorded.users.values().filter(|user| user.managed_by == ManagedBy::Api).collect();
    users.sort_by_key(|user| user.extension);
    let count = users.len();
    let noun = if count == 1 { "user" } else { "users" };
    let mut text =
        format!("  # {count} {noun} of {tenant}, made through the API; with these lines the file takes over\n");
    for user in users {
        let (who, name) = (scalar(user.email.as_str()), scalar(user.name.as_str()));
        let _ =
            write!(text, "  - {}: {who}\n    name: {name}\n    extension: {}\n", user.email.field(), user.extension);
    }
    printer.document(&text);
    Ok(Exit::Done)
}
