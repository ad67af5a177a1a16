//! Clients over a network in memory: no ports, and no time passes while they wait.

use fanfare_testing::TestServer;

use {{crate}}::{Message, Seat};

fn seat(room: &str, name: &str) -> Seat {
    Seat {
        room: room.to_owned(),
        name: name.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn messages_stay_in_their_room() -> Result<(), Box<dyn std::error::Error>> {
    let (io, _) = {{crate}}::app()?;
    let server = TestServer::start(io);
    let (ann, bob, eve) = (
        server.client().await?,
        server.client().await?,
        server.client().await?,
    );
    let _: usize = ann.emit_with_ack("enter", &seat("tea", "Ann")).await?;
    let members: usize = bob.emit_with_ack("enter", &seat("tea", "Bob")).await?;
    assert_eq!(members, 2);
    let _: usize = eve.emit_with_ack("enter", &seat("other", "Eve")).await?;
    let (mut to_bob, mut to_eve) = (
        bob.listen::<Message>("message"),
        eve.listen::<Message>("message"),
    );

    let _: u64 = ann.emit_with_ack("say", "hello").await?;
    let _: u64 = eve.emit_with_ack("say", "anybody here?").await?;

    let message = to_bob.next().await.ok_or("Bob's stream ended")??;
    assert_eq!(
        (message.name.as_str(), message.text.as_str()),
        ("Ann", "hello")
    );
    // Eve's first message is her own.
    let message = to_eve.next().await.ok_or("Eve's stream ended")??;
    assert_eq!(message.name, "Eve");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_has_not_entered_cannot_write() -> Result<(), Box<dyn std::error::Error>> {
    let (io, _) = {{crate}}::app()?;
    let server = TestServer::start(io);
    let client = server.client().await?;
    let answer: Result<u64, _> = client.emit_with_ack("say", "hello").await;
    assert!(answer.is_err());
    Ok(())
}
