//! Long-polling, client to server: a POST whose body consists of packets.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_protocol::engine::session::Actions;
use fanfare_protocol::engine::{Packet, PacketError, PacketType, payload, v3};
use http::StatusCode;
use http_body::Body;
use tokio::time::Sleep;

use super::answer;
use super::future::State;
use super::hold::{Hold, IfEarly, hold};
use super::{EngineFuture, rejected};
use crate::batch::batch;
use crate::connection::{CloseMode, Connection};
use crate::engine::Engine;
use crate::flags::Flags;
use crate::handler::Handler;
use crate::log_target;
use crate::reply::{Plain, Reply};
use fanfare_protocol::engine::{CloseReason, Protocol, Transport};

/// Description of a close because the client disconnected in the middle of a body, in Node's words.
const LOST: &str = "data request connection closed prematurely";

/// A POST whose body is being read.
pub(super) struct Post<H: Handler, B> {
    engine: Arc<Engine<H>>,
    conn: Arc<Connection<H::State>>,
    body: Pin<Box<B>>,
    /// First piece of the body. Most bodies arrive in one piece, which is used in place.
    first: Bytes,
    more: Vec<u8>,
    complete: bool,
    /// Number of bytes of the body that have been handled.
    handled: usize,
    done: bool,
    /// Wait of a POST that closes the session, and may have overtaken the GET that it releases.
    hold: Option<Hold<()>>,
    binary: bool,
    msie: bool,
    /// Timeout of the rest of the body.
    late: Option<Pin<Box<Sleep>>>,
}

