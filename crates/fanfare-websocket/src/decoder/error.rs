use crate::CloseCode;

/// Error of the peer. The connection cannot continue: answer with a close frame of [`close_code`] and end it.
///
/// [`close_code`]: ProtocolError::close_code
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit was set for which no extension was negotiated (RFC 6455, section 5.2).
    #[error("reserved bits {0:#05b} are set, but no extension that uses them was negotiated")]
    ReservedBits(u8),
    /// The opcode is reserved (RFC 6455, section 5.2).
    #[error("the opcode {0:#x} is reserved")]
    UnknownOpCode(u8),
    /// A client's frame was not masked (RFC 6455, section 5.1).
    #[error("the client sent a frame that is not masked")]
    Unmasked,
    /// A server's frame was masked (RFC 6455, section 5.1).
    #[error("the server sent a masked frame")]
    Masked,
    /// A control frame was fragmented (RFC 6455, section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame was longer than 125 bytes (RFC 6455, section 5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// The length has its most significant bit set (RFC 6455, section 5.2).
    #[error("a frame announces a length of {0} bytes, over 63 bits")]
    InvalidLength(u64),
    /// A continuation frame arrived while no message was in progress (RFC 6455, section 5.4).
    #[error("a continuation frame has no message to continue")]
    UnexpectedContinuation,
    /// A new message began inside a fragmented one (RFC 6455, section 5.4).
    #[error("a message began before the fragmented one was finished")]
    ExpectedContinuation,
    /// Text, or the reason of a close frame, is not UTF-8 (RFC 6455, section 8.1).
    #[error("the text is not valid UTF-8")]
    InvalidUtf8,
    /// A close frame had a payload of one byte (RFC 6455, section 5.5.1).
    #[error("a close frame has half a close code")]
    InvalidClosePayload,
    /// A close frame had a code that must not be sent (RFC 6455, section 7.4).
    #[error("a close frame has the code {}, which must not be sent", .0.0)]
    InvalidCloseCode(CloseCode),
    /// A frame is bigger than [`DecoderConfig::max_frame`](crate::DecoderConfig::max_frame).
    #[error("a frame of {len} bytes is over the limit of {limit}")]
    FrameTooBig {
        /// Length of the payload in bytes.
        len: u64,
        /// Limit in bytes.
        limit: usize,
    },
    /// A message is bigger than [`DecoderConfig::max_message`](crate::DecoderConfig::max_message), perhaps only
    /// after decompression.
    #[error("a message is over the limit of {limit} bytes")]
    MessageTooBig {
        /// Limit in bytes.
        limit: usize,
    },
    /// A message has more fragments than [`DecoderConfig::max_fragments`](crate::DecoderConfig::max_fragments).
    #[error("a message has more than {limit} fragments")]
    TooManyFragments {
        /// Maximum number of fragments.
        limit: u32,
    },
    /// A compressed message cannot be decompressed (RFC 7692, section 7.2.2).
    #[error("a compressed message is corrupt")]
    InvalidDeflate,
}

impl ProtocolError {
    /// Close code that reports the error to the peer (RFC 6455, section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            ProtocolError::InvalidUtf8 | ProtocolError::InvalidDeflate => {
                CloseCode::INVALID_PAYLOAD
            }
            ProtocolError::FrameTooBig { .. } | ProtocolError::MessageTooBig { .. } => {
                CloseCode::TOO_BIG
            }
            ProtocolError::TooManyFragments { .. } => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// Short name without values in it, as a label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            ProtocolError::ReservedBits(_) => "reserved_bits",
            ProtocolError::UnknownOpCode(_) => "unknown_opcode",
            ProtocolError::Unmasked => "unmasked",
            ProtocolError::Masked => "masked",
            ProtocolError::FragmentedControl => "fragmented_control",
            ProtocolError::ControlTooLong => "control_too_long",
            ProtocolError::InvalidLength(_) => "invalid_length",
            ProtocolError::UnexpectedContinuation => "unexpected_continuation",
            ProtocolError::ExpectedContinuation => "expected_continuation",
            ProtocolError::InvalidUtf8 => "invalid_utf8",
            ProtocolError::InvalidClosePayload => "invalid_close_payload",
            ProtocolError::InvalidCloseCode(_) => "invalid_close_code",
            ProtocolError::FrameTooBig { .. } => "frame_too_big",
            ProtocolError::MessageTooBig { .. } => "message_too_big",
            ProtocolError::TooManyFragments { .. } => "too_many_fragments",
            ProtocolError::InvalidDeflate => "invalid_deflate",
        }
    }
}
