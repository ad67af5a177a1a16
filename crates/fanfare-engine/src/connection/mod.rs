//! One connection: its state, its outbox, and how it is closed.

mod inner;
mod write;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::engine::session::{
    Actions, Revision, Session, SessionConfig, Stage, TransportKind,
};
use fanfare_websocket::deflate;

use crate::batch::{self, Source};
use crate::flags::Flags;
use crate::forms::{Deflate, Forms};
use crate::prepared::Framing;
use crate::service::wants_base64;
use crate::sid::Sid;
use crate::sync::{Mutex, MutexGuard};
use crate::wheel::Wheel;
use crate::{CloseMode, Config, Handshake, Prepared, PreparedBuf, Protocol, SendError, Transport};

pub(crate) use inner::{After, Inner};
pub(crate) use write::Touched;

/// What a connection needs from its engine.
pub(crate) trait Host<S>: Send + Sync + 'static {
    fn config(&self) -> &Config;
    fn times(&self) -> &SessionConfig;
    fn wheel(&self) -> &Wheel;
    /// The session is over: forget it. `report`: also tell the handler, from another task.
    fn closed(&self, conn: &Arc<Connection<S>>, report: bool);
    /// Tells the handler now.
    fn report(&self, conn: &Arc<Connection<S>>);
}

/// One connection of an [`Engine`](crate::Engine), over whatever transport.
///
/// All methods may be called from any thread; none blocks, and none calls the [`Handler`](crate::Handler).
// In this order, because a broadcast looks at nothing but the beginning, of each of its recipients.
#[repr(C)]
pub struct Connection<S> {
    pub(crate) flags: Flags,
    pub(crate) deflate: Deflate,
    protocol: Protocol,
    pub(crate) index: u32,
    pub(crate) inner: Mutex<Inner>,
    pub(crate) sid: Sid,
    pub(crate) host: Arc<dyn Host<S>>,
    handshake: Handshake,
    state: S,
}

