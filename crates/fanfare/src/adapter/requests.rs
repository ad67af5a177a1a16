//! The server's side of an adapter: what it publishes, and its requests that wait for answers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_cluster::unique_id;
use fanfare_engine::diagnostics::LogThrottle;
use fanfare_protocol::{EncodedEvent, EncodedValue, Escaped, Limits};
use parking_lot::Mutex;

use super::contained::Contained;
use super::log::PendingCount;
use super::pending::{Pending, SocketBudget};
use super::traffic::{self, Kind, Traffic};
use super::{
    Adapter, AdapterError, Broadcast, ClusterAnswer, ClusterMessage, ClusterResponse, Interest,
    PendingDelivery, PublishOutcome, SessionData,
};
use crate::broadcast::BroadcastOperator;
use crate::log_target;
use crate::namespace::NamespaceInner;

/// Maximum number of requests of a server that wait for answers.
const MAX_REQUESTS: usize = 65_536;

/// Interval in which failures to publish are logged once; the rest goes to the level `debug`.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The adapter, and the requests that wait for answers.
pub(crate) struct ClusterInner {
    pub(crate) adapter: Contained,
    pub(crate) interest: Interest,
    /// Count of pending broadcasts, if the adapter has a log.
    log: Option<Arc<PendingCount>>,
    has_sessions: bool,
    requests: Mutex<HashMap<String, Arc<Pending>>>,
    sockets: Arc<SocketBudget>,
    traffic: Traffic,
    throttle: LogThrottle,
}

impl ClusterInner {
    pub(crate) fn new(adapter: Arc<dyn Adapter>, limits: &Limits) -> Arc<Self> {
        let adapter = Contained::new(adapter);
        Arc::new(Self {
            interest: adapter.interest(),
            log: adapter.log_limits().map(PendingCount::new),
            has_sessions: adapter.has_sessions(),
            adapter,
            requests: Mutex::default(),
            sockets: SocketBudget::new(limits.fetch_sockets_bytes),
            traffic: Traffic::default(),
            throttle: LogThrottle::every(LOG_INTERVAL),
        })
    }

