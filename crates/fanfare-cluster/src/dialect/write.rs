//! Encoding of messages, with members in the order in which Node.js writes them.

use std::time::Duration;

use fanfare_protocol::msgpack::{write_array, write_bool, write_map, write_text, write_uint};
use fanfare_protocol::{EncodedEvent, EncodedValue};

use super::AdapterMessage;
use crate::{ClusterAnswer, ClusterMessage, ClusterOptions, SocketData};

/// Number of bytes that an envelope needs beside its contents.
const ENVELOPE_BYTES: usize = 192;

/// A message or its contents, as JSON or, if there is binary in it, as MessagePack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// JSON, without binary.
    Json(String),
    /// MessagePack.
    Msgpack(Vec<u8>),
}

impl Encoded {
    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(text) => text.as_bytes(),
            Self::Msgpack(bytes) => bytes,
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Json(text) => text.into_bytes(),
            Self::Msgpack(bytes) => bytes,
        }
    }
}

impl AdapterMessage {
    /// Whether there is binary in the contents, so that JSON cannot carry them.
    #[must_use]
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Message(ClusterMessage::Broadcast(message)) => message.event.data().has_binary(),
            Self::Message(ClusterMessage::ServerSideEmit(message)) => {
                message.event.data().has_binary()
            }
            Self::Message(ClusterMessage::PeerRequest(message)) => message.body.has_binary(),
            Self::Response(response) => match &response.answer {
                ClusterAnswer::ServerSideEmit(value)
                | ClusterAnswer::Ack(value)
                | ClusterAnswer::Peer(value) => value.has_binary(),
                ClusterAnswer::Sockets(_) | ClusterAnswer::ClientCount(_) => false,
            },
            _ => false,
        }
    }

    /// Encodes the message as JSON, or as MessagePack if there is binary in it.
    #[must_use]
    pub fn encode(&self, uid: &str, namespace: Option<&str>) -> Encoded {
        match self.has_binary() {
            true => Encoded::Msgpack(self.encode_msgpack(uid, namespace)),
            false => Encoded::Json(text(|out| self.write_json(out, uid, namespace))),
        }
    }

    /// Encodes the message as MessagePack.
    #[must_use]
    pub fn encode_msgpack(&self, uid: &str, namespace: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.capacity(true));
        let has_data = self.data_len().is_some();
        write_map(
            &mut out,
            2 + usize::from(has_data) + usize::from(namespace.is_some()),
        );
        write_text(&mut out, "type");
        write_uint(&mut out, self.message_type());
        if has_data {
            write_text(&mut out, "data");
            self.write_data(&mut out);
        }
        write_text(&mut out, "uid");
        write_text(&mut out, uid);
        if let Some(namespace) = namespace {
            write_text(&mut out, "nsp");
            write_text(&mut out, namespace);
        }
        out
    }

    /// Encodes the contents alone, as JSON, or as MessagePack if there is binary in them; `None` if there are none.
    #[must_use]
    pub fn encode_data(&self) -> Option<Encoded> {
        self.data_len()?;
        Some(match self.has_binary() {
            true => {
                let mut out = Vec::with_capacity(self.capacity(true));
                self.write_data(&mut out);
                Encoded::Msgpack(out)
            }
            false => Encoded::Json(text(|out| self.write_data_json(out))),
        })
    }

    /// Encodes the contents alone as JSON, in which binary values have the form that `JSON.stringify` of Node.js gives them;
    /// `None` if there are no contents.
    #[must_use]
    pub fn encode_data_plaintext(&self) -> Option<String> {
        self.data_len()?;
        Some(text(|out| self.write_data_json(out)))
    }

    /// Returns an estimate of the length, without converting anything.
    fn capacity(&self, msgpack: bool) -> usize {
        let of = |value: &EncodedValue| match msgpack {
            true => value.msgpack().len(),
            false => value.json().len(),
        };
        ENVELOPE_BYTES
            + match self {
                Self::Message(ClusterMessage::Broadcast(message)) => of(message.event.data()),
                Self::Message(ClusterMessage::ServerSideEmit(message)) => of(message.event.data()),
                _ => 0,
            }
    }

    fn write_json(&self, out: &mut Vec<u8>, uid: &str, namespace: Option<&str>) {
        out.reserve(self.capacity(false));
        out.extend_from_slice(b"{\"type\":");
        json(out, &self.message_type());
        if self.data_len().is_some() {
            out.extend_from_slice(b",\"data\":");
            self.write_data_json(out);
        }
        out.extend_from_slice(b",\"uid\":");
        json(out, uid);
        if let Some(namespace) = namespace {
            out.extend_from_slice(b",\"nsp\":");
            json(out, namespace);
        }
        out.push(b'}');
    }

    /// Returns the number of members of the contents.
    fn data_len(&self) -> Option<usize> {
        match self {
            Self::Message(ClusterMessage::Broadcast(message)) => {
                Some(2 + usize::from(message.request_id.is_some()))
            }
            Self::Message(ClusterMessage::ServerSideEmit(message)) => {
                Some(1 + usize::from(message.request_id.is_some()))
            }
            Self::Message(_) | Self::Response(_) | Self::Announcement(_) => Some(2),
            Self::InitialHeartbeat | Self::Heartbeat | Self::Close | Self::Unknown(_) => None,
        }
    }

    fn write_data_json(&self, out: &mut Vec<u8>) {
        if let Self::Announcement(announcement) = self {
            return json(out, announcement);
        }
        let mut members = JsonMap::open(out);
        match self {
            Self::Message(message) => match message {
                ClusterMessage::Broadcast(message) => {
                    let out = members.name("packet");
                    out.extend_from_slice(b"{\"type\":2,\"data\":");
                    out.extend_from_slice(message.event.data().plain_json().as_bytes());
                    out.push(b'}');
                    members.text("requestId", message.request_id.as_deref());
                    members.options(&message.options);
                }
                ClusterMessage::SocketsJoin(message) => {
                    members.options(&message.options);
                    json(members.name("rooms"), &message.rooms);
                }
                ClusterMessage::SocketsLeave(message) => {
                    members.options(&message.options);
                    json(members.name("rooms"), &message.rooms);
                }
                ClusterMessage::DisconnectSockets(message) => {
                    members.options(&message.options);
                    json(members.name("close"), &message.close);
                }
                ClusterMessage::FetchSockets(message) => {
                    members.options(&message.options);
                    members.text("requestId", Some(&message.request_id));
                }
                ClusterMessage::ServerSideEmit(message) => {
                    members.text("requestId", message.request_id.as_deref());
                    members.value("packet", message.event.data());
                }
                ClusterMessage::PeerRequest(message) => {
                    members.text("requestId", Some(&message.request_id));
                    members.value("packet", &message.body);
                }
            },
            Self::Response(response) => {
                members.text("requestId", Some(&response.request_id));
                match &response.answer {
                    ClusterAnswer::Sockets(sockets) => {
                        SocketData::write_list(sockets, members.name("sockets"));
                    }
                    ClusterAnswer::ServerSideEmit(value)
                    | ClusterAnswer::Ack(value)
                    | ClusterAnswer::Peer(value) => {
                        members.value("packet", value);
                    }
                    ClusterAnswer::ClientCount(count) => json(members.name("clientCount"), count),
                }
            }
            _ => {}
        }
        members.close();
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        if let Self::Announcement(announcement) = self {
            match EncodedValue::new(announcement) {
                Ok(announcement) => out.extend_from_slice(announcement.msgpack()),
                // Texts and numbers can always be written.
                Err(_) => write_map(out, 0),
            }
            return;
        }
        write_map(out, self.data_len().unwrap_or_default());
        match self {
            Self::Message(message) => match message {
                ClusterMessage::Broadcast(message) => {
                    write_text(out, "packet");
                    write_packet(out, &message.event, None);
                    member(out, "requestId", message.request_id.as_deref());
                    write_text(out, "opts");
                    write_options(out, &message.options);
                }
                ClusterMessage::SocketsJoin(message) => {
                    options_and_rooms(out, &message.options, &message.rooms);
                }
                ClusterMessage::SocketsLeave(message) => {
                    options_and_rooms(out, &message.options, &message.rooms);
                }
                ClusterMessage::DisconnectSockets(message) => {
                    write_text(out, "opts");
                    write_options(out, &message.options);
                    write_text(out, "close");
                    write_bool(out, message.close);
                }
                ClusterMessage::FetchSockets(message) => {
                    write_text(out, "opts");
                    write_options(out, &message.options);
                    member(out, "requestId", Some(&message.request_id));
                }
                ClusterMessage::ServerSideEmit(message) => {
                    member(out, "requestId", message.request_id.as_deref());
                    write_text(out, "packet");
                    out.extend_from_slice(message.event.data().msgpack());
                }
                ClusterMessage::PeerRequest(message) => {
                    member(out, "requestId", Some(&message.request_id));
                    write_text(out, "packet");
                    out.extend_from_slice(message.body.msgpack());
                }
            },
            Self::Response(response) => {
                member(out, "requestId", Some(&response.request_id));
                match &response.answer {
                    ClusterAnswer::Sockets(sockets) => {
                        write_text(out, "sockets");
                        write_sockets(out, sockets);
                    }
                    ClusterAnswer::ServerSideEmit(value)
                    | ClusterAnswer::Ack(value)
                    | ClusterAnswer::Peer(value) => {
                        write_text(out, "packet");
                        out.extend_from_slice(value.msgpack());
                    }
                    ClusterAnswer::ClientCount(count) => {
                        write_text(out, "clientCount");
                        write_uint(out, *count as u64);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns the written bytes as text. They are valid UTF-8, because only texts are written.
fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends JSON of a value that can always be written.
fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Serializing texts, numbers and lists of texts cannot fail, nor can writing to a `Vec`.
    let _ = serde_json::to_writer(out, value);
}

/// An object of JSON that is being written.
struct JsonMap<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> JsonMap<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes a name that needs no escapes, and returns the place for the value.
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            json(self.name(name), text);
        }
    }

    fn value(&mut self, name: &str, value: &EncodedValue) {
        self.name(name)
            .extend_from_slice(value.plain_json().as_bytes());
    }

    fn options(&mut self, options: &ClusterOptions) {
        write_options_json(self.name("opts"), options);
    }

    fn close(self) {
        self.out.push(b'}');
    }
}

/// Appends a selection of sockets as JSON: `{rooms, except, flags}`.
pub fn write_options_json(out: &mut Vec<u8>, options: &ClusterOptions) {
    let mut members = JsonMap::open(out);
    json(members.name("rooms"), &options.rooms);
    json(members.name("except"), &options.except);
    let mut flags = JsonMap::open(members.name("flags"));
    if options.flags.volatile {
        json(flags.name("volatile"), &true);
    }
    if let Some(compress) = options.flags.compress {
        json(flags.name("compress"), &compress);
    }
    if let Some(timeout) = options.flags.timeout {
        json(flags.name("timeout"), &milliseconds_of(timeout));
    }
    if let Some(number) = options.flags.event_id {
        json(flags.name("id"), &number);
    }
    flags.close();
    members.close();
}

fn milliseconds_of(timeout: Duration) -> u64 {
    // Rounded up, so that a timeout of less than a millisecond does not become 0.
    let rounded_up = timeout.as_nanos().div_ceil(1_000_000);
    u64::try_from(rounded_up).unwrap_or(u64::MAX)
}

/// Appends a selection of sockets as MessagePack: `{rooms, except, flags}`.
pub fn write_options(out: &mut Vec<u8>, options: &ClusterOptions) {
    write_map(out, 3);
    write_text(out, "rooms");
    write_texts(out, &options.rooms);
    write_text(out, "except");
    write_texts(out, &options.except);
    let flags = options.flags;
    write_text(out, "flags");
    write_map(
        out,
        usize::from(flags.volatile)
            + usize::from(flags.compress.is_some())
            + usize::from(flags.timeout.is_some())
            + usize::from(flags.event_id.is_some()),
    );
    if flags.volatile {
        write_text(out, "volatile");
        write_bool(out, true);
    }
    if let Some(compress) = flags.compress {
        write_text(out, "compress");
        write_bool(out, compress);
    }
    if let Some(timeout) = flags.timeout {
        write_text(out, "timeout");
        write_uint(out, milliseconds_of(timeout));
    }
    if let Some(number) = flags.event_id {
        write_text(out, "id");
        write_uint(out, number);
    }
}

/// Appends a packet as MessagePack: `{type, data}`, and `nsp` where the dialect has it.
pub fn write_packet(out: &mut Vec<u8>, event: &EncodedEvent, namespace: Option<&str>) {
    write_map(out, 2 + usize::from(namespace.is_some()));
    write_text(out, "type");
    write_uint(out, 2);
    write_text(out, "data");
    out.extend_from_slice(event.data().msgpack());
    member(out, "nsp", namespace);
}

fn member(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        write_text(out, name);
        write_text(out, value);
    }
}

fn options_and_rooms(out: &mut Vec<u8>, options: &ClusterOptions, rooms: &[String]) {
    write_text(out, "opts");
    write_options(out, options);
    write_text(out, "rooms");
    write_texts(out, rooms);
}

fn write_texts(out: &mut Vec<u8>, texts: &[String]) {
    write_array(out, texts.len());
    for text in texts {
        write_text(out, text);
    }
}

fn write_sockets(out: &mut Vec<u8>, sockets: &[SocketData]) {
    let list = text(|out| SocketData::write_list(sockets, out));
    match EncodedValue::from_json(list, Vec::new()) {
        Ok(sockets) => out.extend_from_slice(sockets.msgpack()),
        // Names, texts and JSON can always be written.
        Err(_) => write_array(out, 0),
    }
}
