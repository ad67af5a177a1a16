//! Step 9: a chat, from the parts of the steps before.

mod chat;

use std::error::Error;

use chat::{Chat, Message};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, ConnectError, Data, EmitError, EventError, Namespace, Socket, SocketIo, State};
use serde::{Deserialize, Serialize};

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/")
        .middleware(check_name)
        .on_connect(connected)
        .on("say", say)
        .on("typing", typing)
        .on_disconnect(disconnected);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .connection_state_recovery(ConnectionStateRecovery::new())
        .namespace(main)
        .state(Chat::default())
        .build()?;
    course::serve(io, include_str!("index.html")).await
}
// ANCHOR_END: main

// ANCHOR: middleware
/// Credentials that a page sends when it connects.
#[derive(Debug, Deserialize)]
struct Auth {
    name: String,
}

/// The name of a visitor, which its socket carries.
#[derive(Debug, Clone)]
struct Name(String);

async fn check_name(socket: Socket, Data(auth): Data<Auth>) -> Result<(), ConnectError> {
    let name = auth.name.trim();
    if name.is_empty() || name.chars().count() > 24 {
        return Err(ConnectError::new("a name has 1 to 24 characters"));
    }
    socket.extensions().insert(Name(name.to_owned()));
    Ok(())
}
// ANCHOR_END: middleware

// ANCHOR: connected
/// First event for a new visitor.
#[derive(Debug, Serialize)]
struct Welcome<'a> {
    you: &'a str,
    people: Vec<&'a str>,
    history: Vec<&'a Message>,
}

async fn connected(
    socket: Socket,
    State(chat): State<Chat>,
    wanted: fanfare::Extension<Name>,
) -> Result<(), EmitError> {
    chat.with(|room| {
        let name = room.enter(socket.id(), &wanted.0.0);
        socket.extensions().insert(Name(name.clone()));
        socket.broadcast().emit("joined", &name)?;
        // A page that comes back has the messages, or receives those that it missed.
        let history = if socket.is_recovered() {
            Vec::new()
        } else {
            room.history().collect()
        };
        let people = room.people().collect();
        socket.emit(
            "welcome",
            &Welcome {
                you: &name,
                people,
                history,
            },
        )
    })
}

async fn disconnected(socket: Socket, State(chat): State<Chat>) -> Result<(), EmitError> {
    chat.with(|room| {
        if let Some(name) = room.leave(socket.id()) {
            socket.broadcast().emit("left", name)?;
        }
        Ok(())
    })
}
// ANCHOR_END: connected

// ANCHOR: say
async fn say(
    socket: Socket,
    Data(text): Data<String>,
    State(chat): State<Chat>,
    name: fanfare::Extension<Name>,
) -> Result<Ack<u64>, EventError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 1000 {
        return Err(EventError::new("a message has 1 to 1000 characters"));
    }
    chat.with(|room| {
        let message = room.say(&name.0.0, text);
        socket.broadcast().emit("message", message)?;
        Ok(Ack(message.number))
    })
}

async fn typing(socket: Socket, name: fanfare::Extension<Name>) -> Result<(), EmitError> {
    socket.broadcast().volatile().emit("typing", &name.0.0)?;
    Ok(())
}
// ANCHOR_END: say
