//! `reconcile token`: who may use the portal API, for one tenant at a time.

use std::{collections::BTreeSet, fmt::Write};

use anyhow::{Context, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use zeroize::Zeroizing;

use super::{Exit, printer::Printer, settings::Format, users::TenantArgs};
use crate::{
    directory::{Scope, TokenBytes, TokenEntry, TokenName, TokenText},
    error::Hinted,
    report::{json, status::seconds},
};

/// Create, list or revoke tokens for the portal API
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create a token and print it; it cannot be shown again, because only its hash is stored
    #[command(after_help = "Example:\n  reconcile token new portal --scope read --scope write")]
    New {
        /// The token's name, for the audit log and for `token revoke`
        name: TokenName,
        /// What the token permits: read users, create and delete users, apply, read calls; several with commas between them, or given several times
        #[arg(long = "scope", required = true, value_delimiter = ',', value_name = "SCOPE", value_parser = scope())]
        scopes: Vec<Scope>,
        #[command(flatten)]
        which: TenantArgs,
        /// The output format
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// List the names and scopes of a tenant's tokens, including revoked tokens
    #[command(after_help = "Example:\n  reconcile token list")]
    List {
        #[command(flatten)]
        which: TenantArgs,
        /// How the list is written
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Revoke a token: from now on it is rejected
    #[command(after_help = "Example:\n  reconcile token revoke portal")]
    Revoke {
        /// The token's name
        name: TokenName,
        #[command(flatten)]
        which: TenantArgs,
    },
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::word)).try_map(|word| word.parse::<Scope>())
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    match &args.command {
        Command::New { name, scopes, which, format } => {
            new(name, &scopes.iter().copied().collect(), which, *format, printer)
        }
        Command::List { which, format } => list(which, *format, printer),
        Command::Revoke { name, which } => revoke(name, which, printer),
    }
}

fn new(
    name: &TokenName,
    scopes: &BTreeSet<Scope>,
    which: &TenantArgs,
    format: Format,
    printer: &mut Printer,
) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let (mut directory, _) = which.state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    let mut random: Zeroizing<TokenBytes> = Zeroizing::default();
    getrandom::fill(&mut *random).context("the operating system returned no random bytes")?;
    let token = TokenText::new(&random);
    if !directory.add_token(&tenant, name, scopes, &token)? {
        let message = format!("tenant `{tenant}` has a token `{name}`");
        return Err(Hinted::new(message, format!("choose another name, or `reconcile token revoke {name}`")).into());
    }
    printer.document(&match format {
        Format::Text => format!("{}\n", token.reveal()),
        Format::Json => json::pretty(&serde_json::json!({
            "format_version": 1,
            "tenant": tenant.as_str(),
            "name": name,
            "scopes": scopes,
            "token": token.reveal(),
        }))?,
    });
    printer.talk("keep it safe: it is shown this once");
    Ok(Exit::Done)
}

fn list(which: &TenantArgs, format: Format, printer: &mut Printer) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let tokens = match which.state.open_to_list(printer)? {
        Some(mut directory) => {
            directory.require_current()?;
            let tokens = directory.tokens(&tenant)?;
            which.require(&tenant, !tokens.is_empty() || directory.knows(&tenant)?)?;
            tokens
        }
        None => Vec::new(),
    };
    printer.document(&match format {
        Format::Text => table(&tokens),
        Format::Json => {
            json::pretty(&serde_json::json!({ "format_version": 1, "tenant": tenant.as_str(), "tokens": tokens }))?
        }
    });
    Ok(Exit::Done)
}

fn table(tokens: &[TokenEntry]) -> String {
    let width = tokens.iter().map(|token| token.name.as_str().len()).max().unwrap_or(0).max("NAME".len());
    let words = |scopes: &BTreeSet<Scope>| scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(",");
    let wide = tokens.iter().map(|token| words(&token.scopes).len()).max().unwrap_or(0).max(16);
    let mut text = format!("{:<width$}  {:<wide$}  {:<20}  REVOKED\n", "NAME", "SCOPES", "CREATED");
    for TokenEntry { name, scopes, created_at, revoked_at } in tokens {
        let revoked = revoked_at.map_or_else(|| "no".to_owned(), seconds);
        let name = name.as_str();
        let _ = writeln!(text, "{name:<width$}  {:<wide$}  {}  {revoked}", words(scopes), seconds(*created_at));
    }
    text
}

fn revoke(name: &TokenName, which: &TenantArgs, printer: &mut Printer) -> Result<Exit> {
    let tenant = which.tenant(printer)?;
    let (mut directory, _) = which.state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    if !directory.revoke_token(&tenant, name)? {
        let message = format!("tenant `{tenant}` has no token `{name}` in use");
        return Err(Hinted::new(message, "`reconcile token list` lists its tokens").into());
    }
    printer.document(&format!("Revoked: the token `{name}` of {tenant} is rejected from now on.\n"));
    Ok(Exit::Done)
}
