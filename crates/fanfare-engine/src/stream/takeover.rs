//! Connections that leave HTTP for another protocol.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Raw;

/// A connection that has left HTTP.
pub(crate) struct Taken {
    pub(crate) stream: Raw,
    /// Bytes that arrived right behind the request.
    pub(crate) early: Bytes,
    /// Response 101, which is still to be written.
    pub(crate) head: Vec<u8>,
}

pub(crate) type TakeOver = Box<dyn FnOnce(Taken) + Send>;

/// Slot in the extensions of a request for another protocol: takes over the connection after the response 101.
#[derive(Clone, Default)]
pub(crate) struct Takeover(Arc<Mutex<Option<TakeOver>>>);

impl Takeover {
    pub(crate) fn set(&self, take_over: impl FnOnce(Taken) + Send + 'static) {
        *self.0.lock() = Some(Box::new(take_over));
    }

    pub(crate) fn take(&self) -> Option<TakeOver> {
        self.0.lock().take()
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// Guard in the extensions of a request for a WebSocket, kept with it so that the connection below does not count as
/// waiting for a request.
#[derive(Clone)]
pub(crate) struct KeepBusy {
    _guard: Arc<dyn Send + Sync>,
}

impl KeepBusy {
    /// Keeps the connection busy until the last clone is dropped, and `guard` with it.
    pub(crate) fn new(guard: impl Send + Sync + 'static) -> KeepBusy {
        KeepBusy {
            _guard: Arc::new(guard),
        }
    }
}
