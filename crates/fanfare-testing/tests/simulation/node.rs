//! An adapter made of the parts that all adapters share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant as StdInstant;

use bytes::Bytes;
use fanfare::adapter::{
    AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Health, HealthState,
    Interest, Peers, PublishOutcome, RoomChange,
};
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{
    DuplicateFilter, Membership, MembershipEvent, MembershipOptions, PublishQueue, QueueLimits,
    QueueReader, SubscriptionChange, SubscriptionOptions, Subscriptions, publish_queue,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::network::{Network, Topic};

/// Bytes of the number in front of each message.
const NUMBER_BYTES: usize = 8;

struct Outgoing {
    topic: Topic,
    message: AdapterMessage,
}

struct Shared {
    id: String,
    network: Network,
    queue: PublishQueue<Outgoing>,
    reader: Mutex<Option<QueueReader<Outgoing>>>,
    nodes: Mutex<Membership>,
    rooms: Mutex<Subscriptions>,
    /// Notified when rooms or nodes have changed.
    changed: Notify,
    health: HealthState,
    next_number: AtomicU64,
}

pub(crate) struct Adapter(Arc<Shared>);

fn now() -> StdInstant {
    Instant::now().into_std()
}

impl Adapter {
    pub(crate) fn new(number: usize, network: Network) -> Self {
        let id = format!("node-{number:02}");
        let (queue, reader) = publish_queue(QueueLimits::default());
        Self(Arc::new(Shared {
            nodes: Mutex::new(Membership::new(id.clone(), MembershipOptions::default())),
            rooms: Mutex::new(Subscriptions::new(SubscriptionOptions::default())),
            id,
            network,
            queue,
            reader: Mutex::new(Some(reader)),
            changed: Notify::new(),
            health: HealthState::new(),
            next_number: AtomicU64::new(0),
        }))
    }
}

impl Shared {
    fn push(&self, topic: Topic, message: AdapterMessage) -> PublishOutcome {
        // An answer to one node does not count as a heartbeat for the others.
        if topic == Topic::All {
            self.nodes.lock().published(now());
        }
        match self.queue.try_push(Outgoing { topic, message }, 100) {
            Ok(()) => PublishOutcome::Queued,
            Err(error) => error.into(),
        }
    }

    fn send(&self, out: &Outgoing) {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let mut bytes = number.to_be_bytes().to_vec();
        let encoded = out.message.encode(&self.id, Some("/"));
        bytes.extend_from_slice(encoded.as_bytes());
        self.network.send(&self.id, &out.topic, &bytes.into());
    }

    /// Carries out the outputs of the state machines.
    fn act(&self, cluster: &ClusterHandle, filter: &mut DuplicateFilter) {
        loop {
            let event = self.nodes.lock().poll();
            match event {
                Some(MembershipEvent::Publish(message)) => {
                    self.push(Topic::All, message);
                }
                Some(MembershipEvent::Left(node)) => {
                    cluster.node_left(&node);
                    filter.forget(&node);
                }
                Some(MembershipEvent::Joined(_)) => {}
                Some(event) => panic!("{event:?}"),
                None => break,
            }
        }
        loop {
            let change = self.rooms.lock().poll();
            match change {
                Some(SubscriptionChange::Subscribe(rooms)) => {
                    self.network.subscribe(&self.id, rooms);
                }
                Some(SubscriptionChange::Unsubscribe(rooms)) => {
                    self.network.unsubscribe(&self.id, &rooms);
                }
                None => break,
            }
        }
    }

    fn receive(&self, cluster: &ClusterHandle, filter: &mut DuplicateFilter, payload: &Bytes) {
        let (number, payload) = (payload.slice(..NUMBER_BYTES), payload.slice(NUMBER_BYTES..));
        let number = u64::from_be_bytes(number[..].try_into().unwrap());
        let envelope = Envelope::read(&payload).unwrap();
        if !filter.is_new(envelope.uid(), number) {
            return;
        }
        let message = envelope.decode().unwrap();
        let (from, namespace) = (envelope.uid(), envelope.namespace().unwrap());
        if !self.nodes.lock().received(from, &message, now()) {
            return;
        }
        match message {
            AdapterMessage::Message(message) => cluster.receive(namespace, from, message),
            AdapterMessage::Response(response) => {
                cluster.receive_response(Some(from), response);
            }
            _ => {}
        }
    }

    fn timeout(&self) -> Option<Instant> {
        let times = [
            self.nodes.lock().poll_timeout(),
            self.rooms.lock().poll_timeout(),
        ];
        times.into_iter().flatten().min().map(Instant::from_std)
    }

    async fn run(
        self: Arc<Self>,
        cluster: ClusterHandle,
        mut reader: QueueReader<Outgoing>,
        mut messages: UnboundedReceiver<Bytes>,
    ) {
        let (mut filter, mut batch) = (DuplicateFilter::new(1000), Vec::new());
        self.nodes.lock().connected(now());
        self.rooms.lock().connected();
        self.health.set(Health::Up);
        loop {
            self.act(&cluster, &mut filter);
            let timeout = self.timeout();
            let timer = async {
                match timeout {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = reader.next_batch(&mut batch, 64) => {
                    if count == 0 {
                        return;
                    }
                    for out in batch.drain(..) {
                        self.send(&out);
                    }
                }
                Some(payload) = messages.recv() => self.receive(&cluster, &mut filter, &payload),
                () = timer => {
                    self.nodes.lock().handle_timeout(now());
                    self.rooms.lock().handle_timeout(now());
                }
                () = self.changed.notified() => {}
            }
        }
    }
}

impl fanfare::adapter::Adapter for Adapter {
    fn start(&self, cluster: ClusterHandle) {
        let messages = self.0.network.connect(&self.0.id);
        let reader = self.0.reader.lock().take().unwrap();
        tokio::spawn(self.0.clone().run(cluster, reader, messages));
    }

    fn interest(&self) -> Interest {
        Interest::RoomsAndSockets
    }

    fn rooms_changed(&self, _: &str, changes: &[RoomChange]) {
        let mut rooms = self.0.rooms.lock();
        for change in changes {
            match change.opened {
                true => rooms.open(&change.room),
                false => rooms.close(&change.room, now()),
            }
        }
        drop(rooms);
        self.0.changed.notify_one();
    }

    fn publish(&self, _: &str, message: ClusterMessage) -> PublishOutcome {
        let topic = match &message {
            ClusterMessage::Broadcast(message) => match &*message.options.rooms {
                [room] if message.request_id.is_none() => Topic::Room(room.as_str().into()),
                _ => Topic::All,
            },
            _ => Topic::All,
        };
        self.0.push(topic, AdapterMessage::Message(message))
    }

    fn respond(&self, _: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        self.0.push(Topic::Node(to.to_owned()), response.into())
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        let peers = self.0.nodes.lock().peers();
        Box::pin(async { Ok(peers) })
    }

    fn health(&self) -> Health {
        self.0.health.get()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.nodes.lock().close(now());
        let events: Vec<_> = {
            let mut nodes = self.0.nodes.lock();
            std::iter::from_fn(|| nodes.poll()).collect()
        };
        for event in events {
            if let MembershipEvent::Publish(message) = event {
                self.0.push(Topic::All, message);
            }
        }
        self.0.queue.close();
        Box::pin(async {})
    }
}
