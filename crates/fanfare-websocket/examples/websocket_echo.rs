//! A WebSocket server that sends every message back.
//!
//!     cargo run -p fanfare-websocket --features tokio --example websocket_echo -- 127.0.0.1:9001
//!
//! With `--deflate` it compresses, if the client offers that.

use std::{env, error::Error};

use fanfare_websocket::{Message, Options, WebSocket, deflate};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut address = String::from("127.0.0.1:9001");
    let mut options = Options::default();
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--deflate" => {
                options.permessage_deflate = Some(
                    // The smallest messages, for some 300 KB of memory per connection.
                    deflate::Config::new()
                        .server_no_context_takeover(false)
                        .client_no_context_takeover(false),
                );
            }
            _ => address = argument,
        }
    }

    let listener = TcpListener::bind(&address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let options = options.clone();
        tokio::spawn(async move {
            if let Err(error) = echo(stream, &options).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn echo(stream: TcpStream, options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut websocket = WebSocket::accept_with(stream, options, |_request| Ok(())).await?;
    while let Some(message) = websocket.recv().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => websocket.send(message).await?,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {} // answered already
        }
    }
    Ok(())
}
