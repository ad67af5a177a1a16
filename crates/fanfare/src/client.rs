//! One connection and the namespaces it has joined: where packets become events.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use fanfare_engine::{
    AllowFuture, CloseMode, Connection, ConnectionError, GenerateIdFuture, Handler, Handshake,
    HttpRefusal, PreparedBuf, Protocol, Transport,
};
use fanfare_protocol::engine::ErrorCode;
use fanfare_protocol::socket::{self, DecodeError, Decoder, Event, Packet, PacketType, v4};
use fanfare_protocol::{CloseReason, Limits};
use http::HeaderMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tracing::Instrument;

use crate::codec::{Codec, Decoding, Malformed, Translated};
use crate::conn::ConnEvent;
use crate::guard::{Excess, Held, Meter, Verdict};
use crate::handler::{ConnectContext, ConnectError, EventContext, EventError};
use crate::io::{IoInner, run_or_spawn};
use crate::namespace::NamespaceInner;
use crate::parser::{ParserDecoder, ParserError, RawPacket};
use crate::reason::DisconnectReason;
use crate::recovery::{Attempt, Part, Recovery};
use crate::socket::Socket;

/// What the server keeps for each connection.
pub(crate) struct Client {
    pub(crate) io: Arc<IoInner>,
    decoder: Mutex<Decoding>,
    /// The decoder waits for attachments; written by the calls of the handler, which come one after the other.
    incomplete: AtomicBool,
    /// One for each namespace, those whose middlewares still run included.
    sockets: Mutex<SmallVec<[Socket; 1]>>,
    closing: AtomicBool,
    /// Which transport the connection is counted under.
    websocket: AtomicBool,
    /// Bytes of the events whose handlers still wait for something.
    at_work: AtomicUsize,
    /// Counts what it sends, if that is limited.
    meter: Option<Box<Meter>>,
    /// Its place among the connections of its address, if those are limited.
    _held: Option<Box<Held>>,
    /// It slipped in beyond that limit.
    surplus: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("sockets", &self.sockets.lock().len())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Has the decoder read something, which may be a part of a packet.
    fn assemble<T>(
        &self,
        read: impl FnOnce(&mut Decoder) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let Decoding::Json(decoder) = &mut *self.decoder.lock() else {
            return Ok(None);
        };
        let read = read(decoder);
        self.incomplete
            .store(decoder.missing() > 0, Ordering::Relaxed);
        read
    }

    fn socket(&self, namespace: &str) -> Option<Socket> {
        let sockets = self.sockets.lock();
        sockets
            .iter()
            .find(|socket| &*socket.0.namespace.name == namespace)
            .cloned()
    }

    pub(crate) fn remove(&self, socket: &Socket) {
        self.sockets.lock().retain(|other| other != socket);
    }

    /// Every socket that is left; the client has none afterwards.
    fn take_sockets(&self) -> SmallVec<[Socket; 1]> {
        self.closing.store(true, Ordering::Release);
        std::mem::take(&mut *self.sockets.lock())
    }

    /// Takes every socket out of its namespace and closes the connection (Node's `forced server close`).
    fn close(&self, conn: &Arc<Connection<Self>>) {
        for socket in self.take_sockets() {
            socket.farewell(DisconnectReason::ForcedServerClose);
        }
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    }

    /// Counts an event of `len` bytes whose handler waits for something, until the guard goes. One that is too much is
    /// handled all the same, but the connection is closed.
    pub(crate) fn work(conn: &Conn, len: usize) -> AtWork {
        let client = conn.state();
        let cost = len + Limits::EVENT_OVERHEAD;
        let before = client.at_work.fetch_add(cost, Ordering::Relaxed);
        let limit = client.io.limits.handler_bytes;
        if before > 0 && before + cost > limit && conn.is_open() {
            client.io.stats.refused("handlers");
            tracing::debug!(
                bytes = before + cost,
                limit,
                "a client sends events faster than they are handled: closing"
            );
            client.close(conn);
        }
        AtWork {
            conn: conn.clone(),
            cost,
        }
    }

    /// Tells the client that it is disconnected from every namespace, then closes the connection.
    pub(crate) fn disconnect_all(&self, conn: &Arc<Connection<Self>>) {
        let sockets: SmallVec<[Socket; 1]> = self.sockets.lock().clone();
        for socket in sockets {
            socket.leave_namespace();
        }
        self.close(conn);
    }

    /// The server is closing: every socket leaves, and the client hears nothing, so that it reconnects.
    pub(crate) fn shut_down(&self) {
        for socket in self.take_sockets() {
            socket.farewell(DisconnectReason::ServerShuttingDown);
        }
    }
}

