//! Probe: a WebSocket that asks to take over a polling session.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fanfare_protocol::Escaped;
use fanfare_protocol::engine::Packet;
use fanfare_protocol::engine::session::{Actions, Received, Stage};
use fanfare_websocket::deflate::Params;
use fanfare_websocket::{Decoded, Decoder, Event, OpCode, frame};
use tokio::io::ReadBuf;

use super::Early;
use super::reader::Reader;
use super::stream::Stream;
use crate::batch::batch;
use crate::clock;
use crate::connection::Connection;
use crate::connection::DeferredWakeups;
use crate::engine::Engine;
use crate::flags::Flags;
use crate::handler::Handler;
use crate::log_target;

/// Next step of the probing WebSocket.
enum Step {
    Read,
    Pong,
    Upgraded,
    Close,
}

/// Probes; `Some` if the session has moved to this WebSocket.
pub(super) async fn run<H: Handler>(
    engine: Arc<Engine<H>>,
    (conn, base64): (Arc<Connection<H::State>>, bool),
    mut stream: Stream,
    mut decoder: Decoder,
    (head, early): (Vec<u8>, Early),
) -> Option<Reader<H>> {
    let attached = conn.drive(|inner| {
        (
            inner.session.attach_probe(clock::now(), conn.host.times()),
            Actions::NONE,
        )
    });
    if attached.is_err() {
        stream.reject(head).await;
        return None;
    }
    {
        let mut inner = conn.inner.lock();
        conn.reschedule(&mut inner);
    }
    engine.handler.upgrading(&conn);
    let mut guard = Guard { conn: Some(conn) };
    if !head.is_empty() && stream.write_all(&head).await.is_err() {
        return None;
    }
    let mut input: Vec<u8> = early.into();
    loop {
        let conn = guard.conn.as_ref()?;
        let mut step = Step::Read;
        let mut consumed = 0;
        while matches!(step, Step::Read) {
            match decoder.next(&mut input[consumed..]) {
                Ok(Decoded::Incomplete { .. }) => break,
                Ok(Decoded::Event { consumed: n, event }) => {
                    consumed += n;
                    let received = match event {
                        Event::Text(text) => {
                            Packet::decode(text).map_or(Received::Invalid, |p| Received::of(&p))
                        }
                        Event::Binary(_) => Received::Message,
                        Event::Ping(_) | Event::Pong(_) | Event::Fragment => continue,
                        Event::Close(_) => {
                            step = Step::Close;
                            continue;
                        }
                    };
                    if received == Received::Upgrade {
                        // What the client sent by HTTP before this has to be read first.
                        tokio::task::yield_now().await;
                    }
                    let deflate = decoder.config().permessage_deflate;
                    step = packet(conn, &mut stream, received, (deflate, base64)).await;
                }
                Err(error) => {
                    tracing::debug!(target: log_target::SESSION, ?conn, error = %Escaped(&error), "a probe broke the rules of WebSocket");
                    step = Step::Close;
                }
            }
        }
        input.drain(..consumed);
        match step {
            Step::Read => {
                if !read(conn, &mut stream, &mut input).await {
                    // The stream ended, the probe timed out, or the session is over.
                    break;
                }
            }
            Step::Pong => {
                let pong = frame::prepare(OpCode::Text, b"3probe");
                if stream.write_all(&pong).await.is_err() {
                    return None;
                }
            }
            Step::Upgraded => {
                let conn = guard.conn.take()?;
                wait_for_post(&conn).await;
                if let Some(_busy) = engine.entered(&conn).await {
                    batch(|| engine.handler.upgraded(&conn));
                }
                return Some(Reader::new(engine, conn, stream, decoder, input));
            }
            Step::Close => break,
        }
    }
    drop(guard);
    stream.reject(Vec::new()).await;
    None
}

/// Guard that ends the probe when its task ends for any reason.
struct Guard<S: Send + Sync + 'static> {
    conn: Option<Arc<Connection<S>>>,
}

impl<S: Send + Sync + 'static> Drop for Guard<S> {
    fn drop(&mut self) {
        if let Some(conn) = &self.conn {
            conn.drive(|inner| {
                inner.take_probe();
                ((), inner.session.probe_lost())
            });
        }
    }
}

/// Passes a packet to the session and executes its actions, in one step under the lock.
async fn packet<S: Send + Sync + 'static>(
    conn: &Arc<Connection<S>>,
    stream: &mut Stream,
    received: Received,
    (deflate, base64): (Option<Params>, bool),
) -> Step {
    poll_fn(|cx| {
        let mut after = DeferredWakeups::default();
        let mut inner = conn.inner.lock();
        if !inner.session.upgrading() {
            return Poll::Ready(Step::Close);
        }
        let actions = inner
            .session
            .probe_packet(clock::now(), received, conn.host.times());
        let step = if actions.contains(Actions::SWITCH) {
            stream.attach_now(&mut inner, cx);
            conn.flags.set(Flags::WEBSOCKET);
            conn.deflate.agree(deflate);
            match base64 {
                true => conn.flags.set(Flags::BASE64),
                false => conn.flags.clear(Flags::BASE64),
            };
            Step::Upgraded
        } else if actions.contains(Actions::PROBE_PONG) {
            Step::Pong
        } else {
            Step::Close
        };
        conn.apply(&mut inner, actions, &mut after);
        drop(inner);
        after.run(conn);
        Poll::Ready(step)
    })
    .await
}

/// Reads more. `false`: the stream has ended, or the session has abandoned the probe.
async fn read<S: Send + Sync + 'static>(
    conn: &Arc<Connection<S>>,
    stream: &mut Stream,
    input: &mut Vec<u8>,
) -> bool {
    let mut chunk = [0; 1024];
    let n = poll_fn(|cx| {
        {
            let mut inner = conn.inner.lock();
            if !inner.session.upgrading() {
                return Poll::Ready(0);
            }
            inner.waiting().probe = Some(cx.waker().clone());
        }
        let mut buf = ReadBuf::new(&mut chunk);
        match ready!(stream.poll_read(cx, &mut buf)) {
            Ok(()) => Poll::Ready(buf.filled().len()),
            Err(_) => Poll::Ready(0),
        }
    })
    .await;
    input.extend_from_slice(&chunk[..n]);
    n > 0
}

/// Waits for a POST in progress: its packets were sent before those of this WebSocket.
async fn wait_for_post<S: Send + Sync + 'static>(conn: &Arc<Connection<S>>) {
    poll_fn(|cx: &mut Context<'_>| {
        let mut inner = conn.inner.lock();
        if inner.session.post_under_way() && inner.session.stage() != Stage::Closed {
            inner.waiting().probe = Some(cx.waker().clone());
            return Poll::Pending;
        }
        inner.take_probe();
        Poll::Ready(())
    })
    .await;
}
