use std::error::Error;

use fanfare_client::AckError;
use fanfare_testing::{TestServer, within};
use tokio::time::{Duration, Instant};

use super::{ROUND, quiz};

type Result = std::result::Result<(), Box<dyn Error>>;

// ANCHOR: first
#[tokio::test(start_paused = true)]
async fn the_first_press_wins() -> Result {
    let server = TestServer::start(quiz().build()?);
    let (ada, grace) = (server.client().await?, server.client().await?);
    let mut winners = grace.listen::<(u32, String)>("winner");

    let round: u32 = ada.emit_with_ack("start", ()).await?;
    assert!(ada.emit_with_ack::<bool>("press", ()).await?);
    assert!(!grace.emit_with_ack::<bool>("press", ()).await?);

    let (number, winner) = within("a winner", winners.next())
        .await
        .ok_or("no winner")??;
    assert_eq!(number, round);
    assert_eq!(Some(winner.as_str()), ada.id().as_deref());
    Ok(())
}
// ANCHOR_END: first

// ANCHOR: time
#[tokio::test(start_paused = true)]
async fn a_round_ends_after_ten_seconds() -> Result {
    let server = TestServer::start(quiz().build()?);
    let ada = server.client().await?;
    let mut ends = ada.listen::<u32>("over");

    let start = Instant::now();
    ada.emit_with_ack::<u32>("start", ()).await?;
    let number = ends.next().await.ok_or("no end")??;
    assert_eq!(number, 1);
    assert!(start.elapsed() >= ROUND && start.elapsed() < ROUND + Duration::from_secs(1));
    assert!(!ada.emit_with_ack::<bool>("press", ()).await?, "it is over");
    Ok(())
}
// ANCHOR_END: time

// ANCHOR: network
#[tokio::test(start_paused = true)]
async fn a_broken_network_does_not_stop_the_others() -> Result {
    let server = TestServer::start(quiz().build()?);
    let phone = server.link(); // the connections of one client
    let (ada, grace) = (phone.client().await?, server.client().await?);
    grace.emit_with_ack::<u32>("start", ()).await?;

    phone.partition(); // what is sent does not arrive, and neither side notices
    let press = ada
        .timeout(Duration::from_secs(3))
        .emit_with_ack::<bool>("press", ());
    assert!(matches!(press.await, Err(AckError::Timeout)));
    assert!(
        grace.emit_with_ack::<bool>("press", ()).await?,
        "the round is open for others"
    );

    phone.heal(); // now the press of Ada arrives, and is too late
    assert!(!ada.emit_with_ack::<bool>("press", ()).await?);
    Ok(())
}
// ANCHOR_END: network

#[tokio::test(start_paused = true)]
async fn one_round_at_a_time() -> Result {
    let server = TestServer::start(quiz().build()?);
    let ada = server.client().await?;
    let start = async || ada.emit_with_ack::<serde_json::Value>("start", ()).await;
    assert_eq!(start().await?, 1);
    assert_eq!(start().await?["error"]["message"], "a round is running");
    assert!(ada.emit_with_ack::<bool>("press", ()).await?);
    assert_eq!(start().await?, 2);
    Ok(())
}
