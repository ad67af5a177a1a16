//! Events as prepared messages.

use bytes::Bytes;
use fanfare_engine::{Prepared, PreparedBuf};
use fanfare_protocol::socket::{EncodeError, IntoArgs};

/// Writes an event and its attachments.
#[inline]
pub(crate) fn write_event<A: IntoArgs>(
    buf: &mut PreparedBuf,
    namespace: &str,
    ack: Option<u64>,
    event: &str,
    args: &A,
) -> Result<(), EncodeError> {
    with_attachments(buf, |out, attachments| {
        fanfare_protocol::socket::encode_event(out, namespace, ack, event, args, attachments)
    })
}

/// Writes an acknowledgement and its attachments.
#[inline]
pub(crate) fn write_ack<A: IntoArgs>(
    buf: &mut PreparedBuf,
    namespace: &str,
    id: u64,
    args: &A,
) -> Result<(), EncodeError> {
    with_attachments(buf, |out, attachments| {
        fanfare_protocol::socket::encode_ack(out, namespace, id, args, attachments)
    })
}

#[inline]
fn with_attachments(
    buf: &mut PreparedBuf,
    encode: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut attachments = Vec::new();
    buf.try_text(|out| encode(out, &mut attachments))?;
    for attachment in &attachments {
        buf.binary(attachment);
    }
    Ok(())
}

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
    namespace: &str,
    ack: Option<u64>,
    event: &str,
    args: &A,
) -> Result<Prepared, EncodeError> {
    let mut result = Ok(());
    let message = Prepared::build(|buf| result = write_event(buf, namespace, ack, event, args));
    result.map(|()| message)
}
