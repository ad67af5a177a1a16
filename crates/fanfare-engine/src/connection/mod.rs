//! One connection: its state, its outbox, and its close.

mod inner;
mod write;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::engine::session::{Actions, Session, SessionConfig, Stage};
use fanfare_websocket::deflate;

use crate::batch;
use crate::clock;
use crate::config::EngineConfig;
use crate::deadline_queue::DeadlineQueue;
use crate::encoded_message::Framing;
use crate::encoded_message::{EncodedMessage, MessageBuilder};
use crate::encodings::{Deflate, Encodings};
use crate::error::SendError;
use crate::flags::Flags;
use crate::handshake::HandshakeRequest;
use crate::outgoing_frames::OutgoingFrames;
use crate::query::wants_base64;
use crate::sid::Sid;
use crate::sync::{Mutex, MutexGuard};
use fanfare_protocol::engine::{Protocol, Transport};

pub(crate) use inner::{DeferredWakeups, Inner};

/// Services that a connection needs from its engine.
pub(crate) trait EngineContext<S>: Send + Sync + 'static {
    fn config(&self) -> &EngineConfig;
    fn times(&self) -> &SessionConfig;
    fn deadlines(&self) -> &DeadlineQueue;
    /// Forgets a session that is over. `report`: also reports the close to the handler, from another task.
    fn closed(&self, conn: &Arc<Connection<S>>, report: bool);
    /// Reports that an outbox exceeds its normal limit because its client cannot read yet.
    fn burst(&self, full: &SendError) {
        let _ = full;
    }
    /// Reports the close to the handler now.
    fn report(&self, conn: &Arc<Connection<S>>);
}

/// Mode in which our side closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseMode {
    /// Sends the queue first (Node's `close()`).
    Flush,
    /// Discards the queue (Node's `close(true)`).
    Discard,
}

/// One connection of an [`Engine`](crate::engine::Engine), over any transport.
///
/// All methods may be called from any thread; none blocks, and none calls the [`Handler`](crate::handler::Handler).
// In this order, because a broadcast reads only the beginning of each recipient.
#[repr(C)]
pub struct Connection<S> {
    pub(crate) flags: Flags,
    pub(crate) deflate: Deflate,
    protocol: Protocol,
    pub(crate) index: u32,
    pub(crate) inner: Mutex<Inner>,
    pub(crate) sid: Sid,
    pub(crate) host: Arc<dyn EngineContext<S>>,
    handshake: HandshakeRequest,
    state: S,
}

