//! A server for the engine: accepts connections and speaks HTTP/1.1 and HTTP/2 on them.
//!
//! HTTP/1 is parsed here, so that there is one answer to the question where a request ends. A request that arrives in
//! one piece, as nearly all of Engine.IO's do, is read into a buffer of the thread, answered with one `write`, and
//! costs the connection no buffer ([`connection`]). Hyper serves HTTP/2 ([`http2`]). A connection with much input
//! yields to others ([`turn`]).

mod body;
mod chunked;
mod connection;
mod connection_registry;
mod exchange;
mod http2;
mod input;
mod listen;
mod options;
mod request;
mod response;
mod sessions;
mod stream;
mod turn;
mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_protocol::{Escaped, finite};
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tower_service::Service;

use crate::handshake::Peer;
use crate::log_target;
use crate::proxy::read_header;
use crate::scratch::SCRATCH_BYTES;
use crate::{EngineBody, HttpRejection, LogThrottle};

pub use body::{ServeBody, ServeBodyError};
use connection::Connection;
pub(crate) use connection::Taken;
use connection_registry::{CloseSignal, ConnectionSlot, Group};
pub(crate) use exchange::Takeover;
pub(crate) use http2::KeepBusy;
use input::Input;
pub use listen::bind;
pub use options::ServeOptions;
pub(crate) use request::Head;
pub(crate) use sessions::{Replies, Sessions};
pub(crate) use stream::{Duplex, HttpStream, Raw};
pub(crate) use turn::Turn;

/// Minimum interval between log messages about frequent events.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Service that [`serve`] can serve.
trait Served:
    Service<
        Request<ServeBody>,
        Response = Response<EngineBody>,
        Error = Infallible,
        Future: Send + Unpin,
    > + Clone
    + Send
    + Unpin
    + 'static
{
}

impl<S> Served for S
where
    S: Service<Request<ServeBody>, Response = Response<EngineBody>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send + Unpin,
{
}

/// State that all connections of a server share.
#[derive(Debug)]
struct Shared {
    options: ServeOptions,
    http2: Builder<TokioExecutor>,
    group: Arc<Group>,
}

impl Shared {
    fn new(mut options: ServeOptions) -> Arc<Shared> {
        // Hyper adds the timeouts to the current time.
        options.header_timeout = finite(options.header_timeout);
        options.write_timeout = finite(options.write_timeout);
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(options.write_timeout))
            .keep_alive_timeout(options.write_timeout)
            // Clients ask for WebSockets with it (RFC 8441).
            .enable_connect_protocol()
            .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX));
        let group = Group::new(options.max_idle_connections);
        Arc::new(Shared {
            options,
            http2,
            group,
        })
    }

    fn slot(&self) -> ConnectionSlot {
        ConnectionSlot::new(&self.options.pool.seats, &self.group)
    }

    fn longest_head(&self) -> usize {
        let limit = self.options.max_header_bytes;
        limit.clamp(8 * 1024, SCRATCH_BYTES / 2)
    }

    /// Reports that a connection was closed, or a request rejected.
    #[cold]
    fn refused(&self, peer: Option<Peer>, refusal: HttpRejection) {
        let address = peer.and_then(Peer::address).map(tracing::field::display);
        tracing::debug!(
            target: log_target::SERVE,
            address,
            cause = refusal.as_str(),
            "a connection was refused"
        );
        if let (HttpRejection::IdleConnections, Some(cut)) =
            (refusal, self.options.pool.idle_log.hit(Instant::now()))
        {
            let limit = self.options.max_idle_connections;
            tracing::warn!(
                target: log_target::SERVE,
                limit,
                cut,
                "too many connections without a request: those that have waited longest are cut"
            );
        }
        self.options.refused(refusal);
    }
}

/// Serves HTTP with `service` on `listener` until `shutdown` completes; then accepts no more connections, lets requests
/// in progress finish, and returns. It does not wait for WebSockets: the engine has to close them.
///
/// `service` is an [`EngineService`](crate::EngineService) or one around it; use hyper or axum for servers in which the
/// engine is one of several services. Each request carries its [`RemoteAddr`](crate::RemoteAddr).
///
/// # Errors
///
/// None at present: an error of one connection ends that connection, and without free file descriptors the server
/// waits.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<ServeBody>, Response = Response<EngineBody>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send + Unpin,
{
    let timeout = options.shutdown_timeout;
    let shared = Shared::new(options);
    let (seats, group) = (shared.options.pool.seats.clone(), shared.group.clone());
    // In a task, because the caller may not be a worker of the runtime: each connection would involve two threads.
    let accepting = tokio::spawn(accept(listener, service, shared));
    let _guard = AbortOnDrop(accepting.abort_handle());
    let mut accepting = pin!(accepting);
    tokio::select! {
        _ = &mut accepting => {}
        () = shutdown => accepting.abort(),
    }
    let _ = accepting.await;
    seats.stop(&group);
    let _ = tokio::time::timeout(timeout, group.all_gone()).await;
    Ok(())
}

