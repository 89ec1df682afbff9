//! `reconcile users`: who has which number.

use std::{collections::BTreeMap, fmt::Write};

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
    directory::{Directory, ManagedBy, Recorded, RecordedUser},
    error::Hinted,
    model::{Extension, Tenant},
    objects::NumberOwner,
    portal,
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
    /// Only users whose SIP secret is easy to guess, with the reason. Needs the key of the database
    #[arg(long)]
    weak: bool,
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
    let mut directory = args.which.state.open_to_list(printer)?;
    let recorded = match &mut directory {
        Some(directory) => directory.read_readable(&tenant)?,
        None => Recorded::default(),
    };
    args.which.require(&tenant, recorded.tenant.is_some())?;
    let weak = match &mut directory {
        Some(directory) if args.weak => Some(reasons(&tenant, &recorded, &args.which, directory)?),
        _ => args.weak.then(BTreeMap::new),
    };
    let is_listed = |user: &&RecordedUser| {
        filter.takes(user) && weak.as_ref().is_none_or(|weak| weak.contains_key(&user.extension))
    };
    let mut users: Vec<&RecordedUser> = recorded.users.values().filter(is_listed).collect();
    users.sort_by_key(|user| user.extension);
    // A number that no user has may belong to an object.
    for (id, number) in recorded.routes.extensions() {
        if filter.extensions.is_some_and(|(first, last)| (first..=last).contains(&number)) {
            printer.talk(&format!("note: {number} is the extension of {}", NumberOwner::Object(id).titled()));
        }
    }
    printer.document(&match args.format {
        Format::Text => table(&users, weak.as_ref()),
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
                    if let Some(why) = weak.as_ref().and_then(|weak| weak.get(&user.extension)) {
                        listed["weak"] = why.as_str().into();
                    }
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

/// Says of each number whose secret is weak why it is.
fn reasons(
    tenant: &Tenant,
    recorded: &Recorded,
    which: &TenantArgs,
    directory: &mut Directory,
) -> Result<BTreeMap<Extension, String>> {
    let Some(row) = &recorded.tenant else { return Ok(BTreeMap::new()) };
    let sealed = directory.sealed_of_tenant(row.id)?;
    let keys = which.state.keys(Some(directory))?;
    let weak = portal::weak(tenant, recorded, &sealed, &keys)?;
    let declared = |declared| if declared { "; it is declared, so change it at its source" } else { "" };
    Ok(weak.into_iter().map(|weak| (weak.extension, weak.why + declared(weak.declared))).collect())
}

fn table(users: &[&RecordedUser], weak: Option<&BTreeMap<Extension, String>>) -> String {
    let width = users.iter().map(|user| user.email.as_str().len()).max().unwrap_or(0).max("USER".len());
    let last = if weak.is_some() { "WHY" } else { "NAME" };
    let mut text = format!("EXTENSION  {:<width$}  MANAGED BY  {last}\n", "USER");
    for user in users {
        let name = user.name.to_string();
        let last = weak.and_then(|weak| weak.get(&user.extension)).unwrap_or(&name);
        let managed = user.managed_by.to_string();
        let _ =
            writeln!(text, "{:<9}  {:<width$}  {managed:<10}  {last}", user.extension.number(), user.email.as_str());
    }
    text
}
