//! An adapter that connects the servers of this process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, Broadcast, ClusterHandle, ClusterMessage, ClusterResponse,
    EncodedEvent, EventLog, Health, Interest, LogLimits, LogPosition, LoggedEvent,
    MissedEventsError, MissedEventsRequest, Peers, PendingDelivery, PublishOutcome, RoomChange,
    SessionData, SessionStore,
};
use fanfare::{Namespace, SocketIo, SocketIoBuilder};
use tokio::sync::Semaphore;

use crate::support::Server;

/// Connection of all servers of a test.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<Mutex<Shared>>, Arc<Mutex<()>>);

#[derive(Default)]
struct Shared {
    nodes: Vec<(String, ClusterHandle)>,
    entries: Vec<Entry>,
    /// Number of entries that have been delivered.
    delivered: usize,
    sessions: HashMap<(String, String), SessionData>,
    /// Server-side events that nodes have published.
    server_events: Vec<EncodedEvent>,
    /// Called before a request between servers is passed on: the number of those before, and the function.
    on_request: Option<(usize, Box<dyn FnOnce() + Send>)>,
    /// Broadcasts that wait, by the nodes that are behind.
    behind: HashMap<String, Vec<(String, String, Broadcast)>>,
}

/// An entry of the log, with the delivery that waits at the node that appended it.
struct Entry {
    node: String,
    namespace: String,
    broadcast: Broadcast,
    pending: Option<PendingDelivery>,
}

/// The adapter of one node.
pub(crate) struct Loopback {
    bus: Bus,
    uid: String,
    state: Arc<State>,
}

/// Behaviour and record of the adapter of one node.
pub(crate) struct State {
    pub(crate) interest: Interest,
    /// Limits of its log, if it has one.
    pub(crate) log: Option<LogLimits>,
    pub(crate) outcome: Mutex<PublishOutcome>,
    pub(crate) changes: Mutex<Vec<(String, RoomChange)>>,
    /// Whether its questions fail.
    pub(crate) broken: AtomicBool,
    /// Number of lookups of missed events.
    pub(crate) looked_up: AtomicUsize,
    /// Lets lookups pass.
    pub(crate) lookups: Semaphore,
}

