//! The server alone, without a framework: an HTTP server for Socket.IO.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fanfare_engine::ServeOptions;
pub use fanfare_engine::bind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::http::HttpRejection;
use crate::proxy::Networks;
use crate::server::SocketIo;

/// A server that [`serve`](crate::serve()) has prepared: options first, then what it serves.
///
/// - [`bind`](Self::bind): an address, as Node's `new Server(3000)`;
/// - [`listener`](Self::listener): a listener that is bound already;
/// - [`connection`](Self::connection): one connection that the application has accepted, on any stream;
/// - [`handshake`](Self::handshake): the same with work before it, such as TLS.
///
/// It speaks HTTP/1.1 and HTTP/2; paths other than that of Socket.IO are answered with 404. Clones have the same
/// options.
///
/// ```no_run
/// use std::time::Duration;
///
/// use fanfare::SocketIo;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let io = SocketIo::builder().build()?;
/// fanfare::serve(io)
///     .header_timeout(Duration::from_secs(5))
///     .proxy_protocol("10.0.0.0/8".parse()?)
///     .bind("0.0.0.0:3000")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `bind`, `listener`, `connection` or `handshake`"]
pub struct Serve {
    io: SocketIo,
    options: ServeOptions,
}

/// Options.
impl Serve {
    pub(crate) fn new(io: SocketIo) -> Self {
        let options = ServeOptions::new();
        Self { io, options }
    }

    fn with(mut self, set: impl FnOnce(ServeOptions) -> ServeOptions) -> Self {
        self.options = set(self.options);
        self
    }

    /// Sets the time within which a client has to send the head of a request or to complete a
    /// [`handshake`](Self::handshake), and for which a connection without a request stays open. Default: 15 s.
    pub fn header_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.header_timeout(timeout))
    }

    /// Sets the time for which a client may read nothing of a response that is being written to it. Then its connection
    /// is closed. Default: 30 s.
    pub fn write_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.write_timeout(timeout))
    }

    /// Sets the maximum length of the head of a request, in bytes, at least 8 KiB. Default: 16 KiB.
    pub fn max_header_bytes(self, bytes: usize) -> Self {
        self.with(|options| options.max_header_bytes(bytes))
    }

    /// Sets the maximum number of connections that wait for a request at the same time, their first or another one.
    /// Connections with a request in progress and WebSockets do not count: their limit is
    /// [`Limits::max_connections`](crate::Limits). Whenever there is one more, the server evicts one of those that have
    /// waited longest, so that a client that opens connections without using them does not keep others out.
    ///
    /// All connections of one [`SocketIo`] are counted together, however they are served. Default: 10 000.
    pub fn max_idle_connections(self, connections: usize) -> Self {
        self.with(|options| options.max_idle_connections(connections))
    }

    /// Sets the load balancers that put a PROXY protocol header (version 1 or 2) in front of each TCP connection.
    /// Connections from these networks must have one, all others are served as they are. Default: none.
    pub fn proxy_protocol(self, networks: Networks) -> Self {
        self.with(|options| options.proxy_protocol(networks))
    }

    /// Sets whether the connections are encrypted, in front of the server or in the stream that is served.
    /// [`HandshakeRequest::is_secure`](crate::engine::HandshakeRequest::is_secure) returns it. Default: no.
    pub fn secure(self, secure: bool) -> Self {
        self.with(|options| options.secure(secure))
    }

    /// Sets the time within which requests in progress have to end once the server closes. Default: 10 s.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.shutdown_timeout(timeout))
    }

    /// Calls `hook` for each connection that is closed, and each request that is rejected, because of these options. It
    /// must not block. Several hooks are all called.
    pub fn on_rejected(self, hook: impl Fn(HttpRejection) + Send + Sync + 'static) -> Self {
        self.with(|options| options.on_rejected(hook))
    }
}

