//! Namespaces of a node that speaks the dialect of Node's `ClusterAdapter`: a channel for all nodes, and one for the
//! answers to this one.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use fanfare::adapter::{
    AdapterError, ClusterHandle, ClusterMessage, ClusterResponse, Peers, PublishOutcome,
};
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{EMITTER_ID, NodeAnnouncement, NodeInfo, unique_id};
use parking_lot::RwLock;

use crate::link::{Channel, ChannelKind, Link, Message, OnMessages};
use crate::nodes::{self, Announce, NodeOptions, Nodes};

/// Encoding of a message that is not in a stream: message, id of the sender, namespace.
pub(crate) type Encode = fn(&AdapterMessage, &str, &str) -> Vec<u8>;

/// A namespace of this node.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) name: Arc<str>,
    /// Channel of all nodes; prefix of all others of the namespace.
    pub(crate) channel: Arc<str>,
    /// Channel of the answers to this node.
    private: Arc<str>,
}

/// This node, and its namespaces.
pub(crate) struct Spaces {
    pub(crate) uid: String,
    prefix: String,
    kind: ChannelKind,
    /// Set before anything else happens.
    link: OnceLock<Link>,
    cluster: OnceLock<ClusterHandle>,
    nodes: Nodes,
    encode: Encode,
    spaces: RwLock<HashMap<Arc<str>, Arc<Space>>>,
}

impl Spaces {
    pub(crate) fn new(
        prefix: String,
        kind: ChannelKind,
        node: NodeOptions,
        encode: Encode,
    ) -> Arc<Self> {
        let uid = unique_id();
        Arc::new(Self {
            nodes: Nodes::new(&uid, node),
            encode,
            uid,
            prefix,
            kind,
            link: OnceLock::new(),
            cluster: OnceLock::new(),
            spaces: RwLock::default(),
        })
    }

    /// Returns the function that receives the link's messages.
    /// `observe` sees each message before it is handled.
    pub(crate) fn on_messages(
        self: &Arc<Self>,
        observe: impl Fn(&Space, &ClusterMessage) + Send + Sync + 'static,
    ) -> OnMessages {
        let this = Arc::downgrade(self);
        Box::new(move |messages| {
            if let Some(spaces) = this.upgrade()
                && let Some(cluster) = spaces.cluster()
            {
                cluster.batch(|| {
                    for message in messages.drain(..) {
                        let _ = spaces.receive(cluster, &message, &observe);
                    }
                });
            }
        })
    }

    pub(crate) fn set_link(&self, link: Link) {
        let _ = self.link.set(link);
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    /// Starts to receive and to announce this node.
    pub(crate) fn start(self: &Arc<Self>, cluster: ClusterHandle) {
        let _ = self.cluster.set(cluster);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(nodes::run(Arc::downgrade(self)));
        }
    }

    /// Returns the other nodes of Fanfare.
    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        self.nodes.list()
    }

    pub(crate) async fn leave(&self) {
        nodes::leave(self);
        if let Some(link) = self.link() {
            link.close().await;
        }
    }

    pub(crate) fn cluster(&self) -> Option<&ClusterHandle> {
        self.cluster.get()
    }

    /// Returns a namespace, even if it is not open here.
    pub(crate) fn get(&self, namespace: &str) -> Arc<Space> {
        let open = self.find(namespace);
        open.unwrap_or_else(|| Arc::new(self.space(namespace)))
    }

    pub(crate) fn find(&self, namespace: &str) -> Option<Arc<Space>> {
        self.spaces.read().get(namespace).cloned()
    }

    fn space(&self, namespace: &str) -> Space {
        let channel = format!("{}#{namespace}#", self.prefix);
        Space {
            name: namespace.into(),
            private: format!("{channel}{}#", self.uid).into(),
            channel: channel.into(),
        }
    }

    fn subscribe(&self, space: &Space, on: bool) {
        let channels = [&space.channel, &space.private];
        let channels = channels.map(|channel| Channel::new(self.kind, channel.clone()));
        if let Some(link) = self.link() {
            link.subscribe(channels, on);
        }
    }

    pub(crate) fn open(&self, namespace: &str) {
        let space = Arc::new(self.space(namespace));
        self.spaces.write().insert(namespace.into(), space.clone());
        self.subscribe(&space, true);
    }

    pub(crate) fn close(&self, namespace: &str) -> Option<Arc<Space>> {
        let space = self.spaces.write().remove(namespace)?;
        self.subscribe(&space, false);
        Some(space)
    }

    pub(crate) fn send(&self, channel: &str, payload: Vec<u8>) -> PublishOutcome {
        match self.link() {
            Some(link) => link.publish(self.kind, channel, payload),
            None => PublishOutcome::Down,
        }
    }

    /// Sends an answer to the node that asked.
    pub(crate) fn respond(
        &self,
        namespace: &str,
        to: &str,
        response: ClusterResponse,
    ) -> PublishOutcome {
        let space = self.get(namespace);
        let message = AdapterMessage::from(response);
        let channel = format!("{}{to}#", space.channel);
        self.send(&channel, (self.encode)(&message, &self.uid, namespace))
    }

    /// Counts the other nodes by their subscriptions.
    pub(crate) async fn peers(&self, namespace: &str) -> Result<Peers, AdapterError> {
        let Some(link) = self.link() else {
            return Err(PublishOutcome::Down.into());
        };
        let channel = self.get(namespace).channel.clone();
        let nodes = link.subscribers(self.kind, &channel).await?;
        Ok(Peers::Count(nodes.saturating_sub(1)))
    }

    /// Handles a message. Messages that cannot be read are ignored, as in Node.
    fn receive(
        &self,
        cluster: &ClusterHandle,
        message: &Message,
        observe: &impl Fn(&Space, &ClusterMessage),
    ) -> Option<()> {
        let envelope = Envelope::read(&message.payload).ok()?;
        if envelope.uid() == self.uid {
            return None;
        }
        let space = self.find(envelope.namespace()?)?;
        let channel = std::str::from_utf8(&message.channel).ok()?;
        if !channel.starts_with(&*space.channel) {
            return None;
        }
        match envelope.decode().ok()? {
            AdapterMessage::Message(message) => {
                observe(&space, &message);
                cluster.receive(&space.name, envelope.uid(), message);
            }
            AdapterMessage::Response(response)
                if channel == &*space.private && envelope.uid() != EMITTER_ID =>
            {
                cluster.receive_response(Some(envelope.uid()), response);
            }
            AdapterMessage::Announcement(announcement) => {
                nodes::hear(self, envelope.uid(), announcement);
            }
            _ => {}
        }
        Some(())
    }
}

impl Announce for Spaces {
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
        let channel = self.get(nodes::NAMESPACE).channel.clone();
        let message = AdapterMessage::from(announcement);
        let payload = (self.encode)(&message, &self.uid, nodes::NAMESPACE);
        Spaces::send(self, &channel, payload);
    }
}
