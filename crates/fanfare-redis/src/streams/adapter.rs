//! The adapter of streams.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, Broadcast, ClusterHandle, ClusterMessage, ClusterResponse,
    EventLog, LoggedEvent, MissedEventsError, MissedEventsRequest, NodeInfo, Peers,
    PendingDelivery, PublishOutcome, SessionData, SessionStore,
};
use fanfare_cluster::dialect::AdapterMessage;
use parking_lot::Mutex;
use redis::{Cmd, Value};

use super::reader::{Stream, read};
use super::{StreamOptions, Streams, entry, log, sessions};
use crate::link::{ChannelKind, Dialer, Link, OnReply};
use crate::server::ConfigError;
use crate::space::Spaces;

/// Maximum length of the private id that a client sends, in bytes.
const MAX_PRIVATE_ID: usize = 256;

/// State of the adapter.
pub(crate) struct StreamsAdapter {
    options: StreamOptions,
    session_key_prefix: String,
    spaces: Arc<Spaces>,
    /// Opener of the readers' connections.
    dialer: Dialer,
    runtime: tokio::runtime::Handle,
    /// Streams that are read, by their names.
    streams: Mutex<HashMap<String, Arc<Stream>>>,
}

impl StreamsAdapter {
    pub(super) fn start(options: Streams) -> Result<Arc<Self>, ConfigError> {
        let kind = match options.sharded_pubsub {
            true => ChannelKind::Sharded,
            false => ChannelKind::Exact,
        };
        let spaces = Spaces::new(options.channel_prefix, kind, options.node, encode);
        let link = Link::start(
            &options.server,
            &options.link,
            spaces.on_messages(|_, _| {}),
        )?;
        spaces.set_link(link);
        Ok(Arc::new(Self {
            options: options.stream,
            session_key_prefix: options.session_key_prefix,
            spaces,
            dialer: Dialer::new(&options.server)?,
            runtime: tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?,
            streams: Mutex::default(),
        }))
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.spaces.link()
    }

    /// Waits until the streams of all namespaces are read.
    pub(crate) async fn ready(&self) {
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        for stream in streams {
            let mut ready = stream.ready.subscribe();
            // The sender is in the stream, which is alive.
            let _ = ready.wait_for(|ready| *ready).await;
        }
    }

    /// Returns the stream of a namespace, if it is read.
    fn stream(&self, namespace: &str) -> Option<Arc<Stream>> {
        self.streams
            .lock()
            .get(&self.options.of(namespace))
            .cloned()
    }
}

fn encode(message: &AdapterMessage, uid: &str, namespace: &str) -> Vec<u8> {
    message.encode_msgpack(uid, Some(namespace))
}

impl Adapter for StreamsAdapter {
    fn start(&self, cluster: ClusterHandle) {
        self.spaces.start(cluster);
    }

    fn namespace_opened(&self, namespace: &str) {
        self.spaces.open(namespace);
        let name = self.options.of(namespace);
        let mut streams = self.streams.lock();
        let stream = streams.entry(name.clone()).or_insert_with(|| {
            let stream = Stream::new(name);
            let spaces = Arc::downgrade(&self.spaces);
            let reading = read(Arc::downgrade(&stream), spaces, self.dialer.clone());
            self.runtime.spawn(reading);
            stream
        });
        if let (true, Some(cluster)) = (*stream.ready.borrow(), self.spaces.cluster()) {
            cluster.reads_from(namespace, &stream.order.read().position());
        }
    }

    fn namespace_closed(&self, namespace: &str) {
        // The reader continues: another namespace may use the stream, and this one may be opened again.
        self.spaces.close(namespace);
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let Some(link) = self.link() else {
            return PublishOutcome::Down;
        };
        let uid = &self.spaces.uid;
        let in_stream = matches!(
            message,
            ClusterMessage::SocketsJoin(_)
                | ClusterMessage::SocketsLeave(_)
                | ClusterMessage::DisconnectSockets(_)
        );
        let message = AdapterMessage::from(message);
        if in_stream {
            let (command, bytes) = entry::append(&self.options, uid, namespace, &message);
            return link.send(command, bytes);
        }
        let channel = self.spaces.get(namespace).channel.clone();
        self.spaces.send(&channel, encode(&message, uid, namespace))
    }

    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        self.spaces.respond(namespace, to, response)
    }

    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        Box::pin(self.spaces.peers(namespace))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, AdapterError>> {
        Box::pin(async { Ok(self.spaces.nodes()) })
    }

    fn log(&self) -> Option<&dyn EventLog> {
        Some(self)
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        Some(self)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.spaces.leave().await;
            let streams: Vec<_> = self.streams.lock().drain().collect();
            for (_, stream) in streams {
                stream.order.lose();
            }
        })
    }
}