impl<S: Send + Sync + 'static> Connection<S> {
    pub(crate) fn new(
        host: Arc<dyn EngineContext<S>>,
        index: u32,
        sid: Sid,
        (protocol, transport): (Protocol, Transport),
        handshake: HandshakeRequest,
        state: S,
    ) -> Connection<S> {
        let flags = match transport {
            Transport::WebSocket => Flags::BUSY | Flags::WEBSOCKET,
            _ => Flags::BUSY,
        };
        let flags = match protocol == Protocol::V3 && wants_base64(handshake.query()) {
            true => flags | Flags::BASE64,
            false => flags,
        };
        let session = Session::new(clock::now(), transport, protocol, host.times());
        Connection {
            inner: Mutex::new(Inner::new(session)),
            flags: Flags::new(flags),
            deflate: Deflate::default(),
            protocol,
            sid,
            index,
            host,
            handshake,
            state,
        }
    }

    /// State that the layer above keeps for this connection.
    #[inline]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// First request of the session.
    pub fn handshake(&self) -> &HandshakeRequest {
        &self.handshake
    }

    /// Session id: a secret of this client that must never be shown to others.
    pub fn sid(&self) -> &str {
        self.sid.as_str()
    }

    /// Version of Engine.IO that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Current transport of the session.
    #[inline]
    pub fn transport(&self) -> Transport {
        if self.flags.has(Flags::WEBSOCKET) {
            Transport::WebSocket
        } else {
            Transport::Polling
        }
    }

    /// Whether messages go both ways: neither side has begun to close.
    #[inline]
    pub fn is_open(&self) -> bool {
        !self.flags.has(Flags::CLOSING)
    }

    /// Sends a message that was encoded once for several connections: its bytes are shared.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if the message does not fit into the outbox ([`EngineConfig::slow_consumer`] decides what
    /// happens to the connection then), [`SendError::Closed`] if the connection is closing or closed.
    #[inline]
    pub fn send(self: &Arc<Self>, message: &EncodedMessage) -> Result<(), SendError> {
        if message.is_empty() {
            return Ok(());
        }
        if message.uncompressed || !self.takes_as_is(message.binary) {
            let mut encodings = Encodings::new(message, true);
            return batch::send(self, self.encode(&mut encodings), message.packets);
        }
        batch::send(
            self,
            OutgoingFrames::Shared(&message.frames),
            message.packets,
        )
    }

    /// Sends what `encode` writes into the buffer, without a separate allocation if it can leave at once.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send).
    #[inline]
    pub fn send_with(
        self: &Arc<Self>,
        encode: impl FnOnce(&mut MessageBuilder),
    ) -> Result<(), SendError> {
        if self.flags.has(Flags::CLOSING) {
            return Err(SendError::Closed);
        }
        batch::with_scratch(|buf| {
            encode(buf);
            if buf.out.is_empty() {
                return Ok(());
            }
            if buf.uncompressed || !self.takes_as_is(buf.binary) {
                return self.send(&EncodedMessage::copied(buf));
            }
            batch::send(self, OutgoingFrames::Slice(&buf.out), buf.packets)
        })
    }

    /// Whether this connection takes messages in the encoding that they have. `binary`: if some of them are binary.
    #[inline]
    pub(crate) fn takes_as_is(&self, binary: bool) -> bool {
        !(self.deflate.is_on() || (binary && self.protocol == Protocol::V3))
    }

    /// Framing of binary messages for this connection.
    pub(crate) fn framing(&self) -> Framing {
        match self.protocol {
            Protocol::V4 => Framing::Plain,
            Protocol::V3 if self.flags.has(Flags::BASE64) => Framing::Base64,
            Protocol::V3 => Framing::Typed,
        }
    }

    /// Returns the frames of a message for this connection.
    #[inline]
    pub(crate) fn encode<'a>(&self, encodings: &'a mut Encodings<'_>) -> OutgoingFrames<'a> {
        if encodings.compress() && self.takes_as_is(encodings.is_binary()) {
            return encodings.unchanged();
        }
        self.encode_other(encodings)
    }

    #[cold]
    fn encode_other<'a>(&self, encodings: &'a mut Encodings<'_>) -> OutgoingFrames<'a> {
        let framing = match encodings.is_binary() {
            true => self.framing(),
            false => Framing::Plain,
        };
        encodings.encoded(framing, self.deflate.get(), &self.deflate_config())
    }

    /// Compression settings of messages.
    pub(crate) fn deflate_config(&self) -> deflate::Config {
        self.host.config().per_message_deflate.unwrap_or_default()
    }

    /// Sends a message only if it can leave now: the socket is not blocked, or a GET waits. `false`: it was dropped.
    /// With [`SlowConsumer::DropVolatileFirst`](crate::config::SlowConsumer) it may wait, and be dropped later.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is closing or closed.
    pub fn send_volatile(self: &Arc<Self>, message: &EncodedMessage) -> Result<bool, SendError> {
        if self.flags.has(Flags::CLOSING) {
            return Err(SendError::Closed);
        }
        let mut encodings = Encodings::new(message, true);
        let source = self.encode(&mut encodings);
        if self.keeps_volatile() && !matches!(source, OutgoingFrames::Deflate(_)) {
            return self.queue_volatile(source, message.packets);
        }
        self.send_if_writable(source, message.packets)
    }

    /// Closes the connection.
    ///
    /// With [`CloseMode::Flush`] the queue is sent first, for at most [`EngineConfig::close_timeout`]; meanwhile no
    /// more messages are accepted or delivered. The handler's `close` is called later, never from within this call.
    pub fn close(self: &Arc<Self>, mode: CloseMode, reason: CloseReason) {
        self.close_with(mode, reason, *self.host.times());
    }

    /// Closes the connection with [`CloseMode::Flush`] and the reason `forced close`. On long-polling, the client has
    /// to fetch the queue and the close itself within `patience`, if that is less than [`EngineConfig::close_timeout`].
    pub fn close_within(self: &Arc<Self>, patience: Duration) {
        let mut times = *self.host.times();
        if self.transport() == Transport::Polling {
            times.close_timeout = times.close_timeout.min(patience);
        }
        self.close_with(CloseMode::Flush, CloseReason::ForcedClose, times);
    }

    fn close_with(self: &Arc<Self>, mode: CloseMode, reason: CloseReason, times: SessionConfig) {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        let queued = !inner.outbox.is_empty();
        let actions = if mode == CloseMode::Discard && reason != CloseReason::ForcedClose {
            inner.session.abort(reason)
        } else {
            inner
                .session
                .close(clock::now(), mode == CloseMode::Discard, queued, &times)
        };
        if inner.session.stage() != Stage::Open {
            self.flags.set(Flags::CLOSING);
        }
        self.apply(&mut inner, actions, &mut after);
        drop(inner);
        after.run(self);
    }

    /// Cause of the close in words, where there is more to say than the reason does: the rule that the peer broke, the
    /// limit that was reached, the error of the network.
    pub fn close_description(&self) -> Option<String> {
        self.inner.lock().description.as_deref().map(str::to_owned)
    }

    /// Whether a volatile message would leave now: the socket is not blocked, or a GET waits.
    pub fn is_writable(&self) -> bool {
        !self.flags.has(Flags::CLOSING) && self.inner.lock().is_writable()
    }

    /// Number of bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.inner.lock().outbox.bytes()
    }

    /// Number of packets that wait to be written.
    pub fn pending_packets(&self) -> usize {
        self.inner.lock().outbox.packets()
    }

    /// Waits until at most half of the outbox is used: of [`Limits::outbox_bytes`](fanfare_protocol::Limits), and of
    /// [`Limits::outbox_packets`](fanfare_protocol::Limits).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is closing or closed.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has changed nothing.
    pub async fn ready(&self) -> Result<(), SendError> {
        poll_fn(|cx| {
            if self.flags.has(Flags::CLOSING) {
                return Poll::Ready(Err(SendError::Closed));
            }
            let mut inner = self.inner.lock();
            if inner.outbox.is_half_free(self.limits()) {
                return Poll::Ready(Ok(()));
            }
            inner.wait_ready(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Schedules a call of [`Handler::deadline`](crate::handler::Handler::deadline) for this time; `None` cancels it.
    ///
    /// It needs no separate timer; the call is late by up to a sixteenth of a second.
    pub fn set_deadline(self: &Arc<Self>, deadline: Option<Instant>) {
        let mut inner = self.inner.lock();
        inner.deadline = deadline;
        self.reschedule(&mut inner);
    }

    /// Stops reading from the client until [`resume_reading`](Self::resume_reading): what the client sends stays on its
    /// side of the network. What has been read but not handled yet waits as well; a POST is not answered.
    ///
    /// Pings continue, and missing answers to them are not held against the client. If reading does not resume within
    /// the sum of ping interval and ping timeout, the connection is closed ([`CloseReason::ForcedClose`], and
    /// [`reading_timed_out`](Self::reading_timed_out) returns `true`).
    pub fn pause_reading(self: &Arc<Self>) {
        if self.flags.has(Flags::PAUSED) {
            return;
        }
        // Under the lock, so that flag and session agree.
        let mut inner = self.inner.lock();
        self.flags.set(Flags::PAUSED);
        inner.session.pause(clock::now(), self.host.times());
        self.reschedule(&mut inner);
    }

    /// Resumes reading. Does nothing if reading was not paused.
    pub fn resume_reading(self: &Arc<Self>) {
        let mut inner = self.inner.lock();
        if self.flags.clear(Flags::PAUSED) & Flags::PAUSED == 0 {
            return;
        }
        inner.session.resume(clock::now(), self.host.times());
        self.reschedule(&mut inner);
        let mut waiting = inner.take_ready();
        waiting.extend(inner.outbox.task.clone());
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether reading from the client is paused.
    pub fn is_reading_paused(&self) -> bool {
        self.flags.has(Flags::PAUSED)
    }

    /// Whether the connection was closed because reading was paused for too long.
    pub fn reading_timed_out(&self) -> bool {
        self.inner.lock().session.starved()
    }

    /// Ready unless reading is paused; wakes when reading resumes or the session is over.
    pub(crate) fn poll_reading(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.flags.has(Flags::PAUSED) {
            return Poll::Ready(());
        }
        let mut inner = self.inner.lock();
        if !self.flags.has(Flags::PAUSED) || self.flags.has(Flags::CLOSED) {
            return Poll::Ready(());
        }
        inner.wait_ready(cx.waker());
        Poll::Pending
    }

    /// Acquires the right to call the handler for this connection. `false`: another thread has it, or the session is
    /// over.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        let before = self.flags.set(Flags::BUSY);
        if before & Flags::BUSY != 0 {
            return false;
        }
        if before & Flags::CLOSED != 0 {
            self.flags.clear(Flags::BUSY);
            return false;
        }
        true
    }

    /// Releases the right. `true`: the connection was closed meanwhile, and the caller has to report that to the
    /// handler.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.flags.clear(Flags::BUSY) & Flags::CLOSED != 0
    }

    /// Runs `f` on the session, then executes the actions that it returns.
    pub(crate) fn drive<T>(
        self: &Arc<Self>,
        f: impl FnOnce(&mut MutexGuard<'_, Inner>) -> (T, Actions),
    ) -> T {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        let (value, actions) = f(&mut inner);
        if !actions.is_empty() {
            self.apply(&mut inner, actions, &mut after);
        }
        drop(inner);
        after.run(self);
        value
    }

    pub(crate) fn reschedule(&self, inner: &mut Inner) {
        let deadlines = self.host.deadlines();
        let Some(tick) = deadlines.tick_for(&inner.session, inner.deadline) else {
            return;
        };
        match (inner.session.is_timed(), self.flags.has(Flags::TIMED)) {
            (true, false) => self.flags.set(Flags::TIMED),
            (false, true) => self.flags.clear(Flags::TIMED),
            _ => 0,
        };
        if inner.queued_tick == 0 || tick < inner.queued_tick {
            inner.queued_tick = tick;
            deadlines.add(tick, self.index);
        }
    }

    /// Ends the session if its heartbeat is overdue, even if the timer has not noticed yet. Called before any input
    /// that has arrived for the session is handled.
    #[inline]
    pub(crate) fn expire(self: &Arc<Self>) {
        if self.flags.has(Flags::TIMED) {
            self.drive(|inner| ((), inner.session.expire(clock::now())));
        }
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("sid", &self.sid)
            .field("protocol", &self.protocol)
            .field("websocket", &self.flags.has(Flags::WEBSOCKET))
            .field("closed", &self.flags.has(Flags::CLOSED))
            .finish_non_exhaustive()
    }
}
