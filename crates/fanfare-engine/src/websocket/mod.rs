//! Task of a WebSocket: from the end of the HTTP response to the end of the connection.

mod probe;
mod reader;
mod stream;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_protocol::Escaped;
use fanfare_websocket::deflate::Params;
use fanfare_websocket::{Decoder, DecoderConfig, Role};
use hyper::upgrade::{OnUpgrade, Upgraded};

use crate::connection::Connection;
use crate::engine::{Engine, OpenError};
use crate::handler::Handler;
use crate::handshake::HandshakeRequest;
use crate::log_target;
use crate::sid::Sid;
use crate::stream::{KeepBusy, Taken};
use fanfare_protocol::engine::{Protocol, Transport};
use reader::Reader;
use stream::Stream;

/// Purpose of a new WebSocket.
pub(crate) enum Target<S> {
    /// A new session.
    New(HandshakeRequest, Protocol, Option<Sid>),
    /// The upgrade of this session; whether binary messages are to be base64 then.
    Probe(Arc<Connection<S>>, bool),
    /// None: the WebSocket is closed at once.
    Rejected,
}

/// Origin of the stream.
pub(crate) enum Source {
    /// From hyper, once it has sent the response; with the handle that marks the connection below as in use.
    Hyper(OnUpgrade, Option<KeepBusy>),
    /// From our own server; the response is still to be written.
    Taken(Taken),
}

/// State that lives at least until the session of a WebSocket is open.
pub(crate) type Owner = Arc<dyn Any + Send + Sync>;

/// Future of a WebSocket. It lives as long as the stream, so it is kept small: what is needed once or rarely is boxed.
pub(crate) struct Task<H: Handler>(Stage<H>);

enum Stage<H: Handler> {
    Start(Box<Start<H>>),
    /// A probe, or a WebSocket that is being rejected.
    Aside(Pin<Box<dyn Future<Output = Option<Reader<H>>> + Send>>),
    Reading(Reader<H>),
    Over,
}

struct Start<H: Handler> {
    engine: Arc<Engine<H>>,
    /// Kept until the session is open, see [`EngineService::keeping`](crate::service::EngineService::keeping).
    _owner: Option<Owner>,
    source: Source,
    target: Target<H::State>,
    deflate: Option<Params>,
}

impl<H: Handler> Task<H> {
    pub(crate) fn new(
        (engine, owner): (Arc<Engine<H>>, Option<Owner>),
        source: Source,
        target: Target<H::State>,
        deflate: Option<Params>,
    ) -> Self {
        Task(Stage::Start(Box::new(Start {
            engine,
            _owner: owner,
            source,
            target,
            deflate,
        })))
    }
}

impl<H: Handler> Start<H> {
    /// Opens the session, or starts the probe or the rejection of the WebSocket.
    fn begin(self, cx: &Context<'_>, upgraded: Option<Upgraded>) -> Stage<H> {
        let engine = self.engine;
        let (mut stream, early, head) = match (self.source, upgraded) {
            (Source::Hyper(_, busy), Some(upgraded)) => {
                let (stream, early) = Stream::new(upgraded, busy);
                (stream, early, Vec::new())
            }
            (Source::Taken(taken), _) => (Stream::raw(taken.stream), taken.early, taken.head),
            (Source::Hyper(..), None) => return Stage::Over,
        };
        let decoder = new_decoder(engine.config.limits.max_payload, self.deflate);
        match self.target {
            Target::New(handshake, protocol, sid) => {
                // If the session is rejected, the HTTP response is still to be written.
                let answer = sid.is_some().then(|| head.clone());
                match engine.open(handshake, protocol, Transport::WebSocket, sid, head) {
                    Ok(conn) => {
                        stream.attach(&conn, self.deflate, cx);
                        engine.opened(&conn);
                        Stage::Reading(Reader::new(engine, conn, stream, decoder, early.into()))
                    }
                    Err(OpenError(handshake, why)) => {
                        engine.no_session_id(handshake.as_deref(), why);
                        Stage::Aside(Box::pin(async move {
                            stream.reject(answer.unwrap_or_default()).await;
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
            Target::Rejected => Stage::Aside(Box::pin(async move {
                stream.reject(head).await;
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
                        Source::Hyper(upgrade, _) => match ready!(Pin::new(upgrade).poll(cx)) {
                            Ok(upgraded) => Some(upgraded),
                            Err(error) => {
                                tracing::debug!(target: log_target::SESSION, error = %Escaped(&error), "the client went away before its WebSocket was open");
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

// What has to be pinned is boxed.
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

/// Bytes that arrived right behind the handshake.
type Early = Bytes;
