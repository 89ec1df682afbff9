//! What callers reach: the routes that were applied last, kept beside the database so that they
//! survive its loss, and replaced as a whole when an apply ends on any host.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;

use super::{counters::Counters, pool::Pool};
use crate::{
    calls::{LeftOut, LiveRoutes, left_out},
    directory::{Directory, DirectoryError},
    fs::{keep_shared, rename_synced},
    model::{Tenant, document},
};

/// How often the database is asked if it sends no notifications, as behind a pooler.
const POLL: Duration = Duration::from_secs(5);

/// How often the end is looked for.
const GLANCE: Duration = Duration::from_millis(500);

/// How long is waited for a database that is away, at first and at most.
const AWAY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The tenants' routes.
type Tenants = Arc<BTreeMap<Tenant, LiveRoutes>>;

/// The tenants' routes as they are kept: a document each, so that one that cannot be read takes no other along.
type Snapshot = document::Map<Tenant, Value>;

/// Says which targets the provider cannot reach: `trace` and the dialplan reach them, so nothing else would.
fn warn_of_unreachable(applied: &LiveRoutes) {
    let Some(LeftOut { targets, all }) = left_out(applied) else { return };
    let (tenant, targets) = (&applied.tenant, targets.into_iter().collect::<Vec<_>>().join("; "));
    let hint = "declare `public_sip_host`, or route to a dialer with a number";
    if all {
        tracing::error!(%tenant, targets, hint, "Twilio can reach no target of the applied routes: it ends every call");
    } else {
        tracing::warn!(%tenant, targets, hint, "Twilio cannot reach some targets of the applied routes");
    }
}

/// The routes that were applied last.
pub(super) struct Routing {
    path: PathBuf,
    current: RwLock<Tenants>,
    /// Documents of the file that cannot be read. They stay in it until an apply replaces them.
    unreadable: BTreeMap<Tenant, Value>,
    /// Whether the file is behind.
    unsaved: AtomicBool,
    /// Whether the webhook answers no call, for want of a token.
    unconfigured: AtomicBool,
    /// Whether a webhook answers calls by these routes.
    answered: AtomicBool,
    /// Counts calls by dialer, and calls that no server answers.
    counters: Arc<Counters>,
    ending: AtomicBool,
}

