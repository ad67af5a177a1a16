//! Connections whose bytes a test controls, at either end: HTTP/1.1 and WebSocket, without the logic of a client or a
//! server.
//!
//! They work over any stream: one of a [`Link`](crate::Link), a TCP or Unix socket, TLS, a stream of HTTP/2. For packets
//! of Socket.IO, and a session that answers pings, use [`Peer`](crate::Peer).
//!
//! Their methods panic when the other end breaks the protocol, and when nothing arrives within
//! [`DEADLINE`](crate::DEADLINE).

mod http;
mod websocket;

use tokio::io::{AsyncRead, AsyncWrite};

pub use self::http::{Http, Request, Response};
pub use self::websocket::{Frame, UPGRADE_HEADERS, WebSocket};

/// Byte stream in both directions.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
