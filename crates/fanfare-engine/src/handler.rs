//! Interface to the layer above, which handles connections and messages.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_protocol::engine::{CloseReason, ErrorCode};
use http::HeaderMap;

use crate::connection::Connection;
use crate::handshake::HandshakeRequest;
use crate::log_target;
use crate::rejection::HttpRejection;

/// Decision on a handshake: `Err` with the message that replaces `Forbidden` (empty: it stays).
pub type AllowFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Future of a session id: an error rejects the handshake, see [`Handler::generate_id`].
pub type GenerateIdFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// A request that was rejected (Node's `connection_error` event).
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// Error code of Engine.IO.
    pub code: ErrorCode,
    /// Message sent to the client.
    pub message: &'a str,
    /// Detail that the client is not told: Node's names, as `TRANSPORT_MISMATCH`; empty if the code says it all.
    pub context: &'static str,
    /// Error of the application's own code, if that rejected the request.
    pub detail: Option<&'a str>,
    /// The request.
    pub request: &'a HandshakeRequest,
}

/// Behaviour of an application for the connections and messages of an [`Engine`](crate::engine::Engine).
///
/// The methods are called on a worker thread of the runtime and must not block. For one connection they are called one
/// after the other, in the order in which events arrived.
///
/// They should not panic. If one does, [`panicked`](Self::panicked) is called, the request is answered with 500, and
/// its session ends; other connections are not affected.
pub trait Handler: Send + Sync + 'static {
    /// Application state of each connection, stored inside [`Connection`].
    type State: Send + Sync + 'static;

    /// Creates the state of a new connection.
    fn accept(&self, handshake: &HandshakeRequest) -> Self::State;

    /// Handles a connection that has opened; its `open` packet is queued. What is sent here leaves together with it.
    fn open(&self, conn: &Arc<Connection<Self::State>>);

    /// Handles a text message. (`data` is without the packet type.)
    fn text(&self, conn: &Arc<Connection<Self::State>>, data: &str);

    /// Handles a binary message.
    fn binary(&self, conn: &Arc<Connection<Self::State>>, data: &[u8]);

    /// Handles the close of a connection. Called exactly once for each that was opened, never from within a call to
    /// [`Connection::close`] or [`Connection::send`].
    fn close(&self, conn: &Arc<Connection<Self::State>>, reason: CloseReason);

    /// Decides whether a handshake is accepted (Node's `allowRequest`); `None`, the default, accepts it at no cost.
    fn allow_request(&self, handshake: &HandshakeRequest) -> Option<AllowFuture> {
        let _ = handshake;
        None
    }

    /// Creates the id of a new session (Node's `generateId`); `None`, the default, takes a random one of 20 characters.
    ///
    /// An id is a secret: a client that knows it controls the session. It consists of 1 to 128 letters, digits, `-`,
    /// `_`, `.` and `~`, and no other open session may have it; otherwise, or if the future fails, the handshake is
    /// rejected with `ID_GENERATION_ERROR`.
    fn generate_id(&self, handshake: &HandshakeRequest) -> Option<GenerateIdFuture> {
        let _ = handshake;
        None
    }

    /// Adds headers to a response of a session, 101 included (Node's `headers`; with `initial` its `initial_headers`).
    /// `handshake` is the session's first request. `false`: the headers could not be made; the response becomes 500,
    /// and the session ends.
    fn headers(
        &self,
        handshake: &HandshakeRequest,
        headers: &mut HeaderMap,
        initial: bool,
    ) -> bool {
        let _ = (handshake, headers, initial);
        true
    }

    /// Whether [`headers`](Self::headers) may add something. Where it does not, answers are made without a map of headers.
    fn adds_headers(&self, initial: bool) -> bool {
        let _ = initial;
        true
    }

    /// Reports a panic of a function of the application: its name and the message.
    fn panicked(&self, hook: &'static str, panic: &str) {
        tracing::error!(target: log_target::HOOK, hook, panic, "a hook panicked");
    }

    /// Reports a rejected request.
    fn connection_error(&self, error: &ConnectionError<'_>) {
        let _ = error;
    }

    /// Reports a request that was rejected for a reason outside Engine.IO: too long a head, too many connections.
    fn rejected(&self, rejection: HttpRejection) {
        let _ = rejection;
    }

    /// Reports that a WebSocket has asked to take over a polling session. Calls of other methods may be in progress.
    fn upgrading(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }

    /// Reports that the client answered a ping, or sent one (Engine.IO v3).
    fn heartbeat(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }

    /// Reports that the session moved from polling to WebSocket.
    fn upgraded(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }

    /// Reports that the deadline set with [`Connection::set_deadline`] has passed.
    fn deadline(&self, conn: &Arc<Connection<Self::State>>) {
        let _ = conn;
    }
}
