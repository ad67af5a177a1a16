//! A server with one event: `say` sends a text to all clients, and tells the sender how many they are.

use axum::Router;
use fanfare::{Ack, BuildError, Data, EventError, Namespace, Socket, SocketIo};

mod web;

/// Greatest length of a text, in characters.
const MAX_CHARS: usize = 500;

/// Returns the Socket.IO server, and the routes of the website.
///
/// # Errors
///
/// If the configuration is invalid.
pub fn app() -> Result<(SocketIo, Router), BuildError> {
    let main = Namespace::new("/").on("say", say);
    let io = SocketIo::builder().namespace(main).build()?;
    Ok((io, web::files()))
}

async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<usize>, EventError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return Err(EventError::new(format!(
            "a text has 1 to {MAX_CHARS} characters"
        )));
    }
    let report = socket.namespace().emit("said", text)?;
    Ok(Ack(report.recipients))
}
