//! A chat with nicknames: typed events, validation, acknowledgements, broadcasts.

use std::time::SystemTime;

use fanfare::{Ack, Data, DisconnectReason, EventError, Namespace, Socket, SocketIo};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone)]
struct Nickname(String);

#[derive(Debug, Deserialize)]
struct NewMessage {
    text: String,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    from: &'a str,
    text: &'a str,
    at: u64,
}

fn nickname(socket: &Socket) -> Result<String, EventError> {
    let nickname = socket.extensions().get::<Nickname>();
    nickname
        .map(|n| n.0)
        .ok_or_else(|| EventError::new("choose a nickname first"))
}

async fn enter(socket: Socket, Data(name): Data<String>) -> Result<Ack<usize>, EventError> {
    let name = name.trim();
    if name.is_empty() || name.len() > 32 {
        return Err(EventError::new("a nickname has 1 to 32 characters"));
    }
    socket.extensions().insert(Nickname(name.to_owned()));
    socket.broadcast().emit("entered", name)?;
    Ok(Ack(socket.namespace().len()))
}

async fn say(socket: Socket, Data(new): Data<NewMessage>) -> Result<Ack<u64>, EventError> {
    let from = nickname(&socket)?;
    let at = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    // Everyone, including the sender, gets the same bytes, encoded once.
    socket.namespace().emit(
        "message",
        &Message {
            from: &from,
            text: &new.text,
            at,
        },
    )?;
    Ok(Ack(at))
}

async fn typing(socket: Socket) -> Result<(), EventError> {
    // Losing this event on a slow connection does no harm.
    socket
        .broadcast()
        .volatile()
        .emit("typing", nickname(&socket)?)?;
    Ok(())
}

async fn left(socket: Socket, reason: DisconnectReason) -> Result<(), EventError> {
    if let Ok(name) = nickname(&socket) {
        socket.namespace().emit("left", (name, reason.as_str()))?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Namespace::new("/chat")
        .on("enter", enter)
        .on("say", say)
        .on("typing", typing)
        .on_disconnect(left);
    let io = SocketIo::builder().namespace(chat).build()?;
    println!("listening on http://127.0.0.1:3000, namespace /chat");
    fanfare::serve(io).bind("127.0.0.1:3000").await?;
    Ok(())
}
