//! Options of one socket.

use super::table::Handlers;
use crate::core::AuthSource;
use crate::protocol::SocketConfig;
use crate::queue::Bounds;

/// Options of a socket.
#[derive(Debug)]
pub(crate) struct SocketOptions {
    pub(crate) config: SocketConfig,
    pub(crate) auth: Result<AuthSource, String>,
    pub(crate) handlers: Handlers,
    pub(crate) inbound: Bounds,
    pub(crate) fail_fast: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            config: SocketConfig::default(),
            auth: Ok(AuthSource::None),
            handlers: Handlers::default(),
            inbound: Bounds {
                count: 16_384,
                bytes: 64 << 20,
            },
            fail_fast: false,
        }
    }
}
