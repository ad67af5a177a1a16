//! Events of rooms: creation, joins, leaves, deletion.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

use crate::adapter::{ClusterInner, InterestQueue};
use crate::id::SocketId;

/// Maximum number of events that are queued for a subscriber.
const MAX_QUEUED_ROOM_EVENTS: usize = 4096;

/// Event of a room of this server. As in Node, each socket is also in the room of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// `create-room`: the first socket has joined.
    Created(String),
    /// `join-room`.
    Joined(String, SocketId),
    /// `leave-room`.
    Left(String, SocketId),
    /// `delete-room`: the last socket has left.
    Deleted(String),
}

/// The events of the rooms of a namespace on this server (Node's `create-room`, `join-room`, `leave-room`,
/// `delete-room` of the adapter), from [`NamespaceHandle::room_events`](crate::NamespaceHandle::room_events).
#[derive(Debug)]
pub struct RoomEvents(Receiver<RoomEvent>);

impl RoomEvents {
    /// Waits for the next event; `Err(n)` if this subscriber was so slow that it has missed `n`, `None` when the
    /// namespace has been removed.
    ///
    /// # Cancel safety
    /// As a branch of `select!`, no event is lost.
    pub async fn recv(&mut self) -> Option<Result<RoomEvent, u64>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Listeners for the events: subscribers, and the adapter.
#[derive(Debug, Default)]
pub(crate) struct RoomHub(OnceLock<Box<Listeners>>);

#[derive(Debug, Default)]
struct Listeners {
    /// Channel of the subscribers, created for the first.
    sender: OnceLock<Sender<RoomEvent>>,
    interest: Option<InterestQueue>,
}

impl RoomHub {
    pub(super) fn new(cluster: Option<&Arc<ClusterInner>>) -> Self {
        let interest = cluster.and_then(|cluster| InterestQueue::new(cluster.interest));
        let listeners = interest.map(|interest| {
            Box::new(Listeners {
                interest: Some(interest),
                ..Listeners::default()
            })
        });
        Self(listeners.map_or_else(OnceLock::new, OnceLock::from))
    }

    pub(super) fn subscribe(&self) -> RoomEvents {
        let sender = &self.0.get_or_init(Box::default).sender;
        RoomEvents(
            sender
                .get_or_init(|| channel(MAX_QUEUED_ROOM_EVENTS).0)
                .subscribe(),
        )
    }

    #[inline]
    pub(super) fn interest(&self) -> Option<&InterestQueue> {
        self.0.get()?.interest.as_ref()
    }

    /// Records that a socket has joined a room. Called under the lock of the rooms.
    #[inline]
    pub(crate) fn joined(&self, room: &str, id: &SocketId, created: bool) {
        if let Some(listeners) = self.0.get() {
            listeners.joined(room, id, created);
        }
    }

    /// Records that a socket has left a room. Called under the lock of the rooms.
    #[inline]
    pub(crate) fn left(&self, room: &str, id: &SocketId, deleted: bool) {
        if let Some(listeners) = self.0.get() {
            listeners.left(room, id, deleted);
        }
    }
}

impl Listeners {
    #[cold]
    fn joined(&self, room: &str, id: &SocketId, created: bool) {
        if let (true, Some(interest)) = (created, &self.interest) {
            interest.push(room, true, room == id.as_str());
        }
        if let Some(sender) = self.sender.get() {
            if created {
                let _ = sender.send(RoomEvent::Created(room.to_owned()));
            }
            let _ = sender.send(RoomEvent::Joined(room.to_owned(), id.clone()));
        }
    }

    #[cold]
    fn left(&self, room: &str, id: &SocketId, deleted: bool) {
        if let (true, Some(interest)) = (deleted, &self.interest) {
            interest.push(room, false, room == id.as_str());
        }
        if let Some(sender) = self.sender.get() {
            let _ = sender.send(RoomEvent::Left(room.to_owned(), id.clone()));
            if deleted {
                let _ = sender.send(RoomEvent::Deleted(room.to_owned()));
            }
        }
    }
}
