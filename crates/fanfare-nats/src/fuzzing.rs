//! Decoders of what NATS and other nodes send, for the targets in `fuzz/`.

use bytes::{Bytes, BytesMut};
use fanfare_cluster::NodeAnnouncement;

use crate::jetstream::fuzzing as jetstream;
use crate::parts::{MAX_MESSAGE_BYTES, Parts};
use crate::protocol::{Incoming, Operation, Parser};

/// Bytes that the buffer may hold for each byte that has arrived, and beside them.
const BUFFER: (usize, usize) = (4, 256 * 1024);

/// Parses bytes of a server that arrive in pieces of this length. Returns the operations, and whether the input is valid.
///
/// # Panics
/// If the buffer becomes much longer than the input.
pub fn operations(input: &[u8], piece: usize) -> (Vec<String>, bool) {
    let (mut parser, mut buffer, mut found) = (Parser::default(), BytesMut::new(), Vec::new());
    for piece in input.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            assert!(buffer.capacity() <= BUFFER.0 * input.len() + BUFFER.1);
            match parser.next(&mut buffer) {
                Err(_) => return (found, false),
                Ok(None) => break,
                Ok(Some(Operation::Message(message))) => found.push(format!("{message:?}")),
                Ok(Some(operation)) => found.push(format!("{operation:?}")),
            }
        }
    }
    (found, true)
}

/// Incomplete messages of other nodes.
#[derive(Debug, Default)]
pub struct Reassembly(Parts);

impl Reassembly {
    /// Handles a message with this block of headers, as a node does, except for the message of the cluster itself.
    /// Returns it if it is complete.
    ///
    /// # Panics
    /// If more is held than the limit.
    pub fn message(&mut self, headers: &Bytes, payload: &Bytes) -> Option<Bytes> {
        let message = Incoming {
            headers: headers.clone(),
            payload: payload.clone(),
            ..Incoming::default()
        };
        let _ = (message.status(), NodeAnnouncement::read(payload));
        jetstream::read(&message);
        let whole = self.0.take(message.header(crate::parts::PART)?, payload);
        assert!(self.0.bytes() <= MAX_MESSAGE_BYTES);
        whole
    }
}
