//! Reader of a WebSocket that carries a session: one small future per connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_protocol::Escaped;
use fanfare_protocol::engine::{Packet, PacketType, v3};
use fanfare_websocket::{CloseCode, Decoded, Decoder, Event, OpCode, frame};
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use super::stream::{LINGER, Stream};
use crate::batch::{self, batch};
use crate::connection::Connection;
use crate::engine::Engine;
use crate::flags::Flags;
use crate::handler::Handler;
use crate::log_target;
use crate::outgoing_frames::OutgoingFrames;
use crate::scratch::{SCRATCH_BYTES, with_scratch};
use fanfare_protocol::engine::{Protocol, Transport};

/// Remaining size of the read buffer below which an incomplete frame grows in a separate buffer, in bytes.
const MIN_SCRATCH_ROOM_BYTES: usize = 16 * 1024;
/// Number of messages after which other connections get their turn.
const MESSAGES_PER_TURN: u32 = 256;

/// Future that reads, decodes in place and calls the handler. It holds no buffer while nothing arrives.
pub(super) struct Reader<H: Handler> {
    engine: Arc<Engine<H>>,
    conn: Arc<Connection<H::State>>,
    stream: Stream,
    decoder: Decoder,
    /// An incomplete frame; or whole ones that could not be handled yet.
    rest: Vec<u8>,
    /// Length at which `rest` is worth decoding, in bytes.
    need: usize,
    /// Number of messages handled since other connections had their turn.
    turn: u32,
    linger: Option<Pin<Box<Sleep>>>,
}

/// Result of handling the input.
enum Next {
    More,
    /// Another thread is calling the handler, or other connections have to get their turn.
    Later,
    /// Handling stops until reading is resumed.
    Paused,
    /// The peer is gone, or has ended the WebSocket: there is nothing more to read.
    Over,
}

impl<H: Handler> Reader<H> {
    pub(super) fn new(
        engine: Arc<Engine<H>>,
        conn: Arc<Connection<H::State>>,
        stream: Stream,
        decoder: Decoder,
        rest: Vec<u8>,
    ) -> Self {
        Reader {
            engine,
            conn,
            stream,
            decoder,
            rest,
            need: 0,
            turn: 0,
            linger: None,
        }
    }

    /// Reads once and handles the input.
    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if !self.rest.is_empty() && self.rest.len() >= self.need {
            // Whole frames, left over from before.
            let mut input = std::mem::take(&mut self.rest);
            let (next, consumed) = self.handle(&mut input);
            self.keep(input, consumed);
            if !matches!(next, Next::More) {
                return Poll::Ready(next);
            }
        }
        if self.rest.len() + MIN_SCRATCH_ROOM_BYTES > SCRATCH_BYTES || self.need > SCRATCH_BYTES {
            return self.poll_big(cx);
        }
        with_scratch(|scratch| {
            let kept = self.rest.len();
            let mut buf = ReadBuf::new(&mut scratch[kept..]);
            let polled = self.stream.poll_read(cx, &mut buf);
            let n = buf.filled().len();
            match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) if n > 0 => {
                    scratch[..kept].copy_from_slice(&self.rest);
                    let end = kept + n;
                    let (next, consumed) = self.handle(&mut scratch[..end]);
                    // The capacity is exact: idle connections hold no spare memory.
                    self.rest = scratch[consumed..end].to_vec();
                    Poll::Ready(next)
                }
                Poll::Ready(_) => Poll::Ready(self.ended()),
            }
        })
    }

    /// Reads a big frame, whose own buffer grows with the bytes that arrive, not with the announced length.
    fn poll_big(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let missing = self.need.saturating_sub(self.rest.len());
        with_scratch(|scratch| {
            let mut buf =
                ReadBuf::new(&mut scratch[..missing.clamp(MIN_SCRATCH_ROOM_BYTES, SCRATCH_BYTES)]);
            let polled = self.stream.poll_read(cx, &mut buf);
            let came = buf.filled();
            match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) if !came.is_empty() => {
                    // At most doubled, and never beyond the frame.
                    if self.rest.capacity() - self.rest.len() < came.len() {
                        let more = missing.min(self.rest.len());
                        self.rest.reserve_exact(more.max(came.len()));
                    }
                    self.rest.extend_from_slice(came);
                    Poll::Ready(Next::More)
                }
                Poll::Ready(_) => Poll::Ready(self.ended()),
            }
        })
    }

    fn keep(&mut self, mut input: Vec<u8>, consumed: usize) {
        if consumed == input.len() {
            return;
        }
        input.drain(..consumed);
        input.shrink_to_fit();
        self.rest = input;
    }

    /// Handles the complete frames; returns the number of bytes consumed.
    fn handle(&mut self, input: &mut [u8]) -> (Next, usize) {
        self.need = 0;
        self.conn.expire();
        let Reader {
            engine,
            conn,
            decoder,
            need,
            turn,
            ..
        } = self;
        let Some(_busy) = engine.enter(conn) else {
            let next = if conn.flags.has(Flags::CLOSED) {
                Next::More
            } else {
                Next::Later
            };
            return (next, 0);
        };
        batch(|| {
            let mut consumed = 0;
            loop {
                match decoder.next(&mut input[consumed..]) {
                    Ok(Decoded::Incomplete { need: least }) => {
                        *need = least;
                        return (Next::More, consumed);
                    }
                    Ok(Decoded::Event { consumed: n, event }) => {
                        consumed += n;
                        match event {
                            Event::Text(text) => on_text(engine, conn, text),
                            Event::Binary(data) => on_binary(engine, conn, data),
                            Event::Ping(payload) => pong(conn, payload),
                            Event::Pong(_) | Event::Fragment => {}
                            Event::Close(frame) => {
                                let code = frame.map_or(CloseCode::NO_STATUS, |frame| frame.code);
                                conn.drive(|inner| {
                                    inner.close_code = if code.is_sendable() { code.0 } else { 0 };
                                    inner.describe(format_args!("close frame {}", code.0));
                                    inner.over = true;
                                    ((), inner.session.websocket_closed())
                                });
                                return (Next::Over, consumed);
                            }
                        }
                        match conn.flags.get() & (Flags::CLOSED | Flags::PAUSED) {
                            0 => {}
                            Flags::PAUSED => return (Next::Paused, consumed),
                            _ => return (Next::More, consumed),
                        }
                        *turn += 1;
                        if *turn >= MESSAGES_PER_TURN {
                            *turn = 0;
                            return (Next::Later, consumed);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(target: log_target::SESSION, ?conn, error = %Escaped(&error), "the client broke the rules of WebSocket");
                        conn.drive(|inner| {
                            inner.describe(error);
                            inner.close_code = error.close_code().0;
                            ((), inner.session.websocket_failed())
                        });
                        return (Next::More, consumed);
                    }
                }
            }
        })
    }

    /// Handles the end or failure of the stream.
    fn ended(&self) -> Next {
        self.conn.drive(|inner| {
            inner.over = true;
            ((), inner.session.websocket_closed())
        });
        Next::Over
    }

    /// Continues with the outbox because it was blocked, or is the task's to write.
    fn poll_flush(&mut self, cx: &mut Context<'_>) {
        let conn = &self.conn;
        conn.flags.clear(Flags::BLOCKED);
        if matches!(self.stream, Stream::Boxed(_)) {
            match self.stream.poll_write_queue(cx, conn) {
                Poll::Pending => {
                    conn.flags.set(Flags::BLOCKED);
                    return;
                }
                Poll::Ready(Err(_)) => {
                    conn.drive(|inner| ((), inner.session.websocket_closed()));
                    return;
                }
                Poll::Ready(Ok(())) => {}
            }
        }
        conn.resume();
    }

    /// Lingers after the end of the session, of which the peer may not know: sends what is left, then waits briefly for
    /// the peer to close.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if matches!(self.stream, Stream::Boxed(_)) {
            match self.stream.poll_write_queue(cx, &self.conn) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            if let Poll::Ready(Err(_)) = self.stream.poll_shutdown(cx) {
                return Poll::Ready(());
            }
        }
        self.stream.poll_drain(cx)
    }
}

