//! Errors of sending, of joining rooms and of building a server.

use fanfare_cluster::PublishOutcome;
use fanfare_engine::{OutboxUnit, SendError};
use fanfare_protocol::socket::EncodeError;

/// Reason for which an event was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialized, or the name is reserved.
    #[error(transparent)]
    NotSerializable(#[from] EncodeError),
    /// The outbox of the connection is full: the client is a slow consumer. The limits are `outbox_bytes` and
    /// `outbox_packets` of [`Limits`](crate::Limits).
    #[error(
        "the outbox of the connection is full: {pending} {unit} are waiting, the limit is {limit}"
    )]
    Full {
        /// Number of bytes or packets that wait to be written.
        pending: usize,
        /// The limit that the event would exceed, in the same unit.
        limit: usize,
        /// Unit of both.
        unit: OutboxUnit,
    },
    /// The socket is disconnected.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The log of the adapter, through which the events to clients that can be recovered are sent, did not accept the
    /// event. It was not sent.
    #[error("{0}")]
    NotLogged(PublishOutcome),
    /// The event named too many rooms to send to or to exclude. Nothing was sent.
    #[error(transparent)]
    TooManyRooms(#[from] TooManyRooms),
}

/// One call named more rooms than [`Limits::max_rooms_per_call`](crate::Limits::max_rooms_per_call).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rooms} rooms in one call, the limit is {limit}")]
#[non_exhaustive]
pub struct TooManyRooms {
    /// Number of names in the call.
    pub rooms: usize,
    /// The limit.
    pub limit: usize,
}

impl TooManyRooms {
    /// Label under which the error is counted.
    pub(crate) const CAUSE: &str = "too_many_rooms_per_call";
}

impl From<SendError> for EmitError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full {
                pending,
                limit,
                unit,
            } => Self::Full {
                pending,
                limit,
                unit,
            },
            _ => Self::Disconnected,
        }
    }
}

/// Reason for which rooms were not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The name of a room is too long.
    #[error("the name of the room \"{room}…\" has {len} bytes, the limit is {limit}")]
    RoomTooLong {
        /// Beginning of the name.
        room: String,
        /// Length of the name, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The socket would be in too many rooms.
    #[error("the socket would be in {rooms} rooms, the limit is {limit}")]
    TooManyRooms {
        /// Number of rooms that the socket would be in.
        rooms: usize,
        /// The limit.
        limit: usize,
    },
    /// More rooms in one call than [`Limits::max_rooms_per_call`](crate::Limits::max_rooms_per_call).
    #[error(transparent)]
    TooManyAtOnce(#[from] TooManyRooms),
}

impl JoinError {
    pub(crate) fn too_long(name: &str, limit: usize) -> Self {
        Self::RoomTooLong {
            room: name.chars().take(32).collect(),
            len: name.len(),
            limit,
        }
    }

    /// Returns the label under which the error is counted.
    pub(crate) const fn cause(&self) -> &'static str {
        match self {
            Self::RoomTooLong { .. } => "room_too_long",
            Self::TooManyRooms { .. } => "too_many_rooms",
            Self::TooManyAtOnce(_) => TooManyRooms::CAUSE,
        }
    }
}

/// Reason for which a server could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A handler takes a state that was not given.
    #[error(
        "a handler of namespace {namespace:?} takes State<{state}>, but no such state was given: add `.state(…)`"
    )]
    MissingState {
        /// The namespace of the handler.
        namespace: String,
        /// The type of the state.
        state: &'static str,
    },
    /// A handler takes a [`TypedSocket`](crate::typed::TypedSocket) of another contract than that of its namespace.
    #[error(
        "a handler of namespace {namespace:?} takes TypedSocket<{taken}>, but the namespace has the contract {own}"
    )]
    OtherContract {
        /// The namespace of the handler.
        namespace: String,
        /// Contract that the handler names.
        taken: &'static str,
        /// Contract of the namespace.
        own: &'static str,
    },
    /// A namespace was added twice.
    #[error("namespace {0:?} was added twice")]
    DuplicateNamespace(String),
    /// No client can request a namespace of this name.
    #[error("the namespace {name:?} cannot be used: {reason}")]
    InvalidNamespace {
        /// Name of the namespace.
        name: String,
        /// Problem with the name.
        reason: String,
    },
    /// A pattern of namespaces cannot be used.
    #[error("the pattern {pattern:?} cannot be used: {reason}")]
    InvalidPattern {
        /// Pattern of the namespace.
        pattern: String,
        /// Problem with the pattern.
        reason: String,
    },
    /// The files of the browser client cannot be served.
    #[error("cannot serve the client from {}: {message}", dir.display())]
    ClientFiles {
        /// The directory.
        dir: std::path::PathBuf,
        /// Description of the problem.
        message: String,
    },
    /// The value of an option is invalid.
    #[error("the option `{option}` cannot be used: {value}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// Value that was given.
        value: String,
    },
    /// The event name is reserved by the protocol.
    #[error("\"{0}\" is a reserved event name")]
    ReservedEvent(String),
}
