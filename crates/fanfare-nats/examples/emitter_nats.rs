//! Sends a message to the clients of the servers of `cluster_nats`, from a program without clients:
//! `cargo run -p fanfare-nats --example emitter_nats -- "a text"`.

use fanfare_nats::{JetStream, Nats};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "hello".to_owned());
    let url = std::env::var("NATS_URL");
    let url = url.unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());

    // The options of the servers.
    let emitter = Nats::new(url)
        .prefix("chat")
        .jetstream(JetStream::new())
        .emitter()?;
    emitter.emit("message", text)?;
    // Before the program ends.
    emitter.flush().await?;
    Ok(())
}