impl<H: Handler> Future for Reader<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if this.conn.flags.has(Flags::CLOSED) {
                return this.poll_linger(cx);
            }
            if this.conn.flags.has(Flags::BLOCKED) {
                this.poll_flush(cx);
                if this.conn.flags.has(Flags::CLOSED) {
                    continue;
                }
            }
            if this.conn.flags.has(Flags::PAUSED) {
                // Resuming wakes this task.
                this.turn = 0;
                return Poll::Pending;
            }
            match this.poll_once(cx) {
                Poll::Pending => {
                    this.turn = 0;
                    return Poll::Pending;
                }
                Poll::Ready(Next::More | Next::Paused) => {}
                Poll::Ready(Next::Later) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Next::Over) => {
                    if matches!(this.stream, Stream::Boxed(_)) {
                        let _ = this.stream.poll_write_queue(cx, &this.conn);
                        let _ = this.stream.poll_shutdown(cx);
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}

// The stream and the timer are pinned in boxes.
impl<H: Handler> Unpin for Reader<H> {}

impl<H: Handler> Drop for Reader<H> {
    fn drop(&mut self) {
        // The runtime shuts down, or the handler's panic unwound through this task: the session must not remain.
        if !self.conn.flags.has(Flags::CLOSED) {
            self.conn
                .drive(|inner| ((), inner.session.websocket_closed()));
        }
    }
}

#[inline]
fn on_text<H: Handler>(engine: &Arc<Engine<H>>, conn: &Arc<Connection<H::State>>, text: &str) {
    if let Some(data) = text.strip_prefix('4') {
        if conn.is_open() {
            engine.handler.text(conn, data);
        }
        return;
    }
    let packet = match conn.protocol() {
        Protocol::V4 => Packet::decode(text),
        Protocol::V3 => v3::decode_text(text),
    };
    engine.received(conn, Transport::WebSocket, packet);
}

#[inline]
fn on_binary<H: Handler>(engine: &Arc<Engine<H>>, conn: &Arc<Connection<H::State>>, data: &[u8]) {
    match conn.protocol() {
        Protocol::V4 => {
            if conn.is_open() {
                engine.handler.binary(conn, data);
            }
        }
        Protocol::V3 => {
            engine.received(conn, Transport::WebSocket, v3::decode_binary(data));
        }
    }
}

/// Answers a WebSocket ping, unless other output is blocked.
fn pong<S: Send + Sync + 'static>(conn: &Arc<Connection<S>>, payload: &[u8]) {
    if conn.flags.has(Flags::BLOCKED) {
        return;
    }
    let mut frame = Vec::with_capacity(2 + payload.len());
    frame::encode_into(&mut frame, OpCode::Pong, payload);
    let _ = batch::send(conn, OutgoingFrames::Slice(&frame), 0);
}

/// Compile-time check of the fast path: the digit of a message.
const _: () = assert!(PacketType::Message.digit() == b'4');
