//! Builder of a server: options first, then what it serves.

use std::fmt;
use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use super::served::Served;
use super::{Options, Shared, accept, bind, connection};
use crate::handshake::Peer;
use crate::proxies::Networks;
use crate::rejection::HttpRejection;

/// A server that [`serve`](crate::serve()) has prepared: options first, then what it serves.
///
/// - [`bind`](Self::bind): an address, as Node's `new Server(3000)`;
/// - [`listener`](Self::listener): a listener that is bound already;
/// - [`connection`](Self::connection): one connection that the application has accepted, on any stream;
/// - [`handshake`](Self::handshake): the same with work before it, such as TLS.
///
/// It speaks HTTP/1.1 and HTTP/2; paths other than that of the engine are answered with 404. Clones have the same
/// options.
#[derive(Clone)]
#[must_use = "call `bind`, `listener`, `connection` or `handshake`"]
pub struct Serve<S> {
    server: S,
    options: Options,
}

/// Prepares a server for `server`: an [`EngineServer`](crate::service::EngineServer), or a service.
///
/// A service is an [`EngineService`](crate::service::EngineService) or one around it; use hyper or axum for servers in which the
/// engine is one of several services. Each request carries its [`RemoteAddr`](crate::handshake::RemoteAddr).
pub fn serve<S: Served>(server: S) -> Serve<S> {
    let options = Options::new(server.connections());
    Serve { server, options }
}

/// Options.
impl<S: Served> Serve<S> {
    /// Sets the time within which a client has to send the head of a request or to complete a
    /// [`handshake`](Self::handshake), and for which a connection without a request stays open. Default: 15 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.options.header_timeout = timeout;
        self
    }

    /// Sets the time for which a client may read nothing of a response that is being written to it. Then its connection
    /// is closed. Default: 30 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.options.write_timeout = timeout;
        self
    }

    /// Sets the maximum length of the head of a request, in bytes, at least 8 KiB. Default: 16 KiB.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.options.max_header_bytes = bytes;
        self
    }

    /// Sets the maximum number of connections that wait for a request at the same time, their first or another one.
    /// Connections with a request in progress and WebSockets do not count: their limit is
    /// [`Limits::max_connections`](fanfare_protocol::Limits). Whenever there is one more, the server evicts one of those
    /// that have waited longest, so that a client that opens connections without using them does not keep others out.
    ///
    /// All connections of one server are counted together, however they are served
    /// ([`Served::connections`]). Default: 10 000.
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.options.max_idle_connections = connections;
        self
    }

    /// Sets the load balancers that put a PROXY protocol header (version 1 or 2) in front of each TCP connection.
    /// Connections from these networks must have one, all others are served as they are. Default: none.
    pub fn proxy_protocol(mut self, networks: Networks) -> Self {
        self.options.proxy_protocol = networks;
        self
    }

    /// Sets whether the connections are encrypted, in front of the server or in the stream that is served.
    /// [`HandshakeRequest::is_secure`](crate::handshake::HandshakeRequest::is_secure) returns it. Default: no.
    pub fn secure(mut self, secure: bool) -> Self {
        self.options.secure = secure;
        self
    }

    /// Sets the time within which requests in progress have to end once the server closes. Default: 10 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.options.shutdown_timeout = timeout;
        self
    }

    /// Calls `hook` for each connection that is closed, and each request that is rejected, because of these options. It
    /// must not block. Several hooks are all called.
    pub fn on_rejected(mut self, hook: impl Fn(HttpRejection) + Send + Sync + 'static) -> Self {
        self.options.add_hook(Arc::new(hook));
        self
    }
}

/// Ends of the builder, each for one source of connections.
impl<S: Served> Serve<S> {
    /// Listens on an address and serves it. The listener has a backlog for thousands of clients that connect at once,
    /// see the function [`bind`].
    ///
    /// Returns when the server has closed ([`Served::closed`]), its connections have no request in progress, and its
    /// last work is done ([`Served::ended`]).
    ///
    /// # Errors
    /// If the address cannot be bound.
    ///
    /// # Cancel safety
    /// As [`listener`](Self::listener).
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.listener(bind(address).await?).await
    }

    /// Serves a listener that is already bound, until the server is closed, as [`bind`](Self::bind) does.
    ///
    /// # Errors
    /// None at present: an error of one connection ends that connection, and without free file descriptors the server
    /// waits for some.
    ///
    /// # Cancel safety
    /// A dropped call accepts no more connections; those that it has accepted are served to their end.
    pub async fn listener(self, listener: TcpListener) -> io::Result<()> {
        let (server, shared) = self.prepared();
        let (timeout, group) = (shared.options.shutdown_timeout, shared.group.clone());
        let registry = shared.options.pool.registry.clone();
        // In a task, because the caller may not be a worker of the runtime: each connection would involve two threads.
        let accepting = tokio::spawn(accept(listener, server.service(), shared));
        let _guard = AbortOnDrop(accepting.abort_handle());
        let mut accepting = pin!(accepting);
        tokio::select! {
            _ = &mut accepting => {}
            () = server.closed() => accepting.abort(),
        }
        let _ = accepting.await;
        registry.stop(&group);
        let _ = tokio::time::timeout(timeout, group.all_gone()).await;
        server.ended().await;
        Ok(())
    }

    /// Serves one connection that the application has accepted: a TCP or Unix socket, TLS, a stream in memory, or any
    /// other stream that can be read and written.
    ///
    /// `address` is the peer's, which handlers and the limits per address use; `None` if it has none. Returns when the
    /// connection has ended, or has become a WebSocket, which continues in a separate task: run this future in a task
    /// as well. [`proxy_protocol`](Self::proxy_protocol) applies to TCP sockets only; for others read the header
    /// yourself, and pass its address.
    ///
    /// Once the server has closed, this connection ends as soon as no request is pending on it, at the latest after
    /// [`shutdown_timeout`](Self::shutdown_timeout), and the future when the server's last work is done; no more
    /// connections should be accepted then. Dropping the future aborts the connection, unless it is already a
    /// WebSocket.
    pub async fn connection<T>(self, stream: T, address: impl Into<Option<SocketAddr>>)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.handshake(ready(Ok(stream)), address).await;
    }

    /// Serves one connection as [`connection`](Self::connection) does, after `handshake` has established it, as for TLS.
    ///
    /// The handshake may take as long as the head of a request ([`header_timeout`](Self::header_timeout)), and meanwhile
    /// the connection counts as one that waits for a request
    /// ([`max_idle_connections`](Self::max_idle_connections)); a silent client costs no more than that.
    pub async fn handshake<T>(
        self,
        handshake: impl Future<Output = io::Result<T>>,
        address: impl Into<Option<SocketAddr>>,
    ) where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let peer = address.into().map(Peer::Address);
        let (server, shared) = self.prepared();
        let (timeout, group) = (shared.options.shutdown_timeout, shared.group.clone());
        {
            let mut connection = pin!(connection(shared, server.service(), handshake, peer));
            let is_done = tokio::select! {
                () = &mut connection => true,
                // The connection is polled right after.
                () = server.closed() => false,
            };
            if !is_done {
                group.stop();
                let _ = tokio::time::timeout(timeout, connection).await;
            }
        }
        server.ended().await;
    }

    fn prepared(self) -> (S, Arc<Shared>) {
        let Self { server, options } = self;
        let told = server.clone();
        let hook = Arc::new(move |rejection| told.rejected(rejection));
        let shared = Shared::new(options, server.sessions(), hook);
        (server, shared)
    }
}

impl<S> fmt::Debug for Serve<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
