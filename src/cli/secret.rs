//! `reconcile secret`: one phone's credentials, shown to the person who sets it up, or renewed.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Exit,
    printer::Printer,
    session,
    settings::{ActorArgs, Format, HostName, StateArgs},
    stop::Stop,
    users::TenantArgs,
};
use crate::{
    directory::{
        Directory, Place, Recorded, RecordedUser,
        seal::{Keyring, Owner},
    },
    error::Hinted,
    model::{BoxNumber, Extension, Identity, Pin, Secret, hex},
    plan::Allowance,
    portal::{self, Rotation, Weak},
    render::endpoint_name,
    report::{count, json},
};

/// Show or renew the SIP credentials of one phone
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the user name, realm and secret that phones log in with, and the PINs of voicemail boxes
    ///
    /// The only command that prints a SIP secret or a PIN. Needs the key of the database.
    #[command(
        after_help = "Examples:\n  reconcile secret show ana.silva@example.com\n  reconcile secret show 1000 1001"
    )]
    Show {
        /// The users, each by e-mail, id or extension, and shared voicemail boxes by name
        #[arg(required = true, value_name = "EMAIL|ID|EXTENSION")]
        users: Vec<String>,
        #[command(flatten)]
        which: TenantArgs,
        /// The output format; JSON is a list if several users are named
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Give one phone a new secret, or its voicemail box a new PIN; active after the next apply
    ///
    /// Works only for generated and imported secrets. Change a declared secret at the source that the file names.
    #[command(after_help = "Examples:\n  reconcile secret rotate ana.silva@example.com && reconcile apply\n  \
        reconcile secret rotate --weak --allow relogins=12 && reconcile apply --allow relogins=12")]
    Rotate {
        /// The user, by e-mail, id or extension; with `--pin` also a shared voicemail box by name
        #[arg(value_name = "EMAIL|ID|EXTENSION", required_unless_present = "weak", conflicts_with = "weak")]
        user: Option<String>,
        /// Give every phone whose secret is weak a new one, as `reconcile users --weak` lists them
        #[arg(long, conflicts_with = "pin")]
        weak: bool,
        /// Let so many phones pass that must log in again; by default at most 5, and 20 percent of the users of the file
        #[arg(long, value_name = "relogins=N", requires = "weak")]
        allow: Vec<String>,
        /// Give the voicemail box a new PIN, and leave the secret of the phone as it is
        #[arg(long)]
        pin: bool,
        #[command(flatten)]
        which: TenantArgs,
        #[command(flatten)]
        host: HostName,
        #[command(flatten)]
        actor: ActorArgs,
    },
    /// Seal every stored secret with the current key, so that the former key is no longer needed
    ///
    /// The first key of `RECONCILE_SECRET_KEY` seals, the others open. Covers all tenants of the database, in one
    /// transaction. Secrets stay the same: no phone must log in again.
    #[command(after_help = "Example:\n  RECONCILE_SECRET_KEY=$NEW,$OLD reconcile secret reseal")]
    Reseal {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        host: HostName,
        #[command(flatten)]
        actor: ActorArgs,
    },
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    match &args.command {
        Command::Show { users, which, format } => {
            let wanted = users.iter().map(|text| UserArgument::parse(text)).collect::<Result<Vec<_>, _>>()?;
            show(&wanted, which, *format, printer)
        }
        Command::Reseal { state, host, actor } => reseal(state, host, actor, printer),
        Command::Rotate { user: Some(user), pin, which, host, actor, .. } => {
            rotate(&UserArgument::parse(user)?, *pin, which, (host, actor), printer)
        }
        Command::Rotate { user: None, allow, which, host, actor, .. } => {
            rotate_weak(&session::allowance(allow)?, which, (host, actor), printer)
        }
    }
}

/// How a user is named on the command line.
enum UserArgument {
    Identity(Identity),
    Extension(Extension),
}

impl UserArgument {
    /// Takes digits for an extension, and all else for an address or an id.
    fn parse(text: &str) -> Result<Self, Stop> {
        if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            return text.parse().map(Self::Extension).map_err(Stop::argument);
        }
        text.parse().map(Self::Identity).map_err(Stop::argument)
    }

    fn find<'a>(&self, recorded: &'a Recorded) -> Option<&'a RecordedUser> {
        match self {
            Self::Identity(identity) => recorded.users.get(&identity.key()),
            Self::Extension(extension) => recorded.users.values().find(|user| user.extension == *extension),
        }
    }

    fn unknown(&self) -> Hinted {
        let message = match self {
            Self::Identity(identity) => format!("`{identity}` is not recorded"),
            Self::Extension(extension) => format!("no user has the extension {extension}"),
        };
        Hinted::new(message, "`reconcile users` lists who is recorded")
    }
}

