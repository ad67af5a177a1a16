//! What comes from the server: payloads, packets, the handshake, heartbeats.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::{Engine, MAX_SID, Output, Probe, Sink, State, Ws, after};
use crate::client::{Action, DisconnectReason, Packet, Transport, TransportError};

impl Engine {
    pub(super) fn payload(&mut self, now: Instant, body: &Bytes, sink: &mut Sink<'_>) {
        if body.len() > self.max_body {
            let error = TransportError::new("parse error").with_description("payload too large");
            return self.fail(now, DisconnectReason::ParseError, Some(error), sink);
        }
        let id = self.id;
        for part in body.split(|byte| *byte == 0x1e) {
            self.packet(now, body.slice_ref(part), sink);
            if self.state == State::Closed || self.id != id {
                return;
            }
        }
        if matches!(self.probe, Probe::Pausing { .. }) {
            self.finish_pause(sink);
        } else if self.transport == Transport::Polling
            && !matches!(self.state, State::Goodbye { .. })
        {
            self.poll(sink);
        }
    }

    pub(super) fn poll(&mut self, sink: &mut Sink<'_>) {
        if let (false, Some(sid)) = (self.get, &self.sid) {
            self.get = true;
            sink.actions.push_back(Action::Get {
                connection: self.id,
                sid: Some(sid.clone()),
            });
        }
    }

    /// One Engine.IO packet in text form.
    pub(super) fn packet(&mut self, now: Instant, mut text: Bytes, sink: &mut Sink<'_>) {
        let Some(kind) = text.first().copied() else {
            return self.fail(
                now,
                DisconnectReason::ParseError,
                Some(parse_error("empty packet")),
                sink,
            );
        };
        if self.sid.is_none() {
            return match kind {
                b'0' => self.handshake(now, &text[1..], sink),
                _ => self.fail(
                    now,
                    DisconnectReason::ParseError,
                    Some(parse_error("no handshake")),
                    sink,
                ),
            };
        }
        match kind {
            b'4' => {
                let _ = text.split_to(1);
                self.deliver(Output::Text(text), sink);
            }
            // In every payload, and over WebSocket from a server that was asked for it.
            b'b' => match BASE64.decode(&text[1..]) {
                Ok(data) => self.deliver(Output::Binary(data.into()), sink),
                Err(_) => self.fail(
                    now,
                    DisconnectReason::ParseError,
                    Some(parse_error("bad base64")),
                    sink,
                ),
            },
            b'2' => {
                self.ping_deadline = Some(after(now, self.heartbeat));
                // Before the data: a heartbeat must not starve behind a long queue.
                self.buffer
                    .push_front(Packet::text(Bytes::from_static(b"3")).into());
                self.buffered += 1;
                self.deliver(Output::Ping, sink);
                self.flush(sink);
            }
            b'1' => {
                let details = TransportError::new("transport closed by the server");
                self.fail(now, DisconnectReason::TransportClose, Some(details), sink);
            }
            // A noop ends a poll; a pong, a second handshake or an upgrade packet has no meaning here.
            b'6' | b'3' | b'0' | b'5' => {}
            _ => self.fail(
                now,
                DisconnectReason::ParseError,
                Some(parse_error("unknown packet type")),
                sink,
            ),
        }
    }

    pub(super) fn handshake(&mut self, now: Instant, json: &[u8], sink: &mut Sink<'_>) {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Open {
            sid: String,
            #[serde(default)]
            upgrades: Vec<String>,
            ping_interval: u64,
            ping_timeout: u64,
            max_payload: Option<usize>,
        }
        let open: Open = match serde_json::from_slice::<Open>(json) {
            Ok(open) if open.sid.len() <= MAX_SID && !open.sid.is_empty() => open,
            _ => {
                return self.fail(
                    now,
                    DisconnectReason::ParseError,
                    Some(parse_error("bad handshake")),
                    sink,
                );
            }
        };
        self.sid = Some(open.sid.into());
        self.heartbeat =
            Duration::from_millis(open.ping_interval.saturating_add(open.ping_timeout));
        self.ping_deadline = Some(after(now, self.heartbeat));
        self.max_payload = open
            .max_payload
            .filter(|max| *max > 0)
            .unwrap_or(usize::MAX);
        self.state = State::Open;
        self.transport_deadline = None;
        sink.outputs.push_back(Output::Open {
            transport: self.transport,
        });
        let offered = open.upgrades.iter().any(|name| name == "websocket");
        if self.transport == Transport::Polling && self.upgrade && offered {
            self.probe = Probe::Connecting {
                deadline: after(now, self.upgrade_timeout),
            };
            self.ws = Ws::Connecting;
            sink.actions.push_back(Action::OpenWebSocket {
                connection: self.id,
                sid: self.sid.clone(),
            });
        }
    }
}

pub(super) fn parse_error(what: &'static str) -> TransportError {
    TransportError::new("parse error").with_description(what)
}
