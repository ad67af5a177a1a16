//! The public face of a connection.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::core::Core;
use crate::options::{ManagerBuilder, SocketBuilder};
use crate::protocol::{ManagerEvent, Transport};

/// Most events of the connection that wait for a slow observer; more are dropped.
const MAX_EVENTS: usize = 1024;

/// One connection that several namespaces share. Cheap to clone.
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
pub struct Manager {
    pub(crate) inner: Arc<Guard>,
}

/// Shuts the connection down with the last handle.
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

    /// Collects the options of a connection to `url`.
    pub fn builder(url: impl AsRef<str>) -> ManagerBuilder {
        ManagerBuilder::new(url.as_ref())
    }

    /// A socket for a namespace over this connection.
    pub fn socket(&self, namespace: impl Into<String>) -> SocketBuilder {
        SocketBuilder {
            parent: self.clone(),
            namespace: namespace.into(),
            socket: Default::default(),
        }
    }

    /// The transport of the open connection; `None` if there is none.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.inner.core.look(|state| state.manager.transport())
    }

    /// The Engine.IO session id of the open connection. It is a secret, unlike a socket's id.
    #[must_use]
    pub fn session_id(&self) -> Option<Arc<str>> {
        self.inner.core.look(|state| state.manager.session_id())
    }

    /// Bytes that wait for the network.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.inner.core.look(|state| state.manager.pending_bytes())
    }

    /// What happens to the connection from now on: opened, upgraded, closed, reconnecting, …
    #[must_use]
    pub fn events(&self) -> ManagerEvents {
        let (tx, rx) = mpsc::channel(MAX_EVENTS);
        self.inner.core.with(|state, _| state.observers.push(tx));
        ManagerEvents { rx }
    }

    /// Disconnects all sockets, and waits until everything is flushed and closed.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = self.inner.core.clone();
        core.with(|state, now| state.manager.close(now));
        async move { core.wait_until(|state| state.is_flushed()).await }
    }
}

/// Events of a connection: see [`Manager::events`].
#[derive(Debug)]
pub struct ManagerEvents {
    rx: mpsc::Receiver<ManagerEvent>,
}

impl ManagerEvents {
    /// The next one; `None` when the manager is gone. Cancellation-safe.
    pub async fn next(&mut self) -> Option<ManagerEvent> {
        self.rx.recv().await
    }
}

impl futures_core::Stream for ManagerEvents {
    type Item = ManagerEvent;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<ManagerEvent>> {
        self.rx.poll_recv(cx)
    }
}
