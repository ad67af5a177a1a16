//! A chat with rooms: people enter a room under a name, write to it, and see who types.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, BuildError, Data, DisconnectReason, EventError, Namespace, Socket, SocketIo};
use serde::{Deserialize, Serialize};

mod web;

/// Greatest length of a name or a room, in characters.
const MAX_NAME_CHARS: usize = 32;
/// Greatest length of a message, in characters.
const MAX_TEXT_CHARS: usize = 1000;

/// Room and name under which a client writes; kept with its socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seat {
    /// Room.
    pub room: String,
    /// Name of the person.
    pub name: String,
}

/// Message, as clients receive it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Message {
    /// Name of the author.
    pub name: String,
    /// Text.
    pub text: String,
    /// Time, in milliseconds since 1970.
    pub at: u64,
}

/// Returns the Socket.IO server, and the routes of the website.
///
/// # Errors
///
/// If the configuration is invalid.
pub fn app() -> Result<(SocketIo, Router), BuildError> {
    let chat = Namespace::new("/")
        .on("enter", enter)
        .on("say", say)
        .on("typing", typing)
        .on_disconnect(left);
    let io = SocketIo::builder()
        // Clients whose connection breaks receive what they missed, for up to two minutes.
        .connection_state_recovery(ConnectionStateRecovery::default())
        .namespace(chat)
        .build()?;
    Ok((io, web::files()))
}

/// Enters a room, and answers with the number of sockets in it.
async fn enter(socket: Socket, Data(seat): Data<Seat>) -> Result<Ack<usize>, EventError> {
    let seat = Seat {
        room: checked(&seat.room, "a room", MAX_NAME_CHARS)?,
        name: checked(&seat.name, "a name", MAX_NAME_CHARS)?,
    };
    if let Some(old) = socket.extensions().insert(seat.clone()) {
        socket.leave(room(&old));
        socket.to(room(&old)).emit("left", &old.name)?;
    }
    socket.join(room(&seat))?;
    socket.to(room(&seat)).emit("entered", &seat.name)?;
    let members = socket.namespace().to(room(&seat)).local().sockets();
    Ok(Ack(members.len()))
}

/// Sends a message to all in the room, its author included.
async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<u64>, EventError> {
    let seat = seat(&socket)?;
    let message = Message {
        text: checked(&text, "a message", MAX_TEXT_CHARS)?,
        at: now(),
        name: seat.name.clone(),
    };
    socket
        .namespace()
        .to(room(&seat))
        .emit("message", &message)?;
    Ok(Ack(message.at))
}

/// Tells the others in the room that a member types. A client with a slow connection may miss it.
async fn typing(socket: Socket) -> Result<(), EventError> {
    let seat = seat(&socket)?;
    socket
        .to(room(&seat))
        .volatile()
        .emit("typing", &seat.name)?;
    Ok(())
}

async fn left(socket: Socket, _: DisconnectReason) -> Result<(), EventError> {
    if let Ok(seat) = seat(&socket) {
        socket
            .namespace()
            .to(room(&seat))
            .emit("left", &seat.name)?;
    }
    Ok(())
}

fn seat(socket: &Socket) -> Result<Seat, EventError> {
    let seat = socket.extensions().get::<Seat>();
    seat.ok_or_else(|| EventError::new("enter a room first"))
}

/// Returns the name of the Socket.IO room: the prefix keeps it apart from the rooms that Socket.IO makes.
fn room(seat: &Seat) -> String {
    format!("chat:{}", seat.room)
}

fn checked(text: &str, what: &str, max_chars: usize) -> Result<String, EventError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max_chars {
        return Err(EventError::new(format!(
            "{what} has 1 to {max_chars} characters"
        )));
    }
    Ok(text.to_owned())
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
