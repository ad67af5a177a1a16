//! Nodes of Fanfare in a cluster. Redis counts its subscribers and does not know them, and servers of Node.js do not
//! describe themselves; those of Fanfare do, in messages that Node.js ignores.

use std::sync::Weak;
use std::time::{Duration, Instant};

use fanfare::adapter::ClusterHandle;
use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{
    Membership, MembershipEvent, MembershipOptions, NodeAnnouncement, NodeInfo, Peers,
};
use parking_lot::Mutex;

use crate::link::Link;
use crate::log_target;

/// Namespace in which nodes describe themselves.
pub(crate) const NAMESPACE: &str = "/";
/// Interval between the checks for due announcements and silent nodes.
const TICK: Duration = Duration::from_secs(1);
/// Time without an announcement after which a node is no longer listed.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Name and address of this node.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeOptions {
    pub(crate) name: Option<String>,
    pub(crate) address: Option<String>,
}

/// The other nodes of Fanfare.
#[derive(Debug)]
pub(crate) struct Nodes {
    uid: String,
    options: NodeOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    members: Membership,
    connected: bool,
}

/// Adapter whose node describes itself.
pub(crate) trait Announce: Send + Sync + 'static {
    fn nodes(&self) -> &Nodes;
    fn link(&self) -> Option<&Link>;
    fn cluster(&self) -> Option<&ClusterHandle>;
    /// Sends an announcement to the other nodes that have [`NAMESPACE`].
    fn send(&self, announcement: NodeAnnouncement);
}

impl Nodes {
    pub(crate) fn new(uid: &str, options: NodeOptions) -> Self {
        let members = MembershipOptions::default()
            .heartbeat_timeout(TIMEOUT)
            .echo(false);
        Self {
            uid: uid.to_owned(),
            options,
            state: Mutex::new(State {
                members: Membership::new(uid, members),
                connected: false,
            }),
        }
    }

    /// Returns the other nodes.
    pub(crate) fn list(&self) -> Vec<NodeInfo> {
        match self.state.lock().members.peers() {
            Peers::Nodes(nodes) => nodes,
            Peers::Count(_) => Vec::new(),
        }
    }

    fn describe(&self, cluster: &ClusterHandle) -> NodeAnnouncement {
        let mut node = cluster.describe(&*self.uid);
        node.name.clone_from(&self.options.name);
        node.address.clone_from(&self.options.address);
        NodeAnnouncement::new(node)
    }
}

/// Handles the announcement of another node.
pub(crate) fn hear(adapter: &dyn Announce, from: &str, announcement: NodeAnnouncement) {
    let now = Instant::now();
    let mut state = adapter.nodes().state.lock();
    state.members.announced(from, announcement, now);
    drop(state);
    poll(adapter);
}

/// Tells the other nodes that this one leaves.
pub(crate) fn leave(adapter: &dyn Announce) {
    adapter.nodes().state.lock().members.close(Instant::now());
    poll(adapter);
}

/// Announces this node until the adapter is gone or closed.
pub(crate) async fn run<A: Announce>(adapter: Weak<A>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(adapter) = adapter.upgrade() else {
            return;
        };
        if adapter.link().is_none_or(Link::is_closed) {
            return;
        }
        tick(&*adapter);
    }
}

fn tick(adapter: &dyn Announce) {
    let now = Instant::now();
    let ready = adapter
        .link()
        .is_some_and(|link| link.health().get().is_ready());
    let mut state = adapter.nodes().state.lock();
    match (state.connected, ready) {
        (false, true) => state.members.connected(now),
        (true, false) => state.members.disconnected(),
        _ => {}
    }
    state.connected = ready;
    state.members.handle_timeout(now);
    drop(state);
    poll(adapter);
}

fn poll(adapter: &dyn Announce) {
    let nodes = adapter.nodes();
    loop {
        let event = nodes.state.lock().members.poll();
        match event {
            None => return,
            Some(MembershipEvent::Publish(message)) => {
                let Some(cluster) = adapter.cluster() else {
                    continue;
                };
                let announcement = nodes.describe(cluster);
                adapter.send(match message {
                    AdapterMessage::InitialHeartbeat => announcement.hello(),
                    AdapterMessage::Close => announcement.leaves(),
                    _ => announcement,
                });
            }
            Some(event) => {
                tracing::debug!(target: log_target::CLUSTER, ?event, "the nodes of Fanfare");
            }
        }
    }
}
