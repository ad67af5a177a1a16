//! Long-polling, server to client: a GET that waits for packets.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_protocol::engine::session::{Actions, SessionRejection, Tail};
use fanfare_protocol::engine::{payload, v3};
use fanfare_websocket::{OpCode, frame};

use http::HeaderValue;
use http::header::{CONTENT_ENCODING, SET_COOKIE};

use super::future::State;
use super::hold::{Hold, IfEarly, hold};
use super::verify::is_msie;
use super::{EngineFuture, rejected};
use crate::config::EngineConfig;
use crate::connection::Connection;
use crate::connection::DeferredWakeups;
use crate::encoded_message::Frames;
use crate::engine::Engine;
use crate::fields::Fields;
use crate::handler::Handler;
use crate::http_options::ON_THE_FLY;
use crate::http_options::{ContentEncoding, HttpCompression};
use crate::outbox::Entry;
use crate::reply::{Plain, Reply};
use fanfare_protocol::engine::Protocol;

/// A GET that waits.
pub(super) struct Get<H: Handler> {
    engine: Arc<Engine<H>>,
    conn: Arc<Connection<H::State>>,
    kind: PollResponseFormat,
    /// Whether this is the handshake.
    initial: bool,
    answered: bool,
    /// Wait of a GET that has arrived before its turn.
    hold: Option<Hold<Result<(), SessionRejection>>>,
}

/// Format of the response that the request asks for.
#[derive(Clone, Copy)]
pub(super) struct PollResponseFormat {
    msie: bool,
    encoding: Option<ContentEncoding>,
}

impl PollResponseFormat {
    pub(super) fn read(fields: &impl Fields, config: &EngineConfig) -> PollResponseFormat {
        let compresses = config.http_compression.is_some();
        PollResponseFormat {
            msie: is_msie(fields),
            encoding: compresses
                .then(|| ContentEncoding::negotiated(fields, ON_THE_FLY))
                .flatten(),
        }
    }
}

impl<H: Handler> Get<H> {
    pub(super) fn start<B>(
        engine: &Arc<Engine<H>>,
        conn: Arc<Connection<H::State>>,
        kind: PollResponseFormat,
        initial: bool,
    ) -> EngineFuture<H, B> {
        let held = match take(&conn, IfEarly::Wait) {
            Some(Ok(())) => None,
            Some(Err(rejection)) => return rejected(rejection).into(),
            None => {
                let conn = conn.clone();
                Some(hold(move |if_early| take(&conn, if_early)))
            }
        };
        let engine = engine.clone();
        State::Get(Get {
            engine,
            conn,
            kind,
            initial,
            answered: false,
            hold: held,
        })
        .into()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        if let Some(hold) = &mut self.hold {
            let taken = ready!(hold.as_mut().poll(cx));
            self.hold = None;
            if let Err(rejection) = taken {
                self.answered = true;
                return Poll::Ready(Reply::Whole(rejected(rejection)));
            }
        }
        let mut after = DeferredWakeups::default();
        let mut inner = self.conn.inner.lock();
        let queued = !inner.outbox.is_empty();
        let answer = inner.session.answer(queued);
        let Some(answer) = answer else {
            inner.waiting().get = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.answered = true;
        if answer.tail == Tail::Rejected {
            return Poll::Ready(Reply::Whole(rejected(SessionRejection::Closed)));
        }
        let (body, binary) = if answer.packets {
            encode(self.conn.protocol(), inner.outbox.take(), answer.tail)
        } else {
            encode(self.conn.protocol(), std::iter::empty(), answer.tail)
        };
        let compress = std::mem::take(&mut inner.outbox.compress);
        if !answer.actions.is_empty() {
            self.conn.apply(&mut inner, answer.actions, &mut after);
        }
        let actions = self.conn.flushed(&mut inner, &mut after);
        if !actions.is_empty() {
            self.conn.apply(&mut inner, actions, &mut after);
        }
        drop(inner);
        after.run(&self.conn);
        let encoded = self
            .kind
            .encoding
            .filter(|_| compress)
            .and_then(|encoding| {
                let body = compressed(encoding, &body, self.engine.config.http_compression?)?;
                Some((encoding, body))
            });
        let (encoding, body) = match encoded {
            Some((encoding, body)) => (Some(encoding), body),
            None => (None, body),
        };
        let answer = Plain::payload(body, binary, self.kind.msie);
        let cookie = match &self.engine.config.cookie {
            Some(cookie) if self.initial => cookie.header(self.conn.sid()),
            _ => None,
        };
        let added = [
            encoding.map(|encoding| {
                (
                    CONTENT_ENCODING,
                    HeaderValue::from_static(encoding.as_str()),
                )
            }),
            cookie.map(|cookie| (SET_COOKIE, cookie)),
        ];
        Poll::Ready(
            self.engine
                .with_headers(&self.conn, answer, added, self.initial),
        )
    }
}

impl<H: Handler> Drop for Get<H> {
    fn drop(&mut self) {
        if !self.answered {
            self.conn.drive(|inner| match self.hold {
                Some(_) => ((), inner.session.early_get_lost()),
                None => ((), inner.session.get_lost()),
            });
        }
    }
}

/// Passes the GET to the session. `None`: it is early and waits.
pub(crate) fn take<S: Send + Sync + 'static>(
    conn: &Arc<Connection<S>>,
    if_early: IfEarly,
) -> Option<Result<(), SessionRejection>> {
    conn.drive(|inner| {
        if if_early == IfEarly::Wait && inner.session.get_is_early() {
            return (None, Actions::NONE);
        }
        match inner.session.get() {
            Ok(_) => (Some(Ok(())), Actions::NONE),
            Err((rejection, actions)) => {
                inner.describe_rejection(rejection);
                (Some(Err(rejection)), actions)
            }
        }
    })
}

