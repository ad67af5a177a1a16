//! Long-polling: one request that waits for packets, another that sends them, and an upgrade attempt beside them.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;

use ::http::Method;
use bytes::Bytes;
use fanfare_protocol::engine::{self, Opened, v3};
use fanfare_websocket::{Message, WebSocket};
use tokio::time::timeout;

use super::{Packet, Wire};
use crate::net::Stream;
use crate::net::http::{self, Connection, Response};

/// Size at which a body takes no more packets, in bytes. Old servers reject bodies over 1 MB by default.
const MAX_BODY_BYTES: usize = 100_000;

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Result of a step.
pub(super) enum Step {
    Packet(Packet),
    /// All requests are done; the session continues on this WebSocket once the upgrade is confirmed.
    Probed(Box<WebSocket<Stream>>),
}

pub(super) struct Polling {
    sid: String,
    arrived: VecDeque<Packet>,
    /// Connection of the polls, while no poll is pending.
    connection: Option<Connection>,
    poll: Option<Job<Result<(Connection, Response), String>>>,
    post: Option<Job<Result<(), String>>>,
    probe: Option<Job<Option<WebSocket<Stream>>>>,
    /// WebSocket that passed the probe: no further request may begin.
    probed: Option<Box<WebSocket<Stream>>>,
}

impl Polling {
    /// Opens a session; with `upgrade` it also tries to upgrade to WebSocket.
    pub(super) async fn open(wire: &mut Wire, upgrade: bool) -> Result<(Self, Opened), String> {
        let handshake = async {
            let mut connection = Connection::open(&wire.dialer).await?;
            let response = connection.send(wire.request(Method::GET, None, "")).await?;
            Ok((connection, response))
        };
        let (connection, response) = match timeout(wire.patience, handshake).await {
            Ok(done) => done.map_err(|error: http::Error| error.to_string())?,
            Err(_) => return Err(http::Error::Timeout(wire.patience).to_string()),
        };
        let mut arrived = packets(&response)?;
        let opened = match arrived.pop_front() {
            Some(Packet::Text(text)) => text
                .strip_prefix('0')
                .and_then(|json| Opened::parse(json).ok()),
            _ => None,
        };
        let opened = opened.ok_or_else(|| described("a handshake", &response))?;
        wire.cookies = response.cookies();
        let sid = opened.sid.clone();
        let offered = opened.upgrades.iter().any(|name| name == "websocket");
        let polling = Self {
            arrived,
            connection: Some(connection),
            poll: None,
            post: None,
            probe: (upgrade && offered).then(|| probe(wire.clone(), sid.clone())),
            probed: None,
            sid,
        };
        Ok((polling, opened))
    }

    /// Sends and receives until something happens. Cancellation-safe: pending requests continue with the next call.
    pub(super) async fn step(
        &mut self,
        wire: &Wire,
        out: &mut VecDeque<Packet>,
    ) -> Result<Step, String> {
        loop {
            if let Some(packet) = self.arrived.pop_front() {
                return Ok(Step::Packet(packet));
            }
            if self.probed.is_none() {
                if self.post.is_none() && !out.is_empty() {
                    self.post = Some(post(wire.clone(), self.sid.clone(), body(out)));
                }
                if self.poll.is_none() {
                    let connection = self.connection.take();
                    self.poll = Some(poll(wire.clone(), self.sid.clone(), connection));
                }
            } else if self.post.is_none()
                && self.poll.is_none()
                && let Some(socket) = self.probed.take()
            {
                return Ok(Step::Probed(socket));
            }
            tokio::select! {
                polled = run(&mut self.poll) => {
                    let (connection, response) = polled?;
                    self.connection = Some(connection);
                    self.arrived = packets(&response)?;
                }
                posted = run(&mut self.post) => posted?,
                // Without a WebSocket, polling goes on.
                probed = run(&mut self.probe) => self.probed = probed.map(Box::new),
            }
        }
    }

