//! A client in a namespace.

mod emitter;
mod extensions;
mod life;
mod listeners;
mod membership;
mod outgoing;
mod receive;
mod send;

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_engine::{Connection, Protocol};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use emitter::How;
pub use emitter::SocketEmitter;
pub use extensions::Extensions;
pub use listeners::ListenerId;
use listeners::Listeners;
pub use outgoing::OutgoingEvent;
pub(crate) use outgoing::OutgoingHandler;

use crate::ack::PendingAcks;
use crate::client::Client;
use crate::conn::Conn;
use crate::extract::Handshake;
use crate::handler::Reports;
use crate::id::SocketId;
use crate::io::{IoInner, SocketIo};
use crate::namespace::{NamespaceHandle, NamespaceInner};
use crate::reason::DisconnectReason;
use crate::recovery::{Part, RecoveryOutcome};

/// A client that is connected to a namespace. Cheap to clone; clones are the same socket.
///
/// Holding one after the disconnection is harmless: [`connected`](Self::connected) is false and sending fails with
/// [`EmitError::Disconnected`](crate::EmitError::Disconnected).
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

pub(crate) struct SocketInner {
    pub(crate) id: SocketId,
    pub(crate) namespace: Arc<NamespaceInner>,
    pub(crate) connection: Arc<Connection<Client>>,
    /// The client's `auth` value as JSON, if it sent one.
    auth: Option<Box<str>>,
    /// Where the socket sits in the rooms of its namespace; only meaningful while it is there.
    seat: AtomicU32,
    phase: AtomicU8,
    /// What most sockets never need.
    extra: OnceLock<Box<Extra>>,
}

#[derive(Default)]
struct Extra {
    acks: PendingAcks,
    data: Mutex<Value>,
    extensions: OnceLock<Arc<Extensions>>,
    /// Boxed, because it is rare.
    listeners: OnceLock<Box<Listeners>>,
    outgoing: Mutex<Vec<(ListenerId, OutgoingHandler)>>,
    /// Rooms joined in a middleware, before there is a seat.
    early_rooms: Mutex<Vec<String>>,
    /// Only where recovery is on.
    recovery: OnceLock<Box<Mutex<Part>>>,
}

/// `phase`: middlewares are running.
const CONNECTING: u8 = 0;
/// `phase`: the client was told that it is connected.
const CONNECTED: u8 = 1;
/// `phase`: its `disconnecting` handlers run; the rooms are still there.
const LEAVING: u8 = 2;
/// `phase`: gone, for whatever reason.
const DISCONNECTED: u8 = 3;

/// Whether a socket in this phase is in the index of its namespace.
const fn is_seated(phase: u8) -> bool {
    matches!(phase, CONNECTED | LEAVING)
}

impl Socket {
    pub(crate) fn new(
        namespace: Arc<NamespaceInner>,
        connection: Arc<Connection<Client>>,
        auth: Option<Box<str>>,
        part: Option<Part>,
    ) -> Self {
        let extra = OnceLock::new();
        let mut id = None;
        if let Some(session) = part.as_ref().and_then(Part::claimed) {
            id = Some(session.id.clone());
            let restored = Extra::default();
            *restored.data.lock() = session.data.clone();
            if let Some(extensions) = &session.extensions {
                let _ = restored.extensions.set(extensions.clone());
            }
            *restored.early_rooms.lock() = session.rooms().map(str::to_owned).collect();
            let _ = extra.set(Box::new(restored));
        }
        if let Some(part) = part {
            let extra = extra.get_or_init(Box::<Extra>::default);
            let _ = extra.recovery.set(Box::new(Mutex::new(part)));
        }
        Self(Arc::new(SocketInner {
            id: id.unwrap_or_else(|| match connection.protocol() {
                Protocol::V3 => SocketId::derived(&namespace.name, connection.sid()),
                Protocol::V4 => SocketId::random(),
            }),
            namespace,
            connection,
            auth,
            seat: AtomicU32::new(0),
            phase: AtomicU8::new(CONNECTING),
            extra,
        }))
    }

    /// The public id, new with every connection that is not recovered.
    pub fn id(&self) -> SocketId {
        self.0.id.clone()
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.0.namespace.name
    }