    /// Whether broadcasts of this node are delivered when they have a position in the adapter's log.
    pub(crate) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Whether connections are recovered through the adapter.
    pub(crate) fn recovers(&self) -> bool {
        self.has_log() && self.has_sessions
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns the number of requests that wait for answers.
    pub(super) fn pending_requests(&self) -> usize {
        self.requests.lock().len()
    }

    pub(super) fn find(&self, request: &str) -> Option<Arc<Pending>> {
        self.requests.lock().get(request).cloned()
    }

    pub(super) fn node_left(&self, node: &str) {
        let requests: Vec<_> = self.requests.lock().values().cloned().collect();
        requests.iter().for_each(|request| request.node_left(node));
    }

    /// Publishes a message. A failure is counted and logged, and this node continues.
    pub(crate) fn publish(
        &self,
        namespace: &str,
        message: impl Into<ClusterMessage>,
    ) -> PublishOutcome {
        let message = message.into();
        let kind = Kind::of(&message);
        let outcome = self.adapter.publish(namespace, message);
        self.checked(namespace, outcome, kind, "not sent to the other nodes")
    }

    /// Appends a broadcast to the log, and delivers it when its position is known.
    pub(crate) fn append(
        &self,
        namespace: &NamespaceInner,
        event: &EncodedEvent,
        broadcast: Broadcast,
        operator: impl FnOnce() -> BroadcastOperator,
    ) -> PublishOutcome {
        let permit = self.log.as_ref().and_then(|log| {
            let rooms = broadcast.options.rooms.iter();
            let names = rooms.chain(&broadcast.options.except).map(String::len);
            log.permit(event.data().byte_len() + names.sum::<usize>())
        });
        let outcome = match permit {
            None => PublishOutcome::Full,
            Some(permit) => {
                let pending = PendingDelivery::new(operator(), event.clone(), permit);
                self.adapter.append(&namespace.name, broadcast, pending)
            }
        };
        self.checked(
            &namespace.name,
            outcome,
            Kind::Broadcast,
            "not appended to the log",
        )
    }

    /// Stores the session of a client that lost its connection.
    pub(crate) fn store(&self, namespace: &str, session: SessionData, lifetime: Duration) {
        let outcome = self.adapter.store(namespace, session, lifetime);
        self.checked(namespace, outcome, Kind::Session, "session not stored");
    }

    pub(crate) fn answer(
        &self,
        namespace: &str,
        to: &str,
        request_id: impl Into<String>,
        answer: ClusterAnswer,
    ) {
        let response = ClusterResponse::new(request_id, answer);
        let outcome = self.adapter.respond(namespace, to, response);
        self.checked(namespace, outcome, Kind::Answer, "answer not sent");
    }

    fn checked(
        &self,
        namespace: &str,
        outcome: PublishOutcome,
        kind: Kind,
        what: &str,
    ) -> PublishOutcome {
        match outcome.is_queued() {
            true => self.traffic.sent(kind),
            false => self.failed(namespace, outcome, what),
        }
        outcome
    }

    /// Counts a failure, and logs it, throttled: without its broker a server would log one for each event.
    #[cold]
    fn failed(&self, namespace: &str, outcome: PublishOutcome, what: &str) {
        let label = outcome.label();
        metrics::counter!("fanfare_cluster_publish_errors_total", "outcome" => label).increment(1);
        let namespace = Escaped(namespace);
        match self.throttle.hit(Instant::now()) {
            Some(times) => {
                tracing::warn!(target: log_target::CLUSTER, %namespace, %outcome, times, "{what}");
            }
            None => tracing::debug!(target: log_target::CLUSTER, %namespace, %outcome, "{what}"),
        }
    }

    /// Publishes a request, whose id is passed to `message`.
    ///
    /// # Errors
    /// If it cannot be published, or [`MAX_REQUESTS`] wait for answers.
    pub(crate) fn request<M: Into<ClusterMessage>>(
        self: &Arc<Self>,
        namespace: &Arc<NamespaceInner>,
        message: impl FnOnce(String) -> M,
    ) -> Result<RemoteRequest, AdapterError> {
        let id = unique_id();
        let pending = Arc::new(Pending::new(
            namespace.broadcast_acks.budget(),
            &self.sockets,
        ));
        {
            let mut requests = self.requests.lock();
            if requests.len() >= MAX_REQUESTS {
                let error = format!("{MAX_REQUESTS} requests wait for answers");
                return Err(AdapterError::new(error));
            }
            requests.insert(id.clone(), pending.clone());
        }
        let request = RemoteRequest {
            cluster: self.clone(),
            namespace: namespace.clone(),
            id: id.clone(),
            pending,
        };
        match self.publish(&namespace.name, message(id)) {
            PublishOutcome::Queued => Ok(request),
            outcome => Err(outcome.into()),
        }
    }

    /// Publishes the changes of the metrics since the last time.
    pub(crate) fn publish_metrics(&self) {
        let health = self.adapter.health().label();
        self.traffic.publish(self.pending_requests(), health);
    }
}

impl fmt::Debug for ClusterInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("requests", &self.requests.lock().len())
            .finish_non_exhaustive()
    }
}

/// A pending request to other nodes; dropping it cancels it.
#[derive(Debug)]
pub(crate) struct RemoteRequest {
    cluster: Arc<ClusterInner>,
    namespace: Arc<NamespaceInner>,
    id: String,
    pub(crate) pending: Arc<Pending>,
}

impl RemoteRequest {
    /// Waits until all other nodes, and their clients where these are asked, have answered.
    ///
    /// # Errors
    /// If the adapter cannot determine the other nodes.
    pub(crate) async fn finished(&self) -> Result<(), AdapterError> {
        let peers = self.cluster.adapter.peers(&self.namespace.name).await?;
        self.pending.expect(peers);
        self.pending.finished().await;
        Ok(())
    }

    /// Waits for the first answer that `choose` accepts; `None` if all other nodes have answered, and none is.
    ///
    /// # Errors
    /// If the adapter cannot determine the other nodes.
    pub(crate) async fn first<T>(
        &self,
        mut choose: impl FnMut(&EncodedValue) -> Option<T>,
    ) -> Result<Option<T>, AdapterError> {
        let peers = self.cluster.adapter.peers(&self.namespace.name);
        let first = self.pending.first(&mut choose);
        let (mut peers, mut first) = (std::pin::pin!(peers), std::pin::pin!(first));
        tokio::select! {
            biased;
            found = &mut first => return Ok(found),
            peers = &mut peers => self.pending.expect(peers?),
        }
        Ok(first.await)
    }
}

impl Drop for RemoteRequest {
    fn drop(&mut self) {
        self.cluster.requests.lock().remove(&self.id);
        if !self.pending.is_satisfied() {
            traffic::incomplete();
        }
    }
}
