//! Broadcasts beyond this node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::Connection;
use fanfare_protocol::Value;
use fanfare_protocol::socket::IntoArgs;

use super::BroadcastOperator;
use crate::ack::Collector;
use crate::adapter::{
    ClusterFlags, ClusterInner, ClusterMessage, ClusterOptions, FetchSocketsError, RemoteAcks,
    RemoteSocket, SocketData, to_values,
};
use crate::client::Client;
use crate::encode::encode_event;
use crate::error::EmitError;
use crate::namespace::NamespaceInner;
use crate::rooms::Audience;

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

impl BroadcastOperator {
    /// What another node asks for.
    pub(crate) fn from_options(namespace: Arc<NamespaceInner>, options: ClusterOptions) -> Self {
        Self {
            rooms: options.rooms.into(),
            except: options.except.into(),
            volatile: options.flags.volatile,
            compress: options.flags.compress.unwrap_or(true),
            timeout: options.flags.timeout,
            ..Self::new(namespace)
        }
    }

    fn cluster_options(&self) -> ClusterOptions {
        let sender = self.sender.iter().map(|socket| socket.0.id.to_string());
        ClusterOptions {
            rooms: self.rooms.to_vec(),
            except: self.except.iter().cloned().chain(sender).collect(),
            flags: ClusterFlags {
                volatile: self.volatile,
                compress: (!self.compress).then_some(false),
                timeout: self.timeout,
            },
        }
    }

    /// The other nodes, if there may be some and they are meant.
    fn cluster(&self) -> Option<&Arc<ClusterInner>> {
        self.namespace.cluster.as_ref().filter(|_| !self.local)
    }

    /// Tells the other nodes.
    pub(super) fn publish(&self, message: impl FnOnce(ClusterOptions) -> ClusterMessage) {
        if let Some(cluster) = self.cluster() {
            cluster.publish(&self.namespace.name, message(self.cluster_options()));
        }
    }

    #[cold]
    pub(super) fn publish_event(&self, event: &str, args: &impl IntoArgs) -> Result<(), EmitError> {
        if self.cluster().is_some() {
            let data = to_values(event, args)?;
            self.publish(|options| ClusterMessage::Broadcast {
                data,
                options,
                request_id: None,
            });
        }
        Ok(())
    }

    /// Asks the clients of the other nodes.
    pub(super) fn request_acks(
        &self,
        event: &str,
        args: &impl IntoArgs,
        timeout: Duration,
    ) -> Result<Option<RemoteAcks>, EmitError> {
        let Some(cluster) = self.cluster() else {
            return Ok(None);
        };
        let data = to_values(event, args)?;
        let mut options = self.cluster_options();
        options.flags.timeout = Some(timeout);
        let request = cluster.request(&self.namespace, |id| ClusterMessage::Broadcast {
            data,
            options,
            request_id: Some(id),
        });
        match request {
            Ok(request) => Ok(Some(request)),
            Err(error) => {
                let namespace = &self.namespace.name;
                cluster.complain(namespace, &error, "asked the clients of this node only");
                Ok(None)
            }
        }
    }

    /// Sends an event of another node with an acknowledgement; `counted` hears how many clients it goes to, then
    /// `forward` each answer.
    pub(crate) fn forward_acks(
        &self,
        event: &str,
        args: &impl IntoArgs,
        timeout: Duration,
        forward: impl Fn(Value) + Send + Sync + 'static,
        counted: impl FnOnce(usize),
    ) -> Result<(), EmitError> {
        let id = self.namespace.next_ack_id();
        let message = match encode_event(
            &self.namespace.codec,
            &self.namespace.name,
            Some(id),
            event,
            args,
        ) {
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
        let collector = Collector::forwarding(ids, move |payload| {
            forward(payload.decode().unwrap_or_default());
        });
        let acks = &self.namespace.broadcast_acks;
        acks.register(id, collector.clone());
        let audience: Audience<Connection<Client>> = recipients
            .iter()
            .map(|socket| socket.0.connection.clone())
            .collect();
        fanfare_engine::broadcast(&audience, &message, self.options(), None);
        for socket in recipients.iter().filter(|socket| !socket.connected()) {
            acks.gone(&socket.0.id);
        }
        let namespace = self.namespace.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(timeout, collector.finished()).await;
            namespace.broadcast_acks.forget(id);
        });
        Ok(())
    }

    /// The sockets concerned, of all servers of the cluster ([`local`](Self::local): of this one only). Waits for 5 s,
    /// or as long as [`timeout`](Self::timeout) says.
    ///
    /// # Errors
    /// [`FetchSocketsError`] if the other servers do not answer in time.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        let mut found: Vec<SocketData> = self.select().iter().map(SocketData::of).collect();
        if let Some(cluster) = self.cluster() {
            let options = self.cluster_options();
            let request =
                cluster.request(&self.namespace, |request_id| ClusterMessage::FetchSockets {
                    options,
                    request_id,
                })?;
            let timeout = self.timeout.unwrap_or(FETCH_TIMEOUT);
            match tokio::time::timeout(timeout, request.finished()).await {
                Ok(result) => result?,
                Err(_) => {
                    let missing = request.pending.missing();
                    return Err(FetchSocketsError::Timeout { timeout, missing });
                }
            }
            found.extend(request.pending.take_sockets());
        }
        let remote = |data| RemoteSocket::new(self.namespace.clone(), data);
        Ok(found.into_iter().map(remote).collect())
    }

    /// The ids of the sockets concerned, of all servers of the cluster.
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
