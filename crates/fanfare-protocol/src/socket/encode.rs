//! Encoding of packets.
//!
//! Every function appends to a buffer of the caller, which frames it, and leaves the buffer unchanged on failure.

use bytes::Bytes;
use serde::Serialize;

use super::into_args::{IntoArgs, JsonArgs};
use super::json::{EncodeError, write_json, write_string};
use super::packet_type::{PacketType, is_reserved_event};

/// Appends an event. Text is appended to `out`; values that serialize as bytes are appended to `attachments`, to be
/// sent as binary messages right after.
///
/// # Errors
/// [`EncodeError`] if the name is reserved or an argument cannot be serialized; both buffers are then restored.
pub fn encode_event<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    ack: Option<u64>,
    event: &str,
    args: &A,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    if is_reserved_event(event) {
        return Err(EncodeError::ReservedEvent(event.to_owned()));
    }
    write_data(
        out,
        PacketType::Event,
        namespace,
        ack,
        Some(event),
        args,
        attachments,
    )
}

/// Appends an acknowledgement. Bytes are treated as in [`encode_event`].
///
/// # Errors
/// [`EncodeError`] if an argument cannot be serialized; both buffers are then restored.
pub fn encode_ack<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    id: u64,
    args: &A,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    write_data(
        out,
        PacketType::Ack,
        namespace,
        Some(id),
        None,
        args,
        attachments,
    )
}

/// Appends a CONNECT packet, as a client sends it, with its `auth` payload if any. It must serialize to an object.
///
/// # Errors
/// [`EncodeError`] if the payload cannot be serialized.
pub fn encode_connect<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    payload: Option<&T>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_header(out, PacketType::Connect, namespace, None);
    match payload {
        Some(payload) => write_json(out, start, payload),
        None => Ok(()),
    }
}

/// Appends the answer of a server to CONNECT: `{"sid":..}`, with `pid` where connections can be recovered.
pub fn encode_connect_reply(out: &mut Vec<u8>, namespace: &str, sid: &str, pid: Option<&str>) {
    write_header(out, PacketType::Connect, namespace, None);
    out.extend_from_slice(b"{\"sid\":");
    write_string(out, sid);
    if let Some(pid) = pid {
        out.extend_from_slice(b",\"pid\":");
        write_string(out, pid);
    }
    out.push(b'}');
}

/// Appends a CONNECT_ERROR packet: `{"message":..}`, with `data` if any.
///
/// # Errors
/// [`EncodeError`] if the data cannot be serialized.
pub fn encode_connect_error<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    message: &str,
    data: Option<&T>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_header(out, PacketType::ConnectError, namespace, None);
    out.extend_from_slice(b"{\"message\":");
    write_string(out, message);
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        write_json(out, start, data)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends a DISCONNECT packet.
pub fn encode_disconnect(out: &mut Vec<u8>, namespace: &str) {
    write_header(out, PacketType::Disconnect, namespace, None);
}

fn write_data<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    kind: PacketType,
    namespace: &str,
    ack: Option<u64>,
    event: Option<&str>,
    args: &A,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let base = attachments.len();
    write_header(out, kind, namespace, ack);
    out.push(b'[');
    if let Some(event) = event {
        write_string(out, event);
    }
    let written = args.write(&mut JsonArgs::new(out, attachments, event.is_some()));
    if let Err(error) = written {
        out.truncate(start);
        attachments.truncate(base);
        return Err(error);
    }
    out.push(b']');
    let count = attachments.len() - base;
    if count > 0 {
        // Only now is the packet known to be binary: `2` becomes `5<count>-`.
        let binary = match kind {
            PacketType::Ack => PacketType::BinaryAck,
            _ => PacketType::BinaryEvent,
        };
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(count).bytes();
        out.splice(
            start..=start,
            [binary.digit()].into_iter().chain(digits).chain([b'-']),
        );
    }
    Ok(())
}

pub(crate) fn write_header(out: &mut Vec<u8>, kind: PacketType, namespace: &str, ack: Option<u64>) {
    out.push(kind.digit());
    write_address(out, namespace, ack);
}

/// Appends the part of the header after the type and the number of attachments.
pub(crate) fn write_address(out: &mut Vec<u8>, namespace: &str, ack: Option<u64>) {
    if namespace != "/" && !namespace.is_empty() {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = ack {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(id).as_bytes());
    }
}
