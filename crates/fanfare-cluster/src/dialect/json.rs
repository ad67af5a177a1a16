//! Messages in JSON.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::json::{self, Reader};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::members::{Members, Raw};
use super::options::{self, milliseconds};
use super::{DialectError, Envelope, MAX_DEPTH, check_id};
use crate::{ClusterAnswer, ClusterFlags, ClusterOptions, ClusterResponse, SocketData};

#[derive(Deserialize)]
struct JsonEnvelope<'a> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, rename = "nsp")]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "attachmentId")]
    attachment: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

pub(super) fn envelope(payload: &Bytes) -> Result<Envelope<'_>, DialectError> {
    let envelope: JsonEnvelope<'_> = serde_json::from_slice(payload)?;
    Ok(Envelope {
        kind: envelope.kind,
        uid: envelope.uid,
        namespace: envelope.namespace,
        attachment: envelope.attachment,
        data: envelope.data.map(raw),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonMembers<'a> {
    #[serde(borrow)]
    packet: Option<&'a RawValue>,
    opts: Option<JsonOptions>,
    rooms: Option<Rooms>,
    request_id: Option<String>,
    close: Option<Truthy>,
    #[serde(borrow)]
    sockets: Option<&'a RawValue>,
    client_count: Option<u64>,
}

fn raw(value: &RawValue) -> Raw<'_> {
    Raw::Json(value.get())
}

pub(super) fn members(data: &str) -> Result<Members<'_>, DialectError> {
    let members: JsonMembers<'_> = serde_json::from_str(data)?;
    Ok(Members {
        packet: members.packet.map(raw),
        options: members.opts.map(Into::into),
        rooms: members.rooms.map(|rooms| rooms.0),
        request_id: members.request_id,
        close: members.close.is_some_and(|close| close.0),
        sockets: members.sockets.map(raw),
        client_count: members.client_count,
    })
}

/// Reads an answer with sockets.
pub(super) fn sockets_answer(text: &str) -> Result<ClusterResponse, DialectError> {
    let (mut request_id, mut sockets) = (None, None);
    let mut reader = Reader::new(text, MAX_DEPTH);
    reader.members(|name, reader| {
        match name {
            "requestId" => request_id = json::text(reader.value()?),
            "sockets" => sockets = Some(SocketData::read_list(reader)?),
            _ => {
                reader.value()?;
            }
        }
        Ok::<_, DialectError>(())
    })?;
    reader.end()?;
    let request_id = request_id.ok_or(DialectError::Member("requestId"))?;
    check_id(&request_id)?;
    let sockets = sockets.ok_or(DialectError::Member("sockets"))?;
    Ok(ClusterResponse::new(
        request_id,
        ClusterAnswer::Sockets(sockets),
    ))
}

#[derive(Deserialize)]
struct JsonPacket<'a> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Returns the event of a packet.
pub(super) fn packet(packet: &str) -> Result<EncodedEvent, DialectError> {
    let packet: JsonPacket<'_> = serde_json::from_str(packet)?;
    options::check_packet_type(packet.kind)?;
    Ok(EncodedEvent::from_json(packet.data.get(), Vec::new())?)
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct JsonOptions {
    rooms: Option<Rooms>,
    except: Option<Rooms>,
    flags: Option<JsonFlags>,
}

impl From<JsonOptions> for ClusterOptions {
    fn from(options: JsonOptions) -> Self {
        let rooms = |rooms: Option<Rooms>| rooms.map_or_else(Vec::new, |rooms| rooms.0);
        let flags = options.flags.unwrap_or_default();
        Self {
            rooms: rooms(options.rooms),
            except: rooms(options.except),
            flags: ClusterFlags {
                volatile: flags.volatile.is_some_and(|flag| flag.0),
                compress: flags.compress.map(|flag| flag.0),
                timeout: flags.timeout.and_then(milliseconds),
                event_id: flags.id.and_then(|id| id.as_u64()),
            },
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonFlags {
    volatile: Option<Truthy>,
    compress: Option<Truthy>,
    timeout: Option<f64>,
    id: Option<serde_json::Number>,
}

/// Names of rooms; a number is taken as its decimal text.
struct Rooms(Vec<String>);

impl<'de> Deserialize<'de> for Rooms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<Name>::deserialize(deserializer)?;
        Ok(Self(names.into_iter().map(|name| name.0).collect()))
    }
}

/// A name that may be a number, read as the name of an event is.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?.get();
        let inner = written
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        match inner {
            Some(inner) if !inner.contains('\\') => Ok(Self(inner.to_owned())),
            _ => {
                let event = EncodedEvent::from_json(format!("[{written}]"), Vec::new());
                let event = event.map_err(D::Error::custom)?;
                Ok(Self(event.name().to_owned()))
            }
        }
    }
}

/// A value as JavaScript takes it for a condition.
struct Truthy(bool);

impl<'de> Deserialize<'de> for Truthy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TruthyVisitor)
    }
}

struct TruthyVisitor;

impl<'de> Visitor<'de> for TruthyVisitor {
    type Value = Truthy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Truthy, E> {
        Ok(Truthy(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Truthy, E> {
        Ok(Truthy(value != 0))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Truthy, E> {
        Ok(Truthy(value != 0))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Truthy, E> {
        Ok(Truthy(value != 0.0))
    }

    fn visit_str<E>(self, value: &str) -> Result<Truthy, E> {
        Ok(Truthy(!value.is_empty()))
    }

    fn visit_unit<E>(self) -> Result<Truthy, E> {
        Ok(Truthy(false))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Truthy, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Truthy(true))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Truthy, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Truthy(true))
    }
}