    /// Sends the remaining packets, and ends the session.
    pub(super) async fn close(mut self, wire: &Wire, mut out: VecDeque<Packet>) {
        if let Some(post) = self.post.take()
            && post.await.is_err()
        {
            return;
        }
        out.push_back(Packet::Text("1".to_owned()));
        while !out.is_empty() {
            let sent = post(wire.clone(), self.sid.clone(), body(&mut out)).await;
            if sent.is_err() {
                return;
            }
        }
    }
}

/// Drives a pending job to its end. Cancellation-safe.
async fn run<T>(job: &mut Option<Job<T>>) -> T {
    let Some(running) = job else {
        return pending().await;
    };
    let done = running.await;
    *job = None;
    done
}

/// Takes packets up to the size of one body.
fn body(out: &mut VecDeque<Packet>) -> Bytes {
    let mut body = Vec::new();
    while body.len() < MAX_BODY_BYTES
        && let Some(packet) = out.pop_front()
    {
        let mut encoder = v3::TextEncoder::new(&mut body);
        match packet {
            Packet::Text(text) => encoder.raw(text.as_bytes()),
            Packet::Binary(bytes) => encoder.packet(&engine::Packet::binary(&bytes)),
        }
    }
    body.into()
}

fn post(wire: Wire, sid: String, body: Bytes) -> Job<Result<(), String>> {
    Box::pin(async move {
        // Over a separate connection: the server may close one that was idle at any moment.
        let request = wire.request(Method::POST, Some(&sid), body);
        let response = http::once(&wire.dialer, request, wire.patience)
            .await
            .map_err(|error| error.to_string())?;
        if response.status.is_success() {
            Ok(())
        } else {
            Err(described("a POST", &response))
        }
    })
}

fn poll(
    wire: Wire,
    sid: String,
    connection: Option<Connection>,
) -> Job<Result<(Connection, Response), String>> {
    Box::pin(async move {
        let request = wire.request(Method::GET, Some(&sid), "");
        let exchange = async {
            let mut usable = connection;
            if let Some(connection) = &mut usable
                && !connection.is_usable().await
            {
                usable = None;
            }
            let mut connection = match usable {
                Some(connection) => connection,
                None => Connection::open(&wire.dialer).await?,
            };
            // No timeout: the request waits as long as the server has nothing to send, and the heartbeat notices a dead
            // one.
            let response = connection.send(request).await?;
            Ok((connection, response))
        };
        exchange
            .await
            .map_err(|error: http::Error| error.to_string())
    })
}

/// Opens a WebSocket for the session; `None` if that fails.
fn probe(wire: Wire, sid: String) -> Job<Option<WebSocket<Stream>>> {
    Box::pin(async move {
        let probing = async {
            let mut socket = wire.websocket(Some(&sid)).await.ok()?;
            socket.send("2probe").await.ok()?;
            loop {
                match socket.recv().await {
                    Some(Ok(Message::Text(text))) if text == "3probe" => return Some(socket),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            }
        };
        timeout(wire.patience, probing).await.ok().flatten()
    })
}

fn packets(response: &Response) -> Result<VecDeque<Packet>, String> {
    if !response.status.is_success() {
        return Err(described("a GET", response));
    }
    let text = response.text();
    let packets: Result<_, _> = v3::decode_text_payload(&text)
        .map(|packet| packet.map(|packet| Packet::read(&packet)))
        .collect();
    packets.map_err(|_| described("a GET", response))
}

fn described(what: &str, response: &Response) -> String {
    let text = response.text();
    let start: String = text.trim().chars().take(100).collect();
    format!("{what} is answered {}: {start}", response.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_packets_of_both_kinds_and_do_not_grow_for_ever() {
        let text = |text: &str| Packet::Text(text.to_owned());
        let mut out = VecDeque::from([
            text("4€"),
            Packet::Binary(Bytes::from_static(&[1, 2, 3])),
            text(&"x".repeat(MAX_BODY_BYTES)),
            text("2"),
        ]);
        let first = body(&mut out);
        assert!(first.starts_with("2:4€6:b4AQID".as_bytes()), "{first:?}");
        assert_eq!(out, [text("2")], "the next body takes it");
        assert_eq!(body(&mut out), "1:2");
    }
}
