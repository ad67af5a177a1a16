//! Node of a cluster.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare::adapter::{
    AdapterError, ClusterHandle, ClusterMessage, ClusterResponse, Peers, PublishOutcome, RoomChange,
};
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{
    EMITTER_ID, Health, Membership, MembershipEvent, MembershipOptions, NodeAnnouncement, unique_id,
};
use parking_lot::Mutex;

use crate::config::Nats;
use crate::connection::{Connection, Driver, Handler};
use crate::jetstream::{Log, Sessions};
use crate::log_target;
use crate::parts::{PART, Parts};
use crate::protocol::Incoming;
use crate::publisher::Publisher;
use crate::subject::Subjects;

/// Maximum number of other nodes; further ones are ignored.
const MAX_NODES: usize = 1024;
/// Interval between the checks for silent nodes.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Time after the connection in which the other nodes introduce themselves.
const INTRODUCTION: Duration = Duration::from_millis(250);
/// Timeout for sending the queue when the server closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// State of an adapter.
pub(crate) struct Node {
    this: Weak<Self>,
    publisher: Publisher,
    name: Option<String>,
    address: Option<String>,
    interval: Duration,
    driver: Mutex<Option<Driver>>,
    cluster: OnceLock<ClusterHandle>,
    members: Mutex<Members>,
    parts: Mutex<Parts>,
    log: Option<Log>,
    sessions: Option<Sessions>,
}

/// The other nodes.
struct Members {
    nodes: Membership,
    /// Time of the last connection.
    connected: Option<Instant>,
    /// Whether another node has this node's id.
    collided: bool,
}

