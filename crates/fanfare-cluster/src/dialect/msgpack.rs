//! Messages in MessagePack.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::msgpack::{Head, Reader};

use super::members::{Members, Raw};
use super::options::{check_packet_type, milliseconds};
use super::{DialectError, Envelope, MAX_DEPTH};
use crate::ClusterOptions;

type Read<T> = Result<T, DialectError>;

/// Number of rooms for which memory is reserved before they are read.
const RESERVED_ROOMS: usize = 16;

/// Reads a map: calls `member` with each name, which reads the value.
fn map<'a>(
    reader: &mut Reader<'a>,
    name: &'static str,
    mut member: impl FnMut(&[u8], &mut Reader<'a>) -> Read<()>,
) -> Read<()> {
    let Head::Map(len) = reader.head()? else {
        return Err(DialectError::Member(name));
    };
    for _ in 0..len {
        let key = match reader.head()? {
            Head::Text(key) => key,
            // No expected name is a number.
            Head::Unsigned(_) | Head::Signed(_) | Head::Float(_) => b"",
            _ => return Err(reader.error().into()),
        };
        member(key, reader)?;
    }
    Ok(())
}

/// Skips a value inside of a map, and returns its bounds; `None` if it is `null` or `undefined`.
fn value(reader: &mut Reader<'_>) -> Read<Option<Range<usize>>> {
    let start = reader.pos();
    let absent = matches!(reader.clone().head()?, Head::Nil | Head::Undefined);
    reader.skip(1)?;
    Ok((!absent).then(|| start..reader.pos()))
}

/// Reads a scalar; the contents of an array or map are not scalars.
fn scalar<'a>(reader: &mut Reader<'a>, name: &'static str) -> Read<Option<Head<'a>>> {
    match reader.head()? {
        Head::Nil | Head::Undefined => Ok(None),
        Head::Array(_) | Head::Map(_) => Err(DialectError::Member(name)),
        head => Ok(Some(head)),
    }
}

fn text<'a>(reader: &mut Reader<'a>, name: &'static str) -> Read<Option<Cow<'a, str>>> {
    match scalar(reader, name)? {
        Some(head @ Head::Text(_)) => Ok(head.name()),
        None => Ok(None),
        Some(_) => Err(DialectError::Member(name)),
    }
}

fn unsigned(reader: &mut Reader<'_>, name: &'static str) -> Read<Option<u64>> {
    match scalar(reader, name)? {
        Some(Head::Unsigned(number)) => Ok(Some(number)),
        None => Ok(None),
        Some(_) => Err(DialectError::Member(name)),
    }
}

/// Reads a value as JavaScript takes it for a condition.
fn truthy(reader: &mut Reader<'_>) -> Read<Option<bool>> {
    let head = reader.clone().head()?;
    reader.skip(MAX_DEPTH / 2)?;
    Ok(match head {
        Head::Nil | Head::Undefined => None,
        Head::Bool(value) => Some(value),
        Head::Unsigned(number) => Some(number != 0),
        Head::Float(number) => Some(number != 0.0 && !number.is_nan()),
        Head::Text(text) => Some(!text.is_empty()),
        _ => Some(true),
    })
}

pub(super) fn envelope(payload: &Bytes) -> Read<Envelope<'_>> {
    let mut reader = Reader::new(payload, MAX_DEPTH);
    let (mut kind, mut uid) = (None, None);
    let (mut namespace, mut attachment, mut data) = (None, None, None);
    map(&mut reader, "message", |name, reader| {
        match name {
            b"type" => kind = unsigned(reader, "type")?,
            b"uid" => uid = text(reader, "uid")?,
            b"nsp" => namespace = text(reader, "nsp")?,
            b"attachmentId" => attachment = text(reader, "attachmentId")?,
            b"data" => data = value(reader)?,
            _ => reader.skip(1)?,
        }
        Ok(())
    })?;
    if !reader.at_end() {
        return Err(reader.error().into());
    }
    Ok(Envelope {
        kind: kind.ok_or(DialectError::Member("type"))?,
        uid: uid.unwrap_or_default(),
        namespace,
        attachment,
        data: data.map(|range| Raw::Msgpack(payload.slice(range))),
    })
}

