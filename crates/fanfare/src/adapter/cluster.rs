//! The server's side of a cluster: requests that wait for answers, and messages of other nodes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fanfare_engine::Occasionally;
use fanfare_protocol::Value;
use fanfare_protocol::socket::AllArgs;
use parking_lot::Mutex;

use super::pending::Pending;
use super::{
    Adapter, AdapterError, ClusterMessage, ClusterOptions, ClusterResponse, ServerEvent, SocketData,
};
use crate::broadcast::BroadcastOperator;
use crate::id::SocketId;
use crate::io::IoInner;
use crate::namespace::{NamespaceHandle, NamespaceInner};

/// Node's `requestsTimeout`.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The server, as an [`Adapter`] sees it. Cheap to clone; it does not keep the server alive.
#[derive(Clone)]
pub struct Cluster(Weak<IoInner>);

impl Cluster {
    pub(crate) fn new(io: Weak<IoInner>) -> Self {
        Self(io)
    }

    fn namespace(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        self.0.upgrade()?.find_namespace(name)
    }

    /// The namespaces that exist on this node.
    pub fn namespaces(&self) -> Vec<String> {
        let names = |io: Arc<IoInner>| io.namespace_names();
        self.0.upgrade().map(names).unwrap_or_default()
    }

    /// A namespace, if it exists on this node.
    pub fn namespace_handle(&self, name: &str) -> Option<NamespaceHandle> {
        self.namespace(name).map(NamespaceHandle)
    }

    /// A message of another node has arrived. Messages for namespaces that do not exist here are ignored, except that
    /// requests are answered, so that nobody waits.
    ///
    /// Must be called within the runtime of the server.
    pub fn receive(&self, namespace: &str, from: &str, message: ClusterMessage) {
        let Some(io) = self.0.upgrade() else { return };
        let Some(cluster) = io.settings.cluster.clone() else {
            return;
        };
        let found = io.find_namespace(namespace);
        match (message, found) {
            (
                ClusterMessage::Broadcast {
                    data,
                    options,
                    request_id,
                },
                found,
            ) => match (request_id, found) {
                (None, Some(found)) => deliver(&found, data, options),
                (Some(request_id), Some(found)) => {
                    cluster.deliver_with_ack(found, from, data, options, request_id);
                }
                (Some(request_id), None) => cluster.answer(
                    namespace,
                    from,
                    ClusterResponse::BroadcastClientCount {
                        request_id,
                        client_count: 0,
                    },
                ),
                (None, None) => {}
            },
            (ClusterMessage::SocketsJoin { options, rooms }, Some(found)) => {
                here(found, options).sockets_join(rooms);
            }
            (ClusterMessage::SocketsLeave { options, rooms }, Some(found)) => {
                here(found, options).sockets_leave(rooms);
            }
            (ClusterMessage::DisconnectSockets { options, close }, Some(found)) => {
                here(found, options).disconnect_sockets(close);
            }
            (
                ClusterMessage::FetchSockets {
                    options,
                    request_id,
                },
                found,
            ) => {
                let sockets = found.map_or_else(Vec::new, |found| {
                    let sockets = here(found, options).sockets();
                    sockets.iter().map(SocketData::of).collect()
                });
                let response = ClusterResponse::FetchSockets {
                    request_id,
                    sockets,
                };
                cluster.answer(namespace, from, response);
            }
            (ClusterMessage::ServerSideEmit { data, request_id }, Some(found)) => {
                cluster.server_event(found, from, data, request_id);
            }
            (_, None) => {}
        }
    }

    /// An answer of another node has arrived.
    pub fn receive_response(&self, from: &str, response: ClusterResponse) {
        let cluster = self.0.upgrade().and_then(|io| io.settings.cluster.clone());
        let pending = cluster.and_then(|cluster| cluster.find(response.request_id()));
        if let Some(pending) = pending {
            pending.receive(from, response);
        }
    }

    /// Another node is gone: requests no longer wait for it.
    pub fn node_left(&self, node: &str) {
        if let Some(cluster) = self.0.upgrade().and_then(|io| io.settings.cluster.clone()) {
            let requests: Vec<_> = cluster.requests.lock().values().cloned().collect();
            requests.iter().for_each(|request| request.node_left(node));
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster")
    }
}

fn here(namespace: Arc<NamespaceInner>, options: ClusterOptions) -> BroadcastOperator {
    BroadcastOperator::from_options(namespace, options).local()
}

/// The name of the event and its arguments. Numbers as names are their text, as in JavaScript.
fn split(mut data: Vec<Value>) -> Option<(String, Vec<Value>)> {
    if data.is_empty() {
        return None;
    }
    match data.remove(0) {
        Value::String(name) => Some((name, data)),
        Value::Number(number) => Some((number.to_string(), data)),
        _ => None,
    }
}

fn deliver(namespace: &Arc<NamespaceInner>, data: Vec<Value>, options: ClusterOptions) {
    let Some((event, args)) = split(data) else {
        tracing::debug!("a broadcast of another node has no event name");
        return;
    };
    let sent = here(namespace.clone(), options).emit_ref(&event, &AllArgs(args));
    if let Err(error) = sent {
        tracing::debug!(%error, event, "a broadcast of another node cannot be sent");
    }
}

/// The adapter, and the requests that wait for answers.
pub(crate) struct ClusterInner {
    pub(crate) adapter: Arc<dyn Adapter>,
    requests: Mutex<HashMap<String, Arc<Pending>>>,
    log: Occasionally,
}

impl ClusterInner {
    pub(crate) fn new(adapter: Arc<dyn Adapter>) -> Arc<Self> {
        Arc::new(Self {
            adapter,
            requests: Mutex::default(),
            log: Occasionally::every(Duration::from_secs(10)),
        })
    }

