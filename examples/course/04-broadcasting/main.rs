//! Step 4: broadcasting. What one visitor draws appears on the screens of all others.

use std::error::Error;
use std::sync::Arc;

use fanfare::{Data, EmitError, Namespace, Socket, SocketIo, State};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

// ANCHOR: types
/// A line on the board. The coordinates go from 0 to 1, so that they fit every screen.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Line {
    from: (f32, f32),
    to: (f32, f32),
    colour: Colour,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Ink,
    Red,
    Blue,
    Green,
}
// ANCHOR_END: types

// ANCHOR: state
/// The drawing, which all handlers share.
#[derive(Debug, Clone, Default)]
struct Board(Arc<Mutex<Vec<Line>>>);

/// Greatest number of lines of a drawing.
const MAX_LINES: usize = 5000;

impl Board {
    /// Calls a function with the lines, while no other handler uses them.
    fn with<R>(&self, change: impl FnOnce(&mut Vec<Line>) -> R) -> R {
        change(&mut self.0.lock())
    }
}
// ANCHOR_END: state

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/")
        .on_connect(connected)
        .on("draw", draw)
        .on("pen", pen)
        .on("clear", clear)
        .on_disconnect(disconnected);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .state(Board::default())
        .build()?;
    course::serve(io, include_str!("index.html")).await
}
// ANCHOR_END: main

// ANCHOR: draw
async fn draw(
    socket: Socket,
    Data(line): Data<Line>,
    State(board): State<Board>,
) -> Result<(), EmitError> {
    board.with(|lines| {
        if lines.len() == MAX_LINES {
            lines.remove(0);
        }
        lines.push(line.clone());
        socket.broadcast().emit("draw", &line) // to all others
    })?;
    Ok(())
}

async fn clear(io: SocketIo, State(board): State<Board>) -> Result<(), EmitError> {
    board.with(|lines| {
        lines.clear();
        io.emit("clear", ()) // to all, also to the one who asked
    })?;
    Ok(())
}
// ANCHOR_END: draw

// ANCHOR: pen
async fn pen(socket: Socket, Data((x, y)): Data<(f32, f32)>) -> Result<(), EmitError> {
    let others = socket.broadcast().volatile();
    others.emit("pen", (socket.id(), x, y))?;
    Ok(())
}
// ANCHOR_END: pen

// ANCHOR: connected
async fn connected(socket: Socket, State(board): State<Board>) -> Result<(), EmitError> {
    board.with(|lines| socket.emit("drawing", &*lines))?;
    visitors(&socket)
}

async fn disconnected(socket: Socket) -> Result<(), EmitError> {
    socket.namespace().emit("gone", socket.id())?;
    visitors(&socket)
}

/// Tells everyone how many visitors there are.
fn visitors(socket: &Socket) -> Result<(), EmitError> {
    let all = socket.namespace();
    all.emit("visitors", all.len())?;
    Ok(())
}
// ANCHOR_END: connected