/// Ends of the builder, each for one source of connections.
impl Serve {
    /// Listens on an address and serves it. The listener has a backlog for thousands of clients that connect at once,
    /// see the function [`bind`].
    ///
    /// Returns when [`SocketIo::close`] or [`SocketIo::drain`] has completed: after `close` no handler runs any more.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.listener(bind(address).await?).await
    }

    /// Serves a listener that is already bound, until the server is closed, as [`bind`](Self::bind) does.
    ///
    /// # Errors
    /// None at present: an error of one connection ends that connection, and without free file descriptors the server
    /// waits for some.
    pub async fn listener(self, listener: TcpListener) -> io::Result<()> {
        let (io, options) = self.prepared();
        let result =
            fanfare_engine::serve(listener, io.service(), options, closed(io.clone())).await;
        io.ended().await;
        result
    }

    /// Serves one connection that the application has accepted: a Unix socket, TLS, a stream in memory, or any other
    /// stream that can be read and written.
    ///
    /// `address` is the peer's, which [`handshake.address()`](crate::Handshake) and the limits per address use; `None`
    /// if it has none. Returns when the connection has ended, or has become a WebSocket, which continues in a separate
    /// task: run this future in a task as well, as below. [`proxy_protocol`](Self::proxy_protocol) applies to TCP
    /// sockets only.
    ///
    /// Once [`SocketIo::close`] or [`SocketIo::drain`] has closed the server's connections, this one ends as soon as no
    /// request is pending on it, at the latest after [`shutdown_timeout`](Self::shutdown_timeout), and after `close`
    /// once no handler runs any more; no more connections should be accepted then. Dropping the future aborts the
    /// connection, unless it is already a WebSocket.
    ///
    /// ```no_run
    /// use fanfare::SocketIo;
    /// use tokio::net::UnixListener;
    ///
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let serve = fanfare::serve(SocketIo::builder().build()?);
    /// let listener = UnixListener::bind("/run/chat.sock")?;
    /// loop {
    ///     let (stream, _) = listener.accept().await?;
    ///     tokio::spawn(serve.clone().connection(stream, None));
    /// }
    /// # }
    /// ```
    pub async fn connection<T>(self, stream: T, address: impl Into<Option<SocketAddr>>)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.handshake(std::future::ready(Ok(stream)), address)
            .await;
    }

    /// Serves one connection as [`connection`](Self::connection) does, after `handshake` has established it, as for TLS.
    ///
    /// The handshake may take as long as the head of a request ([`header_timeout`](Self::header_timeout)), and meanwhile
    /// the connection counts as one that waits for a request
    /// ([`max_idle_connections`](Self::max_idle_connections)); a silent client costs no more than that.
    ///
    /// ```no_run
    /// use fanfare::SocketIo;
    /// use tokio_rustls::TlsAcceptor;
    ///
    /// # async fn f(tls: TlsAcceptor, io: SocketIo) -> std::io::Result<()> {
    /// let serve = fanfare::serve(io).secure(true);
    /// let listener = fanfare::serve::bind("0.0.0.0:443").await?;
    /// loop {
    ///     let (stream, address) = listener.accept().await?;
    ///     let _ = stream.set_nodelay(true); // small messages do not wait for the acknowledgement of others
    ///     tokio::spawn(serve.clone().handshake(tls.accept(stream), address));
    /// }
    /// # }
    /// ```
    pub async fn handshake<T>(
        self,
        handshake: impl Future<Output = io::Result<T>>,
        address: impl Into<Option<SocketAddr>>,
    ) where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let address = address.into();
        let (io, options) = self.prepared();
        let (service, closed) = (io.service(), closed(io.clone()));
        fanfare_engine::serve_handshake(handshake, address, service, options, closed).await;
        io.ended().await;
    }

    /// Returns the options with which the server counts rejections, and all its connections together. Requests of open
    /// sessions go to the engine at once, because all that [`SocketIoService`](crate::service::SocketIoService) adds
    /// concerns handshakes and files.
    fn prepared(self) -> (SocketIo, ServeOptions) {
        let Self { io, options } = self;
        let mut options = options.count_with(&io.0.serving);
        // The application's function is called for each request.
        if io.0.peer_of.is_none() {
            options = options.answer_sessions_of(io.engine());
        }
        let stats = io.0.stats.clone();
        let options = options.on_rejected(move |rejection| stats.refused(rejection.as_str()));
        (io, options)
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

async fn closed(io: SocketIo) {
    io.0.closed.wait().await;
}
