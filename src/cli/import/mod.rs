//! `reconcile import`: what a phone system or a list of people holds, as a desired-state file.

mod after;
mod ask;
mod document;
mod files;
mod patch;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use zeroize::Zeroizing;

pub(super) use document::schema;

use self::{
    after::list_changes,
    ask::ask,
    files::{Folder, Phones},
};
use super::{
    Exit,
    imported::{git_work_tree, line},
    printer::Printer,
    settings::{Format, HostArgs},
    stop::Stop,
    users::extensions,
};
use crate::{
    desired::{self, Declared},
    error::Hinted,
    fs::create_all,
    import::{self, Imported, Kind, Mapping, Options},
    input,
    model::{Email, shown},
    report::count,
};

/// How many bytes a list may have.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Write what an Asterisk or a CSV list holds as a desired-state file
///
/// The source is the running Asterisk, a configuration folder with `pjsip.conf`, `pjsip_wizard.conf` or `sip.conf`, or a
/// CSV list. Only writes text: the file to standard output or to a new file, and to standard error what is not carried
/// over, the most dangerous first. Every number is pinned. No secret stands in the file: those that phones have now go to
/// the file of `--secrets`, which the first `sync` or `apply` takes with its own `--secrets`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    reconcile import --running --tenant acme --email-domain example.com -o pbx.yaml --secrets /root/acme.secrets\n  \
    reconcile import /etc/asterisk --tenant acme --email-domain example.com\n  \
    reconcile import staff.csv --tenant acme --map name='First name'+'Last name' --map extension='Phone ext.'")]
pub(crate) struct Args {
    /// A configuration folder of Asterisk, or a list: a header, then a line for each person or phone
    #[arg(required_unless_present_any = ["running", "generated"], conflicts_with_all = ["running", "generated"],
        value_name = "DIR|FILE.csv")]
    source: Option<PathBuf>,
    /// Read the endpoint file that reconcile generated for the tenant, after the loss of the database: users, numbers and
    /// digests, so that every phone stays logged in
    #[arg(long, conflicts_with_all = ["running", "kind", "map", "patch"])]
    generated: bool,
    /// Ask the running Asterisk for its PJSIP phones
    #[arg(long)]
    running: bool,
    /// What the list is; told by its header where this is absent
    #[arg(long = "as", value_enum, value_name = "KIND", conflicts_with = "running")]
    kind: Option<ListKind>,
    /// The tenant of the file
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// Makes up the addresses of those who have none, such as `1001@DOMAIN`
    #[arg(long, value_name = "DOMAIN")]
    email_domain: Option<String>,
    /// Says which column holds `name`, `email`, `extension`, `secret` or `devices`; several with `+`
    #[arg(long, value_name = "KEY=COLUMN", conflicts_with = "running")]
    map: Vec<String>,
    /// Only the phones with this number, or those of a range such as 1000-1099
    #[arg(long, value_name = "N|RANGE")]
    only: Option<String>,
    /// Write the desired state to this new file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the secrets that the phones have now to this new file, which nobody else can read
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Write a patch of Asterisk's files to this new file: the imported sections commented out, our include lines in.
    /// Apply it by `patch -p1` in the configuration folder
    #[arg(long, value_name = "FILE")]
    patch: Option<PathBuf>,
    /// Exit 1 if anything is not carried over
    #[arg(long)]
    strict: bool,
    /// The output format; JSON holds the list of what is not carried over, and the desired state unless `-o` has it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    host: HostArgs,
}

/// Whose list it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ListKind {
    /// The columns name, email, extension, secret and devices
    Plain,
    /// The extensions of the Bulk Handler of `FreePBX`
    Freepbx,
    /// The user export of Wazo
    Wazo,
    /// The user list of the Google admin console
    Google,
}

impl From<ListKind> for Kind {
    fn from(kind: ListKind) -> Self {
        match kind {
            ListKind::Plain => Self::Plain,
            ListKind::Freepbx => Self::FreePbx,
            ListKind::Wazo => Self::Wazo,
            ListKind::Google => Self::Google,
        }
    }
}

