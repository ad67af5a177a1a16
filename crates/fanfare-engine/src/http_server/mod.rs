//! A server for the engine: accepts connections and speaks HTTP/1.1 and HTTP/2 on them.
//!
//! HTTP/1 is parsed here, so that one rule decides where a request ends. A request that arrives in one piece, as nearly
//! all of Engine.IO's do, is read into a buffer of the thread, answered with one `write`, and costs the connection no
//! buffer. Hyper serves HTTP/2. A connection with much input yields to others.

mod body;
mod builder;
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
mod served;
mod sessions;
mod wire;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_protocol::diagnostics::LogThrottle;
use fanfare_protocol::{Escaped, finite};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::handshake::Peer;
use crate::log_target;
use crate::proxies::read_header;
use crate::rejection::HttpRejection;
use crate::scratch::SCRATCH_BYTES;
use crate::stream::Raw;

pub use body::{ServeBody, ServeBodyError};
pub use builder::{Serve, serve};
use connection::Connection;
use connection_registry::{CloseSignal, ConnectionSlot, Group};
use input::Input;
pub use listen::bind;
pub use options::IdleConnections;
use options::{Hook, Options};
pub(crate) use request::Head;
pub use served::{HttpService, OpenSessions, Served};
use sessions::Direct;
pub(crate) use sessions::{Replies, Sessions};

/// Minimum interval between log messages about frequent events.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// State that all connections of a server share.
#[derive(Debug)]
struct Shared {
    options: Options,
    /// Sessions whose requests do not pass through the service.
    direct: Direct,
    http2: Builder<TokioExecutor>,
    group: Arc<Group>,
}

impl Shared {
    fn new(mut options: Options, sessions: Option<OpenSessions>, hook: Hook) -> Arc<Shared> {
        options.add_hook(hook);
        // Hyper adds the timeouts to the current time.
        options.header_timeout = finite(options.header_timeout);
        options.write_timeout = finite(options.write_timeout);
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(options.write_timeout))
            .keep_alive_timeout(options.write_timeout)
            // Clients open WebSockets over HTTP/2 with it (RFC 8441).
            .enable_connect_protocol()
            .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX));
        let group = Group::new(options.max_idle_connections);
        Arc::new(Shared {
            options,
            direct: OpenSessions::direct(sessions),
            http2,
            group,
        })
    }

    fn slot(&self) -> ConnectionSlot {
        ConnectionSlot::new(&self.options.pool.registry, &self.group)
    }

    fn longest_head(&self) -> usize {
        let limit = self.options.max_header_bytes;
        limit.clamp(8 * 1024, SCRATCH_BYTES / 2)
    }

    /// Reports that a connection was closed, or a request rejected.
    #[cold]
    fn rejected(&self, peer: Option<Peer>, rejection: HttpRejection) {
        let address = peer.and_then(Peer::address).map(tracing::field::display);
        tracing::debug!(
            target: log_target::SERVE,
            address,
            cause = rejection.as_str(),
            "a connection was closed or a request rejected"
        );
        if let (HttpRejection::IdleConnections, Some(cut)) =
            (rejection, self.options.pool.idle_log.hit(Instant::now()))
        {
            let limit = self.options.max_idle_connections;
            tracing::warn!(
                target: log_target::SERVE,
                limit,
                cut,
                "too many connections without a request: those that have waited longest are cut"
            );
        }
        self.options.rejected(rejection);
    }
}

async fn accept<S: HttpService>(listener: TcpListener, service: S, shared: Arc<Shared>) {
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

async fn connection<T, S: HttpService>(
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
                shared.rejected(peer, HttpRejection::IdleConnections);
            }
            return;
        }
    };
    let stream = match stream {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let address = peer.and_then(Peer::address).map(tracing::field::display);
            tracing::debug!(target: log_target::SERVE, address, error = %Escaped(&error), "a connection could not be made");
            return shared.rejected(peer, HttpRejection::NotHttp);
        }
        Err(_) => return shared.rejected(peer, HttpRejection::HeaderTimeout),
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
async fn proxied<S: HttpService>(mut connection: Connection<S>) {
    let timeout = connection.header_timeout();
    let Some((stream, peer, slot)) = connection.before() else {
        return;
    };
    let read = tokio::select! {
        read = tokio::time::timeout(timeout, read_header(stream)) => read,
        call = slot.until_called() => {
            if call == CloseSignal::Cut {
                connection.rejected(HttpRejection::IdleConnections);
            }
            return;
        }
    };
    match read {
        Ok(Ok(client)) => *peer = client.map(Peer::Address).or(*peer),
        Ok(Err(error)) => {
            let address = peer.and_then(Peer::address).map(tracing::field::display);
            tracing::debug!(target: log_target::SERVE, address, error = %Escaped(&error), "no PROXY protocol header");
            return connection.rejected(HttpRejection::ProxyHeader);
        }
        Err(_) => return connection.rejected(HttpRejection::HeaderTimeout),
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