fn rotate(
    wanted: &UserArgument,
    pin: bool,
    which: &TenantArgs,
    (host, actor): (&HostName, &ActorArgs),
    printer: &mut Printer,
) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let (mut directory, keys) = which.state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    let email = &match wanted {
        UserArgument::Identity(identity) => identity.clone(),
        UserArgument::Extension(_) => {
            wanted.find(&directory.read_readable(&tenant)?).ok_or_else(|| wanted.unknown())?.email.clone()
        }
    };
    let rotation =
        Rotation { tenant: &tenant, keys: &keys, host: &host.resolve(), actor: actor.resolve(), now: Timestamp::now() };
    if pin {
        let (number, run) = portal::rotate_pin(&rotation, email, &mut directory)?;
        printer.document(&format!(
            "Rotated: the voicemail box {number} of {email} has a new PIN, pending until `reconcile apply` (run {run}).\n"
        ));
        return Ok(Exit::Done);
    }
    let (extension, run) = portal::rotate(&rotation, email, &mut directory)?;
    printer.document(&format!(
        "Rotated: the phone of {email}, extension {extension}, has a new secret, pending until `reconcile apply` (run {run}).\n"
    ));
    Ok(Exit::Done)
}

fn rotate_weak(
    allowance: &Allowance,
    which: &TenantArgs,
    (host, actor): (&HostName, &ActorArgs),
    printer: &mut Printer,
) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let (mut directory, keys) = which.state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    let (tenant, keys, now) = (&tenant, &keys, Timestamp::now());
    let rotation = Rotation { tenant, keys, host: &host.resolve(), actor: actor.resolve(), now };
    let (rotated, run) = portal::rotate_weak(&rotation, allowance, &mut directory)?;
    for Weak { email, extension, why, .. } in &rotated {
        printer.document(&format!("{email}  extension {extension}  {why}\n"));
    }
    printer.document(&match run {
        Some(run) => format!(
            "Rotated: {} had weak secrets and have new ones, pending until `reconcile apply` (run {run}).\n",
            count(rotated.len(), "phone")
        ),
        None => "No generated or imported secret is weak.\n".to_owned(),
    });
    Ok(Exit::Done)
}

fn reseal(state: &StateArgs, host: &HostName, actor: &ActorArgs, printer: &mut Printer) -> Result<Exit> {
    let (mut directory, keys) = state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    let done = portal::reseal(&keys, &host.resolve(), &actor.resolve(), &mut directory)?;
    let key = hex(&keys.current()?);
    for (tenant, number) in &done {
        printer.document(&format!("Resealed: {} of {tenant}.\n", count(*number, "secret")));
    }
    printer.document(&format!("All secrets are sealed with the key {key}; no other key is needed any more.\n"));
    Ok(Exit::Done)
}

/// What one phone logs in with.
struct Credentials {
    email: Identity,
    extension: Extension,
    username: String,
    realm: String,
    secret: Secret,
    mailbox: Option<Mailbox>,
}

/// A voicemail box, with the PIN that opens it from any phone.
struct Mailbox {
    number: BoxNumber,
    pin: Secret,
    /// Whether Asterisk knows another PIN until the next apply.
    is_behind: bool,
}

impl Mailbox {
    /// Opens the PIN of the box of a user, or of the shared one of this name.
    fn open(
        owner: &Identity,
        (recorded, tenant): (&Recorded, Uuid),
        directory: &mut Directory,
        keys: &Keyring,
    ) -> Result<Option<Self>> {
        let Some((id, number, _)) = recorded.routes.box_of(owner) else { return Ok(None) };
        let Some(row) = recorded.secrets.get(&id) else { return Ok(None) };
        let Some(sealed) = directory.sealed_of_object(row.id)? else { return Ok(None) };
        let pin = keys.open(&sealed, Owner { tenant, user: row.id })?;
        Ok(Some(Self { number, pin, is_behind: row.is_behind() }))
    }

    fn text(&self) -> String {
        format!("box       {}\npin       {}\n", self.number, Pin::of(&self.pin).digits)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "box": self.number, "pin": Pin::of(&self.pin).digits })
    }
}

/// What is shown of one name on the command line.
enum ShownSecret {
    Phone(Box<Credentials>),
    /// A shared box, by name.
    Shared(String, Mailbox),
}

impl ShownSecret {
    fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Phone(phone) => phone.mailbox.as_ref(),
            Self::Shared(_, mailbox) => Some(mailbox),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Phone(phone) => phone.text(),
            Self::Shared(name, mailbox) => format!("voicemail {name}\n{}", mailbox.text()),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Phone(phone) => phone.json(),
            Self::Shared(name, mailbox) => {
                let mut document = mailbox.json();
                document["voicemail"] = name.as_str().into();
                document
            }
        }
    }
}