    fn find(&self, request: &str) -> Option<Arc<Pending>> {
        self.requests.lock().get(request).cloned()
    }

    /// Publishes without asking for an answer; a failure is logged, this node goes on.
    pub(crate) fn publish(&self, namespace: &str, message: ClusterMessage) {
        if let Err(error) = self.adapter.publish(namespace, message) {
            metrics::counter!("fanfare_cluster_publish_errors_total").increment(1);
            self.complain(namespace, &error, "not sent to the other nodes");
        }
    }

    /// Logs what could not be sent, now and then: without its broker a server would do so for each event.
    pub(crate) fn complain(&self, namespace: &str, error: &AdapterError, what: &str) {
        match self.log.say(Instant::now()) {
            Some(times) => tracing::warn!(namespace, %error, times, "{what}"),
            None => tracing::debug!(namespace, %error, "{what}"),
        }
    }

    fn answer(&self, namespace: &str, to: &str, response: ClusterResponse) {
        if let Err(error) = self.adapter.respond(namespace, to, response) {
            self.complain(namespace, &error, "answer not sent");
        }
    }

    /// Publishes a request, whose id is given to `message`.
    pub(crate) fn request(
        self: &Arc<Self>,
        namespace: &Arc<NamespaceInner>,
        message: impl FnOnce(String) -> ClusterMessage,
    ) -> Result<RemoteAcks, AdapterError> {
        let mut id = [0u8; 8];
        id.copy_from_slice(&SocketId::random().as_bytes()[..8]);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let pending = Arc::<Pending>::default();
        self.requests.lock().insert(id.clone(), pending.clone());
        let request = RemoteAcks {
            cluster: self.clone(),
            namespace: namespace.clone(),
            id: id.clone(),
            pending,
        };
        self.adapter.publish(&namespace.name, message(id))?;
        Ok(request)
    }

    fn deliver_with_ack(
        self: &Arc<Self>,
        namespace: Arc<NamespaceInner>,
        from: &str,
        data: Vec<Value>,
        options: ClusterOptions,
        request_id: String,
    ) {
        let timeout = options.flags.timeout.unwrap_or(REQUEST_TIMEOUT);
        let Some((event, args)) = split(data) else {
            return;
        };
        let name = namespace.name.clone();
        let (cluster, to, id) = (self.clone(), from.to_owned(), request_id.clone());
        let ack_name = name.clone();
        let forward = move |packet: Value| {
            let request_id = id.clone();
            let response = ClusterResponse::BroadcastAck { request_id, packet };
            cluster.answer(&ack_name, &to, response);
        };
        let operator = here(namespace, options);
        let clients = operator.forward_acks(&event, &AllArgs(args), timeout, forward, |clients| {
            // Before the event leaves, so that no acknowledgement overtakes it.
            let response = ClusterResponse::BroadcastClientCount {
                request_id,
                client_count: clients,
            };
            self.answer(&name, from, response);
        });
        if let Err(error) = clients {
            tracing::debug!(%error, event, "a broadcast of another node cannot be sent");
        }
    }

    fn server_event(
        self: &Arc<Self>,
        namespace: Arc<NamespaceInner>,
        from: &str,
        data: Vec<Value>,
        request_id: Option<String>,
    ) {
        let Some((event, args)) = split(data) else {
            return;
        };
        let handlers = namespace.behaviour.server_handlers(&event);
        if handlers.is_empty() {
            tracing::debug!(
                namespace = &*namespace.name,
                event,
                "no handler for this server-side event"
            );
        }
        for (i, handler) in handlers.iter().enumerate() {
            // Only one answer counts: that of the first handler.
            let answer = request_id.clone().filter(|_| i == 0).map(|request_id| {
                let (cluster, to) = (self.clone(), from.to_owned());
                let name = namespace.name.clone();
                let send = move |packet| {
                    let response = ClusterResponse::ServerSideEmit { request_id, packet };
                    cluster.answer(&name, &to, response);
                };
                Box::new(send) as Box<dyn FnOnce(Value) + Send + Sync>
            });
            let event = ServerEvent {
                namespace: NamespaceHandle(namespace.clone()),
                name: event.clone(),
                args: args.clone(),
                answer,
            };
            if let Some(io) = namespace.io() {
                crate::io::run_or_spawn(&io.running, handler(event));
            }
        }
    }
}

impl fmt::Debug for ClusterInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("requests", &self.requests.lock().len())
            .finish_non_exhaustive()
    }
}

/// A request under way; dropping it forgets it.
#[derive(Debug)]
pub(crate) struct RemoteAcks {
    cluster: Arc<ClusterInner>,
    namespace: Arc<NamespaceInner>,
    id: String,
    pub(crate) pending: Arc<Pending>,
}

impl RemoteAcks {
    /// Waits until all other nodes, and their clients where these are asked, have answered.
    pub(crate) async fn finished(&self) -> Result<(), AdapterError> {
        let peers = self.cluster.adapter.peers(&self.namespace.name).await?;
        self.pending.expect(peers);
        self.pending.finished().await;
        Ok(())
    }
}

impl Drop for RemoteAcks {
    fn drop(&mut self) {
        self.cluster.requests.lock().remove(&self.id);
    }
}