pub(super) fn members<'a>(data: &Bytes) -> Read<Members<'a>> {
    let mut reader = Reader::new(data, MAX_DEPTH);
    let mut members = Members::default();
    let raw = |range: Range<usize>| Raw::Msgpack(data.slice(range));
    map(&mut reader, "data", |name, reader| {
        match name {
            b"packet" => members.packet = value(reader)?.map(raw),
            b"opts" => members.options = Some(read_options(reader)?),
            b"rooms" => members.rooms = Some(rooms(reader, "rooms")?),
            b"requestId" => members.request_id = text(reader, "requestId")?.map(Cow::into_owned),
            b"close" => members.close = truthy(reader)?.unwrap_or_default(),
            b"sockets" => members.sockets = value(reader)?.map(raw),
            b"clientCount" => members.client_count = unsigned(reader, "clientCount")?,
            _ => reader.skip(1)?,
        }
        Ok(())
    })?;
    match reader.at_end() {
        true => Ok(members),
        false => Err(reader.error().into()),
    }
}

/// Packet of an event between nodes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EventPacket {
    /// The event.
    pub event: EncodedEvent,
    /// Namespace, where the packet has it: with the classic Redis adapter and with emitters.
    pub namespace: Option<String>,
}

/// Reads a packet `{type, data, nsp?}` from a message.
///
/// `reader` reads this `message`; the event shares its memory.
///
/// # Errors
/// [`DialectError`] if it is no valid packet of an event.
pub fn read_packet(message: &Bytes, reader: &mut Reader<'_>) -> Result<EventPacket, DialectError> {
    let (mut kind, mut event, mut namespace) = (None, None, None);
    map(reader, "packet", |name, reader| {
        match name {
            b"type" => kind = unsigned(reader, "packet.type")?,
            b"nsp" => namespace = text(reader, "packet.nsp")?.map(Cow::into_owned),
            b"data" => event = value(reader)?,
            _ => reader.skip(1)?,
        }
        Ok(())
    })?;
    check_packet_type(kind.ok_or(DialectError::Member("packet.type"))?)?;
    let event = event.ok_or(DialectError::Member("packet.data"))?;
    Ok(EventPacket {
        event: EncodedEvent::from_msgpack(message.slice(event))?,
        namespace,
    })
}

pub(super) fn packet(message: &Bytes) -> Read<EventPacket> {
    read_packet(message, &mut Reader::new(message, MAX_DEPTH))
}

/// Reads a selection of sockets, `{rooms, except, flags?}`, from a message.
///
/// # Errors
/// [`DialectError`] if a member is invalid. Missing members are empty.
pub fn read_options(reader: &mut Reader<'_>) -> Result<ClusterOptions, DialectError> {
    let mut options = ClusterOptions::default();
    map(reader, "opts", |name, reader| {
        match name {
            b"rooms" => options.rooms = rooms(reader, "opts.rooms")?,
            b"except" => options.except = rooms(reader, "opts.except")?,
            b"flags" if matches!(reader.clone().head()?, Head::Map(_)) => {
                map(reader, "opts.flags", |name, reader| {
                    let flags = &mut options.flags;
                    match name {
                        b"volatile" => flags.volatile = truthy(reader)?.unwrap_or_default(),
                        b"compress" => flags.compress = truthy(reader)?,
                        b"timeout" => {
                            let timeout = match scalar(reader, "opts.flags.timeout")? {
                                Some(Head::Unsigned(number)) => Some(number as f64),
                                Some(Head::Signed(number)) => Some(number as f64),
                                Some(Head::Float(number)) => Some(number),
                                _ => None,
                            };
                            flags.timeout = timeout.and_then(milliseconds);
                        }
                        b"id" => {
                            if let Head::Unsigned(number) = reader.clone().head()? {
                                flags.event_id = Some(number);
                            }
                            reader.skip(1)?;
                        }
                        _ => reader.skip(1)?,
                    }
                    Ok(())
                })?;
            }
            _ => reader.skip(1)?,
        }
        Ok(())
    })?;
    Ok(options)
}

/// Reads names of rooms; a number is taken as its decimal text.
fn rooms(reader: &mut Reader<'_>, member: &'static str) -> Read<Vec<String>> {
    let len = match reader.head()? {
        Head::Array(len) => len,
        Head::Nil | Head::Undefined => 0,
        _ => return Err(DialectError::Member(member)),
    };
    let mut rooms = Vec::with_capacity(RESERVED_ROOMS.min(len as usize));
    for _ in 0..len {
        let name = reader.head()?.name();
        rooms.push(name.ok_or(DialectError::Member(member))?.into_owned());
    }
    Ok(rooms)
}
