//! Refreshes tokens that expire: the `auth` callback runs at each connect, and a rejected socket reconnects with new
//! ones.
//!
//!     cargo run -p fanfare-client --example auth_refresh -- http://localhost:3000/admin

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fanfare_client::extract::Connected;
use fanfare_client::{ConnectError, Socket, connect};
use serde::Serialize;

#[derive(Serialize)]
struct Auth {
    token: String,
}

/// Simulates a request to a token server; the first two tokens are invalid.
async fn fetch_token() -> Result<Auth, std::io::Error> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let token = match COUNT.fetch_add(1, Ordering::Relaxed) {
        0 => return Err(std::io::Error::other("the token server is busy")),
        1 => "expired".to_owned(),
        _ => "secret".to_owned(),
    };
    Ok(Auth { token })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://localhost:3000/admin".into());
    let socket = connect(url)
        .auth_with(fetch_token)
        .on_connect(|connected: Connected| async move { println!("connected as {}", connected.id) })
        .on_connect_error(|socket: Socket, error: ConnectError| async move {
            println!("connect_error: {error}");
            // The client retries after failures of the network or of `fetch_token`. After a rejection it does not.
            if !error.is_temporary() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                socket.connect();
            }
        })
        .build()?;
    socket.connect();
    while !socket.is_connected() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    socket.disconnect().await;
    Ok(())
}
