//! What goes to the server: the write buffer, payloads, the goodbye.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::{Engine, Probe, Queued, Sink, State, WRITE_BATCH};
use crate::client::{Action, Body, Packet, Transport};

impl Engine {
    /// Queues packets and writes what can be written.
    pub(in crate::client) fn send(
        &mut self,
        packets: impl IntoIterator<Item = Packet>,
        sink: &mut Sink<'_>,
    ) {
        for packet in packets {
            self.buffered += packet.len();
            self.buffer.push_back(packet.into());
        }
        self.flush(sink);
    }

    /// Queues a DISCONNECT.
    pub(in crate::client) fn send_leave(&mut self, packet: Packet, sink: &mut Sink<'_>) {
        self.buffered += packet.len();
        self.buffer.push_back(Queued {
            packet,
            leave: true,
        });
        self.flush(sink);
    }

    pub(super) fn write(&mut self, packets: Vec<Packet>, after_pong: bool, sink: &mut Sink<'_>) {
        self.writing = true;
        if self.probe == Probe::None {
            self.in_flight = packets.iter().map(Packet::len).sum();
        }
        sink.actions.push_back(Action::Write {
            connection: self.id,
            packets,
            after_pong,
        });
    }

    pub(super) fn flush(&mut self, sink: &mut Sink<'_>) {
        if matches!(
            self.state,
            State::Opening | State::Closed | State::Goodbye { .. }
        ) || !self.can_write()
        {
            return;
        }
        if self.buffer.is_empty() {
            if let State::Closing { deadline } = self.state {
                self.goodbye(deadline, sink);
            }
            return;
        }
        match self.transport {
            Transport::WebSocket => {
                let mut bytes = 0;
                let mut packets = Vec::with_capacity(self.buffer.len().min(64));
                let mut after_pong = false;
                while let Some(Queued { packet, leave }) = self.buffer.front() {
                    bytes += packet.len();
                    if (bytes > WRITE_BATCH || *leave) && !packets.is_empty() {
                        break;
                    }
                    after_pong |= *leave;
                    packets.extend(self.buffer.pop_front().map(|queued| queued.packet));
                }
                self.buffered = self
                    .buffered
                    .saturating_sub(packets.iter().map(Packet::len).sum());
                if self.force_base64 {
                    for packet in &mut packets {
                        if let Body::Binary(data) = &packet.body {
                            let mut text = Vec::with_capacity(base64_len(data));
                            append_base64(&mut text, data);
                            packet.body = Body::Text(text.into());
                        }
                    }
                }
                self.write(packets, after_pong, sink);
            }
            Transport::Polling => {
                let body = self.take_payload();
                self.in_flight = body.len();
                self.post = true;
                if let Some(sid) = self.sid.clone() {
                    sink.actions.push_back(Action::Post {
                        connection: self.id,
                        sid,
                        body,
                    });
                }
            }
        }
    }

    /// As many packets as fit into the server's `maxPayload`, at least one.
    pub(super) fn take_payload(&mut self) -> Bytes {
        let mut body: Vec<u8> = Vec::new();
        while let Some(Queued { packet, leave }) = self.buffer.front() {
            if *leave && !body.is_empty() {
                break;
            }
            let size = match &packet.body {
                Body::Text(text) => text.len(),
                Body::Binary(data) => base64_len(data),
            };
            if !body.is_empty() {
                if body.len() + 1 + size > self.max_payload {
                    break;
                }
                body.push(0x1e);
            }
            match &packet.body {
                Body::Text(text) => body.extend_from_slice(text),
                Body::Binary(data) => append_base64(&mut body, data),
            }
            self.buffered = self.buffered.saturating_sub(packet.len());
            self.buffer.pop_front();
        }
        body.into()
    }

    pub(super) fn goodbye(&mut self, deadline: Instant, sink: &mut Sink<'_>) {
        match (self.transport, self.sid.clone()) {
            (Transport::Polling, Some(sid)) => {
                self.state = State::Goodbye { deadline };
                self.post = true;
                sink.actions.push_back(Action::Post {
                    connection: self.id,
                    sid,
                    body: Bytes::from_static(b"1"),
                });
            }
            _ => {
                self.state = State::Closed;
                sink.actions.push_back(Action::CloseWebSocket {
                    connection: self.id,
                });
            }
        }
    }
}

/// Bytes of an attachment as text.
fn base64_len(data: &[u8]) -> usize {
    1 + data.len().div_ceil(3) * 4
}

/// An attachment as text.
fn append_base64(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'b');
    out.extend_from_slice(BASE64.encode(data).as_bytes());
}
