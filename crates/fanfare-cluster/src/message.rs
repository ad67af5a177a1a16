//! Messages between the nodes of a cluster: the message set of Node's `ClusterAdapter`.

use std::time::Duration;

use fanfare_protocol::{EncodedEvent, EncodedValue};

use crate::SocketData;

/// Selection of the sockets that an operation applies to.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Rooms of which a socket must be in at least one; all sockets, if empty.
    pub rooms: Vec<String>,
    /// Rooms whose sockets are excluded.
    pub except: Vec<String>,
    /// Flags of the event.
    pub flags: ClusterFlags,
}

impl ClusterOptions {
    /// Selects the sockets in at least one of these rooms; all sockets, if there are none.
    pub fn new(rooms: Vec<String>) -> Self {
        Self {
            rooms,
            ..Self::default()
        }
    }

    /// Excludes the sockets in at least one of these rooms.
    #[must_use]
    pub fn except(mut self, rooms: Vec<String>) -> Self {
        self.except = rooms;
        self
    }

    /// Sets the flags of the event.
    #[must_use]
    pub fn flags(mut self, flags: ClusterFlags) -> Self {
        self.flags = flags;
        self
    }
}

/// Flags of an event. On the wire a flag that was not set is absent, not false.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterFlags {
    /// Whether the event may be dropped.
    pub volatile: bool,
    /// Whether the event is worth compressing, if specified.
    pub compress: Option<bool>,
    /// Timeout of the acknowledgements.
    pub timeout: Option<Duration>,
    /// Number of the event, less than 2⁵³, by which the nodes of Fanfare recognise it when they recover a connection.
    /// Node.js ignores it.
    pub event_id: Option<u64>,
}

impl ClusterFlags {
    /// Sets whether the event may be dropped.
    #[must_use]
    pub fn volatile(mut self, volatile: bool) -> Self {
        self.volatile = volatile;
        self
    }

    /// Sets whether the event is worth compressing.
    #[must_use]
    pub fn compress(mut self, compress: Option<bool>) -> Self {
        self.compress = compress;
        self
    }

    /// Sets the timeout of the acknowledgements.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the number of the event.
    #[must_use]
    pub fn event_id(mut self, number: Option<u64>) -> Self {
        self.event_id = number;
        self
    }
}

/// Message to all other nodes of a cluster. Heartbeats (types 1, 2 and 13 of Node's `MessageType`) are handled by the
/// adapter itself. An adapter ignores messages of a type that it does not know, as Node does; nodes of Fanfare may use
/// numbers above 100 among themselves.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClusterMessage {
    /// An event for the clients of all nodes.
    Broadcast(Broadcast),
    /// Sockets join rooms.
    SocketsJoin(SocketsJoin),
    /// Sockets leave rooms.
    SocketsLeave(SocketsLeave),
    /// Sockets are disconnected.
    DisconnectSockets(DisconnectSockets),
    /// A request for the sockets of each node.
    FetchSockets(FetchSockets),
    /// An event for the servers themselves.
    ServerSideEmit(ServerSideEmit),
    /// A request between the nodes of Fanfare.
    PeerRequest(PeerRequest),
}

impl ClusterMessage {
    /// Returns the number of the type: that of Node's `MessageType`, or one above 100, which Node.js ignores.
    pub const fn message_type(&self) -> u8 {
        match self {
            Self::Broadcast(_) => 3,
            Self::SocketsJoin(_) => 4,
            Self::SocketsLeave(_) => 5,
            Self::DisconnectSockets(_) => 6,
            Self::FetchSockets(_) => 7,
            Self::ServerSideEmit(_) => 9,
            Self::PeerRequest(_) => 103,
        }
    }
}

macro_rules! messages {
    ($($(#[$attribute:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident: $type:ty,)* }
        $({ $($(#[$of_late:meta])* $late:ident: $late_type:ty,)* })?)+) => {$(
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$of_field])* pub $field: $type,)*
            $($($(#[$of_late])* pub $late: Option<$late_type>,)*)?
        }

        impl $name {
            /// Creates the message.
            pub fn new($($field: $type),*) -> Self {
                Self { $($field,)* $($($late: None,)*)? }
            }

            $($(
                /// Requests answers with this id.
                #[must_use]
                pub fn $late(mut self, value: impl Into<$late_type>) -> Self {
                    self.$late = Some(value.into());
                    self
                }
            )*)?
        }

        impl From<$name> for ClusterMessage {
            fn from(message: $name) -> Self {
                Self::$name(message)
            }
        }
    )+};
}

messages! {
    /// An event for the clients of all nodes.
    Broadcast {
        /// Event, encoded once for all nodes and clients.
        event: EncodedEvent,
        /// Recipients.
        options: ClusterOptions,
    } {
        /// Id of the request, if acknowledgements are wanted.
        request_id: String,
    }
    /// Sockets that join rooms.
    SocketsJoin {
        /// Sockets that join.
        options: ClusterOptions,
        /// Rooms to join.
        rooms: Vec<String>,
    }
    /// Sockets that leave rooms.
    SocketsLeave {
        /// Sockets that leave.
        options: ClusterOptions,
        /// Rooms to leave.
        rooms: Vec<String>,
    }
    /// Sockets that are disconnected.
    DisconnectSockets {
        /// Sockets to disconnect.
        options: ClusterOptions,
        /// Whether their connections are closed as well.
        close: bool,
    }
    /// A request for the sockets of each node.
    FetchSockets {
        /// Sockets to list.
        options: ClusterOptions,
        /// Id of the request, repeated in the answers.
        request_id: String,
    }
    /// An event for the servers themselves.
    ServerSideEmit {
        /// Event.
        event: EncodedEvent,
    } {
        /// Id of the request, if an answer is wanted.
        request_id: String,
    }
    /// A request between the nodes of Fanfare, which interpret its content: the server does, not the adapter.
    PeerRequest {
        /// Content.
        body: EncodedValue,
        /// Id of the request, repeated in the answers.
        request_id: String,
    }
}

/// Answer to the node that sent a request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClusterResponse {
    /// Id of the request.
    pub request_id: String,
    /// Content of the answer.
    pub answer: ClusterAnswer,
}

impl ClusterResponse {
    /// Creates an answer to a request.
    pub fn new(request_id: impl Into<String>, answer: ClusterAnswer) -> Self {
        Self {
            request_id: request_id.into(),
            answer,
        }
    }
}

/// Content of an answer to a request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClusterAnswer {
    /// The sockets of a node.
    Sockets(Vec<SocketData>),
    /// The answer of a node to a server-side event.
    ServerSideEmit(EncodedValue),
    /// The number of clients of a node that receive an event.
    ClientCount(usize),
    /// First argument of the acknowledgement of one client.
    Ack(EncodedValue),
    /// The answer of a node to a [`PeerRequest`].
    Peer(EncodedValue),
}

impl ClusterAnswer {
    /// Returns the number of the type: that of Node's `MessageType`, or one above 100, which Node.js ignores.
    pub const fn message_type(&self) -> u8 {
        match self {
            Self::Sockets(_) => 8,
            Self::ServerSideEmit(_) => 10,
            Self::ClientCount(_) => 11,
            Self::Ack(_) => 12,
            Self::Peer(_) => 104,
        }
    }
}
