//! Errors.

use fanfare_engine::SendError;
use fanfare_protocol::socket::EncodeError;

/// Why an event was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialized, or the name is reserved.
    #[error(transparent)]
    NotSerializable(#[from] EncodeError),
    /// The outbox of the connection is full: its reader is too slow.
    #[error(
        "the outbox of the connection is full: {pending} bytes are waiting, the limit is {limit}"
    )]
    Full {
        /// Bytes that wait to be written.
        pending: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The socket is disconnected.
    #[error("the socket is disconnected")]
    Disconnected,
}

impl From<SendError> for EmitError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full { pending, limit } => Self::Full { pending, limit },
            _ => Self::Disconnected,
        }
    }
}

/// Why rooms were not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The name of a room is too long.
    #[error("the name of the room \"{room}…\" has {len} bytes, the limit is {limit}")]
    RoomTooLong {
        /// How the name begins.
        room: String,
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The socket would be in too many rooms.
    #[error("the socket would be in {rooms} rooms, the limit is {limit}")]
    TooManyRooms {
        /// So many it would be in.
        rooms: usize,
        /// The limit.
        limit: usize,
    },
}

impl JoinError {
    pub(crate) fn too_long(name: &str, limit: usize) -> Self {
        Self::RoomTooLong {
            room: name.chars().take(32).collect(),
            len: name.len(),
            limit,
        }
    }

    /// The label under which it is counted.
    pub(crate) const fn cause(&self) -> &'static str {
        match self {
            Self::RoomTooLong { .. } => "room_too_long",
            Self::TooManyRooms { .. } => "too_many_rooms",
        }
    }
}

/// Why a server could not be built.
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
        /// The contract that the handler names.
        taken: &'static str,
        /// That of the namespace.
        own: &'static str,
    },
    /// A namespace was added twice.
    #[error("namespace {0:?} was added twice")]
    DuplicateNamespace(String),
    /// The files of the browser client cannot be served.
    #[error("cannot serve the client from {}: {message}", dir.display())]
    ClientFiles {
        /// The directory.
        dir: std::path::PathBuf,
        /// What is wrong.
        message: String,
    },
    /// An option cannot be used.
    #[error("the option `{option}` cannot be used: {value}")]
    InvalidOption {
        /// Its name.
        option: &'static str,
        /// What it was given.
        value: String,
    },
    /// An event name that the protocol keeps for itself.
    #[error("\"{0}\" is a reserved event name")]
    ReservedEvent(String),
}
