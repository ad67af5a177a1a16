//! Operations of a namespace that involve other nodes.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare_protocol::socket::{EncodeError, IntoArgs};
use fanfare_protocol::{EncodedEvent, Escaped};
use serde::de::DeserializeOwned;

use super::{Namespace, NamespaceHandle};
use crate::ack::ServerSideAckFuture;
use crate::adapter::{
    AdapterError, FetchSocketsError, Peers, PublishOutcome, RemoteSocket, ServerEvent,
    ServerSideEmit, ServerSideEmitError,
};
use crate::log_target;

#[cold]
fn alone(event: &str) {
    let event = Escaped(event);
    tracing::debug!(target: log_target::CLUSTER, %event, "a server-side event without an adapter reaches no server");
}

fn server_event(event: &str, args: &impl IntoArgs) -> Result<EncodedEvent, EncodeError> {
    if matches!(event, "connect" | "connection" | "new_namespace") {
        return Err(EncodeError::ReservedEvent(event.to_owned()));
    }
    EncodedEvent::new(event, args)
}

impl Namespace {
    /// Adds a handler for an event that another server of the cluster sends with
    /// [`server_side_emit`](NamespaceHandle::server_side_emit). Of several handlers of one event the first may answer.
    ///
    /// ```
    /// use fanfare::adapter::ServerEvent;
    /// use fanfare::Namespace;
    ///
    /// let ns = Namespace::new("/").on_server_event("count", async |event: ServerEvent| {
    ///     let clients = event.namespace().len();
    ///     event.ack(clients).ok();
    /// });
    /// ```
    pub fn on_server_event<F, Fut>(self, event: impl AsRef<str>, handler: F) -> Self
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.add_server_event(event.as_ref(), handler)
    }
}

impl<C> Namespace<C> {
    pub(crate) fn add_server_event<F, Fut>(mut self, event: &str, handler: F) -> Self
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(move |event| Box::pin(handler(event)) as _);
        self.behaviour.add_server_event(event, handler);
        self
    }
}

impl NamespaceHandle {
    /// Returns the sockets of the namespace on all servers of the cluster.
    ///
    /// # Errors
    /// As [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets).
    ///
    /// # Cancel safety
    /// As [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets).
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.everyone().fetch_sockets().await
    }

    /// Returns the ids of the sockets of the namespace on all servers of the cluster.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        self.everyone().all_sockets().await
    }

    /// Returns the other servers of the cluster, with what is known of them. Without an adapter there are none.
    ///
    /// # Errors
    /// If the adapter cannot determine them.
    pub async fn peers(&self) -> Result<Peers, AdapterError> {
        match &self.0.cluster {
            None => Ok(Peers::Nodes(Vec::new())),
            Some(cluster) => cluster.adapter.peers(&self.0.name).await,
        }
    }

    /// Returns the number of servers in the cluster, including this one.
    ///
    /// # Errors
    /// If the adapter cannot determine the number.
    pub async fn server_count(&self) -> Result<usize, AdapterError> {
        Ok(1 + self.peers().await?.len())
    }

    /// Sends an event to the *other* servers of the cluster, where the handlers of
    /// [`on_server_event`](Namespace::on_server_event) receive it. Without an adapter there are none.
    ///
    /// # Errors
    /// [`ServerSideEmitError`].
    pub fn server_side_emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<(), ServerSideEmitError> {
        let event = event.as_ref();
        let message = ServerSideEmit::new(server_event(event, &args)?);
        let Some(cluster) = &self.0.cluster else {
            alone(event);
            return Ok(());
        };
        match cluster.publish(&self.0.name, message) {
            PublishOutcome::Queued => Ok(()),
            outcome => Err(ServerSideEmitError::unreachable(outcome)),
        }
    }

    /// Sends an event as [`server_side_emit`](Self::server_side_emit) does, at once, and collects one answer from each of
    /// the other servers, for at most 5 s from the call. Without an adapter there are none.
    ///
    /// ```
    /// # async fn f(io: &fanfare::SocketIo) -> Result<(), Box<dyn std::error::Error>> {
    /// let clients: Vec<usize> = io.of("/").server_side_emit_with_ack("count", ()).await?;
    /// println!("{} clients on the other servers", clients.iter().sum::<usize>());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The future returns [`ServerSideEmitError`]; after a timeout it contains the answers that arrived.
    pub fn server_side_emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> ServerSideAckFuture<R> {
        let event = event.as_ref();
        let message = match server_event(event, &args) {
            Ok(event) => ServerSideEmit::new(event),
            Err(error) => return ServerSideAckFuture::ready(Err(error.into())),
        };
        let Some(cluster) = &self.0.cluster else {
            alone(event);
            return ServerSideAckFuture::ready(Ok(Vec::new()));
        };
        match cluster.request(&self.0, |id| message.request_id(id)) {
            Ok(request) => ServerSideAckFuture::new(self.0.clone(), request),
            Err(error) => ServerSideAckFuture::ready(Err(ServerSideEmitError::unreachable(error))),
        }
    }
}
