//! Sends a message to the clients of the servers of `cluster_redis`, from a program without clients:
//! `cargo run -p fanfare-redis --example emitter -- "a text"`.

use fanfare_redis::Classic;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "hello".to_owned());
    let url = std::env::var("REDIS_URL");
    let url = url.unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());

    let emitter = Classic::new(url).emitter()?;
    emitter.emit("message", text)?;
    // Before the program ends.
    emitter.flush().await?;
    Ok(())
}
