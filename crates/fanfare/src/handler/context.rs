//! What extractors read from.

use bytes::Bytes;
use fanfare_protocol::socket::Args;
use serde::de::DeserializeOwned;

use crate::ack::Answered;
use crate::extract::Rejection;
use crate::reason::DisconnectReason;
use crate::socket::Socket;

mod sealed {
    pub trait Sealed {}
}

/// When a handler runs: [`OnEvent`], [`OnConnect`] or [`OnDisconnect`].
pub trait Moment: sealed::Sealed + 'static {
    /// What is known at that moment.
    type Context<'a>: HasSocket;
}

/// An event has arrived.
#[derive(Debug)]
pub enum OnEvent {}

/// A client asks to join a namespace (middlewares), or has joined it.
#[derive(Debug)]
pub enum OnConnect {}

/// A socket is leaving or has left.
#[derive(Debug)]
pub enum OnDisconnect {}

impl sealed::Sealed for OnEvent {}
impl sealed::Sealed for OnConnect {}
impl sealed::Sealed for OnDisconnect {}

impl Moment for OnEvent {
    type Context<'a> = EventContext<'a>;
}

impl Moment for OnConnect {
    type Context<'a> = ConnectContext<'a>;
}

impl Moment for OnDisconnect {
    type Context<'a> = DisconnectContext<'a>;
}

/// Every moment has a socket.
pub trait HasSocket {
    /// The socket concerned.
    fn socket(&self) -> &Socket;
}

/// An event and where it came from. Nothing of the payload has been deserialized yet.
#[derive(Debug)]
pub struct EventContext<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) event: &'a str,
    pub(crate) args: &'a Args<'a>,
    pub(crate) ack: Option<u64>,
    /// Set if there are several handlers that may answer.
    pub(crate) answered: Option<&'a Answered>,
}

impl EventContext<'_> {
    /// The name of the event.
    pub fn event(&self) -> &str {
        self.event
    }

    /// The number of arguments that came with the event.
    pub fn arg_count(&self) -> usize {
        self.args.len()
    }

    /// The binary attachments, in order.
    pub fn attachments(&self) -> &[Bytes] {
        self.args.attachments()
    }

    /// Whether the sender waits for an acknowledgement.
    pub fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Deserializes the arguments: a tuple takes several, anything else the first.
    ///
    /// # Errors
    /// [`Rejection::Args`] with the position and the cause.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        self.args.decode().map_err(Rejection::Args)
    }
}

/// A client that is joining a namespace.
#[derive(Debug)]
pub struct ConnectContext<'a> {
    pub(crate) socket: &'a Socket,
}

/// A socket that is leaving (its rooms are still there in `on_disconnecting`) or has left.
#[derive(Debug)]
pub struct DisconnectContext<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) reason: DisconnectReason,
}

impl DisconnectContext<'_> {
    /// Why.
    pub fn reason(&self) -> DisconnectReason {
        self.reason
    }
}

impl HasSocket for EventContext<'_> {
    fn socket(&self) -> &Socket {
        self.socket
    }
}

impl HasSocket for ConnectContext<'_> {
    fn socket(&self) -> &Socket {
        self.socket
    }
}

impl HasSocket for DisconnectContext<'_> {
    fn socket(&self) -> &Socket {
        self.socket
    }
}
