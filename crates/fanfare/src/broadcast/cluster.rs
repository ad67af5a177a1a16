//! Broadcasts to the other nodes of a cluster.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::Connection;
use fanfare_protocol::{EncodedEvent, EncodedValue};

use super::{BroadcastOperator, BroadcastReport, RoomList};
use crate::ack::Collector;
use crate::adapter::{
    AdapterError, Broadcast, ClusterFlags, ClusterInner, ClusterMessage, ClusterOptions,
    FetchSockets, FetchSocketsError, PublishOutcome, REQUEST_TIMEOUT, RemoteRequest, RemoteSocket,
    socket_data,
};
use crate::client::Client;
use crate::encode;
use crate::error::EmitError;
use crate::namespace::NamespaceInner;
use crate::recovery::Identity;
use crate::rooms::Audience;

impl BroadcastOperator {
    /// Converts the options of another node's request.
    pub(crate) fn from_options(namespace: Arc<NamespaceInner>, options: ClusterOptions) -> Self {
        let limit = namespace.max_rooms_per_call;
        Self {
            targeted: !options.rooms.is_empty(),
            rooms: RoomList::of(options.rooms, limit),
            except: RoomList::of(options.except, limit),
            volatile: options.flags.volatile,
            compress: options.flags.compress.unwrap_or(true),
            timeout: options.flags.timeout,
            identity: match options.flags.event_id {
                Some(number) => Identity::Numbered(number),
                None => Identity::Unnumbered,
            },
            ..Self::new(namespace)
        }
    }

    fn cluster_options(&self) -> ClusterOptions {
        let sender = self.sender.iter().map(|socket| socket.0.id.to_string());
        let except = self.except.as_slice().iter().cloned().chain(sender);
        let flags = ClusterFlags::default()
            .volatile(self.volatile)
            .compress((!self.compress).then_some(false))
            .timeout(self.timeout)
            .event_id(self.identity.number());
        ClusterOptions::new(self.rooms.as_slice().to_vec())
            .except(except.collect())
            .flags(flags)
    }

    /// Returns the cluster, if the other nodes are among the recipients. An empty list of rooms, which selects no
    /// socket here, would select all sockets there.
    fn cluster(&self) -> Option<&Arc<ClusterInner>> {
        let cluster = self.namespace.cluster.as_ref();
        cluster.filter(|_| !self.local && !self.is_nobody())
    }

    /// Publishes a message to the other nodes.
    pub(super) fn publish<M: Into<ClusterMessage>>(
        &self,
        message: impl FnOnce(ClusterOptions) -> M,
    ) -> Option<PublishOutcome> {
        let cluster = self.cluster()?;
        Some(cluster.publish(&self.namespace.name, message(self.cluster_options())))
    }

    /// Sends an encoded event to the other nodes and to the clients of this one: at once, or when it has a position in
    /// the adapter's log.
    pub(crate) fn emit_shared(&self, event: &EncodedEvent) -> Result<BroadcastReport, EmitError> {
        if let Some(cluster) = self.cluster().filter(|cluster| cluster.has_log()) {
            let broadcast = Broadcast::new(event.clone(), self.cluster_options());
            let outcome = cluster.append(&self.namespace, event, broadcast, || self.clone());
            return Ok(BroadcastReport {
                cluster: Some(outcome),
                ..BroadcastReport::default()
            });
        }
        if let Some(recovery) = &self.namespace.recovery
            && self.identity == Identity::Local
            && !self.volatile
            && self.cluster().is_some()
            && let Some(unpublished) = recovery.number()
        {
            let numbered = Self {
                identity: Identity::Numbered(unpublished.number),
                ..self.clone()
            };
            // In this order, so that a server that asks for a client's missed events finds this one in the log.
            let report = numbered.deliver_shared(event, None)?;
            let cluster = numbered.publish(|options| Broadcast::new(event.clone(), options));
            return Ok(BroadcastReport { cluster, ..report });
        }
        let cluster = self.publish(|options| Broadcast::new(event.clone(), options));
        let report = self.deliver_shared(event, None)?;
        Ok(BroadcastReport { cluster, ..report })
    }