/// What is shown of a secret of which only the digest is known.
const UNKNOWN: &str = "(unknown, only its digest was imported; `reconcile secret rotate` makes a new one)";

impl Credentials {
    fn text(&self) -> String {
        format!(
            "{:<9} {}\nextension {}\nusername  {}\nrealm     {}\nsecret    {}\n",
            self.email.field(),
            self.email,
            self.extension,
            self.username,
            self.realm,
            if self.secret.is_digest() { UNKNOWN } else { self.secret.reveal() }
        ) + &self.mailbox.as_ref().map(Mailbox::text).unwrap_or_default()
    }

    fn json(&self) -> serde_json::Value {
        let mut document = serde_json::json!({
            "email": self.email.email(),
            "extension": self.extension.number(),
            "username": self.username,
            "realm": self.realm,
            "secret": (!self.secret.is_digest()).then(|| self.secret.reveal()),
        });
        if let Some(id) = self.email.phone_id() {
            document["phone_id"] = id.into();
        }
        if let Some(mailbox) = &self.mailbox {
            document["voicemail"] = mailbox.json();
        }
        document
    }
}

fn show(wanted: &[UserArgument], which: &TenantArgs, format: Format, printer: &mut Printer) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let first =
        || wanted.first().map_or_else(|| Hinted::new("nobody is named", "name an e-mail"), UserArgument::unknown);
    let mut directory = which.state.open_to_list(printer)?.ok_or_else(first)?;
    let recorded = directory.read_readable(&tenant)?;
    let row = recorded.tenant.as_ref().ok_or_else(first)?;
    // All of them are found before any secret is printed.
    let (mut users, mut boxes) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match (wanted.find(&recorded), wanted) {
            (Some(user), _) => users.push(user),
            (None, UserArgument::Identity(name)) if recorded.routes.box_of(name).is_some() => boxes.push(name),
            (None, _) => return Err(wanted.unknown().into()),
        }
    }
    let mut shown = BTreeSet::new();
    let users: Vec<_> = users.into_iter().filter(|user| shown.insert(user.id)).collect();
    recorded.require(|place| match place {
        Place::Settings(_) => true,
        Place::Phone(id, _) => users.iter().any(|user| user.id == *id),
        _ => false,
    })?;
    let keys = which.state.keys(Some(&mut directory))?;
    let behind: Vec<&Identity> = users.iter().filter(|user| user.is_behind()).map(|user| &user.email).collect();
    let mut found = Vec::with_capacity(users.len());
    let place = (&recorded, row.id);
    for user in users {
        let mailbox = Mailbox::open(&user.email, place, &mut directory, &keys)?;
        let sealed = directory.sealed(user.id)?.ok_or_else(|| anyhow!("`{}` was deleted just now", user.email))?;
        found.push(ShownSecret::Phone(Box::new(Credentials {
            email: user.email.clone(),
            extension: user.extension,
            username: user
                .phone
                .login_of(&endpoint_name(&tenant, row.settings.endpoint_names, user.extension))
                .to_owned(),
            realm: user.phone.realm.as_ref().unwrap_or(&row.settings.phones.realm).to_string(),
            secret: keys.open(&sealed, Owner { tenant: row.id, user: user.id })?,
            mailbox,
        })));
    }
    for name in boxes {
        let mailbox = Mailbox::open(name, place, &mut directory, &keys)?;
        found.extend(mailbox.map(|mailbox| ShownSecret::Shared(name.to_string(), mailbox)));
    }
    for mailbox in found.iter().filter_map(ShownSecret::mailbox).filter(|mailbox| mailbox.is_behind) {
        let number = &mailbox.number;
        printer.talk(&format!(
            "note: the PIN of the voicemail box {number} is not active yet: Asterisk uses the former PIN until `reconcile apply`"
        ));
    }
    for user in behind {
        printer.talk(&format!(
            "note: the secret of {user} is not active yet: Asterisk uses the former secret until `reconcile apply`"
        ));
    }
    printer.document(&match (format, found.as_slice()) {
        (Format::Text, found) => found.iter().map(ShownSecret::text).collect::<Vec<_>>().join("\n"),
        (Format::Json, [one]) => {
            let mut document = one.json();
            document["format_version"] = 1.into();
            json::pretty(&document)?
        }
        (Format::Json, found) => {
            let users: Vec<_> = found.iter().map(ShownSecret::json).collect();
            json::pretty(&serde_json::json!({ "format_version": 1, "users": users }))?
        }
    });
    Ok(Exit::Done)
}
