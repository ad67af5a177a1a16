//! Whole packets, borrowed from the received text.

use std::borrow::Cow;

use super::args::{Args, open_array, rest_of_array};
use super::error::{DecodeError, JsonErrorKind};
use super::header::Header;
use super::packet_type::{PacketType, reserved};
use super::scan::{Escapes, replace_lone_surrogates, validate};
use crate::Limits;

/// One Socket.IO packet.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    /// Joins a namespace, or answers that it is joined.
    Connect(Connect<'a>),
    /// Leaves the namespace of this name.
    Disconnect(&'a str),
    /// An event, with or without attachments.
    Event(Event<'a>),
    /// The answer to an event, with or without attachments.
    Ack(Ack<'a>),
    /// The server rejected the request to join a namespace.
    ConnectError(ConnectError<'a>),
}

impl<'a> Packet<'a> {
    /// Name of the namespace the packet belongs to.
    #[must_use]
    pub const fn namespace(&self) -> &'a str {
        match self {
            Self::Connect(packet) => packet.namespace,
            Self::Disconnect(namespace) => namespace,
            Self::Event(packet) => packet.namespace,
            Self::Ack(packet) => packet.namespace,
            Self::ConnectError(packet) => packet.namespace,
        }
    }
}

/// Contents of a CONNECT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Name of the namespace.
    pub namespace: &'a str,
    /// JSON object, if any: the client's `auth`, or the server's `{"sid":..}`. Valid for `serde_json`: escaped lone
    /// surrogates are replaced already.
    pub payload: Option<Cow<'a, str>>,
}

/// Contents of an EVENT or BINARY_EVENT packet.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Name of the namespace.
    pub namespace: &'a str,
    /// Id under which an acknowledgement is expected.
    pub ack: Option<u64>,
    /// Name of the event; a name sent as number is its decimal text, as in JavaScript.
    pub name: Cow<'a, str>,
    /// Arguments without the name.
    pub args: Args<'a>,
}

/// Contents of an ACK or BINARY_ACK packet.
#[derive(Clone, Debug)]
pub struct Ack<'a> {
    /// Name of the namespace.
    pub namespace: &'a str,
    /// Id of the event that is acknowledged.
    pub id: u64,
    /// Arguments of the acknowledgement.
    pub args: Args<'a>,
}

/// Contents of a CONNECT_ERROR packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError<'a> {
    /// Name of the namespace.
    pub namespace: &'a str,
    /// JSON object with `message` and perhaps `data`, or a string (protocol 4), if any.
    pub payload: Option<Cow<'a, str>>,
}

/// Message and data of a CONNECT_ERROR packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectErrorBody {
    /// Message of the error; empty if there is none.
    pub message: String,
    /// JSON of the error's `data`, if there is any.
    pub data: Option<String>,
}

impl ConnectError<'_> {
    /// Returns the message and data, of protocol 5 (`{"message":..,"data":..}`) or 4 (a string, or any other value as
    /// data).
    #[must_use]
    pub fn body(&self) -> ConnectErrorBody {
        use serde_json::Value;
        let json = self.payload.as_deref().unwrap_or("null");
        match serde_json::from_str(json).unwrap_or(Value::Null) {
            Value::String(message) => ConnectErrorBody {
                message,
                data: None,
            },
            Value::Object(mut map) => match map.remove("message") {
                Some(Value::String(message)) => ConnectErrorBody {
                    message,
                    data: map.remove("data").map(|data| data.to_string()),
                },
                _ => ConnectErrorBody {
                    message: String::new(),
                    data: Some(json.to_owned()),
                },
            },
            _ => ConnectErrorBody {
                message: String::new(),
                data: None,
            },
        }
    }
}

/// Decodes a packet without missing attachments: every text packet, and binary ones with a count of zero.
///
/// # Errors
/// [`DecodeError`] if the packet is malformed or over a limit; [`DecodeError::UnexpectedText`] if attachments must
/// follow, which need a [`Decoder`](super::Decoder).
pub fn decode<'a>(text: &'a str, limits: &Limits) -> Result<Packet<'a>, DecodeError> {
    let header = Header::parse(text, limits)?;
    if header.attachments > 0 {
        return Err(DecodeError::UnexpectedText {
            missing: header.attachments,
        });
    }
    decode_body(&header, limits)
}

