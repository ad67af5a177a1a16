//! Works without a server, and delivers when there is one: a bounded offline buffer, retries, and volatile events.
//!
//!     cargo run -p fanfare-client --example offline_first -- http://localhost:3000
//!
//! Start it first and the server later; kill the server in between. The server must acknowledge `reading`, and
//! should ignore one that it knows already: a reading may be sent again.

use std::time::Duration;

use fanfare_client::{BufferPolicy, ManagerEvent, connect};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://localhost:3000".into());
    let socket = connect(url)
        // At most the last thousand, none older than an hour; acknowledged one by one, as often as it takes.
        .offline_buffer(1000, 1 << 20)
        .offline_buffer_age(Duration::from_secs(3600))
        .offline_buffer_policy(BufferPolicy::DropOldest)
        .retries(10, Duration::from_secs(5))
        .build()?;
    let mut connection = socket.manager().events();
    socket.connect();
    tokio::spawn(async move {
        while let Some(event) = connection.next().await {
            match event {
                ManagerEvent::Open { transport } => println!("online over {transport}"),
                ManagerEvent::Close { reason, .. } => println!("offline: {reason}"),
                ManagerEvent::ReconnectScheduled { attempt, delay } => {
                    println!("attempt {attempt} in {delay:.1?}");
                }
                _ => {}
            }
        }
    });

    for reading in 0_u32.. {
        socket.emit("reading", (reading, f64::from(reading).sin()))?;
        // Only the newest position is of interest: not kept while offline.
        socket.emit_volatile("position", reading)?;
        let (count, bytes) = socket.buffered();
        println!("reading {reading}: {count} waiting ({bytes} bytes)");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
