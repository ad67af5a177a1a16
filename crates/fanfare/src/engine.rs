//! The Engine.IO connection below the sockets, and the options of the engine.

use std::fmt;
use std::sync::Arc;

pub use fanfare_engine::hooks::ConnectionError;
pub use fanfare_engine::relay;
use fanfare_engine::{CloseMode, Connection};
pub use fanfare_engine::{
    CloseReason, EngineConfig, HandshakeRequest, PerMessageDeflate, Protocol, Transport, Transports,
};
pub use fanfare_protocol::engine::ErrorCode;

/// The connection that carries the sockets of one client (Node's `socket.conn`), see
/// [`Socket::conn`](crate::Socket::conn).
#[derive(Clone)]
pub struct EngineConnection(Arc<dyn AnyConnection>);

impl EngineConnection {
    pub(crate) fn new<S: Send + Sync + 'static>(conn: Arc<Connection<S>>) -> Self {
        Self(conn)
    }

    /// Returns the id of the session. It is a secret of this client: a peer that knows it can hijack the session.
    pub fn id(&self) -> &str {
        self.0.sid()
    }

    /// Returns the current transport.
    pub fn transport(&self) -> Transport {
        self.0.transport()
    }

    /// Returns the version of Engine.IO that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.0.protocol()
    }

    /// Returns the first request: URL, headers, address.
    pub fn request(&self) -> &HandshakeRequest {
        self.0.handshake()
    }

    /// Whether neither side has begun to close (Node's `readyState` is `open`).
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Returns the number of bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.0.pending_bytes()
    }

    /// Returns the number of packets that wait to be written (the length of Node's `writeBuffer`).
    pub fn pending_packets(&self) -> usize {
        self.0.pending_packets()
    }

    /// Returns a description of the cause of the close (Node's `description`), where there is more detail than the
    /// reason.
    pub fn close_description(&self) -> Option<String> {
        self.0.close_description()
    }

    /// Closes the connection; with `discard`, drops what is queued for it. Its sockets get `forced close`.
    pub fn close(&self, discard: bool) {
        let mode = match discard {
            true => CloseMode::Discard,
            false => CloseMode::Flush,
        };
        self.0.clone().close(mode, CloseReason::ForcedClose);
    }
}

impl PartialEq for EngineConnection {
    fn eq(&self, other: &Self) -> bool {
        Arc::as_ptr(&self.0).addr() == Arc::as_ptr(&other.0).addr()
    }
}

impl Eq for EngineConnection {}

impl fmt::Debug for EngineConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineConnection").field(&self.0).finish()
    }
}

/// A connection whose sockets are left out of its type: hooks observe connections below the sockets.
trait AnyConnection: fmt::Debug + Send + Sync {
    fn sid(&self) -> &str;
    fn transport(&self) -> Transport;
    fn protocol(&self) -> Protocol;
    fn handshake(&self) -> &HandshakeRequest;
    fn is_open(&self) -> bool;
    fn pending_bytes(&self) -> usize;
    fn pending_packets(&self) -> usize;
    fn close_description(&self) -> Option<String>;
    fn close(self: Arc<Self>, mode: CloseMode, reason: CloseReason);
}

impl<S: Send + Sync + 'static> AnyConnection for Connection<S> {
    fn sid(&self) -> &str {
        self.sid()
    }

    fn transport(&self) -> Transport {
        self.transport()
    }

    fn protocol(&self) -> Protocol {
        self.protocol()
    }

    fn handshake(&self) -> &HandshakeRequest {
        self.handshake()
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }

    fn pending_bytes(&self) -> usize {
        self.pending_bytes()
    }

    fn pending_packets(&self) -> usize {
        self.pending_packets()
    }

    fn close_description(&self) -> Option<String> {
        self.close_description()
    }

    fn close(self: Arc<Self>, mode: CloseMode, reason: CloseReason) {
        Connection::close(&self, mode, reason);
    }
}

/// Event of a connection, see [`on_conn_event`](crate::SocketIoBuilder::on_conn_event).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineConnectionEvent<'a> {
    /// The connection is open (`connection` of Node's `io.engine`).
    Open,
    /// A WebSocket has asked to take over the session (`upgrading`).
    Upgrading,
    /// The session has moved to WebSocket (`upgrade`).
    Upgrade,
    /// A message arrived (`packet`): a Socket.IO packet or an attachment.
    Message {
        /// Whether it is binary.
        binary: bool,
        /// Length of the message, in bytes.
        len: usize,
    },
    /// The client answered a ping (`heartbeat`).
    Heartbeat,
    /// The connection is closed (`close`).
    Close {
        /// Reason for the close.
        reason: CloseReason,
        /// Description with more detail than the reason, if there is any.
        description: Option<&'a str>,
    },
}
