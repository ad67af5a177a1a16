//! Clients over a network in memory: no ports, and no time passes while they wait.

use fanfare_testing::TestServer;

#[tokio::test(start_paused = true)]
async fn a_text_reaches_all_clients() -> Result<(), Box<dyn std::error::Error>> {
    let (io, _) = {{crate}}::app()?;
    let server = TestServer::start(io);
    let (one, two) = (server.client().await?, server.client().await?);
    let mut said = two.listen::<String>("said");

    let recipients: usize = one.emit_with_ack("say", "hello").await?;

    assert_eq!(recipients, 2);
    assert_eq!(said.next().await.ok_or("the stream ended")??, "hello");
    Ok(())
}
