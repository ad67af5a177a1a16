//! Errors of packets.

use super::packet_type::PacketType;

/// Reason for which a Socket.IO packet was rejected. The connection is closed (`forced close`), as in Node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Missing packet.
    #[error("empty packet")]
    Empty,
    /// The first character is no packet type.
    #[error("unknown packet type {0:?}")]
    UnknownType(char),
    /// A binary packet whose attachment count is missing or no number.
    #[error("illegal attachments: a binary packet needs a count and a dash")]
    IllegalAttachments,
    /// More attachments than allowed.
    #[error("too many attachments: {count}, limit {limit}")]
    TooManyAttachments {
        /// Announced number.
        count: usize,
        /// [`Limits::max_attachments`](crate::Limits::max_attachments).
        limit: usize,
    },
    /// The attachments are too long together.
    #[error("attachments of one packet too long: {len} bytes, limit {limit}")]
    AttachmentsTooLong {
        /// Received so far.
        len: usize,
        /// [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes).
        limit: usize,
    },
    /// Two places of the packet refer to the same attachment.
    #[error("illegal attachments: number {num} used twice")]
    AttachmentReused {
        /// Number of the attachment, counted from 0.
        num: usize,
    },
    /// More arguments than allowed.
    #[error("too many arguments, limit {limit}")]
    TooManyArguments {
        /// [`Limits::max_arguments`](crate::Limits::max_arguments).
        limit: usize,
    },
    /// The namespace's name is too long.
    #[error("namespace too long: {len} bytes, limit {limit}")]
    NamespaceTooLong {
        /// Length in bytes.
        len: usize,
        /// [`Limits::max_namespace_len`](crate::Limits::max_namespace_len).
        limit: usize,
    },
    /// The acknowledgement id does not fit 64 bits, or is missing where it must be.
    #[error("invalid acknowledgement id")]
    InvalidAckId,
    /// The text is not valid JSON.
    #[error("invalid JSON at byte {at}: {kind}")]
    Json {
        /// Offset in the JSON part.
        at: usize,
        /// Kind of the fault.
        kind: JsonErrorKind,
    },
    /// The data are nested too deeply.
    #[error("nested too deeply, limit {limit}")]
    TooDeep {
        /// [`Limits::json_depth`](crate::Limits::json_depth).
        limit: usize,
    },
    /// The data are not valid msgpack.
    #[error("invalid msgpack at byte {at}")]
    Msgpack {
        /// Offset in the message.
        at: usize,
    },
    /// A member that every packet of this encoding has is missing or of a wrong type.
    #[error("invalid packet member {0:?}")]
    InvalidMember(&'static str),
    /// The data do not fit the packet type, for example no array in an event.
    #[error("invalid payload of {}", .0.as_str())]
    InvalidPayload(PacketType),
    /// An event that only the libraries themselves may emit.
    #[error("reserved event name {0:?}")]
    ReservedEvent(&'static str),
    /// The event's name is too long.
    #[error("event name too long: {len} bytes, limit {limit}")]
    EventNameTooLong {
        /// Length in bytes, as written.
        len: usize,
        /// [`Limits::max_event_name_len`](crate::Limits::max_event_name_len).
        limit: usize,
    },
    /// Text arrived where attachments were missing.
    #[error("got plaintext data when reconstructing a packet: {missing} attachments missing")]
    UnexpectedText {
        /// Number of missing attachments.
        missing: usize,
    },
    /// Binary data arrived where no attachment was missing.
    #[error("got binary data when not reconstructing a packet")]
    UnexpectedBinary,
    /// A packet of 4 GiB or more.
    #[error("packet too long: {len} bytes")]
    TooLong {
        /// Length in bytes.
        len: usize,
    },
}

impl DecodeError {
    /// Returns a short fixed name, for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty_packet",
            Self::UnknownType(_) => "unknown_packet_type",
            Self::IllegalAttachments => "illegal_attachments",
            Self::TooManyAttachments { .. } => "too_many_attachments",
            Self::AttachmentsTooLong { .. } => "attachments_too_long",
            Self::AttachmentReused { .. } => "attachment_reused",
            Self::TooManyArguments { .. } => "too_many_arguments",
            Self::NamespaceTooLong { .. } => "namespace_too_long",
            Self::InvalidAckId => "invalid_ack_id",
            Self::Json { .. } => "invalid_json",
            Self::TooDeep { .. } => "too_deep",
            Self::Msgpack { .. } => "invalid_msgpack",
            Self::InvalidMember(_) => "invalid_member",
            Self::InvalidPayload(_) => "invalid_payload",
            Self::ReservedEvent(_) => "reserved_event",
            Self::EventNameTooLong { .. } => "event_name_too_long",
            Self::UnexpectedText { .. } => "unexpected_text",
            Self::UnexpectedBinary => "unexpected_binary",
            Self::TooLong { .. } => "packet_too_long",
        }
    }
}

/// Kind of a fault in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The text ends too early.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// A character that is not allowed at that position.
    #[error("unexpected character")]
    UnexpectedCharacter,
    /// A control character inside a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// A backslash followed by an unknown character.
    #[error("invalid escape")]
    InvalidEscape,
    /// Text that starts like a number but is none.
    #[error("invalid number")]
    InvalidNumber,
}
