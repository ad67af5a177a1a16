//! Handling of data from the server: payloads, packets, the handshake, heartbeats.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::wire::parse_error;
use super::{
    Engine, Heartbeat, MAX_OPEN_PACKET_BYTES, MAX_SID_BYTES, Output, Probe, Queued, Sink, State,
    Ws, after, max_payload, wire,
};
use crate::client::{Action, DisconnectReason, Packet, Transport, TransportError};
use crate::engine::{Opened, Protocol};

impl Engine {
    /// Stores a payload; [`next_packet`](Self::next_packet) processes it.
    pub(super) fn payload(&mut self, now: Instant, body: Bytes, sink: &mut Sink<'_>) {
        let limit = max_payload(self.max_message);
        if body.len() > limit {
            return self.too_long("payload", body.len(), limit, now, sink);
        }
        if matches!(self.state, State::Closing { .. }) {
            // The payload is discarded, but the server may wait for the next request.
            return self.payload_done(now, sink);
        }
        self.backlog = Some(body);
    }

    /// Processes one packet of the last payload; returns `false` if there was none. Packets are not decoded all at
    /// once, because small packets take many times their encoded size in memory.
    pub(in crate::client) fn next_packet(&mut self, now: Instant, sink: &mut Sink<'_>) -> bool {
        let Some(mut body) = self.backlog.take() else {
            return false;
        };
        let (part, more) = match wire::split_payload(self.protocol, &mut body) {
            Ok(split) => split,
            Err(error) => {
                self.fail(now, DisconnectReason::ParseError, Some(error), sink);
                return true;
            }
        };
        self.backlog = more.then_some(body);
        let id = self.id;
        // Node skips a packet of length 0 in a payload of revision 3.
        if self.protocol == Protocol::V4 || !part.is_empty() {
            self.packet(now, part, sink);
        }
        // The rest of the payload belongs to a connection that may have ended.
        if !more && self.state != State::Closed && self.id == id {
            self.payload_done(now, sink);
        }
        true
    }

    fn payload_done(&mut self, now: Instant, sink: &mut Sink<'_>) {
        if matches!(self.probe, Probe::Pausing { .. }) {
            self.finish_pause(now, sink);
        } else if self.transport == Transport::Polling
            && !matches!(self.state, State::Goodbye { .. })
        {
            self.poll(sink);
        }
    }

    fn too_long(
        &mut self,
        what: &'static str,
        bytes: usize,
        limit: usize,
        now: Instant,
        sink: &mut Sink<'_>,
    ) {
        let why = format!("{what} of {bytes} bytes, limit {limit}");
        let error = TransportError::new("parse error").with_description(why);
        self.fail(now, DisconnectReason::ParseError, Some(error), sink);
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

    /// Handles one Engine.IO packet in text encoding.
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
        // Over WebSocket the size was checked before; a payload may hold several messages and is longer.
        let base64 = wire::base64_text(self.protocol, &text);
        let bytes = match base64 {
            Some(base64) => {
                let padding = base64.iter().rev().take_while(|b| **b == b'=').count();
                // Padding without bytes before it is rejected below.
                (base64.len() / 4 * 3).saturating_sub(padding.min(2))
            }
            None => text.len(),
        };
        if bytes > self.max_message {
            return self.too_long("message", bytes, self.max_message, now, sink);
        }
        if self.protocol == Protocol::V3 {
            self.heartbeat.received(now);
        }
        match kind {
            b'4' => {
                let _ = text.split_to(1);
                self.deliver(Output::Text(text), sink);
            }
            // Base64 occurs in every payload, and over WebSocket if the server was asked for it.
            b'b' => match base64.and_then(|base64| BASE64.decode(base64).ok()) {
                Some(data) => self.deliver(Output::Binary(data.into()), sink),
                None => self.fail(
                    now,
                    DisconnectReason::ParseError,
                    Some(parse_error("bad base64")),
                    sink,
                ),
            },
            b'2' if self.protocol == Protocol::V4 => {
                self.heartbeat.received(now);
                self.write_heartbeat(b"3", now, sink);
                self.deliver(Output::Ping, sink);
            }
            b'3' if self.protocol == Protocol::V3 => self.deliver(Output::Ping, sink),
            b'1' => {
                let details = TransportError::new("transport closed by the server");
                self.fail(now, DisconnectReason::TransportClose, Some(details), sink);
            }
            // A noop ends a poll; the other side's part of the heartbeat, a second handshake or an upgrade packet has no
            // meaning here.
            b'6' | b'2' | b'3' | b'0' | b'5' => {}
            _ => self.fail(
                now,
                DisconnectReason::ParseError,
                Some(parse_error("unknown packet type")),
                sink,
            ),
        }
    }

    /// Handles a binary message of the WebSocket.
    pub(super) fn binary(&mut self, now: Instant, data: Bytes, sink: &mut Sink<'_>) {
        match wire::binary_message(self.protocol, data) {
            Ok(message) => {
                if self.protocol == Protocol::V3 {
                    self.heartbeat.received(now);
                }
                if let Some(data) = message {
                    self.deliver(Output::Binary(data), sink);
                }
            }
            Err(error) => self.fail(now, DisconnectReason::ParseError, Some(error), sink),
        }
    }

    /// Sends or answers a heartbeat ahead of the data, which would otherwise delay it behind a long queue. One is enough
    /// for all that were due in the meantime.
    pub(super) fn write_heartbeat(
        &mut self,
        text: &'static [u8],
        now: Instant,
        sink: &mut Sink<'_>,
    ) {
        let packet = Packet::text(Bytes::from_static(text));
        if self.buffer.front().and_then(Queued::packet) != Some(&packet) {
            self.buffer.push_front(Queued::Packet(packet));
            self.buffered += 1;
            self.flush(now, sink);
        }
    }

    pub(super) fn handshake(&mut self, now: Instant, json: &[u8], sink: &mut Sink<'_>) {
        if json.len() > MAX_OPEN_PACKET_BYTES {
            return self.too_long("handshake", json.len(), MAX_OPEN_PACKET_BYTES, now, sink);
        }
        let opened = std::str::from_utf8(json)
            .ok()
            .and_then(|json| Opened::parse(json).ok());
        let open = match opened {
            Some(open) if open.sid.len() <= MAX_SID_BYTES && !open.sid.is_empty() => open,
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
        let (interval, timeout) = (open.ping_interval, open.ping_timeout);
        self.heartbeat = Heartbeat::start(self.protocol, interval, timeout, now);
        self.max_payload = wire::max_post(self.protocol, open.max_payload);
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
