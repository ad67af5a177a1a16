//! Check that the server implements the events of a scenario.

use std::time::Duration;

use tokio::time::timeout;

use super::Scenario;
use super::client::{Client, ConnectError, Connector, Packet};
use crate::exit::{Code, Failure};
use crate::net;

/// Timeout of one answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects once and tries the events of the scenario.
pub(super) async fn check(connector: &Connector, scenario: Scenario) -> Result<(), Failure> {
    let origin = connector.target.origin();
    let mut client = match connector.connect().await {
        Ok(client) => client,
        Err(ConnectError::Refused(why)) => {
            let message = serde_json::from_str::<serde_json::Value>(&why)
                .ok()
                .and_then(|body| body["message"].as_str().map(str::to_owned));
            return Err(Failure::new(
                Code::Refused,
                format!(
                    "the server refused the namespace {}",
                    connector.target.namespace
                ),
            )
            .because(message.unwrap_or(why))
            .fix("check the namespace (the URL's path, or -n) and the credentials (--auth)"));
        }
        Err(error @ ConnectError::Old) => {
            return Err(
                Failure::new(Code::Unreachable, format!("cannot put load on {origin}"))
                    .because(error)
                    .fix("bench a server of v3 or v4; `fanfare connect` speaks to this one"),
            );
        }
        Err(ConnectError::Failed(why)) => {
            return Err(Failure::new(
                Code::Unreachable,
                format!("cannot connect to {origin} by WebSocket"),
            )
            .fix(net::fix(&why, &origin))
            .because(why));
        }
    };
    let prefix = client.prefix.clone();
    let steps: Vec<(&str, String, String)> = match scenario {
        Scenario::Connect | Scenario::Idle => Vec::new(),
        Scenario::Echo | Scenario::Polling => vec![echo(&prefix)],
        Scenario::Fanout => {
            let packet = format!("42{prefix}[\"broadcast\",\"preflight\"]");
            vec![(
                "broadcast",
                packet,
                format!("2{prefix}[\"msg\",\"preflight\"]"),
            )]
        }
        Scenario::Rooms => vec![
            (
                "join",
                format!("42{prefix}0[\"join\",\"preflight\"]"),
                format!("3{prefix}0["),
            ),
            (
                "toroom",
                format!("42{prefix}[\"toroom\",\"preflight\",\"hello\"]"),
                format!("2{prefix}[\"msg\",\"hello\"]"),
            ),
        ],
    };
    for (event, packet, expected) in steps {
        let answer = if expected.starts_with('3') {
            "its acknowledgement"
        } else {
            "the event `msg`"
        };
        client.send_text(packet.as_bytes());
        if !matches!(
            timeout(PROBE_TIMEOUT, expect(&mut client, &expected)).await,
            Ok(Ok(()))
        ) {
            return Err(Failure::new(
                Code::Lost,
                format!("the server does not handle the event `{event}` as the scenario needs"),
            )
            .because(format!("{answer} did not come within {PROBE_TIMEOUT:?}"))
            .fix(
                "give it the handlers that `fanfare bench --help` lists, or run Fanfare's: \
                     cargo run --release -p fanfare --example bench_server",
            ));
        }
    }
    client.close().await;
    Ok(())
}

fn echo(prefix: &str) -> (&'static str, String, String) {
    (
        "echo",
        format!("42{prefix}0[\"echo\",\"preflight\"]"),
        format!("3{prefix}0[\"preflight\"]"),
    )
}

async fn expect(client: &mut Client, expected: &str) -> std::io::Result<()> {
    client.flush().await?;
    loop {
        while let Some(packet) = client.next()? {
            if matches!(packet, Packet::Text(text) if text.starts_with(expected)) {
                return Ok(());
            }
        }
        client.flush().await?;
        client.fill().await?;
    }
}
