//! `reconcile rollback N`: what the file said at a run, and the plan that goes back there. Moves nothing.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Exit,
    apply::DIRTY,
    imported::ImportedArgs,
    plan,
    printer::Printer,
    session,
    settings::{FileArgs, HostArgs, PlanFormat, SecretArgs},
    usage,
    users::TenantArgs,
};
use crate::{
    desired::{self, Loaded},
    directory::{DesiredFiles, DirectoryError, RunState},
    error::Hinted,
    fs::create,
    model::shown,
};

/// How many commits are named.
const NAMED: usize = 10;

/// Print what the file said at an earlier run, and the plan that goes back there
///
/// Moves nothing: an apply of the printed file does. Users who were deleted since come back with number and secret, as long
/// as these are kept. Names the commits to revert.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile rollback 12 -o pbx.yaml.12   # the file there, the plan here\n  \
    reconcile rollback 12 > pbx.yaml.12    # the plan goes to standard error")]
pub(crate) struct Args {
    /// The number of the run, as `reconcile history` lists it
    #[arg(value_parser = usage::run)]
    run: i64,
    #[command(flatten)]
    which: TenantArgs,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Write the file here, or the files into this new folder if there were several
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Do not query the running Asterisk
    #[arg(long)]
    no_asterisk: bool,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let Args { run, which, .. } = args;
    let tenant = which.tenant(printer)?;
    let mut directory = which.state.open_to_list(printer)?.ok_or(DirectoryError::Empty)?;
    directory.require_current()?;
    let state = directory.run_state(&tenant, *run)?.ok_or_else(|| {
        Hinted::new(format!("tenant `{tenant}` has no run {run}"), "`reconcile history` lists its runs")
    })?;
    drop(directory);
    let RunState { files, later } = state;
    let files = files.ok_or_else(|| {
        let hint = "choose another run; the API, earlier versions and runs past the retention left no file";
        Hinted::new(format!("what the file said at run {run} is not kept"), hint)
    })?;
    let loaded = load(*run, &files);
    let desired = session::checked(format!("run {run}"), loaded, printer)?;
    match &args.output {
        Some(path) => write(path, &files)?,
        None => printer.document(&joined(&files)),
    }
    let common = plan::Common {
        // What is applied is the file that was written.
        file: FileArgs { file: args.output.clone().unwrap_or_else(|| PathBuf::from("-")) },
        state: which.state.clone(),
        host: args.host.clone(),
        secrets: args.secrets.clone(),
        imported: ImportedArgs::default(),
        no_asterisk: args.no_asterisk,
        again: true,
        allow: Vec::new(),
        format: PlanFormat::Text,
        full: false,
    };
    let (_, document) = common.resolve()?.make(&desired, printer)?;
    let mut next = document;
    for (later, commit) in later.iter().take(NAMED) {
        match commit.as_deref().map(|commit| commit.strip_suffix(DIRTY).ok_or(commit)) {
            Some(Err(commit)) => drop(writeln!(next, "To revert in git: {commit} (run {later})")),
            Some(Ok(_)) => {
                let _ = writeln!(
                    next,
                    "Run {later} applied changes that were not committed: there is no commit to revert."
                );
            }
            None => {}
        }
    }
    let file = args.output.as_ref().map_or_else(|| "that file".to_owned(), |path| format!("`{}`", shown(path)));
    let _ = writeln!(next, "Nothing was changed. To go back, commit {file} and apply it.");
    match &args.output {
        Some(_) => printer.document(&next),
        None => printer.talk(next.trim_end()),
    }
    Ok(Exit::Done)
}

/// Checks what the file said. Several files are merged as those of a folder are.
fn load(run: i64, files: &DesiredFiles) -> Loaded {
    if let [text] = files.values().collect::<Vec<_>>().as_slice() {
        return desired::load_text(&format!("run {run}"), text);
    }
    let named: Vec<(String, &str)> =
        files.iter().map(|(name, text)| (format!("run {run}: {name}"), text.as_str())).collect();
    desired::load_texts(&named)
}

/// Writes all files as one text, each below its name if there are several.
fn joined(files: &DesiredFiles) -> String {
    if let [text] = files.values().collect::<Vec<_>>().as_slice() {
        return (*text).clone();
    }
    files.iter().map(|(name, text)| format!("# {name}\n{}\n", text.trim_end())).collect::<Vec<_>>().concat()
}

fn write(path: &Path, files: &DesiredFiles) -> Result<()> {
    if let [text] = files.values().collect::<Vec<_>>().as_slice() {
        create(path, text, 0o666)?;
        return Ok(());
    }
    fs::create_dir(path).with_context(|| format!("cannot create `{}`", shown(path)))?;
    write_into(path, files)
}

/// Writes the files below a folder under their own names. What a name would lead out by is left out of it.
fn write_into(folder: &Path, files: &DesiredFiles) -> Result<()> {
    for (index, (name, text)) in files.iter().enumerate() {
        let last = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or("pbx.yaml");
        let path = folder.join(last);
        let path = if path.exists() { folder.join(format!("{index}-{last}")) } else { path };
        create(&path, text, 0o666)?;
    }
    Ok(())
}
