//! Sending to the server: the write buffer, payloads, the closing packet.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{
    Engine, FENCE_TIMEOUT, Output, Probe, Queued, Sink, State, WRITE_BATCH_BYTES, after, wire,
};
use crate::client::{Action, Packet, Transport};

impl Engine {
    /// Queues packets and writes as much as possible.
    pub(in crate::client) fn send(
        &mut self,
        now: Instant,
        packets: impl IntoIterator<Item = Packet>,
        sink: &mut Sink<'_>,
    ) {
        for packet in packets {
            self.buffered += packet.len();
            self.buffer.push_back(Queued::Packet(packet));
        }
        self.flush(now, sink);
    }

    /// Queues a DISCONNECT. [`Output::Left`] reports that the server has read it.
    pub(in crate::client) fn send_leave(
        &mut self,
        now: Instant,
        packet: Packet,
        namespace: Arc<str>,
        sink: &mut Sink<'_>,
    ) {
        self.buffered += packet.len();
        self.buffer.push_back(Queued::Leave(packet));
        self.buffer.push_back(Queued::Fence(namespace));
        self.flush(now, sink);
    }

    /// Handles the server's confirmation that it has read everything before the oldest fence.
    pub(super) fn fence_passed(&mut self, sink: &mut Sink<'_>) {
        if let Some((namespace, _)) = self.fences.pop_front() {
            self.deliver(Output::Left(namespace), sink);
        }
    }

    /// Removes fences from the front of the queue, after everything before them was written.
    fn pass_fences(&mut self, now: Instant, sink: &mut Sink<'_>) {
        while let Some(Queued::Fence(_)) = self.buffer.front()
            && let Some(Queued::Fence(namespace)) = self.buffer.pop_front()
        {
            self.fences
                .push_back((namespace, after(now, FENCE_TIMEOUT)));
            if self.transport == Transport::WebSocket && self.state == State::Open {
                sink.actions.push_back(Action::Ping {
                    connection: self.id,
                });
            } else {
                // The request was answered.
                self.fence_passed(sink);
            }
        }
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

    pub(super) fn flush(&mut self, now: Instant, sink: &mut Sink<'_>) {
        if matches!(
            self.state,
            State::Opening | State::Closed | State::Goodbye { .. }
        ) || !self.can_write()
        {
            return;
        }
        self.pass_fences(now, sink);
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
                while let Some((packet, leave)) = self.next_queued() {
                    bytes += packet.len();
                    if (bytes > WRITE_BATCH_BYTES || leave) && !packets.is_empty() {
                        break;
                    }
                    after_pong |= leave;
                    packets.push(packet.clone());
                    self.buffer.pop_front();
                }
                self.buffered = self
                    .buffered
                    .saturating_sub(packets.iter().map(Packet::len).sum());
                for packet in &mut packets {
                    wire::frame(self.protocol, self.force_base64, packet);
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

    /// Returns the next packet, and whether it leaves a namespace; `None` before a fence.
    fn next_queued(&self) -> Option<(&Packet, bool)> {
        let queued = self.buffer.front()?;
        let leave = matches!(queued, Queued::Leave(_));
        queued.packet().map(|packet| (packet, leave))
    }

    /// Takes as many packets as fit into the server's `maxPayload`, at least one.
    pub(super) fn take_payload(&mut self) -> Bytes {
        let mut body: Vec<u8> = Vec::new();
        while let Some((packet, leave)) = self.next_queued() {
            if leave && !body.is_empty() {
                break;
            }
            let size = wire::len_in_payload(self.protocol, packet, body.len());
            if !body.is_empty() && body.len() + size > self.max_payload {
                break;
            }
            wire::append_to_payload(self.protocol, &mut body, packet);
            let written = packet.len();
            self.buffered = self.buffered.saturating_sub(written);
            self.buffer.pop_front();
        }
        body.into()
    }

    pub(super) fn goodbye(&mut self, deadline: Instant, sink: &mut Sink<'_>) {
        match (self.transport, self.sid.clone()) {
            (Transport::Polling, Some(sid)) => {
                self.state = State::Goodbye { deadline };
                self.post = true;
                let mut body = Vec::new();
                let close = Packet::text(Bytes::from_static(b"1"));
                wire::append_to_payload(self.protocol, &mut body, &close);
                sink.actions.push_back(Action::Post {
                    connection: self.id,
                    sid,
                    body: body.into(),
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
