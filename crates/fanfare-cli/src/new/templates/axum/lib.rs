//! An axum application with live updates: requests of HTTP change the list, and all open pages show it at once.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::get;
use fanfare::{BuildError, EmitError, Namespace, Socket, SocketIo, State as SocketState};

mod web;

/// Greatest length of an entry, in characters.
const MAX_CHARS: usize = 200;
/// Greatest number of entries; the oldest make room.
const MAX_ENTRIES: usize = 100;

/// Entries of the list, shared by the handlers of axum and of Socket.IO.
#[derive(Debug, Clone, Default)]
struct Entries(Arc<Mutex<Vec<String>>>);

impl Entries {
    fn add(&self, entry: String) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.remove(0);
        }
        entries.push(entry);
    }

    fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// State of axum's handlers.
#[derive(Debug, Clone)]
struct App {
    io: SocketIo,
    entries: Entries,
}

/// Returns the Socket.IO server, and the routes: the website, and an API with the list.
///
/// # Errors
///
/// If the configuration is invalid.
pub fn app() -> Result<(SocketIo, Router), BuildError> {
    let entries = Entries::default();
    let namespace = Namespace::new("/").on_connect(send_all);
    let io = SocketIo::builder()
        .state(entries.clone())
        .namespace(namespace)
        .build()?;
    let routes = web::files()
        .route("/api/entries", get(list).post(add))
        .with_state(App {
            io: io.clone(),
            entries,
        });
    Ok((io, routes))
}

/// Sends the whole list to a client that connects.
async fn send_all(
    socket: Socket,
    SocketState(entries): SocketState<Entries>,
) -> Result<(), EmitError> {
    socket.emit("entries", entries.all())
}

async fn list(State(app): State<App>) -> Json<Vec<String>> {
    Json(app.entries.all())
}

async fn add(State(app): State<App>, text: String) -> (StatusCode, String) {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return (
            StatusCode::BAD_REQUEST,
            format!("an entry has 1 to {MAX_CHARS} characters\n"),
        );
    }
    app.entries.add(text.to_owned());
    match app.io.emit("entry", text) {
        Ok(report) => (
            StatusCode::CREATED,
            format!("shown by {} pages\n", report.recipients),
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("not shown: {error}\n"),
        ),
    }
}
