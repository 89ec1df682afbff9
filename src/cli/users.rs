//! `reconcile users`: who has which number.

use std::fmt::Write;

use anyhow::Result;

use super::{
    Exit,
    error::Hinted,
    printer::Printer,
    report::json,
    session,
    settings::{FileArgs, Format, StateArgs},
};
use crate::{
    directory::{Recorded, RecordedUser},
    model::Tenant,
};

/// List the recorded users with their extensions; never a secret
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile users -f pbx.yaml")]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// How the list is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Whose users.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// The tenant [default: the one in the file]
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
}

impl Which {
    /// Resolves the tenant.
    pub(crate) fn tenant(&self, printer: &mut Printer) -> Result<Tenant> {
        match &self.tenant {
            Some(slug) => Ok(slug.parse()?),
            None => Ok(session::desired(&self.file, printer)?.declared.tenant),
        }
    }
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let tenant = args.which.tenant(printer)?;
    let recorded = match args.which.state.open_to_read(&mut |line| tracing::info!("{line}"))? {
        Some(mut directory) => directory.read(&tenant)?,
        None => Recorded::default(),
    };
    if recorded.tenant.is_none() && args.which.tenant.is_some() {
        let message = format!("tenant `{tenant}` is not recorded");
        return Err(Hinted::new(message, "check the spelling, DATABASE_URL and --state-dir").into());
    }
    let mut users: Vec<&RecordedUser> = recorded.users.values().collect();
    users.sort_by_key(|user| user.extension);
    printer.document(&match args.format {
        Format::Text => table(&users),
        Format::Json => {
            let users: Vec<_> = users
                .iter()
                .map(|user| {
                    serde_json::json!({
                        "extension": user.extension.number(),
                        "email": user.email.as_str(),
                        "name": user.name.as_str(),
                        "managed_by": user.managed_by,
                        "protected": user.protected,
                    })
                })
                .collect();
            json::pretty(&serde_json::json!({ "format_version": 1, "tenant": tenant.as_str(), "users": users }))
        }
    });
    Ok(Exit::Done)
}

fn table(users: &[&RecordedUser]) -> String {
    let width = users.iter().map(|user| user.email.as_str().len()).max().unwrap_or(0).max("EMAIL".len());
    let mut text = format!("EXTENSION  {:<width$}  MANAGED BY  NAME\n", "EMAIL");
    for user in users {
        let managed = user.managed_by.to_string();
        let _ = writeln!(
            text,
            "{:<9}  {:<width$}  {managed:<10}  {}",
            user.extension.number(),
            user.email.as_str(),
            user.name
        );
    }
    text
}
