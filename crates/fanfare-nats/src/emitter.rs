//! Emitter: sends events without a server.

use std::sync::Arc;

use fanfare_cluster::{
    AdapterError, BoxFuture, ClusterMessage, EMITTER_ID, EmitterTransport, PublishOutcome,
};

use crate::config::Nats;
use crate::connection::{Connection, Handler};
use crate::error::ConfigError;
use crate::protocol::Incoming;
use crate::publisher::Publisher;

/// Sends the messages of an emitter.
pub(crate) struct NatsEmitter {
    publisher: Publisher,
    /// Whether the nodes have a log.
    logged: bool,
}

/// Handler that ignores all messages.
struct Deaf;

impl Handler for Deaf {
    fn connected(&self) {}
    fn disconnected(&self) {}
    fn gave_up(&self) {}
    fn message(&self, _: Incoming) {}
}

impl NatsEmitter {
    pub(crate) fn start(options: Nats) -> Result<Self, ConfigError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let (connection, driver) = Connection::new(options.connection);
        runtime.spawn(driver.run(Arc::new(Deaf)));
        Ok(Self {
            publisher: Publisher::new(connection, &options.prefix, EMITTER_ID),
            logged: options.jetstream.is_some(),
        })
    }
}

impl EmitterTransport for NatsEmitter {
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        match self.logged && matches!(message, ClusterMessage::Broadcast(_)) {
            true => self.publisher.publish_logged(namespace, message),
            false => self.publisher.publish(namespace, message),
        }
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(self.publisher.connection().flush())
    }
}

impl Drop for NatsEmitter {
    fn drop(&mut self) {
        self.publisher.connection().stop();
    }
}
