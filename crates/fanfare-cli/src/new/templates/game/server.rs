//! Clients over a network in memory, in virtual time: a second of the game takes milliseconds.

use std::collections::HashMap;

use fanfare_testing::TestServer;

use {{crate}}::{Direction, Dot, SPEED};

#[tokio::test(start_paused = true)]
async fn the_server_moves_the_dots() -> Result<(), Box<dyn std::error::Error>> {
    let (io, _) = {{crate}}::app()?;
    let server = TestServer::start(io);
    let player = server.client().await?;
    let id = player.id().ok_or("not connected")?.to_string();
    let mut steps = player.listen::<HashMap<String, Dot>>("dots");

    // Faster than allowed: the server limits it.
    player.emit("steer", &Direction { x: 100.0, y: 0.0 })?;

    let mut x = 0.5;
    while x < 0.6 {
        let dots = steps.next().await.ok_or("the game ended")??;
        let moved = dots[&id].x - x;
        assert!(
            (0.0..=SPEED + 1e-6).contains(&moved),
            "moved by {moved} in a step"
        );
        x += moved;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dots_leave_with_their_players() -> Result<(), Box<dyn std::error::Error>> {
    let (io, _) = {{crate}}::app()?;
    let server = TestServer::start(io);
    let (stays, leaves) = (server.client().await?, server.client().await?);
    let mut steps = stays.listen::<HashMap<String, Dot>>("dots");
    while steps.next().await.ok_or("the game ended")??.len() != 2 {}

    leaves.disconnect().await;

    while steps.next().await.ok_or("the game ended")??.len() != 1 {}
    Ok(())
}
