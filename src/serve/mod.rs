//! The portal API over HTTP: users, apply, health, metrics; and the webhook for inbound calls.
//!
//! Owns requests and answers, who may ask, and the life of the server. What a request does is done
//! by the same functions of `directory` and `deploy` as a command's, off the threads that serve.

mod apply;
mod auth;
mod calls;
mod creates;
mod error;
mod extract;
mod health;
mod look;
mod metrics;
mod observe;
pub(crate) mod openapi;
mod pool;
mod recorder;
mod routing;
pub(crate) mod tls;
mod users;
pub(crate) mod webhook;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state};
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use rustix::{
    net::sockopt::set_tcp_user_timeout,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use pool::Open;

use self::{creates::Creates, metrics::Metrics, pool::Pool, recorder::Recorder, routing::Routing, webhook::Webhook};
use crate::{
    deploy::Host,
    directory::{Directory, seal::Keyring},
};

/// How large a body may be, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// How long a client may take to send the head of a request, the first or the next one.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);

/// How long clients have to take their answers when the server ends.
const GRACE: Duration = Duration::from_secs(10);

/// How long a client may leave what is sent to it unread or unconfirmed. Whoever reads slowly is
/// waited for; whoever reads nothing, or is gone without a word, is given up.
const UNREAD: Duration = Duration::from_secs(30);

/// How long is waited at the end for what follows the applies.
const FOLLOWED: Duration = Duration::from_secs(2);

/// How many files may be open at most, connections included.
const OPEN_FILES: u64 = 65_536;

/// How long an apply is waited for when the server ends: longer than its own deadlines, unless the
/// database hangs.
const LONGEST_APPLY: Duration = Duration::from_mins(10);

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
    /// How inbound calls are answered; none where they are not.
    pub(crate) webhook: Option<webhook::Settings>,
}

/// What requests share.
struct State {
    pool: Arc<Pool>,
    creates: Arc<Creates>,
    keys: Arc<Keyring>,
    host: Host,
    metrics: Metrics,
    looks: look::Looks,
    webhook: Option<Webhook>,
    recorder: Recorder,
    /// The applies that run, whoever still waits for them.
    applies: TaskTracker,
}

/// Serves until SIGTERM or SIGINT; then stops accepting, and ends what runs. `ready` hears where it
/// listens.
///
/// # Errors
/// When it cannot listen; when calls would be answered, and nobody could tell whose requests are genuine.
pub(crate) fn run(settings: Settings, ready: impl FnOnce(&str)) -> Result<()> {
    log_panics();
    allow_open_files();
    let Settings { listen, tls, open, mut first, keys, host, webhook } = settings;
    let metrics = Metrics::new();
    let kept = host.state_dir.join("serve/applied-routes.json");
    let routing = Arc::new(Routing::load(kept, Arc::clone(&metrics.webhook)));
    if let Some(directory) = &mut first {
        // Those that were kept are there already, and the database is asked again.
        if let Err(error) = routing.refresh(directory) {
            tracing::warn!("the applied routes are those of before: {error}");
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
    let state = Arc::new(State {
        pool: Arc::clone(&pool),
        creates,
        keys,
        host,
        metrics,
        looks: look::Looks::default(),
        webhook,
        recorder,
        applies: TaskTracker::new(),
    });
    let following = routing.follow(Arc::clone(&pool));
    let served = runtime.block_on(serve(listen, tls, Arc::clone(&state), ready));
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

async fn serve(listen: SocketAddr, tls: Option<tls::Files>, state: Arc<State>, ready: impl FnOnce(&str)) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    listener.set_nonblocking(true).context("cannot listen")?;
    give_up_unread(&listener);
    let address = listener.local_addr().context("cannot listen")?;
    let (handle, applies) = (Handle::new(), state.applies.clone());
    let app = router(Arc::clone(&state)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        if let Some(webhook) = &state.webhook {
            webhook.warn().await;
        }
    });
    tokio::spawn(end(handle.clone(), applies.clone(), [SignalKind::terminate(), SignalKind::interrupt()].map(signal)));
    ready(&format!("{}://{address}", if tls.is_some() { "https" } else { "http" }));
    let mut server = axum_server::from_tcp(listener).context("cannot listen")?.handle(handle).http1_only();
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let result = match tls {
        None => server.serve(app).await,
        Some(files) => {
            let config = RustlsConfig::from_config(files.config()?);
            tokio::spawn(files.keep_up(config.clone()));
            server.acceptor(RustlsAcceptor::new(config)).serve(app).await
        }
    };
    // Whatever became of the connections.
    applies.close();
    finished(&applies).await;
    result.context("the server failed")
}

/// Waits for the end, then for what runs: an apply is never cut, and what it needs is bounded by its
/// own deadlines.
async fn end(
    handle: Handle<SocketAddr>,
    applies: TaskTracker,
    signals: [std::io::Result<tokio::signal::unix::Signal>; 2],
) {
    let [Ok(mut terminate), Ok(mut interrupt)] = signals else {
        tracing::error!("signals cannot be heard");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending: no new connections, what runs is finished");
    handle.graceful_shutdown(None);
    applies.close();
    finished(&applies).await;
    let mut until = Instant::now() + GRACE;
    while handle.connection_count() > 0 && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
        // A request that came just before the end may begin to apply only now.
        if !applies.is_empty() {
            finished(&applies).await;
            until = Instant::now() + GRACE;
        }
    }
    handle.shutdown();
}

/// Waits for the applies that run.
async fn finished(applies: &TaskTracker) {
    if timeout(LONGEST_APPLY, applies.wait()).await.is_err() {
        tracing::error!("an apply does not end: it is cut, and the next one heals what it leaves");
    }
}

fn router(state: Arc<State>) -> Router {
    let (routes, api) = openapi::routes();
    routes
        .merge(openapi::pages(&api))
        // As one: each by itself would be called through a box.
        .layer((
            from_fn_with_state(Arc::clone(&state), observe::observe),
            DefaultBodyLimit::max(LARGEST_BODY),
            CatchPanicLayer::custom(observe::panicked),
        ))
        .with_state(state)
}

/// Lets the kernel end connections on which nothing gets through: each one that is accepted takes
/// this over.
fn give_up_unread(listener: &TcpListener) {
    let millis = u32::try_from(UNREAD.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = set_tcp_user_timeout(listener, millis) {
        tracing::warn!("clients that never read are not given up: {error}");
    }
}

/// Takes as many open files as the system allows: each connection is one, and many systems give few
/// at first.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }) {
        tracing::warn!("the number of open files stays limited to {:?}: {error}", limit.current);
    }
}

/// Sends panics to the log, in its format: where, and with which words.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or_default();
        tracing::error!(place, "panic: {words}");
    }));
}
