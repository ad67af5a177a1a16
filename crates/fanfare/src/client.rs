//! One connection and the namespaces it has joined: where packets become events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use fanfare_engine::{CloseMode, Connection, Handler, Handshake};
use fanfare_protocol::CloseReason;
use fanfare_protocol::socket::{
    Connect, DecodeError, Decoder, Event, Packet, encode_connect_error,
};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::handler::{ConnectContext, ConnectError, EventContext};
use crate::io::{IoInner, run_or_spawn};
use crate::namespace::NamespaceInner;
use crate::reason::DisconnectReason;
use crate::recovery::{Attempt, Part, Recovery};
use crate::socket::Socket;

/// What the server keeps for each connection.
pub struct Client {
    pub(crate) io: Arc<IoInner>,
    decoder: Mutex<Decoder>,
    /// One for each namespace, those whose middlewares still run included.
    sockets: Mutex<SmallVec<[Socket; 1]>>,
    closing: AtomicBool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("sockets", &self.sockets.lock().len())
            .finish_non_exhaustive()
    }
}

impl Client {
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

/// The Socket.IO layer as the engine sees it.
#[derive(Debug)]
pub struct Dispatcher {
    /// Weak, because the server owns the engine that owns this; a connection keeps the server alive.
    pub(crate) io: Weak<IoInner>,
}

type Conn = Arc<Connection<Client>>;

impl Handler for Dispatcher {
    type State = Client;

    fn accept(&self, _: &Handshake) -> Client {
        #[allow(
            clippy::expect_used,
            reason = "requests come through a service, which holds the server"
        )]
        let io = self
            .io
            .upgrade()
            .expect("the server lives while its service does");
        Client {
            io,
            decoder: Mutex::default(),
            sockets: Mutex::default(),
            closing: AtomicBool::new(false),
        }
    }

    fn open(&self, conn: &Conn) {
        conn.set_deadline(Some(
            Instant::now() + conn.state().io.limits.connect_timeout,
        ));
    }

    /// The connection has joined no namespace in time.
    fn deadline(&self, conn: &Conn) {
        if conn.state().sockets.lock().iter().any(Socket::connected) {
            return;
        }
        tracing::debug!("no namespace was joined within the connect timeout: closing");
        conn.state().close(conn);
    }

    #[inline]
    fn text(&self, conn: &Conn, data: &str) {
        let decoded = conn
            .state()
            .decoder
            .lock()
            .text(data, &conn.state().io.limits);
        match decoded {
            Ok(Some(packet)) => self.packet(conn, packet),
            Ok(None) => {}
            Err(error) => Self::malformed(conn, &error),
        }
    }

    fn binary(&self, conn: &Conn, data: &[u8]) {
        let decoded = conn
            .state()
            .decoder
            .lock()
            .binary(data, &conn.state().io.limits);
        match decoded {
            Ok(Some(assembled)) => self.packet(conn, assembled.packet()),
            Ok(None) => {}
            Err(error) => Self::malformed(conn, &error),
        }
    }

    fn close(&self, conn: &Conn, reason: CloseReason) {
        for socket in conn.state().take_sockets() {
            socket.farewell(reason.into());
        }
    }
}

impl Dispatcher {
    #[cold]
    fn malformed(conn: &Conn, error: &DecodeError) {
        tracing::debug!(%error, "malformed packet: closing");
        // The reason reaches the sockets as it does in Node, `forced close`.
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    }

    #[inline]
    fn packet(&self, conn: &Conn, packet: Packet<'_>) {
        let client = conn.state();
        if client.closing.load(Ordering::Acquire) {
            return;
        }
        if let Packet::Connect(connect) = packet {
            return self.connect(conn, &connect);
        }
        let Some(socket) = client
            .socket(packet.namespace())
            .filter(|socket| !socket.is_connecting())
        else {
            return Self::out_of_turn(conn, packet.namespace());
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

    /// A packet for a namespace that the client has not joined, or a second CONNECT: the client is broken.
    #[cold]
    fn out_of_turn(conn: &Conn, namespace: &str) {
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
        });
    }

    fn connect(&self, conn: &Conn, connect: &Connect<'_>) {
        let client = conn.state();
        if client.socket(connect.namespace).is_some() {
            return Self::out_of_turn(conn, connect.namespace);
        }
        let Some(namespace) = client
            .io
            .enter_namespace(connect.namespace, connect.payload.as_deref())
        else {
            return refuse(
                conn,
                connect.namespace,
                &ConnectError::new("Invalid namespace"),
            );
        };
        let auth = connect.payload.as_deref().map(Into::into);
        let recovery = namespace.recovery.as_deref();
        let part = recovery.map(|recovery| {
            let attempt = Attempt::parse(connect.payload.as_deref());
            Part::new(attempt.map(|attempt| recovery.claim(&attempt)))
        });
        let skip = recovery.is_some_and(Recovery::skips_middlewares)
            && part.as_ref().is_some_and(Part::is_claimed);
        let socket = Socket::new(namespace.clone(), conn.clone(), auth, part);
        {
            let mut sockets = client.sockets.lock();
            let limit = conn.state().io.limits.max_namespaces_per_client;
            if sockets.len() >= limit {
                drop(sockets);
                socket.reject();
                let error = ConnectError::new(format!("too many namespaces: the limit is {limit}"));
                return refuse(conn, connect.namespace, &error);
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
        run_or_spawn(&client.io.running, join(socket, namespace));
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
            tracing::debug!(namespace = socket.namespace(), %error, "connection refused");
            conn.state().remove(socket);
            socket.reject();
            refuse(conn, socket.namespace(), &error);
        }
    }
}

fn refuse(conn: &Conn, namespace: &str, error: &ConnectError) {
    let result = conn.send_with(|buf| {
        // `data` is a JSON value already: it cannot fail.
        let _ =
            buf.try_text(|out| encode_connect_error(out, namespace, error.message(), error.data()));
    });
    if result.is_err() {
        tracing::debug!(namespace, "the client went before it was refused");
    }
}
