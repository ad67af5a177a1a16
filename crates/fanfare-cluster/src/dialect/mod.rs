//! Wire format of the messages of Node's `ClusterAdapter`.
//!
//! A message is a map `{type, data?, uid, nsp}` in JSON or in MessagePack; a reader tells them apart by the first byte.
//! It is [read](Envelope) in two steps, so that a node drops its own messages, and those for other namespaces, before
//! it decodes their contents. Events are passed on in their encoding: JSON is copied, MessagePack is a slice of the
//! message.
//!
//! A member that does not apply is omitted, never `null`: Node.js tests `requestId !== undefined`.
//!
//! Reading takes time and memory proportional to the length of the message.

mod json;
mod members;
mod msgpack;
mod options;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

use bytes::Bytes;
use fanfare_protocol::socket::DecodeError;

use members::Raw;
pub use msgpack::{EventPacket, read_options, read_packet};
pub use write::{Encoded, write_options, write_options_json, write_packet};

use crate::{ClusterMessage, ClusterResponse, NodeAnnouncement};

/// Maximum length of the id of a node or of a request, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Number of the type of announcements. Node.js has no numbers above 13.
const ANNOUNCEMENT: u64 = 101;

/// Maximum depth of arrays and maps around and in the contents of a message.
const MAX_DEPTH: usize = fanfare_protocol::Limits::JSON_DEPTH_CEILING;

/// Message of an adapter to other adapters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AdapterMessage {
    /// The sender has started, and requests heartbeats of the others (type 1).
    InitialHeartbeat,
    /// A heartbeat (type 2).
    Heartbeat,
    /// The sender stops (type 13).
    Close,
    /// A message for the servers of all nodes.
    Message(ClusterMessage),
    /// An answer to a request.
    Response(ClusterResponse),
    /// Description of the sender (type 101). Node.js ignores it.
    Announcement(NodeAnnouncement),
    /// A message of a type that this version does not know, which is ignored.
    Unknown(u64),
}

impl AdapterMessage {
    /// Returns the number of the type in Node's `MessageType`.
    #[must_use]
    pub fn message_type(&self) -> u64 {
        match self {
            Self::InitialHeartbeat => 1,
            Self::Heartbeat => 2,
            Self::Close => 13,
            Self::Message(message) => u64::from(message.message_type()),
            Self::Response(response) => u64::from(response.answer.message_type()),
            Self::Announcement(_) => ANNOUNCEMENT,
            Self::Unknown(kind) => *kind,
        }
    }

    /// Decodes a message whose type and contents arrived separately, as in the fields of a Redis stream.
    ///
    /// # Errors
    /// [`DialectError`] if the contents are invalid.
    pub fn decode(message_type: u64, data: Option<&Bytes>) -> Result<Self, DialectError> {
        let raw = data.map(Raw::of).transpose()?;
        members::decode(message_type, raw.as_ref())
    }
}

impl<M: Into<ClusterMessage>> From<M> for AdapterMessage {
    fn from(message: M) -> Self {
        Self::Message(message.into())
    }
}

impl From<NodeAnnouncement> for AdapterMessage {
    fn from(announcement: NodeAnnouncement) -> Self {
        Self::Announcement(announcement)
    }
}

impl From<ClusterResponse> for AdapterMessage {
    fn from(response: ClusterResponse) -> Self {
        Self::Response(response)
    }
}

/// A message whose contents have not been read yet.
///
/// ```
/// use bytes::Bytes;
/// use fanfare_cluster::dialect::{AdapterMessage, Envelope};
/// use fanfare_cluster::{Broadcast, ClusterMessage, ClusterOptions};
/// use fanfare_protocol::EncodedEvent;
///
/// let payload = Bytes::from_static(
///     br#"{"type":3,"data":{"packet":{"type":2,"data":["hi",1]},"opts":{"rooms":["r1"],"except":[],"flags":{}}},"uid":"8cdb6bfac898e720","nsp":"/"}"#,
/// );
/// let envelope = Envelope::read(&payload)?;
/// assert_eq!((envelope.uid(), envelope.namespace()), ("8cdb6bfac898e720", Some("/")));
/// let AdapterMessage::Message(ClusterMessage::Broadcast(message)) = envelope.decode()? else {
///     panic!("not a broadcast");
/// };
/// assert_eq!(message.event.data().json(), r#"["hi",1]"#);
///
/// let options = ClusterOptions::new(vec!["r1".to_owned()]);
/// let ours = AdapterMessage::from(Broadcast::new(EncodedEvent::new("hi", &1)?, options));
/// assert_eq!(ours.encode("8cdb6bfac898e720", Some("/")).as_bytes(), payload);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Envelope<'a> {
    kind: u64,
    uid: Cow<'a, str>,
    namespace: Option<Cow<'a, str>>,
    attachment: Option<Cow<'a, str>>,
    data: Option<Raw<'a>>,
}

impl<'a> Envelope<'a> {
    /// Reads all but the contents.
    ///
    /// # Errors
    /// [`DialectError`] if the envelope is invalid.
    pub fn read(payload: &'a Bytes) -> Result<Self, DialectError> {
        let envelope = match payload.first() {
            Some(b'{') => json::envelope(payload)?,
            _ => msgpack::envelope(payload)?,
        };
        check_id(&envelope.uid)?;
        Ok(envelope)
    }

    /// Returns the id of the sender.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Returns the namespace; `None` if only the channel determines it, as with Node's emitter for PostgreSQL.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns the number of the type in Node's `MessageType`.
    #[must_use]
    pub fn message_type(&self) -> u64 {
        self.kind
    }

    /// Returns the id of the table row with the contents, if they are not in the message (PostgreSQL).
    #[must_use]
    pub fn attachment_id(&self) -> Option<&str> {
        self.attachment.as_deref()
    }

    /// Reads the contents.
    ///
    /// # Errors
    /// [`DialectError`] if the contents are invalid.
    pub fn decode(&self) -> Result<AdapterMessage, DialectError> {
        members::decode(self.kind, self.data.as_ref())
    }
}

/// Reason for which a message of another node cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialectError {
    /// It is not valid JSON, or a member has another type than expected.
    #[error("invalid JSON: {0}")]
    Json(String),
    /// It is not valid MessagePack, or the event or value in it cannot be read.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A member is missing or has another type than expected.
    #[error("the member `{0}` is missing or invalid")]
    Member(&'static str),
    /// The id of a node or request has more than [`MAX_ID_BYTES`].
    #[error("an id of {0} bytes, more than {MAX_ID_BYTES}")]
    IdTooLong(usize),
}

impl From<serde_json::Error> for DialectError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

fn check_id(id: &str) -> Result<(), DialectError> {
    match id.len() > MAX_ID_BYTES {
        true => Err(DialectError::IdTooLong(id.len())),
        false => Ok(()),
    }
}
