//! `reconcile secret show`: one phone's credentials, for the person who sets it up.

use anyhow::{Result, anyhow};

use super::{Exit, error::Hinted, printer::Printer, report::json, settings::Format, users::Which};
use crate::{directory::seal::Owner, model::Email, render::endpoint_name};

/// Show the SIP credentials of one phone
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the user name, realm and secret that one phone logs in with
    ///
    /// The only command that prints a secret. Needs the key of the directory.
    #[command(after_help = "Example:\n  reconcile secret show ana.silva@example.com")]
    Show {
        /// The user's e-mail
        email: String,
        #[command(flatten)]
        which: Which,
        /// How the credentials are written
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let Command::Show { email, which, format } = &args.command;
    let email: Email = email.parse()?;
    let tenant = which.tenant(printer)?;
    let unknown = || Hinted::new(format!("`{email}` is not recorded"), "`reconcile users` lists who is");
    let mut directory = which.state.open_to_read(&mut |line| tracing::info!("{line}"))?.ok_or_else(unknown)?;
    let recorded = directory.read(&tenant)?;
    let user = recorded.users.get(&email.key()).ok_or_else(unknown)?;
    let row = recorded.tenant.as_ref().ok_or_else(unknown)?;
    let sealed = directory.sealed(user.id)?.ok_or_else(|| anyhow!("`{email}` was deleted just now"))?;
    let keys = which.state.keys()?;
    let secret = keys.open(&sealed, Owner { tenant: row.id, user: user.id })?;
    let name = endpoint_name(&tenant, row.settings.endpoint_names, user.extension);
    let realm = user.phone.realm.as_ref().unwrap_or(&row.settings.phones.realm);
    printer.document(&match format {
        Format::Text => format!(
            "email     {}\nextension {}\nusername  {name}\nrealm     {realm}\nsecret    {}\n",
            user.email,
            user.extension,
            secret.reveal()
        ),
        Format::Json => json::pretty(&serde_json::json!({
            "format_version": 1,
            "email": user.email.as_str(),
            "extension": user.extension.number(),
            "username": name,
            "realm": realm.as_str(),
            "secret": secret.reveal(),
        })),
    });
    Ok(Exit::Done)
}
