//! Encoding of packets.

use serde::Serialize;

use crate::Limits;
use crate::socket::node::{Attached, Node};
use crate::socket::scan::validate;
use crate::socket::{ArgWriter, EncodeError, IntoArgs, PacketType, is_reserved_event};

/// Appends an event, attachments included.
///
/// # Errors
/// [`EncodeError`] if the name is reserved or an argument cannot be serialized; the buffer is then restored.
pub fn encode_event<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    ack: Option<u64>,
    event: &str,
    args: &A,
) -> Result<(), EncodeError> {
    if is_reserved_event(event) {
        return Err(EncodeError::ReservedEvent(event.to_owned()));
    }
    write_data(out, PacketType::Event, namespace, ack, Some(event), args)
}

/// Appends an event to which one more argument may be added before it is complete, attachments included.
///
/// # Errors
/// The same as [`encode_event`].
pub fn open_event<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    event: &str,
    args: &A,
) -> Result<OpenEvent, EncodeError> {
    if is_reserved_event(event) {
        return Err(EncodeError::ReservedEvent(event.to_owned()));
    }
    open_data(out, PacketType::Event, namespace, None, Some(event), args)
}

/// Event at the end of a buffer that was started with [`open_event`].
#[derive(Debug)]
#[must_use = "the event is not complete before `close`"]
pub struct OpenEvent {
    /// Position of the head of its array.
    array: usize,
    /// Number of elements of the array.
    len: usize,
}

impl OpenEvent {
    /// Completes the event, with a last argument if there is one.
    pub fn close(mut self, out: &mut Vec<u8>, last: Option<&str>) {
        if let Some(last) = last {
            write_text(out, last);
            self.len += 1;
        }
        let Self { array, len } = self;
        // Only now is the number of elements known; up to 15 fit the byte already written.
        if let (0..=15, Some(byte)) = (len, out.get_mut(array)) {
            *byte |= len as u8;
            return;
        }
        let mut head = Vec::with_capacity(5);
        write_array(&mut head, len);
        out.splice(array..=array, head);
    }
}

/// Appends an acknowledgement, attachments included.
///
/// # Errors
/// [`EncodeError`] if an argument cannot be serialized; the buffer is then restored.
pub fn encode_ack<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    id: u64,
    args: &A,
) -> Result<(), EncodeError> {
    write_data(out, PacketType::Ack, namespace, Some(id), None, args)
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
    write_head(out, PacketType::Connect, namespace, None, payload.is_some());
    match payload {
        Some(payload) => write_value(out, payload).map_err(|error| {
            out.truncate(start);
            error.in_argument(0)
        }),
        None => Ok(()),
    }
}

/// Appends the answer of a server to CONNECT.
pub fn encode_connect_reply(out: &mut Vec<u8>, namespace: &str, sid: &str, pid: Option<&str>) {
    write_head(out, PacketType::Connect, namespace, None, true);
    out.push(0x81 + u8::from(pid.is_some()));
    write_text(out, "sid");
    write_text(out, sid);
    if let Some(pid) = pid {
        write_text(out, "pid");
        write_text(out, pid);
    }
}

/// Appends a CONNECT_ERROR packet: `{message}`, with `data` if any.
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
    write_head(out, PacketType::ConnectError, namespace, None, true);
    out.push(0x81 + u8::from(data.is_some()));
    write_text(out, "message");
    write_text(out, message);
    if let Some(data) = data {
        write_text(out, "data");
        write_value(out, data).map_err(|error| {
            out.truncate(start);
            error.in_argument(0)
        })?;
    }
    Ok(())
}

/// Appends an ERROR packet of protocol 4, whose data may be any value, usually a string.
///
/// # Errors
/// [`EncodeError`] if the value cannot be serialized.
pub fn encode_error<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    value: &T,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_head(out, PacketType::ConnectError, namespace, None, true);
    write_value(out, value).map_err(|error| {
        out.truncate(start);
        error.in_argument(0)
    })
}

/// Appends a DISCONNECT packet.
pub fn encode_disconnect(out: &mut Vec<u8>, namespace: &str) {
    write_head(out, PacketType::Disconnect, namespace, None, false);
}

