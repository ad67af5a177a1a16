//! A server for the engine: accepts connections and speaks HTTP/1.1 and HTTP/2 on them.
//!
//! A request that is there in one piece, as nearly all of Engine.IO's are, is read into a buffer of the thread,
//! answered with one `write`, and costs the connection no buffer ([`connection`]). Whatever is unusual is hyper's
//! business from then on ([`fallback`]).

mod body;
mod connection;
mod fallback;
mod options;
mod request;
mod response;
mod seats;
mod stream;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tower_service::Service;

use crate::proxy::read_header;
use crate::{EngineBody, HttpRefusal, Occasionally};

pub use body::{ServeBody, ServeBodyError};
use connection::Connection;
pub(crate) use connection::{Taken, Takeover};
pub use options::ServeOptions;
use seats::{Call, Seats};
pub(crate) use stream::{Duplex, HttpStream, Raw};

/// What happens often is logged as often as this.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What [`serve`] serves.
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

/// What all connections of a server have in common.
#[derive(Debug)]
struct Shared {
    options: ServeOptions,
    http: Builder<TokioExecutor>,
    seats: Arc<Seats>,
    idle_log: Occasionally,
}

impl Shared {
    fn new(options: ServeOptions) -> Arc<Shared> {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(options.max_header_bytes.max(8 * 1024));
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(options.write_timeout))
            .keep_alive_timeout(options.write_timeout)
            .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX));
        let seats = Arc::new(Seats::new(options.max_idle_connections));
        Arc::new(Shared {
            options,
            http,
            seats,
            idle_log: Occasionally::every(LOG_INTERVAL),
        })
    }

    /// A connection was cut, or a request refused.
    #[cold]
    fn refused(&self, address: Option<SocketAddr>, refusal: HttpRefusal) {
        let address = address.map(tracing::field::display);
        tracing::debug!(
            address,
            cause = refusal.as_str(),
            "a connection was refused"
        );
        if let (HttpRefusal::IdleConnections, Some(cut)) =
            (refusal, self.idle_log.say(Instant::now()))
        {
            let limit = self.options.max_idle_connections;
            tracing::warn!(
                limit,
                cut,
                "too many connections without a request: those that have waited longest are cut"
            );
        }
        self.options.refused(refusal);
    }
}

/// Serves HTTP with `service` on `listener` until `shutdown` completes; then takes no more connections, lets requests
/// under way end, and returns. WebSockets are not waited for: closing them is the engine's business.
///
/// `service` is an [`EngineService`](crate::EngineService) or one around it; servers of other things are hyper's and
/// axum's business, where the engine is one of several services. Each request carries its
/// [`RemoteAddr`](crate::RemoteAddr).
///
/// # Errors
///
/// None at present: what goes wrong with one connection ends that connection, and running out of file descriptors
/// makes the server wait.
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
    let seats = shared.seats.clone();
    // In a task, because the caller may be no worker of the runtime: each connection would cost two of its threads.
    let accepting = tokio::spawn(accept(listener, service, shared));
    let _guard = AbortOnDrop(accepting.abort_handle());
    let mut accepting = pin!(accepting);
    tokio::select! {
        _ = &mut accepting => {}
        () = shutdown => accepting.abort(),
    }
    let _ = accepting.await;
    seats.stop();
    let _ = tokio::time::timeout(timeout, seats.all_gone()).await;
    Ok(())
}

/// Serves HTTP with `service` on one connection that was accepted elsewhere, until it ends. `stream` is a TCP socket, a
/// Unix socket, TLS on top of one, or what else can be read and written; `address` is the peer's, if it has one.
///
/// Once `shutdown` completes the connection ends as soon as no request is under way on it, at the latest after
/// [`ServeOptions::shutdown_timeout`]. A WebSocket leaves this future, which ends with the answer to its request: from
/// then on it is a task of its own, and closing it is the engine's business. To drop the future is to cut the
/// connection, unless it is a WebSocket already.
///
/// [`ServeOptions::proxy_protocol`] counts for TCP sockets only; for others read the header yourself, and give its
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
    let timeout = options.shutdown_timeout;
    let shared = Shared::new(options);
    let seats = shared.seats.clone();
    let Some(stream) = Raw::new(stream) else {
        return;
    };
    let mut connection = pin!(connection(shared, service, stream, address.into()));
    tokio::select! {
        () = &mut connection => return,
        () = shutdown => seats.stop(),
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
    let log = Occasionally::every(LOG_INTERVAL);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors or memory: others have to end first.
                if let Some(times) = log.say(Instant::now()) {
                    tracing::error!(%error, times, "cannot accept connections");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let stream = Raw::Tcp(stream);
        let connection = Connection::new(shared.clone(), service.clone(), stream, Some(address));
        if shared.options.proxy_protocol.contains(address.ip()) {
            tokio::spawn(proxied(connection));
        } else {
            tokio::spawn(connection);
        }
    }
}

async fn connection<S: Served>(
    shared: Arc<Shared>,
    service: S,
    stream: Raw,
    address: Option<SocketAddr>,
) {
    let proxies = &shared.options.proxy_protocol;
    let proxied_by = address.is_some_and(|address| proxies.contains(address.ip()));
    let connection = Connection::new(shared.clone(), service, stream, address);
    match proxied_by {
        true => proxied(connection).await,
        false => connection.await,
    }
}

/// A connection that begins with a PROXY protocol header.
async fn proxied<S: Served>(mut connection: Connection<S>) {
    let timeout = connection.header_timeout();
    let Some((stream, address, seat)) = connection.peer() else {
        return;
    };
    let peer = *address;
    let read = tokio::select! {
        read = tokio::time::timeout(timeout, read_header(stream)) => read,
        call = seat.until_called() => {
            if call == Call::Cut {
                connection.refused(HttpRefusal::IdleConnections);
            }
            return;
        }
    };
    match read {
        Ok(Ok(client)) => *address = client.or(peer),
        Ok(Err(error)) => {
            let address = peer.map(tracing::field::display);
            tracing::debug!(address, %error, "no PROXY protocol header");
            return connection.refused(HttpRefusal::ProxyHeader);
        }
        Err(_) => return connection.refused(HttpRefusal::HeaderTimeout),
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
