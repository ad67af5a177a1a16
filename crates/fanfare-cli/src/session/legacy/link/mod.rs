//! Engine.IO 3 on the client's side: packets over long-polling, over WebSocket, or over both in turn.

mod polling;
mod wire;

use std::collections::VecDeque;

use bytes::Bytes;
use fanfare_protocol::engine::Opened;
use fanfare_protocol::engine::v3;
use fanfare_websocket::{CloseCode, Message, WebSocket};
use tokio::time::timeout;

use self::polling::{Polling, Step};
pub(super) use self::wire::Wire;
use crate::net::Stream;
use crate::target::TransportChoice;

/// Number of queued packets from which on the sender should wait.
const MAX_PACKETS_PER_WRITE: usize = 64;

/// Packet of Engine.IO.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packet {
    /// Text packet, with its type as first digit.
    Text(String),
    /// Binary message, without its type.
    Binary(Bytes),
}

impl Packet {
    fn read(packet: &fanfare_protocol::engine::Packet<'_>) -> Self {
        use fanfare_protocol::engine::Data;
        match &packet.data {
            Data::Text(text) => Self::Text(format!("{}{text}", packet.kind as u8)),
            Data::Binary(bytes) => Self::Binary(Bytes::copy_from_slice(bytes)),
        }
    }
}

/// Event of a link.
#[derive(Debug)]
pub(super) enum Event {
    Packet(Packet),
    /// The transport was upgraded from polling to WebSocket.
    Upgraded,
}

/// Open session.
pub(super) struct Link {
    wire: Wire,
    transport: Transport,
    out: VecDeque<Packet>,
}

enum Transport {
    Polling(Box<Polling>),
    WebSocket(Box<WebSocket<Stream>>),
}

impl Link {
    /// Opens a session.
    pub(super) async fn open(
        wire: Wire,
        choice: TransportChoice,
    ) -> Result<(Self, Opened), String> {
        match choice {
            TransportChoice::Websocket => Self::by_websocket(wire).await,
            TransportChoice::Polling => Self::by_polling(wire, false).await,
            TransportChoice::Upgrade => Self::by_polling(wire, true).await,
            TransportChoice::Auto => match Self::by_websocket(wire.clone()).await {
                Ok(opened) => Ok(opened),
                Err(why) => Self::by_polling(wire, false).await.map_err(|_| why),
            },
        }
    }

    async fn by_websocket(wire: Wire) -> Result<(Self, Opened), String> {
        let mut socket = wire.websocket(None).await?;
        let first = timeout(wire.patience, socket.recv()).await;
        let opened = match first {
            Ok(Some(Ok(Message::Text(text)))) => text
                .strip_prefix('0')
                .and_then(|json| Opened::parse(json).ok()),
            _ => None,
        };
        let opened = opened.ok_or("the WebSocket opened, but the server did not open a session")?;
        let link = Self {
            wire,
            transport: Transport::WebSocket(Box::new(socket)),
            out: VecDeque::new(),
        };
        Ok((link, opened))
    }

    async fn by_polling(mut wire: Wire, upgrade: bool) -> Result<(Self, Opened), String> {
        let (polling, opened) = Polling::open(&mut wire, upgrade).await?;
        let link = Self {
            wire,
            transport: Transport::Polling(Box::new(polling)),
            out: VecDeque::new(),
        };
        Ok((link, opened))
    }

    /// Returns the name of the transport: `polling` or `websocket`.
    pub(super) fn name(&self) -> &'static str {
        match self.transport {
            Transport::Polling(_) => "polling",
            Transport::WebSocket(_) => "websocket",
        }
    }

    /// Returns whether the queue is full enough for the sender to wait.
    pub(super) fn is_crowded(&self) -> bool {
        self.out.len() >= MAX_PACKETS_PER_WRITE
    }

    /// Queues a packet; [`next`](Self::next) sends it.
    pub(super) fn send(&mut self, packet: Packet) {
        self.out.push_back(packet);
    }

    /// Sends queued packets, and returns the next event. Cancellation-safe.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        match &mut self.transport {
            Transport::WebSocket(socket) => {
                feed(socket, &mut self.out)?;
                socket.flush().await.map_err(|_| "transport error")?;
                receive(socket).await.map(Event::Packet)
            }
            Transport::Polling(polling) => match polling.step(&self.wire, &mut self.out).await? {
                Step::Packet(packet) => Ok(Event::Packet(packet)),
                Step::Probed(mut socket) => {
                    socket.feed("5").map_err(|_| "transport error")?;
                    self.transport = Transport::WebSocket(socket);
                    Ok(Event::Upgraded)
                }
            },
        }
    }

    /// Sends queued packets, and ends the session.
    pub(super) async fn close(mut self) {
        match self.transport {
            Transport::WebSocket(mut socket) => {
                // A lost connection needs no closing.
                if feed(&mut socket, &mut self.out).is_ok() {
                    let _ = socket.close(CloseCode::NORMAL, "").await;
                }
            }
            Transport::Polling(polling) => polling.close(&self.wire, self.out).await,
        }
    }
}

fn feed(socket: &mut WebSocket<Stream>, out: &mut VecDeque<Packet>) -> Result<(), String> {
    for packet in out.drain(..) {
        let fed = match packet {
            Packet::Text(text) => socket.feed(text),
            Packet::Binary(bytes) => {
                let mut framed = Vec::with_capacity(bytes.len() + 1);
                v3::encode_binary(&mut framed, &bytes);
                socket.feed(framed)
            }
        };
        fed.map_err(|_| "transport error")?;
    }
    Ok(())
}

async fn receive(socket: &mut WebSocket<Stream>) -> Result<Packet, String> {
    loop {
        let message = socket.recv().await;
        let packet = match &message {
            Some(Ok(Message::Text(text))) => v3::decode_text(text),
            Some(Ok(Message::Binary(bytes))) => v3::decode_binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err("transport close".to_owned()),
        };
        return packet
            .map(|packet| Packet::read(&packet))
            .map_err(|error| format!("parse error: {error}"));
    }
}
