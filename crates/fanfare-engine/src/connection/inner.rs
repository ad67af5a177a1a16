//! State under a connection's lock, and the execution of the session's actions.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use fanfare_protocol::engine::session::{Actions, Session, SessionRejection};

use fanfare_websocket::Role;
use fanfare_websocket::deflate::{Compressor, Params};

use super::Connection;
use crate::encodings::Compression;
use crate::flags::Flags;
use crate::outbox::{Outbox, Sink};
use fanfare_protocol::engine::Transport;

const PING: Bytes = Bytes::from_static(b"\x81\x012");
const PONG: Bytes = Bytes::from_static(b"\x81\x013");
/// Close frame without a code, as Node's `ws` sends it: the peer reports 1005.
const CLOSE: [u8; 2] = [0x88, 0];

/// The session and the outbox of one connection.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Inner {
    pub(crate) outbox: Outbox,
    /// Wakers; boxed, because an idle WebSocket has none.
    waiting: Option<Box<Waiting>>,
    pub(crate) session: Session,
    pub(crate) deadline: Option<Instant>,
    /// Tick of this connection's entry in the deadline queue; 0 = none.
    pub(crate) queued_tick: u64,
    /// Code of the close frame to send; 0 = a frame without a code.
    pub(crate) close_code: u16,
    /// Whether the peer has ended the WebSocket: its task reads no more, and closes the socket itself at once.
    pub(crate) over: bool,
    /// Compressor with context takeover; made when the first message is compressed.
    compressor: Option<Box<Compressor>>,
    /// Cause of the close, in words.
    pub(super) description: Option<Box<str>>,
}

/// Wakers of the tasks that wait for this connection.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Waker of the GET that waits.
    pub(crate) get: Option<Waker>,
    /// Waker of the task of the WebSocket that probes.
    pub(crate) probe: Option<Waker>,
    /// Wakers of the tasks that wait for space in the outbox.
    ready: Vec<Waker>,
}

impl Inner {
    pub(super) fn new(session: Session) -> Inner {
        Inner {
            session,
            outbox: Outbox::new(),
            waiting: None,
            deadline: None,
            queued_tick: 0,
            close_code: 0,
            over: false,
            compressor: None,
            description: None,
        }
    }

    /// Records the cause of the close that follows, in words. The first description stays.
    #[cold]
    pub(crate) fn describe(&mut self, cause: impl ToString) {
        if self.description.is_none() {
            self.description = Some(cause.to_string().into());
        }
    }

    /// Records a rejection by the session, in Node's words.
    pub(crate) fn describe_rejection(&mut self, rejection: SessionRejection) {
        if rejection == SessionRejection::Overlap {
            self.describe("overlap from client");
        }
    }

    pub(super) fn compressor(
        &mut self,
        compression: Option<Compression>,
        level: u8,
    ) -> Option<&mut Compressor> {
        let Some(Compression::Own(window_bits)) = compression else {
            return None;
        };
        if self.compressor.is_none() {
            let params = Params {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                server_max_window_bits: window_bits,
                client_max_window_bits: 15,
            };
            self.compressor = Compressor::new(&params, Role::Server, level).map(Box::new);
        }
        self.compressor.as_deref_mut()
    }

    /// Whether a volatile message may leave now.
    pub(crate) fn is_writable(&self) -> bool {
        match self.outbox.sink {
            Sink::Tcp(_) | Sink::Task => !self.outbox.blocked,
            Sink::Polling => self.session.get_waits(),
            Sink::Closed => false,
        }
    }

    /// Whether the client cannot have read what waits, so that it must not count as a slow consumer.
    pub(super) fn is_excused(&self) -> bool {
        match self.outbox.sink {
            // Between two GETs no data is in transit to a client, however fast it reads. The heartbeat ends a session
            // whose client does not return.
            Sink::Polling => true,
            // The task has not reached the queue yet.
            Sink::Task => !self.outbox.stalled,
            Sink::Tcp(_) | Sink::Closed => false,
        }
    }