impl Node {
    pub(super) fn new(options: Nats) -> Arc<Self> {
        let id = unique_id();
        let mut connection = options.connection;
        connection.name = options
            .name
            .clone()
            .unwrap_or_else(|| format!("fanfare {id}"));
        let (connection, driver) = Connection::new(connection);
        let publisher = Publisher::new(connection.clone(), &options.prefix, &id);
        let subjects = publisher.subjects();
        let jetstream = options.jetstream;
        let log = jetstream.clone().map(|jetstream| {
            Log::new(
                jetstream,
                &options.prefix,
                &id,
                connection.clone(),
                subjects.clone(),
            )
        });
        let sessions = jetstream.map(|jetstream| {
            Sessions::new(
                jetstream,
                &options.prefix,
                connection.clone(),
                subjects.clone(),
            )
        });
        let nodes = MembershipOptions::default()
            // Heartbeats describe the node, and are published by it in any case.
            .heartbeat_interval(None)
            .heartbeat_timeout(options.heartbeat_timeout)
            .max_nodes(MAX_NODES)
            .echo(false);
        let members = Members {
            nodes: Membership::new(id, nodes),
            connected: None,
            collided: false,
        };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            name: options.name,
            address: options.address,
            interval: options.heartbeat_interval,
            driver: Mutex::new(Some(driver)),
            cluster: OnceLock::new(),
            members: Mutex::new(members),
            parts: Mutex::default(),
            publisher,
            log,
            sessions,
        })
    }

    pub(super) fn id(&self) -> &str {
        self.publisher.id()
    }

    fn subjects(&self) -> &Subjects {
        self.publisher.subjects()
    }

    fn connection(&self) -> &Connection {
        self.publisher.connection()
    }

    pub(super) fn health(&self) -> Health {
        let health = self.connection().health().get();
        if health != Health::Up {
            return health;
        }
        if self.members.lock().collided {
            return Health::degraded(format_args!("another node has the id {}", self.id()));
        }
        let failure = self.log.as_ref().and_then(Log::failure);
        failure.map_or(health, Health::degraded)
    }

    pub(super) async fn ready(&self) {
        self.connection().health().ready().await;
        if let Some(log) = &self.log {
            log.ready().await;
        }
    }

    pub(super) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    pub(super) fn sessions(&self) -> Option<&Sessions> {
        self.sessions.as_ref()
    }

    pub(super) fn start(&self, cluster: ClusterHandle) {
        let started = self.cluster.set(cluster.clone()).is_ok();
        let driver = self.driver.lock().take();
        let (Some(driver), true, Some(this)) = (driver, started, self.this.upgrade()) else {
            tracing::error!(target: log_target::CLUSTER, "an adapter is for one server: the second works alone");
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            let error = "the server was built outside of a Tokio runtime";
            self.connection().health().down(Instant::now(), error);
            tracing::error!(target: log_target::CLUSTER, "not connected to NATS: {error}");
            return;
        };
        self.connection().subscribe(&self.subjects().heartbeats());
        self.connection().subscribe(&self.subjects().requests());
        self.connection()
            .subscribe(&self.subjects().node(self.id()));
        if let Some(log) = &self.log {
            log.start(cluster);
        }
        let handler: Arc<dyn Handler> = this;
        let node = self.this.clone();
        let interval = self.interval;
        runtime.spawn(async move {
            let driver = driver.run(handler);
            tokio::pin!(driver);
            let mut ticks = tokio::time::interval(interval);
            let mut checks = tokio::time::interval(CHECK_INTERVAL);
            for interval in [&mut ticks, &mut checks] {
                interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            }
            loop {
                tokio::select! {
                    () = &mut driver => return,
                    _ = ticks.tick() => match node.upgrade() {
                        Some(node) => node.tick(),
                        None => return,
                    },
                    _ = checks.tick() => match node.upgrade() {
                        Some(node) => node.check(),
                        None => return,
                    }
                }
            }
        });
    }

    /// Publishes a heartbeat.
    fn tick(&self) {
        if !self.connection().is_up() {
            return;
        }
        self.heartbeat(&self.subjects().heartbeats(), |announcement| announcement);
        if let Some(log) = &self.log {
            log.tick(Instant::now());
        }
    }

    /// Removes silent nodes.
    fn check(&self) {
        if self.connection().is_up() {
            self.members.lock().nodes.handle_timeout(Instant::now());
            self.poll_members();
        }
    }

    fn poll_members(&self) {
        loop {
            let event = self.members.lock().nodes.poll();
            match event {
                None => return,
                Some(MembershipEvent::Joined(node)) => {
                    tracing::info!(target: log_target::CLUSTER, %node, "a node has joined");
                }
                Some(MembershipEvent::Left(node)) => {
                    tracing::info!(target: log_target::CLUSTER, %node, "a node has left, or is no longer heard");
                    self.left(&node);
                }
                Some(MembershipEvent::IdCollision) => {
                    self.members.lock().collided = true;
                    tracing::error!(target: log_target::CLUSTER, id = self.id(), "another node has the id of this one");
                }
                Some(event) => {
                    tracing::warn!(target: log_target::CLUSTER, ?event, limit = MAX_NODES, "heartbeats are ignored");
                }
            }
        }
    }

    fn left(&self, node: &str) {
        if let Some(cluster) = self.cluster.get() {
            cluster.node_left(node);
        }
    }

    fn heartbeat(&self, subject: &str, change: impl FnOnce(NodeAnnouncement) -> NodeAnnouncement) {
        let Some(cluster) = self.cluster.get() else {
            return;
        };
        let mut node = cluster.describe(self.id());
        node.name.clone_from(&self.name);
        node.address.clone_from(&self.address);
        let heartbeat = change(NodeAnnouncement::new(node));
        if let Ok(payload) = serde_json::to_vec(&heartbeat) {
            self.connection().publish(subject, None, &[], &payload);
        }
    }

    pub(super) fn namespace_opened(&self, namespace: &str) {
        self.connection().subscribe(&self.subjects().all(namespace));
        if let Some(log) = &self.log {
            log.namespace_opened(namespace);
        }
    }

    pub(super) fn namespace_closed(&self, namespace: &str) {
        self.connection()
            .unsubscribe(&self.subjects().all(namespace));
    }

    pub(super) fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        for change in changes {
            let subject = self.subjects().room(namespace, &change.room);
            match change.opened {
                true => self.connection().subscribe(&subject),
                false => self.connection().unsubscribe(&subject),
            }
        }
    }

    pub(super) fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        self.publisher.publish(namespace, message)
    }

    pub(super) fn respond(
        &self,
        namespace: &str,
        to: &str,
        response: ClusterResponse,
    ) -> PublishOutcome {
        let subject = self.subjects().node(to);
        self.publisher.send(&subject, namespace, &response.into())
    }

    pub(super) async fn peers(&self) -> Result<Peers, AdapterError> {
        let connected = self.members.lock().connected;
        let (Some(connected), true) = (connected, self.connection().is_up()) else {
            return Err(AdapterError::new(
                self.connection().health().get().to_string(),
            ));
        };
        // The other nodes need a moment to introduce themselves.
        tokio::time::sleep_until((connected + INTRODUCTION).into()).await;
        Ok(self.members.lock().nodes.peers())
    }

    pub(super) async fn close(&self) {
        self.heartbeat(&self.subjects().heartbeats(), NodeAnnouncement::leaves);
        if let Some(log) = &self.log {
            log.close().await;
        }
        self.connection().close(CLOSE_TIMEOUT).await;
    }

    fn hear(&self, payload: &[u8]) {
        let Some(mut heartbeat) = NodeAnnouncement::read(payload) else {
            tracing::debug!(target: log_target::CLUSTER, "an invalid heartbeat");
            return;
        };
        let id = heartbeat.id.clone();
        // Answered below, to the node alone.
        let hello = std::mem::take(&mut heartbeat.hello) && !heartbeat.leaves;
        let now = Instant::now();
        let is_other = self.members.lock().nodes.announced(&id, heartbeat, now);
        self.poll_members();
        if hello && is_other {
            self.heartbeat(&self.subjects().node(&id), |announcement| announcement);
        }
    }

    /// Handles a message of another node, or an event of this one that the log sends back.
    fn receive(&self, message: &Incoming, payload: &Bytes) {
        if let Some(log) = &self.log
            && log.receives(message, payload)
        {
            return;
        }
        let envelope = match Envelope::read(payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::debug!(target: log_target::CLUSTER, subject = %message.subject, %error, "an invalid message");
                return;
            }
        };
        if envelope.uid() == self.id() {
            return;
        }
        self.deliver(&envelope);
    }

    fn deliver(&self, envelope: &Envelope<'_>) {
        let (Some(cluster), Some(namespace)) = (self.cluster.get(), envelope.namespace()) else {
            return;
        };
        let from = envelope.uid();
        match envelope.decode() {
            Ok(AdapterMessage::Message(message)) if from == EMITTER_ID && is_request(&message) => {
                tracing::debug!(target: log_target::CLUSTER, "a request of an emitter, which gets no answers");
            }
            Ok(AdapterMessage::Message(message)) => {
                self.subjects().record(namespace, &message);
                cluster.receive(namespace, from, message);
            }
            Ok(AdapterMessage::Response(response)) => {
                cluster.receive_response(Some(from), response);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(target: log_target::CLUSTER, %error, "an invalid message");
            }
        }
    }
}

