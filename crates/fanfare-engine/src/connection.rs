//! One connection: its state, its outbox, and how it is closed.

use std::sync::Arc;
use std::time::Instant;

use crate::CloseReason;

use crate::{CloseMode, Handshake, Prepared, PreparedBuf, Protocol, SendError, Transport};

/// One connection of an [`Engine`](crate::Engine), over whatever transport.
pub struct Connection<S> {
    handshake: Handshake,
    state: S,
}

#[allow(missing_docs, unused_variables, reason = "skeleton")]
impl<S: Send + Sync + 'static> Connection<S> {
    /// What the layer above keeps for this connection.
    #[inline]
    pub fn state(&self) -> &S {
        &self.state
    }
    /// What is known of the first request.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }
    /// The session id: a secret of this client. Never show it to others.
    pub fn sid(&self) -> &str {
        ""
    }
    pub fn protocol(&self) -> Protocol {
        Protocol::V4
    }
    pub fn transport(&self) -> Transport {
        Transport::Polling
    }
    pub fn is_open(&self) -> bool {
        false
    }
    pub fn send(self: &Arc<Self>, message: &Prepared) -> Result<(), SendError> {
        Err(SendError::Closed)
    }
    pub fn send_with(
        self: &Arc<Self>,
        encode: impl FnOnce(&mut PreparedBuf),
    ) -> Result<(), SendError> {
        Err(SendError::Closed)
    }
    pub fn send_volatile(self: &Arc<Self>, message: &Prepared) -> Result<bool, SendError> {
        Err(SendError::Closed)
    }
    pub fn close(self: &Arc<Self>, mode: CloseMode, reason: CloseReason) {}
    pub fn pending_bytes(&self) -> usize {
        0
    }
    pub async fn ready(&self) -> Result<(), SendError> {
        Err(SendError::Closed)
    }
    pub fn set_deadline(self: &Arc<Self>, deadline: Option<Instant>) {}
}

impl<S> std::fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
