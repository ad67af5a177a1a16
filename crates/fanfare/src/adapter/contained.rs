//! An adapter whose panics become errors.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Adapter, AdapterError, Broadcast, ClusterHandle, ClusterMessage, ClusterResponse, Health,
    Interest, LogLimits, LoggedEvent, MissedEventsError, MissedEventsRequest, NodeInfo, Peers,
    PendingDelivery, PublishOutcome, RoomChange, SessionData,
};
use crate::contain::{contain, contain_future};

/// Wraps the adapter of the application.
pub(crate) struct Contained(Arc<dyn Adapter>);

const HOOK: &str = "adapter";

fn panicked() -> AdapterError {
    AdapterError::new("the adapter panicked")
}

impl Contained {
    pub(super) fn new(adapter: Arc<dyn Adapter>) -> Self {
        Self(adapter)
    }

    /// Starts the adapter; a panic fails `build`.
    pub(crate) fn start(&self, cluster: ClusterHandle) {
        self.0.start(cluster);
    }

    pub(crate) fn namespace_opened(&self, namespace: &str) {
        contain(HOOK, || self.0.namespace_opened(namespace));
    }

    pub(crate) fn namespace_closed(&self, namespace: &str) {
        contain(HOOK, || self.0.namespace_closed(namespace));
    }

    /// Returns the rooms that the adapter wants to know; a panic fails `build`.
    pub(super) fn interest(&self) -> Interest {
        self.0.interest()
    }

    pub(crate) fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        contain(HOOK, || self.0.rooms_changed(namespace, changes));
    }

    pub(super) fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        contain(HOOK, || self.0.publish(namespace, message)).unwrap_or(PublishOutcome::Down)
    }

    pub(super) fn respond(
        &self,
        namespace: &str,
        to: &str,
        response: ClusterResponse,
    ) -> PublishOutcome {
        contain(HOOK, || self.0.respond(namespace, to, response)).unwrap_or(PublishOutcome::Down)
    }

    pub(crate) async fn peers(&self, namespace: &str) -> Result<Peers, AdapterError> {
        let peers = contain_future(HOOK, || self.0.peers(namespace)).await;
        peers.unwrap_or_else(|| Err(panicked()))
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<NodeInfo>, AdapterError> {
        let nodes = contain_future(HOOK, || self.0.nodes()).await;
        nodes.unwrap_or_else(|| Err(panicked()))
    }

    pub(crate) fn health(&self) -> Health {
        let now = std::time::Instant::now();
        contain(HOOK, || self.0.health()).unwrap_or_else(|| Health::down(now, panicked()))
    }

    pub(crate) async fn close(&self) {
        contain_future(HOOK, || self.0.close()).await;
    }

    /// Returns the limits of the log, if the adapter has one; a panic fails `build`.
    pub(super) fn log_limits(&self) -> Option<LogLimits> {
        self.0.log().map(|log| log.limits())
    }

    pub(super) fn append(
        &self,
        namespace: &str,
        broadcast: Broadcast,
        pending: PendingDelivery,
    ) -> PublishOutcome {
        let append = || Some(self.0.log()?.append(namespace, broadcast, pending));
        contain(HOOK, append)
            .flatten()
            .unwrap_or(PublishOutcome::Down)
    }

    pub(crate) async fn missed(
        &self,
        namespace: &str,
        request: MissedEventsRequest,
    ) -> Result<Vec<LoggedEvent>, MissedEventsError> {
        let missed = contain_future(HOOK, || match self.0.log() {
            Some(log) => log.missed(namespace, request),
            None => Box::pin(async { Err(MissedEventsError::UnknownPosition) }),
        });
        missed.await.unwrap_or_else(|| Err(panicked().into()))
    }

    /// Whether the adapter stores sessions; a panic fails `build`.
    pub(super) fn has_sessions(&self) -> bool {
        self.0.sessions().is_some()
    }

    pub(super) fn store(
        &self,
        namespace: &str,
        session: SessionData,
        lifetime: Duration,
    ) -> PublishOutcome {
        let store = || Some(self.0.sessions()?.store(namespace, session, lifetime));
        contain(HOOK, store)
            .flatten()
            .unwrap_or(PublishOutcome::Down)
    }

    pub(crate) async fn take(
        &self,
        namespace: &str,
        private_id: &str,
    ) -> Result<Option<SessionData>, AdapterError> {
        let taken = contain_future(HOOK, || match self.0.sessions() {
            Some(sessions) => sessions.take(namespace, private_id),
            None => Box::pin(async { Ok(None) }),
        });
        taken.await.unwrap_or_else(|| Err(panicked()))
    }
}
