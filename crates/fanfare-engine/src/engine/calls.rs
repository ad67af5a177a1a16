//! Calls of the handler: their panics are contained.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_protocol::Escaped;
use fanfare_protocol::diagnostics::contain;
use fanfare_protocol::engine::session::Received;
use fanfare_protocol::engine::{Data, ErrorCode, Packet, PacketError, Protocol, Transport};

use super::Engine;
use crate::clock;
use crate::connection::Connection;
use crate::handler::{ConnectionError, Handler};
use crate::handshake::HandshakeRequest;
use crate::log_target;

impl<H: Handler> Engine<H> {
    /// Calls a hook of the application. The handler is informed of a panic under the name of the hook; the caller
    /// supplies the result that is missing then.
    pub(crate) fn contain<R>(&self, hook: &'static str, f: impl FnOnce() -> R) -> Option<R> {
        contain(f)
            .map_err(|panic| self.handler.panicked(hook, &panic))
            .ok()
    }

    /// Polls a future of the application and contains its panics likewise.
    pub(crate) fn poll_contained<T>(
        &self,
        hook: &'static str,
        future: &mut Pin<Box<dyn Future<Output = T> + Send>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        match self.contain(hook, || future.as_mut().poll(cx)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        }
    }

    /// Handles one packet. `false`: the session accepts no more.
    pub(crate) fn received(
        &self,
        conn: &Arc<Connection<H::State>>,
        lane: Transport,
        packet: Result<Packet<'_>, PacketError>,
    ) -> bool {
        let kind = match &packet {
            Ok(packet) => Received::of(packet),
            Err(error) => {
                tracing::debug!(target: log_target::SESSION, ?conn, error = %Escaped(&error), "not a packet");
                conn.inner.lock().describe(error);
                Received::Invalid
            }
        };
        if kind != Received::Message {
            let now = clock::now();
            conn.drive(|inner| ((), inner.session.packet(now, lane, kind, conn.host.times())));
            let beat = match conn.protocol() {
                Protocol::V4 => Received::Pong,
                Protocol::V3 => Received::Ping,
            };
            if kind == beat && conn.is_open() {
                self.handler.heartbeat(conn);
            }
        } else if let Ok(packet) = packet
            && conn.is_open()
        {
            match packet.data {
                Data::Text(text) => self.handler.text(conn, text),
                Data::Binary(data) => self.handler.binary(conn, &data),
            }
        }
        conn.is_open()
    }

    /// Reports a rejected request to the handler.
    pub(crate) fn connection_error(&self, error: &ConnectionError<'_>) {
        self.contain("on_connection_error", || {
            self.handler.connection_error(error);
        });
    }

    /// Reports a handshake for which there is no session id.
    pub(crate) fn no_session_id(&self, request: Option<&HandshakeRequest>, why: &str) {
        self.warn_throttled("no session id: the handshake is rejected", why);
        let code = ErrorCode::BadRequest;
        self.connection_error(&ConnectionError {
            code,
            message: code.message(),
            context: "ID_GENERATION_ERROR",
            detail: Some(why),
            request: request.unwrap_or(&HandshakeRequest::default()),
        });
    }
}