    /// The namespace.
    pub fn nsp(&self) -> NamespaceHandle {
        NamespaceHandle(self.0.namespace.clone())
    }

    /// The server.
    pub fn io(&self) -> SocketIo {
        SocketIo::from_inner(self.io_inner())
    }

    pub(crate) fn io_inner(&self) -> Arc<IoInner> {
        self.0.connection.state().io.clone()
    }

    pub(crate) fn reports(&self) -> &Reports {
        &self.0.namespace.behaviour.reports
    }

    pub(crate) fn connection(&self) -> &Arc<Connection<Client>> {
        &self.0.connection
    }

    /// Whether the socket is connected (middlewares have passed, and it has not been disconnected).
    pub fn connected(&self) -> bool {
        is_seated(self.0.phase.load(Ordering::Acquire))
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.0.phase.load(Ordering::Acquire) == CONNECTING
    }

    /// The first request and the client's `auth`.
    pub fn handshake(&self) -> Handshake {
        Handshake::new(self.clone())
    }

    pub(crate) fn auth_json(&self) -> &str {
        self.0.auth.as_deref().unwrap_or("null")
    }

    /// The connection below: its transport, its first request, what waits to be written.
    pub fn conn(&self) -> Conn {
        Conn(self.0.connection.clone())
    }

    /// What carries the connection at the moment: `polling` or `websocket`.
    pub fn transport(&self) -> &'static str {
        self.0.connection.transport().name()
    }

    /// The version of Engine.IO that the client speaks (Node's `conn.protocol`): [`Protocol::V3`] are clients of
    /// Socket.IO v2, see [`allow_eio3`](crate::SocketIoBuilder::allow_eio3).
    pub fn protocol(&self) -> Protocol {
        self.0.connection.protocol()
    }

    fn extra(&self) -> &Extra {
        self.0.extra.get_or_init(Box::default)
    }

    /// Data of the application, visible to all servers of a cluster (Node's `socket.data`): `Null` until
    /// [`set_data`](Self::set_data).
    ///
    /// # Errors
    /// If the data does not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let data = self
            .0
            .extra
            .get()
            .map_or(Value::Null, |extra| extra.data.lock().clone());
        serde_json::from_value(data)
    }

    /// Replaces the data.
    ///
    /// # Errors
    /// If the value cannot be represented in JSON.
    pub fn set_data(&self, data: &impl Serialize) -> Result<(), serde_json::Error> {
        *self.extra().data.lock() = serde_json::to_value(data)?;
        Ok(())
    }

    /// Values of any type that belong to this socket on this server, one of each type.
    pub fn extensions(&self) -> &Extensions {
        self.extra().extensions.get_or_init(Arc::default)
    }

    // ---- recovery ----

    fn part(&self) -> Option<&Mutex<Part>> {
        self.0.extra.get()?.recovery.get().map(|part| &**part)
    }

    /// Whether the client is back from a lost connection with its id, rooms and data, see
    /// [`ConnectionStateRecovery`](crate::ConnectionStateRecovery). What it missed has been sent when the connect
    /// handlers run.
    pub fn recovered(&self) -> bool {
        matches!(self.recovery(), RecoveryOutcome::Recovered { .. })
    }

    /// What became of the recovery, and why if it failed.
    ///
    /// ```
    /// use fanfare::{Namespace, RecoveryOutcome, Socket};
    ///
    /// let ns = Namespace::new("/").on_connect(async |socket: Socket| {
    ///     if let RecoveryOutcome::Failed(why) = socket.recovery() {
    ///         println!("{} has to load everything anew: {why}", socket.id());
    ///     }
    /// });
    /// ```
    pub fn recovery(&self) -> RecoveryOutcome {
        self.part()
            .map_or(RecoveryOutcome::NotAttempted, |part| part.lock().outcome())
    }

    /// Why the socket is leaving, if recovery is on and its `disconnecting` handlers run.
    pub(crate) fn leaving(&self) -> Option<DisconnectReason> {
        self.part()?.lock().leaving()
    }

    /// What is kept of the application's state for a session.
    pub(crate) fn state(&self) -> (Value, Option<Arc<Extensions>>) {
        let extra = self.extra();
        (extra.data.lock().clone(), extra.extensions.get().cloned())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("namespace", &self.0.namespace.name)
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}
