//! Inputs and outputs of the state machine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::{ConnectError, DisconnectReason, TransportError};
use super::id::{AckKey, ConnectionId, SocketId};
use super::packet::Packet;
use super::{AckError, Payload, Transport};
use crate::socket::ArgsBuf;

/// Task for the driver. There is at most one GET, one POST, one WebSocket and one unfinished write per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send a long-polling GET and answer with [`Input::Get`]. Without `sid` it is the handshake.
    Get {
        /// Connection of the request.
        connection: ConnectionId,
        /// Session id.
        sid: Option<Arc<str>>,
    },
    /// Send a POST and answer with [`Input::Post`].
    Post {
        /// Connection of the request.
        connection: ConnectionId,
        /// Session id.
        sid: Arc<str>,
        /// Payload, `text/plain`.
        body: Bytes,
    },
    /// Open a WebSocket and answer with [`Input::Open`] or [`Input::Closed`]. With `sid` it is an upgrade.
    OpenWebSocket {
        /// Connection of the WebSocket.
        connection: ConnectionId,
        /// Session id.
        sid: Option<Arc<str>>,
    },
    /// Write these messages to the WebSocket, then answer with [`Input::Written`].
    Write {
        /// Connection of the WebSocket.
        connection: ConnectionId,
        /// Messages, in order.
        packets: Vec<Packet>,
        /// Whether to write only after a WebSocket ping was answered, so that the server has handled all earlier
        /// messages before these. If no answer comes in reasonable time, write nevertheless.
        after_pong: bool,
    },
    /// Send a WebSocket ping behind everything written before, and answer with [`Input::Pong`] when it is answered.
    /// Several may be in flight. If no answer comes, the state machine continues after a timeout.
    Ping {
        /// Connection of the WebSocket.
        connection: ConnectionId,
    },
    /// Close the WebSocket with a closing handshake. No answer is expected.
    CloseWebSocket {
        /// Connection of the WebSocket.
        connection: ConnectionId,
    },
    /// Drop everything of this connection at once. No answer is expected.
    Abort {
        /// Connection that ended.
        connection: ConnectionId,
    },
    /// Fetch the `auth` payload of a socket and answer with [`Manager::authenticated`](super::Manager::authenticated).
    Authenticate {
        /// Socket that connects.
        socket: SocketId,
        /// Number to pass back unchanged.
        attempt: u64,
    },
}

/// Result or event from the network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// The GET was answered with status 200 and this body, or failed.
    Get(Result<Bytes, TransportError>),
    /// The POST was answered with status 200, or failed.
    Post(Result<(), TransportError>),
    /// The WebSocket is open.
    Open,
    /// A text message arrived. Must be UTF-8.
    Text(Bytes),
    /// A binary message arrived.
    Binary(Bytes),
    /// The messages of the last [`Action::Write`] were handed to the operating system.
    Written,
    /// The oldest [`Action::Ping`] in flight was answered.
    Pong,
    /// The WebSocket closed (with the known details), could not be opened or failed.
    Closed(Result<Option<String>, TransportError>),
}

/// Notification for the application.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Event of a socket.
    Socket(SocketId, SocketEvent),
    /// Event of the connection.
    Manager(ManagerEvent),
    /// An acknowledgement arrived or failed. Reported exactly once per key.
    Ack(AckKey, Result<ArgsBuf, AckError>),
}

/// Event of one socket, as of the JavaScript client's `Socket`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// `connect`: the namespace was joined, for the first time or again.
    Connect {
        /// Id of the socket until it disconnects.
        id: Arc<str>,
        /// Whether the server restored the session, so that no event was missed.
        recovered: bool,
    },
    /// `connect_error`: the connection or the namespace was rejected.
    ConnectError(ConnectError),
    /// `disconnect`: reported exactly once after each `connect`.
    Disconnect {
        /// Reason for the disconnection.
        reason: DisconnectReason,
        /// Underlying cause, if known.
        details: Option<TransportError>,
    },
    /// The server emitted an event.
    Event(IncomingEvent),
    /// An event is sent to the server; reported only with
    /// [`Manager::report_outgoing`](super::Manager::report_outgoing).
    Outgoing(Payload),
}

/// Event that the server emitted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IncomingEvent {
    /// Name of the event.
    pub name: Arc<str>,
    /// Its arguments without the name.
    pub args: ArgsBuf,
    /// Wire id if the server expects an acknowledgement; for [`Manager::ack`](super::Manager::ack).
    pub ack: Option<u64>,
    /// Number of the socket's connection that delivered it; an acknowledgement is valid only on the same one.
    pub epoch: u64,
}

impl IncomingEvent {
    /// Number of bytes that the arguments and attachments hold.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        super::codec::args_len(&self.args)
    }
}

/// Event of the connection, as of the JavaScript client's `Manager`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// `open`: a connection is open.
    Open {
        /// Its first transport.
        transport: Transport,
    },
    /// `upgrade`: the connection switched to another transport.
    Upgrade {
        /// New transport.
        transport: Transport,
    },
    /// An upgrade failed; the connection keeps its transport.
    UpgradeError(TransportError),
    /// `error`: a connection could not be opened.
    Error(TransportError),
    /// `close`: the connection ended.
    Close {
        /// Reason for the end.
        reason: DisconnectReason,
        /// Underlying cause, if known.
        details: Option<TransportError>,
    },
    /// `ping`: a heartbeat arrived, or the answer to one that this client sent.
    Ping,
    /// A Socket.IO packet arrived; reported only with `report_packets`.
    Packet {
        /// Its type, 0 to 6.
        kind: u8,
        /// Its namespace.
        namespace: Arc<str>,
    },
    /// The next attempt was scheduled.
    ReconnectScheduled {
        /// Number of that attempt, from 1.
        attempt: u32,
        /// Time until it starts.
        delay: Duration,
    },
    /// `reconnect_attempt`: an attempt starts.
    ReconnectAttempt(u32),
    /// `reconnect_error`: an attempt failed.
    ReconnectError(TransportError),
    /// `reconnect`: an attempt succeeded.
    Reconnect(u32),
    /// `reconnect_failed`: no more attempts.
    ReconnectFailed,
    /// Nothing is open, flushing or scheduled any longer.
    Idle,
    /// The observer was too slow: this number of events was dropped here. Reported by drivers; the state machine itself
    /// drops none.
    Lagged(u64),
}
