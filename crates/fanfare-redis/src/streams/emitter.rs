//! The emitter of streams, that of Node's `@socket.io/redis-streams-emitter`.

use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{
    AdapterError, BoxFuture, ClusterMessage, EMITTER_ID, EmitterTransport, PublishOutcome,
};

use super::{StreamOptions, Streams, entry};
use crate::link::Link;
use crate::server::ConfigError;

/// Sends the messages of an emitter: all of them are entries of the stream.
pub(super) struct StreamsEmitter {
    stream: StreamOptions,
    link: Link,
}

impl StreamsEmitter {
    pub(super) fn start(options: Streams) -> Result<Self, ConfigError> {
        let link = Link::start(&options.server, &options.link, Box::new(Vec::clear))?;
        Ok(Self {
            stream: options.stream,
            link,
        })
    }
}

impl EmitterTransport for StreamsEmitter {
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let message = AdapterMessage::from(message);
        let (command, bytes) = entry::append(&self.stream, EMITTER_ID, namespace, &message);
        self.link.send(command, bytes)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(self.link.flush())
    }
}
