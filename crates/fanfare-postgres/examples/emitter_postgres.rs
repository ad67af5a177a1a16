//! Sends a message to the clients of the servers of a cluster over PostgreSQL, from a program without clients:
//! `cargo run -p fanfare-postgres --example emitter_postgres -- "a text"`. The servers are those with the default options,
//! such as `fanfare_postgres::Postgres::new(url).adapter()`, or Node's with its PostgreSQL adapter.

use fanfare_postgres::Postgres;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "hello".to_owned());
    let url = std::env::var("DATABASE_URL");
    let url = url.unwrap_or_else(|_| "postgres://postgres@127.0.0.1/postgres".to_owned());

    let emitter = Postgres::new(url).emitter()?;
    emitter.emit("message", text)?;
    // Before the program ends.
    emitter.flush().await?;
    Ok(())
}
