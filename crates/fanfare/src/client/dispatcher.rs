//! Events of the engine's connections.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_engine::hooks::{AllowFuture, ConnectionError, GenerateIdFuture};
use fanfare_engine::http::HttpRejection;
use fanfare_engine::{CloseMode, Handler, HandshakeRequest, Protocol, Transport};
use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::engine::ErrorCode;
use fanfare_protocol::socket::{self, DecodeError, PacketType};
use fanfare_protocol::{Escaped, deadline};
use http::HeaderMap;
use parking_lot::Mutex;

use super::rates::admit_message;
use super::{Client, Conn};
use crate::begun::Begun;
use crate::clock;
use crate::codec::Codec;
use crate::engine::EngineConnectionEvent;
use crate::limits::PER_ADDRESS;
use crate::log_target;
use crate::server::IoInner;

/// The Socket.IO layer as the engine sees it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    /// Weak, because the server owns the engine that owns this; each connection keeps the server alive.
    pub(crate) io: Weak<IoInner>,
}

impl Handler for Dispatcher {
    type State = Client;

    fn accept(&self, handshake: &HandshakeRequest) -> Client {
        #[allow(
            clippy::expect_used,
            reason = "requests come through a service, which holds the server"
        )]
        let io = self
            .io
            .upgrade()
            .expect("the server lives while its service does");
        io.start();
        let (permit, fits) = io
            .admission
            .enter(handshake.address().map(|address| address.ip()));
        Client {
            decoder: Mutex::new(io.codec.decoder()),
            begun: Begun::default(),
            meter: io.rates.meter(),
            permit: Mutex::new(permit),
            surplus: !fits,
            io,
            sockets: Mutex::default(),
            closing: AtomicBool::new(false),
            joining: AtomicUsize::new(0),
            websocket: AtomicBool::new(false),
            backlog_bytes: AtomicUsize::new(0),
        }
    }

    fn allow_request(&self, request: &HandshakeRequest) -> Option<AllowFuture> {
        self.io.upgrade()?.hooks.allow_request(request)
    }

    fn generate_id(&self, request: &HandshakeRequest) -> Option<GenerateIdFuture> {
        self.io.upgrade()?.hooks.generate_id(request)
    }

    fn headers(&self, request: &HandshakeRequest, headers: &mut HeaderMap, initial: bool) -> bool {
        let io = self.io.upgrade();
        io.is_none_or(|io| io.hooks.headers(&io.stats, headers, request, initial))
    }

    fn adds_headers(&self, initial: bool) -> bool {
        let io = self.io.upgrade();
        io.is_none_or(|io| io.hooks.adds_headers(initial))
    }

    fn panicked(&self, hook: &'static str, panic: &str) {
        if let Some(io) = self.io.upgrade() {
            io.panicked(hook, panic);
        }
    }

    fn connection_error(&self, error: &ConnectionError<'_>) {
        if let Some(io) = self.io.upgrade() {
            io.stats.rejected(cause(error));
            io.hooks.connection_error(error);
        }
        tracing::debug!(
            target: log_target::CONNECTION,
            code = error.code.code(),
            message = %Escaped(error.message),
            context = error.context,
            "request rejected"
        );
    }

    fn rejected(&self, rejection: HttpRejection) {
        if let Some(io) = self.io.upgrade() {
            io.stats.rejected(rejection.as_str());
        }
    }

    fn upgrading(&self, conn: &Conn) {
        tell(conn, EngineConnectionEvent::Upgrading);
    }

    fn heartbeat(&self, conn: &Conn) {
        tell(conn, EngineConnectionEvent::Heartbeat);
    }

    fn open(&self, conn: &Conn) {
        let client = conn.state();
        let transport = conn.transport();
        let websocket = transport == Transport::WebSocket;
        client.websocket.store(websocket, Ordering::Relaxed);
        client.io.stats.opened(conn.protocol(), transport);
        if client.surplus {
            client.io.stats.rejected(PER_ADDRESS);
            return conn.close(CloseMode::Discard, CloseReason::ForcedClose);
        }
        tracing::debug!(
            target: log_target::CONNECTION,
            address = conn.handshake().address().map(tracing::field::display),
            transport = transport.name(),
            "connection opened"
        );
        tell(conn, EngineConnectionEvent::Open);
        let timeout = client.io.limits.connect_timeout;
        conn.set_deadline(Some(deadline(clock::now(), timeout)));
        if conn.protocol() == Protocol::V3 {
            // Clients of Socket.IO v2 join the main namespace implicitly.
            self.connect(conn, "/", None);
        }
    }

    fn upgraded(&self, conn: &Conn) {
        let client = conn.state();
        if !client.websocket.swap(true, Ordering::Relaxed) {
            client.io.stats.upgraded(conn.protocol());
        }
        tracing::debug!(target: log_target::CONNECTION, "connection upgraded to websocket");
        tell(conn, EngineConnectionEvent::Upgrade);
    }

    /// Closes a connection that has not joined a namespace, or not completed a packet, before its deadline.
    fn deadline(&self, conn: &Conn) {
        let client = conn.state();
        if let Some(()) = client.begun.unwatch() {
            let limit = client.io.limits.packet_timeout;
            if conn.is_reading_paused() {
                client.begun.restart(client.io.epoch);
            }
            match client.begun.left(client.io.epoch, limit) {
                None => {}
                Some(Duration::ZERO) => {
                    client.io.stats.rejected("packet_timeout");
                    tracing::debug!(
                        target: log_target::CONNECTION,
                        ?limit,
                        "a packet was begun and not completed in time: closing"
                    );
                    client.close(conn);
                }
                // The deadline was set for an earlier packet.
                Some(left) => {
                    client.begun.watch();
                    conn.set_deadline(Some(deadline(clock::now(), left)));
                }
            }
            return;
        }
        if client.has_joined() {
            return;
        }
        conn.state().io.stats.rejected("connect_timeout");
        tracing::debug!(target: log_target::CONNECTION, "no namespace was joined within the connect timeout: closing");
        conn.state().close(conn);
    }

    #[inline]
    fn text(&self, conn: &Conn, data: &str) {
        let client = conn.state();
        client.io.stats.bytes_in(data.len());
        let (binary, len) = (false, data.len());
        tell(conn, EngineConnectionEvent::Message { binary, len });
        let Some(admitted) = admit_message(conn, data.len()) else {
            return;
        };
        let limits = client.io.decoding_limits(conn.protocol());
        let decoded = match &client.io.codec {
            // Such a packet needs neither the decoder nor its lock.
            Codec::Json if !client.begun.is_under_way() && !is_binary(data) => {
                socket::decode(data, limits).map(Some)
            }
            Codec::Json => client.assemble(conn, |decoder| decoder.text(data, limits)),
            Codec::Msgpack => Err(DecodeError::UnexpectedText { missing: 0 }),
            Codec::Custom(_) => {
                return self.custom(conn, admitted, |decoder| decoder.text(data, limits));
            }
        };
        match decoded {
            Ok(Some(packet)) => self.packet(conn, packet, admitted),
            Ok(None) => {}
            Err(error) => Self::malformed(conn, &error.into()),
        }
    }

    fn binary(&self, conn: &Conn, data: &[u8]) {
        let client = conn.state();
        client.io.stats.bytes_in(data.len());
        let (binary, len) = (true, data.len());
        tell(conn, EngineConnectionEvent::Message { binary, len });
        let Some(admitted) = admit_message(conn, data.len()) else {
            return;
        };
        let limits = client.io.decoding_limits(conn.protocol());
        let handled = match &client.io.codec {
            Codec::Json => {
                let assembled = client.assemble(conn, |decoder| decoder.binary(data, limits));
                assembled.map(|assembled| {
                    if let Some(assembled) = assembled {
                        self.packet(conn, assembled.packet(), admitted);
                    }
                })
            }
            Codec::Msgpack => fanfare_protocol::msgpack::decode(data, limits)
                .map(|packet| self.packet(conn, packet, admitted)),
            Codec::Custom(_) => {
                return self.custom(conn, admitted, |decoder| decoder.binary(data, limits));
            }
        };
        if let Err(error) = handled {
            Self::malformed(conn, &error.into());
        }
    }

    fn close(&self, conn: &Conn, reason: CloseReason) {
        let client = conn.state();
        // Released here and not when the last handler drops its socket: the client may reconnect at once.
        drop(client.permit.lock().take());
        let transport = match client.websocket.load(Ordering::Relaxed) {
            true => Transport::WebSocket,
            false => Transport::Polling,
        };
        client.io.stats.closed(conn.protocol(), transport, reason);
        if conn.reading_timed_out() {
            client.io.stats.rejected("handlers");
        }
        let description = conn.close_description();
        let description = description.as_deref();
        tracing::debug!(target: log_target::CONNECTION, %reason, description = description.map(Escaped).map(display), "connection closed");
        tell(
            conn,
            EngineConnectionEvent::Close {
                reason,
                description,
            },
        );
        for socket in conn.state().take_sockets() {
            socket.disconnect_with(reason.into());
        }
    }
}

/// Whether a packet may have attachments.
#[inline]
fn is_binary(packet: &str) -> bool {
    let kind = packet.bytes().next().and_then(PacketType::from_digit);
    kind.is_some_and(PacketType::is_binary)
}

/// Notifies the connection listeners of an event.
#[inline]
fn tell(conn: &Conn, event: EngineConnectionEvent<'_>) {
    let hooks = &conn.state().io.hooks;
    if hooks.watches_conns() {
        let watched = crate::engine::EngineConnection::new(conn.clone());
        let io = &conn.state().io;
        io.contain("on_conn_event", || hooks.conn_event(&watched, event));
    }
}

/// Returns the label under which a rejected request is counted.
fn cause(error: &ConnectionError<'_>) -> &'static str {
    match error.code {
        ErrorCode::UnknownTransport => "unknown_transport",
        ErrorCode::UnknownSid => "unknown_sid",
        ErrorCode::BadHandshakeMethod => "bad_handshake_method",
        ErrorCode::BadRequest => "bad_request",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::UnsupportedProtocolVersion => "unsupported_protocol_version",
    }
}
