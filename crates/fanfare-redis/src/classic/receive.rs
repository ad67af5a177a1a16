//! Messages that arrive.

use bytes::Bytes;
use fanfare::adapter::{
    Broadcast, ClusterAnswer, ClusterHandle, ClusterResponse, PeerRequest, PublishOutcome,
    ServerSideEmit,
};
use fanfare_cluster::NodeAnnouncement;
use fanfare_cluster::dialect::AdapterMessage;

use super::adapter::Space;
use super::decode::{self, Header, Raw};
use super::encode;
use crate::link::Message;

/// Use of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Broadcast,
    Request,
    Response,
}

/// Handler of the messages of a namespace. Messages that cannot be read are ignored, as in Node.
pub(super) struct Receiver<'a> {
    pub(super) uid: &'a str,
    pub(super) cluster: &'a ClusterHandle,
    pub(super) space: &'a Space,
    /// Handles the announcement of a node.
    pub(super) announced: &'a dyn Fn(&str, NodeAnnouncement),
    /// Publishes an answer to a node.
    pub(super) respond: &'a dyn Fn(&str, Vec<u8>) -> PublishOutcome,
}

impl Receiver<'_> {
    pub(super) fn receive(&self, used_for: Use, message: &Message) {
        let _ = match used_for {
            Use::Broadcast => self.broadcast(message),
            Use::Request => self.request(&message.payload),
            Use::Response => self.response(&message.payload),
        };
    }

    fn broadcast(&self, message: &Message) -> Option<()> {
        // The pattern is a glob, in which a namespace may have special characters.
        let prefix = self.space.channels.broadcast.as_bytes();
        let rest = message.channel.strip_prefix(prefix)?;
        if let Some((_, room)) = rest.split_last() {
            let room = std::str::from_utf8(room).ok()?;
            if !self.cluster.has_room(&self.space.name, room) {
                return None;
            }
        }
        let broadcast = decode::broadcast(&message.payload, self.uid)?;
        let namespace = broadcast.packet.namespace.as_deref().unwrap_or("/");
        if namespace == &*self.space.name {
            let message = Broadcast::new(broadcast.packet.event, broadcast.options);
            self.cluster.receive(&self.space.name, "", message);
        }
        Some(())
    }

    fn request(&self, payload: &Bytes) -> Option<()> {
        let header = Header::read(payload)?;
        if header.uid == self.uid {
            return None;
        }
        let number = match header.kind? {
            0 => return self.sockets(&header),
            1 => return self.all_rooms(&header),
            2..=4 if !header.has_options => return self.one_socket(&header),
            6 => return self.server_side_emit(header),
            encode::ANNOUNCEMENT => return self.announcement(header),
            kind if kind == u64::from(encode::PEER_REQUEST) => return self.peer_request(header),
            kind => decode::message_type(kind)?,
        };
        match AdapterMessage::decode(number, Some(payload)) {
            Ok(AdapterMessage::Message(message)) => {
                self.cluster.receive(&self.space.name, &header.uid, message);
            }
            // The other node waits for a count of each node.
            _ if number == 3 => {
                let none = ClusterAnswer::ClientCount(0);
                let none = ClusterResponse::new(header.request_id?, none);
                (self.respond)(&header.uid, encode::response(&none)?);
            }
            _ => {}
        }
        Some(())
    }

    fn server_side_emit(&self, header: Header<'_>) -> Option<()> {
        let mut message = ServerSideEmit::new(header.data?.event()?);
        message.request_id = header.request_id.map(Into::into);
        self.cluster.receive(&self.space.name, &header.uid, message);
        Some(())
    }

    fn announcement(&self, header: Header<'_>) -> Option<()> {
        let announcement = match header.data? {
            Raw::Json(text) => NodeAnnouncement::read(text.as_bytes())?,
            Raw::Msgpack(_) => return None,
        };
        (self.announced)(&header.uid, announcement);
        Some(())
    }

    fn peer_request(&self, header: Header<'_>) -> Option<()> {
        let request_id = header.request_id?.into_owned();
        let message = PeerRequest::new(header.data?.value()?, request_id);
        self.cluster.receive(&self.space.name, &header.uid, message);
        Some(())
    }

    /// Answers the request of old versions for the ids of sockets.
    fn sockets(&self, request: &Header<'_>) -> Option<()> {
        let namespace = self.cluster.namespace_handle(&self.space.name)?;
        let found = match request.rooms.is_empty() {
            true => namespace.sockets(),
            false => namespace.to(&request.rooms).local().sockets(),
        };
        let ids: Vec<String> = found.iter().map(|socket| socket.id().to_string()).collect();
        self.answer(request, Some(("sockets", &ids)))
    }

    /// Answers Node's `allRooms`, which includes the rooms of the sockets' ids.
    fn all_rooms(&self, request: &Header<'_>) -> Option<()> {
        let namespace = self.cluster.namespace_handle(&self.space.name)?;
        let rooms = namespace.rooms().into_iter().map(|(room, _)| room);
        let ids = namespace.socket_ids();
        let all: Vec<String> = rooms.chain(ids.iter().map(ToString::to_string)).collect();
        self.answer(request, Some(("rooms", &all)))
    }

    /// Applies a request of old versions to the socket that it names, if that is connected here.
    fn one_socket(&self, request: &Header<'_>) -> Option<()> {
        let namespace = self.cluster.namespace_handle(&self.space.name)?;
        let socket = namespace.socket(request.sid.as_deref()?)?;
        match request.kind {
            // A failure to join is counted and logged by the server.
            Some(2) => drop(socket.join(request.room.as_deref()?)),
            Some(3) => socket.leave(request.room.as_deref()?),
            _ => socket.disconnect(request.close),
        }
        self.answer(request, None)
    }

    fn answer(&self, request: &Header<'_>, names: Option<(&str, &[String])>) -> Option<()> {
        let payload = encode::names(request.request_id.as_deref()?, names);
        (self.respond)(&request.uid, payload);
        Some(())
    }

    /// Handles an answer. Answers to all nodes arrive at every node, and do not name their sender.
    fn response(&self, payload: &Bytes) -> Option<()> {
        if let Some(id) = decode::id_of_sockets(payload) {
            if self.cluster.awaits_response(id) {
                let response = decode::sockets(payload)?;
                self.cluster.receive_response(None, response);
            }
            return Some(());
        }
        let header = Header::read(payload)?;
        if self.cluster.awaits_response(header.request_id.as_deref()?) {
            let response = decode::response(payload, header)?;
            self.cluster.receive_response(None, response);
        }
        Some(())
    }
}
