//! Contexts, from which extractors take their values.

use bytes::Bytes;
use fanfare_core::{HandlerKind, HasSocket, Rejection};
use fanfare_protocol::socket::Args;
use serde::de::DeserializeOwned;

use crate::ack::Answered;
use crate::disconnect_reason::DisconnectReason;
use crate::socket::Socket;

/// Handlers of an event.
#[derive(Debug)]
pub enum OnEvent {}

/// Middlewares, when a client asks to join a namespace, and handlers of its connection.
#[derive(Debug)]
pub enum OnConnect {}

/// Handlers of a disconnection, before and after the socket leaves.
#[derive(Debug)]
pub enum OnDisconnect {}

impl HandlerKind for OnEvent {
    type Socket = Socket;
    type Context<'a> = EventContext<'a>;
}

impl HandlerKind for OnConnect {
    type Socket = Socket;
    type Context<'a> = ConnectContext<'a>;
}

impl HandlerKind for OnDisconnect {
    type Socket = Socket;
    type Context<'a> = DisconnectContext<'a>;
}

/// Context of an event. Nothing of the payload has been deserialized yet.
#[derive(Debug)]
pub struct EventContext<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) event: &'a str,
    pub(crate) args: &'a Args<'a>,
    pub(crate) ack: Option<u64>,
    /// Set if several handlers may answer.
    pub(crate) answered: Option<&'a Answered>,
}

impl EventContext<'_> {
    /// Returns the name of the event.
    pub fn event(&self) -> &str {
        self.event
    }

    /// Returns the number of arguments of the event.
    pub fn arg_count(&self) -> usize {
        self.args.len()
    }

    /// Returns the binary attachments, in order.
    pub fn attachments(&self) -> &[Bytes] {
        self.args.attachments()
    }

    /// Whether the sender waits for an acknowledgement.
    pub fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Deserializes the arguments: a tuple takes several, any other type the first.
    ///
    /// # Errors
    /// [`Rejection::Args`] with the position and the cause.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        self.args.decode().map_err(Rejection::Args)
    }
}

/// Context of a client that is joining a namespace.
#[derive(Debug)]
pub struct ConnectContext<'a> {
    pub(crate) socket: &'a Socket,
}

/// Context of a socket that is leaving (it is still in its rooms in `on_disconnecting`) or has left.
#[derive(Debug)]
pub struct DisconnectContext<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) reason: DisconnectReason,
}

impl DisconnectContext<'_> {
    /// Returns the reason for the disconnection.
    pub fn reason(&self) -> DisconnectReason {
        self.reason
    }
}

impl HasSocket for EventContext<'_> {
    type Socket = Socket;

    fn socket(&self) -> &Socket {
        self.socket
    }

    fn event_name(&self) -> &str {
        self.event
    }
}

impl HasSocket for ConnectContext<'_> {
    type Socket = Socket;

    fn socket(&self) -> &Socket {
        self.socket
    }

    fn event_name(&self) -> &str {
        "connect"
    }
}

impl HasSocket for DisconnectContext<'_> {
    type Socket = Socket;

    fn socket(&self) -> &Socket {
        self.socket
    }

    fn event_name(&self) -> &str {
        match self.socket.is_connected() {
            true => "disconnecting",
            false => "disconnect",
        }
    }
}
