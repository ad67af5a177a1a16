//! The connection below the sockets.

use std::fmt;
use std::sync::Arc;

use fanfare_engine::{CloseMode, CloseReason, Connection, Handshake, Protocol};

use crate::client::Client;

/// The connection that carries the sockets of one client (Node's `socket.conn`), see
/// [`Socket::conn`](crate::Socket::conn).
#[derive(Clone)]
pub struct Conn(pub(crate) Arc<Connection<Client>>);

impl Conn {
    /// The id of the session. It is a secret of this client: whoever knows it can take its place.
    pub fn id(&self) -> &str {
        self.0.sid()
    }

    /// What carries the session at the moment: `polling` or `websocket`.
    pub fn transport(&self) -> &'static str {
        self.0.transport().name()
    }

    /// The version of Engine.IO that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.0.protocol()
    }

    /// The first request: URL, headers, address.
    pub fn request(&self) -> &Handshake {
        self.0.handshake()
    }

    /// Whether neither side has begun to close (Node's `readyState` is `open`).
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.0.pending_bytes()
    }

    /// Packets that wait to be written (the length of Node's `writeBuffer`).
    pub fn pending_packets(&self) -> usize {
        self.0.pending_packets()
    }

    /// What led to the close, in words (Node's `description`), where there is more to say than the reason does.
    pub fn close_description(&self) -> Option<String> {
        self.0.close_description()
    }

    /// Closes the connection, with `discard` without sending what waits. Its sockets get `forced close`.
    pub fn close(&self, discard: bool) {
        let mode = match discard {
            true => CloseMode::Discard,
            false => CloseMode::Flush,
        };
        self.0.close(mode, CloseReason::ForcedClose);
    }
}

impl PartialEq for Conn {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Conn {}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Conn").field(&self.0).finish()
    }
}

/// What happens to a connection, see [`on_conn_event`](crate::SocketIoBuilder::on_conn_event).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnEvent<'a> {
    /// It is open (`connection` of Node's `io.engine`).
    Open,
    /// A WebSocket has asked to take it over (`upgrading`).
    Upgrading,
    /// It has moved to WebSocket (`upgrade`).
    Upgrade,
    /// A message came in (`packet`): a Socket.IO packet or an attachment.
    Message {
        /// Whether it is binary.
        binary: bool,
        /// How long it is, in bytes.
        len: usize,
    },
    /// The client answered a ping (`heartbeat`).
    Heartbeat,
    /// It is closed (`close`).
    Close {
        /// Why.
        reason: CloseReason,
        /// More than the reason says, if there is more.
        description: Option<&'a str>,
    },
}
