//! One connection and the namespaces it has joined.

mod dispatcher;
mod join;
mod packets;
mod rates;
mod rejection;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use dispatcher::Dispatcher;
use fanfare_engine::{CloseMode, Connection};
use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::socket::{DecodeError, Decoder};
use fanfare_protocol::{Limits, deadline};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::begun::Begun;
use crate::clock;
use crate::codec::Decoding;
use crate::disconnect_reason::DisconnectReason;
use crate::limits::{ConnectionPermit, Meter};
use crate::log_target;
use crate::server::IoInner;
use crate::socket::Socket;

type Conn = Arc<Connection<Client>>;

/// State that the server keeps for each connection.
pub(crate) struct Client {
    pub(crate) io: Arc<IoInner>,
    decoder: Mutex<Decoding>,
    /// Set while the decoder waits for attachments; written only by the sequential calls of the handler.
    begun: Begun,
    /// One socket for each namespace, including those whose middlewares still run.
    sockets: Mutex<SmallVec<[Socket; 1]>>,
    closing: AtomicBool,
    /// Number of sockets whose middlewares still run, including abandoned ones.
    joining: AtomicUsize,
    /// Whether the connection is counted under the transport WebSocket.
    websocket: AtomicBool,
    /// Bytes that are held for events whose handlers are pending.
    backlog_bytes: AtomicUsize,
    /// Meter of the rate limits, if there are any.
    meter: Option<Box<Meter>>,
    /// Permit that counts the connection for its address, if connections per address are limited.
    permit: Mutex<Option<Box<ConnectionPermit>>>,
    /// Whether the connection was admitted beyond that limit.
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
    /// Feeds the decoder with a message, which may be part of a packet.
    fn assemble<T>(
        &self,
        conn: &Conn,
        read: impl FnOnce(&mut Decoder) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let Decoding::Json(decoder) = &mut *self.decoder.lock() else {
            return Ok(None);
        };
        let read = read(decoder);
        self.read(conn, decoder.missing() > 0);
        read
    }

    /// Records that a message has been read. If it left a packet incomplete, the time to complete it starts.
    fn read(&self, conn: &Conn, incomplete: bool) {
        // Before the client has joined a namespace the connect timeout applies.
        if self.begun.read(incomplete, self.io.epoch) && self.has_joined() {
            self.begun.watch();
            let at = deadline(clock::now(), self.io.limits.packet_timeout);
            conn.set_deadline(Some(at));
        }
    }

    fn has_joined(&self) -> bool {
        self.sockets.lock().iter().any(Socket::is_connected)
    }

    fn socket(&self, namespace: &str) -> Option<Socket> {
        let sockets = self.sockets.lock();
        sockets
            .iter()
            .find(|socket| &*socket.0.namespace.name == namespace)
            .cloned()
    }

    /// Replaces a socket by another; returns `false` if the old one has been removed.
    fn replace(&self, old: &Socket, new: &Socket) -> bool {
        let mut sockets = self.sockets.lock();
        let place = sockets.iter_mut().find(|socket| *socket == old);
        place.map(|place| *place = new.clone()).is_some()
    }

    /// Adds a socket to those of the client. It replaces a socket of the same namespace, which is returned; the limit
    /// is returned if it has been reached.
    fn add(&self, socket: &Socket) -> Result<Option<Socket>, usize> {
        let limit = self.io.limits.max_namespaces_per_client;
        let mut sockets = self.sockets.lock();
        let mut places = sockets.iter_mut();
        let place = places.find(|other| other.namespace_name() == socket.namespace_name());
        if let Some(place) = place {
            return Ok(Some(std::mem::replace(place, socket.clone())));
        }
        if sockets.len() >= limit {
            return Err(limit);
        }
        sockets.push(socket.clone());
        Ok(None)
    }

    pub(crate) fn remove(&self, socket: &Socket) {
        self.sockets.lock().retain(|other| other != socket);
    }

    /// Returns all remaining sockets; the client has none afterwards.
    fn take_sockets(&self) -> SmallVec<[Socket; 1]> {
        self.closing.store(true, Ordering::Release);
        std::mem::take(&mut *self.sockets.lock())
    }

    /// Removes every socket from its namespace and closes the connection (Node's `forced server close`).
    fn close(&self, conn: &Arc<Connection<Self>>) {
        for socket in self.take_sockets() {
            socket.disconnect_with(DisconnectReason::ForcedServerClose);
        }
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    }

    /// Counts an event whose handler is pending and holds this many bytes, until the guard is dropped. Once the sum
    /// exceeds the limit, reading from the client pauses until the sum has fallen to half of it.
    pub(crate) fn work(conn: &Conn, bytes: usize) -> HandlerBudget {
        let client = conn.state();
        let cost = bytes.saturating_add(Limits::EVENT_OVERHEAD);
        let held = client.backlog_bytes.fetch_add(cost, Ordering::AcqRel) + cost;
        if held > client.io.limits.max_handler_backlog_bytes {
            client.pause(conn, held);
        }
        HandlerBudget {
            conn: conn.clone(),
            cost,
        }
    }

    #[cold]
    fn pause(&self, conn: &Conn, held: usize) {
        let limit = self.io.limits.max_handler_backlog_bytes;
        tracing::debug!(
            target: log_target::CONNECTION,
            held,
            limit,
            "events come faster than they are handled: reading is paused"
        );
        conn.pause_reading();
        // Handlers that finished before the flag was set have not resumed reading. Adding zero orders this load after
        // their subtractions, or them after the flag.
        if self.backlog_bytes.fetch_add(0, Ordering::AcqRel) <= limit / 2 {
            self.resume(conn);
        }
    }

    fn resume(&self, conn: &Conn) {
        if conn.is_reading_paused() {
            self.begun.restart(self.io.epoch);
            conn.resume_reading();
        }
    }

    /// Disconnects the client from every namespace and tells it so, then closes the connection.
    pub(crate) fn disconnect_all(&self, conn: &Arc<Connection<Self>>) {
        let sockets: SmallVec<[Socket; 1]> = self.sockets.lock().clone();
        for socket in sockets {
            socket.leave_namespace();
        }
        self.close(conn);
    }

    /// Removes every socket when the server closes, without telling the client, so that it reconnects.
    pub(crate) fn shut_down(&self) {
        for socket in self.take_sockets() {
            socket.disconnect_with(DisconnectReason::ServerShuttingDown);
        }
    }
}

/// Budget held by an event whose handler is pending.
#[derive(Debug)]
pub(crate) struct HandlerBudget {
    conn: Conn,
    cost: usize,
}

impl Drop for HandlerBudget {
    fn drop(&mut self) {
        let client = self.conn.state();
        let before = client.backlog_bytes.fetch_sub(self.cost, Ordering::AcqRel);
        let mark = client.io.limits.max_handler_backlog_bytes / 2;
        if before > mark && before - self.cost <= mark {
            client.resume(&self.conn);
        }
    }
}
