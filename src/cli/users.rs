//! `reconcile users`: who has which number.

use std::fmt::Write;

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{
    Exit,
    printer::Printer,
    session,
    settings::{FileArgs, Format, StateArgs},
    stop::Stop,
};
use crate::{
    directory::{ManagedBy, Recorded, RecordedUser},
    error::Hinted,
    model::{Extension, Tenant},
    objects::NumberOwner,
    report::json,
};

/// List the recorded users with their extensions, without secrets
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile users -f pbx.yaml\n  reconcile users silva --managed-by api")]
pub(crate) struct Args {
    /// Only users whose e-mail, id or name holds this text, in upper or lower case
    text: Option<String>,
    /// Only the user with this extension, or those of a range such as 1000-1099
    #[arg(long, value_name = "N|RANGE")]
    extension: Option<String>,
    /// Only users who are managed by the file, or by the API
    #[arg(long, value_name = "file|api", value_parser = managed_by())]
    managed_by: Option<ManagedBy>,
    #[command(flatten)]
    which: TenantArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The tenant that a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct TenantArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// The tenant [default: the tenant in the file]
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
}

impl TenantArgs {
    /// Resolves the tenant.
    pub(crate) fn tenant(&self, printer: &mut Printer) -> Result<Tenant> {
        match &self.tenant {
            Some(slug) => slug.parse().map_err(|invalid| Stop::argument(invalid).into()),
            None => session::tenant(&self.file, printer),
        }
    }

    /// Rejects the tenant of `--tenant` if it is not recorded: an empty list would hide a slip.
    pub(crate) fn require(&self, tenant: &Tenant, is_recorded: bool) -> Result<()> {
        if is_recorded || self.tenant.is_none() {
            return Ok(());
        }
        let message = format!("tenant `{tenant}` is not recorded");
        Err(Hinted::new(message, "check the spelling, DATABASE_URL and --state-dir").into())
    }
}

/// Reads an extension, or a range of them.
pub(super) fn extensions(text: &str) -> Result<(Extension, Extension), Stop> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Ok((first.parse().map_err(Stop::argument)?, last.parse().map_err(Stop::argument)?))
}

fn managed_by() -> impl TypedValueParser<Value = ManagedBy> {
    PossibleValuesParser::new(["file", "api"]).map(|word| if word == "api" { ManagedBy::Api } else { ManagedBy::File })
}

/// Which of the users are listed.
struct Filter {
    /// In lower case.
    text: Option<String>,
    extensions: Option<(Extension, Extension)>,
    managed_by: Option<ManagedBy>,
}

impl Filter {
    fn of(args: &Args) -> Result<Self> {
        Ok(Self {
            text: args.text.as_ref().map(|text| text.to_lowercase()),
            extensions: args.extension.as_deref().map(extensions).transpose()?,
            managed_by: args.managed_by,
        })
    }

    fn takes(&self, user: &RecordedUser) -> bool {
        let holds = |text: &String| {
            user.email.as_str().to_lowercase().contains(text) || user.name.as_str().to_lowercase().contains(text)
        };
        self.text.as_ref().is_none_or(holds)
            && self.extensions.is_none_or(|(first, last)| (first..=last).contains(&user.extension))
            && self.managed_by.is_none_or(|managed_by| managed_by == user.managed_by)
    }
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let filter = Filter::of(args)?;
    let tenant = args.which.tenant(printer)?;
    let recorded = match args.which.state.open_to_list(printer)? {
        Some(mut directory) => directory.read_readable(&tenant)?,
        None => Recorded::default(),
    };
    args.which.require(&tenant, recorded.tenant.is_some())?;
    let mut users: Vec<&RecordedUser> = recorded.users.values().filter(|user| filter.takes(user)).collect();
    users.sort_by_key(|user| user.extension);
    // A number that no user has may belong to an object.
    for (id, number) in recorded.routes.extensions() {
        if filter.extensions.is_some_and(|(first, last)| (first..=last).contains(&number)) {
            printer.talk(&format!("note: {number} is the extension of {}", NumberOwner::Object(id).titled()));
        }
    }
    printer.document(&match args.format {
        Format::Text => table(&users),
        Format::Json => {
            let users: Vec<_> = users
                .iter()
                .map(|user| {
                    let mut listed = serde_json::json!({
                        "extension": user.extension.number(),
                        "email": user.email.email(),
                        "name": user.name.as_str(),
                        "managed_by": user.managed_by,
                        "protected": user.protected,
                    });
                    if let Some(id) = user.email.phone_id() {
                        listed["phone_id"] = id.into();
                    }
                    listed
                })
                .collect();
            json::pretty(&serde_json::json!({ "format_version": 1, "tenant": tenant.as_str(), "users": users }))?
        }
    });
    Ok(Exit::Done)
}

fn table(users: &[&RecordedUser]) -> String {
    let width = users.iter().map(|user| user.email.as_str().len()).max().unwrap_or(0).max("USER".len());
    let mut text = format!("EXTENSION  {:<width$}  MANAGED BY  NAME\n", "USER");
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
