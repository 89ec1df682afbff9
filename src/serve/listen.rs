//! The listener: accepts connections, keeps them within their limits, and serves each until its end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    connections::{Connection, Connections},
    tls::Current,
};

/// How many connections the kernel keeps that were not accepted yet, at most: as many as there may be of
/// them, so that a genuine client is not made to knock again, which takes a second. The kernel has a limit
/// of its own (`net.core.somaxconn`, 4096 by default).
const BACKLOG: u32 = 4096;

/// How long a client may take to send the head of a request, the first or the next one.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);

/// How large the head of a request may be, in bytes, and how much of a body is read at once.
const HEAD: usize = 16 * 1024;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a client may leave what is sent to it unread or unconfirmed. A client that reads slowly is
/// waited for; one that reads nothing, or is gone without a word, is given up.
const UNREAD: Duration = Duration::from_secs(30);

/// How long the listener waits after a failure to accept, such as for want of a descriptor.
const PAUSE: Duration = Duration::from_millis(10);

/// How many strangers are dropped for want of a descriptor.
const ROOM: usize = 16;

/// How often the log reports that connections cannot be accepted.
const REPORT: Duration = Duration::from_secs(10);

/// Listens on an address.
///
/// # Errors
/// When the address is in use or not this machine's.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Not refused for what is left of a server that was just stopped.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let listener = open().with_context(|| format!("cannot listen on {address}"))?;
    // Each connection that is accepted takes this over.
    let millis = u32::try_from(UNREAD.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = set_tcp_user_timeout(&listener, millis) {
        tracing::warn!("clients that never read are not given up: {error}");
    }
    Ok(listener)
}

/// Serves connections.
#[derive(Clone)]
pub(super) struct Server {
    /// What answers the requests.
    pub(super) app: Router,
    pub(super) connections: Arc<Connections>,
    /// The certificate in use; `None` for plain HTTP.
    pub(super) tls: Option<Current>,
    /// Says that no new connection is accepted, and that idle ones end.
    pub(super) ending: CancellationToken,
    /// The connections that are served.
    pub(super) serving: TaskTracker,
}

impl Server {
    /// Accepts connections until the end.
    pub(super) async fn accept(self, listener: TcpListener) {
        let mut reported: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.ending.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    // There is room again for those that wait: a request among them may be genuine.
                    self.connections.make_room(ROOM);
                    if reported.is_none_or(|last| last.elapsed() >= REPORT) {
                        reported = Some(Instant::now());
                        tracing::warn!("cannot accept a connection, idle ones are dropped: {error}");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        // A connection that is refused is closed at once.
        let Some(connection) = self.connections.enter(peer) else { return };
        let (id, server) = (connection.id(), self.clone());
        let task = self.serving.spawn(async move { server.serve(stream, connection).await });
        self.connections.started(id, task.abort_handle());
    }

    async fn serve(self, stream: TcpStream, connection: Arc<Connection>) {
        // Answers are written whole: to gather them would only delay them.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.converse(stream, connection).await,
            Some(current) => {
                let handshake = TlsAcceptor::from(current.config()).accept(stream);
                // A client that speaks no TLS has its alert by now.
                if let Ok(Ok(stream)) = timeout(HANDSHAKE, handshake).await {
                    self.converse(stream, connection).await;
                }
            }
        }
    }

    /// Answers the requests of a connection, one after the other.
    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin, connection: Arc<Connection>) {
        let app = self.app;
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut app, mut request) = (app.clone(), request.map(Body::new));
            request.extensions_mut().insert(Arc::clone(&connection));
            async move { Ok::<_, Infallible>(app.call(request).await.unwrap_or_else(|never| match never {})) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(HEAD);
        let mut conversation = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        // What fails is the client's: it went away, or spoke no HTTP.
        tokio::select! {
            _ = &mut conversation => return,
            () = self.ending.cancelled() => conversation.as_mut().graceful_shutdown(),
        }
        let _ = conversation.await;
    }
}
