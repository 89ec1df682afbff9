//! `reconcile backup` and `reconcile restore`: all that is recorded, in one file, and back.

mod file;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::{
    Exit,
    imported::ImportedArgs,
    plan,
    printer::Printer,
    settings::{FileArgs, HostArgs, PlanFormat, SecretArgs, StateArgs},
};
use crate::{
    deploy::{Host, generated_files},
    directory::{Directory, DirectoryError, Rows, random, seal::Keyring},
    error::Hinted,
    fs::{create, read},
    input,
    model::{Tenant, hex, printable, shown},
    render::parse,
    report::{count, json},
};
use file::{Backup, End, Head, Line, Written};

/// The largest backup that is read, in bytes.
const LARGEST: u64 = 8 * 1024 * 1024 * 1024;

/// Write all that is recorded to one new file
///
/// Holds the rows of all tenants with their sealed secrets, the audit log, and calls. Keep
/// the key apart from it: together they are all SIP secrets. Proves that the given keys open every secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile backup /var/backups/pbx-$(date +%F).reconcile")]
pub(crate) struct BackupArgs {
    /// The new file, which only this user can read
    file: PathBuf,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// Write a backup into an empty database, and show the plan of the desired-state file
///
/// The database must be empty, and the key must be the one of the backup. Ends with the plan of the desired-state file, if it
/// is there: with the file of that day it shows no change.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  createdb pbx && reconcile restore /var/backups/pbx-2026-11-30.reconcile -f pbx.yaml"
)]
pub(crate) struct RestoreArgs {
    /// The file that `reconcile backup` wrote
    backup: PathBuf,
    #[command(flatten)]
    desired: FileArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Do not query the running Asterisk
    #[arg(long)]
    no_asterisk: bool,
}

pub(crate) fn run_backup(args: &BackupArgs, printer: &mut Printer) -> Result<Exit> {
    if args.file.exists() {
        let message = format!("`{}` is there already", shown(&args.file));
        return Err(Hinted::new(message, "name a new file: a backup is never written over").into());
    }
    let mut directory = args.state.open_to_list(printer)?.ok_or(DirectoryError::Empty)?;
    directory.require_current()?;
    let keys = args.state.keys(Some(&mut directory))?;
    let ids = directory.key_ids()?;
    if let Some(missing) = ids.iter().find(|id| !keys.knows(id)) {
        let message =
            format!("a secret was sealed with the key {}, which is not given: this would be no backup", hex(missing));
        let hint = "add that key behind the current one, or run `reconcile secret reseal` where it is known";
        return Err(Hinted::new(message, hint).into());
    }
    let host = args.host.resolve(&args.state, false)?;
    let mut rows = Vec::new();
    printer.phase("reading what is recorded");
    directory.dump(&mut |part| {
        rows.push(part);
        Ok(())
    })?;
    let directory_id = id_of(&rows)?;
    let head = Head {
        format_version: Head::version(),
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
        written_at: Timestamp::now().to_string(),
        schema: Directory::latest_schema(),
        directory: directory_id.clone(),
        host: host.name.clone(),
        keys: ids.iter().map(|id| hex(id)).collect(),
    };
    let users = counted(&rows, "users");
    let tenants = counted(&rows, "tenants");
    let mut written = Written::new(head)?;
    for part in rows {
        written.rows(part)?;
    }
    let random = random()?;
    let text = written.end(|sha256| Ok(keys.seal_bytes(sha256.as_bytes(), directory_id.as_bytes(), &random)?))?;
    create(&args.file, &text, 0o600)?;
    printer.document(&format!(
        "Backup: {}, {} in `{}`. The key is not in it.\n",
        count(tenants, "tenant"),
        count(users, "user"),
        shown(&args.file)
    ));
    Ok(Exit::Done)
}

/// Finds the id of the directory among its rows.
fn id_of(rows: &[Rows]) -> Result<String> {
    let id = rows.iter().find(|part| part.table == "directory").and_then(|part| part.rows.first());
    let id = id.and_then(|row| row["id"].as_str()).context("the database has no id")?;
    Ok(id.to_owned())
}

/// Refuses a tenant whose slug is none: it names folders and contexts.
fn refuse_bad_slugs(shown: &str, rows: &[Rows]) -> Result<()> {
    let tenants = rows.iter().filter(|part| part.table == "tenants").flat_map(|part| &part.rows);
    for row in tenants {
        let slug = row["slug"].as_str().unwrap_or_default();
        if let Err(invalid) = slug.parse::<Tenant>() {
            return Err(Hinted::new(
                format!("`{shown}` holds a tenant that is none: {invalid}"),
                "take another copy of the backup",
            )
            .into());
        }
    }
    Ok(())
}