/// Returns the compressed body, if compression makes it smaller.
fn compressed(encoding: ContentEncoding, body: &[u8], config: HttpCompression) -> Option<Bytes> {
    if body.len() < config.threshold {
        return None;
    }
    let encoded = encoding.encode(body, config.level)?;
    (encoded.len() < body.len()).then_some(encoded)
}

/// Encodes frames as a long-polling body. `true`: it is binary (Engine.IO v3 only).
fn encode(protocol: Protocol, entries: impl Iterator<Item = Entry>, tail: Tail) -> (Bytes, bool) {
    let tail = match tail {
        Tail::Nothing | Tail::Rejected => None,
        Tail::Noop => Some(b"6"),
        Tail::Close => Some(b"1"),
    };
    match protocol {
        Protocol::V4 => (encode_v4(entries, tail), false),
        Protocol::V3 => encode_v3(&entries.collect::<Vec<_>>(), tail),
    }
}

fn encode_v4(mut entries: impl Iterator<Item = Entry>, tail: Option<&'static [u8; 1]>) -> Bytes {
    let first = entries.next();
    let mut second = entries.next();
    if tail.is_none()
        && second.is_none()
        && let Some(entry) = &first
        && let Some((OpCode::Text, payload, total)) = frame::parse_unmasked(&entry.frames)
        && total == entry.frames.len()
    {
        // One text packet: its bytes inside the frame are the body.
        return entry.frames.slice(payload);
    }
    if first.is_none()
        && let Some(tail) = tail
    {
        return Bytes::from_static(tail);
    }
    let size = [&first, &second]
        .into_iter()
        .flatten()
        .map(|entry| entry.frames.len())
        .sum();
    let mut out = Vec::with_capacity(size);
    let mut encoder = payload::Encoder::new(&mut out);
    for entry in first.into_iter().chain(second.take()).chain(entries) {
        for frame in Frames::of(&entry.frames) {
            match frame.opcode {
                OpCode::Binary => encoder.binary(frame.payload),
                _ => encoder.raw(frame.payload),
            }
        }
    }
    if let Some(tail) = tail {
        encoder.raw(tail);
    }
    Bytes::from(out)
}

fn encode_v3(entries: &[Entry], tail: Option<&'static [u8; 1]>) -> (Bytes, bool) {
    let frames = || entries.iter().flat_map(|entry| Frames::of(&entry.frames));
    // Clients that cannot take binary bodies got base64, so this body is text for them.
    let binary = frames().any(|frame| frame.opcode == OpCode::Binary);
    let mut out = Vec::new();
    if binary {
        let mut encoder = v3::BinaryEncoder::new(&mut out);
        for frame in frames() {
            match (frame.opcode, frame.payload) {
                (OpCode::Binary, [_, data @ ..]) => encoder.binary(data),
                (_, payload) => encoder.raw(payload),
            }
        }
        tail.into_iter().for_each(|tail| encoder.raw(tail));
    } else {
        let mut encoder = v3::TextEncoder::new(&mut out);
        frames().for_each(|frame| encoder.raw(frame.payload));
        tail.into_iter().for_each(|tail| encoder.raw(tail));
    }
    (Bytes::from(out), binary)
}
