//! Messages that arrive from other nodes.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fanfare_protocol::socket::is_reserved_event;
use fanfare_protocol::{EncodedEvent, EncodedValue, Escaped};

use super::traffic::Kind;
use super::{
    Broadcast, ClusterAnswer, ClusterInner, ClusterMessage, ClusterOptions, ClusterResponse,
    LogPosition, NodeInfo, ServerEvent, socket_data,
};
use crate::broadcast::BroadcastOperator;
use crate::contain::contain_future;
use crate::error::EmitError;
use crate::handler::reports;
use crate::log_target;
use crate::namespace::{NamespaceHandle, NamespaceInner};
use crate::recovery::answer_peer;
use crate::server::IoInner;

/// Time until a request to other nodes fails, Node's `requestsTimeout`.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Handle of the server for an [`Adapter`](super::Adapter). Cheap to clone; it does not keep the server alive.
#[derive(Clone)]
pub struct ClusterHandle(Weak<IoInner>);

impl ClusterHandle {
    pub(crate) fn new(io: Weak<IoInner>) -> Self {
        Self(io)
    }

    fn namespace(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        self.0.upgrade()?.find_namespace(name)
    }

    fn cluster(&self) -> Option<Arc<ClusterInner>> {
        self.0.upgrade()?.settings.cluster.clone()
    }

    /// Returns the namespaces that exist on this node.
    pub fn namespaces(&self) -> Vec<String> {
        let names = |io: Arc<IoInner>| io.namespace_names();
        self.0.upgrade().map(names).unwrap_or_default()
    }

    /// Returns a namespace, if it exists on this node.
    pub fn namespace_handle(&self, name: &str) -> Option<NamespaceHandle> {
        self.namespace(name).map(NamespaceHandle)
    }

    /// Describes this node under the id that the adapter gives it: with its version and the number of its connections.
    pub fn describe(&self, id: impl Into<String>) -> NodeInfo {
        let io = self.0.upgrade();
        let clients = io.and_then(|io| io.engine().map(|engine| engine.connections()));
        let node = NodeInfo::new(id).version(concat!("fanfare ", env!("CARGO_PKG_VERSION")));
        match clients {
            Some(clients) => node.clients(clients),
            None => node,
        }
    }

    /// Calls `work`, in which an adapter passes on several messages: what these send to a client leaves with one write
    /// when `work` returns. It must be bounded, as other clients wait meanwhile.
    ///
    /// ```
    /// use fanfare::adapter::{ClusterHandle, ClusterMessage};
    ///
    /// /// Passes on the messages that one read of the broker's socket brought.
    /// fn received(cluster: &ClusterHandle, messages: Vec<ClusterMessage>) {
    ///     cluster.batch(|| {
    ///         for message in messages {
    ///             cluster.receive("/", "node-2", message);
    ///         }
    ///     });
    /// }
    /// # let _ = received;
    /// ```
    pub fn batch<T>(&self, work: impl FnOnce() -> T) -> T {
        fanfare_engine::batch(work)
    }

    /// Handles a message from another node. Messages for namespaces that do not exist here are ignored, except that
    /// requests are answered, so that the other node does not wait for its timeout.
    ///
    /// Must be called within the runtime of the server.
    pub fn receive(&self, namespace: &str, from: &str, message: impl Into<ClusterMessage>) {
        let Some(cluster) = self.cluster() else {
            return;
        };
        let message = message.into();
        cluster.traffic().received(Kind::of(&message));
        match (message, self.namespace(namespace)) {
            (ClusterMessage::Broadcast(message), found) => match (message.request_id, found) {
                (None, Some(found)) => deliver(&found, &message.event, message.options, None),
                (Some(request_id), Some(found)) => {
                    let Broadcast { event, options, .. } = message;
                    cluster.deliver_with_ack(found, from, &event, options, request_id);
                }
                (Some(request_id), None) => {
                    cluster.answer(namespace, from, request_id, ClusterAnswer::ClientCount(0));
                }
                (None, None) => {}
            },
            (ClusterMessage::SocketsJoin(message), Some(found)) => {
                here(found, message.options).sockets_join(message.rooms);
            }
            (ClusterMessage::SocketsLeave(message), Some(found)) => {
                here(found, message.options).sockets_leave(message.rooms);
            }
            (ClusterMessage::DisconnectSockets(message), Some(found)) => {
                here(found, message.options).disconnect_sockets(message.close);
            }
            (ClusterMessage::FetchSockets(message), found) => {
                let sockets = found.map_or_else(Vec::new, |found| {
                    let sockets = here(found, message.options).sockets();
                    sockets.iter().map(socket_data).collect()
                });
                let answer = ClusterAnswer::Sockets(sockets);
                cluster.answer(namespace, from, message.request_id, answer);
            }
            (ClusterMessage::PeerRequest(message), found) => {
                answer_peer(&cluster, found.as_ref(), namespace, from, message);
            }
            (ClusterMessage::ServerSideEmit(message), Some(found)) => {
                cluster.server_event(found, from, &message.event, message.request_id);
            }
            // For no namespace of this node, or of a kind that this version does not know: ignored, as Node does.
            (_, _) => {}
        }
    }

    /// Delivers a broadcast of another node that the adapter has read from its log. Calls for one namespace, and those
    /// of [`PendingDelivery::deliver`](super::PendingDelivery::deliver), come in the order of the log.
    ///
    /// Must be called within the runtime of the server.
    pub fn receive_logged(&self, namespace: &str, broadcast: Broadcast, position: &LogPosition) {
        if let Some(cluster) = self.cluster() {
            cluster.traffic().received(Kind::Broadcast);
        }
        if let Some(found) = self.namespace(namespace) {
            deliver(&found, &broadcast.event, broadcast.options, Some(position));
        }
    }

