//! Handle of a socket: its connection to the namespace.

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tokio::sync::oneshot;

use super::SocketOptions;
use super::dispatch::dispatch;
use super::table::Handlers;
use crate::ack::AckSource;
use crate::core::{AuthSource, Core, Shared};
use crate::error::{BuildError, StartError};
use crate::manager::Manager;
use crate::protocol::{AckKey, SocketId};
use crate::queue::{Bounds, queue};

/// Socket of one namespace of a server, which emits and receives events. Cheap to clone.
///
/// Dropping the last handle disconnects the socket, after flushing earlier emits. A program that ends right away should
/// await [`disconnect`](Self::disconnect).
///
/// A handler that needs the socket takes it as an argument (`async |socket: Socket| …`) and holds it only while it
/// runs. A handler that captures its own socket keeps it, and the connection, alive for ever: the socket holds its
/// handlers.
///
/// When the runtime in which the socket was built has ended, [`emit`](Self::emit) returns
/// [`EmitError::Closed`](crate::EmitError::Closed), streams end, and `disconnect` returns at once.
#[derive(Debug, Clone)]
#[must_use = "the socket is disconnected when its last handle is dropped"]
pub struct Socket {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) id: SocketId,
    namespace: String,
    pub(super) shared: Arc<Shared>,
    pub(super) handlers: Arc<Handlers>,
    dispatching: AtomicBool,
    pub(super) inbound: Bounds,
    manager: Manager,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
        self.manager.inner.core.with(|state, now| {
            state.manager.remove_socket(now, self.id);
            state.sockets.remove(&self.id);
        });
    }
}

impl AckSource for Inner {
    fn cancel(&self, key: AckKey) {
        self.manager.inner.core.with(|state, now| {
            if state.acks.remove(&key).is_some() {
                state.manager.cancel_ack(now, self.id, key);
            }
        });
    }
}

impl Socket {
    pub(crate) fn new(
        manager: &Manager,
        namespace: &str,
        options: SocketOptions,
    ) -> Result<Self, BuildError> {
        let auth = options.auth.map_err(BuildError::Auth)?;
        let namespace = if namespace.starts_with('/') {
            namespace.to_owned()
        } else {
            format!("/{namespace}")
        };
        let shared = Arc::new(Shared::new(auth));
        if manager.inner.core.look(|state| state.is_gone()) {
            return Err(BuildError::NoRuntime);
        }
        let id = manager.inner.core.with(|state, _| {
            let id = state.manager.add_socket(&namespace, options.config)?;
            state.sockets.insert(id, shared.clone());
            Some(id)
        });
        let id = id.ok_or_else(|| BuildError::NamespaceInUse(namespace.clone()))?;
        let inner = Inner {
            id,
            namespace,
            shared,
            handlers: Arc::new(options.handlers),
            dispatching: AtomicBool::new(false),
            inbound: options.inbound,
            manager: manager.clone(),
        };
        let socket = Self {
            inner: Arc::new(inner),
        };
        let weak = Arc::downgrade(&socket.inner);
        socket.inner.shared.on_sent(move |payload| {
            // Without a socket there are no listeners.
            if let Some(inner) = weak.upgrade() {
                inner.sent(payload);
            }
        });
        socket.update_outgoing();
        if !socket.inner.handlers.is_empty() {
            socket.start_dispatch();
        }
        Ok(socket)
    }

    pub(super) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.manager.inner.core
    }

    pub(crate) fn id_in_manager(&self) -> SocketId {
        self.inner.id
    }

    /// Connects and waits for the outcome.
    pub(crate) async fn start(&self, fail_fast: bool) -> Result<(), StartError> {
        // Created before the connection, so that no early outcome is missed.
        let outcome = self.inner.shared.wait(fail_fast);
        self.connect();
        self.outcome(outcome).await
    }

    async fn outcome(
        &self,
        outcome: oneshot::Receiver<Result<(), StartError>>,
    ) -> Result<(), StartError> {
        if self.core().look(|state| state.is_gone()) {
            return Err(StartError::Closed);
        }
        outcome.await.unwrap_or(Err(StartError::Closed))
    }

    pub(super) fn start_dispatch(&self) {
        if !self.inner.dispatching.swap(true, Ordering::AcqRel) {
            let (sender, receiver) = queue(self.inner.inbound);
            self.inner.shared.listen(sender, None);
            let (handlers, weak) = (self.inner.handlers.clone(), Arc::downgrade(&self.inner));
            self.core()
                .runtime
                .spawn(dispatch(receiver, handlers, weak));
        }
    }

    /// Connects; does nothing if the socket is connected or connecting. To be called after `build`, after a
    /// disconnection by either side, and after the server rejected the namespace.
    pub fn connect(&self) {
        self.inner.shared.retry();
        self.core()
            .with(|state, now| state.manager.connect(now, self.inner.id));
    }

    /// Disconnects. Earlier emits are flushed. The returned future need not be awaited; it ends when everything is
    /// written and, with the last socket of a connection, the connection is closed.
    pub fn disconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = self.core().clone();
        core.with(|state, now| state.manager.disconnect(now, self.inner.id));
        self.inner.shared.disconnected();
        async move { core.wait_until(|state| state.is_flushed()).await }
    }

    /// Waits until the socket is connected.
    ///
    /// # Errors
    ///
    /// [`StartError::Connect`] if it will not connect without a call of `connect` (any more), [`StartError::Closed`] if
    /// it was disconnected.
    pub async fn connected_or_failed(&self) -> Result<(), StartError> {
        self.outcome(self.inner.shared.wait(false)).await
    }

    /// Whether the socket has joined its namespace.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.core()
            .look(|state| !state.is_gone() && state.manager.is_connected(self.inner.id))
    }

    /// Whether the socket is connected or will connect without a call of `connect`.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.core()
            .look(|state| !state.is_gone() && state.manager.is_active(self.inner.id))
    }

    /// Returns the socket's id while it is connected. It changes with each connection that is not recovered.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        self.core()
            .look(|state| state.manager.socket_id(self.inner.id))
    }

    /// Whether the last connection restored the previous session, so that no event was missed.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.core()
            .look(|state| state.manager.is_recovered(self.inner.id))
    }

    /// Returns the name of the namespace.
    #[must_use]
    pub fn namespace_name(&self) -> &str {
        &self.inner.namespace
    }

    /// Returns the connection.
    pub fn manager(&self) -> &Manager {
        &self.inner.manager
    }

    /// Sets the `auth` payload of the next connect.
    ///
    /// # Errors
    ///
    /// [`BuildError::Auth`] if it does not serialize as a JSON object.
    pub fn set_auth(&self, auth: impl Serialize) -> Result<(), BuildError> {
        *self.inner.shared.auth.lock() = AuthSource::value(&auth).map_err(BuildError::Auth)?;
        Ok(())
    }

    /// Sets a callback that returns the `auth` payload at each connect from now on.
    pub fn set_auth_with<F, Fut, T, E>(&self, callback: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        *self.inner.shared.auth.lock() = AuthSource::callback(callback);
    }
}

/// Clones of a socket are equal.
impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Socket {}

impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.inner).hash(state);
    }
}
