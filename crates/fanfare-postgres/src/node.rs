//! Node of a cluster.

use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "adapter")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
#[cfg(feature = "adapter")]
use fanfare::adapter::ClusterHandle;
#[cfg(feature = "adapter")]
use fanfare_cluster::NodeAnnouncement;
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{
    AdapterError, ClusterMessage, EMITTER_ID, Health, HealthState, Membership, MembershipEvent,
    MembershipOptions, NodeInfo, Peers, PublishOutcome, PublishQueue, QueueReader, publish_queue,
    unique_id,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_postgres::Config;

use crate::config::Postgres;
use crate::log_target;
use crate::outgoing::{Item, Outgoing};
#[cfg(feature = "adapter")]
use crate::task;
use crate::tls::Tls;

/// Namespace in which nodes describe themselves.
#[cfg(feature = "adapter")]
const MAIN_NAMESPACE: &str = "/";
/// Longest name of a channel, in bytes.
const MAX_CHANNEL_BYTES: usize = 63;
/// Time after the connection in which the other nodes introduce themselves.
const INTRODUCTION: Duration = Duration::from_millis(250);
/// Timeout for sending the queue when the server closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// State of an adapter.
pub(crate) struct Node {
    this: Weak<Self>,
    pub(crate) options: Postgres,
    pub(crate) server: Config,
    pub(crate) tls: Tls,
    /// Whether it serves no namespaces, and sends as an emitter.
    pub(crate) emits_only: bool,
    queue: PublishQueue<Item>,
    reader: Mutex<Option<QueueReader<Item>>>,
    pub(crate) health: HealthState,
    /// Whether messages are queued: there is a connection, or it was lost a short time ago.
    accepts: AtomicBool,
    connected: AtomicBool,
    /// Whether messages were, or may be, lost since this was last read.
    lost: AtomicBool,
    #[cfg(feature = "adapter")]
    cluster: OnceLock<ClusterHandle>,
    state: Mutex<State>,
    /// Notified when channels change.
    pub(crate) changed: Notify,
    ended: Notify,
}

#[derive(Default)]
struct State {
    namespaces: HashMap<String, Namespace>,
    /// Namespaces by their channels.
    channels: HashMap<Arc<str>, String>,
    /// Channels to listen to, or to stop listening to, in their order.
    changes: Vec<(Arc<str>, bool)>,
    /// Reason for which a namespace is not shared.
    limitation: Option<String>,
}

struct Namespace {
    channel: Arc<str>,
    /// Id of this node in the namespace: Node.js has one for each namespace.
    uid: Arc<str>,
    members: Membership,
    /// Time at which this node introduced itself.
    introduced: Option<Instant>,
}

impl Node {
    pub(crate) fn new(options: Postgres, server: Config, tls: Tls, emits_only: bool) -> Arc<Self> {
        let (queue, reader) = publish_queue(options.queue);
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            options,
            server,
            tls,
            emits_only,
            queue,
            reader: Mutex::new(Some(reader)),
            health: HealthState::new(),
            accepts: AtomicBool::new(true),
            connected: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            #[cfg(feature = "adapter")]
            cluster: OnceLock::new(),
            state: Mutex::default(),
            changed: Notify::new(),
            ended: Notify::new(),
        })
    }

    pub(crate) fn health(&self) -> Health {
        let health = self.health.get();
        match &self.state.lock().limitation {
            Some(limitation) if health == Health::Up => Health::degraded(limitation),
            _ => health,
        }
    }

    pub(crate) async fn ready(&self) {
        self.health.ready().await;
    }

    #[cfg(feature = "adapter")]
    pub(crate) fn start(&self, cluster: ClusterHandle) {
        let first = self.cluster.set(cluster).is_ok();
        let reader = self.take_reader();
        let (Some(reader), true, Some(this)) = (reader, first, self.this.upgrade()) else {
            tracing::error!(target: log_target::CLUSTER, "an adapter is for one server: the second works alone");
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task::run(this, reader))),
            Err(_) => {
                let error = "the server was built outside of a Tokio runtime";
                self.health.down(Instant::now(), error);
                tracing::error!(target: log_target::CLUSTER, "not connected to PostgreSQL: {error}");
            }
        }
    }

    /// Returns the channel of a namespace; `None` if its name is too long.
    fn channel(&self, namespace: &str) -> Option<Arc<str>> {
        let channel = format!("{}#{namespace}", self.options.channel_prefix);
        let valid = channel.len() <= MAX_CHANNEL_BYTES && !channel.contains('\0');
        valid.then(|| channel.into())
    }

    pub(crate) fn take_reader(&self) -> Option<QueueReader<Item>> {
        self.reader.lock().take()
    }

    pub(crate) fn namespace_opened(&self, namespace: &str) {
        let mut state = self.state.lock();
        let Some(channel) = self.channel(namespace) else {
            let channel = format!("{}#{namespace}", self.options.channel_prefix);
            let limitation =
                format!("the channel {channel:?} is longer than {MAX_CHANNEL_BYTES} bytes");
            tracing::error!(target: log_target::CLUSTER, "a namespace is not shared: {limitation}");
            state.limitation = Some(limitation);
            return;
        };
        let uid = unique_id();
        let members = MembershipOptions::default()
            .heartbeat_interval(Some(self.options.heartbeat_interval))
            .heartbeat_timeout(self.options.heartbeat_timeout);
        let mut opened = Namespace {
            channel: channel.clone(),
            members: Membership::new(uid.clone(), members),
            uid: uid.into(),
            introduced: None,
        };
        if self.connected.load(Ordering::Acquire) {
            // A first value: `introduce` sets it again when the channel is listened to.
            opened.introduced = Some(Instant::now());
        }
        state.namespaces.insert(namespace.to_owned(), opened);
        state.channels.insert(channel.clone(), namespace.to_owned());
        state.changes.push((channel, true));
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn namespace_closed(&self, namespace: &str) {
        let mut state = self.state.lock();
        let Some(found) = state.namespaces.get_mut(namespace) else {
            return;
        };
        found.members.close(Instant::now());
        drop(state);
        self.poll_members(namespace);
        let mut state = self.state.lock();
        if let Some(closed) = state.namespaces.remove(namespace) {
            state.channels.remove(&closed.channel);
            state.changes.push((closed.channel, false));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Returns the changes of channels since the last call, or all channels for a new connection.
    pub(crate) fn take_changes(&self, all: bool) -> Vec<(Arc<str>, bool)> {
        let mut state = self.state.lock();
        let changes = std::mem::take(&mut state.changes);
        match all {
            false => changes,
            true => state
                .channels
                .keys()
                .map(|channel| (channel.clone(), true))
                .collect(),
        }
    }

    /// Introduces this node on channels that are listened to now.
    pub(crate) fn introduce(&self, channels: &[(Arc<str>, bool)]) {
        let now = Instant::now();
        for (channel, _) in channels.iter().filter(|(_, opened)| *opened) {
            let namespace = {
                let state = &mut *self.state.lock();
                let Some(namespace) = state.channels.get(channel) else {
                    continue;
                };
                if let Some(found) = state.namespaces.get_mut(namespace) {
                    found.members.connected(now);
                    found.introduced = Some(now);
                }
                namespace.clone()
            };
            self.poll_members(&namespace);
        }
    }

    pub(crate) fn connected(&self) {
        self.accepts.store(true, Ordering::Release);
        self.connected.store(true, Ordering::Release);
    }

    pub(crate) fn disconnected(&self) {
        self.connected.store(false, Ordering::Release);
        for namespace in self.state.lock().namespaces.values_mut() {
            namespace.members.disconnected();
        }
    }

    /// Accepts no more messages until there is a connection.
    pub(crate) fn give_up(&self) -> bool {
        self.accepts.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    pub(crate) fn ended(&self) {
        self.give_up();
        self.queue.close();
        self.ended.notify_waiters();
    }

    /// Publishes heartbeats that are due, and removes silent nodes.
    pub(crate) fn handle_timeouts(&self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (name, namespace) in &mut self.state.lock().namespaces {
            if namespace.members.poll_timeout().is_some_and(|at| at <= now) {
                namespace.members.handle_timeout(now);
                due.push(name.clone());
            }
        }
        due.iter()
            .for_each(|namespace| self.poll_members(namespace));
    }

    fn poll_members(&self, namespace: &str) {
        loop {
            let event = {
                let mut state = self.state.lock();
                state
                    .namespaces
                    .get_mut(namespace)
                    .and_then(|found| found.members.poll())
            };
            match event {
                None => return,
                Some(MembershipEvent::Publish(message)) => {
                    self.send(namespace, &message);
                    #[cfg(feature = "adapter")]
                    if namespace == MAIN_NAMESPACE && message != AdapterMessage::Close {
                        self.announce();
                    }
                }
                Some(MembershipEvent::Joined(node)) => {
                    tracing::debug!(target: log_target::CLUSTER, %node, "a node has joined");
                }
                Some(MembershipEvent::Left(node)) => {
                    tracing::debug!(target: log_target::CLUSTER, %node, "a node has left");
                    #[cfg(feature = "adapter")]
                    if let Some(cluster) = self.cluster.get() {
                        cluster.node_left(&node);
                    }
                }
                Some(event) => {
                    let limitation = format!("{event:?}");
                    tracing::error!(target: log_target::CLUSTER, "the cluster has a fault: {limitation}");
                    self.state.lock().limitation = Some(limitation);
                }
            }
        }
    }

    /// Describes this node to the others of Fanfare; Node.js ignores that.
    #[cfg(feature = "adapter")]
    fn announce(&self) {
        let uid = {
            let state = self.state.lock();
            let found = state.namespaces.get(MAIN_NAMESPACE);
            found.map(|found| found.uid.to_string())
        };
        if let (Some(uid), Some(cluster)) = (uid, self.cluster.get()) {
            let mut node = cluster.describe(uid);
            node.name.clone_from(&self.options.name);
            node.address.clone_from(&self.options.address);
            self.send(MAIN_NAMESPACE, &NodeAnnouncement::new(node).into());
        }
    }

    pub(crate) fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        // As in Node.js: a message that needs no answer does not count as a heartbeat.
        let is_sign = match &message {
            ClusterMessage::Broadcast(message) => message.request_id.is_some(),
            ClusterMessage::FetchSockets(_)
            | ClusterMessage::ServerSideEmit(_)
            | ClusterMessage::PeerRequest(_) => true,
            _ => false,
        };
        if is_sign && let Some(found) = self.state.lock().namespaces.get_mut(namespace) {
            found.members.published(Instant::now());
        }
        self.send(namespace, &message.into())
    }

    pub(crate) fn send(&self, namespace: &str, message: &AdapterMessage) -> PublishOutcome {
        if !self.accepts.load(Ordering::Acquire) {
            return PublishOutcome::Down;
        }
        let names = match self.emits_only {
            true => self
                .channel(namespace)
                .map(|channel| (channel, EMITTER_ID.into())),
            false => {
                let state = self.state.lock();
                let found = state.namespaces.get(namespace);
                found.map(|found| (found.channel.clone(), found.uid.clone()))
            }
        };
        let Some((channel, uid)) = names else {
            return PublishOutcome::Down;
        };
        let threshold = self.options.threshold;
        let message = Outgoing::new(channel, message, &uid, namespace, threshold);
        let bytes = message.len();
        match self.queue.try_push(Item::Message(message), bytes) {
            Ok(()) => PublishOutcome::Queued,
            Err(error) => error.into(),
        }
    }

    /// Waits until the server has accepted all earlier messages. Fails if some may be lost.
    pub(crate) async fn flush(&self) -> Result<(), AdapterError> {
        let (tx, rx) = oneshot::channel();
        let queued =
            self.accepts.load(Ordering::Acquire) && self.queue.try_push(Item::Flush(tx), 1).is_ok();
        let accepted = queued && rx.await.is_ok();
        match self.lost.swap(false, Ordering::Relaxed) || !accepted {
            true => Err(AdapterError::new(
                "messages are lost: PostgreSQL was out of reach, or rejected them",
            )),
            false => Ok(()),
        }
    }

    /// Records that messages are, or may be, lost.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Ends the task after the queue has been sent.
    pub(crate) fn stop(&self) {
        self.queue.close();
        self.changed.notify_one();
    }

    pub(crate) async fn peers(&self, namespace: &str) -> Result<Peers, AdapterError> {
        let introduced = {
            let state = self.state.lock();
            state
                .namespaces
                .get(namespace)
                .and_then(|found| found.introduced)
        };
        let (Some(introduced), true) = (introduced, self.connected.load(Ordering::Acquire)) else {
            return Err(AdapterError::new(self.health().to_string()));
        };
        // The other nodes need a moment to introduce themselves.
        tokio::time::sleep_until((introduced + INTRODUCTION).into()).await;
        let known = self.known(namespace);
        Ok(known.unwrap_or(Peers::Nodes(Vec::new())))
    }

    /// Returns the other nodes that have a namespace; `None` if this one does not have it.
    pub(crate) fn known(&self, namespace: &str) -> Option<Peers> {
        let state = self.state.lock();
        let found = state.namespaces.get(namespace);
        found.map(|found| found.members.peers())
    }

    pub(crate) async fn close(&self) {
        let namespaces: Vec<String> = self.state.lock().namespaces.keys().cloned().collect();
        for namespace in namespaces {
            if let Some(found) = self.state.lock().namespaces.get_mut(&namespace) {
                found.members.close(Instant::now());
            }
            self.poll_members(&namespace);
        }
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        self.stop();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, ended).await;
    }

    /// Returns the id of the row that a notification names, unless this node wrote it.
    pub(crate) fn row_of(&self, channel: &str, payload: &Bytes) -> Option<i64> {
        let envelope = Envelope::read(payload).ok()?;
        let id = envelope.attachment_id()?.parse().ok()?;
        let state = self.state.lock();
        let namespace = state.namespaces.get(state.channels.get(channel)?)?;
        (*namespace.uid != *envelope.uid()).then_some(id)
    }

    /// Handles messages of channels, with one write for each client.
    pub(crate) fn receive_all(&self, messages: impl Iterator<Item = (String, Bytes)>) {
        let receive = || messages.for_each(|(channel, payload)| self.receive(&channel, &payload));
        match self.cluster.get() {
            Some(cluster) => cluster.batch(receive),
            None => receive(),
        }
    }

    /// Handles a message of a channel.
    fn receive(&self, channel: &str, payload: &Bytes) {
        let envelope = match Envelope::read(payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::debug!(target: log_target::CLUSTER, %error, "an invalid message");
                return;
            }
        };
        let Some(namespace) = self.state.lock().channels.get(channel).cloned() else {
            return;
        };
        if envelope.namespace().is_some_and(|named| named != namespace) {
            return;
        }
        let is_own = {
            let state = self.state.lock();
            let found = state.namespaces.get(&namespace);
            found.is_none_or(|found| *found.uid == *envelope.uid())
        };
        // Of this node's messages, only heartbeats matter: another node may have the same id.
        if is_own && !matches!(envelope.message_type(), 1 | 2) {
            return;
        }
        let message = match envelope.decode() {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(target: log_target::CLUSTER, %error, "an invalid message");
                return;
            }
        };
        let from = envelope.uid();
        {
            let mut state = self.state.lock();
            let Some(found) = state.namespaces.get_mut(&namespace) else {
                return;
            };
            if !found.members.received(from, &message, Instant::now()) {
                drop(state);
                return self.poll_members(&namespace);
            }
            if let AdapterMessage::Announcement(announcement) = &message {
                let mut info = NodeInfo::from(announcement.clone());
                from.clone_into(&mut info.id);
                found.members.described(info);
            }
        }
        self.poll_members(&namespace);
        #[cfg(feature = "adapter")]
        if let Some(cluster) = self.cluster.get() {
            match message {
                AdapterMessage::Message(message) => cluster.receive(&namespace, from, message),
                AdapterMessage::Response(answer) => cluster.receive_response(Some(from), answer),
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("health", &self.health())
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
