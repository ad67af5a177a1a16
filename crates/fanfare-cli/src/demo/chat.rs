//! The chat: namespace `/chat`. `examples/README.md` describes its events, `examples/chat/events.ts` their types.

mod hall;
mod picture;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use fanfare::{
    Ack, AckSender, ConnectError, Data, EmitError, EventError, Namespace, Socket, SocketId, State,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use super::name;
use super::problem::Problem;
use hall::{Joined, Message, Outgoing, User};

/// Characters of a name.
const NAME: usize = 24;

/// Everything the chat remembers.
///
/// A handler keeps the lock while it emits what it changed, so that everybody hears of the changes in the order in
/// which they were made. It is an async lock because emitting may disconnect a slow reader, whose disconnect handler
/// takes the lock as well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hall(Arc<Mutex<hall::Hall<SocketId>>>);

/// The room of the Socket.IO server for a room of the chat. The prefix keeps people out of the rooms that sockets have
/// for themselves.
fn key(room: &str) -> String {
    format!("room:{room}")
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new("/chat")
        .middleware(authenticate)
        .on_connect(welcome)
        .on("join", join)
        .on("message", message)
        .on("typing", typing)
        .on("picture", picture)
        .on_disconnect(goodbye)
}

#[derive(Debug, Deserialize)]
struct Auth {
    name: String,
    key: String,
}

impl Auth {
    fn user(&self) -> Result<User, Problem> {
        let name = name("The name", &self.name, NAME)?.to_owned();
        if !(16..=64).contains(&self.key.len()) {
            return Err(Problem::invalid("The key has to have 16 to 64 characters."));
        }
        // The key is random and secret, its hash is neither: enough to tell people apart.
        let mut hash = DefaultHasher::new();
        self.key.hash(&mut hash);
        let id = format!("{:016x}", hash.finish());
        Ok(User { id, name })
    }
}

async fn authenticate(
    socket: Socket,
    Data(auth): Data<Auth>,
    State(hall): State<Hall>,
) -> Result<(), ConnectError> {
    let user = auth.user()?;
    hall.0.lock().await.check_name(&user)?;
    socket.extensions().insert(user);
    Ok(())
}

async fn welcome(socket: Socket, State(hall): State<Hall>) -> Result<(), EventError> {
    let Some(user) = socket.extensions().get::<User>() else {
        return Ok(()); // the middleware has set it
    };
    let mut hall = hall.0.lock().await;
    if hall.check_name(&user).is_err() {
        // Two people chose the name in the same moment, and this is the second.
        socket.disconnect(false);
        return Ok(());
    }
    let welcome = json!({
        "me": user,
        "rooms": hall.rooms(),
        "limits": { "text": hall::TEXT, "picture": picture::SIZE },
    });
    socket.emit("welcome", &welcome)?;
    hall.enter(socket.id(), user);
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Join {
    room: String,
}

async fn join(
    socket: Socket,
    Data(request): Data<Join>,
    State(hall): State<Hall>,
    ack: AckSender,
) -> Result<(), EventError> {
    let mut hall = hall.0.lock().await;
    let moved = hall.join(socket.id(), &request.room)?;
    let room = &moved.room;
    if let Some(left) = &moved.left {
        socket.leave(key(&left.room));
        tell_left(&socket, left)?;
    }
    socket.join(key(room))?;
    if moved.arrived {
        let event = json!({ "room": room, "user": moved.user });
        socket.to(key(room)).emit("joined", &event)?;
    }
    if moved.list_changed {
        socket.nsp().emit("rooms", hall.rooms())?;
    }
    let joined: Joined = hall.joined(room);
    socket.nsp().emit("room", &joined.room)?;
    // Answered before the lock is released: what comes later comes after the history.
    ack.send(&joined)?;
    Ok(())
}

#[derive(Debug, Serialize)]
struct Delivered {
    message: Message,
}

async fn message(
    socket: Socket,
    Data(outgoing): Data<Outgoing>,
    State(hall): State<Hall>,
) -> Result<Ack<Delivered>, EventError> {
    let mut hall = hall.0.lock().await;
    let stored = hall.say(socket.id(), outgoing)?;
    if stored.is_new {
        let room = &stored.message.room;
        socket.to(key(room)).emit("message", &stored.live)?;
        socket.nsp().emit("room", &stored.room)?;
    }
    Ok(Ack(Delivered {
        message: stored.message,
    }))
}

#[derive(Debug, Deserialize)]
struct Typing {
    room: String,
    typing: bool,
}

async fn typing(
    socket: Socket,
    Data(event): Data<Typing>,
    State(hall): State<Hall>,
) -> Result<(), EmitError> {
    let hall = hall.0.lock().await;
    if let Some(user) = hall.user_in(socket.id(), &event.room) {
        let told = json!({ "room": event.room, "user": user, "typing": event.typing });
        socket
            .to(key(&event.room))
            .volatile()
            .emit("typing", &told)?;
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Wanted {
    id: String,
}

#[derive(Debug, Serialize)]
struct Picture {
    data: Bytes,
}

async fn picture(
    Data(wanted): Data<Wanted>,
    State(hall): State<Hall>,
) -> Result<Ack<Picture>, EventError> {
    let data = hall.0.lock().await.picture(&wanted.id)?;
    Ok(Ack(Picture { data }))
}

async fn goodbye(socket: Socket, State(hall): State<Hall>) -> Result<(), EmitError> {
    match hall.0.lock().await.leave(socket.id()) {
        Some(left) => tell_left(&socket, &left),
        None => Ok(()),
    }
}

fn tell_left(socket: &Socket, left: &hall::Left) -> Result<(), EmitError> {
    if left.gone {
        let event = json!({ "room": left.room, "user": left.user });
        socket.nsp().to(key(&left.room)).emit("left", &event)?;
    }
    socket.nsp().emit("room", &left.summary)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_makes_one_user_and_is_not_shown() {
        let auth = |name: &str, key: &str| Auth {
            name: name.to_owned(),
            key: key.to_owned(),
        };
        let ada = auth("Ada", "0123456789abcdef").user().unwrap();
        assert_eq!(ada, auth(" Ada ", "0123456789abcdef").user().unwrap());
        assert_ne!(ada.id, auth("Ada", "0123456789abcdeF").user().unwrap().id);
        assert!(!ada.id.contains("0123456789abcdef"));
        assert!(auth("Ada", "short").user().is_err());
        assert!(auth(&"x".repeat(25), "0123456789abcdef").user().is_err());
    }
}
