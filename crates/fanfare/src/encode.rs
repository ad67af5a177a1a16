//! Events as prepared messages.

use bytes::Bytes;
use fanfare_engine::Prepared;
use fanfare_protocol::socket::{EncodeError, IntoArgs};

use crate::codec::Codec;

/// The text of an event, and its attachments.
pub(crate) fn event_text<A: IntoArgs>(
    namespace: &str,
    event: &str,
    args: &A,
) -> Result<(Vec<u8>, Vec<Bytes>), EncodeError> {
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    fanfare_protocol::socket::encode_event(
        &mut text,
        namespace,
        None,
        event,
        args,
        &mut attachments,
    )?;
    Ok((text, attachments))
}

/// An event, encoded once for any number of recipients.
pub(crate) fn encode_event<A: IntoArgs>(
    codec: &Codec,
    namespace: &str,
    ack: Option<u64>,
    event: &str,
    args: &A,
) -> Result<Prepared, EncodeError> {
    let mut result = Ok(());
    let message =
        Prepared::build(|buf| result = codec.write_event(buf, namespace, ack, event, args));
    result.map(|()| message)
}