/// What was imported, and the patch of the files it came from.
struct Done {
    imported: Imported,
    patch: Option<String>,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let options = options(args)?;
    let mapping = mapping(&args.map)?;
    // A place to write is looked at before anything is asked.
    for path in [&args.secrets, &args.patch].into_iter().flatten() {
        refuse_existing(path, NEW_NAME)?;
    }
    if let Some(path) = &args.output {
        refuse_existing(path, NEW_DESIRED)?;
    }
    if let Some(path) = &args.secrets {
        refuse_work_tree(path)?;
    }
    let done = import(args, &options, &mapping, printer)?;
    write(args, &options, &done, printer)?;
    let strict = args.strict && !done.imported.left_out.is_empty();
    Ok(if strict { Exit::Error } else { Exit::Done })
}

fn import(args: &Args, options: &Options, mapping: &Mapping, printer: &mut Printer) -> Result<Done> {
    let judged = |found| -> Result<(Imported, Declared)> {
        let imported = import::judge(found, options).map_err(hinted)?;
        let declared = require_valid(&imported.desired)?;
        Ok((imported, declared))
    };
    let (folder, phones, answers, source) = match &args.source {
        None if args.generated => {
            let found = files::generated(&args.host.asterisk()?.1, &options.tenant)?;
            return Ok(Done { imported: judged(found)?.0, patch: None });
        }
        None => {
            printer.phase("asking Asterisk what it runs");
            let (asterisk, config_dir) = args.host.asterisk()?;
            let mut answers = ask(&asterisk, &config_dir)?;
            let folder = Folder(config_dir);
            let mut left_out = Vec::new();
            answers.boxes = folder.boxes(&mut left_out)?;
            answers.left_out = left_out;
            let phones = args.patch.as_ref().map(|_| folder.phones()).transpose()?.map(|(phones, _)| phones);
            (folder, phones, answers, "the running Asterisk".to_owned())
        }
        Some(path) => match files::folder(path) {
            Some((folder, sip_is_named)) => {
                if args.kind.is_some() || !args.map.is_empty() {
                    return Err(Stop::usage("`--as` and `--map` are for lists", "leave them out").into());
                }
                let folder = Folder(std::path::absolute(folder)?);
                let (phones, answers) = folder.answers(sip_is_named)?;
                (folder, phones, answers, format!("the files in `{}`", shown(path)))
            }
            None if args.patch.is_some() => {
                let hint = "name Asterisk's configuration folder, or `--running`";
                return Err(Stop::usage("`--patch` is of Asterisk's files, not of a list", hint).into());
            }
            None => {
                let read = input::read(path, LARGEST).with_context(|| format!("cannot read `{}`", shown(path)))?;
                let bytes = Zeroizing::new(read);
                let found = import::read_csv(&shown(path), &bytes, args.kind.map(Kind::from), mapping);
                return Ok(Done { imported: judged(found.map_err(hinted)?)?.0, patch: None });
            }
        },
    };
    let (mut imported, declared) = judged(answers.found(&source))?;
    list_changes(&answers, &declared, &mut imported)?;
    let patch =
        args.patch.as_ref().map(|_| patch::of(&folder, &options.tenant, phones.as_ref(), &mut imported)).transpose()?;
    Ok(Done { imported, patch })
}

fn options(args: &Args) -> Result<Options> {
    let domain = args.email_domain.clone();
    if let Some(domain) = &domain {
        let email: Result<Email, _> = format!("1000@{domain}").parse();
        if email.is_err() {
            return Err(Stop::usage("`--email-domain` is no domain", "write one such as `example.com`").into());
        }
    }
    let only = args.only.as_deref().map(extensions).transpose()?;
    Ok(Options { tenant: args.tenant.parse().map_err(Stop::argument)?, email_domain: domain, only })
}

fn mapping(args: &[String]) -> Result<Mapping, Stop> {
    let hint = "write `--map KEY=COLUMN`, where KEY is one of name, email, extension, secret, devices";
    let mut mapping = Mapping::new();
    for arg in args {
        let (key, columns) = arg.split_once('=').ok_or_else(|| Stop::usage("`--map` names no column", hint))?;
        if !import::KEYS.contains(&key) {
            return Err(Stop::usage("`--map` names no key", hint));
        }
        mapping.insert(key.to_owned(), columns.split('+').map(|column| column.trim().to_owned()).collect());
    }
    Ok(mapping)
}

