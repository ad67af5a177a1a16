//! Reasons for disconnections.

use std::fmt;

use fanfare_protocol::engine::CloseReason;

/// Reason for which a [`Socket`](crate::Socket) was disconnected.
///
/// The texts ([`as_str`](Self::as_str), [`Display`](fmt::Display)) are the strings that Node's `disconnect` event
/// carries, so that dashboards and log filters written for Node keep working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server called [`Socket::disconnect`](crate::Socket::disconnect).
    ServerNamespaceDisconnect,
    /// The client left the namespace with `socket.disconnect()`.
    ClientNamespaceDisconnect,
    /// The server is closing: [`SocketIo::close`](crate::SocketIo::close).
    ServerShuttingDown,
    /// The client did not answer a heartbeat within `ping_timeout`.
    PingTimeout,
    /// The connection was closed (network loss, closed tab, …).
    TransportClose,
    /// The connection failed (I/O error, protocol violation, message over `max_payload`, full outbox of a slow
    /// consumer, …).
    TransportError,
    /// The client sent something that is not an Engine.IO packet.
    ParseError,
    /// The client sent something that is not a Socket.IO packet, its events' handlers did not complete in time, or the
    /// application closed the connection ([`Socket::conn`](crate::Socket::conn)).
    ForcedClose,
    /// The server closed the whole connection: an unexpected packet, no namespace within `connect_timeout`, an
    /// incomplete packet after `packet_timeout`, or an exceeded [rate limit](crate::limits::RateLimits).
    ForcedServerClose,
}

impl DisconnectReason {
    /// Returns the reason as Node spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportError => Self::TransportError,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            _ => Self::TransportError,
        }
    }
}
