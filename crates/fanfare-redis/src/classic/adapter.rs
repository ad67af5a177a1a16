//! The adapter of classic publish and subscribe.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterAnswer, ClusterHandle, ClusterMessage,
    ClusterResponse, NodeInfo, Peers, PublishOutcome,
};
use fanfare_cluster::{NodeAnnouncement, unique_id};
use parking_lot::RwLock;

use super::Classic;
use super::encode::{self, Channels};
use super::receive::{Receiver, Use};
use crate::link::{Channel, ChannelKind, Link, Message, OnMessages};
use crate::nodes::{self, Announce, Nodes};
use crate::server::ConfigError;

/// A namespace of this node.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) name: Arc<str>,
    pub(super) channels: Channels,
}

impl Space {
    fn new(key: &str, namespace: &str) -> Self {
        Self {
            name: namespace.into(),
            channels: Channels::new(key, namespace),
        }
    }
}

/// Namespace of a subscription, and its use.
type Route = (Arc<Space>, Use);

/// State of the adapter. The task that reads its connection has a weak reference to it.
pub(crate) struct ClassicAdapter {
    uid: String,
    key: String,
    specific: bool,
    /// Set before anything else happens.
    link: OnceLock<Link>,
    cluster: OnceLock<ClusterHandle>,
    nodes: Nodes,
    /// Reference to itself, for the task that announces this node.
    this: Weak<Self>,
    spaces: RwLock<HashMap<Arc<str>, Arc<Space>>>,
    /// Namespaces by the channels and patterns of their subscriptions.
    routes: RwLock<HashMap<Vec<u8>, Route>>,
}

impl ClassicAdapter {
    pub(super) fn start(options: Classic) -> Result<Arc<Self>, ConfigError> {
        let uid = unique_id();
        let classic = Arc::new_cyclic(|this| Self {
            nodes: Nodes::new(&uid, options.node),
            this: this.clone(),
            uid,
            key: options.key,
            specific: options.specific,
            link: OnceLock::new(),
            cluster: OnceLock::new(),
            spaces: RwLock::default(),
            routes: RwLock::default(),
        });
        let this = Arc::downgrade(&classic);
        let on_messages: OnMessages = Box::new(move |messages| {
            if let Some(classic) = this.upgrade()
                && let Some(cluster) = classic.cluster.get()
            {
                cluster.batch(|| {
                    for message in messages.drain(..) {
                        classic.on_message(cluster, &message);
                    }
                });
            }
        });
        let link = Link::start(&options.server, &options.link, on_messages)?;
        let _ = classic.link.set(link);
        Ok(classic)
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    fn on_message(&self, cluster: &ClusterHandle, message: &Message) {
        let key = match message.kind {
            ChannelKind::Pattern => &message.pattern,
            _ => &message.channel,
        };
        let route = self.routes.read().get(&**key).cloned();
        let Some((space, used_for)) = route else {
            return;
        };
        let receiver = Receiver {
            announced: &|from, announcement| nodes::hear(self, from, announcement),
            uid: &self.uid,
            cluster,
            space: &space,
            respond: &|to, payload| self.answer(&space, to, payload),
        };
        receiver.receive(used_for, message);
    }

    fn space(&self, namespace: &str) -> Arc<Space> {
        let open = self.spaces.read().get(namespace).cloned();
        open.unwrap_or_else(|| Arc::new(Space::new(&self.key, namespace)))
    }

    fn send(&self, channel: &str, payload: Vec<u8>) -> PublishOutcome {
        let Some(link) = self.link() else {
            return PublishOutcome::Down;
        };
        link.publish(ChannelKind::Exact, channel, payload)
    }

    /// Publishes an answer to the node `to`, or to all.
    fn answer(&self, space: &Space, to: &str, payload: Vec<u8>) -> PublishOutcome {
        let common = &space.channels.response;
        match self.specific && !to.is_empty() {
            true => self.send(&format!("{common}{to}#"), payload),
            false => self.send(common, payload),
        }
    }

    /// Returns the subscriptions of a namespace, with their uses.
    fn subscriptions(&self, space: &Space) -> [(Channel, Use); 4] {
        let Channels {
            broadcast,
            request,
            response,
        } = &space.channels;
        let own = format!("{response}{}#", self.uid);
        [
            (
                Channel::new(ChannelKind::Pattern, format!("{broadcast}*")),
                Use::Broadcast,
            ),
            (
                Channel::new(ChannelKind::Exact, request.clone()),
                Use::Request,
            ),
            (
                Channel::new(ChannelKind::Exact, response.clone()),
                Use::Response,
            ),
            (Channel::new(ChannelKind::Exact, own), Use::Response),
        ]
    }
}

impl Adapter for ClassicAdapter {
    fn start(&self, cluster: ClusterHandle) {
        let _ = self.cluster.set(cluster);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(nodes::run(self.this.clone()));
        }
    }

