//! Dispatch of a connection's packets to its sockets.

use std::sync::atomic::Ordering;

use fanfare_engine::{CloseMode, Protocol};
use fanfare_protocol::Escaped;
use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::socket::{DecodeError, Event, Packet, v4};

use super::Conn;
use super::dispatcher::Dispatcher;
use super::rates::admits;
use crate::codec::{Decoding, Malformed, Translated};
use crate::contain::contain;
use crate::disconnect_reason::DisconnectReason;
use crate::handler::EventContext;
use crate::log_target;
use crate::parser::{ParserDecoder, ParserError, RawPacket};
use crate::socket::Socket;

impl Dispatcher {
    /// Passes a message to the decoder of a custom parser.
    #[cold]
    pub(super) fn custom(
        &self,
        conn: &Conn,
        admitted: bool,
        read: impl FnOnce(&mut dyn ParserDecoder) -> Result<Option<RawPacket>, ParserError>,
    ) {
        let raw = match &mut *conn.state().decoder.lock() {
            Decoding::Custom(decoder) => contain("parser", || read(&mut **decoder))
                .unwrap_or_else(|| Err(ParserError::new("the parser panicked"))),
            _ => return,
        };
        conn.state().read(conn, matches!(raw, Ok(None)));
        let read = match raw {
            Ok(None) => return,
            Ok(Some(raw)) => Translated::new(raw),
            Err(error) => Err(error.into()),
        };
        let handled = read.and_then(|translated| {
            let handle = |packet: Packet<'_>| self.packet(conn, packet, admitted);
            let limits = conn.state().io.decoding_limits(conn.protocol());
            translated.read(limits, handle)
        });
        if let Err(error) = handled {
            Self::malformed(conn, &error);
        }
    }

    #[cold]
    pub(super) fn malformed(conn: &Conn, error: &Malformed) {
        crate::stats::malformed(error.label());
        conn.state().io.stats.rejected("malformed");
        tracing::debug!(target: log_target::CONNECTION, error = %Escaped(error), "malformed packet: closing");
        // The sockets get the same reason as in Node, `forced close`.
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    }

    #[inline]
    pub(super) fn packet(&self, conn: &Conn, packet: Packet<'_>, admitted: bool) {
        let client = conn.state();
        if client.closing.load(Ordering::Acquire) {
            return;
        }
        let mut namespace = packet.namespace();
        let mut query = None;
        if conn.protocol() == Protocol::V3 {
            (namespace, query) = v4::split_query(namespace);
            let (len, limit) = (namespace.len(), client.io.limits.max_namespace_len);
            if len > limit {
                let error = DecodeError::NamespaceTooLong { len, limit };
                return Self::malformed(conn, &error.into());
            }
        }
        if client.meter.is_some() && !admits(conn, &packet, namespace, admitted) {
            return;
        }
        if let Packet::Connect(connect) = packet {
            let auth = match conn.protocol() {
                Protocol::V3 => query.map(|query| v4::auth_from_query(query).into()),
                Protocol::V4 => connect.payload,
            };
            return self.connect(conn, namespace, auth.as_deref());
        }
        let leaves = matches!(packet, Packet::Disconnect(_));
        let Some(socket) = client
            .socket(namespace)
            .filter(|socket| leaves || !socket.is_connecting())
        else {
            return Self::unexpected_packet(conn, namespace);
        };
        match packet {
            Packet::Event(event) => Self::event(&socket, &event),
            Packet::Ack(ack) => socket.acknowledged(ack.id, || ack.args.to_buf()),
            // Applies also while its middlewares run.
            Packet::Disconnect(_) => {
                socket.disconnect_with(DisconnectReason::ClientNamespaceDisconnect);
            }
            Packet::ConnectError(_) => Self::unexpected_packet(conn, socket.namespace_name()),
            Packet::Connect(_) => {}
        }
    }

    /// Closes the connection after a packet for a namespace that the client has not joined, or a second CONNECT: the
    /// client is broken.
    #[cold]
    pub(super) fn unexpected_packet(conn: &Conn, namespace: &str) {
        conn.state().io.stats.rejected("unexpected_packet");
        tracing::debug!(target: log_target::CONNECTION, namespace = %Escaped(namespace), "unexpected packet: closing");
        conn.state().close(conn);
    }

    #[inline]
    fn event(socket: &Socket, event: &Event<'_>) {
        socket.receive(&EventContext {
            socket,
            event: &event.name,
            args: &event.args,
            ack: event.ack,
            answered: None,
        });
    }
}
