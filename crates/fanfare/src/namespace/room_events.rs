//! What happens to the rooms.

use std::sync::OnceLock;

use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

use crate::id::SocketId;

/// So many events wait for a subscriber at most.
const WAITING: usize = 4096;

/// Something happened to a room of this server. As in Node, each socket is also in a room of its own id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// `create-room`: its first socket joins.
    Created(String),
    /// `join-room`.
    Joined(String, SocketId),
    /// `leave-room`.
    Left(String, SocketId),
    /// `delete-room`: its last socket has left.
    Deleted(String),
}

/// The events of the rooms of a namespace on this server (Node's `create-room`, `join-room`, `leave-room`,
/// `delete-room` of the adapter), from [`NamespaceHandle::room_events`](crate::NamespaceHandle::room_events).
#[derive(Debug)]
pub struct RoomEvents(Receiver<RoomEvent>);

impl RoomEvents {
    /// The next event, `Err(n)` if this subscriber was so slow that it has missed `n`; `None` when the namespace is
    /// gone.
    pub async fn recv(&mut self) -> Option<Result<RoomEvent, u64>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Made for the first subscriber.
#[derive(Debug, Default)]
pub(crate) struct RoomHub(OnceLock<Sender<RoomEvent>>);

impl RoomHub {
    pub(super) fn subscribe(&self) -> RoomEvents {
        RoomEvents(self.0.get_or_init(|| channel(WAITING).0).subscribe())
    }

    #[inline]
    fn sender(&self) -> Option<&Sender<RoomEvent>> {
        self.0.get()
    }

    #[inline]
    pub(crate) fn joined(&self, room: &str, id: &SocketId, created: bool) {
        if let Some(sender) = self.sender() {
            if created {
                let _ = sender.send(RoomEvent::Created(room.to_owned()));
            }
            let _ = sender.send(RoomEvent::Joined(room.to_owned(), id.clone()));
        }
    }

    #[inline]
    pub(crate) fn left(&self, room: &str, id: &SocketId, deleted: bool) {
        if let Some(sender) = self.sender() {
            let _ = sender.send(RoomEvent::Left(room.to_owned(), id.clone()));
            if deleted {
                let _ = sender.send(RoomEvent::Deleted(room.to_owned()));
            }
        }
    }
}
