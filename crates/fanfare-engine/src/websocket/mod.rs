//! The task of a WebSocket: from the end of the HTTP answer to the end of the connection.

mod probe;
mod reader;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use fanfare_websocket::deflate::Params;
use fanfare_websocket::{Decoder, DecoderConfig, Role};
use hyper::upgrade::OnUpgrade;

use crate::{Connection, Engine, Handler, Handshake, Protocol, Transport};
use reader::Reader;
use stream::Stream;

/// What a new WebSocket is for.
pub(crate) enum Target<S> {
    /// A session of its own.
    New(Handshake, Protocol),
    /// The upgrade of this session; whether binary messages are to be base64 then.
    Probe(Arc<Connection<S>>, bool),
    /// Nothing: it is closed at once.
    Refused,
}

/// Takes the stream out of the HTTP server and lives as long as it.
pub(crate) async fn run<H: Handler>(
    engine: Arc<Engine<H>>,
    upgrade: OnUpgrade,
    target: Target<H::State>,
    deflate: Option<Params>,
) {
    let (mut stream, early) = match upgrade.await {
        Ok(upgraded) => Stream::new(upgraded),
        Err(error) => {
            tracing::debug!(%error, "the client went away before its WebSocket was open");
            return;
        }
    };
    let decoder = new_decoder(engine.config.limits.max_payload, deflate);
    let reader = match target {
        Target::New(handshake, protocol) => {
            let conn = match engine.open(handshake, protocol, Transport::WebSocket) {
                Ok(conn) => conn,
                Err(error) => {
                    tracing::error!(%error, "no random numbers for a session id");
                    return;
                }
            };
            stream.attach(&conn, deflate).await;
            engine.opened(&conn);
            Reader::new(engine, conn, stream, decoder, early.into())
        }
        // Boxed: what a probe needs is not to be part of every connection's task.
        Target::Probe(conn, base64) => {
            match Box::pin(probe::run(engine, conn, base64, stream, decoder, early)).await {
                Some(reader) => reader,
                None => return,
            }
        }
        Target::Refused => {
            Box::pin(stream.refuse()).await;
            return;
        }
    };
    reader.await;
}

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
