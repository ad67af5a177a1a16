//! State of one socket on the side of the state machine: its listeners and its status.

use std::fmt;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::AuthSource;
use crate::error::{ConnectError, StartError};
use crate::event::SocketEvent;
use crate::protocol::Payload;
use crate::queue::Sender;

/// Function that is called with each event that was sent.
type OnSent = Box<dyn Fn(&Payload) + Send + Sync>;

/// Connection status of a socket, for callers that wait for it.
#[derive(Debug)]
enum Status {
    /// Not connected, and no failure is known.
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

impl Status {
    /// Returns the outcome for callers that wait for the connection; `None` while they must keep waiting.
    fn outcome(&self, fail_fast: bool) -> Option<Result<(), StartError>> {
        match self {
            Self::Connected => Some(Ok(())),
            Self::Failed { error, active } if fail_fast || !active => {
                Some(Err(error.clone().into()))
            }
            Self::Disconnected { active: false } => Some(Err(StartError::Closed)),
            _ => None,
        }
    }
}

/// Status of a socket, and the callers that wait for it. Each of them gets the first outcome: a connection counts even
/// if the server disconnects the socket at once.
#[derive(Debug)]
struct Progress {
    status: Status,
    waiters: Vec<(bool, oneshot::Sender<Result<(), StartError>>)>,
}

impl Progress {
    fn set(&mut self, status: Status) {
        self.status = status;
        let waiters = std::mem::take(&mut self.waiters);
        for (fail_fast, waiter) in waiters {
            if waiter.is_closed() {
                continue;
            }
            match self.status.outcome(fail_fast) {
                // The waiter may have been dropped.
                Some(outcome) => drop(waiter.send(outcome)),
                None => self.waiters.push((fail_fast, waiter)),
            }
        }
    }
}

/// Recipient of a socket's events.
#[derive(Debug)]
struct Listener {
    sender: Sender<SocketEvent>,
    /// Name of the only event to deliver, if set.
    only: Option<String>,
}

impl Listener {
    /// Delivers an event; returns `false` when the receiver is gone.
    fn push(&self, event: &SocketEvent) -> bool {
        let wanted = match (&self.only, event) {
            (None, _) => true,
            (Some(name), SocketEvent::Event(event)) => event.name() == name,
            (Some(_), _) => false,
        };
        if wanted {
            self.sender.push(event.clone())
        } else {
            !self.sender.is_closed()
        }
    }
}

/// State of one socket, shared with the driver.
pub(crate) struct Shared {
    pub(crate) auth: Mutex<AuthSource>,
    progress: Mutex<Progress>,
    /// Recipients of events; `None` when no more events follow.
    listeners: Mutex<Option<Vec<Listener>>>,
    on_sent: OnceLock<OnSent>,
}

impl Shared {
    pub(crate) fn new(auth: AuthSource) -> Self {
        Self {
            auth: Mutex::new(auth),
            progress: Mutex::new(Progress {
                status: Status::Pending,
                waiters: Vec::new(),
            }),
            listeners: Mutex::new(Some(Vec::new())),
            on_sent: OnceLock::new(),
        }
    }

    /// Sets the function that is called with each event that was sent, once.
    pub(crate) fn on_sent(&self, call: impl Fn(&Payload) + Send + Sync + 'static) {
        // The socket does this when it is created.
        let _ = self.on_sent.set(Box::new(call));
    }

    /// Reports an event that was sent.
    pub(super) fn sent(&self, payload: &Payload) {
        if let Some(call) = self.on_sent.get() {
            call(payload);
        }
    }

    /// Delivers events from now on: all, or those of one name.
    pub(crate) fn listen(&self, sender: Sender<SocketEvent>, only: Option<String>) {
        if let Some(listeners) = &mut *self.listeners.lock() {
            listeners.retain(|listener| !listener.sender.is_closed());
            listeners.push(Listener { sender, only });
        }
    }

    /// Returns the outcome of the current connection attempt, or of the last one.
    pub(crate) fn wait(&self, fail_fast: bool) -> oneshot::Receiver<Result<(), StartError>> {
        let (tx, rx) = oneshot::channel();
        let mut progress = self.progress.lock();
        match progress.status.outcome(fail_fast) {
            Some(outcome) => drop(tx.send(outcome)),
            None => progress.waiters.push((fail_fast, tx)),
        }
        rx
    }

    pub(crate) fn push(&self, event: &SocketEvent, active: bool) {
        let status = match event {
            SocketEvent::Connect { .. } => Some(Status::Connected),
            SocketEvent::ConnectError(error) => Some(Status::Failed {
                error: error.clone(),
                active,
            }),
            SocketEvent::Disconnect { .. } => Some(Status::Disconnected { active }),
            _ => None,
        };
        if let Some(status) = status {
            self.progress.lock().set(status);
        }
        if let Some(listeners) = &mut *self.listeners.lock() {
            listeners.retain(|listener| listener.push(event));
        }
    }

    fn update(&self, change: impl FnOnce(&Status) -> Option<Status>) {
        let mut progress = self.progress.lock();
        if let Some(status) = change(&progress.status) {
            progress.set(status);
        }
    }

    /// Records that no further attempt follows.
    pub(crate) fn mark_reconnect_failed(&self) {
        self.update(|status| match status {
            Status::Failed { error, .. } => Some(Status::Failed {
                error: error.clone(),
                active: false,
            }),
            Status::Disconnected { .. } => Some(Status::Disconnected { active: false }),
            Status::Pending | Status::Connected => None,
        });
    }

    /// Clears earlier failures, because `connect` was called.
    pub(crate) fn retry(&self) {
        self.update(|status| {
            let ended = matches!(
                status,
                Status::Failed { active: false, .. } | Status::Disconnected { active: false }
            );
            ended.then_some(Status::Pending)
        });
    }

    /// Notifies waiters of a call of `disconnect`: if the socket was never connected, no other event does.
    pub(crate) fn disconnected(&self) {
        self.update(|status| {
            let waiting = matches!(
                status,
                Status::Pending | Status::Failed { active: true, .. }
            );
            waiting.then_some(Status::Disconnected { active: false })
        });
    }

    /// Ends all event streams.
    pub(crate) fn close(&self) {
        let listeners = self.listeners.lock().take();
        drop(listeners);
        self.progress
            .lock()
            .set(Status::Disconnected { active: false });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