    /// Records the position in the log from which the adapter reads the broadcasts of a namespace, before it reads the
    /// first. A client that joins before any event was delivered is later brought up to date from here.
    pub fn reads_from(&self, namespace: &str, position: &LogPosition) {
        if let Some(found) = self.namespace(namespace)
            && let Some(recovery) = &found.cluster_recovery
        {
            recovery.reads_from(position);
        }
    }

    /// Handles an answer from another node, with its id if the wire format has it. Answers without an id, as those of
    /// the classic Redis adapter, are counted: then [`Peers::Count`](super::Peers::Count) says how many there must be,
    /// and the adapter passes each on once.
    pub fn receive_response(&self, from: Option<&str>, response: ClusterResponse) {
        let Some(cluster) = self.cluster() else {
            return;
        };
        cluster.traffic().received(Kind::Answer);
        if let Some(pending) = cluster.find(&response.request_id) {
            pending.receive(from, response.answer);
        }
    }

    /// Whether a request of this node waits for answers: an adapter that receives the answers to all nodes need not read
    /// the others.
    pub fn awaits_response(&self, request_id: &str) -> bool {
        let cluster = self.cluster();
        cluster.is_some_and(|cluster| cluster.find(request_id).is_some())
    }

    /// Whether a socket of this node is in a room or has this id, or one that may come back was or had: an adapter that
    /// receives the messages for all rooms need not read the others.
    pub fn has_room(&self, namespace: &str, room: &str) -> bool {
        let namespace = self.namespace(namespace);
        namespace.is_some_and(|namespace| {
            namespace.rooms.read().has_recipients(room) || namespace.held_rooms.has(room)
        })
    }

    /// Marks another node as gone: requests no longer wait for it.
    pub fn node_left(&self, node: &str) {
        if let Some(cluster) = self.cluster() {
            cluster.node_left(node);
        }
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterHandle")
    }
}

fn here(namespace: Arc<NamespaceInner>, options: ClusterOptions) -> BroadcastOperator {
    BroadcastOperator::from_options(namespace, options).local()
}

/// Whether the event of another node may be sent to clients.
fn may_send(event: &EncodedEvent) -> bool {
    let reserved = is_reserved_event(event.name());
    if reserved {
        let event = Escaped(event.name());
        tracing::debug!(target: log_target::CLUSTER, %event, "a broadcast of another node has a reserved name");
    }
    !reserved
}

fn deliver(
    namespace: &Arc<NamespaceInner>,
    event: &EncodedEvent,
    options: ClusterOptions,
    position: Option<&LogPosition>,
) {
    if may_send(event) {
        here(namespace.clone(), options).deliver_or_report(event, position);
    }
}

pub(crate) fn not_sent(namespace: &NamespaceInner, event: &str, error: &EmitError) {
    if let EmitError::TooManyRooms(error) = error {
        reports::too_many_rooms(namespace, *error);
    }
    let event = Escaped(event);
    tracing::debug!(target: log_target::CLUSTER, %error, %event, "a broadcast cannot be sent");
}

impl ClusterInner {
    fn deliver_with_ack(
        self: &Arc<Self>,
        namespace: Arc<NamespaceInner>,
        from: &str,
        event: &EncodedEvent,
        options: ClusterOptions,
        request_id: String,
    ) {
        let name = namespace.name.clone();
        if !may_send(event) {
            return self.answer(&name, from, request_id, ClusterAnswer::ClientCount(0));
        }
        let timeout = options.flags.timeout.unwrap_or(REQUEST_TIMEOUT);
        let (cluster, to, id) = (self.clone(), from.to_owned(), request_id.clone());
        let ack_name = name.clone();
        let forward = move |value: EncodedValue| {
            cluster.answer(&ack_name, &to, id.clone(), ClusterAnswer::Ack(value));
        };
        let operator = here(namespace.clone(), options);
        let sent = operator.forward_acks(event, timeout, forward, |clients| {
            // Sent before the event, so that no acknowledgement overtakes it.
            self.answer(&name, from, request_id, ClusterAnswer::ClientCount(clients));
        });
        if let Err(error) = sent {
            not_sent(&namespace, event.name(), &error);
        }
    }

    fn server_event(
        self: &Arc<Self>,
        namespace: Arc<NamespaceInner>,
        from: &str,
        event: &EncodedEvent,
        request_id: Option<String>,
    ) {
        let own = namespace.io().and_then(|io| io.own_event(event.name()));
        let handlers = match &own {
            Some(own) => std::slice::from_ref(own),
            None => namespace.behaviour.server_handlers(event.name()),
        };
        if handlers.is_empty() {
            let (namespace, event) = (Escaped(&namespace.name), Escaped(event.name()));
            tracing::debug!(target: log_target::CLUSTER, %namespace, %event, "no handler for this server-side event");
        }
        for (i, handler) in handlers.iter().enumerate() {
            // Only the answer of the first handler counts.
            let answer = request_id.clone().filter(|_| i == 0).map(|request_id| {
                let (cluster, to) = (self.clone(), from.to_owned());
                let name = namespace.name.clone();
                let send = move |value| {
                    let answer = ClusterAnswer::ServerSideEmit(value);
                    cluster.answer(&name, &to, request_id, answer);
                };
                Box::new(send) as Box<dyn FnOnce(EncodedValue) + Send + Sync>
            });
            let event = ServerEvent {
                namespace: NamespaceHandle(namespace.clone()),
                event: event.clone(),
                answer,
            };
            if let Some(io) = namespace.io() {
                let handler = handler.clone();
                let handled = async move {
                    contain_future("on_server_event", || handler(event)).await;
                };
                crate::server::run_or_spawn(&io.running, handled);
            }
        }
    }
}
