//! Flow control of fan-outs: the window of published messages that have not arrived everywhere.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Window shared by the publisher and the receivers.
#[derive(Debug)]
pub(super) struct Flow {
    state: Mutex<State>,
    /// Notified when the window may have opened.
    pub(super) progress: Notify,
    window: u64,
}

#[derive(Debug)]
struct State {
    /// Number of receivers and of published messages, per stream.
    streams: Vec<(u64, u64)>,
    expected: u64,
    settled: u64,
    waiting: bool,
}

impl Flow {
    pub(super) fn new(streams: usize, window: u32) -> Self {
        let state = State {
            streams: vec![(0, 0); streams],
            expected: 0,
            settled: 0,
            waiting: false,
        };
        Self {
            state: Mutex::new(state),
            progress: Notify::new(),
            window: window.into(),
        }
    }

    /// Adds a receiver of these streams.
    pub(super) fn join(&self, streams: &[u32]) {
        let mut state = self.state.lock();
        for stream in streams {
            state.streams[*stream as usize].0 += 1;
        }
    }

    /// Removes a receiver; `received` is the number of messages that it got of each of its streams.
    pub(super) fn leave(&self, received: impl Iterator<Item = (u32, u64)>) {
        let mut state = self.state.lock();
        for (stream, got) in received {
            let (receivers, published) = &mut state.streams[stream as usize];
            *receivers -= 1;
            let lost = published.saturating_sub(got);
            state.settled += lost;
        }
        drop(state);
        self.progress.notify_one();
    }

    /// Publishes on a stream if the window is open; returns the message's number.
    pub(super) fn publish(&self, stream: u32) -> Option<u64> {
        let mut state = self.state.lock();
        let (receivers, published) = state.streams[stream as usize];
        let most = self.window * receivers.max(1);
        if state.expected - state.settled + receivers > most {
            state.waiting = true;
            return None;
        }
        state.streams[stream as usize].1 += 1;
        state.expected += receivers;
        Some(published)
    }

    /// Records the arrival of `messages` messages.
    pub(super) fn settle(&self, messages: u64) {
        let mut state = self.state.lock();
        state.settled += messages;
        if std::mem::take(&mut state.waiting) {
            drop(state);
            self.progress.notify_one();
        }
    }

    /// Returns the number of outstanding deliveries.
    pub(super) fn outstanding(&self) -> u64 {
        let state = self.state.lock();
        state.expected.saturating_sub(state.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_opens_as_messages_arrive_or_receivers_leave() {
        let flow = Flow::new(1, 2);
        flow.join(&[0]);
        flow.join(&[0]);
        assert_eq!(
            (flow.publish(0), flow.publish(0), flow.publish(0)),
            (Some(0), Some(1), None)
        );
        flow.settle(2);
        assert_eq!((flow.publish(0), flow.publish(0)), (Some(2), None));
        // The receiver had got one of the three messages.
        flow.leave(std::iter::once((0, 1)));
        assert_eq!(flow.outstanding(), 2);
        assert_eq!(
            flow.publish(0),
            None,
            "two are in flight for the one that is left"
        );
        flow.settle(1);
        assert_eq!(flow.publish(0), Some(3));
    }
}
