//! The chat of several nodes: each applies what happens at the others to its own state.
//!
//! Events reach the clients of all nodes from the node where something happens. What two nodes do in the same moment may
//! differ in its order: a message of each then has the same number.

use fanfare::adapter::ServerEvent;
use fanfare::args::IntoArgs;
use fanfare::typed::TypedSocket;
use fanfare::{Namespace, SocketIo};

use super::hall::{Copied, Message, User};
use super::{Chat, Hall, Room, UserLeft, key};
use crate::demo::others;

/// Adds the handlers for events of other nodes.
pub(super) fn add_to(namespace: Namespace, hall: &Hall) -> Namespace {
    let (entering, joining, saying) = (hall.clone(), hall.clone(), hall.clone());
    let (leaving, copying) = (hall.clone(), hall.clone());
    namespace
        .on_server_event("enter", move |event| enter(entering.clone(), event))
        .on_server_event("join", move |event| join(joining.clone(), event))
        .on_server_event("say", move |event| say(saying.clone(), event))
        .on_server_event("leave", move |event| leave(leaving.clone(), event))
        .on_server_event("hall", move |event| copy(copying.clone(), event))
}

/// Tells the other nodes. One that cannot be told shows an old state, as the demo may.
pub(super) fn tell(socket: &TypedSocket<Chat>, event: &str, args: impl IntoArgs) {
    let _ = socket.io().of("/chat").server_side_emit(event, args);
}

async fn enter(hall: Hall, event: ServerEvent) {
    if let Ok((seat, user)) = event.data::<(String, User)>() {
        hall.state.lock().await.enter(seat, user);
    }
}

async fn join(hall: Hall, event: ServerEvent) {
    if let Ok((seat, room)) = event.data::<(String, String)>() {
        // It fails for a connection that has left, and for a room beyond the maximum.
        let _ = hall.state.lock().await.join(seat, &room);
    }
}

async fn say(hall: Hall, event: ServerEvent) {
    if let Ok((nonce, message)) = event.data::<(String, Message)>() {
        hall.state.lock().await.said(nonce, &message);
    }
}

async fn leave(hall: Hall, event: ServerEvent) {
    if let Ok(seat) = event.data::<String>() {
        hall.state.lock().await.leave(seat);
    }
}

async fn copy(hall: Hall, event: ServerEvent) {
    let copied = hall.state.lock().await.copy();
    // A node without an answer starts with what it has.
    let _ = event.ack((copied,));
}

impl Hall {
    /// Takes over the state of the other nodes.
    pub(in crate::demo) async fn catch_up(&self, io: &SocketIo) {
        let copies: Vec<Copied<String>> = others::ask(io, "/chat", "hall").await;
        let mut hall = self.state.lock().await;
        copies.into_iter().for_each(|copied| hall.take_over(copied));
    }

    /// Removes the connections of nodes that have gone, and tells the clients of this node.
    pub(in crate::demo) async fn keep_nodes(&self, io: &SocketIo, others: &[String]) {
        let mut hall = self.state.lock().await;
        let gone = hall.without(|seat| {
            let node = seat.split('/').next().unwrap_or_default();
            node == &*self.node || others.iter().any(|other| other == node)
        });
        let namespace = io.typed::<Chat>().local();
        for seat in gone {
            let Some(left) = hall.leave(seat) else {
                continue;
            };
            let (room, user) = (&left.room, &left.user);
            // A client that cannot keep up is disconnected, and learns it when it comes back.
            if left.gone {
                let people = io.typed::<Chat>().to(key(room)).local();
                let _ = people.emit(&UserLeft { room, user });
            }
            let _ = namespace.emit(&Room(&left.summary));
        }
    }
}
