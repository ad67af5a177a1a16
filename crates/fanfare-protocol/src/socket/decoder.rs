//! Reassembly of packets and their attachments.

use bytes::Bytes;

use super::args::{Args, ArgsBuf};
use super::error::DecodeError;
use super::header::Header;
use super::packet::{Ack, Event, Packet, decode_body};
use super::placeholders::used_twice;
use crate::Limits;

/// Decoder of the packets of one connection, which holds a binary packet until its attachments have arrived.
///
/// It owns no memory unless attachments are missing. A binary packet without attachments is delivered at once (Node's
/// decoder would fail on the next packet).
///
/// ```
/// # use fanfare_protocol::{Limits, socket::{Decoder, Packet}};
/// let (mut decoder, limits) = (Decoder::new(), Limits::default());
/// let packet = decoder.text(r#"2["hello",1]"#, &limits)?.unwrap();
/// let Packet::Event(event) = packet else { panic!() };
/// assert_eq!((event.name.as_ref(), event.args.get(0)), ("hello", Some("1")));
/// # Ok::<_, fanfare_protocol::socket::DecodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    packet: Assembled,
    missing: usize,
    len: usize,
}

impl Decoder {
    /// Creates a decoder that waits for no attachments.
    #[must_use]
    pub const fn new() -> Self {
        Self { pending: None }
    }

    /// Decodes a text message; returns the packet unless attachments must follow.
    ///
    /// # Errors
    /// [`DecodeError`] if the message is malformed, over a limit, or came before the attachments of the previous
    /// packet.
    pub fn text<'a>(
        &mut self,
        text: &'a str,
        limits: &Limits,
    ) -> Result<Option<Packet<'a>>, DecodeError> {
        if let Some(pending) = self.pending.take() {
            return Err(DecodeError::UnexpectedText {
                missing: pending.missing,
            });
        }
        let header = Header::parse(text, limits)?;
        let packet = decode_body(&header, limits)?;
        if header.attachments == 0 {
            return Ok(Some(packet));
        }
        // Checked here, because every packet with attachments passes here.
        if let Some(num) = used_twice(header.data, header.attachments) {
            return Err(DecodeError::AttachmentReused { num });
        }
        self.pending = Assembled::waiting(packet).map(|packet| {
            Box::new(Pending {
                packet,
                missing: header.attachments,
                len: 0,
            })
        });
        Ok(None)
    }

    /// Adds a binary message, the next attachment; returns the packet if it was the last.
    ///
    /// # Errors
    /// [`DecodeError`] if no attachment is missing, or the attachments are too long together.
    pub fn binary(
        &mut self,
        data: &[u8],
        limits: &Limits,
    ) -> Result<Option<Assembled>, DecodeError> {
        let Some(mut pending) = self.pending.take() else {
            return Err(DecodeError::UnexpectedBinary);
        };
        pending.len += data.len();
        if pending.len > limits.max_attachment_bytes {
            return Err(DecodeError::AttachmentsTooLong {
                len: pending.len,
                limit: limits.max_attachment_bytes,
            });
        }
        pending
            .packet
            .args
            .attachments
            .push(Bytes::copy_from_slice(data));
        pending.missing -= 1;
        if pending.missing > 0 {
            self.pending = Some(pending);
            return Ok(None);
        }
        Ok(Some(pending.packet))
    }

    /// Number of missing attachments.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.missing)
    }

    /// Number of bytes held for a packet whose attachments are missing.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending
            .as_ref()
            .map_or(0, |pending| pending.len + pending.packet.args.text_len())
    }

    /// Drops the packet whose attachments are missing.
    pub fn reset(&mut self) {
        self.pending = None;
    }
}

/// Event or acknowledgement with all its attachments.
#[derive(Clone, Debug)]
pub struct Assembled {
    namespace: Box<str>,
    /// Name of an event; `None` for an acknowledgement.
    name: Option<Box<str>>,
    ack: Option<u64>,
    args: ArgsBuf,
}

impl Assembled {
    fn waiting(packet: Packet<'_>) -> Option<Self> {
        let (namespace, name, ack, args): (_, _, _, Args<'_>) = match packet {
            Packet::Event(event) => (
                event.namespace,
                Some(event.name.as_ref().into()),
                event.ack,
                event.args,
            ),
            Packet::Ack(ack) => (ack.namespace, None, Some(ack.id), ack.args),
            // Only these two have attachments.
            _ => return None,
        };
        Some(Self {
            namespace: namespace.into(),
            name,
            ack,
            args: args.to_buf(),
        })
    }

    /// Returns the packet with its attachments.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        let args = self.args.as_args();
        match &self.name {
            Some(name) => Packet::Event(Event {
                namespace: &self.namespace,
                ack: self.ack,
                name: name.as_ref().into(),
                args,
            }),
            None => Packet::Ack(Ack {
                namespace: &self.namespace,
                id: self.ack.unwrap_or_default(),
                args,
            }),
        }
    }
}
