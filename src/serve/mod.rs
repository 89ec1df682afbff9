//! The portal API over HTTP: users, apply, health, metrics; and the webhook for inbound calls.
//!
//! Owns requests and answers, who may ask, and the life of the server. What a request does is done
//! by the same functions of `directory` and `deploy` as a command's, off the threads that serve.

mod apply;
mod auth;
mod calls;
mod connections;
mod counters;
mod creates;
mod error;
mod extract;
mod gauge;
mod health;
mod listen;
mod look;
mod lookups;
mod metrics;
mod observe;
pub(crate) mod openapi;
mod operations;
mod pool;
mod routing;
mod strangers;
mod tell;
pub(crate) mod tls;
mod users;
pub(crate) mod webhook;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{Router, middleware::from_fn_with_state};
use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::catch_panic::CatchPanicLayer;

use self::{
    connections::{Connections, Limits},
    creates::Creates,
    listen::Server,
    lookups::Lookups,
    metrics::Metrics,
    operations::Operations,
    pool::Pool,
    routing::Routing,
    strangers::Strangers,
    webhook::Webhook,
};
use crate::{
    deploy::Host,
    directory::{Directory, Open, Retention, seal::Keyring},
    notify::Receiver,
    recorder::Recorder,
};

/// How long clients have to take their answers when the server ends.
const GRACE: Duration = Duration::from_secs(10);

/// How long is waited at the end for what follows the applies.
const FOLLOWED: Duration = Duration::from_secs(2);

/// How many files may be open at most, connections included.
const OPEN_FILES: u64 = 65_536;

/// How long an apply is waited for when the server ends: longer than its own deadlines, unless the
/// database hangs.
const LONGEST_APPLY: Duration = Duration::from_mins(10);

/// How often what is older than the retention is forgotten.
const DAY: Duration = Duration::from_hours(24);

/// How a server is run.
pub(crate) struct Settings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// How it speaks TLS; none for plain HTTP.
    pub(crate) tls: Option<tls::Files>,
    /// Opens the directory.
    pub(crate) open: Box<Open>,
    /// A connection that is open already.
    pub(crate) first: Option<Directory>,
    /// The keys of the directory.
    pub(crate) keys: Keyring,
    /// The Asterisk host that is applied to.
    pub(crate) host: Host,
    /// How long personal data is kept.
    pub(crate) retention: Retention,
    /// Proxies whose forwarding headers are believed, and behind which are many clients.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How inbound calls are answered, or `None` if they are not.
    pub(crate) webhook: Option<webhook::Settings>,
    /// Who is notified of what is wrong; `None` if nobody is.
    pub(crate) receiver: Option<Receiver>,
}

/// What requests share.
struct State {
    pool: Arc<Pool>,
    creates: Arc<Creates>,
    lookups: Arc<Lookups>,
    strangers: Strangers,
    /// What requests may be about.
    operations: Operations,
    keys: Arc<Keyring>,
    host: Host,
    retention: Retention,
    metrics: Metrics,
    looks: look::Looks,
    webhook: Option<Webhook>,
    receiver: Option<Arc<Receiver>>,
    recorder: Recorder,
    /// The applies that run, also those whose client went away.
    applies: TaskTracker,
}

/// Serves until SIGTERM or SIGINT; then stops accepting, and ends what runs. `ready` hears where it
/// listens.
///
/// # Errors
/// When it cannot listen, or when calls would be answered without a token that proves whose requests are genuine.
pub(crate) fn run(settings: Settings, ready: impl FnOnce(&str)) -> Result<()> {
    log_panics();
    let limits = Limits::of(allow_open_files());
    let Settings { listen, tls, open, mut first, keys, host, retention, trusted_proxies, webhook, receiver } = settings;
    let mut registry = metrics::registry();
    let connections = Arc::new(Connections::new(limits, trusted_proxies, &mut registry));
    let strangers = Strangers::new(&mut registry);
    let metrics = Metrics::new(registry);
    let kept = host.state_dir.join("serve/applied-routes.json");
    let routing = Arc::new(Routing::load(kept, Arc::clone(&metrics.webhook)));
    if let Some(directory) = &mut first {
        // Those that were kept are there already, and the database is asked again.
        if let Err(error) = routing.refresh(directory) {
            tracing::warn!("cannot read the applied routes, the previous ones stay in use: {error}");
        }
    }
    let webhook = webhook.map(|settings| {
        let scheme = if tls.is_some() { "https" } else { "http" };
        Webhook::new(settings, scheme, Arc::clone(&routing), Arc::clone(&metrics.webhook))
    });
    let webhook = webhook.transpose()?;
    let open: Arc<Open> = Arc::from(open);
    let (pool, keys) = (Arc::new(Pool::new(Arc::clone(&open), first)), Arc::new(keys));
    let recorder =
        Recorder::start(&host.state_dir, open, metrics.recorder.clone()).context("cannot start the record of calls")?;
    // One thread serves: what takes time is done by others, and more of them would mostly wake each other.
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().context("cannot start the server")?;
    let creates = Arc::new(Creates::new(Arc::clone(&pool), Arc::clone(&keys), host.name.clone()));
    let method = webhook.as_ref().map(Webhook::method).unwrap_or_default();
    let state = Arc::new(State {
        pool: Arc::clone(&pool),
        creates,
        lookups: Arc::new(Lookups::new(Arc::clone(&pool))),
        strangers,
        operations: Operations::of(&openapi::routes(method).1),
        keys,
        host,
        retention,
        metrics,
        looks: look::Looks::default(),
        webhook,
        receiver: receiver.map(Arc::new),
        recorder,
        applies: TaskTracker::new(),
    });
    let following = routing.follow(Arc::clone(&pool));
    let served = runtime.block_on(serve(listen, tls, Arc::clone(&state), connections, ready));
    state.recorder.finish();
    // Connections to the database are closed here, outside of the runtime, and the last one of the
    // private database stops it.
    runtime.shutdown_timeout(GRACE);
    routing.end();
    // The database may hang, and what follows it with it: that is not waited for.
    let until = std::time::Instant::now() + FOLLOWED;
    while !following.is_finished() && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    drop((state, pool));
    served
}

