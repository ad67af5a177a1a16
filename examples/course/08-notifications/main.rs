//! Step 8: notifications, sent by a shell or by a program in another language.

use std::error::Error;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use fanfare::{Ack, Data, EventError, Namespace, SocketIo};
use serde::{Deserialize, Serialize};

// ANCHOR: types
/// Longest title or text, in characters.
const MAX_TEXT: usize = 500;

#[derive(Debug, Deserialize, Serialize)]
struct Notification {
    title: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    level: Level,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Info,
    Warning,
}
// ANCHOR_END: types

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = Namespace::new("/").on("notify", notify_by_event);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .namespace(main)
        .build()?;
    let routes = Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/notify", post(notify_by_http))
        .with_state(io.clone());
    course::serve_routes(io, routes).await
}
// ANCHOR_END: main

// ANCHOR: send
/// Sends a notification to everyone, and returns the number of recipients.
fn send(io: &SocketIo, notification: &Notification) -> Result<usize, EventError> {
    let longest = notification
        .title
        .chars()
        .count()
        .max(notification.text.chars().count());
    if notification.title.trim().is_empty() || longest > MAX_TEXT {
        return Err(EventError::new(format!(
            "a notification has a title, and at most {MAX_TEXT} characters"
        )));
    }
    Ok(io.emit("notification", notification)?.recipients)
}
// ANCHOR_END: send

// ANCHOR: http
async fn notify_by_http(
    axum::extract::State(io): axum::extract::State<SocketIo>,
    body: String,
) -> (StatusCode, String) {
    let notification: Notification = match serde_json::from_str(&body) {
        Ok(notification) => notification,
        Err(error) => {
            return (
                StatusCode::BAD_REQUEST,
                format!("not a notification: {error}\n"),
            );
        }
    };
    match send(&io, &notification) {
        Ok(recipients) => (StatusCode::OK, format!("sent to {recipients}\n")),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{}\n", error.message())),
    }
}
// ANCHOR_END: http

// ANCHOR: event
async fn notify_by_event(
    io: SocketIo,
    Data(notification): Data<Notification>,
) -> Result<Ack<String>, EventError> {
    let recipients = send(&io, &notification)?;
    Ok(Ack(format!("sent to {recipients}")))
}
// ANCHOR_END: event
