//! Connects, sends an event, awaits an acknowledgement, disconnects.
//!
//!     cargo run -p fanfare-client --example client_hello -- http://localhost:3000

use std::time::Duration;

use fanfare_client::{Data, connect};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://localhost:3000".into());
    let socket = connect(url)
        .fail_fast()
        .on("hello", |Data(text): Data<String>| async move {
            println!("the server says: {text}");
        })
        .await?;
    println!(
        "connected as {}",
        socket.id().as_deref().unwrap_or_default()
    );

    socket.emit("hello", "world")?;
    match socket
        .timeout(Duration::from_secs(3))
        .emit_with_ack::<String>("hello", "are you there?")
        .await
    {
        Ok(answer) => println!("the server answers: {answer}"),
        Err(error) => println!("no answer: {error}"),
    }
    socket.disconnect().await;
    Ok(())
}
