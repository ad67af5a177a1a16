//! The adapter of sharded publish and subscribe.

use std::sync::Arc;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Interest,
    NodeInfo, Peers, PublishOutcome, RoomChange,
};
use fanfare_cluster::dialect::AdapterMessage;

use super::{Channels, Sharded, SubscriptionMode};
use crate::link::{ChannelKind, Link};
use crate::server::ConfigError;
use crate::space::Spaces;

/// State of the adapter.
pub(crate) struct ShardedAdapter {
    channels: Arc<Channels>,
    spaces: Arc<Spaces>,
}

impl ShardedAdapter {
    pub(super) fn start(options: Sharded) -> Result<Self, ConfigError> {
        let spaces = Spaces::new(options.prefix, ChannelKind::Sharded, options.node, encode);
        let channels = Arc::new(Channels::new(options.mode));
        let record = channels.clone();
        let on_messages =
            spaces.on_messages(move |space, message| record.record(&space.channel, message));
        let link = Link::start(&options.server, &options.link, on_messages)?;
        spaces.set_link(link);
        Ok(Self { channels, spaces })
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.spaces.link()
    }
}

fn encode(message: &AdapterMessage, uid: &str, namespace: &str) -> Vec<u8> {
    message.encode(uid, Some(namespace)).into_bytes()
}

impl Adapter for ShardedAdapter {
    fn start(&self, cluster: ClusterHandle) {
        self.spaces.start(cluster);
    }

    fn namespace_opened(&self, namespace: &str) {
        self.spaces.open(namespace);
    }

    fn namespace_closed(&self, namespace: &str) {
        self.spaces.close(namespace);
    }

    fn interest(&self) -> Interest {
        match self.channels.mode {
            SubscriptionMode::Static => Interest::None,
            SubscriptionMode::Dynamic => Interest::Rooms,
            SubscriptionMode::DynamicPrivate => Interest::RoomsAndSockets,
        }
    }

    fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        let (Some(link), space) = (self.link(), self.spaces.get(namespace)) else {
            return;
        };
        link.rooms_changed(changes.iter().map(|change| {
            let channel = format!("{}{}#", space.channel, change.room);
            (channel, change.opened)
        }));
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let space = self.spaces.get(namespace);
        let channel = self.channels.of(&space.channel, &message);
        let message = AdapterMessage::from(message);
        self.spaces
            .send(&channel, encode(&message, &self.spaces.uid, namespace))
    }

    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        self.spaces.respond(namespace, to, response)
    }

    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        Box::pin(self.spaces.peers(namespace))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, AdapterError>> {
        Box::pin(async { Ok(self.spaces.nodes()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.spaces.leave())
    }
}
