//! Long-polling, upwards: a POST whose body is packets.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use fanfare_protocol::engine::session::{Actions, Lane, Received};
use fanfare_protocol::engine::{Data, Packet, PacketError, payload, v3};
use http::{Request, StatusCode};
use http_body::Body;
use tokio::time::Sleep;

use super::answer::{self, Answer};
use super::future::State;
use super::{EngineFuture, is_octet_stream, refused};
use crate::batch::batch;
use crate::flags::Flags;
use crate::{Connection, Engine, Handler, Protocol};

/// The client went away in the middle of a body, in Node's words.
const LOST: &str = "data request connection closed prematurely";

/// A POST whose body is being read.
pub(super) struct Post<H: Handler, B> {
    engine: Arc<Engine<H>>,
    conn: Arc<Connection<H::State>>,
    body: Pin<Box<B>>,
    /// Most bodies come in one piece, which is used where it lies.
    first: Bytes,
    more: Vec<u8>,
    complete: bool,
    done: bool,
    binary: bool,
    msie: bool,
    /// Runs while the rest of the body is waited for.
    late: Option<Pin<Box<Sleep>>>,
}

impl<H: Handler, B: Body<Data = Bytes>> Post<H, B> {
    pub(super) fn start(
        engine: &Arc<Engine<H>>,
        conn: Arc<Connection<H::State>>,
        request: Request<B>,
        msie: bool,
    ) -> EngineFuture<H, B> {
        let binary = is_octet_stream(request.headers());
        let taken = conn.drive(|inner| match inner.session.post() {
            Ok(()) if binary && conn.protocol() == Protocol::V4 => {
                inner.session.post_done();
                inner.describe("invalid content");
                (Err(None), inner.session.post_invalid())
            }
            Ok(()) => (Ok(()), Actions::NONE),
            Err((refusal, actions)) => {
                inner.describe_refusal(refusal);
                (Err(Some(refusal)), actions)
            }
        });
        match taken {
            Ok(()) => State::Post(Post {
                engine: engine.clone(),
                conn,
                body: Box::pin(request.into_body()),
                first: Bytes::new(),
                more: Vec::new(),
                complete: false,
                done: false,
                binary,
                msie,
                late: None,
            })
            .into(),
            Err(None) => answer::empty(StatusCode::BAD_REQUEST).into(),
            Err(Some(refusal)) => refused(refusal).into(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        if !self.complete
            && let Err(status) = ready!(self.poll_body(cx))
        {
            return Poll::Ready(match status {
                StatusCode::REQUEST_TIMEOUT => answer::last(status),
                _ => answer::empty(status),
            });
        }
        self.complete = true;
        if let Some(_busy) = self.engine.enter(&self.conn) {
            let body = if self.more.is_empty() {
                &self.first[..]
            } else {
                &self.more[..]
            };
            batch(|| {
                deliver(&self.engine, &self.conn, body, self.binary);
            });
        } else if !self.conn.flags.has(Flags::CLOSED) {
            // Somebody is calling the handler for this connection, and will be done soon.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.finish();
        let mut answer = answer::posted(self.msie);
        self.engine
            .handler
            .headers(self.conn.handshake(), answer.headers_mut(), false);
        Poll::Ready(answer)
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
                tracing::debug!(conn = ?self.conn, "the body of a POST did not come in time");
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
                // As in Node, the session lives on.
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

    /// The client cannot answer a ping while it posts, so that its session is over after this time anyway.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let config = &self.engine.config;
        let patience = config.ping_interval + config.ping_timeout;
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        late.as_mut().poll(cx)
    }

    fn finish(&mut self) {
        self.done = true;
        let mut inner = self.conn.inner.lock();
        inner.session.post_done();
        // A WebSocket that has become the transport meanwhile waits for this.
        let waiting = inner.take_probe();
        drop(inner);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

impl<H: Handler, B> Drop for Post<H, B> {
    fn drop(&mut self) {
        if !self.done {
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
}

fn deliver<H: Handler>(
    engine: &Arc<Engine<H>>,
    conn: &Arc<Connection<H::State>>,
    body: &[u8],
    binary: bool,
) {
    if binary {
        v3::decode_binary_payload(body).all(|packet| received(engine, conn, Lane::Polling, packet));
        return;
    }
    let Ok(body) = std::str::from_utf8(body) else {
        received(engine, conn, Lane::Polling, Err(PacketError::InvalidUtf8));
        return;
    };
    match conn.protocol() {
        Protocol::V4 => {
            payload::decode(body).all(|packet| received(engine, conn, Lane::Polling, packet))
        }
        Protocol::V3 => v3::decode_text_payload(body)
            .all(|packet| received(engine, conn, Lane::Polling, packet)),
    };
}

/// Handles one packet. `false`: the session takes no more.
pub(crate) fn received<H: Handler>(
    engine: &Arc<Engine<H>>,
    conn: &Arc<Connection<H::State>>,
    lane: Lane,
    packet: Result<Packet<'_>, PacketError>,
) -> bool {
    let kind = match &packet {
        Ok(packet) => Received::of(packet),
        Err(error) => {
            tracing::debug!(?conn, %error, "not a packet");
            conn.inner.lock().describe(error);
            Received::Invalid
        }
    };
    if kind != Received::Message {
        let now = Instant::now();
        conn.drive(|inner| ((), inner.session.packet(now, lane, kind, conn.host.times())));
        let beat = match conn.protocol() {
            Protocol::V4 => Received::Pong,
            Protocol::V3 => Received::Ping,
        };
        if kind == beat && conn.is_open() {
            engine.handler.heartbeat(conn);
        }
    } else if let Ok(packet) = packet
        && conn.is_open()
    {
        match packet.data {
            Data::Text(text) => engine.handler.text(conn, text),
            Data::Binary(data) => engine.handler.binary(conn, &data),
        }
    }
    conn.is_open()
}
