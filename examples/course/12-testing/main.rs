//! Step 12: testing. A quiz in which the first who presses the button may answer.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fanfare::{Ack, EventError, Namespace, Socket, SocketIo, SocketIoBuilder, State};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// Time in which the button can be pressed.
const ROUND: Duration = Duration::from_secs(10);

/// The quiz, which all handlers share.
#[derive(Debug, Clone, Default)]
struct Quiz(Arc<Mutex<Rounds>>);

#[derive(Debug, Default)]
struct Rounds {
    number: u32,
    /// The task that ends the round which is running.
    running: Option<AbortHandle>,
}

// ANCHOR: server
/// Returns the quiz, without a port and without a page.
fn quiz() -> SocketIoBuilder {
    let main = Namespace::new("/").on("start", start).on("press", press);
    SocketIo::builder().namespace(main).state(Quiz::default())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let io = quiz().serve_embedded_client().build()?;
    course::serve(io, include_str!("index.html")).await
}
// ANCHOR_END: server

// ANCHOR: start
async fn start(io: SocketIo, State(quiz): State<Quiz>) -> Result<Ack<u32>, EventError> {
    let mut rounds = quiz.0.lock();
    if rounds.running.is_some() {
        return Err(EventError::new("a round is running"));
    }
    rounds.number += 1;
    let number = rounds.number;
    let end = tokio::spawn(end(io.clone(), quiz.clone(), number));
    rounds.running = Some(end.abort_handle());
    io.emit("round", (number, ROUND.as_secs()))?;
    Ok(Ack(number))
}

/// Ends a round that has no winner.
async fn end(io: SocketIo, quiz: Quiz, number: u32) {
    tokio::time::sleep(ROUND).await;
    let mut rounds = quiz.0.lock();
    rounds.running = None;
    if let Err(error) = io.emit("over", number) {
        eprintln!("the end of round {number} was not sent: {error}");
    }
}
// ANCHOR_END: start

// ANCHOR: press
/// Acknowledged with whether the press was the first.
async fn press(socket: Socket, State(quiz): State<Quiz>) -> Result<Ack<bool>, EventError> {
    let mut rounds = quiz.0.lock();
    let Some(end) = rounds.running.take() else {
        return Ok(Ack(false)); // too late
    };
    end.abort();
    socket
        .namespace()
        .emit("winner", (rounds.number, socket.id()))?;
    Ok(Ack(true))
}
// ANCHOR_END: press
