//! `reconcile serve`: the portal API over HTTP, and the webhook for inbound calls.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Result;
use ipnet::IpNet;

use super::{
    Exit,
    notify::NotifyArgs,
    settings::{HostArgs, RetentionArgs, StateArgs},
    stop::Stop,
    usage,
    variable::text_or_file,
};
use crate::{
    calls::Tokens,
    directory::{Directory, DirectoryError, seal::Keyring},
    error::words,
    model::hex,
    serve::{
        self,
        tls::TlsVersion,
        webhook::{self, Address},
    },
};

/// Serve the portal API: users, apply, inbound calls, health and metrics over HTTP
///
/// The API creates, lists and deletes users in the database. `POST /apply` applies the recorded state to
/// this host, as `reconcile apply` does, but reads no desired-state file. `reconcile token` creates tokens.
/// `/webhooks/twilio` answers inbound calls from the routes applied last. It verifies Twilio's signature with
/// `TWILIO_AUTH_TOKEN`, which takes several tokens with commas between them while the token is replaced.
/// SIGTERM ends the server after running requests are finished.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile serve\n  \
    reconcile serve --listen 0.0.0.0:8443 --tls-cert portal.pem --tls-key portal.key")]
pub(crate) struct Args {
    /// The address and port to listen on; without TLS, a loopback address
    #[arg(
        long,
        env = "RECONCILE_LISTEN",
        default_value = "127.0.0.1:8000",
        value_name = "ADDRESS:PORT",
        value_parser = usage::address,
        hide_env_values = true
    )]
    listen: SocketAddr,
    /// The certificate of the server, with the chain behind it, as PEM
    #[arg(long, env = "RECONCILE_TLS_CERT", requires = "tls_key", value_name = "FILE", hide_env_values = true)]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, as PEM
    #[arg(long, env = "RECONCILE_TLS_KEY", requires = "tls_cert", value_name = "FILE", hide_env_values = true)]
    tls_key: Option<PathBuf>,
    /// The lowest version of TLS
    #[arg(long, value_enum, default_value_t = TlsVersion::V13, value_name = "VERSION")]
    tls_min: TlsVersion,
    /// Allow a non-loopback address without TLS, because a proxy in front terminates TLS
    #[arg(long)]
    behind_proxy: bool,
    #[command(flatten)]
    webhook: WebhookArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    #[command(flatten)]
    retention: RetentionArgs,
}

#[derive(Debug, clap::Args)]
struct WebhookArgs {
    /// The URL under which Twilio reaches this server, such as `https://pbx.example`
    #[arg(long, env = "RECONCILE_PUBLIC_URL", value_name = "URL", hide_env_values = true)]
    public_url: Option<Address>,
    /// A proxy whose `Forwarded` and `X-Forwarded-*` headers are trusted, and which may open more connections
    /// than a single client; may be given several times
    #[arg(long, value_name = "CIDR", value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// The HTTP method configured at Twilio for calls, status and fallback. The other method is rejected,
    /// because a signed POST could be replayed as a GET with other parameters
    #[arg(long, value_enum, ignore_case = true, default_value_t, value_name = "METHOD")]
    webhook_method: webhook::Method,
    /// Turn the webhook for inbound calls off
    #[arg(long)]
    no_webhook: bool,
    /// Do not verify Twilio's signature; only for tests on a server that no one else can reach
    #[arg(long, conflicts_with = "no_webhook")]
    insecure_skip_signature: bool,
}

impl WebhookArgs {
    fn resolve(&self) -> Result<Option<webhook::Settings>> {
        if self.no_webhook {
            return Ok(None);
        }
        Ok(Some(webhook::Settings {
            tokens: auth_tokens()?,
            method: self.webhook_method,
            skip_signature: self.insecure_skip_signature,
            public_url: self.public_url.clone(),
            trusted_proxies: self.trusted_proxy.clone(),
        }))
    }
}

/// Finds the tokens with which inbound calls are signed.
fn auth_tokens() -> Result<Tokens> {
    let text = text_or_file("TWILIO_AUTH_TOKEN", "the auth token")?;
    Ok(text.map(|text| Tokens::parse(&text)).unwrap_or_default())
}

/// Reads a network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "write it as `10.0.0.0/8`, or a single address".to_owned())
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            Some(serve::tls::Files { certificate, key, lowest: args.tls_min })
        }
        _ => None,
    };
    // Rather told now than when all else is ready.
    tls.as_ref().map(serve::tls::Files::config).transpose()?;
    if tls.is_none() && !args.listen.ip().is_loopback() && !args.behind_proxy {
        let message = format!("without TLS, tokens and secrets would be sent unencrypted at `{}`", args.listen);
        let hint = "give `--tls-cert` and `--tls-key`, or `--behind-proxy` if a proxy in front terminates TLS";
        return Err(Stop::usage(message, hint).into());
    }
    let webhook = args.webhook.resolve()?;
    let host = args.host.resolve(&args.state, true)?;
    let receiver = args.notify.resolve()?;
    let opener = args.state.opener()?;
    // Rather told now than at the first request; but a database that is away may come back.
    let mut first = match opener.connect() {
        Err(error) if error.downcast_ref::<DirectoryError>().is_some_and(DirectoryError::is_passing) => {
            tracing::warn!("{}", words(&error));
            None
        }
        first => Some(first?),
    };
    let keys = args.state.keys(first.as_mut())?;
    if let Some(directory) = &mut first {
        for migration in directory.migrate()? {
            tracing::info!("migrated: {migration}");
        }
        look_at_keys(directory, &keys)?;
    }
    let settings = serve::Settings {
        listen: args.listen,
        tls,
        open: Box::new(move || opener.open()),
        first,
        keys,
        host,
        retention: args.retention.retention,
        trusted_proxies: args.webhook.trusted_proxy.clone(),
        webhook,
        receiver,
    };
    serve::run(settings, |address| {
        tracing::info!("listening on {address}; the API is described at {address}/docs");
    })?;
    Ok(Exit::Done)
}

/// Rather told now than when the first user is to be made.
fn look_at_keys(directory: &mut Directory, keys: &Keyring) -> Result<()> {
    let ids = directory.key_ids()?;
    keys.open_some(&ids)?;
    let missing: Vec<String> = ids.iter().filter(|id| !keys.knows(id)).map(|id| hex(id)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        tracing::warn!("some secrets were sealed with the key {missing}, which is not among those given");
    }
    Ok(())
}
