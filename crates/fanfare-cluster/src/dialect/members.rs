//! Contents of messages, in either dialect.

use bytes::Bytes;
use fanfare_protocol::{EncodedEvent, EncodedValue};

use super::{ANNOUNCEMENT, AdapterMessage, DialectError, check_id, json, msgpack};
use crate::{
    Broadcast, ClusterAnswer, ClusterMessage, ClusterOptions, ClusterResponse, DisconnectSockets,
    FetchSockets, MAX_ANNOUNCEMENT_BYTES, NodeAnnouncement, PeerRequest, ServerSideEmit,
    SocketData, SocketsJoin, SocketsLeave,
};

/// A value that is not decoded yet.
#[derive(Debug, Clone)]
pub(super) enum Raw<'a> {
    Json(&'a str),
    Msgpack(Bytes),
}

impl<'a> Raw<'a> {
    /// Detects the dialect of a map by its first byte.
    pub(super) fn of(data: &'a Bytes) -> Result<Self, DialectError> {
        match data.first() {
            Some(b'{') => {
                let text = std::str::from_utf8(data);
                text.map(Self::Json)
                    .map_err(|error| DialectError::Json(error.to_string()))
            }
            _ => Ok(Self::Msgpack(data.clone())),
        }
    }

    fn members(&self) -> Result<Members<'a>, DialectError> {
        match self {
            Self::Json(text) => json::members(text),
            Self::Msgpack(message) => msgpack::members(message),
        }
    }

    fn packet(&self) -> Result<EncodedEvent, DialectError> {
        match self {
            Self::Json(text) => json::packet(text),
            Self::Msgpack(message) => Ok(msgpack::packet(message)?.event),
        }
    }

    fn event(&self) -> Result<EncodedEvent, DialectError> {
        Ok(match self {
            Self::Json(text) => EncodedEvent::from_json(*text, Vec::new()),
            Self::Msgpack(message) => EncodedEvent::from_msgpack(message.clone()),
        }?)
    }

    fn value(&self) -> Result<EncodedValue, DialectError> {
        Ok(match self {
            Self::Json(text) => EncodedValue::from_json(*text, Vec::new()),
            Self::Msgpack(message) => EncodedValue::from_msgpack(message.clone()),
        }?)
    }

    fn announcement(&self) -> Result<NodeAnnouncement, DialectError> {
        let read = match self {
            Self::Json(text) => NodeAnnouncement::read(text.as_bytes()),
            Self::Msgpack(message) if message.len() > MAX_ANNOUNCEMENT_BYTES => None,
            Self::Msgpack(_) => NodeAnnouncement::read(self.value()?.json().as_bytes()),
        };
        need(read, "data")
    }

    fn sockets(&self) -> Result<Vec<SocketData>, DialectError> {
        match self {
            Self::Json(text) => SocketData::list_of_json(text),
            Self::Msgpack(_) => SocketData::list_of(&self.value()?),
        }
    }
}

/// Members of the contents.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) packet: Option<Raw<'a>>,
    pub(super) options: Option<ClusterOptions>,
    pub(super) rooms: Option<Vec<String>>,
    pub(super) request_id: Option<String>,
    pub(super) close: bool,
    pub(super) sockets: Option<Raw<'a>>,
    pub(super) client_count: Option<u64>,
}

fn need<T>(member: Option<T>, name: &'static str) -> Result<T, DialectError> {
    member.ok_or(DialectError::Member(name))
}

impl Members<'_> {
    fn options(&mut self) -> Result<ClusterOptions, DialectError> {
        need(self.options.take(), "opts")
    }

    fn rooms(&mut self) -> Result<Vec<String>, DialectError> {
        need(self.rooms.take(), "rooms")
    }

    fn request_id(&mut self) -> Result<String, DialectError> {
        need(self.request_id.take(), "requestId")
    }

    /// Returns the value of an answer, `null` if there is none: JSON leaves `undefined` out.
    fn value(&self) -> Result<EncodedValue, DialectError> {
        self.packet.as_ref().unwrap_or(&Raw::Json("null")).value()
    }

    fn message(mut self, kind: u64) -> Result<ClusterMessage, DialectError> {
        Ok(match kind {
            3 => {
                let event = need(self.packet.as_ref(), "packet")?.packet()?;
                let mut message = Broadcast::new(event, self.options()?);
                message.request_id = self.request_id;
                message.into()
            }
            4 => SocketsJoin::new(self.options()?, self.rooms()?).into(),
            5 => SocketsLeave::new(self.options()?, self.rooms()?).into(),
            6 => DisconnectSockets::new(self.options()?, self.close).into(),
            7 => FetchSockets::new(self.options()?, self.request_id()?).into(),
            103 => PeerRequest::new(self.value()?, self.request_id()?).into(),
            _ => {
                let event = need(self.packet.as_ref(), "packet")?.event()?;
                let mut message = ServerSideEmit::new(event);
                message.request_id = self.request_id;
                message.into()
            }
        })
    }

    fn response(mut self, kind: u64) -> Result<ClusterResponse, DialectError> {
        let answer = match kind {
            8 => ClusterAnswer::Sockets(need(self.sockets.as_ref(), "sockets")?.sockets()?),
            10 => ClusterAnswer::ServerSideEmit(self.value()?),
            11 => {
                let count = need(self.client_count, "clientCount")?;
                ClusterAnswer::ClientCount(usize::try_from(count).unwrap_or(usize::MAX))
            }
            104 => ClusterAnswer::Peer(self.value()?),
            _ => ClusterAnswer::Ack(self.value()?),
        };
        Ok(ClusterResponse::new(self.request_id()?, answer))
    }
}

pub(super) fn decode(kind: u64, data: Option<&Raw<'_>>) -> Result<AdapterMessage, DialectError> {
    // In one pass: this is by far the longest message.
    if let (8, Some(Raw::Json(text))) = (kind, data) {
        return Ok(AdapterMessage::Response(json::sockets_answer(text)?));
    }
    let members = || {
        let members = need(data, "data")?.members()?;
        if let Some(id) = &members.request_id {
            check_id(id)?;
        }
        Ok::<_, DialectError>(members)
    };
    Ok(match kind {
        1 => AdapterMessage::InitialHeartbeat,
        2 => AdapterMessage::Heartbeat,
        13 => AdapterMessage::Close,
        3..=7 | 9 | 103 => AdapterMessage::Message(members()?.message(kind)?),
        8 | 10..=12 | 104 => AdapterMessage::Response(members()?.response(kind)?),
        ANNOUNCEMENT => AdapterMessage::Announcement(need(data, "data")?.announcement()?),
        _ => AdapterMessage::Unknown(kind),
    })
}