    fn namespace_opened(&self, namespace: &str) {
        let space = Arc::new(Space::new(&self.key, namespace));
        let subscriptions = self.subscriptions(&space);
        {
            let mut routes = self.routes.write();
            for (channel, used_for) in &subscriptions {
                let route = (space.clone(), *used_for);
                routes.insert(channel.name.as_bytes().to_vec(), route);
            }
        }
        self.spaces.write().insert(namespace.into(), space);
        if let Some(link) = self.link() {
            link.subscribe(subscriptions.map(|(channel, _)| channel), true);
        }
    }

    fn namespace_closed(&self, namespace: &str) {
        let Some(space) = self.spaces.write().remove(namespace) else {
            return;
        };
        let channels = self.subscriptions(&space).map(|(channel, _)| channel);
        {
            let mut routes = self.routes.write();
            for channel in &channels {
                routes.remove(channel.name.as_bytes());
            }
        }
        if let Some(link) = self.link() {
            link.subscribe(channels, false);
        }
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let space = self.space(namespace);
        if let ClusterMessage::Broadcast(message) = &message
            && message.request_id.is_none()
        {
            let (channel, payload) =
                encode::broadcast(&space.channels, &self.uid, namespace, message);
            return self.send(&channel, payload);
        }
        match encode::request(Some(&self.uid), namespace, &message) {
            Some(payload) => self.send(&space.channels.request, payload),
            // This wire format has no such message.
            None => PublishOutcome::Queued,
        }
    }

    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        let Some(payload) = encode::response(&response) else {
            return PublishOutcome::Queued;
        };
        let space = self.space(namespace);
        // Node sends this one to all nodes with either value of the option.
        match response.answer {
            ClusterAnswer::ServerSideEmit(_) => self.answer(&space, "", payload),
            // Only nodes of Fanfare ask, and each of them has a channel of its own.
            ClusterAnswer::Peer(_) => {
                self.send(&format!("{}{to}#", space.channels.response), payload)
            }
            _ => self.answer(&space, to, payload),
        }
    }

    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        Box::pin(async move {
            let Some(link) = self.link() else {
                return Err(PublishOutcome::Down.into());
            };
            let request = &self.space(namespace).channels.request;
            let nodes = link.subscribers(ChannelKind::Exact, request).await?;
            Ok(Peers::Count(nodes.saturating_sub(1)))
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, AdapterError>> {
        Box::pin(async { Ok(self.nodes.list()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            nodes::leave(self);
            if let Some(link) = self.link() {
                link.close().await;
            }
        })
    }
}

impl Announce for ClassicAdapter {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    fn cluster(&self) -> Option<&ClusterHandle> {
        self.cluster.get()
    }

    fn send(&self, announcement: NodeAnnouncement) {
        let payload = encode::announcement(&self.uid, &announcement);
        let channel = &self.space(nodes::NAMESPACE).channels.request;
        ClassicAdapter::send(self, channel, payload);
    }
}
