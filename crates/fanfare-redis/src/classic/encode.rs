//! Messages to other nodes.

use std::sync::Arc;

use fanfare_cluster::dialect::{write_options, write_packet};
use fanfare_cluster::{Broadcast, ClusterMessage, ClusterOptions, ServerSideEmit};
#[cfg(feature = "adapter")]
use fanfare_cluster::{ClusterAnswer, ClusterResponse};
use fanfare_protocol::msgpack::{write_array, write_map, write_text, write_uint};
use serde::Serialize;

/// Type of a request between the nodes of Fanfare, which Node.js ignores.
pub(super) const PEER_REQUEST: u8 = 103;
/// Type of its answer.
pub(super) const PEER_ANSWER: u8 = 104;

/// Channels of a namespace.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Broadcasts to zero, two or more rooms; with a room and `#` after it, those to that room.
    pub(crate) broadcast: Arc<str>,
    pub(crate) request: Arc<str>,
    /// Answers; with the id of a node and `#` after it, those to that node.
    pub(crate) response: Arc<str>,
}

impl Channels {
    pub(crate) fn new(key: &str, namespace: &str) -> Self {
        Self {
            broadcast: format!("{key}#{namespace}#").into(),
            request: format!("{key}-request#{namespace}#").into(),
            response: format!("{key}-response#{namespace}#").into(),
        }
    }

    /// Returns the channel of a broadcast without acknowledgements.
    fn of(&self, rooms: &[String]) -> String {
        match rooms {
            [room] => format!("{}{room}#", self.broadcast),
            _ => (*self.broadcast).to_owned(),
        }
    }
}

/// Encodes a broadcast without acknowledgements: `[uid, packet, opts]`. Returns its channel as well.
pub(crate) fn broadcast(
    channels: &Channels,
    uid: &str,
    namespace: &str,
    message: &Broadcast,
) -> (String, Vec<u8>) {
    let event = &message.event;
    let mut out = Vec::with_capacity(event.data().msgpack().len() + namespace.len() + 96);
    write_array(&mut out, 3);
    write_text(&mut out, uid);
    write_packet(&mut out, event, Some(namespace));
    write_options(&mut out, &message.options);
    (channels.of(&message.options.rooms), out)
}

/// Selection of sockets in requests, which have no flags.
#[derive(Serialize)]
struct Selection<'a> {
    rooms: &'a [String],
    except: &'a [String],
}

impl<'a> From<&'a ClusterOptions> for Selection<'a> {
    fn from(options: &'a ClusterOptions) -> Self {
        Self {
            rooms: &options.rooms,
            except: &options.except,
        }
    }
}

/// A request as JSON, its fields in Node's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    r#type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    opts: Option<Selection<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<bool>,
}

/// Type of the requests in which nodes of Fanfare describe themselves. Node.js ignores types that it does not know.
pub(crate) const ANNOUNCEMENT: u64 = 101;

/// Encodes an announcement for the channel of requests.
#[cfg(feature = "adapter")]
pub(crate) fn announcement(uid: &str, announcement: &fanfare_cluster::NodeAnnouncement) -> Vec<u8> {
    #[derive(Serialize)]
    struct Announcement<'a> {
        uid: &'a str,
        r#type: u64,
        data: &'a fanfare_cluster::NodeAnnouncement,
    }
    let announcement = Announcement {
        uid,
        r#type: ANNOUNCEMENT,
        data: announcement,
    };
    // Texts and numbers can always be written.
    serde_json::to_vec(&announcement).unwrap_or_default()
}

/// Encodes a message for the channel of requests; `None` if this wire format has no such message. Without `uid`
/// the message is that of an emitter.
pub(crate) fn request(
    uid: Option<&str>,
    namespace: &str,
    message: &ClusterMessage,
) -> Option<Vec<u8>> {
    let request = |r#type| Request {
        uid,
        request_id: None,
        r#type,
        opts: None,
        rooms: None,
        close: None,
    };
    let request = match message {
        ClusterMessage::Broadcast(message) => return broadcast_request(uid?, namespace, message),
        ClusterMessage::ServerSideEmit(message) => {
            return Some(server_side_emit(
                uid.unwrap_or(fanfare_cluster::EMITTER_ID),
                message,
            ));
        }
        ClusterMessage::PeerRequest(message) => {
            let mut fields = Fields::new(message.body.has_binary());
            fields.text("uid", uid?);
            fields.text("requestId", &message.request_id);
            fields.number("type", u64::from(PEER_REQUEST));
            fields.value("data", &message.body);
            return Some(fields.finish());
        }
        ClusterMessage::SocketsJoin(message) => Request {
            opts: Some((&message.options).into()),
            rooms: Some(&message.rooms),
            ..request(2)
        },
        ClusterMessage::SocketsLeave(message) => Request {
            opts: Some((&message.options).into()),
            rooms: Some(&message.rooms),
            ..request(3)
        },
        ClusterMessage::DisconnectSockets(message) => Request {
            opts: Some((&message.options).into()),
            close: Some(message.close),
            ..request(4)
        },
        ClusterMessage::FetchSockets(message) => Request {
            request_id: Some(&message.request_id),
            opts: Some((&message.options).into()),
            ..request(5)
        },
        _ => return None,
    };
    serde_json::to_vec(&request).ok()
}