impl Default for State {
    fn default() -> Self {
        Self {
            interest: Interest::None,
            log: None,
            outcome: Mutex::new(PublishOutcome::Queued),
            changes: Mutex::default(),
            broken: AtomicBool::new(false),
            looked_up: AtomicUsize::new(0),
            lookups: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

/// Returns the position after this number of entries.
pub(crate) fn position(entries: usize) -> LogPosition {
    LogPosition::new(entries as u128, format!("{entries}-0"))
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }

    /// Makes broadcasts to a node wait, as they do behind a slow broker.
    pub(crate) fn delay(&self, uid: &str) {
        self.lock().behind.insert(uid.to_owned(), Vec::new());
    }

    /// Calls a function before the second request between servers is passed on.
    pub(crate) fn before_second_request(&self, call: impl FnOnce() + Send + 'static) {
        self.lock().on_request = Some((1, Box::new(call)));
    }

    fn requested(&self) {
        let mut shared = self.lock();
        let call = match &mut shared.on_request {
            Some((0, _)) => shared.on_request.take(),
            Some((before, _)) => {
                *before -= 1;
                None
            }
            None => None,
        };
        drop(shared);
        if let Some((_, call)) = call {
            call();
        }
    }

    /// Passes on the broadcasts that wait.
    pub(crate) fn catch_up(&self, uid: &str) {
        let mut shared = self.lock();
        let waiting = shared.behind.remove(uid).unwrap_or_default();
        let node = shared.nodes.iter().find(|(id, _)| id == uid).cloned();
        drop(shared);
        let (_, node) = node.unwrap();
        for (from, namespace, broadcast) in waiting {
            node.receive(&namespace, &from, broadcast);
        }
    }

    /// Removes a node, as if its process had been killed.
    pub(crate) fn kill(&self, uid: &str) {
        self.lock().nodes.retain(|(id, _)| id != uid);
    }

    /// Returns the handle of a node.
    pub(crate) fn handle(&self, uid: &str) -> ClusterHandle {
        let shared = self.lock();
        let found = shared.nodes.iter().find(|(id, _)| id == uid);
        found.unwrap().1.clone()
    }

    pub(crate) fn others(&self, uid: &str) -> Vec<(String, ClusterHandle)> {
        let shared = self.lock();
        let others = shared.nodes.iter().filter(|(id, _)| id != uid);
        others.cloned().collect()
    }

    /// Starts a node.
    pub(crate) async fn node<C>(&self, uid: &str, namespace: Namespace<C>) -> Server {
        let builder = SocketIo::builder().namespace(namespace);
        self.start(uid, builder, State::default()).await.0
    }

    pub(crate) async fn start(
        &self,
        uid: &str,
        builder: SocketIoBuilder,
        state: State,
    ) -> (Server, Arc<State>) {
        let state = Arc::new(state);
        let adapter = Loopback {
            bus: self.clone(),
            uid: uid.to_owned(),
            state: state.clone(),
        };
        (Server::start(builder.adapter(adapter)).await, state)
    }

    /// Adds another server that never answers.
    pub(crate) fn ghost(&self) {
        let elsewhere = Self::default();
        let adapter = Loopback {
            bus: elsewhere.clone(),
            uid: "ghost".to_owned(),
            state: Arc::default(),
        };
        drop(SocketIo::builder().adapter(adapter).build().unwrap());
        let ghosts = std::mem::take(&mut elsewhere.lock().nodes); // handles that refer to nothing
        self.lock().nodes.extend(ghosts);
    }

    /// Server-side events that nodes have published.
    #[cfg(feature = "operations")]
    pub(crate) fn server_events(&self) -> Vec<EncodedEvent> {
        self.lock().server_events.clone()
    }

    /// Number of entries of the log.
    pub(crate) fn appended(&self) -> usize {
        self.lock().entries.len()
    }

    /// Number of sessions in the store.
    pub(crate) fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Passes the entries of the log that are not delivered yet to all nodes, in their order.
    pub(crate) fn deliver(&self) {
        loop {
            let mut shared = self.lock();
            let index = shared.delivered;
            let nodes = shared.nodes.clone();
            let Some(entry) = shared.entries.get_mut(index) else {
                return;
            };
            let (from, namespace) = (entry.node.clone(), entry.namespace.clone());
            let (broadcast, pending) = (entry.broadcast.clone(), entry.pending.take());
            shared.delivered += 1;
            drop(shared);
            for (id, node) in nodes {
                if id != from {
                    node.receive_logged(&namespace, broadcast.clone(), &position(index + 1));
                }
            }
            if let Some(pending) = pending {
                pending.deliver(&position(index + 1));
            }
        }
    }

    /// Lets events of this node wait for [`deliver`](Self::deliver), as a log does.
    pub(crate) async fn logging(&self, uid: &str, builder: SocketIoBuilder) -> Server {
        let state = State {
            log: Some(LogLimits::default()),
            ..State::default()
        };
        self.start(uid, builder, state).await.0
    }

    /// Drops what is pending, as an adapter does that loses its connection.
    pub(crate) fn lose(&self) {
        let mut shared = self.lock();
        shared.delivered = shared.entries.len();
        let pending = shared.entries.iter_mut().filter_map(|e| e.pending.take());
        let pending: Vec<_> = pending.collect();
        drop(shared);
        drop(pending);
    }
}

impl Loopback {
    fn check(&self) -> Result<(), AdapterError> {
        match self.state.broken.load(Ordering::Relaxed) {
            true => Err(AdapterError::new("broken")),
            false => Ok(()),
        }
    }

    fn outcome(&self) -> PublishOutcome {
        *self.state.outcome.lock().unwrap()
    }
}

impl Adapter for Loopback {
    fn start(&self, cluster: ClusterHandle) {
        self.bus.lock().nodes.push((self.uid.clone(), cluster));
    }

    fn namespace_opened(&self, namespace: &str) {
        let shared = self.bus.lock();
        let (read, nodes) = (shared.delivered, shared.nodes.clone());
        drop(shared);
        if let (Some(_), Some((_, node))) = (
            self.state.log,
            nodes.iter().find(|(uid, _)| *uid == self.uid),
        ) {
            node.reads_from(namespace, &position(read));
        }
    }

    fn interest(&self) -> Interest {
        self.state.interest
    }

    fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        let changes = changes.iter().cloned();
        let changes = changes.map(|change| (namespace.to_owned(), change));
        self.state.changes.lock().unwrap().extend(changes);
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        if let ClusterMessage::ServerSideEmit(message) = &message {
            self.bus.lock().server_events.push(message.event.clone());
        }
        if matches!(message, ClusterMessage::PeerRequest(_)) {
            self.bus.requested();
        }
        // All nodes receive these messages in one order, as from a broker.
        let ordered = matches!(
            message,
            ClusterMessage::Broadcast(_) | ClusterMessage::PeerRequest(_)
        );
        let _order = ordered.then(|| self.bus.1.lock().unwrap());
        if self.outcome().is_queued() {
            for (uid, cluster) in self.bus.others(&self.uid) {
                if let ClusterMessage::Broadcast(broadcast) = &message
                    && let Some(waiting) = self.bus.lock().behind.get_mut(&uid)
                {
                    let from = self.uid.clone();
                    waiting.push((from, namespace.to_owned(), broadcast.clone()));
                    continue;
                }
                cluster.receive(namespace, &self.uid, message.clone());
            }
        }
        self.outcome()
    }

    fn respond(&self, _: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        let found = self.bus.others(&self.uid);
        let Some((_, cluster)) = found.iter().find(|(uid, _)| uid == to) else {
            return PublishOutcome::Down;
        };
        cluster.receive_response(Some(&self.uid), response);
        PublishOutcome::Queued
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        let others = self.bus.others(&self.uid).into_iter();
        let peers = Peers::Nodes(others.map(|(uid, node)| node.describe(uid)).collect());
        let checked = self.check();
        Box::pin(async move { checked.map(|()| peers) })
    }

    fn log(&self) -> Option<&dyn EventLog> {
        self.state.log.is_some().then_some(self as &dyn EventLog)
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        self.state
            .log
            .is_some()
            .then_some(self as &dyn SessionStore)
    }

    fn health(&self) -> Health {
        match self.check() {
            Ok(()) => Health::Up,
            Err(error) => Health::down(Instant::now(), error),
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus.lock().nodes.retain(|(uid, _)| *uid != self.uid);
        Box::pin(async {})
    }
}

impl EventLog for Loopback {
    fn limits(&self) -> LogLimits {
        self.state.log.unwrap_or_default()
    }

    fn append(
        &self,
        namespace: &str,
        broadcast: Broadcast,
        pending: PendingDelivery,
    ) -> PublishOutcome {
        match self.outcome() {
            PublishOutcome::Queued => {}
            PublishOutcome::Full => {
                pending.discard();
                return PublishOutcome::Full;
            }
            outcome => {
                self.bus.lose();
                return outcome;
            }
        }
        self.bus.lock().entries.push(Entry {
            node: self.uid.clone(),
            namespace: namespace.to_owned(),
            broadcast,
            pending: Some(pending),
        });
        PublishOutcome::Queued
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        request: MissedEventsRequest,
    ) -> BoxFuture<'a, Result<Vec<LoggedEvent>, MissedEventsError>> {
        Box::pin(async move {
            self.state.looked_up.fetch_add(1, Ordering::Relaxed);
            let _pass = self.state.lookups.acquire().await.unwrap();
            let shared = self.bus.lock();
            let number = request.after.strip_suffix("-0");
            let after = number.and_then(|number| number.parse::<usize>().ok());
            let after = after.filter(|after| *after <= shared.entries.len());
            let after = after.ok_or(MissedEventsError::UnknownPosition)?;
            let entries = shared.entries.iter().enumerate().skip(after);
            let missed = entries.filter(|(_, entry)| {
                entry.namespace == namespace && request.concerns(&entry.broadcast.options)
            });
            Ok(missed
                .map(|(i, entry)| LoggedEvent::new(position(i + 1), entry.broadcast.event.clone()))
                .collect())
        })
    }
}

impl SessionStore for Loopback {
    fn store(&self, namespace: &str, session: SessionData, _: Duration) -> PublishOutcome {
        let key = (namespace.to_owned(), session.private_id.clone());
        self.bus.lock().sessions.insert(key, session);
        PublishOutcome::Queued
    }

    fn take<'a>(
        &'a self,
        namespace: &'a str,
        private_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionData>, AdapterError>> {
        let key = (namespace.to_owned(), private_id.to_owned());
        let checked = self.check();
        let taken = checked.map(|()| self.bus.lock().sessions.remove(&key));
        Box::pin(async move { taken })
    }
}
