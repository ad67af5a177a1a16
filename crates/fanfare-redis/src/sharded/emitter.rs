//! The emitter of sharded publish and subscribe.

use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{
    AdapterError, BoxFuture, ClusterMessage, EMITTER_ID, EmitterTransport, PublishOutcome,
};

use super::{Channels, Sharded};
use crate::link::{ChannelKind, Link};
use crate::server::ConfigError;

/// Sends the messages of an emitter.
pub(super) struct ShardedEmitter {
    prefix: String,
    channels: Channels,
    link: Link,
}

impl ShardedEmitter {
    pub(super) fn start(options: Sharded) -> Result<Self, ConfigError> {
        let link = Link::start(&options.server, &options.link, Box::new(Vec::clear))?;
        Ok(Self {
            prefix: options.prefix,
            channels: Channels::new(options.mode),
            link,
        })
    }
}

impl EmitterTransport for ShardedEmitter {
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let channel = format!("{}#{namespace}#", self.prefix);
        let channel = self.channels.of(&channel, &message);
        let encoded = AdapterMessage::from(message).encode(EMITTER_ID, Some(namespace));
        self.link
            .publish(ChannelKind::Sharded, &channel, encoded.into_bytes())
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(self.link.flush())
    }
}
