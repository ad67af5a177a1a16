//! Queues of a socket: the offline buffer and the queue of `retries`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Buffered, Outgoing, Queued, Socket};
use crate::client::engine::after;
use crate::client::{AckError, AckKey, BufferPolicy, EmitError, Event, Payload};

impl Socket {
    /// Drops entries that exceed their maximum age. Entries are in order of age.
    pub(super) fn expire(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while self.next_expiry().is_some_and(|expires| expires <= now) {
            self.evict(events);
        }
    }

    /// Deadline of the oldest queued event.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        match self.buffer.front() {
            Some(oldest) => oldest.expires,
            None => self
                .queue
                .get(self.first_waiting())
                .and_then(|queued| queued.expires),
        }
    }

    /// Index of the oldest event of the queue that is not in flight.
    fn first_waiting(&self) -> usize {
        let sending = self
            .queue
            .front()
            .is_some_and(|head| head.in_flight.is_some());
        usize::from(sending)
    }

    /// Evicts the oldest queued event; returns `false` if there is none.
    fn evict(&mut self, events: &mut VecDeque<Event>) -> bool {
        if let Some(oldest) = self.buffer.pop_front() {
            self.buffered_bytes -= oldest.payload.byte_len();
            if let Some(ack) = oldest.ack.and_then(|id| self.forget(id)) {
                events.push_back(Event::Ack(ack.key, Err(AckError::Evicted)));
            }
            return true;
        }
        let Some(oldest) = self.queue.remove(self.first_waiting()) else {
            return false;
        };
        self.queued_bytes -= oldest.payload.byte_len();
        if oldest.asked {
            events.push_back(Event::Ack(oldest.key, Err(AckError::Evicted)));
        }
        true
    }

    /// Drops all queued events; returns their number.
    pub(in crate::client) fn clear(&mut self, events: &mut VecDeque<Event>) -> usize {
        let mut dropped = 0;
        while self.evict(events) {
            dropped += 1;
        }
        dropped
    }

    /// Reserves capacity for a payload, evicting events if the policy says so. `Ok(false)`: drop the payload.
    pub(in crate::client) fn reserve(
        &mut self,
        now: Instant,
        payload: &Payload,
        events: &mut VecDeque<Event>,
    ) -> Result<bool, EmitError> {
        self.expire(now, events);
        let bytes = payload.byte_len();
        let limits = self.config.buffer.clone();
        loop {
            let (count, held) = self.waiting();
            let full = if count >= limits.count {
                Some((count, limits.count))
            } else if count > 0 && held.saturating_add(bytes) > limits.bytes {
                Some((held, limits.bytes))
            } else {
                None
            };
            match (full, limits.policy) {
                (None, _) => return Ok(true),
                (Some(_), BufferPolicy::DropNewest) => return Ok(false),
                (Some(_), BufferPolicy::DropOldest) if self.evict(events) => {}
                (Some((pending, limit)), _) => return Err(EmitError::Full { pending, limit }),
            }
        }
    }

    pub(in crate::client) fn keep(&mut self, now: Instant, payload: Payload, ack: Option<u64>) {
        if let Some(pending) = ack.and_then(|id| self.acks.get_mut(&id)) {
            pending.buffered = true;
        }
        self.buffered_bytes += payload.byte_len();
        let expires = self.config.buffer.age.map(|age| after(now, age));
        self.buffer.push_back(Buffered {
            payload,
            ack,
            expires,
        });
    }

    /// Takes the contents of the offline buffer, in order.
    pub(in crate::client) fn take_buffered(
        &mut self,
        now: Instant,
        events: &mut VecDeque<Event>,
    ) -> Vec<Outgoing> {
        self.expire(now, events);
        self.buffered_bytes = 0;
        std::mem::take(&mut self.buffer)
            .into_iter()
            .map(|buffered| {
                if let Some(pending) = buffered.ack.and_then(|id| self.acks.get_mut(&id)) {
                    pending.buffered = false;
                }
                Outgoing {
                    payload: buffered.payload,
                    ack: buffered.ack,
                }
            })
            .collect()
    }

    pub(in crate::client) fn enqueue(
        &mut self,
        now: Instant,
        key: AckKey,
        asked: bool,
        payload: Payload,
        timeout: Option<Duration>,
    ) {
        self.queued_bytes += payload.byte_len();
        let expires = self.config.buffer.age.map(|age| after(now, age));
        self.queue.push_back(Queued {
            key,
            asked,
            payload,
            timeout,
            expires,
            tries: 0,
            in_flight: None,
        });
    }

    /// Returns the head of the queue, if it may be sent now.
    pub(in crate::client) fn drain_queue(&mut self, now: Instant) -> Option<Outgoing> {
        if !self.is_connected() {
            return None;
        }
        let head = self.queue.front().filter(|head| head.in_flight.is_none())?;
        let (key, timeout) = (head.key, head.timeout);
        // The table of acknowledgements is full: the next answer frees an entry.
        let id = self.expect_ack(now, key, timeout, true).ok()?;
        let head = self.queue.front_mut()?;
        head.tries += 1;
        head.in_flight = Some(id);
        Some(Outgoing {
            payload: head.payload.clone(),
            ack: Some(id),
        })
    }
}