    pub(crate) fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    pub(crate) fn take_probe(&mut self) -> Option<Waker> {
        self.waiting.as_mut()?.probe.take()
    }

    fn take_get(&mut self) -> Option<Waker> {
        self.waiting.as_mut()?.get.take()
    }

    pub(super) fn take_ready(&mut self) -> Vec<Waker> {
        match &mut self.waiting {
            Some(waiting) => std::mem::take(&mut waiting.ready),
            None => Vec::new(),
        }
    }

    pub(super) fn wait_ready(&mut self, waker: &Waker) {
        let ready = &mut self.waiting().ready;
        if !ready.iter().any(|w| w.will_wake(waker)) {
            ready.push(waker.clone());
        }
    }

    /// Returns the close frame to send.
    pub(crate) fn close_frame(&self) -> Bytes {
        match self.close_code {
            0 => Bytes::from_static(&CLOSE),
            code => {
                let [high, low] = code.to_be_bytes();
                Bytes::copy_from_slice(&[0x88, 2, high, low])
            }
        }
    }
}

/// Wakeups to carry out when the lock is released.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct DeferredWakeups {
    pub(crate) get: Option<Waker>,
    pub(crate) task: Option<Waker>,
    probe: Option<Waker>,
    ready: Vec<Waker>,
    closed: bool,
}

impl DeferredWakeups {
    #[inline]
    pub(crate) fn run<S: Send + Sync + 'static>(self, conn: &Arc<Connection<S>>) {
        let wakes = self.get.is_some() || self.task.is_some() || self.probe.is_some();
        if wakes || self.closed || self.ready.capacity() > 0 {
            self.run_all(conn);
        } else {
            std::mem::forget(self); // Empty: its destructor would only check again.
        }
    }

    #[inline(never)]
    fn run_all<S: Send + Sync + 'static>(self, conn: &Arc<Connection<S>>) {
        // Before any task is woken, because each of them checks the flag.
        let before = self
            .closed
            .then(|| conn.flags.set(Flags::CLOSED | Flags::CLOSING));
        for waker in [self.get, self.task, self.probe].into_iter().flatten() {
            waker.wake();
        }
        self.ready.into_iter().for_each(Waker::wake);
        if let Some(before) = before {
            // If a thread is calling the handler now, that thread reports the close when it leaves the handler.
            conn.host.closed(conn, before & Flags::BUSY == 0);
        }
    }
}

