//! Public API of a connection.

use std::sync::Arc;

use crate::Transport;
use crate::core::Core;
use crate::event::ManagerEvents;
use crate::queue::{Bounds, queue};

/// Maximum number of queued pings and packets for a slow observer, and of their bytes.
const MAX_QUEUED_EVENTS: Bounds = Bounds {
    count: 1024,
    bytes: 1 << 20,
};

/// Connection that several namespaces share. Cheap to clone.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = fanfare_client::Manager::builder("http://localhost:3000").build()?;
/// let chat = manager.socket("/chat").await?;
/// let admin = manager.socket("/admin").auth(serde_json::json!({ "token": "…" })).await?;
/// # Ok(())
/// # }
/// ```
///
/// The connection is opened by the first socket that connects and closed with the last one that disconnects. Dropping
/// the last handle (managers and sockets) disconnects everything, after flushing.
#[derive(Debug, Clone)]
#[must_use = "the connection closes with its last handle"]
pub struct Manager {
    pub(crate) inner: Arc<Guard>,
}

/// Guard that shuts the connection down with the last handle.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) core: Arc<Core>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.core.shut_down();
    }
}

impl Manager {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            inner: Arc::new(Guard { core }),
        }
    }

    /// Returns the transport of the open connection; `None` if there is none.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.inner.core.look(|state| state.manager.transport())
    }

    /// Returns the Engine.IO session id of the open connection. It is a secret, unlike a socket's id.
    #[must_use]
    pub fn session_id(&self) -> Option<Arc<str>> {
        self.inner.core.look(|state| state.manager.session_id())
    }

    /// Number of bytes in the write buffer.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.inner.core.look(|state| state.manager.pending_bytes())
    }

    /// Returns a stream of the connection's events from now on: opened, upgraded, closed, reconnecting and others.
    ///
    /// For a slow observer, the queue keeps 1024 pings and packets, and the newest 1024 events of other kinds;
    /// [`ManagerEvent::Lagged`](crate::event::ManagerEvent::Lagged) takes the place of dropped events.
    pub fn events(&self) -> ManagerEvents {
        let (sender, receiver) = queue(MAX_QUEUED_EVENTS);
        self.inner.core.with(|state, _| state.observe(sender));
        ManagerEvents { receiver }
    }

    /// Disconnects all sockets, and waits until everything is flushed and closed.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = self.inner.core.clone();
        core.with(|state, now| state.manager.close(now));
        async move { core.wait_until(|state| state.is_flushed()).await }
    }
}
