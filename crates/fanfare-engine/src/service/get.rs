//! Long-polling, downwards: a GET that waits for packets.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_protocol::engine::session::{Actions, Tail};
use fanfare_protocol::engine::{payload, v3};
use fanfare_websocket::{OpCode, frame};

use http::header::{CONTENT_ENCODING, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::answer::{self, Answer};
use super::future::State;
use super::{EngineFuture, is_msie, refused};
use crate::connection::After;
use crate::http_options::ON_THE_FLY;
use crate::outbox::Entry;
use crate::prepared::Frames;
use crate::{Config, Connection, ContentEncoding, Engine, Handler, HttpCompression, Protocol};

/// A GET that waits.
pub(super) struct Get<H: Handler> {
    engine: Arc<Engine<H>>,
    conn: Arc<Connection<H::State>>,
    kind: Asking,
    /// This is the handshake.
    initial: bool,
    answered: bool,
}

/// What the request says about the form of its answer.
#[derive(Clone, Copy)]
pub(super) struct Asking {
    msie: bool,
    encoding: Option<ContentEncoding>,
}

impl Asking {
    pub(super) fn read(headers: &HeaderMap, config: &Config) -> Asking {
        let compresses = config.http_compression.is_some();
        Asking {
            msie: is_msie(headers),
            encoding: compresses
                .then(|| ContentEncoding::negotiate(headers, ON_THE_FLY))
                .flatten(),
        }
    }
}

impl<H: Handler> Get<H> {
    pub(super) fn start<B>(
        engine: &Arc<Engine<H>>,
        conn: Arc<Connection<H::State>>,
        kind: Asking,
        initial: bool,
    ) -> EngineFuture<H, B> {
        let taken = conn.drive(|inner| match inner.session.get() {
            Ok(_) => (Ok(()), Actions::NONE),
            Err((refusal, actions)) => {
                inner.describe_refusal(refusal);
                (Err(refusal), actions)
            }
        });
        match taken {
            Ok(()) => {
                let engine = engine.clone();
                State::Get(Get {
                    engine,
                    conn,
                    kind,
                    initial,
                    answered: false,
                })
                .into()
            }
            Err(refusal) => refused(refusal).into(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut after = After::default();
        let mut inner = self.conn.inner.lock();
        let queued = !inner.outbox.is_empty();
        let answer = inner.session.answer(queued);
        let Some(answer) = answer else {
            inner.waiting().get = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.answered = true;
        let (body, binary) = if answer.packets {
            encode(self.conn.protocol(), inner.outbox.take(), answer.tail)
        } else {
            encode(self.conn.protocol(), std::iter::empty(), answer.tail)
        };
        let compress = std::mem::take(&mut inner.outbox.compress);
        self.conn.apply(&mut inner, answer.actions, &mut after);
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
        let mut answer = answer::payload(body, binary, self.kind.msie);
        if let Some(encoding) = encoding {
            let name = HeaderValue::from_static(encoding.as_str());
            answer.headers_mut().insert(CONTENT_ENCODING, name);
        }
        if self.initial
            && let Some(cookie) = &self.engine.config.cookie
            && let Some(cookie) = cookie.header(self.conn.sid())
        {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        self.engine
            .handler
            .headers(self.conn.handshake(), answer.headers_mut(), self.initial);
        Poll::Ready(answer)
    }
}

impl<H: Handler> Drop for Get<H> {
    fn drop(&mut self) {
        if !self.answered {
            self.conn.drive(|inner| ((), inner.session.get_lost()));
        }
    }
}

/// The compressed body, if that is worth it.
fn compressed(encoding: ContentEncoding, body: &[u8], config: HttpCompression) -> Option<Bytes> {
    if body.len() < config.threshold {
        return None;
    }
    let encoded = encoding.encode(body, config.level)?;
    (encoded.len() < body.len()).then_some(encoded)
}

/// Makes a long-polling body of frames. `true`: it is binary (Engine.IO v3 only).
fn encode(protocol: Protocol, entries: impl Iterator<Item = Entry>, tail: Tail) -> (Bytes, bool) {
    let tail = match tail {
        Tail::Nothing => None,
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
        // One text packet: its bytes in their frame are the body.
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
    // For those who cannot take binary bodies there are none: they got base64.
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
