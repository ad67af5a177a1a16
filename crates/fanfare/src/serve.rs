//! The server alone, without a framework.

use fanfare_engine::ServeOptions;
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
    let closed = io.clone();
    let closed = async move { closed.0.closed.wait().await };
    fanfare_engine::serve(listener, io.service(), options, closed).await
}
