//! Emitter: sends events without a server.

use std::sync::Arc;

use fanfare_cluster::{AdapterError, BoxFuture, ClusterMessage, EmitterTransport, PublishOutcome};

use crate::error::ConfigError;
use crate::node::Node;
use crate::task;

/// Sends the messages of an emitter.
pub(crate) struct PostgresEmitter(Arc<Node>);

impl PostgresEmitter {
    pub(crate) fn start(node: Arc<Node>) -> Result<Self, ConfigError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        if let Some(reader) = node.take_reader() {
            runtime.spawn(task::run(node.clone(), reader));
        }
        Ok(Self(node))
    }
}

impl EmitterTransport for PostgresEmitter {
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        self.0.send(namespace, &message.into())
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(self.0.flush())
    }
}

impl Drop for PostgresEmitter {
    fn drop(&mut self) {
        self.0.stop();
    }
}
