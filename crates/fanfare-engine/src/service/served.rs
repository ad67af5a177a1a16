//! Engines that are served without layers around them.

use std::fmt;
use std::sync::Arc;

use super::EngineService;
use crate::engine::Engine;
use crate::handler::Handler;
use crate::http_server::{OpenSessions, Served};

impl<H: Handler> Engine<H> {
    /// Returns the tower service that answers requests.
    pub fn service(self: &Arc<Self>) -> EngineService<H> {
        EngineService::new(self.clone())
    }
}

impl OpenSessions {
    /// Returns the open sessions of an engine.
    pub fn of<H: Handler>(engine: &Arc<Engine<H>>) -> Self {
        Self::new(Arc::new(engine.service()))
    }
}

/// An engine that is served without layers around it, so that it answers the requests of its open sessions at once
/// ([`Served::sessions`]). Never closes by itself.
///
/// ```no_run
/// use fanfare_engine::serve::EngineServer;
/// use fanfare_engine::{Engine, Handler};
///
/// # async fn f<H: Handler>(engine: std::sync::Arc<Engine<H>>) -> std::io::Result<()> {
/// fanfare_engine::serve(EngineServer::new(engine)).bind("127.0.0.1:3000").await
/// # }
/// ```
pub struct EngineServer<H: Handler>(Arc<Engine<H>>);

impl<H: Handler> EngineServer<H> {
    /// Returns the server of an engine.
    pub fn new(engine: Arc<Engine<H>>) -> Self {
        Self(engine)
    }
}

impl<H: Handler> Clone for EngineServer<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Handler> fmt::Debug for EngineServer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineServer").finish_non_exhaustive()
    }
}

impl<H: Handler> Served for EngineServer<H> {
    type Service = EngineService<H>;

    fn service(&self) -> EngineService<H> {
        self.0.service()
    }

    fn sessions(&self) -> Option<OpenSessions> {
        Some(OpenSessions::of(&self.0))
    }
}