/// Whether a message asks for answers.
fn is_request(message: &ClusterMessage) -> bool {
    match message {
        ClusterMessage::Broadcast(message) => message.request_id.is_some(),
        ClusterMessage::ServerSideEmit(message) => message.request_id.is_some(),
        ClusterMessage::FetchSockets(_) | ClusterMessage::PeerRequest(_) => true,
        _ => false,
    }
}

impl Handler for Node {
    fn connected(&self) {
        let now = Instant::now();
        {
            let mut members = self.members.lock();
            members.connected = Some(now);
            members.nodes.connected(now);
        }
        self.heartbeat(&self.subjects().heartbeats(), NodeAnnouncement::hello);
        if let Some(log) = &self.log {
            log.connected();
        }
        if let Some(sessions) = &self.sessions {
            sessions.connected();
        }
    }

    fn disconnected(&self) {
        self.members.lock().nodes.disconnected();
        self.parts.lock().clear();
        if let Some(log) = &self.log {
            log.disconnected();
        }
        if let Some(sessions) = &self.sessions {
            sessions.disconnected();
        }
    }

    fn gave_up(&self) {
        if let Some(log) = &self.log {
            log.give_up();
        }
    }

    fn batch(&self, work: &mut dyn FnMut()) {
        match self.cluster.get() {
            Some(cluster) => cluster.batch(work),
            None => work(),
        }
    }

    fn message(&self, message: Incoming) {
        match self.subjects().kind(&message.subject) {
            Some("heartbeat") => return self.hear(&message.payload),
            // Heartbeats for a node that has just connected come to its own subject.
            Some("node") if message.payload.starts_with(b"{\"id\":") => {
                return self.hear(&message.payload);
            }
            Some(_) => {}
            // Replies of JetStream.
            None => {
                if let Some(log) = &self.log {
                    log.acknowledged(&message);
                }
                if let Some(sessions) = &self.sessions {
                    sessions.acknowledged(&message);
                }
                return;
            }
        }
        match message.header(PART) {
            None => self.receive(&message, &message.payload),
            Some(part) => {
                let whole = self.parts.lock().take(part, &message.payload);
                if let Some(whole) = whole {
                    self.receive(&message, &whole);
                }
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("connection", self.connection())
            .finish_non_exhaustive()
    }
}
