//! The emitter of classic publish and subscribe.

use fanfare_cluster::{
    AdapterError, BoxFuture, ClusterMessage, EMITTER_ID, EmitterTransport, PublishOutcome,
};

use super::Classic;
use super::encode::{self, Channels};
use crate::link::{ChannelKind, Link};
use crate::server::ConfigError;

/// Sends the messages of an emitter.
pub(super) struct ClassicEmitter {
    key: String,
    link: Link,
}

impl ClassicEmitter {
    pub(super) fn start(options: Classic) -> Result<Self, ConfigError> {
        let link = Link::start(&options.server, &options.link, Box::new(Vec::clear))?;
        Ok(Self {
            key: options.key,
            link,
        })
    }
}

impl EmitterTransport for ClassicEmitter {
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let channels = Channels::new(&self.key, namespace);
        let publish =
            |channel: &str, payload| self.link.publish(ChannelKind::Exact, channel, payload);
        if let ClusterMessage::Broadcast(message) = &message {
            let (channel, payload) = encode::broadcast(&channels, EMITTER_ID, namespace, message);
            return publish(&channel, payload);
        }
        match encode::request(None, namespace, &message) {
            Some(payload) => publish(&channels.request, payload),
            None => PublishOutcome::Queued,
        }
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(self.link.flush())
    }
}