fn write_data<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    kind: PacketType,
    namespace: &str,
    id: Option<u64>,
    event: Option<&str>,
    args: &A,
) -> Result<(), EncodeError> {
    let open = open_data(out, kind, namespace, id, event, args)?;
    open.close(out, None);
    Ok(())
}

fn open_data<A: IntoArgs + ?Sized>(
    out: &mut Vec<u8>,
    kind: PacketType,
    namespace: &str,
    id: Option<u64>,
    event: Option<&str>,
    args: &A,
) -> Result<OpenEvent, EncodeError> {
    let start = out.len();
    write_head(out, kind, namespace, id, true);
    let array = out.len();
    out.push(0x90);
    if let Some(event) = event {
        write_text(out, event);
    }
    let mut writer = MsgpackArgs { out, count: 0 };
    if let Err(error) = args.write(&mut writer) {
        out.truncate(start);
        return Err(error);
    }
    let len = writer.count + usize::from(event.is_some());
    Ok(OpenEvent { array, len })
}

/// Writes the map up to its last key, `data`, whose value follows if there is one.
pub(crate) fn write_head(
    out: &mut Vec<u8>,
    kind: PacketType,
    namespace: &str,
    id: Option<u64>,
    data: bool,
) {
    out.push(0x82 + u8::from(id.is_some()) + u8::from(data));
    write_text(out, "type");
    out.push(kind as u8);
    write_text(out, "nsp");
    write_text(out, namespace);
    if let Some(id) = id {
        write_text(out, "id");
        // Serializing a number or a text into a `Vec` cannot fail.
        let _ = write_value(out, &id);
    }
    if data {
        write_text(out, "data");
    }
}

/// Appends a text.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let _ = write_value(out, text);
}

/// Appends a number without a sign, in its shortest form.
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    let _ = write_value(out, &value);
}

/// Appends `true` or `false`.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(0xc2 | u8::from(value));
}

/// Appends the head of an array of this many elements, which the caller appends.
pub fn write_array(out: &mut Vec<u8>, len: usize) {
    write_len(out, len, 0x90, 0xdc);
}

/// Appends the head of a map of this many entries, of which the caller appends the keys and values.
pub fn write_map(out: &mut Vec<u8>, len: usize) {
    write_len(out, len, 0x80, 0xde);
}

fn write_len(out: &mut Vec<u8>, len: usize, short: u8, long: u8) {
    match (len, u16::try_from(len)) {
        (0..=15, _) => out.push(short | len as u8),
        (_, Ok(len)) => {
            out.push(long);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(long + 1);
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

pub(super) struct NotSerializable(String);

impl NotSerializable {
    fn in_argument(self, argument: usize) -> EncodeError {
        EncodeError::NotSerializable {
            argument,
            message: self.0,
        }
    }
}

pub(super) fn write_value<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), NotSerializable> {
    // As in JSON: structs are maps, and types with a human-readable encoding (dates, ids) use that.
    let mut serializer = rmp_serde::Serializer::new(&mut *out)
        .with_struct_map()
        .with_human_readable();
    value
        .serialize(&mut serializer)
        .map_err(|error| NotSerializable(error.to_string()))
}

/// Writer of consecutive arguments, which counts them.
pub(crate) struct MsgpackArgs<'a> {
    out: &'a mut Vec<u8>,
    count: usize,
}

impl<'a> MsgpackArgs<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, count: 0 }
    }

    /// Returns the number of arguments written so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl ArgWriter for MsgpackArgs<'_> {
    fn arg<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        write_value(self.out, value).map_err(|error| error.in_argument(self.count))?;
        self.count += 1;
        Ok(())
    }

    fn raw_json(&mut self, json: &str) -> Result<(), EncodeError> {
        let array = format!("[{json}]");
        let failed = |message: String| NotSerializable(message).in_argument(self.count);
        validate(&array, Limits::JSON_DEPTH_CEILING).map_err(|error| failed(error.to_string()))?;
        let nodes =
            Node::from_json(&array, &Attached::new(&[])).map_err(|error| failed(error.message))?;
        if let Node::Array(nodes) = nodes {
            for node in &nodes {
                self.arg(node)?;
            }
        }
        Ok(())
    }
}
