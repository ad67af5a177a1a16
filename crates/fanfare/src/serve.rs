//! The server alone, without a framework.

use std::net::SocketAddr;

use fanfare_engine::ServeOptions;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::io::SocketIo;

/// Listens on an address and serves Socket.IO there; all other paths are answered with 404, as by Node's
/// `new Server(3000)`.
///
/// Returns when [`SocketIo::close`] has been called.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(addr: impl ToSocketAddrs, io: SocketIo) -> std::io::Result<()> {
    serve_listener(TcpListener::bind(addr).await?, io).await
}

/// As [`serve`], on a listener that is bound already.
///
/// # Errors
/// If the listener fails.
pub async fn serve_listener(listener: TcpListener, io: SocketIo) -> std::io::Result<()> {
    serve_with(listener, io, ServeOptions::default()).await
}

/// As [`serve_listener`], with options: timeouts, the PROXY protocol.
///
/// # Errors
/// If the listener fails.
pub async fn serve_with(
    listener: TcpListener,
    io: SocketIo,
    options: ServeOptions,
) -> std::io::Result<()> {
    let (service, options) = (io.service(), counted(options, &io));
    fanfare_engine::serve(listener, service, options, closed(io)).await
}

/// Serves Socket.IO on a connection that you have accepted yourself: a Unix socket, TLS of your own, a stream in memory,
/// or whatever else can be read and written. It speaks HTTP/1.1 and HTTP/2; all other paths are answered with 404.
///
/// `address` is the peer's, which [`handshake.address()`](crate::Handshake) and the limits per address go by; `None` if
/// it has none. Returns when the connection has ended, or has become a WebSocket, which goes on in a task of its own:
/// have it run in one as well, as below.
///
/// Once [`SocketIo::close`] or [`SocketIo::drain`] has closed the server's connections, this one ends as soon as no
/// request is under way on it, at the latest after [`ServeOptions::shutdown_timeout`]; no more connections should be
/// accepted then. To drop the future is to cut the connection, unless it is a WebSocket already.
///
/// ```no_run
/// use fanfare::SocketIo;
/// use tokio::net::UnixListener;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let io = SocketIo::builder().build()?;
/// let listener = UnixListener::bind("/run/chat.sock")?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     tokio::spawn(fanfare::serve_connection(stream, None, io.clone()));
/// }
/// # }
/// ```
pub async fn serve_connection<T>(stream: T, address: impl Into<Option<SocketAddr>>, io: SocketIo)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    serve_connection_with(stream, address, io, ServeOptions::default()).await;
}

/// As [`serve_connection`], with options: timeouts, and whether the stream is encrypted.
///
/// ```no_run
/// use fanfare::{ServeOptions, SocketIo};
/// use tokio::net::TcpListener;
/// use tokio_rustls::TlsAcceptor;
///
/// # async fn f(tls: TlsAcceptor, io: SocketIo) -> std::io::Result<()> {
/// let mut options = ServeOptions::default();
/// options.secure = true;
/// let listener = TcpListener::bind("0.0.0.0:443").await?;
/// loop {
///     let (stream, address) = listener.accept().await?;
///     let (tls, io, options) = (tls.clone(), io.clone(), options.clone());
///     tokio::spawn(async move {
///         let _ = stream.set_nodelay(true); // small messages do not wait for the acknowledgement of others
///         if let Ok(stream) = tls.accept(stream).await {
///             fanfare::serve_connection_with(stream, address, io, options).await;
///         }
///     });
/// }
/// # }
/// ```
pub async fn serve_connection_with<T>(
    stream: T,
    address: impl Into<Option<SocketAddr>>,
    io: SocketIo,
    options: ServeOptions,
) where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (service, address, options) = (io.service(), address.into(), counted(options, &io));
    fanfare_engine::serve_connection(stream, address, service, options, closed(io)).await;
}

/// With what is refused among what the server counts.
fn counted(mut options: ServeOptions, io: &SocketIo) -> ServeOptions {
    let stats = io.0.stats.clone();
    options.on_refused(move |refusal| stats.refused(refusal.as_str()));
    options
}

async fn closed(io: SocketIo) {
    io.0.closed.wait().await;
}
