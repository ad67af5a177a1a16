//! Works offline and delivers after connecting: a bounded offline buffer, retries, and volatile events.
//!
//!     cargo run -p fanfare-client --example offline_first -- http://localhost:3000
//!
//! Start it before the server, and kill the server in between. The server must acknowledge `reading`, and should ignore
//! a reading that it has already: one may be sent again.

use std::time::Duration;

use fanfare_client::connect;
use fanfare_client::event::ManagerEvent;
use fanfare_client::options::BufferPolicy;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://localhost:3000".into());
    let socket = connect(url)
        // At most 1000 events, none older than an hour; acknowledged one by one, with unlimited retries.
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
        // Only the newest position matters, so it is not kept while offline.
        socket.volatile().emit("position", reading)?;
        let (count, bytes) = socket.buffered();
        println!("reading {reading}: {count} waiting ({bytes} bytes)");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
