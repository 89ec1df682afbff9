//! Whom commands notify when something is wrong.

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Exit,
    printer::Printer,
    stop::{self, Stop},
    variable::text_or_file,
};
use crate::{
    deploy::Host,
    error::words_of,
    model::Tenant,
    notify::{self, Problem, Receiver, Subject},
};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NotifyArgs {
    /// Post to this URL if something is wrong, and once it is right again
    ///
    /// The URL is `https://`. The body is JSON with a field `text`, as chat services take it; it holds no secret and no
    /// full number. The same problem is told once.
    #[arg(long, env = "RECONCILE_NOTIFY_URL", value_name = "URL", hide_env_values = true)]
    notify: Option<String>,
}

impl NotifyArgs {
    /// Finds whom to notify; `None` if nobody.
    pub(crate) fn resolve(&self) -> Result<Option<Receiver>> {
        let of_file = || Ok(text_or_file("RECONCILE_NOTIFY_URL", "the URL")?.map(|url| url.trim().to_owned()));
        let url =
            self.notify.clone().filter(|url| !url.is_empty()).map_or_else(of_file, |url| anyhow::Ok(Some(url)))?;
        let Some(url) = url else { return Ok(None) };
        let key = text_or_file("RECONCILE_NOTIFY_KEY", "the key")?;
        let key = key.map(|key| zeroize::Zeroizing::new(key.trim().to_owned()));
        let receiver = Receiver::new(&url, key).map_err(|error| {
            let hint =
                "write it as `https://hooks.example/path`; it is not shown, because such a URL is often a secret";
            Stop::usage(format!("the URL of `--notify` cannot be used: {error}"), hint)
        })?;
        Ok(Some(receiver))
    }
}

/// Notifies. What goes wrong is a warning: nothing else depends on it.
pub(crate) fn tell(
    receiver: &Receiver,
    (command, scope): (&'static str, &'static str),
    (tenant, host): (&Tenant, &Host),
    problems: Vec<Problem>,
    printer: &mut Printer,
) {
    let subject = Subject { command, tenant: tenant.as_str(), host: &host.name, scope };
    if let Err(error) = notify::tell(receiver, &host.state_dir, subject, problems, Timestamp::now()) {
        printer.talk(&format!("warning: {}", words_of(&error)));
    }
}

/// Lists what is wrong after an apply: why it did not end well.
pub(crate) fn problems_of_apply(result: &Result<Exit>) -> Vec<Problem> {
    let Err(error) = result else { return Vec::new() };
    let what = match stop::exit_of(error) {
        Exit::NotLive => "it is recorded, but Asterisk does not run it",
        Exit::Rail => "a rail stopped it",
        Exit::Stale => "the plan is no longer the expected one",
        Exit::Locked => "another apply holds the lock",
        _ => "it failed",
    };
    let first = error.to_string();
    let first = first.lines().next().unwrap_or_default();
    vec![Problem::new("apply", &format!("{what}: {first}"))]
}