impl<S: Send + Sync + 'static> Connection<S> {
    pub(crate) fn new(
        host: Arc<dyn Host<S>>,
        index: u32,
        sid: Sid,
        (protocol, transport): (Protocol, Transport),
        handshake: Handshake,
        state: S,
    ) -> Connection<S> {
        let (kind, flags) = match transport {
            Transport::Polling => (TransportKind::Polling, Flags::BUSY),
            Transport::WebSocket => (TransportKind::WebSocket, Flags::BUSY | Flags::WEBSOCKET),
        };
        let flags = match protocol == Protocol::V3 && wants_base64(handshake.query()) {
            true => flags | Flags::BASE64,
            false => flags,
        };
        let revision = match protocol {
            Protocol::V3 => Revision::V3,
            Protocol::V4 => Revision::V4,
        };
        let session = Session::new(Instant::now(), kind, revision, host.times());
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

    /// What the layer above keeps for this connection.
    #[inline]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// What is known of the first request.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The session id: a secret of this client, never to be shown to others.
    pub fn sid(&self) -> &str {
        self.sid.as_str()
    }

    /// The version of Engine.IO that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What carries the session now.
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

    /// Sends a message that was prepared once for several connections: its bytes are shared.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if the outbox has no room (what becomes of the connection then is
    /// [`Config::slow_consumer`]'s business), [`SendError::Closed`] if the connection is closing or closed.
    #[inline]
    pub fn send(self: &Arc<Self>, message: &Prepared) -> Result<(), SendError> {
        if message.is_empty() {
            return Ok(());
        }
        if message.uncompressed || !self.takes_as_is(message.binary) {
            let mut forms = Forms::new(message, true);
            return batch::send(self, forms.source(self), message.packets);
        }
        batch::send(self, Source::Shared(&message.frames), message.packets)
    }

    /// Sends what `encode` writes into the buffer, without an allocation of its own if it can leave at once.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send).
    #[inline]
    pub fn send_with(
        self: &Arc<Self>,
        encode: impl FnOnce(&mut PreparedBuf),
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
                return self.send(&Prepared::copied(buf));
            }
            batch::send(self, Source::Slice(&buf.out), buf.packets)
        })
    }

    /// Whether messages go to this connection in the form that they have. `binary`: if there are binary ones.
    #[inline]
    pub(crate) fn takes_as_is(&self, binary: bool) -> bool {
        !(self.deflate.is_on() || (binary && self.protocol == Protocol::V3))
    }

    /// How binary messages are framed for this connection.
    pub(crate) fn framing(&self) -> Framing {
        match self.protocol {
            Protocol::V4 => Framing::Plain,
            Protocol::V3 if self.flags.has(Flags::BASE64) => Framing::Base64,
            Protocol::V3 => Framing::Typed,
        }
    }

    /// How messages are compressed, if they are.
    pub(crate) fn deflate_config(&self) -> deflate::Config {
        self.host.config().per_message_deflate.unwrap_or_default()
    }

    /// Sends a message only if it can leave now: nothing is blocked, or a GET waits. `false`: it was dropped.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is closing or closed.
    pub fn send_volatile(self: &Arc<Self>, message: &Prepared) -> Result<bool, SendError> {
        if self.flags.has(Flags::CLOSING) {
            return Err(SendError::Closed);
        }
        if !self.inner.lock().is_writable() {
            return Ok(false);
        }
        self.send(message).map(|()| true)
    }

    /// Closes the connection.
    ///
    /// With [`CloseMode::Flush`] what is queued goes out first, for at most [`Config::close_timeout`]; nothing more is
    /// taken or delivered meanwhile. The handler's `close` is called later, never from within this call.
    pub fn close(self: &Arc<Self>, mode: CloseMode, reason: CloseReason) {
        let mut after = After::default();
        let mut inner = self.inner.lock();
        let queued = !inner.outbox.is_empty();
        let actions = if mode == CloseMode::Discard && reason != CloseReason::ForcedClose {
            inner.session.abort(reason)
        } else {
            inner.session.close(
                Instant::now(),
                mode == CloseMode::Discard,
                queued,
                self.host.times(),
            )
        };
        if inner.session.stage() != Stage::Open {
            self.flags.set(Flags::CLOSING);
        }
        self.apply(&mut inner, actions, &mut after);
        drop(inner);
        after.run(self);
    }

    /// What led to the close, in words, where there is more to say than the reason does: the rule that the peer broke,
    /// the bound that was reached, the error of the network.
    pub fn close_description(&self) -> Option<String> {
        self.inner.lock().description.as_deref().map(str::to_owned)
    }

    /// Whether a volatile message would go now: the socket is not blocked, or a GET waits.
    pub fn is_writable(&self) -> bool {
        !self.flags.has(Flags::CLOSING) && self.inner.lock().is_writable()
    }

    /// Bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.inner.lock().outbox.bytes()
    }

    /// Packets that wait to be written.
    pub fn pending_packets(&self) -> usize {
        self.inner.lock().outbox.packets()
    }

    /// Waits until no more than half of the outbox is used.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is closing or closed.
    pub async fn ready(&self) -> Result<(), SendError> {
        let mark = self.host.config().limits.outbox_bytes / 2;
        poll_fn(|cx| {
            if self.flags.has(Flags::CLOSING) {
                return Poll::Ready(Err(SendError::Closed));
            }
            let mut inner = self.inner.lock();
            if inner.outbox.bytes() <= mark {
                return Poll::Ready(Ok(()));
            }
            inner.wait_ready(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Has [`Handler::deadline`](crate::Handler::deadline) called once this moment has passed; `None` takes that back.
    ///
    /// It costs no timer of its own; it is late by up to a sixteenth of a second.
    pub fn set_deadline(self: &Arc<Self>, deadline: Option<Instant>) {
        let mut inner = self.inner.lock();
        inner.deadline = deadline;
        self.reschedule(&mut inner);
    }

    /// Takes the right to call the handler for this connection. `false`: somebody else has it, or all is over.
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

    /// Gives the right back. `true`: the connection was closed meanwhile, and the caller has to tell the handler.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.flags.clear(Flags::BUSY) & Flags::CLOSED != 0
    }

    /// Runs `f` on the session, then does what it says.
    pub(crate) fn drive<T>(
        self: &Arc<Self>,
        f: impl FnOnce(&mut MutexGuard<'_, Inner>) -> (T, Actions),
    ) -> T {
        let mut after = After::default();
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
        let next = match (inner.session.next_deadline(), inner.deadline) {
            (None, _) => return,
            (Some(next), Some(deadline)) => next.min(deadline),
            (Some(next), None) => next,
        };
        let tick = self.host.wheel().tick_of(next);
        if inner.wheel_at == 0 || tick < inner.wheel_at {
            inner.wheel_at = tick;
            self.host.wheel().add(tick, self.index);
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
