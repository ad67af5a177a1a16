//! The task that reads a stream.

use std::sync::{Arc, Weak};
use std::time::Duration;

use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{ClusterMessage, turn_len};
use redis::{Cmd, Value};

use super::entry::Entry;
use super::id::StreamId;
use super::order::Order;
use crate::link::{Dialer, Link};
use crate::log_target;
use crate::space::Spaces;

/// Maximum number of entries of one read, Node's `readCount`.
const COUNT: usize = 100;
/// Time for which the server waits for entries, Node's `blockTimeInMs`.
const BLOCK: Duration = Duration::from_secs(5);
/// Time without a reply after which the connection counts as lost.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
/// Delay before the next attempt to connect.
const RETRY: Duration = Duration::from_millis(200);

/// A stream that this node reads.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) order: Order,
    /// Whether the position of the first read is known.
    pub(super) ready: tokio::sync::watch::Sender<bool>,
}

impl Stream {
    pub(super) fn new(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            order: Order::default(),
            ready: tokio::sync::watch::Sender::new(false),
        })
    }
}

/// Reads the stream until nothing else refers to it.
pub(super) async fn read(stream: Weak<Stream>, spaces: Weak<Spaces>, dialer: Dialer) {
    while let (Some(stream), Some(spaces)) = (stream.upgrade(), spaces.upgrade()) {
        let attempt = Reader {
            stream: &stream,
            spaces: &spaces,
        };
        if let Err(error) = attempt.run(&dialer).await {
            tracing::debug!(target: log_target::CLUSTER, error = %fanfare_protocol::Escaped(&error), "a stream is not read");
        }
        if spaces.link().is_none_or(Link::is_closed) {
            return stream.order.lose();
        }
        drop((stream, spaces));
        tokio::time::sleep(RETRY).await;
    }
}

struct Reader<'a> {
    stream: &'a Stream,
    spaces: &'a Spaces,
}

fn last_entry(stream: &str) -> Cmd {
    let mut command = Cmd::new();
    command.arg("XREVRANGE").arg(stream).arg("+").arg("-");
    command.arg("COUNT").arg(1);
    command
}

impl Reader<'_> {
    /// Connects and reads.
    ///
    /// # Errors
    /// When the connection is lost.
    async fn run(&self, dialer: &Dialer) -> Result<(), String> {
        let mut connection = dialer.connect().await.map_err(|error| error.to_string())?;
        let name = &self.stream.name;
        let mut request = async |command: Cmd| {
            let reply = tokio::time::timeout(REPLY_TIMEOUT, connection.request(command)).await;
            match reply {
                Ok(Ok(Value::ServerError(error))) => Err(error.to_string()),
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer for {REPLY_TIMEOUT:?}")),
            }
        };
        let last = Entry::list(request(last_entry(name)).await?);
        let last = last
            .first()
            .map_or_else(StreamId::default, |entry| entry.id);
        // First from the current end; later from where the last connection ended, unless the stream was replaced.
        if !*self.stream.ready.borrow() || last < self.stream.order.read() {
            self.begin(last);
        }
        while self.spaces.link().is_some_and(|link| !link.is_closed()) {
            let after = self.stream.order.read();
            let mut command = Cmd::new();
            command.arg("XREAD").arg("COUNT").arg(COUNT);
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            command.arg("STREAMS").arg(name).arg(after.to_string());
            let entries = Entry::list_of_stream(request(command).await?);
            let mut rest = &*entries;
            while !rest.is_empty() {
                let (turn, later) = rest.split_at(turn_len(rest.iter().map(Entry::byte_len)));
                self.turn(turn).await;
                tokio::task::yield_now().await;
                rest = later;
            }
        }
        Ok(())
    }

    fn begin(&self, last: StreamId) {
        self.stream.order.reads_from(last);
        if let Some(cluster) = self.spaces.cluster() {
            for namespace in cluster.namespaces() {
                cluster.reads_from(&namespace, &last.position());
            }
        }
        self.stream.ready.send_replace(true);
    }

    /// Handles entries, together as far as the replies to this node's own have arrived.
    async fn turn(&self, mut entries: &[Entry]) {
        loop {
            let handle = || entries.iter().position(|entry| !self.entry(entry));
            let waits = match self.spaces.cluster() {
                Some(cluster) => cluster.batch(handle),
                None => handle(),
            };
            let Some(at) = waits else {
                return;
            };
            self.stream.order.own_replied(entries[at].id).await;
            entries = &entries[at + 1..];
        }
    }

    /// Handles an entry. Entries that cannot be read are ignored, as in Node. Returns `false`, and does nothing, if it
    /// is a broadcast of this node whose reply has not arrived.
    fn entry(&self, entry: &Entry) -> bool {
        let order = &self.stream.order;
        if entry.uid == self.spaces.uid && entry.kind == 3 {
            return order.own(entry.id);
        }
        self.message(entry);
        true
    }

    fn message(&self, entry: &Entry) {
        let order = &self.stream.order;
        if entry.uid == self.spaces.uid {
            // This node applied joins and similar messages when it sent them.
            return order.reads_from(entry.id);
        }
        let message = match self.spaces.find(&entry.namespace) {
            Some(_) => entry.message(),
            None => None,
        };
        let (Some(AdapterMessage::Message(message)), Some(cluster)) =
            (message, self.spaces.cluster())
        else {
            return order.reads_from(entry.id);
        };
        match message {
            ClusterMessage::Broadcast(broadcast) if broadcast.request_id.is_none() => {
                order.foreign(entry.id, cluster, &entry.namespace, broadcast);
            }
            message => {
                order.reads_from(entry.id);
                cluster.receive(&entry.namespace, &entry.uid, message);
            }
        }
    }
}
