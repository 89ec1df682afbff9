//! `reconcile init`: the files to start with, where they are missing. Asks nothing.

mod recipe;
mod start;

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Exit,
    env::example,
    printer::Printer,
    settings::{FileArgs, HostArgs},
    stop::Stop,
};
use crate::{
    asterisk::ConfigFile,
    deploy::{Asterisk, lacking_includes, missing_folder, operator_files},
    error::Hinted,
    fs::create,
    model::{Tenant, shown},
};
use recipe::{Ci, PLAIN};
use start::Found;

/// What git must not take.
const IGNORED: &str = "# Keys and passwords.\n.env\n*.secrets\n*.key\n";

/// Write the files to start with, where they are missing
///
/// Writes a commented desired-state file with the transports, contexts, realm and numbers of Asterisk's configuration,
/// `.gitignore`, `.env.example` and, with `--ci`, a CI recipe. Leaves every file alone that is there. Prints the lines that
/// `pjsip.conf` and `extensions.conf` lack.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  reconcile init --tenant acme --dry-run\n  reconcile init --tenant acme --ci github"
)]
pub(crate) struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// The tenant of the file [default: the name of the working directory, if it is a slug]
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Write the CI recipe for this system, too
    #[arg(long, value_enum, value_name = "SYSTEM")]
    ci: Option<Ci>,
    #[command(flatten)]
    host: HostArgs,
    /// Only list what would be written
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let tenant = tenant(args.tenant.as_deref())?;
    let (asterisk, config_dir) = args.host.asterisk()?;
    let pjsip = operator_files(&config_dir, ConfigFile::Endpoints.facts().includer)?;
    let extensions = operator_files(&config_dir, ConfigFile::Routing.facts().includer)?;
    let found = Found::in_files(&pjsip, &extensions);
    let desired = found.file(&tenant);
    let example = example();
    let path = if args.file.file == Path::new("-") { PathBuf::from("pbx.yaml") } else { args.file.file.clone() };
    let mut files: Vec<(PathBuf, &str, u32)> = vec![
        (path.clone(), &desired, PLAIN),
        (".gitignore".into(), IGNORED, PLAIN),
        (".env.example".into(), &example, PLAIN),
    ];
    let recipe = args.ci.map(Ci::files).unwrap_or_default();
    files.extend(recipe.iter().map(|(path, text, mode)| (PathBuf::from(path), *text, *mode)));
    let mut text = String::new();
    for (path, content, mode) in files {
        let _ = writeln!(text, "{} {}", place(&path, content, mode, args.dry_run)?, shown(&path));
    }
    text += &next(&asterisk, &config_dir, &tenant, &path, found.phones > 0)?;
    printer.document(&text);
    Ok(Exit::Done)
}

/// Takes the tenant as told, or the name of the working directory.
fn tenant(told: Option<&str>) -> Result<Tenant> {
    if let Some(slug) = told {
        return Ok(slug.parse().map_err(Stop::argument)?);
    }
    let here = env::current_dir().context("the working directory")?;
    let name = here.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    name.parse()
        .map_err(|_| Stop::usage("the name of the working directory is no tenant", "name one: --tenant acme").into())
}

/// Writes a file unless it is there; returns the word for what was done.
fn place(path: &Path, text: &str, mode: u32, dry_run: bool) -> Result<&'static str> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok("is there:   ");
    }
    refuse_linked_folder(path)?;
    if dry_run {
        return Ok("would write:");
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", shown(folder)))?;
    }
    create(path, text, mode)?;
    Ok("wrote:      ")
}

/// Refuses a relative path with a folder that is a link: a committed one may lead out of the repository.
fn refuse_linked_folder(path: &Path) -> Result<()> {
    let folders = path.ancestors().skip(1).filter(|_| path.is_relative());
    let Some(link) = folders.into_iter().find(|folder| folder.is_symlink()) else { return Ok(()) };
    let message = format!("`{}` is a link, and `{}` would be written where it leads", shown(link), shown(path));
    Err(Hinted::new(message, "remove the link, and make a folder in its place").into())
}

/// Says what to do next: the include lines, and the first commands.
fn next(asterisk: &Asterisk, config_dir: &Path, tenant: &Tenant, file: &Path, have_phones: bool) -> Result<String> {
    let mut text = String::new();
    if let Some(missing) = missing_folder(config_dir, Some(asterisk))? {
        let _ = writeln!(
            text,
            "\nNothing of Asterisk's configuration is in the file, because {missing}.\nhint: {}",
            missing.hint()
        );
    } else {
        for (line, includer) in lacking_includes(config_dir, tenant)? {
            let _ = writeln!(text, "\nAdd this line at the end of {}:\n  {line}", shown(&config_dir.join(includer)));
        }
    }
    let file = shown(file);
    if have_phones {
        let _ = writeln!(
            text,
            "\nPhones are set up here already. To take them over (docs/taking-over.md):\n  \
             reconcile import --running --tenant {tenant} --email-domain example.com -o imported.yaml \
             --secrets /root/{tenant}.secrets\nThen use imported.yaml instead of {file}."
        );
        return Ok(text);
    }
    let named = if file == "pbx.yaml" { String::new() } else { format!(" -f {file}") };
    let _ = writeln!(text, "\nThen: reconcile check{named}; reconcile plan{named}; reconcile apply{named}");
    Ok(text)
}