impl<S: Send + Sync + 'static> Connection<S> {
    /// Executes the session's actions as far as possible under the lock.
    pub(crate) fn apply(
        &self,
        inner: &mut Inner,
        mut actions: Actions,
        after: &mut DeferredWakeups,
    ) {
        if actions.contains(Actions::PING) {
            inner.outbox.push_urgent(PING, 1);
        }
        if actions.contains(Actions::PONG) {
            // A client that sends pings and reads nothing gets no more answers.
            let limits = &self.host.config().limits;
            let bounds = (limits.outbox_bytes, limits.outbox_packets);
            if inner.outbox.room(PONG.len(), 1, bounds).is_ok() {
                inner.outbox.push_urgent(PONG, 1);
            }
            actions |= Actions::FLUSH;
        }
        if actions.contains(Actions::FLUSH) {
            actions |= self.flush(inner, after);
        }
        if actions.contains(Actions::ANSWER) {
            after.get = after.get.take().or_else(|| inner.take_get());
        }
        if actions.contains(Actions::CLOSE_PROBE) {
            after.probe = inner.take_probe();
        }
        if actions.contains(Actions::CLOSE_WEBSOCKET) {
            self.close_websocket(inner, after);
        }
        if actions.contains(Actions::CLOSED) {
            self.flags.set(Flags::CLOSING);
            if inner.session.transport() == Transport::Polling {
                // A waiting GET takes with it what was emitted since it was woken; nothing else will be fetched.
                if !inner.session.get_waits() {
                    inner.outbox.clear();
                }
                inner.outbox.sink = Sink::Closed;
            }
            inner.compressor = None;
            after.ready.append(&mut inner.take_ready());
            after.task = inner.outbox.task.clone();
            after.closed = true;
            inner.deadline = None;
        }
        self.reschedule(inner);
    }

    /// Writes as much of the queue as possible.
    pub(crate) fn flush(&self, inner: &mut Inner, after: &mut DeferredWakeups) -> Actions {
        if matches!(inner.outbox.sink, Sink::Polling) {
            after.get = after.get.take().or_else(|| inner.take_get());
            return Actions::NONE;
        }
        if !inner.outbox.blocked {
            if let Err(error) = inner.outbox.flush() {
                inner.describe(error);
                return inner.session.websocket_closed();
            }
            if inner.outbox.blocked {
                self.block(inner);
            }
        }
        self.flushed(inner, after)
    }

    /// Leaves the rest to the connection's task.
    ///
    /// The task reads the flag without the lock, and may be woken before the flag is set; then it would never come
    /// back. So the wakeup is requested after the flag is set.
    #[cold]
    pub(super) fn block(&self, inner: &Inner) {
        self.flags.set(Flags::BLOCKED);
        inner.outbox.wake_task();
    }

    /// Updates the state after something was, or could have been, taken from the queue.
    pub(crate) fn flushed(&self, inner: &mut Inner, after: &mut DeferredWakeups) -> Actions {
        if inner.waiting.is_some() && inner.outbox.is_half_free(self.limits()) {
            after.ready.append(&mut inner.take_ready());
        }
        if inner.outbox.burst {
            let limits = &self.host.config().limits;
            inner.outbox.burst = inner.outbox.bytes() > limits.outbox_bytes
                || inner.outbox.packets() > limits.outbox_packets;
        }
        if inner.outbox.is_empty() && self.flags.has(Flags::CLOSING) {
            inner.session.drained()
        } else {
            Actions::NONE
        }
    }

    fn close_websocket(&self, inner: &mut Inner, after: &mut DeferredWakeups) {
        if !inner.outbox.blocked {
            // Frames that a batch holds back were emitted before the close. (If the socket fails now, there is no peer
            // left to notify.)
            let _ = inner.outbox.flush();
        }
        let between = inner.outbox.is_between_frames();
        let mut frame = inner.close_frame();
        if matches!(inner.outbox.sink, Sink::Task) && !inner.outbox.stalled {
            // The task has not reached the queue yet.
            inner.outbox.push(frame, 1);
            return self.leave_to_task(inner, after);
        }
        if let Some(head) = inner.outbox.take_head() {
            frame = [head, frame].concat().into();
        }
        match inner.outbox.sink {
            Sink::Tcp(_) => {
                inner.outbox.clear();
                if between && !inner.outbox.blocked {
                    // If the socket does not take it, the peer learns of the close from the end of the stream.
                    let _ = inner.outbox.write_or_queue(&frame, 1);
                    inner.outbox.clear();
                }
                let sink = std::mem::replace(&mut inner.outbox.sink, Sink::Closed);
                if let (Sink::Tcp(half), true) = (sink, inner.over) {
                    // Dropping the half would end the stream in this direction, and closing the socket does that as
                    // well.
                    half.forget();
                }
            }
            Sink::Task => {
                if between {
                    inner.outbox.clear();
                    inner.outbox.push(frame, 1);
                } else {
                    inner.outbox.keep_begun();
                }
                self.leave_to_task(inner, after);
            }
            Sink::Polling | Sink::Closed => inner.outbox.clear(),
        }
    }

    fn leave_to_task(&self, inner: &mut Inner, after: &mut DeferredWakeups) {
        inner.outbox.blocked = true;
        self.flags.set(Flags::BLOCKED);
        after.task = inner.outbox.task.clone();
    }
}