    /// Asks the clients of the other nodes for acknowledgements.
    pub(super) fn request_acks(
        &self,
        event: &EncodedEvent,
        timeout: Duration,
    ) -> Option<Result<RemoteRequest, AdapterError>> {
        let cluster = self.cluster()?;
        let mut options = self.cluster_options();
        options.flags.timeout = Some(timeout);
        Some(cluster.request(&self.namespace, |id| {
            Broadcast::new(event.clone(), options).request_id(id)
        }))
    }

    /// Sends an event of another node with an acknowledgement; `counted` receives the number of recipients, then
    /// `forward` receives each answer.
    pub(crate) fn forward_acks(
        &self,
        event: &EncodedEvent,
        timeout: Duration,
        forward: impl Fn(EncodedValue) + Send + Sync + 'static,
        counted: impl FnOnce(usize),
    ) -> Result<(), EmitError> {
        if let Err(error) = self.check() {
            counted(0);
            return Err(error.into());
        }
        let NamespaceInner { name, codec, .. } = &*self.namespace;
        let id = self.namespace.next_ack_id();
        let message = match encode::packet(codec, name, Some(id), event, None) {
            Ok(message) => message,
            Err(error) => {
                counted(0);
                return Err(error.into());
            }
        };
        let recipients = self.select();
        counted(recipients.len());
        if recipients.is_empty() {
            return Ok(());
        }
        let ids = recipients.iter().map(|socket| socket.0.id.clone());
        let acks = &self.namespace.broadcast_acks;
        let collector = Collector::forwarding(ids, acks.budget(), move |payload| {
            forward(EncodedValue::from_first(&payload.as_args()));
        });
        acks.register(id, collector.clone());
        let audience: Audience<Connection<Client>> = recipients
            .iter()
            .map(|socket| socket.0.connection.clone())
            .collect();
        fanfare_engine::broadcast(&audience, &message, self.options(), None);
        for socket in recipients.iter().filter(|socket| !socket.is_connected()) {
            acks.gone(&socket.0.id);
        }
        let namespace = self.namespace.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(timeout, collector.finished()).await;
            namespace.broadcast_acks.forget(id);
        });
        Ok(())
    }

    /// Returns the selected sockets of all servers of the cluster ([`local`](Self::local): of this server only). Waits
    /// for 5 s, or as long as [`timeout`](Self::timeout) specifies.
    ///
    /// # Errors
    /// [`FetchSocketsError`] if some of the other servers do not answer in time: it contains the sockets that were found
    /// nevertheless, and the servers that did not answer. Also if there are too many rooms.
    ///
    /// # Cancel safety
    /// The other servers may have got the request; the answers to a dropped call are discarded.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.check()?;
        let remote = |data| RemoteSocket::new(self.namespace.clone(), data);
        let own = self.select();
        let mut sockets: Vec<_> = own.iter().map(socket_data).map(remote).collect();
        drop(own);
        let Some(cluster) = self.cluster() else {
            return Ok(sockets);
        };
        let options = self.cluster_options();
        let request = cluster.request(&self.namespace, |id| FetchSockets::new(options, id));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Err(FetchSocketsError::Unreachable { sockets, error }),
        };
        let timeout = self.timeout.unwrap_or(REQUEST_TIMEOUT);
        let finished = tokio::time::timeout(timeout, request.finished()).await;
        sockets.extend(request.pending.take_sockets().into_iter().map(remote));
        match finished {
            Ok(Ok(())) => match request.pending.sockets_limit() {
                None => Ok(sockets),
                Some(limit) => Err(FetchSocketsError::TooManySockets {
                    sockets,
                    missing: request.pending.missing_peers(),
                    limit,
                }),
            },
            Ok(Err(error)) => Err(FetchSocketsError::Unreachable { sockets, error }),
            Err(_) => Err(FetchSocketsError::Timeout {
                timeout,
                sockets,
                missing: request.pending.missing_peers(),
            }),
        }
    }

    /// Returns the ids of the selected sockets of all servers of the cluster.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        let sockets = self.fetch_sockets().await?;
        Ok(sockets
            .iter()
            .map(|socket| socket.id().to_owned())
            .collect())
    }
}
