//! `reconcile import`: what a phone system or a list of people holds, as a desired-state file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use zeroize::Zeroizing;

use super::{
    Exit,
    imported::{git_work_tree, line},
    printer::Printer,
    settings::HostArgs,
    stop::Stop,
    users::extensions,
};
use crate::{
    asterisk::{ConfigFile, parameters},
    deploy::Asterisk,
    desired,
    error::Hinted,
    fs::{create, failed},
    import::{self, Imported, Kind, Mapping, Options, running},
    input,
    model::{Email, shown},
    render::section_names,
};

/// How many bytes a list may have.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Write what a running Asterisk or a CSV list holds as a desired-state file
///
/// Only writes text: the file to standard output or to a new file, and to standard error what is not carried over, the
/// most dangerous first. Every number is pinned. No secret stands in the file: those that phones have now go to the file
/// of `--secrets`, which the first `sync` or `apply` takes with its own `--secrets`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    reconcile import --running --tenant acme --email-domain example.com -o pbx.yaml --secrets /root/acme.secrets\n  \
    reconcile import staff.csv --tenant acme --map name='First name'+'Last name' --map extension='Phone ext.'")]
pub(crate) struct Args {
    /// The list: a header, then a line for each person or phone
    #[arg(required_unless_present = "running", conflicts_with = "running", value_name = "FILE.csv")]
    list: Option<PathBuf>,
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
    /// Exit 1 if anything is not carried over
    #[arg(long)]
    strict: bool,
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

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let options = options(args)?;
    let mapping = mapping(&args.map)?;
    // A place to write is looked at before anything is asked.
    for path in [&args.output, &args.secrets].into_iter().flatten() {
        refuse_existing(path)?;
    }
    if let Some(path) = &args.secrets {
        refuse_work_tree(path)?;
    }
    let found = if let Some(path) = &args.list {
        let read = input::read(path, LARGEST).with_context(|| format!("cannot read `{}`", shown(path)))?;
        let bytes = Zeroizing::new(read);
        import::read_csv(&shown(path), &bytes, args.kind.map(Kind::from), &mapping).map_err(hinted)?
    } else {
        printer.phase("asking Asterisk what it runs");
        let (asterisk, config_dir) = args.host.asterisk()?;
        ask(&asterisk, &config_dir)?.found()
    };
    let imported = import::judge(found, &options).map_err(hinted)?;
    require_valid(&imported.desired)?;
    write(args, &imported, printer)?;
    let strict = args.strict && !imported.left_out.is_empty();
    Ok(if strict { Exit::Error } else { Exit::Done })
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

fn hinted(refused: import::Refused) -> anyhow::Error {
    Hinted::new(refused.message, refused.hint).into()
}

fn refuse_existing(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    Err(Hinted::new(format!("`{}` is there already", shown(path)), "name a new file, or move that one away").into())
}

fn refuse_work_tree(path: &Path) -> Result<()> {
    let Some(tree) = git_work_tree(path) else { return Ok(()) };
    let message = format!("`{}` would lie in the git work tree `{}`", shown(path), shown(&tree));
    Err(Hinted::new(message, "secrets are never committed: name a file outside, such as below `/root`").into())
}

/// Asks Asterisk all that the import needs.
fn ask(asterisk: &Asterisk, config_dir: &Path) -> Result<running::Answers> {
    asterisk.wait_until_booted()?;
    let shows = |kind: &str, names: &BTreeSet<String>| -> Result<BTreeMap<String, _>> {
        let commands: Vec<String> = names.iter().map(|name| format!("pjsip show {kind} {name}")).collect();
        let answers = asterisk.ask_all(&commands)?;
        Ok(names.iter().cloned().zip(answers.iter().map(|answer| parameters(answer.raw()))).collect())
    };
    let endpoints = running::endpoints(asterisk.ask("pjsip show endpoints")?.raw());
    let names = endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
    let mut answers = running::Answers {
        ours: ours(config_dir)?,
        settings: parameters(asterisk.ask("pjsip show settings")?.raw()),
        options: shows("endpoint", &names)?,
        endpoints,
        registered: running::registered(asterisk.ask("database show registrar/contact")?.raw()),
        ..running::Answers::default()
    };
    answers.auths = shows("auth", &answers.first_of("auth"))?;
    answers.aors = shows("aor", &answers.first_of("aors"))?;
    let mut next: Vec<String> = answers.dialled().into_iter().collect();
    while let Some(name) = next.pop() {
        if answers.contexts.contains_key(&name) {
            continue;
        }
        let context = running::context(asterisk.ask(&format!("dialplan show {name}"))?.raw());
        next.extend(context.includes.iter().cloned());
        answers.contexts.insert(name, context);
    }
    Ok(answers)
}

/// Names the endpoints that generated files on this host define.
fn ours(config_dir: &Path) -> Result<BTreeSet<String>> {
    let facts = ConfigFile::Endpoints.facts();
    let folder = config_dir.join(facts.folder);
    let tenants = match fs::read_dir(&folder) {
        Ok(tenants) => tenants,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed("read", &folder)(error).into()),
    };
    let mut names = BTreeSet::new();
    // The folder holds our lock, too.
    for tenant in tenants.flatten().filter(|tenant| tenant.path().is_dir()) {
        let text = crate::fs::read(&tenant.path().join(ConfigFile::Endpoints.name()))?;
        names.extend(text.iter().flat_map(|text| section_names(text)).map(str::to_owned));
    }
    Ok(names)
}

/// Makes sure that the file passes `check`: a slip of ours must not reach an administrator.
fn require_valid(text: &str) -> Result<()> {
    let loaded = desired::load_text("pbx.yaml", text);
    let Some(problem) = loaded.problems.iter().find(|_| loaded.declared.is_none()) else { return Ok(()) };
    let hint = "leave the phone out with `--only`, or correct it where it comes from";
    Err(Hinted::new(format!("the imported file would be invalid: {}", problem.message), hint).into())
}

fn write(args: &Args, imported: &Imported, printer: &mut Printer) -> Result<()> {
    let Imported { desired, users, secrets, left_out } = imported;
    if let Some(path) = &args.secrets {
        let lines: String = secrets.iter().map(|(email, secret)| line(email, secret)).collect();
        create(path, &Zeroizing::new(lines), 0o600)?;
    }
    match &args.output {
        Some(path) => create(path, desired, 0o666)?,
        None => printer.document(desired),
    }
    let list = import::listed(left_out);
    if !list.is_empty() {
        printer.talk(&format!("Not carried over:\n{}", list.trim_end()));
    }
    let users = if *users == 1 { "1 user".to_owned() } else { format!("{users} users") };
    let secrets = match (&args.secrets, secrets.len()) {
        (Some(path), count) => format!("{count} secrets in `{}`", shown(path)),
        (None, 0) => "no secrets".to_owned(),
        (None, count) => format!("{count} secrets not written (see --secrets): those phones would get new ones"),
    };
    printer.talk(&format!("Imported: {users}; {secrets}; {} things not carried over", left_out.len()));
    Ok(())
}
