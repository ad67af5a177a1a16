//! Encoding of packets for WebSocket and for payloads of polling, in either revision.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::client::{Body, Packet, TransportError};
use crate::engine::{PacketType, Protocol, v3};

/// Maximum length of the payload of a POST to a server of revision 3, which announces none, in bytes. By default such a
/// server rejects more than 1 MB.
const MAX_V3_PAYLOAD_BYTES: usize = 100_000;

/// Returns the maximum length of the payload of a POST, in bytes; `announced` is that of the server's handshake.
pub(super) fn max_post(protocol: Protocol, announced: Option<usize>) -> usize {
    let default = match protocol {
        Protocol::V3 => MAX_V3_PAYLOAD_BYTES,
        Protocol::V4 => usize::MAX,
    };
    announced.filter(|max| *max > 0).unwrap_or(default)
}

/// Splits the first packet off a payload. Returns it, and whether another follows.
pub(super) fn split_payload(
    protocol: Protocol,
    payload: &mut Bytes,
) -> Result<(Bytes, bool), TransportError> {
    match protocol {
        Protocol::V3 => {
            let packet = v3::split_text_packet(payload)
                .ok_or_else(|| parse_error("invalid packet length in a payload"))?;
            let mut head = payload.split_to(packet.end);
            Ok((head.split_off(packet.start), !payload.is_empty()))
        }
        Protocol::V4 => {
            let end = payload.iter().position(|byte| *byte == 0x1e);
            let packet = payload.split_to(end.unwrap_or(payload.len()));
            if end.is_some() {
                let _ = payload.split_to(1);
            }
            Ok((packet, end.is_some()))
        }
    }
}

/// Splits the mark of base64 off a text: `b`, and in revision 3 the type of a message; `None` if it is of another type.
pub(super) fn base64_text(protocol: Protocol, text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"b")?;
    match protocol {
        Protocol::V3 => text.strip_prefix(&[PacketType::Message.digit()]),
        Protocol::V4 => Some(text),
    }
}

/// Takes the content of a WebSocket's binary message. `Ok(None)` if it is not a message of Socket.IO.
pub(super) fn binary_message(
    protocol: Protocol,
    mut data: Bytes,
) -> Result<Option<Bytes>, TransportError> {
    if protocol == Protocol::V4 {
        return Ok(Some(data));
    }
    let packet = v3::decode_binary(&data).map_err(|_| parse_error("bad binary packet"))?;
    let message = packet.kind == PacketType::Message;
    Ok(message.then(|| data.split_off(1)))
}

/// Converts a packet to the message of a WebSocket; with `force_base64`, bytes become text.
pub(super) fn frame(protocol: Protocol, force_base64: bool, packet: &mut Packet) {
    let Body::Binary(data) = &packet.body else {
        return;
    };
    if force_base64 {
        let mut text = Vec::with_capacity(base64_len(protocol, data));
        append_base64(protocol, &mut text, data);
        packet.body = Body::Text(text.into());
    } else if protocol == Protocol::V3 {
        let mut typed = Vec::new();
        v3::encode_binary(&mut typed, data);
        packet.body = Body::Binary(typed.into());
    }
}

/// Returns the maximum number of bytes that a packet takes in a payload with `before` bytes.
pub(super) fn len_in_payload(protocol: Protocol, packet: &Packet, before: usize) -> usize {
    let len = match &packet.body {
        Body::Text(text) => text.len(),
        Body::Binary(data) => base64_len(protocol, data),
    };
    match protocol {
        // The length before it, in digits, and a colon.
        Protocol::V3 => len + len.checked_ilog10().unwrap_or(0) as usize + 2,
        Protocol::V4 => len + usize::from(before > 0),
    }
}

/// Appends a packet to a payload.
pub(super) fn append_to_payload(protocol: Protocol, payload: &mut Vec<u8>, packet: &Packet) {
    match protocol {
        Protocol::V3 => {
            let mut encoder = v3::TextEncoder::new(payload);
            match &packet.body {
                Body::Text(text) => encoder.raw(text),
                Body::Binary(data) => encoder.binary(data),
            }
        }
        Protocol::V4 => {
            if !payload.is_empty() {
                payload.push(0x1e);
            }
            match &packet.body {
                Body::Text(text) => payload.extend_from_slice(text),
                Body::Binary(data) => append_base64(protocol, payload, data),
            }
        }
    }
}

/// Length of an attachment as base64 text, in bytes.
fn base64_len(protocol: Protocol, data: &[u8]) -> usize {
    let mark = match protocol {
        Protocol::V3 => 2,
        Protocol::V4 => 1,
    };
    mark + data.len().div_ceil(3) * 4
}

/// Appends an attachment as base64 text.
fn append_base64(protocol: Protocol, out: &mut Vec<u8>, data: &[u8]) {
    match protocol {
        Protocol::V3 => v3::encode_base64(out, data),
        Protocol::V4 => {
            out.push(b'b');
            out.extend_from_slice(BASE64.encode(data).as_bytes());
        }
    }
}

pub(super) fn parse_error(what: &'static str) -> TransportError {
    TransportError::new("parse error").with_description(what)
}