impl Routing {
    /// Takes up what was kept in a file, if there is one. A file that cannot be read is logged, one
    /// that cannot be understood is set aside besides, and what the database has is kept in its place.
    pub(super) fn load(path: PathBuf, counters: Arc<Counters>) -> Self {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok("{}".to_owned()),
            text => text.map_err(anyhow::Error::from),
        };
        let told = |error: &anyhow::Error| {
            tracing::error!("cannot read `{}`, the routes that were applied last: {error:#}", path.display());
        };
        let understood = |text: String| match document::read::<Snapshot>(&text) {
            Ok(document::Map(kept)) => kept,
            Err(error) => {
                let aside = path.with_extension("unreadable.json");
                told(&anyhow::Error::from(error).context(format!("it is set aside in `{}`", aside.display())));
                if let Err(error) = rename_synced(&path, &aside) {
                    tracing::error!("cannot rename `{}`: {error}", path.display());
                }
                BTreeMap::new()
            }
        };
        let kept = text.inspect_err(told).map(understood).unwrap_or_default();
        let mut unreadable = BTreeMap::new();
        // What is wrong with one tenant's must not befall the others.
        let readable = |(tenant, value): (Tenant, Value)| match document::from_value(value.clone()) {
            Ok(applied) => Some((tenant, applied)),
            Err(error) => {
                let next = match error.reader() {
                    Some(reader) => format!("use {reader}"),
                    None => format!("an apply of the tenant `{tenant}` writes them again"),
                };
                told(&anyhow::Error::from(error).context(format!("those of the tenant `{tenant}`, {next}")));
                unreadable.insert(tenant, value);
                None
            }
        };
        let current = Tenants::new(kept.into_iter().filter_map(readable).collect());
        counters.know(&current);
        Self {
            path,
            current: RwLock::new(current),
            unreadable,
            unsaved: AtomicBool::new(false),
            unconfigured: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            counters,
            ending: AtomicBool::new(false),
        }
    }

    /// Counts and logs from now on that routed calls are not answered.
    pub(super) fn unconfigured(&self) {
        self.unconfigured.store(true, Ordering::Relaxed);
    }

    /// Says from now on which targets of the routes the provider cannot reach.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
        let current = self.current();
        current.values().for_each(warn_of_unreachable);
        if !self.take_calls() {
            tracing::warn!("no routes are applied: the webhook rejects every call until an apply brings some");
        }
    }

    /// Tells whether any call is routed.
    pub(super) fn take_calls(&self) -> bool {
        self.current().values().any(|applied| applied.routes.take_calls())
    }

    /// What every decision is made by, from its beginning to its end.
    pub(super) fn current(&self) -> Tenants {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what is applied now.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn refresh(&self, directory: &mut Directory) -> Result<(), DirectoryError> {
        let before = self.current();
        // A tenant that a directory does not know any more, as after it was put back to an earlier day,
        // keeps its routes: nobody's phones fall silent by that.
        let mut tenants = BTreeMap::clone(&before);
        for (tenant, applied) in directory.applied_routes()? {
            match applied {
                Ok(applied) => drop(tenants.insert(applied.tenant.clone(), applied)),
                Err(error) => {
                    tracing::error!(tenant, "what was applied last cannot be read, the former routes stay: {error}");
                }
            }
        }
        if tenants == *before && !self.unsaved.load(Ordering::Relaxed) {
            return Ok(());
        }
        let text = self.snapshot(&tenants).map_err(|error| error.to_string());
        let next = Arc::new(tenants);
        self.counters.know(&next);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        // Callers are served all the same.
        let saved = text.and_then(|text| keep_shared(&self.path, &text).map_err(|error| error.to_string()));
        self.unsaved.store(saved.is_err(), Ordering::Relaxed);
        if let Err(error) = saved {
            tracing::error!("the applied routes would not survive the loss of the database: {error}");
        }
        for (tenant, applied) in next.iter().filter(|(name, new)| before.get(*name) != Some(*new)) {
            let LiveRoutes { run, routes, .. } = applied;
            tracing::info!(%tenant, run, rules = routes.rule_count(), "calls are routed by this apply from now on");
            if self.answered.load(Ordering::Relaxed) {
                warn_of_unreachable(applied);
            }
        }
        if self.unconfigured.load(Ordering::Relaxed) && self.counters.unconfigured(self.take_calls()) {
            let hint = "set TWILIO_AUTH_TOKEN or TWILIO_AUTH_TOKEN_FILE and start the server again; or give \
                        `--no-webhook` if no calls come through Twilio";
            tracing::error!(hint, "inbound routes are applied, but without the auth token the webhook answers no call");
        }
        Ok(())
    }

    /// Writes what is kept in the file.
    fn snapshot(&self, tenants: &BTreeMap<Tenant, LiveRoutes>) -> Result<String, serde_json::Error> {
        let mut kept = self.unreadable.clone();
        for (tenant, applied) in tenants {
            kept.insert(tenant.clone(), document::to_value(applied)?);
        }
        document::write(&document::Map(kept))
    }

    /// Follows what is applied, on a thread of its own, until the end.
    pub(super) fn follow(self: &Arc<Self>, pool: Arc<Pool>) -> JoinHandle<()> {
        let routing = Arc::clone(self);
        thread::spawn(move || {
            let mut away = AWAY[0];
            while !routing.ending.load(Ordering::Relaxed) {
                let Err(error) = routing.listen(&pool, &mut away) else { return };
                tracing::warn!("cannot read the applied routes, the previous ones stay in use: {error:#}");
                routing.pause(away);
                away = (away * 2).min(AWAY[1]);
            }
        })
    }

    /// Ends what follows; within a second.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    fn pause(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while Instant::now() < until && !self.ending.load(Ordering::Relaxed) {
            thread::sleep(GLANCE.min(duration));
        }
    }

    fn listen(&self, pool: &Pool, away: &mut Duration) -> Result<()> {
        let mut directory = pool.connect()?;
        directory.listen()?;
        self.refresh(&mut directory)?;
        *away = AWAY[0];
        let mut asked = Instant::now();
        while !self.ending.load(Ordering::Relaxed) {
            if directory.wait_for_apply(GLANCE)? || asked.elapsed() >= POLL {
                asked = Instant::now();
                self.refresh(&mut directory)?;
            }
        }
        Ok(())
    }
}
