//! What the state machine's side knows of one socket: its listeners and its status.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::error::ConnectError;
use crate::event::SocketEvent;
use crate::queue::Sender;
use crate::socket::{Inner, Socket};

pub(crate) type AuthFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where the `auth` payload comes from: JSON text.
#[derive(Clone, Default)]
pub(crate) enum AuthSource {
    #[default]
    None,
    Value(String),
    Callback(Arc<dyn Fn() -> AuthFuture + Send + Sync>),
}

impl std::fmt::Debug for AuthSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value is a secret.
        f.write_str(match self {
            Self::None => "None",
            Self::Value(_) => "Value(..)",
            Self::Callback(_) => "Callback(..)",
        })
    }
}

/// Where a socket stands, for those who wait for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Status {
    /// Not connected, and nothing is known to have failed.
    Pending,
    Connected,
    /// The last attempt failed; `active` if another one follows.
    Failed {
        error: ConnectError,
        active: bool,
    },
    Disconnected {
        active: bool,
    },
}

/// One socket as seen from below.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) auth: Mutex<AuthSource>,
    pub(crate) status: watch::Sender<Status>,
    listeners: Mutex<Vec<Sender>>,
    /// The socket, for those of its listeners that are called from here.
    pub(crate) owner: OnceLock<Weak<Inner>>,
}

impl Shared {
    pub(crate) fn new(auth: AuthSource) -> Self {
        Self {
            auth: Mutex::new(auth),
            status: watch::Sender::new(Status::Pending),
            listeners: Mutex::default(),
            owner: OnceLock::new(),
        }
    }

    /// The socket, as long as somebody has it.
    pub(crate) fn owner(&self) -> Option<Socket> {
        self.owner.get()?.upgrade().map(Socket::from_inner)
    }

    pub(crate) fn listen(&self, sender: Sender) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| !listener.is_closed());
        listeners.push(sender);
    }

    pub(crate) fn push(&self, event: &SocketEvent, active: bool) {
        match event {
            SocketEvent::Connect { .. } => {
                self.status.send_replace(Status::Connected);
            }
            SocketEvent::ConnectError(error) => {
                self.status.send_replace(Status::Failed {
                    error: error.clone(),
                    active,
                });
            }
            SocketEvent::Disconnect { .. } => {
                self.status.send_replace(Status::Disconnected { active });
            }
            _ => {}
        }
        self.listeners
            .lock()
            .retain(|listener| listener.push(event.clone()));
    }

    /// There will be no further attempt.
    pub(crate) fn gave_up(&self) {
        self.status.send_modify(|status| match status {
            Status::Failed { active, .. } | Status::Disconnected { active } => *active = false,
            Status::Pending | Status::Connected => {}
        });
    }

    /// `connect` was called: what failed before does not count any more.
    pub(crate) fn retry(&self) {
        self.status.send_modify(|status| {
            if matches!(
                status,
                Status::Failed { active: false, .. } | Status::Disconnected { active: false }
            ) {
                *status = Status::Pending;
            }
        });
    }

    /// No more events.
    pub(crate) fn close(&self) {
        self.listeners.lock().clear();
    }
}
