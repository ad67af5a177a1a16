use bytes::Bytes;

use super::EncodedValue;
use super::value::msgpack_array;
use crate::msgpack;
use crate::socket::encode::write_address;
use crate::socket::json::write_string;
use crate::socket::packet::{number_name, string};
use crate::socket::{
    AllArgs, Args, ArgsBuf, ArgsError, DecodeError, EncodeError, IntoArgs, JsonArgs, PacketType,
    is_reserved_event,
};
use crate::{Limits, Value};

/// An event in encoded form: an array of its name and its arguments, as JSON with attachments, as MessagePack, or
/// both. Cheap to clone; clones share the encodings.
///
/// ```
/// use bytes::Bytes;
/// use fanfare_protocol::EncodedEvent;
///
/// let event = EncodedEvent::new("picture", &(1, Bytes::from_static(b"x")))?;
/// assert_eq!(event.data().json(), r#"["picture",1,{"_placeholder":true,"num":0}]"#);
/// assert_eq!(event.data().msgpack()[..], *b"\x93\xa7picture\x01\xc4\x01x");
/// # Ok::<_, fanfare_protocol::socket::EncodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedEvent {
    name: Box<str>,
    data: EncodedValue,
}

impl EncodedEvent {
    /// Encodes an event as JSON.
    ///
    /// # Errors
    /// [`EncodeError`] if the name is reserved or an argument cannot be serialized.
    pub fn new<A: IntoArgs + ?Sized>(event: &str, args: &A) -> Result<Self, EncodeError> {
        check_name(event)?;
        let (mut text, mut attachments) = (Vec::with_capacity(128), Vec::new());
        text.push(b'[');
        write_string(&mut text, event);
        args.write(&mut JsonArgs::new(&mut text, &mut attachments, true))?;
        text.push(b']');
        Ok(Self {
            name: event.into(),
            data: EncodedValue::from_parts(text, attachments)?,
        })
    }

    /// Encodes an event as MessagePack.
    ///
    /// # Errors
    /// The same as [`new`](Self::new).
    pub fn new_msgpack<A: IntoArgs + ?Sized>(event: &str, args: &A) -> Result<Self, EncodeError> {
        check_name(event)?;
        let message = msgpack_array(|writer| args.write(writer), event)?;
        let inspected =
            msgpack::inspect(&message).map_err(|error| EncodeError::NotSerializable {
                argument: 0,
                message: error.to_string(),
            })?;
        Ok(Self {
            name: event.into(),
            data: EncodedValue::msgpack_checked(message, inspected.binaries),
        })
    }

    /// Creates an event from received JSON and its attachments. The name may be reserved.
    ///
    /// # Errors
    /// [`DecodeError`], as of [`EncodedValue::from_json`], or if it is not an array that starts with a name.
    pub fn from_json(
        json: impl Into<String>,
        attachments: Vec<Bytes>,
    ) -> Result<Self, DecodeError> {
        let (data, name) = EncodedValue::read_json(json.into(), attachments, name_of)?;
        Ok(Self { name, data })
    }

    /// Creates an event from received MessagePack. The name may be reserved.
    ///
    /// # Errors
    /// [`DecodeError`], as of [`EncodedValue::from_msgpack`], or if it is not an array that starts with a name.
    pub fn from_msgpack(message: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let data = EncodedValue::from_msgpack(message)?;
        let name = msgpack::first_text(data.msgpack());
        let name = name.ok_or(DecodeError::InvalidPayload(PacketType::Event))?;
        Ok(Self {
            name: name.into(),
            data,
        })
    }

    /// Returns the name; that of an event sent with a number is its decimal text, as in JavaScript.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the array of the name and the arguments.
    #[must_use]
    pub fn data(&self) -> &EncodedValue {
        &self.data
    }

    /// Returns the arguments without the name; `None` if they cannot be read, which happens only to JSON that the
    /// application passed on unchecked.
    #[must_use]
    pub fn args(&self) -> Option<ArgsBuf> {
        let mut args = Args::from_json(self.data.json(), Limits::JSON_DEPTH_CEILING).ok()?;
        args.attachments = self.data.attachments();
        Some(args.skip(1).to_buf())
    }

    /// Deserializes the name and the arguments as dynamic values.
    ///
    /// # Errors
    /// [`ArgsError`] if they cannot be read, which happens only to JSON that the application passed on unchecked.
    pub fn values(&self) -> Result<Vec<Value>, ArgsError> {
        let args = Args::from_json(self.data.json(), Limits::JSON_DEPTH_CEILING);
        let mut args = args.unwrap_or_else(|_| Args::empty());
        args.attachments = self.data.attachments();
        let AllArgs(values) = args.decode()?;
        Ok(values)
    }

    /// Appends the text of the packet, which its [attachments](EncodedValue::attachments) must follow. `last` is one
    /// more argument, a text.
    pub fn write_text(
        &self,
        out: &mut Vec<u8>,
        namespace: &str,
        ack: Option<u64>,
        last: Option<&str>,
    ) {
        let json = self.data.json();
        out.reserve(json.len() + namespace.len() + 64);
        match self.data.attachments().len() {
            0 => out.push(PacketType::Event.digit()),
            count => {
                out.push(PacketType::BinaryEvent.digit());
                out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
                out.push(b'-');
            }
        }
        write_address(out, namespace, ack);
        match last {
            None => out.extend_from_slice(json.as_bytes()),
            Some(last) => {
                // The array has at least one element, the name.
                out.extend_from_slice(json.strip_suffix(']').unwrap_or(json).as_bytes());
                out.push(b',');
                write_string(out, last);
                out.push(b']');
            }
        }
    }

    /// Appends the packet as MessagePack, attachments included. `last` is one more argument, a text.
    pub fn write_msgpack(
        &self,
        out: &mut Vec<u8>,
        namespace: &str,
        ack: Option<u64>,
        last: Option<&str>,
    ) {
        let data = self.data.msgpack();
        out.reserve(data.len() + namespace.len() + 64);
        msgpack::write_head(out, PacketType::Event, namespace, ack, true);
        match last {
            None => out.extend_from_slice(data),
            Some(last) => {
                let (len, elements) = msgpack::split_array(data);
                msgpack::write_array(out, len + 1);
                out.extend_from_slice(elements);
                msgpack::write_text(out, last);
            }
        }
    }
}

/// Checks the JSON of an event, and returns its name.
fn name_of(json: &str) -> Result<Box<str>, DecodeError> {
    let args = Args::from_json(json, Limits::JSON_DEPTH_CEILING)?;
    let written = args.get(0).unwrap_or_default();
    let name = match written.bytes().next() {
        Some(b'"') => string(written, args.escapes),
        Some(b'-' | b'0'..=b'9') => Some(number_name(written)),
        _ => None,
    };
    let name = name.ok_or(DecodeError::InvalidPayload(PacketType::Event))?;
    Ok(name.into())
}

fn check_name(event: &str) -> Result<(), EncodeError> {
    match is_reserved_event(event) {
        true => Err(EncodeError::ReservedEvent(event.to_owned())),
        false => Ok(()),
    }
}
