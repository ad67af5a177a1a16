//! The task of a WebSocket: from the end of the HTTP answer to the end of the connection.

mod probe;
mod reader;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_websocket::deflate::Params;
use fanfare_websocket::{Decoder, DecoderConfig, Role};
use hyper::upgrade::{OnUpgrade, Upgraded};

use crate::engine::OpenError;
use crate::serve::Taken;
use crate::sid::Sid;
use crate::{Connection, EngineService, Handler, Handshake, Protocol, Transport};
use reader::Reader;
use stream::Stream;

/// What a new WebSocket is for.
pub(crate) enum Target<S> {
    /// A session of its own.
    New(Handshake, Protocol, Option<Sid>),
    /// The upgrade of this session; whether binary messages are to be base64 then.
    Probe(Arc<Connection<S>>, bool),
    /// Nothing: it is closed at once.
    Refused,
}

/// Where the stream comes from.
pub(crate) enum Source {
    /// From hyper, once it has answered the request.
    Hyper(OnUpgrade),
    /// From our own server; the answer is still to be written.
    Taken(Taken),
}

/// The future of a WebSocket. It lives as long as the stream, so it is made small: what is needed once, or by few, is in
/// a box.
pub(crate) struct Task<H: Handler>(Stage<H>);

enum Stage<H: Handler> {
    Start(Box<Start<H>>),
    /// Of no use, or not yet.
    Aside(Pin<Box<dyn Future<Output = Option<Reader<H>>> + Send>>),
    Reading(Reader<H>),
    Over,
}

struct Start<H: Handler> {
    service: EngineService<H>,
    source: Source,
    target: Target<H::State>,
    deflate: Option<Params>,
}

impl<H: Handler> Task<H> {
    pub(crate) fn new(
        service: EngineService<H>,
        source: Source,
        target: Target<H::State>,
        deflate: Option<Params>,
    ) -> Self {
        Task(Stage::Start(Box::new(Start {
            service,
            source,
            target,
            deflate,
        })))
    }
}

impl<H: Handler> Start<H> {
    /// Opens the session, or whatever the WebSocket is for.
    fn begin(self, cx: &Context<'_>, upgraded: Option<Upgraded>) -> Stage<H> {
        let engine = self.service.engine().clone();
        let (mut stream, early, head) = match (self.source, upgraded) {
            (Source::Hyper(_), Some(upgraded)) => {
                let (stream, early) = Stream::new(upgraded);
                (stream, early, Vec::new())
            }
            (Source::Taken(taken), _) => (Stream::tcp(taken.stream), taken.early, taken.head),
            (Source::Hyper(_), None) => return Stage::Over,
        };
        let decoder = new_decoder(engine.config.limits.max_payload, self.deflate);
        match self.target {
            Target::New(handshake, protocol, sid) => {
                // Should it be refused, the answer to HTTP is still to be written.
                let answer = sid.is_some().then(|| head.clone());
                match engine.open(handshake, protocol, Transport::WebSocket, sid, head) {
                    Ok(conn) => {
                        stream.attach(&conn, self.deflate, cx);
                        engine.opened(&conn);
                        Stage::Reading(Reader::new(engine, conn, stream, decoder, early.into()))
                    }
                    Err(OpenError(handshake, why)) => {
                        self.service.refuse_id(handshake.as_deref(), why, true);
                        Stage::Aside(Box::pin(async move {
                            stream.refuse(answer.unwrap_or_default()).await;
                            None
                        }))
                    }
                }
            }
            Target::Probe(conn, base64) => Stage::Aside(Box::pin(probe::run(
                engine,
                (conn, base64),
                stream,
                decoder,
                (head, early),
            ))),
            Target::Refused => Stage::Aside(Box::pin(async move {
                stream.refuse(head).await;
                None
            })),
        }
    }
}

impl<H: Handler> Future for Task<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.0 = match &mut self.0 {
                Stage::Start(start) => {
                    let upgraded = match &mut start.source {
                        Source::Taken(_) => None,
                        Source::Hyper(upgrade) => match ready!(Pin::new(upgrade).poll(cx)) {
                            Ok(upgraded) => Some(upgraded),
                            Err(error) => {
                                tracing::debug!(%error, "the client went away before its WebSocket was open");
                                return Poll::Ready(());
                            }
                        },
                    };
                    match std::mem::replace(&mut self.0, Stage::Over) {
                        Stage::Start(start) => start.begin(cx, upgraded),
                        stage => stage,
                    }
                }
                Stage::Aside(aside) => match ready!(aside.as_mut().poll(cx)) {
                    Some(reader) => Stage::Reading(reader),
                    None => Stage::Over,
                },
                Stage::Reading(reader) => return Pin::new(reader).poll(cx),
                Stage::Over => return Poll::Ready(()),
            };
        }
    }
}

// What is pinned is in boxes.
impl<H: Handler> Unpin for Task<H> {}

fn new_decoder(max_payload: usize, permessage_deflate: Option<Params>) -> Decoder {
    let config = DecoderConfig {
        max_frame: max_payload,
        max_message: max_payload,
        permessage_deflate,
        ..DecoderConfig::default()
    };
    Decoder::new(Role::Server, config)
}

/// What arrived right behind the handshake.
type Early = Bytes;