/// Reads the reply to `XADD`.
pub(super) fn appended(reply: Value) -> Option<super::id::StreamId> {
    match reply {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok()?.parse().ok(),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    }
}

impl EventLog for StreamsAdapter {
    fn append(
        &self,
        namespace: &str,
        broadcast: Broadcast,
        pending: PendingDelivery,
    ) -> PublishOutcome {
        let (Some(link), Some(stream)) = (self.link(), self.stream(namespace)) else {
            // Dropping `pending` delivers the event to the clients of this node.
            return PublishOutcome::Down;
        };
        let message = AdapterMessage::from(broadcast);
        let uid = &self.spaces.uid;
        let (command, bytes) = entry::append(&self.options, uid, namespace, &message);
        let waiting = Waiting::new(stream, pending);
        link.send_with_reply(command, bytes, Box::new(waiting))
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        request: MissedEventsRequest,
    ) -> BoxFuture<'a, Result<Vec<LoggedEvent>, MissedEventsError>> {
        Box::pin(async move {
            let Some(link) = self.link() else {
                return Err(AdapterError::from(PublishOutcome::Down).into());
            };
            log::missed(link, &self.options.of(namespace), namespace, &request).await
        })
    }
}

/// A broadcast that waits for its position.
struct Waiting {
    stream: Arc<Stream>,
    pending: Option<PendingDelivery>,
}

impl Waiting {
    fn new(stream: Arc<Stream>, pending: PendingDelivery) -> Self {
        stream.order.send();
        Self {
            stream,
            pending: Some(pending),
        }
    }
}

impl OnReply for Waiting {
    fn reply(mut self: Box<Self>, value: Value) {
        if let Some(id) = appended(value)
            && let Some(pending) = self.pending.take()
        {
            self.stream.order.replied(Some((id, pending)));
        }
    }

    fn not_sent(mut self: Box<Self>, outcome: PublishOutcome) {
        let pending = self.pending.take();
        self.stream.order.replied(None);
        match (pending, outcome) {
            // The caller may send it again.
            (Some(pending), PublishOutcome::Full) => pending.discard(),
            (pending, _) => {
                // Earlier broadcasts are delivered first.
                self.stream.order.lose();
                drop(pending);
            }
        }
    }
}

impl Drop for Waiting {
    /// Delivers the event to the clients of this node, without a position, by dropping it.
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.stream.order.replied(None);
            drop(pending);
        }
    }
}

impl SessionStore for StreamsAdapter {
    fn store(&self, _namespace: &str, session: SessionData, lifetime: Duration) -> PublishOutcome {
        let Some(link) = self.link() else {
            return PublishOutcome::Down;
        };
        let key = format!("{}{}", self.session_key_prefix, session.private_id);
        let Some(text) = sessions::encode(session) else {
            return PublishOutcome::Queued;
        };
        let bytes = key.len() + text.len();
        let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let mut command = Cmd::new();
        command.arg("SET").arg(key).arg(text);
        command.arg("PX").arg(milliseconds.max(1));
        link.send(command, bytes)
    }

    fn take<'a>(
        &'a self,
        _namespace: &'a str,
        private_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionData>, AdapterError>> {
        Box::pin(async move {
            if private_id.len() > MAX_PRIVATE_ID {
                return Ok(None);
            }
            let Some(link) = self.link() else {
                return Err(PublishOutcome::Down.into());
            };
            let key = format!("{}{private_id}", self.session_key_prefix);
            let mut command = Cmd::new();
            command.arg("GETDEL").arg(key);
            // In the queue, after earlier sessions.
            match link.reply(command).await? {
                Value::BulkString(text) => Ok(sessions::decode(&text, private_id)),
                Value::ServerError(error) => Err(AdapterError::new(error.to_string())),
                _ => Ok(None),
            }
        })
    }
}

impl Drop for StreamsAdapter {
    /// Closes the link, which the readers share.
    fn drop(&mut self) {
        if let Some(link) = self.link() {
            link.shut();
        }
    }
}