fn counted(rows: &[Rows], table: &str) -> usize {
    rows.iter().filter(|part| part.table == table).map(|part| part.rows.len()).sum()
}

/// Reads the generated files of this host, by path.
fn files(host: &Host) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (_, _, path) in generated_files(&host.config_dir)? {
        if let Some(text) = read(&path)? {
            let below = path.strip_prefix(&host.config_dir).unwrap_or(&path);
            files.insert(below.to_string_lossy().into_owned(), text);
        }
    }
    Ok(files)
}

pub(crate) fn run_restore(args: &RestoreArgs, printer: &mut Printer) -> Result<Exit> {
    let shown = shown(&args.backup);
    let bytes = input::read(&args.backup, LARGEST).with_context(|| format!("cannot read `{shown}`"))?;
    let text = String::from_utf8(bytes).with_context(|| format!("cannot read `{shown}`"))?;
    let Backup { head, rows, end } = file::read(&text)?;
    drop(text);
    if head.schema < 1 {
        let message = format!("`{shown}` names {} as the version of its tables, which is none", head.schema);
        return Err(Hinted::new(message, "take another copy of the backup").into());
    }
    if head.schema > Directory::latest_schema() {
        let version = printable(&head.written_by);
        let message = format!("`{shown}` was written by reconcile {version}, whose tables are newer");
        return Err(Hinted::new(message, "use that version of reconcile, or a later one").into());
    }
    refuse_bad_slugs(&shown, &rows)?;
    let host = args.host.resolve(&args.state, false)?;
    refuse_other_files(&host, &head)?;
    let (mut directory, keys) = args.state.open_to_write(&mut |line| printer.talk(line))?;
    prove(&keys, &head, &end)?;
    if !directory.is_unused()? {
        let message = format!("the database {} is not empty", directory.show());
        return Err(Hinted::new(
            message,
            "restore into a database of its own: `createdb`, and name it in DATABASE_URL",
        )
        .into());
    }
    printer.phase("writing the rows");
    args.state.keep_given_key()?;
    directory.load(head.schema, &rows)?;
    let (users, tenants) = (counted(&rows, "users"), counted(&rows, "tenants"));
    drop(directory);
    let (tenants, users) = (count(tenants, "tenant"), count(users, "user"));
    printer.document(&format!("Restored: {tenants}, {users}, as of {}.\n", printable(&head.written_at)));
    if !args.desired.file.exists() {
        printer.talk(
            "note: there is no desired-state file here; `reconcile plan` with the file of that day shows no change",
        );
        return Ok(Exit::Done);
    }
    let common = plan::Common {
        file: args.desired.clone(),
        state: args.state.clone(),
        host: args.host.clone(),
        secrets: args.secrets.clone(),
        imported: ImportedArgs::default(),
        no_asterisk: args.no_asterisk,
        again: false,
        allow: Vec::new(),
        format: PlanFormat::Text,
        full: false,
    };
    let desired = plan::desired(&args.desired, PlanFormat::Text, printer)?;
    common.resolve()?.show(&desired, printer)?;
    Ok(Exit::Done)
}

/// Makes sure, before anything is written, that a key opens what is in the backup, and that somebody who has it wrote the
/// backup as it is: whoever may change the file could otherwise add a token of the API.
fn prove(keys: &Keyring, head: &Head, end: &End) -> Result<()> {
    let bytes = (0..end.seal.len() / 2).map(|at| u8::from_str_radix(end.seal.get(2 * at..2 * at + 2)?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>().unwrap_or_default();
    if let Ok(opened) = keys.open_bytes(&bytes, head.directory.as_bytes()) {
        if opened.as_slice() == end.sha256.as_bytes() {
            return Ok(());
        }
        let message = "this backup was changed by somebody without its key";
        return Err(Hinted::new(message, "take another copy of the file").into());
    }
    let sealed: Vec<String> = head.keys.iter().map(|id| format!("`{}`", printable(id))).collect();
    let message =
        format!("the given key does not open this backup, whose secrets are sealed with {}", sealed.join(" and "));
    Err(Hinted::new(message, "give its own key in RECONCILE_SECRET_KEY or RECONCILE_SECRET_KEY_FILE").into())
}

/// Stops if the generated files of this host are those of another directory.
fn refuse_other_files(host: &Host, head: &Head) -> Result<()> {
    for (path, text) in files(host)? {
        let named = parse(&text).directory.map(|id| id.to_string());
        if named.is_some_and(|id| id != head.directory) {
            let message = format!("`{}` was written from another database than this backup", printable(&path));
            return Err(
                Hinted::new(message, "restore the backup of that database, or move the generated files away").into()
            );
        }
    }
    Ok(())
}

/// Writes the JSON schema of a line of a backup.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn schema() -> Result<String> {
    json::pretty(&schemars::schema_for!(Line))
}
