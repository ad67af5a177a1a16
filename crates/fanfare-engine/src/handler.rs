//! The layer above: what to do with connections and messages.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_protocol::engine::{CloseReason, ErrorCode};
use http::HeaderMap;

use crate::{Connection, Handshake, HttpRefusal};

/// The version of Engine.IO that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `EIO=3`: clients of Socket.IO v1 and v2.
    V3,
    /// `EIO=4`: clients of Socket.IO v3 and v4.
    V4,
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// The name on the wire and in Node's API: `polling` or `websocket`.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }
}

/// How a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseMode {
    /// What is queued is sent first (Node's `close()`).
    Flush,
    /// What is queued is thrown away (Node's `close(true)`).
    Discard,
}

/// The decision on a handshake: `Err` with the message that replaces `Forbidden` (empty: it stays).
pub type AllowFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A session id that is being made: an error refuses the handshake, see [`Handler::generate_id`].
pub type GenerateIdFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// A request that was refused (Node's `connection_error` event).
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// Engine.IO's code.
    pub code: ErrorCode,
    /// The message sent to the client.
    pub message: &'a str,
    /// More than the client is told: Node's names, as `TRANSPORT_MISMATCH`; empty if the code says it all.
    pub context: &'static str,
    /// What went wrong in the application's own code, if that refused.
    pub detail: Option<&'a str>,
    /// The request.
    pub request: &'a Handshake,
}

/// What an application does with the connections and messages of an [`Engine`](crate::Engine).
///
/// The methods are called on a worker thread of the runtime and must not block. For one connection they are called
/// one after the other, in the order in which things arrived.
pub trait Handler: Send + Sync + 'static {
    /// What the application keeps for each connection; it lies inside [`Connection`].
    type State: Send + Sync + 'static;

    /// Makes the state of a new connection.
    fn accept(&self, handshake: &Handshake) -> Self::State;

    /// The connection is open; its `open` packet is queued. What is sent here leaves together with it.
    fn open(&self, conn: &Arc<Connection<Self::State>>);

    /// A text message arrived. (`data` is without the packet type.)
    fn text(&self, conn: &Arc<Connection<Self::State>>, data: &str);

    /// A binary message arrived.
    fn binary(&self, conn: &Arc<Connection<Self::State>>, data: &[u8]);

    /// The connection is closed. Called exactly once for each that was opened, never from within one of our own
    /// calls to [`Connection::close`] or [`Connection::send`].
    fn close(&self, conn: &Arc<Connection<Self::State>>, reason: CloseReason);

    /// Whether a handshake is let in (Node's `allowRequest`); `None`, the default, lets it in at no cost.
    fn allow_request(&self, handshake: &Handshake) -> Option<AllowFuture> {
        let _ = handshake;
        None
    }

    /// The id of a new session (Node's `generateId`); `None`, the default, takes a random one of 20 characters.
    ///
    /// An id is a secret: whoever knows it has the session. It is 1 to 128 letters, digits, `-`, `_`, `.` and `~`, and
    /// no other open session may have it; else, or if the future fails, the handshake is refused with
    /// `ID_GENERATION_ERROR`.
    fn generate_id(&self, handshake: &Handshake) -> Option<GenerateIdFuture> {
        let _ = handshake;
        None
    }

    /// Adds headers to an answer of a session, 101 included (Node's `headers`; with `initial` its
    /// `initial_headers`). `handshake` is the session's first request.
    fn headers(&self, handshake: &Handshake, headers: &mut HeaderMap, initial: bool) {
        let _ = (handshake, headers, initial);
    }

    /// A request was refused.
    fn connection_error(&self, error: &ConnectionError<'_>) {
        let _ = error;
    }

    /// A request was refused for a reason that is not Engine.IO's: too long a head, too many connections.
    fn refused(&self, refusal: HttpRefusal) {
        let _ = refusal;
    }

    /// A WebSocket has asked to take a polling session over. Calls of other methods may be under way.
    fn upgrading(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }

    /// The client answered a ping, or sent one (Engine.IO v3).
    fn heartbeat(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }

    /// The session moved from polling to WebSocket.
    fn upgraded(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }

    /// The deadline set with [`Connection::set_deadline`] has passed.
    fn deadline(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }
}
