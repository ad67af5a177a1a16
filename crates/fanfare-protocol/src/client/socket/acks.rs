//! Pending acknowledgements: ids, deadlines, answers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{PendingAck, Socket};
use crate::client::engine::after;
use crate::client::{AckError, AckKey, EmitError, Event};
use crate::socket::ArgsBuf;

impl Socket {
    /// Adds an entry to the table of acknowledgements; returns the wire id.
    pub(in crate::client) fn expect_ack(
        &mut self,
        now: Instant,
        key: AckKey,
        timeout: Option<Duration>,
        queued: bool,
    ) -> Result<u64, EmitError> {
        if self.acks.len() >= self.config.max_pending_acks {
            return Err(EmitError::TooManyAcks {
                limit: self.config.max_pending_acks,
            });
        }
        let id = self.next_ack;
        // Ids are JSON numbers: they stay in the range that every peer can represent.
        self.next_ack = (self.next_ack + 1) & ((1 << 52) - 1);
        let deadline = timeout
            .or(self.config.ack_timeout)
            .map(|timeout| after(now, timeout));
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
        self.acks.insert(
            id,
            PendingAck {
                key,
                deadline,
                buffered: false,
                queued,
            },
        );
        self.keys.insert(key, id);
        Ok(id)
    }

    pub(in crate::client) fn forget_ack(&mut self, id: u64) {
        self.forget(id);
    }

    pub(super) fn forget(&mut self, id: u64) -> Option<PendingAck> {
        let ack = self.acks.remove(&id)?;
        self.keys.remove(&ack.key);
        if let Some(deadline) = ack.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(ack)
    }

    /// Completes an acknowledgement with its answer or error. Unknown ids are ignored: late, or answered twice.
    pub(in crate::client) fn settle(
        &mut self,
        id: u64,
        result: Result<ArgsBuf, AckError>,
        events: &mut VecDeque<Event>,
    ) {
        let Some(ack) = self.forget(id) else { return };
        if ack.buffered {
            self.withdraw(id);
        }
        if !ack.queued {
            events.push_back(Event::Ack(ack.key, result));
            return;
        }
        let retries = self.config.retries.unwrap_or(0);
        let Some(head) = self
            .queue
            .front_mut()
            .filter(|head| head.in_flight == Some(id))
        else {
            return;
        };
        head.in_flight = None;
        if (result.is_ok() || head.tries > retries)
            && let Some(head) = self.queue.pop_front()
        {
            self.queued_bytes -= head.payload.byte_len();
            if head.asked {
                events.push_back(Event::Ack(head.key, result));
            }
        }
    }

    /// Cancels an acknowledgement that is no longer awaited. A buffered packet is withdrawn.
    pub(in crate::client) fn cancel(&mut self, key: AckKey) {
        if let Some(id) = self.keys.get(&key).copied()
            && let Some(ack) = self.forget(id)
            && ack.buffered
        {
            self.withdraw(id);
        }
        if let Some(at) = self.queue.iter().position(|queued| queued.key == key)
            && let Some(queued) = self.queue.remove(at)
        {
            self.queued_bytes -= queued.payload.byte_len();
        }
    }

    pub(super) fn withdraw(&mut self, id: u64) {
        if let Some(at) = self
            .buffer
            .iter()
            .position(|buffered| buffered.ack == Some(id))
            && let Some(buffered) = self.buffer.remove(at)
        {
            self.buffered_bytes -= buffered.payload.byte_len();
        }
    }
}
