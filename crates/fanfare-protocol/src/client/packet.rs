//! Packets of Engine.IO, encoded.

use bytes::Bytes;

/// One Engine.IO packet ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Content of the packet.
    pub body: Body,
    /// Whether a WebSocket with permessage-deflate may compress it.
    pub compress: bool,
}

/// Bytes of a [`Packet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// UTF-8 text with its type digit: a WebSocket text message.
    Text(Bytes),
    /// An attachment: a WebSocket binary message.
    Binary(Bytes),
}

impl Packet {
    /// Creates a packet from UTF-8 text with its type digit, which may be compressed.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Text(text.into()),
            compress: true,
        }
    }

    /// Creates a packet from an attachment, which may be compressed.
    #[must_use]
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Binary(data.into()),
            compress: true,
        }
    }

    /// Length of the packet before base64, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Text(bytes) | Body::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the packet has no bytes (an empty attachment).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
