//! Sending of events and acknowledgements.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Link, Manager};
use crate::client::codec::Kind;
use crate::client::engine::Engine;
use crate::client::socket::Outgoing;
use crate::client::{
    AckError, AckKey, EmitError, EmitOptions, Emitted, Event, Packet, Payload, SocketEvent,
    SocketId,
};

impl Manager {
    /// Emits an event, or keeps it until the socket connects.
    ///
    /// With [`EmitOptions::ack`], the answer is reported as [`Event::Ack`] with the returned key, exactly once.
    ///
    /// # Errors
    ///
    /// [`EmitError::Full`], [`EmitError::TooManyAcks`] or [`EmitError::Closed`]; the event was not accepted.
    pub fn emit(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: Payload,
        options: EmitOptions,
    ) -> Result<(Emitted, Option<AckKey>), EmitError> {
        let payload = payload.compress(options.compress);
        // After the machine was suspended, the connection may be long dead: check the heartbeat before using it.
        if self
            .engine
            .as_ref()
            .is_some_and(|engine| engine.heartbeat_expired(now))
        {
            self.handle_timeout(now);
        }
        let result = self.try_emit(now, id, payload, options);
        self.settle(now);
        result
    }

    pub(super) fn try_emit(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: Payload,
        options: EmitOptions,
    ) -> Result<(Emitted, Option<AckKey>), EmitError> {
        let key = AckKey(self.ack_keys.next());
        let limit = self.config.write_buffer;
        let pending = self.pending_bytes();
        let writable =
            self.link == Link::Open && self.engine.as_ref().is_some_and(Engine::is_writable);
        let events = &mut self.events;
        let mut socket = self.sockets.get_mut(id).ok_or(EmitError::Closed)?;
        let asked = options.ack.then_some(key);

        if socket.config.retries.is_some() && !options.volatile {
            if !socket.reserve(now, &payload, events)? {
                return Ok(dropped(asked, events));
            }
            socket.enqueue(now, key, options.ack, payload, options.timeout);
            drop(socket);
            self.drain_queue(now, id);
            return Ok((Emitted::Buffered, asked));
        }
        if options.volatile && !writable {
            return Ok(dropped(asked, events));
        }
        if socket.is_connected() {
            if pending > 0 && pending.saturating_add(payload.byte_len()) > limit {
                return Err(EmitError::Full { pending, limit });
            }
            let ack = asked
                .map(|key| socket.expect_ack(now, key, options.timeout, false))
                .transpose()?;
            drop(socket);
            self.send_event(now, id, Outgoing { payload, ack });
            return Ok((Emitted::Sent, asked));
        }
        let ack = asked
            .map(|key| socket.expect_ack(now, key, options.timeout, false))
            .transpose()?;
        match socket.reserve(now, &payload, events) {
            Ok(true) => {
                socket.keep(now, payload, ack);
                Ok((Emitted::Buffered, asked))
            }
            other => {
                if let Some(ack) = ack {
                    socket.forget_ack(ack);
                }
                other.map(|_| dropped(asked, events))
            }
        }
    }

    /// Answers an event of the server. `epoch` is that of the event: an answer given after the connection ended is
    /// dropped, and `false` is returned.
    ///
    /// # Errors
    ///
    /// [`EmitError::Full`] when the write buffer is full.
    pub fn ack(
        &mut self,
        now: Instant,
        id: SocketId,
        epoch: u64,
        ack: u64,
        payload: &Payload,
    ) -> Result<bool, EmitError> {
        let (pending, limit) = (self.pending_bytes(), self.config.write_buffer);
        let Some(socket) = self
            .socket(id)
            .filter(|socket| socket.is_connected() && socket.epoch == epoch)
        else {
            return Ok(false);
        };
        if pending > 0 && pending.saturating_add(payload.byte_len()) > limit {
            return Err(EmitError::Full { pending, limit });
        }
        let packets = payload.packets(Kind::Ack, &socket.namespace, Some(ack));
        self.send(now, packets);
        self.settle(now);
        Ok(true)
    }

    /// Cancels an acknowledgement that the application no longer awaits; a buffered event is withdrawn. No event
    /// follows.
    pub fn cancel_ack(&mut self, now: Instant, id: SocketId, key: AckKey) {
        if let Some(mut socket) = self.socket_mut(id) {
            socket.cancel(key);
        }
        self.drain_queue(now, id);
        self.settle(now);
    }
    pub(super) fn send(&mut self, now: Instant, packets: impl IntoIterator<Item = Packet>) {
        if let Some((engine, mut sink)) = self.engine() {
            engine.send(now, packets, &mut sink);
        }
    }

    pub(super) fn drain_queue(&mut self, now: Instant, id: SocketId) {
        let socket = self.socket_mut(id);
        if let Some(outgoing) = socket.and_then(|mut socket| socket.drain_queue(now)) {
            self.send_event(now, id, outgoing);
        }
    }

    /// Hands an event to the connection.
    pub(super) fn send_event(&mut self, now: Instant, id: SocketId, outgoing: Outgoing) {
        let Some(socket) = self.socket(id) else {
            return;
        };
        let Outgoing { payload, ack } = outgoing;
        let packets = payload.packets(Kind::Event, &socket.namespace, ack);
        if socket.report_outgoing {
            self.events
                .push_back(Event::Socket(id, SocketEvent::Outgoing(payload)));
        }
        self.send(now, packets);
    }
}

/// Reports a volatile or surplus event that was dropped at once.
fn dropped(asked: Option<AckKey>, events: &mut VecDeque<Event>) -> (Emitted, Option<AckKey>) {
    if let Some(key) = asked {
        events.push_back(Event::Ack(key, Err(AckError::Dropped)));
    }
    (Emitted::Dropped, asked)
}
