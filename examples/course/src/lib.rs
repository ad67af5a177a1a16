//! The web server that the steps of the course share: a page, its style, and Socket.IO, on one port.

// ANCHOR: serve
use std::error::Error;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use fanfare::SocketIo;
use tokio::net::TcpListener;

/// Serves a page at `/`, and Socket.IO beside it, until the program is stopped.
///
/// # Errors
///
/// If the port is not a number or is in use.
pub async fn serve(io: SocketIo, page: &'static str) -> Result<(), Box<dyn Error>> {
    serve_routes(io, Router::new().route("/", get(Html(page)))).await
}

/// Serves the routes of a website, and Socket.IO beside them, until the program is stopped.
///
/// # Errors
///
/// If the port is not a number or is in use.
pub async fn serve_routes(io: SocketIo, routes: Router) -> Result<(), Box<dyn Error>> {
    let app = routes.merge(files()).layer(io.layer());
    let listener = listen().await?;
    axum::serve(listener, app).await?;
    Ok(())
}

/// Listens on the address and the port of the environment variables `HOST` and `PORT`, by default 127.0.0.1 and 3000,
/// and prints them.
///
/// # Errors
///
/// If the port is not a number or is in use, or the address is not one of this computer.
pub async fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let get = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (host, port) = (get("HOST", "127.0.0.1"), get("PORT", "3000"));
    let number: u16 = port
        .parse()
        .map_err(|_| format!("PORT is {port:?}, which is not a number from 0 to 65535"))?;
    let listener = TcpListener::bind((host.as_str(), number))
        .await
        .map_err(|error| format!("cannot listen on {host}, port {port}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
// ANCHOR_END: serve

/// Style of all pages.
pub const STYLE: &str = concat!(
    include_str!("../../../web/src/base.css"),
    include_str!("course.css")
);

/// Icon of all pages.
pub const ICON: &str = include_str!("../../../web/public/favicon.svg");

/// Returns the routes of the files that all pages use.
pub fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file = |kind: &'static str, text: &'static str| get(([("content-type", kind)], text));
    Router::new()
        .route("/style.css", file("text/css", STYLE))
        .route("/page.js", file("text/javascript", include_str!("page.js")))
        .route("/favicon.svg", file("image/svg+xml", ICON))
}
