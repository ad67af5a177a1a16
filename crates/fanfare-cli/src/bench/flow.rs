//! How much of what was published has arrived: the window of fan-outs.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Shared by the publisher and the receivers.
#[derive(Debug)]
pub(super) struct Flow {
    state: Mutex<State>,
    /// Told when the window may have opened.
    pub(super) progress: Notify,
    window: u64,
}

#[derive(Debug)]
struct State {
    /// Per stream: receivers, and messages published.
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

    /// A receiver takes part in these streams.
    pub(super) fn join(&self, streams: &[u32]) {
        let mut state = self.state.lock();
        for stream in streams {
            state.streams[*stream as usize].0 += 1;
        }
    }

    /// A receiver is gone; `received` tells what it got of each of its streams.
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

    /// Publishes on a stream if the window is open: the message's number.
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

    /// So many messages arrived.
    pub(super) fn settle(&self, messages: u64) {
        let mut state = self.state.lock();
        state.settled += messages;
        if std::mem::take(&mut state.waiting) {
            drop(state);
            self.progress.notify_one();
        }
    }

    /// Deliveries that are still due.
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
        // One receiver had one of the three messages.
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