/// Writes a number with what is said of one or of several.
fn are(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

fn hinted(refused: import::Refused) -> anyhow::Error {
    Hinted::new(refused.message, refused.hint).into()
}

/// What to do about a file that is in the way.
const NEW_NAME: &str = "name a new file, or move that one away";
const NEW_DESIRED: &str = "name a new file, such as `-o imported.yaml`, and move what you wrote yourself into it; or remove \
                           this one, if it is as `reconcile init` wrote it";

fn refuse_existing(path: &Path, hint: &str) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    Err(Hinted::new(format!("`{}` is there already", shown(path)), hint).into())
}

fn refuse_work_tree(path: &Path) -> Result<()> {
    let Some(tree) = git_work_tree(path) else { return Ok(()) };
    let message = format!("`{}` would lie in the git work tree `{}`", shown(path), shown(&tree));
    Err(Hinted::new(message, "secrets are never committed: name a file outside, such as below `/root`").into())
}

/// Makes sure that the file passes `check`: a slip of ours must not reach an administrator.
fn require_valid(text: &str) -> Result<Declared> {
    let loaded = desired::load_text("pbx.yaml", text);
    loaded.declared.ok_or_else(|| {
        let why = loaded.problems.first().map_or("", |problem| problem.message.as_str());
        let hint = "leave the phone out with `--only`, or correct it where it comes from";
        Hinted::new(format!("the imported file would be invalid: {why}"), hint).into()
    })
}

fn write(args: &Args, options: &Options, done: &Done, printer: &mut Printer) -> Result<()> {
    let Done { imported, patch } = done;
    let Imported { desired, users, secrets, left_out, made_up, narrow, .. } = imported;
    let lines: String = secrets.iter().map(|(email, secret)| line(email, secret)).collect();
    let lines = Zeroizing::new(lines);
    let wanted = [
        args.secrets.as_ref().map(|path| (path, lines.as_str(), 0o600)),
        args.output.as_ref().map(|path| (path, desired.as_str(), 0o666)),
        args.patch.as_ref().zip(patch.as_ref()).map(|(path, patch)| (path, patch.as_str(), 0o666)),
    ];
    let wanted: Vec<(&Path, &str, u32)> =
        wanted.into_iter().flatten().map(|(path, text, mode)| (path.as_path(), text, mode)).collect();
    create_all(&wanted)?;
    match args.format {
        Format::Json => printer.document(&document::json(&options.tenant, imported, args.output.is_none())?),
        Format::Text if args.output.is_none() => printer.document(desired),
        Format::Text => {}
    }
    let list = import::listed(left_out);
    if !list.is_empty() && matches!(args.format, Format::Text) {
        printer.talk(&format!("Not carried over:\n{}", list.trim_end()));
    }
    let users = count(*users, "user");
    let secrets = match (&args.secrets, secrets.len()) {
        (Some(path), known) => format!("{} in `{}`", count(known, "secret"), shown(path)),
        (None, 0) => "no secrets".to_owned(),
        (None, known) => {
            format!("{} not written (see --secrets): those phones would get new ones", count(known, "secret"))
        }
    };
    if let Some(first) = made_up.first() {
        let column = if args.source.as_ref().is_some_and(|path| files::folder(path).is_none()) {
            " or with `--map email=COLUMN`"
        } else {
            ""
        };
        let them = if made_up.len() == 1 { "it" } else { "them" };
        printer.talk(&format!(
            "note: {} made up, such as `{first}`: correct {them} in the file, or import again with another `--email-domain`{column}",
            are(made_up.len(), "e-mail address is", "e-mail addresses are")
        ));
    }
    if let Some(narrow) = narrow {
        printer.talk(&format!("note: {narrow}"));
    }
    let (things, settings) = import::count_things(left_out);
    let settings = match settings {
        0 => String::new(),
        _ => format!("; {}", are(settings, "setting changes", "settings change")),
    };
    printer.talk(&format!("Imported: {users}; {secrets}; {} not carried over{settings}", count(things, "thing")));
    Ok(())
}
