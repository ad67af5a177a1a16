//! Step 6: acknowledgements. A theatre with 24 seats, and a question to everyone.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fanfare::ack::BroadcastAckError;
use fanfare::{Ack, Data, EventError, Namespace, Socket, SocketId, SocketIo, State};
use parking_lot::Mutex;
use serde::Serialize;

/// Number of seats; they are numbered from 1.
const SEATS: u8 = 24;

/// Time in which visitors can answer a question.
const TIME_TO_ANSWER: Duration = Duration::from_secs(4);

/// The booked seats, and who has booked them.
#[derive(Debug, Clone, Default)]
struct Booked(Arc<Mutex<BTreeMap<u8, SocketId>>>);

impl Booked {
    fn with<R>(&self, change: impl FnOnce(&mut BTreeMap<u8, SocketId>) -> R) -> R {
        change(&mut self.0.lock())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/")
        .on_connect(connected)
        .on("book", book)
        .on("ask", ask)
        .on_disconnect(disconnected);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .state(Booked::default())
        .build()?;
    course::serve(io, include_str!("index.html")).await
}

// ANCHOR: book
async fn book(
    socket: Socket,
    Data(seat): Data<u8>,
    State(booked): State<Booked>,
) -> Result<Ack<String>, EventError> {
    if !(1..=SEATS).contains(&seat) {
        return Err(EventError::new(format!(
            "there is no seat {seat}: they go from 1 to {SEATS}"
        )));
    }
    booked.with(|seats| {
        if seats.contains_key(&seat) {
            return Err(EventError::new(format!("seat {seat} is taken")));
        }
        seats.insert(seat, socket.id());
        socket.broadcast().emit("taken", seat)?;
        Ok(Ack(format!("ticket {:04}", u32::from(seat) * 37)))
    })
}
// ANCHOR_END: book

// ANCHOR: ask
/// Answers to a question.
#[derive(Debug, Serialize)]
struct Answers {
    yes: usize,
    no: usize,
    missing: usize,
}

async fn ask(socket: Socket, Data(question): Data<String>) -> Result<Ack<Answers>, EventError> {
    let others = socket.broadcast().timeout(TIME_TO_ANSWER);
    let (answers, missing): (Vec<bool>, usize) =
        match others.emit_with_ack("question", &question).await {
            Ok(answers) => (answers, 0),
            // Some did not answer in time: these are the answers of the others.
            Err(BroadcastAckError::Timeout {
                responses, missing, ..
            }) => (responses, missing),
            Err(error) => return Err(error.into()),
        };
    let yes = answers.iter().filter(|&&answer| answer).count();
    Ok(Ack(Answers {
        yes,
        no: answers.len() - yes,
        missing,
    }))
}
// ANCHOR_END: ask

async fn connected(socket: Socket, State(booked): State<Booked>) -> Result<(), EventError> {
    booked.with(|seats| {
        let seats: Vec<&u8> = seats.keys().collect();
        Ok(socket.emit("seats", &seats)?)
    })
}

async fn disconnected(socket: Socket, State(booked): State<Booked>) -> Result<(), EventError> {
    booked.with(|seats| {
        let (free, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(seats)
            .into_iter()
            .partition(|(_, owner)| *owner == socket.id());
        *seats = kept;
        for seat in free.into_keys() {
            socket.namespace().emit("free", seat)?;
        }
        Ok(())
    })
}