/// Decodes the part after the header. The caller adds the attachments.
pub(crate) fn decode_body<'a>(
    header: &Header<'a>,
    limits: &Limits,
) -> Result<Packet<'a>, DecodeError> {
    let namespace = header.namespace;
    Ok(match header.kind {
        PacketType::Event | PacketType::BinaryEvent => {
            let (name, args) = event(header, limits)?;
            Packet::Event(Event {
                namespace,
                ack: header.ack,
                name,
                args,
            })
        }
        PacketType::Ack | PacketType::BinaryAck => {
            let id = header.ack.ok_or(DecodeError::InvalidAckId)?;
            if first_byte(header.data) != Some(b'[') {
                return Err(not_an_array(header, limits));
            }
            let args =
                Args::from_json_array(header.data, limits.json_depth(), limits.max_arguments)?;
            Packet::Ack(Ack {
                namespace,
                id,
                args,
            })
        }
        PacketType::Connect => Packet::Connect(Connect {
            namespace,
            payload: payload(header, limits, b"{")?,
        }),
        PacketType::ConnectError => Packet::ConnectError(ConnectError {
            namespace,
            payload: payload(header, limits, b"{\"")?,
        }),
        PacketType::Disconnect => {
            if !header.data.is_empty() {
                return Err(DecodeError::InvalidPayload(header.kind));
            }
            Packet::Disconnect(namespace)
        }
    })
}

/// Splits the array of an event into name and arguments.
fn event<'a>(
    header: &Header<'a>,
    limits: &Limits,
) -> Result<(Cow<'a, str>, Args<'a>), DecodeError> {
    let json = header.data;
    if first_byte(json) != Some(b'[') {
        return Err(not_an_array(header, limits));
    }
    let mut scanner = open_array(json, limits.json_depth())?;
    let start = scanner.pos();
    let first = scanner.peek()?;
    if !matches!(first, b'"' | b'-' | b'0'..=b'9') {
        // Report invalid JSON as such, not as an invalid name.
        rest_of_array(&mut scanner, true, usize::MAX)?;
        return Err(DecodeError::InvalidPayload(header.kind));
    }
    scanner.value(1)?;
    let end = scanner.pos();
    let escapes = scanner.escapes();
    scanner.whitespace();
    let bounds = rest_of_array(&mut scanner, false, limits.max_arguments)?;

    let written = &json[start..end];
    if written.len() > limits.max_event_name_len {
        return Err(DecodeError::EventNameTooLong {
            len: written.len(),
            limit: limits.max_event_name_len,
        });
    }
    let name = match first {
        b'"' => {
            let name = string(written, escapes).ok_or_else(|| bad_name(start))?;
            if let Some(reserved) = reserved(&name) {
                return Err(DecodeError::ReservedEvent(reserved));
            }
            name
        }
        _ => number_name(written),
    };
    Ok((name, Args::json(json, bounds, scanner.escapes())))
}

fn bad_name(at: usize) -> DecodeError {
    DecodeError::Json {
        at,
        kind: JsonErrorKind::InvalidEscape,
    }
}

/// Returns the value of a scanned JSON string; borrowed if it has no escapes.
pub(crate) fn string(written: &str, escapes: Escapes) -> Option<Cow<'_, str>> {
    let text: String = match escapes {
        Escapes::None => return written.get(1..written.len() - 1).map(Cow::Borrowed),
        Escapes::Characters => serde_json::from_str(written).ok()?,
        Escapes::LoneSurrogates => serde_json::from_str(&replace_lone_surrogates(written)).ok()?,
    };
    Some(Cow::Owned(text))
}

/// Returns JavaScript's text of a number used as event name.
pub(crate) fn number_name(written: &str) -> Cow<'_, str> {
    /// Limit below which integers are exact in a double, and written without exponent.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let plain = written.len() <= 15 && written.bytes().all(|byte| byte.is_ascii_digit());
    if plain {
        return Cow::Borrowed(written);
    }
    match written.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < EXACT => {
            Cow::Owned((number as i64).to_string())
        }
        Ok(number) if number.is_finite() && (1e-6..1e21).contains(&number.abs()) => {
            Cow::Owned(number.to_string())
        }
        _ => Cow::Borrowed(written),
    }
}

/// Reads a payload that may be absent, and otherwise starts with one of these bytes.
fn payload<'a>(
    header: &Header<'a>,
    limits: &Limits,
    starts: &[u8],
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let json = header.data;
    if json.is_empty() {
        return Ok(None);
    }
    let escapes = validate(json, limits.json_depth())?;
    if !first_byte(json).is_some_and(|byte| starts.contains(&byte)) {
        return Err(DecodeError::InvalidPayload(header.kind));
    }
    Ok(Some(if escapes == Escapes::LoneSurrogates {
        Cow::Owned(replace_lone_surrogates(json))
    } else {
        Cow::Borrowed(json)
    }))
}

/// Returns the error for data that do not start with a bracket: invalid JSON, or a wrong payload.
fn not_an_array(header: &Header<'_>, limits: &Limits) -> DecodeError {
    if header.data.is_empty() {
        return DecodeError::InvalidPayload(header.kind);
    }
    match validate(header.data, limits.json_depth()) {
        Ok(_) => DecodeError::InvalidPayload(header.kind),
        Err(error) => error,
    }
}

/// Returns the first byte without skipping white space: no client puts any before the JSON, and Node would read it as
/// an acknowledgement id of 0.
fn first_byte(json: &str) -> Option<u8> {
    json.as_bytes().first().copied()
}
