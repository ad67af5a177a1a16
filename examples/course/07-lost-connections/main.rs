//! Step 7: lost connections. The server counts, and no visitor misses a number.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, DisconnectReason, EmitError, Namespace, Socket, SocketIo, State};
use parking_lot::Mutex;

/// Number of recent numbers that new visitors receive.
const HISTORY: usize = 5;

/// The recent numbers.
#[derive(Debug, Clone, Default)]
struct Recent(Arc<Mutex<VecDeque<u64>>>);

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recent = Recent::default();
    let main = Namespace::new("/")
        .on_connect(connected)
        .on("caught up?", async || Ack("yes"))
        .on_disconnect(disconnected);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .connection_state_recovery(
            ConnectionStateRecovery::new().max_disconnection_duration(Duration::from_secs(120)),
        )
        .namespace(main)
        .state(recent.clone())
        .build()?;
    tokio::spawn(count(io.clone(), recent));
    course::serve(io, include_str!("index.html")).await
}
// ANCHOR_END: main

// ANCHOR: count
/// Sends a number each second, also while no visitor is connected.
async fn count(io: SocketIo, recent: Recent) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for number in 1.. {
        seconds.tick().await;
        let mut recent = recent.0.lock();
        recent.push_back(number);
        if recent.len() > HISTORY {
            recent.pop_front();
        }
        if let Err(error) = io.emit("number", number) {
            eprintln!("number {number} was not sent: {error}");
        }
    }
}
// ANCHOR_END: count

// ANCHOR: connected
async fn connected(socket: Socket, State(recent): State<Recent>) -> Result<(), EmitError> {
    if socket.is_recovered() {
        println!("{} is back", socket.id());
        return Ok(()); // it receives what it missed, without our help
    }
    println!("{} is new", socket.id());
    let recent = recent.0.lock();
    socket.emit("history", &*recent)
}

async fn disconnected(socket: Socket, reason: DisconnectReason) {
    println!("{} is away: {}", socket.id(), reason.as_str());
}
// ANCHOR_END: connected
