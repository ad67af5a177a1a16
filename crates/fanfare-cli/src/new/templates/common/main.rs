//! Start and end of the server.

use std::error::Error;
use std::time::Duration;

use fanfare::SocketIo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (io, routes) = {{crate}}::app()?;
    // `io` answers the requests to /socket.io/, the routes all others.
    let app = routes.layer(io.layer());

    let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = fanfare::serve::bind(format!("{host}:{port}")).await?;
    println!("listening on http://{host}:{port}");
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped(io))
        .await?;
    Ok(())
}

/// Waits for ctrl-c, then closes the connections in order.
async fn stopped(io: SocketIo) {
    if tokio::signal::ctrl_c().await.is_ok() {
        io.drain(Duration::from_secs(5)).await;
    }
}
