//! Step 11: typed events, shared with TypeScript. A list of things to do.

mod contract;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use contract::{Add, Entry, Events, List, Mark};
use fanfare::typed::{Typed, TypedSocket};
use fanfare::{Ack, EmitError, EventError, Namespace, SocketIo, State};
use parking_lot::Mutex;

/// Greatest number of entries.
const MAX_ENTRIES: usize = 100;

/// The list, which all handlers share.
#[derive(Debug, Clone, Default)]
struct Entries(Arc<Mutex<Vec<Entry>>>);

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::typed::<Events>()
        .on_connect(connected)
        .on_event(add)
        .on_event(mark);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .state(Entries::default())
        .build()?;
    let script = (
        [("content-type", "text/javascript")],
        include_str!("list.js"),
    );
    let routes = Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/list.js", get(script));
    course::serve_routes(io, routes).await
}
// ANCHOR_END: main

// ANCHOR: handlers
async fn add(
    socket: TypedSocket<Events>,
    Typed(add): Typed<Add>,
    State(entries): State<Entries>,
) -> Result<Ack<u32>, EventError> {
    let text = add.text.trim();
    if text.is_empty() || text.chars().count() > 100 {
        return Err(EventError::new("an entry has 1 to 100 characters"));
    }
    let mut entries = entries.0.lock();
    if entries.len() == MAX_ENTRIES {
        return Err(EventError::new(format!(
            "the list is full: it has {MAX_ENTRIES} entries"
        )));
    }
    let id = entries.last().map_or(1, |entry| entry.id + 1);
    entries.push(Entry {
        id,
        text: text.to_owned(),
        done: false,
    });
    socket.namespace().emit(&List(entries.clone()))?;
    Ok(Ack(id))
}

async fn mark(
    socket: TypedSocket<Events>,
    Typed(Mark { id, done }): Typed<Mark>,
    State(entries): State<Entries>,
) -> Result<Ack<usize>, EventError> {
    let mut entries = entries.0.lock();
    let entry = entries.iter_mut().find(|entry| entry.id == id);
    entry
        .ok_or_else(|| EventError::new(format!("there is no entry {id}")))?
        .done = done;
    socket.namespace().emit(&List(entries.clone()))?;
    Ok(Ack(entries.iter().filter(|entry| !entry.done).count()))
}
// ANCHOR_END: handlers

async fn connected(
    socket: TypedSocket<Events>,
    State(entries): State<Entries>,
) -> Result<(), EmitError> {
    let entries = entries.0.lock();
    socket.emit(&List(entries.clone()))
}
