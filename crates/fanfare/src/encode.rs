//! Events as encoded messages.

use fanfare_engine::EncodedMessage;
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::socket::{EncodeError, IntoArgs};

use crate::codec::Codec;

/// Encodes an event for clients, other nodes and listeners, in the form that the codec needs first.
pub(crate) fn shared_event<A: IntoArgs>(
    codec: &Codec,
    event: &str,
    args: &A,
) -> Result<EncodedEvent, EncodeError> {
    match codec {
        Codec::Json | Codec::Custom(_) => EncodedEvent::new(event, args),
        Codec::Msgpack => EncodedEvent::new_msgpack(event, args),
    }
}

/// Puts an encoded event into a packet. `last`: one more argument, the position for recovery.
pub(crate) fn packet(
    codec: &Codec,
    namespace: &str,
    ack: Option<u64>,
    event: &EncodedEvent,
    last: Option<&str>,
) -> Result<EncodedMessage, EncodeError> {
    let mut result = Ok(());
    let message =
        EncodedMessage::build(|buf| result = codec.write_shared(buf, namespace, ack, event, last));
    result.map(|()| message)
}

/// Encodes an event once for any number of recipients.
pub(crate) fn encode_event<A: IntoArgs>(
    codec: &Codec,
    namespace: &str,
    ack: Option<u64>,
    event: &str,
    args: &A,
) -> Result<EncodedMessage, EncodeError> {
    let mut result = Ok(());
    let message =
        EncodedMessage::build(|buf| result = codec.write_event(buf, namespace, ack, event, args));
    result.map(|()| message)
}
