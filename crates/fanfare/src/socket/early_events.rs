//! Events that are emitted to a socket in its middlewares, before it is connected.

use std::sync::atomic::Ordering;

use super::{CONNECTED, CONNECTING, EmitFlags, LEAVING, Socket};
use crate::error::EmitError;
use fanfare_engine::{EncodedMessage, OutboxUnit};

/// Events that are queued until the CONNECT packet has been sent. Bounded as the outbox is.
#[derive(Debug, Default)]
pub(super) struct EarlyEvents {
    pub(super) messages: Vec<EncodedMessage>,
    bytes: usize,
}

impl Socket {
    /// Queues an event until the client is connected. Returns `None` if it is connected already. A volatile event is
    /// dropped, because the client cannot take it at once.
    #[cold]
    pub(super) fn send_early(
        &self,
        event: &str,
        message: EncodedMessage,
        how: EmitFlags,
    ) -> Option<Result<(), EmitError>> {
        let mut early = self.extra().early_events.lock();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTING => {}
            CONNECTED | LEAVING => return None,
            _ => return Some(Err(EmitError::Disconnected)),
        }
        if how.volatile {
            return Some(Ok(()));
        }
        let io = self.io_inner();
        let (pending, limit) = (early.bytes, io.limits.outbox_bytes);
        let (waiting, max_waiting) = (early.messages.len(), io.limits.outbox_packets);
        let full = match () {
            () if waiting == 0 => None,
            () if pending + message.len() > limit => Some((pending, limit, OutboxUnit::Bytes)),
            () if waiting >= max_waiting => Some((waiting, max_waiting, OutboxUnit::Packets)),
            () => None,
        };
        if let Some((pending, limit, unit)) = full {
            crate::stats::outbox_full(1);
            return Some(Err(EmitError::Full {
                pending,
                limit,
                unit,
            }));
        }
        early.bytes += message.len();
        self.sent(event, message.len());
        early.messages.push(message);
        Some(Ok(()))
    }
}
