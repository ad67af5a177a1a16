//! State of one manager, behind its lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{SentEvents, Shared};
use crate::ack::AckResult;
use crate::io::polling::SharedPolling;
use crate::io::websocket::Command;
use crate::protocol::{
    AckKey, ConnectionId, EmitError, EmitOptions, Manager, ManagerEvent, Payload, SocketId,
};
use crate::queue::Sender;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) manager: Manager,
    pub(crate) acks: HashMap<AckKey, oneshot::Sender<AckResult>>,
    pub(crate) sockets: HashMap<SocketId, Arc<Shared>>,
    pub(super) observers: Vec<Sender<ManagerEvent>>,
    pub(super) connections: HashMap<ConnectionId, Connection>,
    pub(super) sent: SentEvents,
    /// Time at which the timer task will wake.
    pub(super) armed: Option<Instant>,
    /// Whether all handles were dropped.
    pub(super) shutdown: bool,
    /// Whether the runtime has ended, or everything is closed, so that no more events follow.
    pub(super) gone: bool,
}

/// I/O resources of one connection of the state machine.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) polling: SharedPolling,
    pub(super) get: Option<AbortHandle>,
    pub(super) post: Option<AbortHandle>,
    pub(super) websocket: Option<(mpsc::UnboundedSender<Command>, AbortHandle)>,
    /// WebSockets that finish their closing handshake.
    pub(super) closing: Vec<AbortHandle>,
}

impl State {
    pub(super) fn new(manager: Manager) -> Self {
        Self {
            manager,
            acks: HashMap::new(),
            sockets: HashMap::new(),
            observers: Vec::new(),
            connections: HashMap::new(),
            sent: SentEvents::default(),
            armed: None,
            shutdown: false,
            gone: false,
        }
    }

    /// Whether no more events follow.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(crate) fn observe(&mut self, observer: Sender<ManagerEvent>) {
        if !self.gone {
            self.observers.push(observer);
        }
    }

    pub(crate) fn emit(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: Payload,
        options: EmitOptions,
    ) -> Result<Option<AckKey>, EmitError> {
        if self.gone {
            return Err(EmitError::Closed);
        }
        let (_, key) = self.manager.emit(now, id, payload, options)?;
        Ok(key)
    }

    /// Whether all packets are sent and all closing connections are closed.
    pub(crate) fn is_flushed(&self) -> bool {
        self.gone
            || self.manager.is_flushed() && (!self.manager.is_idle() || self.connections.is_empty())
    }
}
