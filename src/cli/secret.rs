//! `reconcile secret`: one phone's credentials, shown to the person who sets it up, or renewed.

use anyhow::{Result, anyhow};
use jiff::Timestamp;

use super::{
    Exit,
    error::Hinted,
    printer::Printer,
    report::json,
    settings::{ActorArgs, Format, HostName},
    users::Which,
};
use crate::{
    deploy::{self, Rotation},
    directory::seal::Owner,
    model::Email,
    render::endpoint_name,
};

/// Show or renew the SIP credentials of one phone
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the user name, realm and secret that one phone logs in with
    ///
    /// The only command that prints a SIP secret. Needs the key of the directory.
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
    /// Give one phone a new secret; pending until the next apply
    ///
    /// Only for secrets that were generated: a declared one is changed where the file says.
    #[command(after_help = "Example:\n  reconcile secret rotate ana.silva@example.com && reconcile apply")]
    Rotate {
        /// The user's e-mail
        email: String,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        host: HostName,
        #[command(flatten)]
        actor: ActorArgs,
    },
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    match &args.command {
        Command::Show { email, which, format } => show(&email.parse()?, which, *format, printer),
        Command::Rotate { email, which, host, actor } => rotate(&email.parse()?, which, host, actor, printer),
    }
}

fn rotate(email: &Email, which: &Which, host: &HostName, actor: &ActorArgs, printer: &mut Printer) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let (mut directory, keys) = which.state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    let rotation = Rotation {
        tenant: &tenant,
        email,
        keys: &keys,
        host: &host.resolve(),
        actor: actor.resolve(),
        now: Timestamp::now(),
    };
    let (extension, run) = deploy::rotate(&rotation, &mut directory)?;
    printer.document(&format!(
        "Rotated: the phone of {email}, extension {extension}, has a new secret, pending until `reconcile apply` (run {run}).\n"
    ));
    Ok(Exit::Done)
}

fn show(email: &Email, which: &Which, format: Format, printer: &mut Printer) -> Result<Exit> {
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
