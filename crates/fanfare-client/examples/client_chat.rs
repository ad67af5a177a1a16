//! Chats in the terminal: each line goes to all clients in the namespace.
//!
//!     cargo run -p fanfare-client --example client_chat -- http://localhost:3000/chat Ada
//!
//! The server is expected to send each `message` to all clients. Lines typed while the network is down arrive later.

use fanfare_client::extract::{Connected, Disconnected};
use fanfare_client::{ConnectError, Data, connect};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args
        .next()
        .unwrap_or_else(|| "http://localhost:3000/chat".into());
    let name = args.next().unwrap_or_else(|| "somebody".into());

    let socket = connect(url)
        .on_connect(|connected: Connected| async move {
            let how = if connected.recovered {
                "back, nothing missed"
            } else {
                "connected"
            };
            println!("* {how} ({})", connected.id);
        })
        .on_disconnect(|disconnected: Disconnected| async move {
            println!("* disconnected: {}", disconnected.reason);
        })
        .on_connect_error(|error: ConnectError| async move { println!("* {error}") })
        .on("message", |Data(text): Data<String>| async move {
            println!("{text}");
        })
        .build()?;
    socket.connect();

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if let Err(error) = socket.emit("message", format!("{name}: {line}")) {
            println!("* not sent: {error}");
        }
    }
    socket.disconnect().await;
    Ok(())
}