fn broadcast_request(uid: &str, namespace: &str, message: &Broadcast) -> Option<Vec<u8>> {
    let request_id = message.request_id.as_deref()?;
    let event = &message.event;
    let mut out = Vec::with_capacity(event.data().msgpack().len() + namespace.len() + 160);
    write_map(&mut out, 5);
    for (name, value) in [("uid", uid), ("requestId", request_id)] {
        write_text(&mut out, name);
        write_text(&mut out, value);
    }
    write_text(&mut out, "type");
    write_uint(&mut out, 7);
    write_text(&mut out, "packet");
    write_packet(&mut out, event, Some(namespace));
    write_text(&mut out, "opts");
    write_options(&mut out, &message.options);
    Some(out)
}

/// Node sends JSON here, which has no binary; its reader takes MessagePack as well.
fn server_side_emit(uid: &str, message: &ServerSideEmit) -> Vec<u8> {
    let data = message.event.data();
    let mut fields = Fields::new(data.has_binary());
    fields.text("uid", uid);
    if let Some(request_id) = &message.request_id {
        fields.text("requestId", request_id);
    }
    fields.number("type", 6);
    fields.value("data", data);
    fields.finish()
}

/// Encodes an answer.
#[cfg(feature = "adapter")]
pub(crate) fn response(response: &ClusterResponse) -> Option<Vec<u8>> {
    let id = &response.request_id;
    let mut fields;
    match &response.answer {
        ClusterAnswer::Sockets(sockets) => {
            fields = Fields::new(false);
            fields.text("requestId", id);
            fields.name("sockets");
            fanfare_cluster::SocketData::write_list(sockets, &mut fields.out);
        }
        ClusterAnswer::ServerSideEmit(value) => {
            fields = Fields::new(value.has_binary());
            fields.number("type", 6);
            fields.text("requestId", id);
            fields.value("data", value);
        }
        ClusterAnswer::ClientCount(count) => {
            fields = Fields::new(false);
            fields.number("type", 8);
            fields.text("requestId", id);
            fields.number("clientCount", *count as u64);
        }
        ClusterAnswer::Ack(value) => {
            fields = Fields::new(true);
            fields.number("type", 9);
            fields.text("requestId", id);
            fields.value("packet", value);
        }
        ClusterAnswer::Peer(value) => {
            fields = Fields::new(value.has_binary());
            fields.number("type", u64::from(PEER_ANSWER));
            fields.text("requestId", id);
            fields.value("data", value);
        }
        _ => return None,
    }
    Some(fields.finish())
}

/// Encodes a list of names as the answer to a request of an old kind.
#[cfg(feature = "adapter")]
pub(crate) fn names(request_id: &str, names: Option<(&str, &[String])>) -> Vec<u8> {
    let mut fields = Fields::new(false);
    fields.text("requestId", request_id);
    if let Some((field, names)) = names {
        fields.json(field, &serde_json::to_vec(names).unwrap_or_default());
    }
    fields.finish()
}

/// A map of at most 15 fields, as JSON or MessagePack.
struct Fields {
    msgpack: bool,
    count: u8,
    out: Vec<u8>,
}

impl Fields {
    fn new(msgpack: bool) -> Self {
        Self {
            msgpack,
            count: 0,
            out: vec![if msgpack { 0x80 } else { b'{' }],
        }
    }

    fn name(&mut self, name: &str) {
        if self.msgpack {
            write_text(&mut self.out, name);
        } else {
            if self.count > 0 {
                self.out.push(b',');
            }
            write_json(&mut self.out, name);
            self.out.push(b':');
        }
        self.count += 1;
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        if self.msgpack {
            write_text(&mut self.out, value);
        } else {
            write_json(&mut self.out, value);
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        if self.msgpack {
            write_uint(&mut self.out, value);
        } else {
            write_json(&mut self.out, &value);
        }
    }

    fn value(&mut self, name: &str, value: &fanfare_protocol::EncodedValue) {
        self.name(name);
        if self.msgpack {
            self.out.extend_from_slice(value.msgpack());
        } else {
            self.out.extend_from_slice(value.json().as_bytes());
        }
    }

    #[cfg(feature = "adapter")]
    fn json(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.msgpack {
            self.out[0] |= self.count;
        } else {
            self.out.push(b'}');
        }
        self.out
    }
}

fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Texts and numbers are always serializable, and writing to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}