/// Serves HTTP with `service` on one connection that was accepted elsewhere, until it ends. `stream` is a TCP socket, a
/// Unix socket, TLS on top of one, or any other stream that can be read and written; `address` is the peer's, if it has
/// one.
///
/// Once `shutdown` completes the connection ends as soon as no request is in progress on it, at the latest after
/// [`ServeOptions::shutdown_timeout`]. A WebSocket leaves this future, which ends with the response to its request:
/// from then on it is a separate task, which the engine has to close. Dropping the future closes the connection, unless
/// it is a WebSocket already.
///
/// [`ServeOptions::proxy_protocol`] applies to TCP sockets only; for others read the header yourself, and pass its
/// address.
pub async fn serve_connection<T, S>(
    stream: T,
    address: impl Into<Option<SocketAddr>>,
    service: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) where
    T: AsyncRead + AsyncWrite + Send + 'static,
    S: Service<Request<ServeBody>, Response = Response<EngineBody>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send + Unpin,
{
    let stream = std::future::ready(Ok(stream));
    serve_handshake(stream, address, service, options, shutdown).await;
}

/// Serves a connection as [`serve_connection`] does, after a handshake such as TLS that yields its stream. The
/// handshake has the same timeout as a request's head, [`ServeOptions::header_timeout`], and meanwhile the connection
/// counts among those that wait for a request.
pub async fn serve_handshake<T, S>(
    handshake: impl Future<Output = io::Result<T>>,
    address: impl Into<Option<SocketAddr>>,
    service: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) where
    T: AsyncRead + AsyncWrite + Send + 'static,
    S: Service<Request<ServeBody>, Response = Response<EngineBody>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send + Unpin,
{
    let timeout = options.shutdown_timeout;
    let shared = Shared::new(options);
    let group = shared.group.clone();
    let peer = address.into().map(Peer::Address);
    let mut connection = pin!(connection(shared, service, handshake, peer));
    tokio::select! {
        () = &mut connection => return,
        // The connection is polled right after.
        () = shutdown => group.stop(),
    }
    let _ = tokio::time::timeout(timeout, connection).await;
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept<S: Served>(listener: TcpListener, service: S, shared: Arc<Shared>) {
    let log = LogThrottle::every(LOG_INTERVAL);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors or memory: other connections have to end first.
                if let Some(times) = log.hit(Instant::now()) {
                    tracing::error!(target: log_target::SERVE, %error, times, "cannot accept connections");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (stream, peer) = (Raw::Tcp(stream), Some(Peer::Address(address)));
        let slot = shared.slot();
        let connection = Connection::new(shared.clone(), service.clone(), stream, peer, slot);
        if shared.options.proxy_protocol.contains(address.ip()) {
            tokio::spawn(proxied(connection));
        } else {
            tokio::spawn(connection);
        }
    }
}

async fn connection<T, S: Served>(
    shared: Arc<Shared>,
    service: S,
    handshake: impl Future<Output = io::Result<T>>,
    peer: Option<Peer>,
) where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut slot = shared.slot();
    let stream = tokio::select! {
        biased;
        stream = tokio::time::timeout(shared.options.header_timeout, handshake) => stream,
        call = slot.until_called() => {
            if call == CloseSignal::Cut {
                shared.refused(peer, HttpRejection::IdleConnections);
            }
            return;
        }
    };
    let stream = match stream {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let address = peer.and_then(Peer::address).map(tracing::field::display);
            tracing::debug!(target: log_target::SERVE, address, error = %Escaped(&error), "a connection could not be made");
            return shared.refused(peer, HttpRejection::NotHttp);
        }
        Err(_) => return shared.refused(peer, HttpRejection::HeaderTimeout),
    };
    let Some((stream, unix)) = Raw::new(stream) else {
        return;
    };
    let peer = peer.or(unix.then_some(Peer::Unix));
    let proxies = &shared.options.proxy_protocol;
    let address = peer.and_then(Peer::address);
    let proxied_by =
        stream.tcp().is_some() && address.is_some_and(|address| proxies.contains(address.ip()));
    let connection = Connection::new(shared.clone(), service, stream, peer, slot);
    match proxied_by {
        true => proxied(connection).await,
        false => connection.await,
    }
}

/// Serves a connection that begins with a PROXY protocol header.
async fn proxied<S: Served>(mut connection: Connection<S>) {
    let timeout = connection.header_timeout();
    let Some((stream, peer, slot)) = connection.before() else {
        return;
    };
    let read = tokio::select! {
        read = tokio::time::timeout(timeout, read_header(stream)) => read,
        call = slot.until_called() => {
            if call == CloseSignal::Cut {
                connection.refused(HttpRejection::IdleConnections);
            }
            return;
        }
    };
    match read {
        Ok(Ok(client)) => *peer = client.map(Peer::Address).or(*peer),
        Ok(Err(error)) => {
            let address = peer.and_then(Peer::address).map(tracing::field::display);
            tracing::debug!(target: log_target::SERVE, address, error = %Escaped(&error), "no PROXY protocol header");
            return connection.refused(HttpRejection::ProxyHeader);
        }
        Err(_) => return connection.refused(HttpRejection::HeaderTimeout),
    }
    connection.await;
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