async fn serve(
    listen: SocketAddr,
    tls: Option<tls::Files>,
    state: Arc<State>,
    connections: Arc<Connections>,
    ready: impl FnOnce(&str),
) -> Result<()> {
    let listener = listen::listen(listen)?;
    let address = listener.local_addr().context("cannot listen")?;
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = signals else { anyhow::bail!("cannot listen for signals") };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let tls = tls.map(|files| -> Result<_> {
        let current = tls::Current::new(files.config()?);
        tokio::spawn(files.keep_up(current.clone()));
        Ok(current)
    });
    let server = Server {
        app: router(Arc::clone(&state)).context("cannot describe the API")?,
        connections,
        tls: tls.transpose()?,
        ending: CancellationToken::new(),
        serving: TaskTracker::new(),
    };
    let applies = state.applies.clone();
    if let Some(receiver) = state.receiver.clone() {
        tokio::spawn(tell::follow(Arc::clone(&state), receiver));
    }
    tokio::spawn(forget_daily(Arc::clone(&state)));
    tokio::spawn(async move {
        if let Some(webhook) = &state.webhook {
            webhook.warn().await;
        }
    });
    let mut accepting = tokio::spawn(server.clone().accept(listener));
    ready(&format!("{scheme}://{address}"));
    let result = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        ended = &mut accepting => ended.context("the server failed"),
    };
    tracing::info!("shutting down: no new connections, running requests are finished");
    end(&server, &applies).await;
    result
}

/// Forgets each day what is older than the retention.
async fn forget_daily(state: Arc<State>) {
    loop {
        let retention = state.retention;
        let forgotten = Arc::clone(&state.pool).run_long(move |directory| Ok(directory.forget(retention)?)).await;
        if let Err(failure) = forgotten {
            tracing::warn!("what is older than the retention is still there: {failure}");
        }
        sleep(DAY).await;
    }
}

/// Waits for what runs: an apply is never cut, and what it needs is bounded by its own deadlines.
async fn end(server: &Server, applies: &TaskTracker) {
    server.ending.cancel();
    applies.close();
    finished(applies).await;
    let mut until = Instant::now() + GRACE;
    while server.connections.len() > 0 && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
        // A request that came just before the end may begin to apply only now.
        if !applies.is_empty() {
            finished(applies).await;
            until = Instant::now() + GRACE;
        }
    }
    server.connections.abort_all();
    server.serving.close();
    server.serving.wait().await;
    // Whatever became of the connections.
    finished(applies).await;
}

/// Waits for the applies that run.
async fn finished(applies: &TaskTracker) {
    if timeout(LONGEST_APPLY, applies.wait()).await.is_err() {
        tracing::error!("an apply does not end: it is aborted, and the next apply finishes its work");
    }
}

fn router(state: Arc<State>) -> serde_json::Result<Router> {
    let (routes, api) = openapi::routes(state.webhook.as_ref().map(Webhook::method).unwrap_or_default());
    let app = routes
        .merge(openapi::pages(&api)?)
        // As one: each by itself would be called through a box.
        .layer((from_fn_with_state(Arc::clone(&state), observe::observe), CatchPanicLayer::custom(observe::panicked)))
        .with_state(state);
    Ok(app)
}

/// Takes as many open files as the system allows, because each connection is one and many systems give
/// few at first. Returns how many the process may have.
fn allow_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    let current = limit.current.unwrap_or(OPEN_FILES);
    if current >= wanted {
        return current;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }) {
        tracing::warn!("the number of open files stays limited to {current}: {error}");
        return current;
    }
    wanted
}

/// Sends panics to the log, in its format: where, and with which words.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or_default();
        tracing::error!(place, "panic: {words}");
    }));
}
