//! Step 3: events in both directions. The page asks for dice, and the server rolls them.

use std::error::Error;

use fanfare::{Data, EmitError, Namespace, Socket, SocketIo};
use serde::{Deserialize, Serialize};

// ANCHOR: types
/// Dice that a page asks for.
#[derive(Debug, Deserialize)]
struct Roll {
    count: u8,
    sides: u32,
}

/// Dice that the server has rolled.
#[derive(Debug, Serialize)]
struct Rolled {
    dice: Vec<u32>,
    sum: u32,
}
// ANCHOR_END: types

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/").on("roll", roll).on("name", name);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .build()?;
    course::serve(io, include_str!("index.html")).await
}
// ANCHOR_END: main

// ANCHOR: roll
/// Greatest number of dice, and of their sides.
const MAX: u32 = 100;

async fn roll(socket: Socket, Data(roll): Data<Roll>) -> Result<(), EmitError> {
    if roll.count == 0 || u32::from(roll.count) > MAX || !(2..=MAX).contains(&roll.sides) {
        return socket.emit("problem", "1 to 100 dice of 2 to 100 sides, please");
    }
    let dice: Vec<u32> = (0..roll.count).map(|_| random(roll.sides)).collect();
    let sum = dice.iter().sum();
    socket.emit("rolled", &Rolled { dice, sum })
}

/// Returns a random number from 1 to `sides`.
fn random(sides: u32) -> u32 {
    // The system's source of random numbers does not fail on a computer that has started.
    let number = getrandom::u32().unwrap_or_default();
    number % sides + 1
}
// ANCHOR_END: roll

// ANCHOR: name
async fn name(
    socket: Socket,
    Data((first, last)): Data<(String, String)>,
) -> Result<(), EmitError> {
    let both = format!("{first} {last}");
    socket.emit(
        "greeting",
        (format!("Good luck, {both}!"), both.chars().count()),
    )
}
// ANCHOR_END: name
