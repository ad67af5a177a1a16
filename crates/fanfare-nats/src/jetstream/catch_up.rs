//! Preparation of the log on a new connection: the stream, the events that this node missed, those that wait.

use std::time::{Duration, Instant};

use fanfare_cluster::Health;

use super::api::{ApiError, StreamInfo};
use super::log::{Inner, Log};
use super::position::{Received, epoch, position};
use crate::log_target;

/// Time between two attempts to prepare the stream.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum number of messages that are read after a connection was lost; beyond it, the oldest are skipped.
const MAX_CAUGHT_UP: u64 = 100_000;

impl Log {
    /// Prepares the stream, reads missed events, and appends waiting ones; unless this is done already.
    pub(super) fn restart(&self) {
        let mut state = self.0.state.lock();
        if state.buffer.is_some() || !self.0.connection.is_up() {
            return;
        }
        state.buffer = Some(Vec::new());
        state.buffered_bytes = 0;
        state.appends_on = None;
        drop(state);
        self.prepare();
    }

    pub(super) fn prepare(&self) {
        let (log, number) = (self.clone(), self.0.connection.number());
        tokio::spawn(async move { log.0.prepare(number).await });
    }
}

impl Inner {
    fn is_current(&self, number: u64) -> bool {
        self.connection.is_up() && self.connection.number() == number
    }

    /// Prepares the stream, reads missed events, and appends waiting ones, on one connection.
    async fn prepare(&self, number: u64) {
        let begun = Instant::now();
        while self.is_current(number) {
            match self.catch_up(number).await {
                Ok(()) => return,
                Err(error) => {
                    let failure = error.to_string();
                    let mut state = self.state.lock();
                    if state.failure.as_ref() != Some(&failure) {
                        tracing::warn!(target: log_target::CLUSTER, %error, "the log cannot be used, trying again");
                        state.failure = Some(failure);
                    }
                    if error.is_temporary() && begun.elapsed() < self.connection.max_outage() {
                        drop(state);
                    } else {
                        // Without a log, events are delivered without positions.
                        state.gave_up = true;
                        let pending = state.pending.take_all();
                        drop(state);
                        drop(pending);
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn catch_up(&self, number: u64) -> Result<(), ApiError> {
        let StreamInfo {
            created,
            state: stream,
        } = self.api.ensure(&self.config).await?;
        let epoch = epoch(&created);
        let first = {
            let mut state = self.state.lock();
            let known = state.epoch;
            if known != epoch {
                if known > 0 {
                    tracing::warn!(target: log_target::CLUSTER, "the log is a new one: what the old one had is lost");
                }
                (state.epoch, state.last) = (epoch, stream.last_seq);
            }
            state.last + 1
        };
        let oldest = stream
            .last_seq
            .saturating_sub(MAX_CAUGHT_UP)
            .max(stream.first_seq);
        if first < oldest {
            let events = oldest - first;
            tracing::warn!(target: log_target::CLUSTER, events, "events are no longer in the log");
        }
        let subject = self.subjects.under("log");
        let mut next = first.max(oldest);
        while next <= stream.last_seq {
            let Some((sequence, message)) =
                self.api.next(&self.config.name, &subject, next).await?
            else {
                break;
            };
            if !self.is_current(number) {
                return Ok(());
            }
            if let Some(received) = Received::of(&message) {
                self.receive(received);
            }
            next = sequence + 1;
        }
        if let Some(cluster) = self.cluster.get() {
            let position = position(epoch, self.state.lock().last);
            for namespace in cluster.namespaces() {
                cluster.reads_from(&namespace, &position);
            }
        }
        loop {
            let mut state = self.state.lock();
            if !self.is_current(number) {
                return Ok(());
            }
            let buffered = state
                .buffer
                .as_mut()
                .map(std::mem::take)
                .unwrap_or_default();
            if !buffered.is_empty() {
                state.buffered_bytes = 0;
                drop(state);
                buffered
                    .into_iter()
                    .for_each(|received| self.receive(received));
                continue;
            }
            state.buffer = None;
            state.appends_on = Some(number);
            state.gave_up = false;
            state.failure = None;
            state.pending.resend(Instant::now(), |frame| {
                // Messages that do not fit into the queue are sent again later, or given up.
                self.connection.publish_on(number, frame.clone());
            });
            drop(state);
            self.ready.set(Health::Up);
            return Ok(());
        }
    }
}