/// An event whose handler waits for something.
#[derive(Debug)]
pub(crate) struct AtWork {
    conn: Conn,
    cost: usize,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let client = self.conn.state();
        client.at_work.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// The Socket.IO layer as the engine sees it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    /// Weak, because the server owns the engine that owns this; a connection keeps the server alive.
    pub(crate) io: Weak<IoInner>,
}

type Conn = Arc<Connection<Client>>;

impl Handler for Dispatcher {
    type State = Client;

    fn accept(&self, handshake: &Handshake) -> Client {
        #[allow(
            clippy::expect_used,
            reason = "requests come through a service, which holds the server"
        )]
        let io = self
            .io
            .upgrade()
            .expect("the server lives while its service does");
        io.start();
        let (held, fits) = io
            .door
            .enter(handshake.address().map(|address| address.ip()));
        Client {
            decoder: Mutex::new(io.codec.decoder()),
            incomplete: AtomicBool::new(false),
            meter: io.rates.meter(),
            _held: held,
            surplus: !fits,
            io,
            sockets: Mutex::default(),
            closing: AtomicBool::new(false),
            websocket: AtomicBool::new(false),
            at_work: AtomicUsize::new(0),
        }
    }

    fn allow_request(&self, request: &Handshake) -> Option<AllowFuture> {
        self.io.upgrade()?.hooks.allow_request(request)
    }

    fn generate_id(&self, request: &Handshake) -> Option<GenerateIdFuture> {
        self.io.upgrade()?.hooks.generate_id(request)
    }

    fn headers(&self, request: &Handshake, headers: &mut HeaderMap, initial: bool) {
        if let Some(io) = self.io.upgrade() {
            io.hooks.headers(headers, request, initial);
        }
    }

    fn connection_error(&self, error: &ConnectionError<'_>) {
        if let Some(io) = self.io.upgrade() {
            io.stats.refused(cause(error));
            io.hooks.connection_error(error);
        }
        tracing::debug!(
            code = error.code.code(),
            message = error.message,
            context = error.context,
            "request refused"
        );
    }

    fn refused(&self, refusal: HttpRefusal) {
        if let Some(io) = self.io.upgrade() {
            io.stats.refused(refusal.as_str());
        }
    }

    fn upgrading(&self, conn: &Conn) {
        tell(conn, ConnEvent::Upgrading);
    }

    fn heartbeat(&self, conn: &Conn) {
        tell(conn, ConnEvent::Heartbeat);
    }

    fn open(&self, conn: &Conn) {
        let client = conn.state();
        let transport = conn.transport();
        let websocket = transport == Transport::WebSocket;
        client.websocket.store(websocket, Ordering::Relaxed);
        client.io.stats.opened(conn.protocol(), transport);
        if client.surplus {
            client.io.stats.refused("connections_per_address");
            return conn.close(CloseMode::Discard, CloseReason::ForcedClose);
        }
        tracing::debug!(
            address = conn.handshake().address().map(tracing::field::display),
            transport = transport.name(),
            "connection opened"
        );
        tell(conn, ConnEvent::Open);
        conn.set_deadline(Some(
            Instant::now() + conn.state().io.limits.connect_timeout,
        ));
        if conn.protocol() == Protocol::V3 {
            // Clients of Socket.IO v2 are in the main namespace without asking.
            self.connect(conn, "/", None);
        }
    }

    fn upgraded(&self, conn: &Conn) {
        let client = conn.state();
        if !client.websocket.swap(true, Ordering::Relaxed) {
            client.io.stats.upgraded(conn.protocol());
        }
        tracing::debug!("connection upgraded to websocket");
        tell(conn, ConnEvent::Upgrade);
    }

    /// The connection has joined no namespace in time.
    fn deadline(&self, conn: &Conn) {
        if conn.state().sockets.lock().iter().any(Socket::connected) {
            return;
        }
        conn.state().io.stats.refused("connect_timeout");
        tracing::debug!("no namespace was joined within the connect timeout: closing");
        conn.state().close(conn);
    }

    #[inline]
    fn text(&self, conn: &Conn, data: &str) {
        let client = conn.state();
        client.io.stats.bytes_in(data.len());
        let (binary, len) = (false, data.len());
        tell(conn, ConnEvent::Message { binary, len });
        let Some(admitted) = admit_message(conn, data.len()) else {
            return;
        };
        let limits = client.io.decoding_limits(conn.protocol());
        let decoded = match &client.io.codec {
            // The decoder, and its lock, have nothing to do with it.
            Codec::Json if !client.incomplete.load(Ordering::Relaxed) && !is_binary(data) => {
                socket::decode(data, limits).map(Some)
            }
            Codec::Json => client.assemble(|decoder| decoder.text(data, limits)),
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
        tell(conn, ConnEvent::Message { binary, len });
        let Some(admitted) = admit_message(conn, data.len()) else {
            return;
        };
        let limits = client.io.decoding_limits(conn.protocol());
        let handled = match &client.io.codec {
            Codec::Json => {
                let assembled = client.assemble(|decoder| decoder.binary(data, limits));
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
        let transport = match client.websocket.load(Ordering::Relaxed) {
            true => Transport::WebSocket,
            false => Transport::Polling,
        };
        client.io.stats.closed(conn.protocol(), transport, reason);
        let description = conn.close_description();
        let description = description.as_deref();
        tracing::debug!(%reason, description, "connection closed");
        tell(
            conn,
            ConnEvent::Close {
                reason,
                description,
            },
        );
        for socket in conn.state().take_sockets() {
            socket.farewell(reason.into());
        }
    }
}

impl Dispatcher {
    /// Has a custom parser read something.
    #[cold]
    fn custom(
        &self,
        conn: &Conn,
        admitted: bool,
        read: impl FnOnce(&mut dyn ParserDecoder) -> Result<Option<RawPacket>, ParserError>,
    ) {
        let raw = match &mut *conn.state().decoder.lock() {
            Decoding::Custom(decoder) => read(&mut **decoder),
            _ => return,
        };
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
    fn malformed(conn: &Conn, error: &Malformed) {
        crate::stats::malformed(error.label());
        conn.state().io.stats.refused("malformed");
        tracing::debug!(%error, "malformed packet: closing");
        // The reason reaches the sockets as it does in Node, `forced close`.
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    }

    #[inline]
    fn packet(&self, conn: &Conn, packet: Packet<'_>, admitted: bool) {
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
        if client.meter.is_some() && !Self::admitted(conn, &packet, namespace, admitted) {
            return;
        }
        if let Packet::Connect(connect) = packet {
            let auth = match conn.protocol() {
                Protocol::V3 => query.map(|query| v4::auth_from_query(query).into()),
                Protocol::V4 => connect.payload,
            };
            return self.connect(conn, namespace, auth.as_deref());
        }
        let Some(socket) = client
            .socket(namespace)
            .filter(|socket| !socket.is_connecting())
        else {
            return Self::out_of_turn(conn, namespace);
        };
        match packet {
            Packet::Event(event) => Self::event(&socket, &event),
            Packet::Ack(ack) => socket.acknowledged(ack.id, || ack.args.to_buf()),
            Packet::Disconnect(_) => {
                client.remove(&socket);
                socket.farewell(DisconnectReason::ClientNamespaceDisconnect);
            }
            Packet::ConnectError(_) => Self::out_of_turn(conn, socket.namespace()),
            Packet::Connect(_) => {}
        }
    }

    /// Whether a packet is handled, and not too much. `admitted`: its bytes are not.
    #[cold]
    fn admitted(conn: &Conn, packet: &Packet<'_>, namespace: &str, admitted: bool) -> bool {
        if !matches!(packet, Packet::Event(_) | Packet::Connect(_)) {
            return true;
        }
        let client = conn.state();
        let events = || match &client.meter {
            Some(meter) => excess(conn, meter.event(Instant::now())),
            None => Some(true),
        };
        match if admitted { events() } else { Some(false) } {
            Some(true) => return true,
            Some(false) => {}
            None => return false,
        }
        match packet {
            Packet::Event(event) => {
                if let (Some(id), Some(socket)) = (event.ack, client.socket(namespace)) {
                    let _ = socket.send_ack(id, &EventError::new("too many events"));
                }
            }
            Packet::Connect(_) => refuse(conn, namespace, &ConnectError::new("too many events")),
            _ => {}
        }
        false
    }

    /// A packet for a namespace that the client has not joined, or a second CONNECT: the client is broken.
    #[cold]
    fn out_of_turn(conn: &Conn, namespace: &str) {
        conn.state().io.stats.refused("out_of_turn");
        tracing::debug!(namespace, "packet out of turn: closing");
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

    /// A client joins a namespace; `auth` is the JSON that it sent.
    fn connect(&self, conn: &Conn, name: &str, auth: Option<&str>) {
        let client = conn.state();
        if client.socket(name).is_some() {
            return Self::out_of_turn(conn, name);
        }
        let (len, limit) = (auth.map_or(0, str::len), client.io.limits.max_auth_len);
        if len > limit {
            client.io.stats.refused("auth_too_long");
            let error = ConnectError::new(format!(
                "auth is too long: {len} bytes, the limit is {limit}"
            ));
            return refuse(conn, name, &error);
        }
        let namespace = match client.io.enter_namespace(name, auth) {
            Ok(namespace) => namespace,
            Err(why) => {
                client.io.stats.refused(why.cause());
                // An object for clients of every version.
                return send_connect_error(conn, name, &ConnectError::new(why.to_string()));
            }
        };
        // Clients of Socket.IO v2 do not come back.
        let recovery = namespace.recovery.as_deref();
        let recovery = recovery.filter(|_| conn.protocol() == Protocol::V4);
        let part = recovery.map(|recovery| {
            let attempt = Attempt::parse(auth);
            Part::new(attempt.map(|attempt| recovery.claim(&attempt)))
        });
        let skip = recovery.is_some_and(Recovery::skips_middlewares)
            && part.as_ref().is_some_and(Part::is_claimed);
        let socket = Socket::new(namespace.clone(), conn.clone(), auth.map(Into::into), part);
        {
            let mut sockets = client.sockets.lock();
            let limit = conn.state().io.limits.max_namespaces_per_client;
            if sockets.len() >= limit {
                drop(sockets);
                socket.reject();
                client.io.stats.refused("too_many_namespaces");
                let error = ConnectError::new(format!("too many namespaces: the limit is {limit}"));
                return refuse(conn, name, &error);
            }
            sockets.push(socket.clone());
        }
        if client.closing.load(Ordering::Acquire) {
            client.remove(&socket); // closed meanwhile: nobody else would take it out
            socket.reject();
            return;
        }
        if skip || namespace.behaviour.middlewares.is_empty() {
            admit(&socket, Ok(()));
            return;
        }
        let span =
            tracing::debug_span!("connect", socket = %socket.id(), namespace = socket.namespace());
        let joining = join(socket, namespace).instrument(span);
        run_or_spawn(&client.io.running, joining);
    }
}

/// Whether a packet may have attachments.
#[inline]
fn is_binary(packet: &str) -> bool {
    let kind = packet.bytes().next().and_then(PacketType::from_digit);
    kind.is_some_and(PacketType::is_binary)
}

/// Tells whoever listens what happens to a connection.
#[inline]
fn tell(conn: &Conn, event: ConnEvent<'_>) {
    let hooks = &conn.state().io.hooks;
    if hooks.watches_conns() {
        hooks.conn_event(&crate::conn::Conn(conn.clone()), event);
    }
}

/// The label under which a refused request is counted.
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

/// Counts a message. `Some(false)`: what it belongs to is to be dropped; `None`: the connection has been closed.
#[inline]
fn admit_message(conn: &Conn, len: usize) -> Option<bool> {
    match &conn.state().meter {
        None => Some(true),
        Some(meter) => excess(conn, meter.message(len, Instant::now())),
    }
}

/// Does what is to be done about too much. The result is that of [`admit_message`].
fn excess(conn: &Conn, verdict: Verdict) -> Option<bool> {
    let Verdict::Excess { cause, action, log } = verdict else {
        return Some(true);
    };
    conn.state().io.stats.refused(cause);
    if log {
        let address = conn.handshake().address().map(tracing::field::display);
        tracing::warn!(address, cause, ?action, "a client sends too much");
    }
    match action {
        Excess::Warn => Some(true),
        Excess::Drop => Some(false),
        Excess::Disconnect => {
            conn.state().close(conn);
            None
        }
    }
}

/// Runs the middlewares, one after the other.
async fn join(socket: Socket, namespace: Arc<NamespaceInner>) {
    for middleware in &namespace.behaviour.middlewares {
        let cx = ConnectContext { socket: &socket };
        let passed = middleware.call(&cx);
        if let Err(error) = passed.await {
            return admit(&socket, Err(error));
        }
        if !socket.is_connecting() {
            return; // gone meanwhile
        }
    }
    admit(&socket, Ok(()));
}

fn admit(socket: &Socket, result: Result<(), ConnectError>) {
    let conn = socket.connection();
    match result {
        Ok(()) => {
            // What the handlers send leaves together with the CONNECT packet.
            fanfare_engine::batch(|| socket.welcome());
        }
        Err(error) => {
            conn.state().io.stats.refused("middleware");
            tracing::debug!(namespace = socket.namespace(), %error, "connection refused");
            conn.state().remove(socket);
            socket.reject();
            refuse(conn, socket.namespace(), &error);
        }
    }
}

fn refuse(conn: &Conn, namespace: &str, error: &ConnectError) {
    if conn.protocol() == Protocol::V4 {
        return send_connect_error(conn, namespace, error);
    }
    send_refusal(conn, namespace, |codec, buf| {
        codec.write_error(buf, namespace, error.message(), error.data());
    });
}

fn send_connect_error(conn: &Conn, namespace: &str, error: &ConnectError) {
    send_refusal(conn, namespace, |codec, buf| {
        codec.write_connect_error(buf, namespace, error.message(), error.data());
    });
}

fn send_refusal(conn: &Conn, namespace: &str, write: impl FnOnce(&Codec, &mut PreparedBuf)) {
    let result = conn.send_with(|buf| write(&conn.state().io.codec, buf));
    if result.is_err() {
        tracing::debug!(namespace, "the client went before it was refused");
    }
}
