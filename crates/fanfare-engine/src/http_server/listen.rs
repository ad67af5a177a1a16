//! Listening sockets.

use std::io;

use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs, lookup_host};

/// Number of clients that may wait to be accepted, if the system allows it.
const LISTEN_BACKLOG: u32 = 65_535;

/// Listens on an address, with a backlog for thousands of clients that connect at the same time. (A listener of the
/// standard library or Tokio has a backlog of 128; other clients have to retry a second later.)
///
/// The system limits the backlog: on Linux by `net.core.somaxconn`, 4096 unless it was changed.
///
/// # Errors
///
/// If none of the addresses can be bound.
pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in lookup_host(address).await? {
        let listening = || {
            let socket = match address.is_ipv4() {
                true => TcpSocket::new_v4()?,
                false => TcpSocket::new_v6()?,
            };
            // As Tokio does: a port is free again as soon as no socket listens on it.
            #[cfg(not(windows))]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(LISTEN_BACKLOG)
        };
        match listening() {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address")))
}
