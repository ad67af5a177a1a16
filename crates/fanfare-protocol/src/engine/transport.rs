//! Transports of a session, and the revision of the protocol that it speaks.

use std::fmt;

/// Transport that carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    const ALL: [Transport; 2] = [Transport::Polling, Transport::WebSocket];

    /// Name on the wire and in Node's API: `polling` or `websocket`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }

    /// Returns the transport with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Transport> {
        Transport::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Set of transports: those that a server accepts (Node's `transports` option).
///
/// ```
/// use fanfare_protocol::engine::{Transport, Transports};
///
/// let only = Transports::from([Transport::WebSocket]);
/// assert!(!only.contains(Transport::Polling));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transports(u8);

impl Transports {
    /// The set without a transport.
    pub const NONE: Transports = Transports(0);

    /// Adds a transport.
    #[must_use]
    pub const fn with(self, transport: Transport) -> Transports {
        Transports(self.0 | transport.bit())
    }

    /// Removes a transport.
    #[must_use]
    pub const fn without(self, transport: Transport) -> Transports {
        Transports(self.0 & !transport.bit())
    }

    /// Whether the set has this transport.
    #[must_use]
    pub const fn contains(self, transport: Transport) -> bool {
        self.0 & transport.bit() != 0
    }

    /// Whether the set has no transport.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the transports of the set.
    pub fn iter(self) -> impl Iterator<Item = Transport> {
        Transport::ALL
            .into_iter()
            .filter(move |transport| self.contains(*transport))
    }
}

/// Long-polling and WebSocket.
impl Default for Transports {
    fn default() -> Transports {
        Transport::ALL.into_iter().collect()
    }
}

impl FromIterator<Transport> for Transports {
    fn from_iter<I: IntoIterator<Item = Transport>>(transports: I) -> Transports {
        transports
            .into_iter()
            .fold(Transports::NONE, Transports::with)
    }
}

impl<const N: usize> From<[Transport; N]> for Transports {
    fn from(transports: [Transport; N]) -> Transports {
        transports.into_iter().collect()
    }
}

impl fmt::Debug for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Revision of Engine.IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `EIO=3`: clients of Socket.IO v1 and v2. The client pings.
    V3,
    /// `EIO=4`: clients of Socket.IO v3 and v4. The server pings.
    V4,
}

impl Protocol {
    /// Number of the revision, as in the query parameter `EIO`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Protocol::V3 => 3,
            Protocol::V4 => 4,
        }
    }
}
