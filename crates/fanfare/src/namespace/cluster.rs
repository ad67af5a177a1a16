//! What a namespace does beyond this node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::socket::{ArgsBuf, EncodeError, IntoArgs};
use serde::de::DeserializeOwned;

use super::{Namespace, NamespaceHandle};
use crate::adapter::{
    AdapterError, ClusterMessage, FetchSocketsError, RemoteSocket, ServerEvent,
    ServerSideEmitError, from_value, to_values,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

fn event_data(
    event: &str,
    args: &impl IntoArgs,
) -> Result<Vec<fanfare_protocol::Value>, EncodeError> {
    if matches!(event, "connect" | "connection" | "new_namespace") {
        return Err(EncodeError::ReservedEvent(event.to_owned()));
    }
    to_values(event, args)
}

impl Namespace {
    /// Adds a handler for an event that another server of the cluster sends with
    /// [`server_side_emit`](NamespaceHandle::server_side_emit). Of several handlers of one event the first may answer.
    ///
    /// ```
    /// use fanfare::{Namespace, ServerEvent};
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
    /// The sockets of the namespace, of all servers of the cluster.
    ///
    /// # Errors
    /// As [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets).
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.everyone().fetch_sockets().await
    }

    /// The ids of the sockets of the namespace, of all servers of the cluster.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        self.everyone().all_sockets().await
    }

    /// How many servers the cluster has, this one included.
    ///
    /// # Errors
    /// If the adapter cannot tell.
    pub async fn server_count(&self) -> Result<usize, AdapterError> {
        match &self.0.cluster {
            None => Ok(1),
            Some(cluster) => Ok(1 + cluster.adapter.peers(&self.0.name).await?.len()),
        }
    }

    /// Sends an event to the *other* servers of the cluster, where the handlers of
    /// [`on_server_event`](Namespace::on_server_event) get it. Without an adapter there are none.
    ///
    /// # Errors
    /// [`ServerSideEmitError`].
    pub fn server_side_emit(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> Result<(), ServerSideEmitError> {
        let data = event_data(event, &args)?;
        match &self.0.cluster {
            None => {
                tracing::debug!(
                    event,
                    "a server-side event without an adapter reaches nobody"
                );
                Ok(())
            }
            Some(cluster) => {
                let message = ClusterMessage::ServerSideEmit {
                    data,
                    request_id: None,
                };
                Ok(cluster.adapter.publish(&self.0.name, message)?)
            }
        }
    }

    /// As [`server_side_emit`](Self::server_side_emit), and gathers one answer of each of the other servers, for at
    /// most 5 s. Without an adapter there are none.
    ///
    /// # Errors
    /// [`ServerSideEmitError`]; at a timeout the answers that did come are in it.
    pub async fn server_side_emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> Result<Vec<R>, ServerSideEmitError<R>> {
        let data = event_data(event, &args)?;
        drop(args);
        let Some(cluster) = &self.0.cluster else {
            tracing::debug!(
                event,
                "a server-side event without an adapter reaches nobody"
            );
            return Ok(Vec::new());
        };
        let request = cluster.request(&self.0, |id| ClusterMessage::ServerSideEmit {
            data,
            request_id: Some(id),
        })?;
        let finished = tokio::time::timeout(ANSWER_TIMEOUT, request.finished()).await;
        let missing = request.pending.missing();
        let values = request.pending.take_values();
        let answers = values.iter().filter_map(from_value);
        let responses = answers
            .map(|answer: ArgsBuf| answer.decode())
            .collect::<Result<Vec<R>, _>>()?;
        match finished {
            Ok(result) => {
                result?;
                Ok(responses)
            }
            Err(_) => Err(ServerSideEmitError::Timeout {
                timeout: ANSWER_TIMEOUT,
                responses,
                missing,
            }),
        }
    }
}
