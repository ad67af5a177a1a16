//! Step 2: the first Socket.IO server, and its page.

// ANCHOR: program
use std::error::Error;

use fanfare::{DisconnectReason, Namespace, Socket, SocketIo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/")
        .on_connect(connected)
        .on_disconnect(disconnected);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .build()?;
    course::serve(io, include_str!("index.html")).await
}

async fn connected(socket: Socket) -> Result<(), fanfare::EmitError> {
    println!("{} connected", socket.id());
    socket.emit("welcome", "Hello from Rust!")
}

async fn disconnected(socket: Socket, reason: DisconnectReason) {
    println!("{} disconnected: {}", socket.id(), reason.as_str());
}
// ANCHOR_END: program