impl<H: Handler, B: Body<Data = Bytes>> Post<H, B> {
    pub(super) fn start(
        engine: &Arc<Engine<H>>,
        conn: Arc<Connection<H::State>>,
        body: B,
        binary: bool,
        msie: bool,
    ) -> EngineFuture<H, B> {
        let taken = conn.drive(|inner| match inner.session.post() {
            Ok(()) if binary && conn.protocol() == Protocol::V4 => {
                inner.session.post_done();
                inner.describe("invalid content");
                (Err(None), inner.session.post_invalid())
            }
            Ok(()) => (Ok(()), Actions::NONE),
            Err((rejection, actions)) => {
                inner.describe_rejection(rejection);
                (Err(Some(rejection)), actions)
            }
        });
        match taken {
            Ok(()) => State::Post(Post {
                engine: engine.clone(),
                conn,
                body: Box::pin(body),
                first: Bytes::new(),
                more: Vec::new(),
                complete: false,
                handled: 0,
                done: false,
                hold: None,
                binary,
                msie,
                late: None,
            })
            .into(),
            Err(None) => answer::empty(StatusCode::BAD_REQUEST).into(),
            Err(Some(rejection)) => rejected(rejection).into(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        if !self.complete {
            if let Err(status) = ready!(self.poll_body(cx)) {
                return Poll::Ready(Reply::Whole(match status {
                    StatusCode::REQUEST_TIMEOUT => answer::last(status),
                    _ => answer::empty(status),
                }));
            }
            self.complete = true;
            if closes(self.body(), self.conn.protocol()) {
                let conn = self.conn.clone();
                self.hold = Some(hold(move |if_early| {
                    let waits =
                        if_early == IfEarly::Wait && conn.inner.lock().session.close_is_early();
                    (!waits).then_some(())
                }));
            }
        }
        if let Some(hold) = &mut self.hold {
            ready!(hold.as_mut().poll(cx));
            self.hold = None;
        }
        loop {
            ready!(self.conn.poll_reading(cx));
            if let Some(_busy) = self.engine.enter(&self.conn) {
                let (body, from) = (self.body(), self.handled);
                let handled = batch(|| deliver(&self.engine, &self.conn, body, self.binary, from));
                if let Some(handled) = handled {
                    self.handled = handled;
                    continue;
                }
            } else if !self.conn.flags.has(Flags::CLOSED) {
                // Another thread is calling the handler for this connection, and will return soon.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            break;
        }
        self.finish();
        let answer = Plain::posted(self.msie);
        Poll::Ready(
            self.engine
                .with_headers(&self.conn, answer, [None, None], false),
        )
    }

    fn body(&self) -> &[u8] {
        match self.more.is_empty() {
            true => &self.first,
            false => &self.more,
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StatusCode>> {
        let limit = self.engine.config.limits.max_payload;
        loop {
            if self.body.size_hint().lower() > limit as u64 {
                self.finish();
                return Poll::Ready(Err(StatusCode::PAYLOAD_TOO_LARGE));
            }
            let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) else {
                ready!(self.poll_late(cx));
                tracing::debug!(target: log_target::SESSION, conn = ?self.conn, "the body of a POST did not come in time");
                self.done = true;
                self.conn.drive(|inner| ((), inner.session.post_lost()));
                return Poll::Ready(Err(StatusCode::REQUEST_TIMEOUT));
            };
            let data = match frame {
                None => return Poll::Ready(Ok(())),
                Some(Err(_)) => {
                    self.done = true;
                    self.conn.drive(|inner| {
                        inner.describe(LOST);
                        ((), inner.session.post_lost())
                    });
                    return Poll::Ready(Err(StatusCode::BAD_REQUEST));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            if self.first.len() + self.more.len() + data.len() > limit {
                // As in Node, the session stays open.
                self.finish();
                return Poll::Ready(Err(StatusCode::PAYLOAD_TOO_LARGE));
            }
            if self.first.is_empty() && self.more.is_empty() {
                self.first = data;
            } else {
                if self.more.is_empty() {
                    self.more
                        .extend_from_slice(&std::mem::take(&mut self.first));
                }
                self.more.extend_from_slice(&data);
            }
        }
    }

    /// Ready when the body has taken too long. The client cannot answer a ping while it posts, so its session would be
    /// over after this time anyway.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let config = &self.engine.config;
        let patience = config.ping_interval.saturating_add(config.ping_timeout);
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        late.as_mut().poll(cx)
    }

    fn finish(&mut self) {
        self.done = true;
        finish(&self.conn);
    }
}

/// Marks the POST as finished: everything in it has been handled.
fn finish<S: Send + Sync + 'static>(conn: &Connection<S>) {
    let mut inner = conn.inner.lock();
    inner.session.post_done();
    // A WebSocket that has become the transport meanwhile waits for this.
    let waiting = inner.take_probe();
    drop(inner);
    if let Some(waker) = waiting {
        waker.wake();
    }
}

impl<H: Handler, B> Drop for Post<H, B> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if self.complete {
            // The client does not wait for the response, but has sent the whole body.
            let (engine, conn, binary) = (self.engine.clone(), self.conn.clone(), self.binary);
            let body = match self.more.is_empty() {
                true => std::mem::take(&mut self.first),
                false => std::mem::take(&mut self.more).into(),
            };
            let mut from = Some(self.handled);
            self.engine.runtime().spawn(async move {
                while let Some(handled) = from {
                    poll_fn(|cx| conn.poll_reading(cx)).await;
                    from = match engine.entered(&conn).await {
                        Some(_busy) => batch(|| deliver(&engine, &conn, &body, binary, handled)),
                        None => None,
                    };
                }
                finish(&conn);
            });
            return;
        }
        let waiting = self.conn.drive(|inner| {
            inner.describe(LOST);
            let actions = inner.session.post_lost();
            (inner.take_probe(), actions)
        });
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// Whether a body ends with a `close` packet.
fn closes(body: &[u8], protocol: Protocol) -> bool {
    match protocol {
        Protocol::V4 => body == b"1" || body.ends_with(b"\x1e1"),
        Protocol::V3 => {
            body.ends_with(b"1:1")
                && std::str::from_utf8(body).is_ok_and(|body| {
                    let last = v3::decode_text_payload(body).last();
                    matches!(last, Some(Ok(packet)) if packet.kind == PacketType::Close)
                })
        }
    }
}

/// Handles the packets of a body from this byte on; returns the byte to continue at if reading was paused before the
/// end.
fn deliver<H: Handler>(
    engine: &Arc<Engine<H>>,
    conn: &Arc<Connection<H::State>>,
    body: &[u8],
    binary: bool,
    from: usize,
) -> Option<usize> {
    let handled = engine.contain("message", || {
        hand_over_body(engine, conn, body, binary, from)
    });
    if handled.is_none() {
        // The effects of the rest of the body are lost.
        conn.close(CloseMode::Discard, CloseReason::ForcedClose);
    }
    handled.flatten()
}

fn hand_over_body<H: Handler>(
    engine: &Arc<Engine<H>>,
    conn: &Arc<Connection<H::State>>,
    body: &[u8],
    binary: bool,
    from: usize,
) -> Option<usize> {
    conn.expire();
    let rest = body.get(from..).unwrap_or_default();
    let left = if binary {
        let mut packets = v3::decode_binary_payload(rest);
        hand_over(engine, conn, &mut packets).then(|| packets.rest_len())
    } else {
        let Ok(rest) = std::str::from_utf8(rest) else {
            engine.received(conn, Transport::Polling, Err(PacketError::InvalidUtf8));
            return None;
        };
        match conn.protocol() {
            Protocol::V4 => {
                let mut packets = payload::decode(rest);
                hand_over(engine, conn, &mut packets).then(|| packets.rest_len())
            }
            Protocol::V3 => {
                let mut packets = v3::decode_text_payload(rest);
                hand_over(engine, conn, &mut packets).then(|| packets.rest_len())
            }
        }
    };
    left.flatten().map(|left| body.len() - left)
}

/// Handles packets until they end, the session ends, or reading is paused: then the result is `true`.
fn hand_over<'a, H: Handler>(
    engine: &Arc<Engine<H>>,
    conn: &Arc<Connection<H::State>>,
    packets: &mut impl Iterator<Item = Result<Packet<'a>, PacketError>>,
) -> bool {
    for packet in packets {
        if !engine.received(conn, Transport::Polling, packet) {
            return false;
        }
        if conn.flags.has(Flags::PAUSED) {
            return true;
        }
    }
    false
}
