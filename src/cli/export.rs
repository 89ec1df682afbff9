//! `reconcile export`: what the portal made, as lines for the file, or what is recorded, as a document.

use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use super::{Exit, printer::Printer, stop::Stop, users::TenantArgs};
use crate::{
    desired::scalar,
    directory::{Directory, ManagedBy, Recorded, RecordedDocument, RecordedUser},
    fs,
    model::{Tenant, shown},
    report::count,
};

/// Print users created through the API as YAML lines, or all that a plan needs as a document
///
/// With `--users`, each user has the present extension. Once the lines are below `users:` in the file, `reconcile plan` shows
/// the users as adopted: they keep number and secret. From then on, removing the lines deletes the user.
///
/// With `--recorded`, one JSON document holds what is recorded about the tenant, without secrets, digests, PINs and their
/// fingerprints. `reconcile plan --recorded` takes it in place of the database. It holds names, e-mail addresses and numbers:
/// keep it private.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  reconcile export --users > users.txt   # its lines belong under `users:` of the file\n  \
    reconcile export --recorded -o recorded.json"
)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Write the document of `--recorded` to this file, which only this user can read, in place of an earlier one
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    which: TenantArgs,
}

/// What is exported.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Export the users
    #[arg(long)]
    users: bool,
    /// Export what is recorded, for `reconcile plan --recorded`
    #[arg(long)]
    recorded: bool,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    if args.output.is_some() && !args.what.recorded {
        return Err(Stop::usage("`--output` belongs to `--recorded`", "write `reconcile export --users > FILE`").into());
    }
    let tenant = args.which.tenant(printer)?;
    let mut directory = args.which.state.open_to_list(printer)?;
    if args.what.recorded {
        return export_recorded(args, &tenant, directory.as_mut(), printer);
    }
    let recorded = match &mut directory {
        Some(directory) => directory.read_readable(&tenant)?,
        None => Recorded::default(),
    };
    args.which.require(&tenant, recorded.tenant.is_some())?;
    printer.document(&lines(&tenant, &recorded));
    Ok(Exit::Done)
}

/// Writes the users of the API as lines for the file.
fn lines(tenant: &Tenant, recorded: &Recorded) -> String {
    let mut users: Vec<&RecordedUser> =
        recorded.users.values().filter(|user| user.managed_by == ManagedBy::Api).collect();
    users.sort_by_key(|user| user.extension);
    let mut text = format!(
        "  # {} of {tenant}, made through the API; with these lines the file takes over\n",
        count(users.len(), "user")
    );
    for user in users {
        let (who, name) = (scalar(user.email.as_str()), scalar(user.name.as_str()));
        let _ =
            write!(text, "  - {}: {who}\n    name: {name}\n    extension: {}\n", user.email.field(), user.extension);
    }
    text
}

/// Writes the document that a plan takes in place of the database.
fn export_recorded(
    args: &Args,
    tenant: &Tenant,
    directory: Option<&mut Directory>,
    printer: &mut Printer,
) -> Result<Exit> {
    let (recorded, schema) = match directory {
        Some(directory) => (directory.read(tenant)?, directory.schema_version()?),
        None => (Recorded::default(), None),
    };
    args.which.require(tenant, recorded.tenant.is_some())?;
    // Nobody reads more than seconds.
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let text = RecordedDocument::of(tenant, &recorded, schema, now)?.write()?;
    let Some(path) = &args.output else {
        printer.document(&text);
        return Ok(Exit::Done);
    };
    fs::replace(path, &text)?;
    let users = count(recorded.users.len(), "user");
    printer.document(&format!("Recorded at {now}: {users} of `{tenant}`, in `{}`. No secret is in it.\n", shown(path)));
    Ok(Exit::Done)
}
